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
    bracketed whether it stands in brackets, as accountants write a negative number
    """

    value: Fraction
    decimals: int = 0
    percent: bool = False
    scale: int = 1
    bracketed: bool = False

    @property
    def written(self) -> Fraction:
        """The number without percent and scale: 12.5 for 12.5%.

        >>> number("12.5%").written
        Fraction(25, 2)
        """
        return self.value * (100 if self.percent else 1) / self.scale


_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SHORT_SCALES = {"k": 10**3, "m": 10**6, "mm": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9, "t": 10**12, "tn": 10**12}
"""Scales that count only after an amount of money: "$3.2M"."""
_GROUPED = r"\d{1,3}(?:,\d{3}){1,100}(?!\d)(?:\.\d{0,100})?"
_DIGITS = rf"{_GROUPED}|\d{{1,400}}(?:\.\d{{0,100}})?|\.\d{{1,100}}"
_NUMBER = re.compile(
    rf"(?P<open>\()?\s?(?P<sign>[-+])?\s?(?P<money>(?:US|C|A)?[$€£¥]|USD|EUR)?\s?(?P<open2>\()?(?P<sign2>[-+])?(?P<digits>{_DIGITS})"
    r"(?P<comma>(?<=\d),\d{1,2}(?![\d,]))?"
    r"(?:(?:\^|\*\*)\s?[{(]?(?P<raised>[-+]?\d{1,3})[)}]?)?"
    r"(?:[eE](?P<e>[-+]?\d{1,3})\b|\s?(?:x|×|\*|·|\\times|\\cdot)\s?10\s?(?:\^|\*\*)\s?\{?\(?(?P<power>[-+]?\d{1,3})\)?\}?)?"
    r"(?:\s(?P<over>\d{1,9})(?=/))?(?:\s?/\s?(?P<under>[1-9]\d{0,99})(?![\d/]))?"
    r"(?P<close>\s?\))?\s?(?P<percent>%|percent\b|per cent\b)?"
    rf"\s?(?:(?i:(?P<scale>{'|'.join(_SCALES)})s?\b)|(?P<short>(?:[kKMBT]|MM|mm|[bmt]n)\b))?(?P<close2>\s?\))?"
)
_FRACTION = re.compile(r"\\[dtc]?frac\s?(?:\{\s?([-+]?\d{1,100})\s?\}\s?\{\s?(\d{1,100})\s?\}|(\d)\s?(\d))")
_UNTEX = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt)?|math(?:rm|bf|it|sf|tt)|mbox)\s?\{([^{}]{0,200})\}")
VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅐": "1/7", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8", "⅑": "1/9", "⅒": "1/10",
}  # fmt: skip
"""Characters that are fractions."""
_VULGAR = re.compile(f"(\\d?)([{''.join(VULGAR)}])")


def plain(text: str) -> str:
    r"""An answer without LaTeX that carries no number: \text, spaces, thousands braces, unicode signs.

    >>> plain(r"\$1{,}234\,\text{ million}"), plain("−3,5 %"), plain("2½")
    ('$1,234 million', '-3,5 %', '2 1/2')
    """
    for sign in "−–‒﹣":
        text = text.replace(sign, "-")
    text = re.sub(r"(?<=\d)(?:\\,|[\u00a0\u2009\u202f])(?=\d{3}(?!\d))", "", text.replace("{,}", ","))
    text = text.replace("\u00a0", " ").replace("\u202f", "").replace("⁄", "/")
    text = _FRACTION.sub(lambda found: f"{found[1] or found[3]}/{found[2] or found[4]}", _UNTEX.sub(r"\1", text))
    if not text.isascii():
        text = _VULGAR.sub(lambda found: f"{found[1]} {VULGAR[found[2]]}".strip(), text)
    text = re.sub(r"(?i)\b(?:minus|negative)\s+(?=[\d.$])", "-", re.sub(r"\\[,;:!]", "", text))
    return re.sub(r"\\(?=[$%#& ])", "", text).strip().strip("*`").strip()


def number(text: str) -> Number | None:
    """The number that an answer begins with, after at most a name and a sign of equality, or "about".

    Of a calculation ("3 + 5 = 8") its result counts; English number words are numbers.

    >>> [number(text).value for text in ("$1,234.50", "about 12.5 percent", "x = -3", "(7)", "3 + 5 = 8", "nine")]
    [Fraction(2469, 2), Fraction(1, 8), Fraction(-3, 1), Fraction(-7, 1), Fraction(8, 1), Fraction(9, 1)]
    """
    text = plain(text[:LONGEST])
    *_, result = re.split(r"[=≈]", text.split("\n", 1)[0])
    name = re.match(r"(?:[^\d=≈\n]{0,60}[=≈]|approximately|about|around|roughly|nearly|~|≈)\s*", text)
    found = _NUMBER.match(text, name.end() if name else 0)
    if found and found.end() < len(text) and re.match(r"[^=≈]*[-+*/×÷^][^=≈]*[=≈]", text[found.end() - 1 :]):
        found = _NUMBER.match(result.strip()) or found
    if found:
        return _as_number(found)
    words = number_words(re.match(r"[a-zA-Z-]*(?:[ -]+[a-zA-Z]+)*", text)[0])  # type: ignore[index]
    return None if words is None else Number(Fraction(words))


def last_number(text: str) -> Number | None:
    """The last number in a text, wherever it stands.

    >>> last_number("from 3 to 1,250").value
    Fraction(1250, 1)
    """
    found = deque(_NUMBER.finditer(plain(text[-100_000:])), maxlen=1)
    return _as_number(found[0]) if found else None


def _as_number(found: re.Match[str]) -> Number:
    digits = found["digits"].replace(",", "")
    if found["comma"]:
        digits = digits.replace(".", "") + "." + found["comma"][1:]
    value = Fraction(digits if digits[-1] != "." else digits[:-1])
    if found["raised"] and len(digits) <= 30 and (value or int(found["raised"]) > 0):
        value **= int(found["raised"])
    value *= Fraction(10) ** int(found["e"] or found["power"] or 0)
    if found["over"]:
        value += Fraction(int(found["over"]), int(found["under"] or 1))
    else:
        value /= int(found["under"] or 1)
    bracketed = (found["open"] or found["open2"]) and (found["close"] or found["close2"])
    negative = "-" in (found["sign"], found["sign2"]) or bool(bracketed and not found["under"])
    scale = _SCALES[found["scale"].lower()] if found["scale"] else 1
    if found["short"] and found["money"]:
        scale = _SHORT_SCALES[found["short"].lower()]
    value *= scale * (-1 if negative else 1)
    decimals = len(digits.partition(".")[2])
    return Number(value / 100 if found["percent"] else value, decimals, bool(found["percent"]), scale, bool(bracketed))


_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_CARDINALS = {word: at for at, word in enumerate(_UNITS)} | {word: 10 * at for at, word in enumerate(_TENS, 2)}


def number_words(text: str) -> int | None:
    """The whole number that English words say at the start of a text, None where they say none.

    >>> number_words("twenty-one"), number_words("One hundred and five apples"), number_words("many")
    (21, 105, None)
    """
    total = part = 0
    said = False
    for word in re.findall(r"[a-z]+", text[:200].lower()):
        if word in _CARDINALS:
            part, said = part + _CARDINALS[word], True
        elif word == "hundred" and said:
            part *= 100
        elif word in _SCALES and said:
            total, part = total + part * _SCALES[word], 0
        elif word != "and" or not said:
            break
    return total + part if said else None


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
