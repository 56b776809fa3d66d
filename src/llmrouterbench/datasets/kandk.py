"""Knights and Knaves: 700 puzzles with two to eight people, each of whom always tells the truth or always lies.

Source: Xie et al. 2024, "On Memorization of Large Language Models in Logical Reasoning", arXiv 2410.23123. The last
conclusion of a reply counts; it is right when it says of every person what they are, and never both.

Differs from the official LLMRouterBench code, which takes the first conclusion, lets "X is a knight, X is a knave"
pass, and fails every reply in which the letters "if" occur, as in the name Cliff.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.datasets.answers import visible
from llmrouterbench.replies import Item, Score

PEOPLE = range(2, 9)
_SECTION = 10_000
_HEADINGS = tuple(
    re.compile(rf"\b{word}s?\b(?:\s+(?:is|are))?[*_`# \t]*(?:[:：]|\n|$|[-–—]\s)", re.IGNORECASE)
    for word in ("conclusion", "answer")
)
"""What a conclusion stands under; "answer" counts only where no conclusion says anything."""
_MARKUP = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:bf|rm|sf)|boxed)\b|[*_`${}\\]")
_OPEN = re.compile(r"\b(?:if|whether|either|or|suppose|assum\w+|would|could|cannot)\b", re.IGNORECASE)
_ROLE = r"(?P<no>not\s+)?(?:an?\s+|the\s+)?(?P<role>knight|knave)s?\b"
_LISTED = re.compile(r"\b(knight|knave)s?\b\s*[:=]\s*(.+)", re.IGNORECASE)
PROMPT = """\
The following puzzle is about people who are each either a knight or a knave. Knights always tell the truth, and knaves
always lie. Work out who is what.

{query}

Explain your reasoning first. Then end with a conclusion that names every person once, one on a line, in this form:

CONCLUSION:
(1) <name> is a <knight or knave>
(2) <name> is a <knight or knave>
"""


def read(files: Mapping[str, Path]) -> list[Item]:
    """The puzzles of all sizes; the target says of every name what they are."""
    return [item for people in PEOPLE for item in _size(people, files[_file(people)])]


def _file(people: int) -> str:
    return f"test/people{people}_num100.jsonl"


def _size(people: int, path: Path) -> list[Item]:
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    return [_item(f"people{people}", number, row) for number, row in enumerate(rows)]


def _item(subset: str, number: int, row: dict[str, Any]) -> Item:
    said = re.findall(r"\(\d+\)\s*(\w+) is a (knight|knave)", row["solution_text_format"])
    return Item(f"{subset}-{number}", row["quiz"], dict(said), subset)


def prompt(item: Item) -> str:
    """The puzzle and the form of the conclusion."""
    return PROMPT.format(query=item.query)


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the last conclusion says of every person what they are and contradicts itself nowhere."""
    conclusion = _conclusion(visible(reply), list(item.target))
    if conclusion is None:
        return Score(0.0, "", "no conclusion in the reply")
    said = roles(conclusion, list(item.target))
    answer = ", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in said.items() if found)
    if any(len(found) > 1 for found in said.values()):
        return Score(0.0, answer, "the conclusion contradicts itself")
    right = all(said[name] == {role} for name, role in item.target.items())
    return Score(float(right), answer)


def _conclusion(text: str, names: list[str]) -> str | None:
    """The text after the last heading that says something about a person; None where there is none."""
    for heading in _HEADINGS:
        ends = [found.end() for found in deque(heading.finditer(text), maxlen=20)]
        for end in reversed(ends):
            section = text[end : end + _SECTION]
            if any(roles(section, names).values()):
                return section
    return None


def roles(text: str, names: list[str]) -> dict[str, set[str]]:
    """What a text asserts of each person; sentences with "if", "or" and the like assert nothing.

    >>> roles("(1) Cliff is a **knight**. If Ann lies, Bo is a knave. Bo: not a knave", ["Cliff", "Bo", "Ann"])
    {'Cliff': {'knight'}, 'Bo': {'knight'}, 'Ann': set()}
    """
    found: dict[str, set[str]] = {name: set() for name in names}
    for sentence in re.split(r"[\n;]|\.(?:\s|$)", _MARKUP.sub("", text)):
        if not _OPEN.search(sentence):
            for name, role in _assertions(sentence, names):
                found[name].add(role)
    return found


def _assertions(sentence: str, names: list[str]) -> list[tuple[str, str]]:
    """(name, role) for "X is a knave", "X: knave", "| X | knave |", "X and Y are knights", "Knights: X, Y"."""
    listed = _LISTED.search(sentence)
    listing = [name for name in names if listed and re.search(rf"\b{re.escape(name)}\b", listed[2])]
    if listed and listing:
        return [(name, listed[1].lower()) for name in listing]
    anyone = "|".join(map(re.escape, names))
    people = rf"\b(?P<who>(?:{anyone})\b(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s*&\s*)(?:{anyone})\b)*)"
    link = r"(?:[\s:=|>→⇒–—-]|\b(?:is|are|must|be|both|all|therefore|indeed)\b)+"
    return [
        (name, _flipped(match["role"].lower(), bool(match["no"])))
        for match in re.finditer(people + link + _ROLE, sentence, re.IGNORECASE)
        for name in names
        if re.search(rf"\b{re.escape(name)}\b", match["who"], re.IGNORECASE)
    ]


def official(item: Item, reply: str, instruments: Instruments) -> Score:
    """The official code's reading: the first conclusion, thoughts included, holds every "X is a knight" of the target.

    It fails where the letters "if" or one number more than there are people stand in it, and passes contradictions.

    Source: LLMRouterBench (arXiv 2601.07206), its code at 0e267fb, as described by Xie et al. 2024 (arXiv 2410.23123).
    """
    sections = re.split(r"CONCLUSION:|Conclusion:|conclusion:", reply, maxsplit=2)
    said = sections[1][:_SECTION] if len(sections) > 1 else ""
    right = bool(said) and all(f"{name} is a {role}" in said for name, role in item.target.items())
    spoiled = "if" in said or f"({len(item.target) + 1})" in said
    return Score(float(right and not spoiled), said.strip()[:500], "official reading")


def _flipped(role: str, negated: bool) -> str:
    return {"knight": "knave", "knave": "knight"}[role] if negated else role


DATASET = Dataset(
    name="kandk",
    title="Knights and Knaves",
    domain="Logic",
    # Columns quiz, names, solution_text_format and more; 100 rows a file; sha256 unpublished.
    source=Source(
        "hub",
        "K-and-K/knights-and-knaves",
        "2f68547989981b1af37cb3dde5fdefa847aa8619",
        {_file(people): "" for people in PEOPLE},
    ),
    licence="CC-BY-NC-SA-4.0",
    citation="Xie et al. 2024, arXiv 2410.23123",
    size=700,
    shots=0,
    kind="text",
    version=1,
    read=read,
    prompt=prompt,
    score=score,
    official=official,
    subsets=tuple(f"people{people}" for people in PEOPLE),
)
