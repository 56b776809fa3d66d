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
from llmrouterbench.datasets._characters import FONTS
from llmrouterbench.datasets._marks import boxed_together
from llmrouterbench.datasets.answers import visible
from llmrouterbench.replies import Item, Score

PEOPLE = range(2, 9)
_SECTION = 10_000
_HEADING = re.compile(
    r"(?i)\b(?:conclusion|answer|solution|result|assignment)s?\b(?:\s+(?:is|are))?[*_`# \t]*(?:[:：]|\n|$|[-–—]\s)"
    r"|<(?:final[_ -]?)?answer>"
)
"""What a conclusion stands under."""
_LEAD = re.compile(r"(?i)\b(?:in conclusion,|(?:conclusion|answer|solution) is(?: that)?)\s+([^\n]{1,2000})")
"""What a conclusion in the same line stands behind."""
_CHECK = re.compile(
    r"(?i)\W*(?:verif\w+|check\w*|explanation|explained|reasoning|proof|justification|analysis|notes?|why|let['’]?s"
    r"|let us|to verify"
    r"|we can (?:verify|check))\b"
)
"""How a line begins that looks back at the conclusion."""
_MARKUP = re.compile(
    rf"\\{FONTS}|\\(?:quad|qquad|left|right|begin\{{\w+\*?\}}|end\{{\w+\*?\}})(?![a-zA-Z])|\\[,;:! ]"
    r"|[*_`${}<>\"“”&]|['‘’](?!\w)|(?<!\w)['‘’]"
)
_OPEN = re.compile(
    r"(?i)\b(?:if|whether|either|or|suppos\w+|assum\w+|would|could|cannot|claim\w*|say|says|said|saying|stat(?:e|es|ed|ement|ements)|tell(?:s|ing)?"
    r"|told|accus\w+|true that|false that)\b(?! the truth)"
)
"""What makes a sentence assert nothing: a hypothesis, or what somebody claims."""
_ROLE = (
    r"(?P<no>not\s+)?(?:(?:an?|the)\s+)?(?:only\s+|sole\s+)?"
    r"(?P<role>knights?|knaves?|truth[- ]?tellers?|liars?|truthful|honest|always (?:tells? the truth|lies?))\b"
)
_LISTED = re.compile(
    r"(?i)\b(knight|knave|truth[- ]?teller|liar)s?\b\s*(?:\([^()]*\)\s*)?[:=]\s*(.*?)"
    r"(?=\b(?:knight|knave|truth[- ]?teller|liar)s?\b\s*[:=]|$)"
)
_EVERYONE = re.compile(
    r"(?i)\b(?:all|both|every(?:one|body))\b"
    r"(?: of (?:them|the \w+)| (?:the )?(?:two|three|four|five|six|seven|eight|people|inhabitants))*"
    rf"\s+(?:is|are)\s+(?:all |both |indeed )?{_ROLE}"
)
_OTHERS = re.compile(rf"(?i)\b(?:the )?(?:rest|others?|remaining(?: \w+)?)\s+(?:is|are)\s+(?:all |both )?{_ROLE}")
_ITEM = re.compile(r"\s*(?:\(?\d+[.)]|[-*•|])\s*\S")
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
    names = list(item.target)
    conclusion = _conclusion(visible(reply), names)
    if conclusion is None:
        return Score(0.0, "", "no conclusion in the reply")
    said = roles(conclusion, names)
    answer = ", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in said.items() if found)
    if any(len(found) > 1 for found in said.values()):
        return Score(0.0, answer, "the conclusion contradicts itself")
    right = all(said[name] == {role} for name, role in item.target.items())
    return Score(float(right), answer)


def _conclusion(text: str, names: list[str]) -> str | None:
    """The last box, tag or heading that says of everyone what they are, with what is concluded after it.

    Without one that names everyone, the last that names anyone; without any, the last list of people. None: neither.
    """
    ends = [
        (found.end(), text[found.end() : found.end() + _SECTION]) for found in deque(_HEADING.finditer(text), maxlen=20)
    ]
    ends += [(found.start(1), found[1]) for found in deque(_LEAD.finditer(text), maxlen=20)]
    boxes = boxed_together(text)
    if boxes:
        ends.append((text.rfind(boxes[-1]), "\n".join(boxes)))
    sections = [_section(rest.partition("</answer>")[0], names) for _, rest in sorted(ends)]
    said = [(section, roles(section, names)) for section in sections]
    saying = [at for at, (_, found) in enumerate(said) if any(found.values())]
    if not saying:
        return _last_list(text[-_SECTION:], names)
    whole = [at for at in saying if all(said[at][1].values())]
    return "\n".join(sections[(whole or saying)[-1] :])


def _section(text: str, names: list[str]) -> str:
    """What is concluded: up to a blank line after everyone is named, or to a line that looks back."""
    lines: list[str] = []
    for line in text.splitlines():
        if _CHECK.match(line) or (lines and not line.strip() and all(roles("\n".join(lines), names).values())):
            break
        lines.append(line)
    return "\n".join(lines)


def _last_list(text: str, names: list[str]) -> str | None:
    """The last lines with numbers or bullets that say of one person after the other what they are."""
    lines: list[str] = []
    for line in reversed(text.splitlines()):
        if _ITEM.match(line) and any(roles(line, names).values()):
            lines.append(line)
        elif lines and line.strip():
            break
    return "\n".join(reversed(lines)) if lines else None


def roles(text: str, names: list[str]) -> dict[str, set[str]]:
    """What a text asserts of each person; sentences with "if", "or", "claims" and the like assert nothing.

    >>> roles("(1) Cliff is a **knight**. If Ann lies, Bo is a knave. Bo: not a knave", ["Cliff", "Bo", "Ann"])
    {'Cliff': {'knight'}, 'Bo': {'knight'}, 'Ann': set()}
    """
    found: dict[str, set[str]] = {name: set() for name in names}
    plain = _MARKUP.sub("", re.sub(r"\\\\|\\newline", "\n", text))
    plain = re.sub(r"\([^()\n]*\)", lambda aside: "" if _OPEN.search(aside[0]) else aside[0], plain)
    for sentence in re.split(r"[\n;]|\.(?:\s|$)|,?\s(?:because|since|as (?:he|she|they)|which means)\b", plain):
        if _OPEN.search(sentence):
            continue
        for name, role in _assertions(sentence, names):
            found[name].add(role)
        others = _OTHERS.search(sentence)
        if others:
            rest = [name for name in names if not found[name]]
            for name in rest:
                found[name].add(_role(others))
    return found


def _assertions(sentence: str, names: list[str]) -> list[tuple[str, str]]:
    """(name, role) for "X is a knave", "X: knave", "| X | knave |", "X and Y are knights", "Knights: X, Y"."""
    listed = [
        (name, _plain_role(each[1]))
        for each in _LISTED.finditer(sentence)
        for name in names
        if re.search(rf"\b{re.escape(name)}\b", each[2])
    ]
    if listed:
        return listed
    everyone = _EVERYONE.search(sentence)
    if everyone and not any(re.search(rf"\b{re.escape(name)}\b", sentence) for name in names):
        return [(name, _role(everyone)) for name in names]
    anyone = "|".join(map(re.escape, names))
    people = rf"\b(?P<who>(?:{anyone})\b(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s*&\s*)(?:{anyone})\b)*)"
    link = r"(?:[\s:=|>→⇒(–—-]|\b(?:is|are|must|be|both|all|therefore|thus|indeed|also)\b)+"
    return [
        (name, _role(match))
        for match in re.finditer(people + link + _ROLE, sentence, re.IGNORECASE)
        for name in names
        if re.search(rf"\b{re.escape(name)}\b", match["who"], re.IGNORECASE)
    ]


def _role(match: re.Match[str]) -> str:
    """The role that is asserted: a liar is a knave, and so is who is not a knight."""
    role = _plain_role(match["role"])
    return {"knight": "knave", "knave": "knight"}[role] if match["no"] else role


def _plain_role(word: str) -> str:
    return "knave" if re.search(r"(?i)knave|liar|lie", word) else "knight"


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
    version=2,
    read=read,
    prompt=prompt,
    score=score,
    official=official,
    subsets=tuple(f"people{people}" for people in PEOPLE),
)
