r"""Reading an answer out of a reply: the one place that knows how models write thoughts, boxes, statements, letters.

Rules that hold for every reader here. Thoughts are cut out first (`visible`); a thought that never ends leaves nothing.
Where a reply states several answers the last one wins, even if it contradicts the ones before. A statement that names
two options at once ("A or B") is no answer. Every reader takes time linear in the reply.

    visible                  a reply without its thoughts: read this, not the reply
    final                    the answer of its last box or statement, as text; `boxed` and `stated` look for one of them
    final_number             the same as a number
    letter                   the option it chooses, by letter or by words; SEVERAL where it names two at once
    same_words, same_phrase  whether two answers are the same words

A scorer of your own is a function of item, reply and instruments (`datasets.Instruments`):

>>> from llmrouterbench.replies import Item, Score
>>> def score(item, reply, instruments):
...     said = final(visible(reply))
...     return Score(float(said is not None and same_phrase(said, item.target)), said or "")
>>> score(Item("1", "Capital of Peru?", "Lima"), "<think>Quito?</think>The answer is **Lima**.", None).value
1.0
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from llmrouterbench.datasets._numbers import LONGEST, Number, last_number, number

_TRIES = 200
"""How many of the last places that look like a statement are examined."""

_THOUGHT = re.compile(
    r"(?i)<(?P<close>/?)(?:seed:)?(?:think|thinking|thought|thoughts|reasoning|reflection)>"
    r"|\[(?P<bracket>/?)THINK\]|<\|(?P<word>begin|end)_of_thought\|>|◁(?P<kimi>/?)think▷"
)


def visible(reply: str) -> str:
    """What a reply says outside its thoughts; "" where a thought was never closed.

    A closing tag without an opening one (the chat template holds it) ends a thought that began with the reply.

    >>> visible("<think>Is it A?</think>Answer: B")
    'Answer: B'
    >>> visible("Is it A?</think>Answer: B"), visible("<think>Answer: B")
    ('Answer: B', '')
    """
    pieces: list[str] = []
    start, thinking = 0, False
    for tag in _THOUGHT.finditer(reply):
        closes = tag["word"].lower() == "end" if tag["word"] else bool(tag["close"] or tag["bracket"] or tag["kimi"])
        if closes:
            if not thinking:
                pieces.clear()
            start, thinking = tag.end(), False
        elif not thinking:
            pieces.append(reply[start : tag.start()])
            thinking = True
    return "" if thinking else "".join([*pieces, reply[start:]])


@dataclass(frozen=True)
class Statement:
    """An answer as it stands in a reply, and where it begins."""

    text: str
    at: int


_BOX = re.compile(r"\\f?box(?:ed)?\s{0,3}\{|\\boxed\s{1,3}(?=[^\s{])")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def boxed(text: str) -> str | None:
    r"""The content of the last \boxed{...} that is closed and not empty.

    >>> boxed(r"\boxed{\frac{1}{2}} or rather \boxed{\text{C}}")
    '\\text{C}'
    """
    found = _last_box(text)
    return found.text if found else None


def _last_box(text: str) -> Statement | None:
    for box in reversed(deque(_BOX.finditer(text), maxlen=_TRIES)):
        content = _braced(text, box.end()) if box[0].endswith("{") else text[box.end() :].split(maxsplit=1)[0]
        if content and len(content) <= LONGEST and content.strip():
            return Statement(content.strip(), box.start())
    return None


def _braced(text: str, start: int) -> str | None:
    """Text from `start` to the brace that closes the one before it."""
    depth = 1
    for mark in _BRACE.finditer(text, start, start + LONGEST + 1):
        depth += (mark[0] == "{") - (mark[0] == "}")
        if depth == 0:
            return text[start : mark.start()]
    return None


_ANSWER_WORDS = ("answer", "solution", "result", "option", "choice", "####", "<answer>", "答案")
_LINKS = r"(?:\b(?:is indeed|is|are|was|be|equals|would be|must be|should be|will be)\b|:|：|=|->|→|[-–—](?![\d.\\]))"
_LINK = re.compile(
    rf"(?i)\s*(?:(?:to|for|of) [^\n:：.]{{1,80}}?)?\s*{_LINKS}(?:\s*(?:therefore|thus|simply|then)\b)?[\s:：]*"
)
_DECORATION = re.compile(r"[*_`#\"“”]+")
_STOP = re.compile(r"\n|</answer>|\.(?=\s|$)|(?:,|\s)\s*(?:because|since|which|where|as|so|I hope)\b")
_INLINE_MATH = re.compile(r"^\s*(?:\$\$?([^$\n]{1,2000})\$\$?|\\\(([^\n]{1,2000}?)\\\)|\\\[([^\n]{1,2000}?)\\\])")


def stated(text: str) -> str | None:
    r"""What the last "answer is ...", "Final Answer: ...", "#### ..." or <answer> says.

    >>> stated("So the final answer is $\\frac{3}{4}$. I hope it is correct.")
    '\\frac{3}{4}'
    >>> stated("**Final Answer**\n\n12 apples")
    '12 apples'
    """
    found = _last_statement(text)
    return found.text if found else None


def _last_statement(text: str) -> Statement | None:
    return next(_statements(text), None)


def _statements(text: str) -> Iterator[Statement]:
    """Every stated answer, the last one first."""
    for at, word in _places(text, _ANSWER_WORDS):
        end = at + len(word)
        value = _value_after(text[end : end + LONGEST], word)
        if value:
            yield Statement(value, at)


def _places(text: str, words: tuple[str, ...]) -> list[tuple[int, str]]:
    """Where one of the words stands by itself, whatever its case, the last place first; the last `_TRIES` places."""
    low = text.replace("İ", "I").lower()  # the one letter that is longer in lower case
    found = []
    for word in words:
        at = len(low)
        for _ in range(_TRIES):
            at = low.rfind(word, 0, at)
            if at < 0:
                break
            if not word.isascii() or not word.isalpha() or _alone(low, at, at + len(word)):
                found.append((at, word))
    return sorted(found, reverse=True)[:_TRIES]


def _alone(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before.isalnum() or before == "_" or after.isalnum() or after == "_")


def _value_after(rest: str, word: str) -> str:
    """The value that follows an answer word, "" where none does."""
    if word == "<answer>":
        inside = rest.partition("</answer>")[0] if "</answer>" in rest else rest.split("\n", 1)[0]
        return inside.strip(" \t\n:;,.!*`")
    rest = _DECORATION.sub("", rest)
    link = _LINK.match(rest)
    if link:
        rest = rest[link.end() :]
    elif rest.startswith("\n") or word.startswith(("#", "<")):
        rest = rest.lstrip()
    else:
        return ""
    math = _INLINE_MATH.match(rest)
    if math:
        return next(part for part in math.groups() if part is not None).strip()
    return _STOP.split(rest.strip(), maxsplit=1)[0].strip(" \t:;,.!")


def final(text: str) -> str | None:
    r"""The answer of a reply that ends in a box or in a statement, whichever comes last.

    >>> final(r"The answer is 4. No: \boxed{5}"), final("I do not know.")
    ('5', None)
    """
    box, statement = _last_box(text), _last_statement(text)
    if box and (statement is None or box.at >= statement.at or "box" in statement.text):
        return box.text
    return statement.text if statement else None


_WRAPPER = re.compile(
    r"\\(?:boxed|fbox|text(?:bf|it|rm|sf)?|math(?:bf|rm|sf|it)|bf|rm|left|right)\b|[*_`$\"“”{}()\[\]\\#]+"
)
_FILLER = r"(?:(?:most likely|likely|therefore|thus|clearly|the|correct|option|choice|letter|answer|is)\s+)*"
_SAID = re.compile(
    rf"(?i:\s*(?:(?:to|for|of) [^\n:：.]{{1,80}}?)?\s*(?:{_LINKS}|>)[\s:：]*{_FILLER})\s*['‘]?(?P<rest>\S.*)"
    r"|\s*?\n\s*(?P<line>\S.*)"
)
_LETTER = re.compile(
    r"(?:([B-HJ-Z])(?!\w|['’]\w)"
    r"|([AI])(?=\s*(?:[.,:;)!?|/–—-]|\n|$|\s[A-Z(]|(?:or|and|because|since|as|which|is|for)\b))"  # also words
    r"|([a-z])(?=\s*[.,)]?\s*(?:\n|$)))"
)
_MORE = re.compile(r"\s*(?:or|and|/|&|,)\s*\b([A-Z])(?![\w'’])")
_LETTER_WORDS = ("answer", "option", "choice", "答案")
SEVERAL = "several"
"""What `letter` gives where one statement names more than one option."""


def letter(text: str, options: Mapping[str, str]) -> str | None:
    r"""The letter that a reply to a multiple-choice question chooses; an option's own words count as its letter.

    `options` is letter -> text. The result may be a letter that is no option; `SEVERAL` where two are named at once.

    >>> options = {"A": "red", "B": "green", "C": "blue"}
    >>> [letter(reply, options) for reply in ("**Answer:** (C)", r"\boxed{\text{C}}", "The answer is blue.", "B")]
    ['C', 'C', 'C', 'B']
    >>> letter("Answer: Because of this, I cannot say.", options) is None
    True
    """
    box = _last_box(text)
    for at, word in _places(text, _LETTER_WORDS):
        end = at + len(word)
        if box and box.at > end:
            break
        chosen = _letter_after(text[end : end + 300], options)
        if chosen:
            return chosen
    if box:
        chosen = _chosen(_WRAPPER.sub(" ", box.text), options)
        if chosen:
            return chosen
    return _bare_letter(text, options)


def _letter_after(rest: str, options: Mapping[str, str]) -> str | None:
    said = _SAID.match(_WRAPPER.sub(" ", rest))
    if said is None:
        return None
    return _chosen(said["rest"] if said["rest"] is not None else said["line"], options)


def _chosen(said: str, options: Mapping[str, str]) -> str | None:
    """The option that a statement begins with, by letter or in its own words."""
    said = said.strip()
    whole = re.match(r"([A-Z])\b[\s.:)]*(.*)", said)
    if whole and whole[1] in options and _phrase(whole[2]) == _phrase(options[whole[1]]):
        return whole[1]
    first = _LETTER.match(said)
    if first:
        chosen = (first[1] or first[2] or first[3]).upper()
        more = _MORE.match(said, first.end())
        return SEVERAL if more and more[1] != chosen else chosen
    return _in_words(said.split("\n", 1)[0], options)


def _bare_letter(text: str, options: Mapping[str, str]) -> str | None:
    """The letter of a reply whose only line, or whose last line, is an option."""
    lines = text[-LONGEST:].strip().rsplit("\n", 1)
    last = _WRAPPER.sub(" ", lines[-1]).strip()
    if len(lines) == 1 and len(text) < LONGEST:
        return _chosen(last, options)
    return last[0] if re.fullmatch(r"[A-Z]\s*[.:]?", last) else _in_words(last, options)


def _in_words(line: str, options: Mapping[str, str]) -> str | None:
    """The option whose own words a line consists of, a leading article apart."""
    said = _phrase(line)
    return next((key for key, value in options.items() if said and said == _phrase(value)), None)


def _phrase(text: str) -> str:
    return re.sub(r"^(?:the|an?) ", "", _words(text))


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text[:LONGEST].casefold()))


def final_number(text: str) -> Number | None:
    """The number of the last box or statement that holds one; without such, the last number in the text.

    `value` is an exact fraction, in which 25 % is 1/4; `written` is it as it stands there, 25.

    >>> final_number("#### Ann has 4 pears.").value, final_number("#### 7 (The answer is positive.)").value
    (Fraction(4, 1), Fraction(7, 1))
    """
    box = _last_box(text)
    boxes = [box] if box else []
    for said in sorted([*boxes, *islice(_statements(text), 5)], key=lambda said: -said.at):
        found = number(said.text) or last_number(said.text)
        if found:
            return found
    return last_number(text)


def same_words(left: str, right: str) -> bool:
    """Whether two answers are the same words, whatever their case, spaces and punctuation.

    >>> same_words("The Joker!", "the joker"), same_words("", "!")
    (True, False)
    """
    return bool(_words(left)) and _words(left) == _words(right)


def same_phrase(left: str, right: str) -> bool:
    """Whether two answers are the same words, a leading article and hyphens apart.

    >>> same_phrase("The Eagles", "eagles"), same_phrase("non-partisan", "Nonpartisan"), same_phrase("a-b", "a b")
    (True, True, True)
    """
    pairs = ((left, right), (left.replace("-", ""), right.replace("-", "")))
    return any(bool(_phrase(one)) and _phrase(one) == _phrase(other) for one, other in pairs)
