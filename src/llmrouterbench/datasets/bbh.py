"""BIG-Bench Hard: 1,080 questions, 40 of each of 27 tasks, with three worked examples each.

Source: Suzgun et al. 2022, "Challenging BIG-Bench Tasks and Whether Chain-of-Thought Can Solve Them", arXiv 2210.09261.
The examples are those of the task's own chain-of-thought prompt; the last answer line of a reply counts, and is read as
the target is: a letter, yes or no, a number, a list of words, or closing brackets.

Which 40 questions of a task LLMRouterBench took is not published; these are the first 40.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.datasets._characters import FONTS, folded, without_fonts
from llmrouterbench.datasets._numbers import last_number, number
from llmrouterbench.datasets.answers import SEVERAL, choice, final, is_number, lines_after, same_words, visible
from llmrouterbench.files import read_json
from llmrouterbench.replies import Item, Score

TASKS = (
    "boolean_expressions", "causal_judgement", "date_understanding", "disambiguation_qa", "dyck_languages",
    "formal_fallacies", "geometric_shapes", "hyperbaton", "logical_deduction_five_objects",
    "logical_deduction_seven_objects", "logical_deduction_three_objects", "movie_recommendation",
    "multistep_arithmetic_two", "navigate", "object_counting", "penguins_in_a_table",
    "reasoning_about_colored_objects", "ruin_names", "salient_translation_error_detection", "snarks",
    "sports_understanding", "temporal_sequences", "tracking_shuffled_objects_five_objects",
    "tracking_shuffled_objects_seven_objects", "tracking_shuffled_objects_three_objects", "web_of_lies", "word_sorting",
)  # fmt: skip
_PER_TASK = 40
_OPTION = re.compile(r"^\(([A-Z])\)[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_BRACKETS = "()[]{}<>"
PROMPT = """\
{task}

Three worked examples:

{shots}

Now answer this question in the same way. Think step by step and end with one line "Answer: " and the answer alone.

Question: {query}
"""


def read(files: Mapping[str, Path]) -> list[Item]:
    """The first 40 questions of every task; `details` hold the task's description, its examples and the options."""
    return [item for task in TASKS for item in _task(task, files)]


def _task(task: str, files: Mapping[str, Path]) -> list[Item]:
    description, shots = _worked(files[f"cot-prompts/{task}.txt"].read_text(encoding="utf-8"))
    examples = read_json(files[f"bbh/{task}.json"])["examples"][:_PER_TASK]
    return [_item(task, number, row, description, shots) for number, row in enumerate(examples)]


def _item(task: str, number: int, row: dict[str, Any], description: str, shots: list[str]) -> Item:
    details = {"task": description, "shots": shots, "options": dict(_OPTION.findall(row["input"]))}
    return Item(f"{task}-{number}", row["input"], row["target"], task, details)


def _worked(text: str) -> tuple[str, list[str]]:
    r"""A task's description and its worked examples, from its chain-of-thought file.

    >>> _worked("canary\n-----\nAdd.\n\nQ: 1+1?\nA: Let's think step by step.\nOne more is 2. So the answer is 2.")
    ('Add.', ["Question: 1+1?\nLet's think step by step.\nOne more is 2.\nAnswer: 2"])
    """
    description, *examples = re.split(r"\n+Q: ", text.rpartition("-----\n")[2].strip())
    return description.strip(), [_example(example) for example in examples]


def _example(text: str) -> str:
    question, _, worked = text.partition("\nA: ")
    worked = re.sub(r"\s*So the answer is\s+(.*?)\.?\s*$", r"\nAnswer: \1", worked.strip(), flags=re.DOTALL)
    return f"Question: {question.strip()}\n{worked}"


def prompt(item: Item) -> str:
    """The task, three worked examples and the question."""
    return PROMPT.format(task=item.details["task"], shots="\n\n".join(item.details["shots"]), query=item.query)


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the last answer of the reply is the target, read as the target's kind asks."""
    text, options = visible(reply), item.details.get("options", {})
    wanted = _wanted(str(item.target), options)
    if wanted in options:
        found = choice(text, options)
        if found.letter in ("", SEVERAL):
            return Score(0.0, "", "several letters in one answer" if found.letter else "no answer in the reply")
        return Score(float(found.letter == wanted), found.letter, found.note)
    said = _answer(text, wanted)
    return Score(float(_same(wanted, said)), said[:500], "" if said else "no answer in the reply")


def _answer(text: str, wanted: str) -> str:
    """What a reply answers, as far as an answer of the target's kind can be found."""
    if _is_brackets(wanted):
        return _brackets_said(text) or final(text) or _only_line(text)
    if len(wanted.split()) > 1:
        block = " ".join(lines_after(text))
        if block and _is_list(block, wanted):
            return block
        last = re.split(r"\n\s*\n", re.sub(r"(?m)^\s*```.*$", "", text[-_TAIL:]).strip())[-1]
        return final(text) or (last if _is_list(last, wanted) else _only_line(text).rpartition(": ")[2])
    if _is_number(wanted):
        found = final(text, is_number) or _only_line(text) or _last_line(text)
        return found if number(without_fonts(found)) or last_number(found) else ""
    pair = next((pair for pair in _PAIRS if wanted.casefold() in pair), ())
    if not pair:
        return final(text) or _only_line(text)
    found = final(text, lambda said: bool(_of_pair(said, pair))) or _only_line(text)
    return found or (_last_line(text) if _of_pair(_last_line(text), pair) else "")


def _wanted(target: str, options: Mapping[str, str]) -> str:
    """The target as a letter where it is one, or is an option's words (a few of the data are), else as it stands.

    >>> _wanted("(B)", {"A": "x", "B": "y"}), _wanted("y", {"A": "x", "B": "y"}), _wanted("valid", {})
    ('B', 'B', 'valid')
    """
    found = re.fullmatch(r"\(?([A-Z])\)?", target.strip())
    if found and found[1] in options:
        return found[1]
    return next((key for key, text in options.items() if same_words(text, target)), target.strip())


def _only_line(text: str) -> str:
    """A reply that is one short line is an answer without "Answer:"."""
    line = text[:1000].strip()
    return line.replace("**", "").strip(" .*`") if "\n" not in line and len(text) < 500 else ""


def _last_line(text: str) -> str:
    line = text[-1_000:].strip().rsplit("\n", 1)[-1]
    return line.strip(" .*`") if len(line) <= 200 else ""


def _same(wanted: str, said: str) -> bool:
    """Whether an answer says what a target says, for targets that are no letters.

    >>> _same("24", "24 fruits"), _same("Yes", "yes, it is"), _same("ant bee", "ant, bee"), _same("] )", "])")
    (True, True, True, True)
    >>> _same("valid", "valid or invalid"), _same("-3", "3"), _same("invalid", "The argument is not valid")
    (False, False, True)
    """
    if _is_brackets(wanted):
        return "".join(wanted.split()) == re.sub(rf"[^{re.escape(_BRACKETS)}]", "", said)
    plain = without_fonts(folded(said))
    if _is_number(wanted):
        aside = re.sub(r"\([^()]*\)", "", plain)
        found = number(plain) or last_number(aside) or last_number(plain)
        return found is not None and found.value == int(wanted)
    if len(wanted.split()) > 1:
        return _is_list(plain, wanted)
    pair = next((pair for pair in _PAIRS if wanted.casefold() in pair), ())
    return _of_pair(plain, pair) == wanted.casefold() if pair else same_words(plain, wanted)


def _is_brackets(wanted: str) -> bool:
    return bool(wanted) and not wanted.strip(_BRACKETS + " ")


def _is_number(wanted: str) -> bool:
    return re.fullmatch(r"-?\d+", wanted) is not None


_TAIL = 5_000
"""Characters at the end of a reply in which a list without a mark is looked for."""
_PAIRS = (("yes", "no"), ("true", "false"), ("valid", "invalid"))
"""Answers of which a question of BBH has one."""
_MEANS = {"plausible": "yes", "implausible": "no", "correct": "true", "incorrect": "false"}


def _of_pair(said: str, pair: tuple[str, ...]) -> str:
    """Which word of a pair an answer begins with or alone holds; "" for none or both. "Not valid" is invalid."""
    words = re.findall(r"[a-z]+", without_fonts(said.rpartition("=")[2]).casefold())
    words = [_MEANS[word] if _MEANS.get(word) in pair else word for word in words]
    found = []
    for at, word in enumerate(words):
        if word in pair:
            denied = word != "no" and not {"not", "never", "isn"}.isdisjoint(words[max(0, at - 2) : at])
            found.append(pair[1 - pair.index(word)] if denied else word)
    if not found or "or" in words:
        return ""
    return found[0] if words[0] in pair or len(set(found)) == 1 else ""


def _is_list(said: str, wanted: str) -> bool:
    """Whether a list has the wanted words in their order; "and" may stand before the last."""
    words, right = _list(said), wanted.casefold().split()
    return words == right or ("and" not in right and words == [*right[:-1], "and", right[-1]])


def _list(said: str) -> list[str]:
    r"""The words of a list, one a line, numbered, quoted or as Python writes it.

    >>> _list("['ant', 'bee']"), _list("1. ant\n2. bee"), _list("ant, bee and cow"), _list("- ant - bee")
    (['ant', 'bee'], ['ant', 'bee'], ['ant', 'bee', 'and', 'cow'], ['ant', 'bee'])
    """
    plain = re.sub(r"(?m)(?:^|(?<=\s))(?:\(?\d{1,3}[.)]|[-*•])\s+", " ", without_fonts(said))
    words = re.findall(r"[^\s,;|→>]+", plain.replace("->", " ").replace("\\\\", " ").casefold())
    return [word for word in (word.strip("[](){}.\"'`*“”‘’:$") for word in words) if word]


def _brackets_said(text: str) -> str:
    r"""The brackets in the last box, whose own braces need not balance, or after the last "Answer:".

    >>> _brackets_said(r"Answer: \boxed{} ]}"), _brackets_said(r"\boxed{\text{] )}}")
    ('} ]', '] )')
    """
    _, box, rest = text.rpartition("\\boxed{")
    if not box:
        return ""
    line = re.sub(r"[$.\s]*$", "", rest.split("\n", 1)[0]).removesuffix("\\]").removesuffix("\\)")
    inside = line.rstrip("$ .").removesuffix("}")
    fonts = len(re.findall(rf"\\{FONTS}\{{", inside))
    inside = re.sub(rf"\\{FONTS}\{{", "", inside)
    for _ in range(fonts):
        inside = inside.rstrip().removesuffix("}")
    return inside.strip().replace("\\", "")


DATASET = Dataset(
    name="bbh",
    title="BBH",
    domain="Logic",
    # sha256 of the single files are unpublished; layout {"canary", "examples": [{"input", "target"}]}.
    source=Source(
        "github",
        "suzgunmirac/BIG-Bench-Hard",
        "9ee07bd481feebf959a6b59d61ea57bdcf30964d",
        {path: "" for task in TASKS for path in (f"bbh/{task}.json", f"cot-prompts/{task}.txt")},
    ),
    licence="MIT",
    citation="Suzgun et al. 2022, arXiv 2210.09261",
    size=1080,
    shots=3,
    kind="text",
    version=2,
    read=read,
    prompt=prompt,
    score=score,
    subsets=TASKS,
)
