r"""Whether two answers in words are the same: what carries meaning stays, how it is set does not.

Signs, operators, digits, exponents and "#" carry meaning; LaTeX dollars and fonts, blanks, quotes, emphasis and the
full stop of a sentence do not. Letters may differ in case where no other option would then be meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from llmrouterbench.datasets._characters import folded, without_fonts
from llmrouterbench.datasets._numbers import LONGEST

_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "‒": "-", "‐": "-", "‑": "-", "﹣": "-", "’": "'", "‘": "'", "\u00a0": " "}
)
_TOKEN = re.compile(
    r"(?<!\S)\.(?=[A-Za-z])|\d+(?:[.,]\d+)*|\.\d+|[^\W\d_]+|[^\s\w.,;:!?\"“”'()\[\]{}*`]|(?<=\w)\*(?=\w)"
)
_MARKUP = re.compile(r"\$|\\[()\[\],;:! ]|\\(?:left|right|big|Big|bigg|Bigg|displaystyle)(?![a-zA-Z])")
_DATE = re.compile(
    r"(?i)\b(january|february|march|april|may|june|july|august|september|october|november|december)\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})\b"
)
_ARTICLE = re.compile(r"(?i)(?:the|an?)\s+(?=\S)")


def words_of(text: str) -> list[str]:
    """The words, numbers and signs of a text, in lower case: "The C# of St. Louis" has five.

    A hyphen inside a word joins nothing and parts nothing; before a digit it is a minus sign. The day of a date may
    stand behind its month.

    >>> words_of("Weight-bearing, 5 %!"), words_of("-5 °C"), words_of("C#")
    (['weight', 'bearing', '5', '%'], ['-', '5', '°', 'c'], ['c', '#'])
    """
    text = folded(text[:LONGEST]).translate(_SIGNS)
    text = _DATE.sub(r"\2 \1 \3", text)
    text = re.sub(r"(?<=[^\W\d_])-(?=[^\W_])|(?<=\d)-(?=[^\W\d_]{2})", " ", text)
    return _TOKEN.findall(re.sub(r"(?<=\w)['’](?=\w)", "", text).casefold())


def same_words(left: str, right: str) -> bool:
    """Whether two answers are the same words, whatever their case, spaces and punctuation.

    >>> same_words("The Joker!", "the joker"), same_words("", "!"), same_words("C#", "C")
    (True, False, False)
    """
    return bool(words_of(left)) and words_of(left) == words_of(right)


def same_phrase(left: str, right: str) -> bool:
    """Whether two answers are the same words, a leading article and hyphens apart.

    >>> same_phrase("The Eagles", "eagles"), same_phrase("non-partisan", "Nonpartisan"), same_phrase("a-b", "a b")
    (True, True, True)
    >>> same_phrase("-5 °C", "5 °C"), same_phrase("C#", "C"), same_phrase("St. Louis", "st louis")
    (False, False, True)
    """
    one, other = _unled(words_of(left)), _unled(words_of(right))
    return bool(one) and (one == other or _joined(left) == _joined(right))


def _unled(words: list[str]) -> list[str]:
    return words[1:] if len(words) > 1 and words[0] in ("the", "a", "an") else words


def _joined(text: str) -> list[str]:
    """The words with hyphenated ones written as one."""
    return _unled(words_of(re.sub(r"(?<=[^\W\d_])-(?=[^\W\d_])", "", folded(text[:LONGEST]).translate(_SIGNS))))


@lru_cache(4_000)
def plain_option(text: str) -> str:
    r"""An option's text with one spelling for what does not change its meaning.

    >>> plain_option(r"$e^{-x}$"), plain_option(r"\(\dfrac{1}{2}\)"), plain_option("**Not  any.**")
    ('e^-x', '\\frac{1}{2}', 'Not any')
    """
    text = without_fonts(folded(text[:LONGEST]).translate(_SIGNS))
    text = re.sub(r"\\[dtc]frac", r"\\frac", _MARKUP.sub(lambda found: " " if found[0] == "\\ " else "", text))
    text = re.sub(r"([\^_])\{([^{}]*)\}", r"\1\2", re.sub(r"\\([%&#])", r"\1", text))
    text = re.sub(r"\s+", " ", re.sub(r"\s*([-+*/=<>^×÷·,;:()\[\]{}])\s*", r"\1", text))
    return re.sub(r"^[*_`\"“”\s]+|[*_`\"“”\s.;:!]+$", "", text)


def ambiguous(options: Mapping[str, str]) -> str:
    """Why a reply could not mean one of the options (letter -> text): two read the same, or one is another's letter.

    "" where each can be meant. Case tells options apart ("mW", "MW"); an article does not.

    >>> ambiguous({"A": "The sun.", "B": "sun"}), ambiguous({"A": "O", "B": "A"}), ambiguous({"A": "mW", "B": "MW"})
    ("options A and B read the same ('The sun.', 'sun')", "option B is 'A', the letter of another option", '')
    """
    seen: dict[str, str] = {}
    for key, text in options.items():
        plain, low, spoken = _forms(text)
        if plain.upper() in options and plain.upper() != key:
            return f"option {key} is {text!r}, the letter of another option"
        for form in {plain, spoken if spoken != low else ""} - {""}:
            if form in seen:
                return f"options {seen[form]} and {key} read the same ({options[seen[form]]!r}, {text!r})"
        seen |= dict.fromkeys({plain, spoken if spoken != low or plain == low else ""} - {""}, key)
    return ""


def option_meant(said: str, options: Mapping[str, str]) -> str:
    """The letter of the one option whose own words a text is, or begins with before a clause; "" where none is.

    >>> option_meant("Ruun, which has two moons", {"A": "Tor", "B": "Ruun"}), option_meant("Ruun wine", {"B": "Ruun"})
    ('B', '')
    """
    whole = option_said(said, options)
    if whole is not None:
        return whole
    said = said[: 100 + 2 * max(map(len, options.values()), default=0)]
    return _with_a_clause(plain_option(said), {key: plain_option(value) for key, value in options.items()})


def option_said(said: str, options: Mapping[str, str]) -> str | None:
    """The letter of the option whose own words a text is; "" where several options say the same, None for no option.

    >>> option_said("x-1", {"A": "x+1", "B": "x-1"}), option_said("none of these.", {"A": "red", "B": "None of these"})
    ('B', 'B')
    """
    if not said.strip() or len(said) > 100 + 2 * max(map(len, options.values()), default=0):
        return None
    forms = {key: _forms(value) for key, value in options.items()}
    for at, one in enumerate(_forms(said)):
        found = [key for key, form in forms.items() if one and form[at] == one]
        if found:
            return found[0] if len(found) == 1 else ""
    return None


@lru_cache(4_000)
def _forms(text: str) -> tuple[str, str, str]:
    """A text as it is compared: first exactly, then in any case, then, where it is prose, by its words."""
    plain = plain_option(text)
    return plain, plain.casefold(), _spoken(plain)


def _spoken(text: str) -> str:
    """Prose without its punctuation and leading article; "" for anything that holds signs or single letters."""
    if re.search(r"[^\w\s.,;:!?'\"()-]|\d|_|\b[^\W\d_]\b(?<!\ba)(?<!\bA)(?<!'s)|(?<![a-zA-Z])-|-(?![a-zA-Z])", text):
        return ""
    return " ".join(_unled(words_of(text)))


_CLAUSE = re.compile(
    r"(?i)\s*(?:[.;:(—]|,(?!\d|\s*but\b)|-\s)\s*[^\d\s]"
    r"|\s(?:which|because|since|as|that is|with|and (?:it|they|not)|i\.e\.|for|so)\b"
    r"|\s(?:is|are|was|were)\b(?!\s+(?:not|never|no|wrong|incorrect|false)\b)"
)


def _with_a_clause(text: str, texts: Mapping[str, str]) -> str:
    """The option that a text begins with, before a clause; the longest where several do."""
    low = _ARTICLE.sub("", text, count=1).casefold() if _ARTICLE.match(text) else text.casefold()
    sizes: dict[str, int] = {}
    for key, value in texts.items():
        plain = _ARTICLE.sub("", value, count=1).casefold() if _ARTICLE.match(value) else value.casefold()
        if len(plain) > 2 and low.startswith(plain) and _CLAUSE.match(low, len(plain)):
            sizes[key] = len(plain)
    longest = [key for key, size in sizes.items() if size == max(sizes.values())]
    return longest[0] if len(longest) == 1 else ""
