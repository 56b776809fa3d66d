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
from llmrouterbench.datasets._characters import folded
from llmrouterbench.datasets._korbench_puzzles import WRONG, same_puzzle, value
from llmrouterbench.datasets._letters import chosen
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


def bracketed(text: str, placeholder: Callable[[str], bool] = lambda _: False) -> str | None:
    """What stands in the last [[ ]] of a text, brackets inside it balanced; None where there is none.

    placeholder  whether a content only names the form of an answer; such a one counts where there is no other

    >>> bracketed("First [[1]], no: [[ 2 ]]."), bracketed("[[A];[C]]"), bracketed("[[[c1;c2]p]]"), bracketed("[A]")
    ('2', 'A];[C', '[c1;c2]p', None)
    """
    end, named = len(text), None
    for _ in range(50):
        end = text.rfind("]]", 0, end)
        if end < 0:
            break
        start = _opening(text, end + 2)
        if start >= 0:
            said = text[start + 2 : end].strip()
            if not placeholder(said):
                return said
            named = named or said
    start = text.rfind("[[")
    end = text.find("]]", start + 2, start + _LONGEST)
    return named if named is not None or not 0 <= start < end else text[start + 2 : end].strip()


def _opening(text: str, end: int) -> int:
    """Where the "[[" stands that the "]]" before `end` closes; -1 where there is none near."""
    depth = 0
    for at in range(end - 1, max(end - _LONGEST, 0) - 1, -1):
        depth += (text[at] == "]") - (text[at] == "[")
        if depth == 0:
            return at if text.startswith("[[", at) else -1
    return -1


_PLACEHOLDER = re.compile(
    r"(?i)\.\.\.|…|(?:(?:your|the|final|correct|encrypted|decrypted|my) )*"
    r"(?:answer|option|number|letter|result|value)s?(?: here)?%?"
    r"|[A-J](?:/[A-J])+|word\s?1.*|\(\(a,\s?b\),\s?\(c,\s?d\)\)|a \+ b / c - d|A=1,\s?B=2.*|\{the elements.*"
)
_MATRIX = re.compile(r"\\begin\{([a-z]*matrix)\}.{1,2000}?\\end\{\1\}", re.DOTALL)


def answer_of(reply: str, question: str = "", target: str = "") -> str | None:
    r"""The answer of a reply: the last [[ ]], else the last \boxed{ }, else the last [ ]; None where there is none.

    A content that only names the form ([[answer]], or what the question shows as its form) counts where no other does.
    Where the target is a matrix, the last LaTeX matrix counts as well.

    >>> answer_of("[[KHOOR]] in the form [[answer]]."), answer_of("[2 * 3]"), answer_of("[[2 * 3] * 4]")
    ('KHOOR', '2 * 3', None)
    """
    text = re.sub(r"\\(?:left|right)\s*(?=[\[\]])|\\[lr]brack(?![a-z])\s?", "", folded(visible(reply)))
    text = re.sub(r"\\([\[\]])\s*\\(?=\1)", r"\1", text)
    text = text.replace("⟦", "[[").replace("⟧", "]]").replace("【【", "[[").replace("】】", "]]")
    shown = {each.strip() for each in re.findall(r"\[\[(.{3,200}?)\]\]", question)}
    found = bracketed(text, lambda said: said in shown or _PLACEHOLDER.fullmatch(said) is not None) or boxed(text)
    if found is None:
        single = re.findall(r"(?<![\w\\])\[([^\[\]\n]{1,500})\](?!\s*[*/+^×÷-]\s*[\d(\[]|\()", text[-_LONGEST:])
        found = single[-1] if single else None
    if found is None and target.startswith("(("):
        matrices = [each[0] for each in _MATRIX.finditer(text[-_LONGEST:])]
        found = matrices[-1] if matrices else None
    return None if found is None else found.strip()


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the last bracketed answer is right by the comparison of its category."""
    wanted = bracketed(str(item.target)) or str(item.target)
    said = answer_of(reply, item.query, wanted)
    if not said:
        return Score(0.0, "", "no answer in [[ ]]")
    try:
        return Score(float(_right(item, wanted, said, instruments.equal)), said[:500])
    except TimeoutError:
        return Score(math.nan, said[:500], "the comparison took longer than its limit")


def _right(item: Item, wanted: str, said: str, equal: Callable[[str, str], bool]) -> bool:
    if len(said) > 20 * len(wanted) + 1000:
        return False
    inner = boxed(said)
    said = inner if inner and said.startswith("\\boxed") else said
    if "$" not in wanted:  # in two of the logic rules it is an operator
        said = said.strip().strip("$")
    if item.subset == "puzzle":
        return same_puzzle(item.details["rule_id"], item.query, wanted, said, wrong=item.id in WRONG)
    if item.subset == "operation":
        worked_out = "single number" not in item.query or _NUMBER.fullmatch(_bare(said).rpartition("=")[2])
        return bool(worked_out) and same_operation(wanted, said, equal)
    if item.subset == "logic":
        return same_logic(wanted, said)
    if item.subset == "counterfactual":
        return (chosen(said, _options(item.query)) or said) == wanted
    return _bare(said) == _bare(wanted)


_NUMBER = re.compile(r"[-+−]?(?:[\d.,]+|\\[dt]?frac\{\d+\}\{\d+\})(?:/\d+)?[%.]?")
"""What a question that asks for "a single number" takes: no calculation that is left to the reader."""


def _options(question: str) -> dict[str, str]:
    r"""The options A to D that a question lists behind "Options:".

    >>> _options("Who?\nOptions: A. Ann##B.Bo\nProvide ...")
    {'A': 'Ann', 'B': 'Bo'}
    """
    listed = question.rpartition("Options:")[2].partition("\n")[0]
    found = re.findall(r"(?:^|##|\s)\s*([A-D])\s?\.\s*(.*?)(?=\s*##|\s[A-D]\.|$)", listed)
    return {letter: text.strip(" ;.") for letter, text in found}


def _bare(text: str) -> str:
    r"""Without blanks, quotes, outer square brackets and Markdown around it, LaTeX symbols as characters.

    >>> _bare(r"**\text{p1} \land  p2**"), _bare(r"\left[2 1/2 \text{ or } -2\right]"), _bare("[c*]p")
    ('p1∧p2', '2\\frac{1}{2}or-2', '[c*]p')
    """
    unwrapped = re.sub(r"\\(?:text|mathrm|mathbf|boxed)\{([^{}]*)\}", r"\1", text.strip(" *\n`"))
    unwrapped = re.sub(r"\\(?:left|right|displaystyle)(?![a-z])|\\[()\[\],;! ]", "", unwrapped)
    unwrapped = re.sub(r"(?<![\d/.])(\d+)\s+(\d+)\s?/\s?(\d+)(?![\d/])", r"\1\\frac{\2}{\3}", unwrapped)
    plain = re.sub(r"[\s\"`]", "", _SYMBOL.sub(lambda found: _SYMBOLS[found[0]], unwrapped))
    while plain.startswith("[") and plain.endswith("]") and _opened(plain) == 0:
        plain = plain[1:-1]
    return plain


def _opened(text: str) -> int:
    """Where the bracket stands that the last one closes, -1 where there is none."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == "]") - (text[at] == "[")
        if depth == 0:
            return at
    return -1


def same_logic(wanted: str, said: str) -> bool:
    """Whether two answers have the same parts in the same order; assignments within a part may stand in any order.

    >>> same_logic("T:x|x,x|v];[F:v|x", "T: x|v, x|x];[F: v|x"), same_logic("A];[C", "A; C"), same_logic("A", "C")
    (True, True, False)
    """
    nested = "[" in re.sub(r"\]\s*;\s*\[", "", wanted)
    if "];[" not in "".join(wanted.split()):
        return _same_part(_part(wanted, nested), _part(said, nested))
    said = re.sub(r"^\W*\[(?=\[)|(?<=\])\](?=\W*$)", "", said)
    parts = [_part(part, nested) for part in re.split(r"\]\s*;\s*\[", wanted)]
    between = r"\]\s*[;,]\s*\[" if re.search(r"\]\s*[;,]\s*\[", said) else ";"
    others = [_part(part, nested) for part in re.split(between, said)]
    if re.match(r"\s*I1?\b.*O\s*\]", wanted):  # a circuit
        return sorted(others) == sorted(parts)
    return len(others) == len(parts) and all(map(_same_part, parts, others))


def _same_part(wanted: str, said: str) -> bool:
    """Whether two parts are the same; an option may be written "Option B" or "B. No"."""
    option = re.fullmatch(r"(?i:option|choice)?\(?([A-Z])\)?|([A-Z])[.):].*", said) if len(wanted) == 1 else None
    return wanted == said or bool(option and wanted == (option[1] or option[2]))


def _part(text: str, nested: bool = False) -> str:
    """One part of a logic answer in a plain form: `label:values` with its values in order.

    nested  whether square brackets belong to it

    >>> _part("F: b, a; T: c."), _part("[c*]p", nested=True), _part('["+", "-"]')
    ('F:a,b;T:c', '[c*]p', '+,-')
    """
    bare = (_bare(text) if nested else re.sub(r"[\[\]]", "", _bare(text))).rstrip(".")
    bare = bare.replace("✔", "✓").replace("✗", "x").replace("×", "x")
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
    version=2,
    read=read,
    prompt=prompt,
    score=score,
    official=official,
    subsets=CATEGORIES,
)
