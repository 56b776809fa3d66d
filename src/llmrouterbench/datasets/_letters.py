r"""The letter that a reply to a multiple-choice question chooses.

A mark (box, <answer>, label, "the answer is (C)") beats anything else, the last one first. Without a mark the last line
counts, then the first line, then a sentence such as "So C is correct" or "I would pick B".
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from llmrouterbench.datasets import _languages as words
from llmrouterbench.datasets._characters import FONTS, folded
from llmrouterbench.datasets._marks import marks
from llmrouterbench.datasets._numbers import LONGEST, number
from llmrouterbench.datasets._phrases import option_meant, option_said, plain_option, words_of

SEVERAL = "several"
"""What `letter` gives where one statement names more than one option."""
_NEAR = 600
"""Characters of a statement in which its letter must stand."""
_TAIL = 20_000
"""Characters at the end of a reply in which a sentence without a mark is looked for."""
_MARKS = 20
"""Marks of a reply that are compared with one another."""
_LETTERS = 300
"""Letters at the end of a reply that are tried where nothing is marked."""
_BEFORE = 80
"""Characters before a letter that say whether it is chosen."""
_NOUNS = {*words.VALUE, *words.OPTION, *words.FOREIGN, *words.CHOICE}
_NOUN = "|".join(sorted(map(re.escape, _NOUNS), key=lambda noun: (-len(noun), noun)))

_CYRILLIC = re.compile(r"(?<![\u0400-\u04ff])[АВСЕНКМОРТХІЈ](?![\u0400-\u04ff])")
_LATIN = dict(zip("АВСЕНКМОРТХІЈ", "ABCEHKMOPTXIJ", strict=True))
_SHAPES = (
    (re.compile(r"~~[^~\n]{1,80}~~"), " "),
    (re.compile(rf"\\{FONTS}\s*\{{?|[（【「『〖《〈⟨«<\[{{]|\\[\[(]"), "("),
    (re.compile(r"[）】」』〗》〉⟩»>\]}]|\\[\])]"), ")"),
    (re.compile(r"[*_`\"“”„$~]|\\[,;:! ]|\\(?:left|right|quad|qquad)(?![a-zA-Z])"), "|"),
)


def shaped(text: str) -> str:
    r"""A text in which all brackets are round and all emphasis, quotes and dollars are bars, so that a letter shows.

    >>> shaped(r"**(A)** x"), shaped(r"$\mathbf{C}$"), shaped("【С】")
    ('||(A)|| x', '|(C)|', '(C)')
    """
    for shape, sign in _SHAPES:
        text = shape.sub(sign, text)
    return text if text.isascii() else _CYRILLIC.sub(lambda found: _LATIN[found[0]], text)


_FILLER = rf"(?:(?:{_NOUN}|{words.FILLER})(?:\s+|(?<=['’])|(?<=[\u2e80-\uffef])|\s*:\s*))*"
_FILLED = re.compile(rf"(?i)[\s(|:,'‘>•-]*{_FILLER}(?:a\s+(?=[(|]*[A-Z]\b))?")
_ENDED = r"(?![^\W\u2e80-\uffef]|[+#]|(?!['’]d[iıuü]r\b)['’&%‐‑-][^\W\u2e80-\uffef])"
"""After a letter: it is no part of a word, a name or a sign, as in "B-cell", "C#" or "A's"."""
_BRACKETED = re.compile(r"\([\s|'‘]*([A-Za-z])['’|\s]*[.:]?\s*\)")
_CAPITAL = re.compile(rf"['‘]?([A-Z]){_ENDED}(?!\s?[=<>≈]|/\w\w)")
_PLAIN = re.compile(r"\s*[*_(\[$`\"]*([A-Z])[*_)\]$`\"]*[.]?[*_)\]$`\"]*\s*(?:\n|$)")
_SMALL = re.compile(r"['‘]?([a-z])(?=['’]?\s*[.,)|]*\s*(?:\n|$))")
_NO_WORD = re.compile(  # what shows that an A or an I is no article and no pronoun
    r"['’]?\s*(?:[.,:;)!|/–—]|-\s|\n|$|\(|[\u2e80-\uffef]|[A-Z]"
    r"|(?:or|and|but|because|since|as|which|is|for|with|not|rather|y|o|ou|et|und|oder|e|и|или)\b)"
)
_MORE = re.compile(
    rf"['’|)\s]*(?:,\s*)?(?:{words.EITHER})\s*{_FILLER}[(|\s'‘]*"
    rf"(?:([B-HJ-Z]){_ENDED}|([AI])(?=['’|)\s]*(?:[.,;:)|]|$|\n|(?:{words.EITHER}))))"
)
_PREDICATE = re.compile(
    r"['’|)\s]*(?:both |all )?(?:[iw]s|are|were|ha[sd]|have|do|does|did|can|cannot|could|will|would|[a-z]{3,}s|不|错)\b"
)
_NOT_THIS = re.compile(rf"['’|)\s]*(?:[?？؟]|{words.DENIED_AFTER})")


class Choice(NamedTuple):
    """The letter that a reply chooses, "" for none, `SEVERAL` for two at once; and a note where its marks differ."""

    letter: str
    note: str = ""


def choice(text: str, options: Mapping[str, str]) -> Choice:
    """The letter that a reply chooses among options (letter -> text), and whether its marks agree."""
    text = folded(text)
    said = islice(marks(text, choosing=True), _MARKS)
    found = [chosen(mark.rest, options) or option_said(mark.text, options) for mark in said]
    named = [each for each in found if each]
    if len(named) < 2:
        return Choice(named[0] if named else _unmarked(text, options))
    own = [each for each in named if each in options or each == SEVERAL]
    differing = sorted(set(own) - {SEVERAL})
    if len(differing) < 2:
        return Choice((own or named)[0])
    return Choice(
        own[0], f"{len(differing)} different answers are marked ({', '.join(differing)}); the last one counts"
    )


def chosen(said: str, options: Mapping[str, str]) -> str:
    """The option that a statement begins with, by its letter or in its own words; "" for none.

    >>> options = {"A": "E. coli", "B": "None of these", "E": "x"}
    >>> chosen("(A) decreased flow", options), chosen("A patient", options), chosen("A or B", options)
    ('A', '', 'several')
    >>> chosen("None of these (B)", options), chosen("E. coli", options), chosen("B-cell maturation", options)
    ('B', 'A', '')
    """
    plain = _PLAIN.match(said)
    if plain and plain[1] in options:
        return plain[1]
    line = said.strip().split("\n", 1)[0][:LONGEST].strip(" *_`\"“”'")
    shape = shaped(said.strip()[:_NEAR])
    verbatim = (
        option_said(line, options)
        if (len(line) > 3 or line[:1] not in options) and not _BRACKETED.match(shape)
        else None
    )
    if verbatim:
        return verbatim
    letter = _letter(shape, options)
    if letter is not None:
        return letter
    ending = re.fullmatch(r"([^()]{3,}?)[\s|]*\([\s|]*([A-Z])[\s|]*\)[\s|.)]*", shape.partition("\n")[0])
    if ending and ending[2] in options:
        return ending[2] if option_meant(ending[1], options) in ("", ending[2]) else SEVERAL
    sentence = re.split(r"(?<=[a-z)\d]{2})[.。]\s+(?=[A-Z])", line, maxsplit=1)[0]
    return option_meant(sentence, options) or _equal_number(line, options)


def _letter(shape: str, options: Mapping[str, str]) -> str | None:
    """The letter at the start of a shaped statement, "" where it is denied at once; None where none stands there."""
    filled = _FILLED.match(shape)
    for start in dict.fromkeys((filled.end() if filled else 0, len(shape) - len(shape.lstrip(" (|:,\n")))):
        opening = len(shape[:start].rstrip(" |'‘")) - 1
        bracketed = _BRACKETED.match(shape, opening) if opening >= 0 and shape[opening] == "(" else None
        found = bracketed or _CAPITAL.match(shape, start) or _SMALL.match(shape, start)
        if found and (bracketed or _is_letter(found, shape, options)):
            letter = found[1].upper()
            if _NOT_THIS.match(shape, found.end()):
                return ""
            return SEVERAL if _more(shape, found.end(), letter, options) else letter
    return None


def _is_letter(found: re.Match[str], shape: str, options: Mapping[str, str]) -> bool:
    """Whether a bare letter is one: not the genus of "E. coli", nor a word before words that are not its own."""
    own = [word.strip(".,;").casefold() for word in options.get(found[1], "").split()]
    after = shape[found.end() :]
    genus = re.match(r"\.\s([a-z]{3,})[\s|.)]*(?:$|\n)", after)
    if genus:
        return genus[1] in own
    if found[1] not in "AI" or _NO_WORD.match(after):
        return True
    said = words_of(after.partition("\n")[0])
    left = iter(words_of(options.get(found[1], "")))
    return bool(said) and all(word in left for word in said)


def _more(shape: str, at: int, letter: str, options: Mapping[str, str]) -> bool:
    """Whether another letter follows, as in "B or C"; not a clause about others, as in "B, C is not"."""
    found = _MORE.match(shape, at)
    other = False
    while found:
        other = other or ((found[1] or found[2]) in options and (found[1] or found[2]) != letter)
        at, found = found.end(), _MORE.match(shape, found.end())
    return other and not _PREDICATE.match(shape, at)


def _equal_number(line: str, options: Mapping[str, str]) -> str:
    """The one option that is the same number: 0.50 for 0.5."""
    said = _whole_number(line)
    same = [key for key, value in options.items() if said is not None and _whole_number(value) == said]
    return same[0] if len(same) == 1 else ""


def _whole_number(text: str) -> object | None:
    plain = plain_option(text)
    if len(plain) > 60 or not re.fullmatch(r"[-+]?[$€£]?[\d.,]+%?|[-+]?\\frac\{\d+\}\{\d+\}|[-+]?\d+/\d+", plain):
        return None
    found = number(plain)
    return None if found is None else (found.value, found.percent)


# --- without a mark --------------------------------------------------------------------------------------------------

_ITEM = re.compile(r"[\s|>•-]*(?:\([\s|'‘]*([A-Z])[\s|'’]*\)|([A-Z]))[\s|]*(?:[.:)-]|–|—|(?=\s)|$)[\s|)]*(.*)")
_ALONE = re.compile(rf"(?<![^\W\u2e80-\uffef])[A-Z]{_ENDED}")
_BEGUN = re.compile(
    rf"(?i)(?:^|[.;:,!?\n。，；：]|\b(?:so|thus|hence|therefore|then|that|because|only|and|but|think|believe|{_NOUN})|[\u2e80-\uffef])[\s(|'‘]*$"
)
_CORRECT = re.compile(rf"(?i)[)|'’\s]*(?:{words.CORRECT})")
_AS_ANSWER = re.compile(r"(?i)[)|'’\s]*as (?:the|my|our) (?:final |correct |best |right )?(?:answer|choice|option)\b")
_CHOSEN = re.compile(
    rf"(?i)(?:{words.CHOOSE}|{words.THEREFORE}|\b(?:{_NOUN})[ \t]|[\u2e80-\uffef](?={_NOUN})(?:{_NOUN}))"
    rf"[\s:]*{_FILLER}[\s(|'‘:]*$"
)
_AND_NO_MORE = re.compile(
    r"[\s|)'’]*(?:项|項|है|dir|tir|입니다|です|이다|['’]?d[iıuü]r)?[\s|)]*(?:[.!。।,，;—–-]|$|(?i:as|because|since|for|given)\b)"
)


def _unmarked(text: str, options: Mapping[str, str]) -> str:
    lines = [line for line in text[-LONGEST:].strip().split("\n") if line.strip()]
    if not lines:
        return ""
    last = "" if _is_listed(lines) else _whole_line(lines[-1], options)
    if not last and len(lines) == 1 and len(text) < LONGEST and not _subject(lines[0]):
        last = chosen(lines[0], options)
    return last or _first_line(text, options) or _in_a_sentence(text[-_TAIL:], options)


def _whole_line(line: str, options: Mapping[str, str]) -> str:
    """The option that a line consists of: its letter, its letter and own words, or its own words."""
    shape = shaped(line.strip().lstrip(">•- "))
    for found in filter(None, (_ITEM.fullmatch(shape), _ITEM.fullmatch(_FILLED.sub("", shape, count=1)))):
        letter, rest = found[1] or found[2], found[3].strip("|) .")
        if not rest or (letter in options and option_said(rest, {letter: shaped(options[letter])})):
            return letter
    return option_said(line.strip(' *_`"“”'), options) or ""


def _is_listed(lines: list[str]) -> bool:
    """Whether the last line is one of a list of options: the line before has the letter before."""
    items = [_ITEM.fullmatch(shaped(line.strip())) for line in lines[-2:]]
    if len(items) < 2 or not all(items):
        return False
    before, last = ((found[1] or found[2]) for found in items if found)
    return ord(last) == ord(before) + 1


def _subject(line: str) -> bool:
    """Whether a line says something of its first letters: "A, B and D are wrong"."""
    shape = shaped(line)
    found = re.match(rf"[\s(|]*[A-Z]{_ENDED}", shape)
    at = found.end() if found else 0
    more = _MORE.match(shape, at)
    while more:
        at, more = more.end(), _MORE.match(shape, more.end())
    return bool(found and _PREDICATE.match(shape, at))


def _first_line(text: str, options: Mapping[str, str]) -> str:
    """The letter that a reply begins with, before its explanation; none where the reply begins with the options."""
    first, _, rest = text[:_TAIL].strip().partition("\n")
    shape = shaped(first)
    found = re.match(r"[\s|>•-]*(?:\([\s|]*([A-Z])[\s|]*\)|([A-Z])(?=[\s|]*(?:[.:)]|[-–—]\s|$)|\|))", shape)
    if not found:
        return option_said(first.strip(' *_`"“”'), options) or ""
    letter = found[1] or found[2]
    listed = letter == next(iter(options), "A") and re.search(
        rf"(?m)^[\s|(*-]*{chr(ord(letter) + 1)}[\s|]*[.:)]", shaped(rest)
    )
    return "" if listed or letter not in options or _more(shape, found.end(), letter, options) else letter


def _in_a_sentence(text: str, options: Mapping[str, str]) -> str:
    """The letter of the last sentence that chooses one without saying "the answer is"."""
    shape = shaped(text)
    for found in reversed(deque(_ALONE.finditer(shape), maxlen=_LETTERS)):
        letter, end = found[0], found.end()
        if letter not in options or _NOT_THIS.match(shape, end):
            continue
        before = shape[max(0, found.start() - _BEFORE) : found.start()]
        after = shape[end : end + _NEAR].split("\n", 1)[0]
        right = _AS_ANSWER.match(after) or (_CORRECT.match(after) and _BEGUN.search(before))
        if not right and not (_ends(after, shaped(options[letter])) and _CHOSEN.search(before)):
            continue
        lead = re.split(r"[.!?\n]", before)[-1]
        if not words.DOUBTED.search(lead) and not words.OTHER.search(lead):
            return SEVERAL if _more(shape, end, letter, options) else letter
    return ""


def _ends(after: str, own: str) -> bool:
    """Whether nothing but a reason or the option's own words follows a letter."""
    return bool(_AND_NO_MORE.match(after) or option_meant(after.strip(")|. "), {"own": own}))
