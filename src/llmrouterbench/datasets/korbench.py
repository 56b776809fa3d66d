"""KORBench: 1,250 questions under newly made rules: cipher, counterfactual, logic, operation, puzzle, 250 each.

Source: Ma et al. 2024, "KOR-Bench: Benchmarking Language Models on Knowledge-Orthogonal Reasoning Tasks",
arXiv 2410.06526. The prompt holds the rule and its three worked examples; the answer stands in [[ ]], and the
last one counts.

Differs from the official LLMRouterBench code, which takes the first [[ ]], extracts twice (45 operation items are then
always wrong), runs `eval` on puzzle replies, lets an empty answer solve every anagram, and knows one solution of
puzzles that have several: here nothing is executed, and those puzzles are checked by their rule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.datasets._korbench_puzzles import same_puzzle, value
from llmrouterbench.datasets.answers import boxed, visible
from llmrouterbench.replies import Item, Score

CATEGORIES = ("cipher", "operation", "puzzle", "counterfactual", "logic")
_FOLDER = "KOR-Bench/data"
_LONGEST = 20_000
_TWICE_EXTRACTED = frozenset(
    {18, 73, 74, 77, 94, 115, 116, 117, 121, 122, 123, 125, 131, 132, 134, 135, 136, 141, 143, 145, 146, 147, 149}
    | {*range(151, 157), 160, 161, 162, 164, 165, 166, 170, 206, 209, *range(211, 216), 217, 218}
)
"""Operation items (idx) that the official code marks wrong whatever the reply says."""
_OR = r"(?<![a-zA-Z])or(?![a-zA-Z](?!=))"
PROMPT = """\
Below are a rule, three worked questions under it, and one more question. Answer the last question by the rule alone,
even where it goes against what you know. Think step by step, then give the answer in double square brackets, in the
form that the question asks for: [[answer]]

### Rule
{rule}

{shots}

### Question
{query}

### Answer
"""
_SHOT = "### Worked question {number}\n{question}\n\n### Its answer\n{answer}"
_SYMBOLS = {
    r"\land": "∧", r"\wedge": "∧", r"\lor": "∨", r"\vee": "∨", r"\lnot": "¬", r"\neg": "¬", r"\forall": "∀",
    r"\exists": "∃", r"\Rightarrow": "⇒", r"\rightarrow": "→", r"\to": "→", r"\leftrightarrow": "↔", r"\leq": "≤",
    r"\geq": "≥", r"\le": "≤", r"\ge": "≥", r"\mid": "|", r"\cup": "∪", "∣": "|", "<=": "≤", ">=": "≥", "−": "-",
    r"\infty": "∞", r"\{": "{", r"\}": "}",
}  # fmt: skip
_SYMBOL = re.compile("|".join(re.escape(name) + r"(?![a-zA-Z])" * name[-1].isalpha() for name in _SYMBOLS))


def read(files: Mapping[str, Path]) -> list[Item]:
    """The questions of the five categories; `details` hold the rule, its number and its three examples."""
    return [item for category in CATEGORIES for item in _category(category, files)]


def _category(category: str, files: Mapping[str, Path]) -> list[Item]:
    rules = {row["idx"]: row["rule_content"] for row in _rows(category, "rule", files)}
    shots: dict[str, list[list[str]]] = {}
    for row in _rows(category, "three-shot", files):
        shots.setdefault(row["rule_id"], []).append([row["question"], row["answer"]])
    return [
        Item(
            f"{category}-{row['idx']}", row["question"], row["answer"], category,
            {"rule_id": row["rule_id"], "rule": rules[row["rule_id"]], "shots": shots[row["rule_id"]]},
        )
        for row in _rows(category, "sample", files)
    ]  # fmt: skip


def _rows(category: str, name: str, files: Mapping[str, Path]) -> list[dict[str, Any]]:
    lines = files[f"{_FOLDER}/{category}/{name}.jsonl"].read_bytes().splitlines()
    return [orjson.loads(line) for line in lines if line.strip()]


def prompt(item: Item) -> str:
    """The rule, three worked questions and the question."""
    shots = [_SHOT.format(number=at, question=q, answer=a) for at, (q, a) in enumerate(item.details["shots"], 1)]
    return PROMPT.format(rule=item.details["rule"], shots="\n\n".join(shots), query=item.query)


def bracketed(text: str) -> str | None:
    """What stands in the last [[ ]] of a text, brackets inside it balanced; None where there is none.

    >>> bracketed("First [[1]], no: [[ 2 ]]."), bracketed("[[A];[C]]"), bracketed("[[[c1;c2]p]]"), bracketed("[A]")
    ('2', 'A];[C', '[c1;c2]p', None)
    """
    end = len(text)
    for _ in range(50):
        end = text.rfind("]]", 0, end)
        if end < 0:
            break
        start = _opening(text, end + 2)
        if start >= 0:
            return text[start + 2 : end].strip()
    start = text.rfind("[[")
    end = text.find("]]", start + 2, start + _LONGEST)
    return text[start + 2 : end].strip() if 0 <= start < end else None


def _opening(text: str, end: int) -> int:
    """Where the "[[" stands that the "]]" before `end` closes; -1 where there is none near."""
    depth = 0
    for at in range(end - 1, max(end - _LONGEST, 0) - 1, -1):
        depth += (text[at] == "]") - (text[at] == "[")
        if depth == 0:
            return at if text.startswith("[[", at) else -1
    return -1


def answer_of(reply: str) -> str | None:
    r"""The answer of a reply: the last [[ ]], else the last \boxed{ }, else the last [ ]; None where there is none."""
    text = visible(reply)
    found = bracketed(text) or boxed(text)
    if found is None:
        single = re.findall(r"\[([^\[\]\n]{1,500})\]", text[-_LONGEST:])
        found = single[-1] if single else None
    return None if found is None else found.strip()


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the last bracketed answer is right by the comparison of its category."""
    said = answer_of(reply)
    if not said:
        return Score(0.0, "", "no answer in [[ ]]")
    wanted = bracketed(str(item.target)) or str(item.target)
    try:
        return Score(float(_right(item, wanted, said, instruments.equal)), said[:500])
    except TimeoutError:
        return Score(math.nan, said[:500], "the comparison took longer than its limit")


def _right(item: Item, wanted: str, said: str, equal: Callable[[str, str], bool]) -> bool:
    if len(said) > 20 * len(wanted) + 1000:
        return False
    if "$" not in wanted:  # in two of the logic rules it is an operator
        said = said.replace("$", "")
    if item.subset == "puzzle":
        return same_puzzle(item.details["rule_id"], item.query, wanted, said)
    if item.subset == "operation":
        return same_operation(wanted, said, equal)
    if item.subset == "logic":
        return same_logic(wanted, said)
    if item.subset == "counterfactual":
        return _letter(said) == _letter(wanted)
    return _bare(said) == _bare(wanted)


def _letter(text: str) -> str:
    """The option letter at the start of an answer such as "B", "(B)" or "B. Trucks".

    >>> _letter("**(B)** Trucks"), _letter("Both")
    ('B', 'Both')
    """
    found = re.match(r"[\W_]*([A-Z])(?![A-Za-z])", text)
    return found[1] if found else text


def _bare(text: str) -> str:
    r"""Without blanks, quotes, square brackets and Markdown around it, LaTeX symbols as characters.

    >>> _bare(r"**\text{p1} \land  p2**"), _bare(r"\left[\frac{1}{2} \text{ or } -2\right]")
    ('p1∧p2', '\\frac{1}{2}or-2')
    """
    unwrapped = re.sub(r"\\(?:text|mathrm|mathbf|boxed)\{([^{}]*)\}", r"\1", text.strip(" *\n"))
    unwrapped = re.sub(r"\\(?:left|right|displaystyle)(?![a-z])|\\[()\[\],;! ]", "", unwrapped)
    return re.sub(r"[\s\"`\[\]]", "", _SYMBOL.sub(lambda found: _SYMBOLS[found[0]], unwrapped))


def same_logic(wanted: str, said: str) -> bool:
    """Whether two answers have the same parts in the same order; assignments within a part may stand in any order.

    >>> same_logic("T:x|x,x|v];[F:v|x", "T: x|v, x|x];[F: v|x"), same_logic("A];[C", "A; C"), same_logic("A", "C")
    (True, True, False)
    """
    if "];[" not in "".join(wanted.split()):
        return _part(wanted) == _part(said)
    parts = [_part(part) for part in re.split(r"\]\s*;\s*\[", wanted)]
    between = r"\]\s*[;,]\s*\[" if re.search(r"\]\s*[;,]\s*\[", said) else ";"
    others = [_part(part) for part in re.split(between, said)]
    circuit = bool(re.match(r"\s*I1?\b.*O\s*\]", wanted))
    return sorted(others) == sorted(parts) if circuit else others == parts


def _part(text: str) -> str:
    """One part of a logic answer in a plain form: `label:values` with its values in order.

    >>> _part("F: b, a; T: c.")
    'F:a,b;T:c'
    """
    bare = _bare(text).rstrip(".").replace("✔", "✓").replace("✗", "x").replace("×", "x")
    return ";".join(_ordered(piece) for piece in bare.split(";"))


def _ordered(piece: str) -> str:
    label, colon, values = piece.partition(":")
    if not colon or not label.isalpha() or "(" in values:
        return piece
    return f"{label}:{','.join(sorted(values.split(',')))}"


def same_operation(wanted: str, said: str, equal: Callable[[str, str], bool]) -> bool:
    """Whether two results are equal: numbers, expressions, alternatives, sets, conditions, matrices, assignments.

    >>> def never(one: str, other: str) -> bool:
    ...     raise AssertionError("plain answers need no symbolic comparison")
    >>> same_operation("4or-12", "-12 or 4", never), same_operation("((1,2),(9,64))", "(1,2),(9,64)", never)
    (True, True)
    >>> same_operation("X≥8", "8 <= X", never), same_operation("{1,2,4}", "{4, 2, 1}", never)
    (True, True)
    """
    plain, other = _bare(wanted), _bare(said)
    if plain == other:
        return True
    if re.search(r"[≤≥<>]", plain):
        return _conditions(plain) == _conditions(other)
    if "matrix" in said or re.match(r"\(\(?[^()]*,", plain):
        return _each_equal(_entries(wanted), _entries(said), equal)
    if "=" in plain and "," in plain:
        return _assignments(plain) == _assignments(other)
    if plain.startswith("{"):
        return _same_members(_split(plain.strip("{}"), ","), _split(other.strip("{}"), ","), equal)
    return _same_members(_split(plain, _OR), _split(other, _OR), equal)


def _split(text: str, separator: str) -> list[str]:
    """The members of an answer, each without what stands before an equals sign."""
    return [part.rpartition("=")[2] for part in re.split(separator, text)]


def _conditions(text: str) -> frozenset[tuple[str, str]]:
    """(relation, bound) of every condition of one variable: "8≤X" and "X≥8" are the same."""
    turned = str.maketrans("≤≥<>", "≥≤><")
    right = re.findall(r"[A-Za-z]([≤≥<>])(-?[\d./]+)", text)
    left = [(sign.translate(turned), bound) for bound, sign in re.findall(r"(-?[\d./]+)([≤≥<>])[A-Za-z]", text)]
    return frozenset(right + left)


def _assignments(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)


def _entries(text: str) -> list[str]:
    """The entries of a matrix row by row, from ((a,b),(c,d)) or a LaTeX matrix."""
    inside = re.sub(r"\\(?:begin|end)\{[a-z]*matrix\}", "", text)
    return [entry for entry in re.split(r"[\s,&()\[\]]+|\\\\", inside.replace("$", "")) if entry]


def _each_equal(wanted: list[str], said: list[str], equal: Callable[[str, str], bool]) -> bool:
    same = bool(wanted) and len(wanted) == len(said)
    return same and all(_equal(one, other, equal) for one, other in zip(wanted, said, strict=True))


def _same_members(wanted: list[str], said: list[str], equal: Callable[[str, str], bool]) -> bool:
    """Whether two lists have equal members in any order."""
    if len(wanted) != len(said) or len(wanted) > 30:
        return False
    left = list(said)
    for member in wanted:
        match = next((other for other in left if _equal(member, other, equal)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _equal(wanted: str, said: str, equal: Callable[[str, str], bool]) -> bool:
    """Equal texts and plain numbers are decided here; everything else symbolically, under its time limit."""
    one, other = value(wanted), value(said)
    if wanted == said or (one is not None and other is not None):
        return wanted == said or one == other
    return bool(said) and equal(wanted, said)


def official(item: Item, reply: str, instruments: Instruments) -> Score:
    """The official reading as far as it is known: 45 operation items are always wrong; the others as ours."""
    if item.subset == "operation" and int(item.id.rpartition("-")[2]) in _TWICE_EXTRACTED:
        return Score(0.0, answer_of(reply) or "", "always wrong in the official code")
    return score(item, reply, instruments)


DATASET = Dataset(
    name="korbench",
    title="KORBench",
    domain="Logic",
    # A copy of the KOR-Bench repository whose files could be read for this; the columns are idx, question, answer and
    # rule_id (sample, three-shot), idx and rule_content (rule). The original KOR-Bench/KOR-Bench was out of reach.
    source=Source(
        "github",
        "multimodal-art-projection/COIG-P",
        "28104b669b37c7bdedf1da751b906e8e3ca98015",
        {
            f"{_FOLDER}/{category}/{name}.jsonl": ""
            for category in CATEGORIES
            for name in ("sample", "rule", "three-shot")
        },
    ),
    licence="not stated beside the files",
    citation="Ma et al. 2024, arXiv 2410.06526",
    size=1250,
    shots=3,
    kind="math",
    version=1,
    read=read,
    prompt=prompt,
    score=score,
    official=official,
    subsets=CATEGORIES,
)
