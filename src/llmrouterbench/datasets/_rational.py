r"""Exact values of arithmetic in LaTeX: + - * / ^ \frac \sqrt, parentheses, mixed numbers, factorials, percent.

Nothing is ever executed and nothing is rounded: numbers are fractions of whole numbers of at most `_BITS` bits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction

_BITS = 100_000
_LONGEST = 1_500
_TOKEN = re.compile(
    r"\d+(?:\.\d*)?(?:[eE][-+]?\d{1,4}(?![\d.]))?|\.\d+(?:[eE][-+]?\d{1,4}(?![\d.]))?|\\frac|\\sqrt|\\cdot|\\times|\\div"
    r"|[-+*/^(){}\[\]!%]"
)
_TIMES = {"*", "\\cdot", "\\times"}


def exact(text: str) -> Fraction | None:
    r"""The exact value of arithmetic; None for any other text, for division by zero, and for what is too large.

    >>> exact(r"2\frac{1}{2}"), exact(r"1.2\cdot10^{-4}"), exact("2(3+4)/7"), exact(r"\sqrt{\frac{4}{9}}")
    (Fraction(5, 2), Fraction(3, 25000), Fraction(2, 1), Fraction(2, 3))
    >>> exact(r"\sqrt{2}"), exact("x"), exact("1/0"), exact("9^{9^{9}}"), exact("")
    (None, None, None, None, None)
    """
    if not text or len(text) > _LONGEST or not re.search(r"\d", text):
        return None
    plain = "".join(text.split())
    tokens = _TOKEN.findall(plain)
    if "".join(tokens) != plain:
        return None
    try:
        reader = _Reader(tokens)
        result = reader.total()
    except (ValueError, ZeroDivisionError, OverflowError, IndexError, RecursionError):
        return None
    return result if reader.done() else None


class _Reader:
    """Reads tokens from left to right, by the usual precedence."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def done(self) -> bool:
        return self._at == len(self._tokens)

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._next()
        if token not in wanted:
            return ""
        self._at += 1
        return token

    def total(self) -> Fraction:
        self._depth += 1
        if self._depth > 60:
            raise ValueError("nested too deep")
        total = self._product()
        while sign := self._take("+", "-"):
            term = self._product()
            total += term if sign == "+" else -term
        self._depth -= 1
        return _bounded(total)

    def _product(self) -> Fraction:
        sign = 1
        while token := self._take("+", "-"):
            sign = -sign if token == "-" else sign
        total = self._power()
        while True:
            if self._take(*_TIMES):
                total *= self._signed()
            elif self._take("/", "\\div"):
                total /= self._signed()
            elif self._next() in ("(", "\\frac", "\\sqrt"):
                total = self._beside(total)
            else:
                return sign * _bounded(total)

    def _signed(self) -> Fraction:
        return -self._power() if self._take("-") else self._power()

    def _beside(self, left: Fraction) -> Fraction:
        """A factor without a sign between; a whole number beside a proper fraction is a mixed number."""
        whole = self._at and self._tokens[self._at - 1].isdigit() and self._next() == "\\frac"
        start = self._at
        right = self._power()
        numerals = "".join(self._tokens[start : self._at])
        mixed = whole and re.fullmatch(r"\\frac\{\d+\}\{\d+\}", numerals) and right < 1 and left.denominator == 1
        return left + right if mixed else left * right

    def _power(self) -> Fraction:
        base = self._atom()
        while token := self._take("^", "!", "%"):
            if token == "!":
                base = _factorial(base)
            elif token == "%":
                base /= 100
            else:
                base = _raised(base, self._exponent())
        return base

    def _exponent(self) -> Fraction:
        negative = bool(self._take("-"))
        value = self._atom()
        if self._take("^"):
            value = _raised(value, self._exponent())
        return -value if negative else value

    def _atom(self) -> Fraction:
        token = self._next()
        self._at += 1
        if token in ("(", "{", "["):
            inside = self.total()
            if not self._take({"(": ")", "{": "}", "[": "]"}[token]):
                raise ValueError("a bracket must be closed")
            return inside
        if token == "\\frac":
            over = self._argument()
            return over / self._argument()
        if token == "\\sqrt":
            return _root(*self._root_and_degree())
        return Fraction(token[:-1] if token.endswith(".") else token.replace(".e", "e").replace(".E", "e"))

    def _argument(self) -> Fraction:
        if self._next() != "{":
            raise ValueError("an argument must stand in braces")
        return self._atom()

    def _root_and_degree(self) -> tuple[Fraction, Fraction]:
        degree = self._atom() if self._next() == "[" else Fraction(2)
        return (self._argument() if self._next() == "{" else self._atom()), degree


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > _BITS:
        raise OverflowError
    return value


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        return _root(_raised(base, Fraction(exponent.numerator)), Fraction(exponent.denominator))
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * bits > _BITS or (not base and exponent <= 0):
        raise OverflowError
    return Fraction(base ** int(exponent))


def _factorial(base: Fraction) -> Fraction:
    if base.denominator != 1 or not 0 <= base <= 1_000:
        raise OverflowError
    return Fraction(math.factorial(int(base)))


def _root(value: Fraction, degree: Fraction) -> Fraction:
    """A root that is a fraction. Raises ValueError for any other."""
    if degree.denominator != 1 or not 1 <= degree <= 64 or value < 0:
        raise ValueError("no rational root")
    parts = [_whole_root(part, int(degree)) for part in (value.numerator, value.denominator)]
    return Fraction(*parts)


def _whole_root(value: int, degree: int) -> int:
    root = math.isqrt(value) if degree == 2 else _integer_root(value, degree)
    if root**degree != value:
        raise ValueError("no rational root")
    return root


def _integer_root(value: int, degree: int) -> int:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low


_REPEATING = re.compile(
    r"(?<![\d.])(\d*)\.(\d*)(?:\\dot\{?(\d)\}?(\d*)\\dot\{?(\d)\}?|\\(?:overline|bar|widehat|dot)\{(\d+)\})(?![\d.])"
    r"|^([-+]?\d*)\.(\d*)\((\d+)\)$"
)
_DOTTED = re.compile(r"(?<![\d.])(\d*)\.(\d*?)(\d{2,}?|\d)(\3+)(?:\3?)(?:\.\.\.|…|\\[lc]?dots)")


def without_repeats(text: str) -> str:
    r"""A text whose repeating decimals are fractions.

    >>> [without_repeats(text) for text in (r"0.\overline{27}", "0.1(6)", "0.333...", "0.5")]
    ['\\frac{3}{11}', '\\frac{1}{6}', '\\frac{1}{3}', '0.5']
    """
    if "." not in text:
        return text
    text = _REPEATING.sub(lambda found: _fraction(*_pieces(found)), text)
    return _DOTTED.sub(
        lambda found: _fraction(found[1], found[2], found[3]) if len(found[3]) > 1 or len(found[4]) > 1 else found[0],
        text,
    )


def _pieces(found: re.Match[str]) -> Iterator[str]:
    if found[9] is not None:
        yield from (found[7], found[8], found[9])
    else:
        yield from (found[1], found[2], found[6] or f"{found[3]}{found[4]}{found[5]}")


def _fraction(whole: str, fixed: str, repeated: str) -> str:
    if len(fixed) + len(repeated) > 100:
        return f"{whole}.{fixed}{repeated}"
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole.removeprefix("+"))
    nines = (10 ** len(repeated) - 1) * 10 ** len(fixed)
    value = Fraction(int(f"{digits}{fixed}{repeated}") - int(f"{digits}{fixed}" or 0), nines)
    return (
        f"{sign}{value.numerator}"
        if value.denominator == 1
        else rf"{sign}\frac{{{value.numerator}}}{{{value.denominator}}}"
    )
