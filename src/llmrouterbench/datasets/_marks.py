r"""Where a reply says its answer: boxes, <answer> tags, lines with a label, sentences. The last place comes first.

A mark that is quoted, denied, doubted, asked or said of somebody else's answer is none. Every function takes time
linear in the reply.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Literal, NamedTuple

from llmrouterbench.datasets import _languages as words
from llmrouterbench.datasets._numbers import LONGEST

_TRIES = 200
"""How many of the last places that look like a mark are examined."""
_BEFORE = 160
"""Characters before a noun that say whose answer is meant."""

_BOX = re.compile(r"\\(?:f?box(?:ed)?|framebox|fcolorbox\{\w+\}\{\w+\})\s{0,3}\{|\\boxed(?:\s{1,3}(?=[^\s{])|(?=\d))")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_TAG = re.compile(r"<(?i:(?:final[_ -]?)?(?:answer|ans)>|\|(?:begin_of_)?(?:answer|solution)\|>)|####(?!#)")
_TAG_END = re.compile(r"(?i)</(?:final[_ -]?)?(?:answer|ans)>|<\|(?:end_of_)?(?:answer|solution)\|>")

Kind = Literal["box", "tag", "label", "prose"]


class Mark(NamedTuple):
    """An answer as it stands in a reply.

    kind  a box; an <answer> tag; a label ("Answer: ...", ####, a heading); prose ("the answer is ...")
    text  what is said, without the sentence around it
    rest  the reply from there on, to the end of a box or tag, and to `LONGEST` characters else
    at    where it begins, at its noun, tag or box
    end   where a box ends
    lead  what stands before it in its sentence
    """

    kind: Kind
    text: str
    rest: str
    at: int
    lead: str = ""
    end: int = 0


def marks(text: str, choosing: bool = False) -> Iterator[Mark]:
    """Every mark of a reply, the last one first; what a statement says by a box is that box.

    choosing  whether an option is looked for rather than a value: other nouns announce it

    Nouns of other languages in plain ASCII ("respuesta") are looked for where nothing else is marked.
    """
    english, foreign = (words.OPTION, _FOREIGN_OPTION) if choosing else (words.VALUE, words.FOREIGN)
    found = _marks(text, english if text.isascii() else (*english, *_of_scripts(text, foreign)))
    last = next(found, None)
    if last is not None:
        yield last
        yield from found
    elif text.isascii():
        yield from _marks(text, _of_scripts(text, foreign))


_FOREIGN_OPTION = (*words.FOREIGN, *words.CHOICE, *words.VALUE)
_OTHER_SCRIPT = re.compile("[\u0370-\u0dff\u0f00-\u18ff\u1ea0-\u1eff\u2e80-\uffef]")


def _of_scripts(text: str, nouns: tuple[str, ...]) -> tuple[str, ...]:
    """The nouns whose letters can occur in a text."""
    plain, latin = _by_script(nouns)
    return plain if text.isascii() else nouns if _OTHER_SCRIPT.search(text) else latin


@cache
def _by_script(nouns: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The nouns in ASCII, and those in Latin letters."""
    return tuple(filter(str.isascii, nouns)), tuple(noun for noun in nouns if max(noun) < "\u0250")


def _marks(text: str, nouns: tuple[str, ...]) -> Iterator[Mark]:
    boxes = _boxes(text)
    box = next(boxes, None)
    for at, word in _places(text, nouns):
        while box and box.at > at:
            yield box
            box = next(boxes, None)
        mark = None if box and at < box.end else _statement(text, at, word)
        if mark and not _BOX.search(mark.text):
            yield mark
    while box:
        yield box
        box = next(boxes, None)


def last_box(text: str) -> Mark | None:
    r"""The last \boxed{...} that is closed and not empty."""
    return next(_boxes(text), None)


_BETWEEN = re.compile(r"[\s$.]*(?:[,;&]|\band\b|\bor\b|\\text\{\s*(?:and|or)\s*\})+[\s$]*(?:[a-z]\s*=\s*)?")


def boxed_together(text: str) -> list[str]:
    r"""The contents of the last boxes that only "and", "or" or a comma part.

    >>> boxed_together(r"\boxed{1}. So $x = \boxed{3}$ or $\boxed{5}$.")
    ['3', '5']
    """
    found: list[str] = []
    start = len(text)
    for box in _boxes(text):
        if found and not _BETWEEN.fullmatch(text[box.end : start]):
            break
        found.append(box.text)
        start = box.at
    return found[::-1]


def _boxes(text: str) -> Iterator[Mark]:
    if "box" not in text:
        return
    for box in reversed(deque(_BOX.finditer(text), maxlen=_TRIES)):
        content = _braced(text, box.end()) if box[0].endswith("{") else text[box.end() :].split(maxsplit=1)[0]
        if content and len(content) <= LONGEST and content.strip():
            yield Mark(
                "box", content.strip(), content, box.start(), end=box.end() + len(content) + box[0].endswith("{")
            )


def _braced(text: str, start: int) -> str | None:
    """Text from `start` to the brace that closes the one before it."""
    depth = 1
    for mark in _BRACE.finditer(text, start, start + LONGEST + 1):
        depth += (mark[0] == "{") - (mark[0] == "}")
        if depth == 0:
            return text[start : mark.start()]
    return None


def _places(text: str, nouns: tuple[str, ...]) -> list[tuple[int, str]]:
    """Where a noun stands by itself, whatever its case, or a tag; the last place first, the last `_TRIES` of each."""
    low = text.replace("İ", "I").lower() if "İ" in text else text.lower()  # the one letter longer in lower case
    found: list[tuple[int, str]] = []
    if "<" in text or "####" in text:
        found.extend((tag.start(), tag[0]) for tag in deque(_TAG.finditer(text), maxlen=_TRIES))
    for noun in nouns:
        at = low.rfind(noun)
        tried = 0
        while at >= 0 and tried < _TRIES:
            if _alone(low, at, at + len(noun)):
                found.append((at, noun))
            at, tried = low.rfind(noun, 0, at), tried + 1
    return sorted(found, reverse=True)[:_TRIES]


def _alone(text: str, start: int, end: int) -> bool:
    """Whether letters of the same script neither precede nor follow; Chinese, Japanese and Korean write no blanks."""
    if text[start] >= "\u2e80":
        return True
    return not (_of_a_word(text[start - 1 : start]) or _of_a_word(text[end : end + 1]))


def _of_a_word(sign: str) -> bool:
    return sign == "_" or (sign.isalnum() and sign < "\u2e80")


_AFTER = re.compile(
    rf"(?i)[*_`#\"“”'’\])】」』]{{0,9}}{words.GAP}[*_`\"“”]{{0,9}}\s*{words.LINK}[\s:*_`#\"“”]*(?:(?<=\n)>\s*)?"
)
_HEADING = re.compile(r"[*_`#\"“”:\])】」』 \t]*\n\s*(?:>\s*)?[*_`#\"“”\s]*")
_STOP = re.compile(
    r"\n|(?i:</(?:final[_ -]?)?(?:answer|ans)>)|<\||</s>|[。?？؟]|[；;](?=\s)|\.(?=[\"”’)*]*(?:\s|$))"
    r"|\"(?=\s*[,}\]])|[，、,](?=\s?[\u2e80-\u9fff\uac00-\ud7af])|[!！](?=\s)"
    r"|,\s*(?:(?:and|but)\s)?not\s|\s(?:and|but)\snot\s"
    r"|(?:,|\s)\s*\(?(?:because|since|which|where|as|so|I hope|as required|as requested|respectively)\b"
)
_INLINE_MATH = re.compile(r"\s*(?:\$\$?([^$\n]{1,2000})\$\$?|\\\(([^\n]{1,2000}?)\\\)|\\\[\s*([^\n]{1,2000}?)\s*\\\])")
_ENDS = ' \t:;,*`"“”'


def _statement(text: str, at: int, word: str) -> Mark | None:
    """What stands after a noun or a tag; None where that is no answer of the reply."""
    rest = text[at + len(word) : at + len(word) + LONGEST]
    if word == "ans" and rest.startswith("."):
        rest = ":" + rest[1:]
    if word[0] == "<":
        inside = _TAG_END.split(rest, maxsplit=1)
        said = inside[0] if len(inside) > 1 else rest.split("\n", 1)[0]
        return Mark("tag", plain_end(said.strip(" \t\n*`:")), said, at) if said.strip() else None
    if word[0] == "#":
        said = rest.lstrip(" \t:*`").split("\n", 1)[0]
        return Mark("label", _cut(said), said, at) if said.strip() else None
    lead = _clause(text[max(0, at - _BEFORE) : at])
    if _elsewhere(lead, rest):
        return None
    cell = _cell(text, at, rest)
    if cell is not None:
        return Mark("label", cell, cell, at, lead) if cell else None
    found = _AFTER.match(rest)
    heading = None if found else _HEADING.match(rest)
    if not (found or heading):
        return None
    start = (found or heading).end()  # type: ignore[union-attr]
    between, rest = rest[:start], rest[start:]
    if heading is None and "**" in rest:
        line = text[text.rfind("\n", 0, at) + 1 : at] + between.rpartition("\n")[2]
        if line.count("**") % 2:  # the answer ends with its emphasis
            rest = rest.partition("**")[0] + "\n"
    labelled = heading is not None or bool(found and (found["only"] or found["sign"]))
    if _denies(rest, labelled):
        rest = _instead(rest)
    said = _cut(rest)
    stop = _STOP.search(rest)
    if not said or (stop and stop[0] in "?？؟" and not labelled):
        return None
    return Mark("label" if labelled else "prose", said, rest, at, lead)


_NAMED = re.compile(r"\W*(?:(?i:option|choice|the|answer|letter|number)\W+)*(?:[A-Z]\b|[-+$]?\d|\\boxed)")


def _denies(rest: str, labelled: bool) -> bool:
    """Whether "not" denies what follows; not in "Answer: not enough information", "The answer is Never"."""
    found = words.DENIED.match(rest)
    if not found:
        return False
    word = found[0].split()[-1]
    phrase = word.isascii() and (labelled or word[0].isupper())
    return not phrase or _NAMED.match(rest, found.end()) is not None


def _instead(rest: str) -> str:
    """What "not B but C" says in place of what it denies; "" for a bare denial."""
    sentence = re.split(r"\n|[.。](?=\s|$)", rest, maxsplit=1)[0]
    found = words.INSTEAD.search(sentence)
    return sentence[found.end() :] if found else ""


_SENTENCE_END = re.compile(r"(?<=[a-zà-ÿ0-9)\]\"”])[.!?:;]\s|[。！？；]")


def _clause(before: str) -> str:
    """The part of a sentence that stands before a noun."""
    return _SENTENCE_END.split(before.rpartition("\n")[2])[-1]


def _elsewhere(lead: str, rest: str) -> bool:
    """Whether an answer noun speaks of a doubted, denied, quoted or other answer."""
    return bool(lead) and (_of_another(lead[-90:]) or _quoted(lead, rest))


@lru_cache(4096)
def _of_another(lead: str) -> bool:
    """Whether what stands before a noun doubts, denies or gives away the answer; few leads make up most replies."""
    return bool(words.DOUBTED.search(lead) or words.OTHER.search(lead[-40:]))


_OPENING = re.compile(r"[\"“„«「『'‘`]")


def _quoted(lead: str, rest: str) -> bool:
    """Whether a statement stands in quotes inside a sentence; a key of JSON and a whole quoted line do not count."""
    if not _OPENING.search(lead):
        return False
    for opening, closing in ('""', "“”", "„“", "«»", "「」", "『』", "''", "‘’", "``"):
        start = lead.rfind(opening)
        if start < 0 or (opening == closing and lead.count(opening) % 2 == 0) or closing in lead[start + 1 :]:
            continue
        if opening == "'" and lead[start - 1 : start].isalnum():
            continue
        line = rest.partition("\n")[0]
        end = line.find(closing)
        if end > 0 and re.search(r"\w", lead[:start]) and not re.search(r"\"\s*:\s*$", lead[:start]):
            return True
    return False


_PIPE = re.compile(r"[*_` \t]*\|")


def _cell(text: str, at: int, rest: str) -> str | None:
    """The cell of a Markdown table that "Answer" names, as a header or a first cell; None outside a table."""
    if not _PIPE.match(rest):
        return None
    line, *below = rest.split("\n", 3)
    if below and re.fullmatch(r"\s*\|?[\s:|-]*-[\s:|-]*", below[0]):
        column = text[text.rfind("\n", 0, at) + 1 : at].count("|")
        cells = (below[1] if len(below) > 1 else "").split("|")
        cell = cells[column] if column < len(cells) else ""
    else:
        cell = line.split("|")[1] if "|" in line else ""
    return cell.strip(" *_`")


def _cut(rest: str) -> str:
    """What is said up to the end of its sentence; mathematics between dollars or brackets as a whole."""
    math = _INLINE_MATH.match(rest)
    if math and not re.match(r"\s*(?:,|\band\b|\bor\b|[/%+=<>-]|\\%)\s*[$%\\\d]|\s*%", rest[math.end() :]):
        return next(part for part in math.groups() if part is not None).strip()
    return plain_end(_STOP.split(rest.lstrip(), maxsplit=1)[0])


_COPULA = re.compile(r"\s*(?:です|である|だ|になります|입니다|이다|이에요|예요|है|हैं|['’][dt][iıuü]r)$")


def plain_end(said: str) -> str:
    """What is said without the marks, the full stop and the copula that end a sentence."""
    if not said.isascii():
        said = _COPULA.sub("", said.strip(_ENDS).rstrip(".!।。").strip())
    if "**" in said:
        said = re.sub(r"\*\*(?![\w(])|(?<![\w)])\*\*", "", said)
    return said.strip(_ENDS).rstrip(".!").strip(_ENDS)
