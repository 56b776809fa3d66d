r"""Numbers, lists and tables as they stand in an answer; which part of a reply is the answer is read in `answers.py`.

Every reader takes time linear in the text.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

LONGEST = 4_000
"""Characters of the longest answer that is read; what is longer is no answer to any of our questions."""


@dataclass(frozen=True)
class Number:
    """A number as it was written: its value, with percent and scale words applied, and its precision.

    value     exact; 12.5% is 1/8, 3 million is 3,000,000
    decimals  digits after the point as written
    percent   whether a percent sign or word followed
    scale     1,000 for thousand, 1,000,000 for million and so on; 1 without
    """

    value: Fraction
    decimals: int = 0
    percent: bool = False
    scale: int = 1

    @property
    def written(self) -> Fraction:
        """The number without percent and scale: 12.5 for 12.5%.

        >>> number("12.5%").written
        Fraction(25, 2)
        """
        return self.value * (100 if self.percent else 1) / self.scale


_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_DIGITS = r"(?:\d{1,3}(?:,\d{3}){1,100}(?!\d)|\d{1,400})(?:\.\d{0,100})?|\.\d{1,100}"
_NUMBER = re.compile(
    rf"(?P<open>\()?\s?(?P<sign>[-+])?\s?(?:US)?[$€£¥]?\s?(?P<sign2>[-+])?(?P<digits>{_DIGITS})"
    r"(?:[eE](?P<e>[-+]?\d{1,3})\b|\s?(?:x|×|\*|\\times|\\cdot)\s?10\s?(?:\^|\*\*)\s?\{?\(?(?P<power>[-+]?\d{1,3})\)?\}?)?"
    r"(?:\s?/\s?(?P<under>[1-9]\d{0,99})(?![\d/]))?"
    rf"(?P<close>\s?\))?\s?(?P<percent>%|percent\b|per cent\b)?\s?(?i:(?P<scale>{'|'.join(_SCALES)})s?\b)?"
)
_FRACTION = re.compile(r"\\[dt]?frac\s?\{\s?([-+]?\d{1,100})\s?\}\s?\{\s?(\d{1,100})\s?\}")
_UNTEX = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox)\s?\{([^{}]{0,200})\}")


def plain(text: str) -> str:
    r"""An answer without LaTeX that carries no number: \text, spaces, thousands braces, unicode signs.

    >>> plain(r"\$1{,}234\,\text{ million}"), plain("−3,5 %")
    ('$1,234 million', '-3,5 %')
    """
    for sign in "−–‒﹣":
        text = text.replace(sign, "-")
    text = text.replace("{,}", ",").replace("\u00a0", " ").replace("\u202f", "")
    text = _FRACTION.sub(r"\1/\2", re.sub(r"\\[,;:!]", "", _UNTEX.sub(r"\1", text)))
    return re.sub(r"\\(?=[$%#& ])", "", text).strip().strip("*`").strip()


def number(text: str) -> Number | None:
    """The number that an answer begins with, after at most a name and a sign of equality, or "about".

    >>> [number(text).value for text in ("$1,234.50", "about 12.5 percent", "x = -3", "(7)")]
    [Fraction(2469, 2), Fraction(1, 8), Fraction(-3, 1), Fraction(-7, 1)]
    """
    text = plain(text[:LONGEST])
    name = re.match(r"(?:[^\d=≈\n]{0,60}[=≈]|approximately|about|around|roughly|~|≈)\s*", text)
    found = _NUMBER.match(text, name.end() if name else 0)
    return _as_number(found) if found else None


def last_number(text: str) -> Number | None:
    """The last number in a text, wherever it stands.

    >>> last_number("from 3 to 1,250").value
    Fraction(1250, 1)
    """
    found = deque(_NUMBER.finditer(plain(text[-100_000:])), maxlen=1)
    return _as_number(found[0]) if found else None


def _as_number(found: re.Match[str]) -> Number:
    digits = found["digits"].replace(",", "")
    value = Fraction(digits if digits[-1] != "." else digits[:-1])
    value *= Fraction(10) ** int(found["e"] or found["power"] or 0)
    value /= int(found["under"] or 1)
    negative = "-" in (found["sign"], found["sign2"]) or bool(found["open"] and found["close"] and not found["under"])
    scale = _SCALES[found["scale"].lower()] if found["scale"] else 1
    value *= scale * (-1 if negative else 1)
    decimals = len(digits.partition(".")[2])
    return Number(value / 100 if found["percent"] else value, decimals, bool(found["percent"]), scale)


_PAIRS = {"(": ")", "[": "]", "{": "}"}


def parts(text: str) -> list[str]:
    r"""The elements of a list answer: split at commas, semicolons and "and" outside brackets; thousands stay whole.

    >>> parts(r"\{1, (2, 3), 1,250\}"), parts("red and blue")
    (['1', '(2, 3)', '1,250'], ['red', 'blue'])
    """
    text = _unbracketed(
        plain(text[:LONGEST]).replace("\\{", "{").replace("\\}", "}").replace("\\left", "").replace("\\right", "")
    )
    found, depth, start = [], 0, 0
    for mark in re.finditer(r"[(\[{]|[)\]}]|(?<!\d),|,(?!\d{3}(?!\d))|;|\s(?:and|&)\s", text):
        if mark[0] in _PAIRS:
            depth += 1
        elif mark[0] in _PAIRS.values():
            depth = max(0, depth - 1)
        elif depth == 0:
            found.append(text[start : mark.start()])
            start = mark.end()
    return [part.strip() for part in [*found, text[start:]] if part.strip()]


def _unbracketed(text: str) -> str:
    """Without the brackets around the whole."""
    if len(text) < 2 or _PAIRS.get(text[0]) != text[-1]:
        return text
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in _PAIRS) - (sign in _PAIRS.values())
        if depth == 0 and at < len(text) - 1:
            return text
    return text[1:-1]


def rows(text: str) -> list[list[str]]:
    r"""The cells of a table answer: pipes, tabs or list elements, one row a line; rules between rows are dropped.

    >>> rows("| a | 1 |\n|---|---|\n| b | 2 |"), rows("1, 2\n3, 4")
    ([['a', '1'], ['b', '2']], [['1', '2'], ['3', '4']])
    """
    return [cells for line in text[-LONGEST:].splitlines() if (cells := _cells(line))]


def _cells(line: str) -> list[str]:
    line = line.strip()
    if not line or re.fullmatch(r"[|\s:+=-]+", line):
        return []
    for separator in ("|", "\t"):
        if separator in line:
            return [cell.strip() for cell in line.strip(separator).split(separator)]
    return parts(line)
