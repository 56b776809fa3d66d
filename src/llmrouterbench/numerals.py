"""Numbers as people read them: one rule for the terminal, Markdown, figures, the page and sentences.

What is not known (None, NaN, an infinite number) is "unknown", never 0 and never "nan". What rounds to zero has no
minus, thousands have a comma, nothing has an exponent. Percents have one decimal, the AvgAcc of a table two, as in the
paper. JSON has null and CSV an empty cell instead. `page.js` has the forms of the few numbers that the page works out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from llmrouterbench.stats import Interval

UNKNOWN = "unknown"
NONE = "none"
"""Of what does not exist, such as the saving of a router that never reaches the base."""
Number = float | None
Show = Callable[[Number], str]
"""The form of a kind of number."""


def number(value: Number, digits: int = 2, sign: str = "", unit: str = "") -> str:
    """A number with so many decimals; with the sign "+" a positive one shows it.

    >>> number(1234.5), number(-0.001), number(0.5, 1, "+", " s"), number(float("nan"), unit=" s")
    ('1,234.50', '0.00', '+0.5 s', 'unknown')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{round(value, digits) + 0.0:{sign},.{digits}f}{unit}"


def significant(value: Number, digits: int = 3, unit: str = "") -> str:
    """A number with at least so many significant digits; whole digits are never rounded away.

    >>> significant(0.000012345), significant(1234.6), significant(2.0), significant(None)
    ('0.0000123', '1,235', '2.00', 'unknown')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    power = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return number(value, max(0, digits - 1 - power), unit=unit)


def percent(value: Number, digits: int = 1, sign: str = "", unit: str = "") -> str:
    """A fraction as percent.

    >>> percent(0.1234), percent(-0.00001, unit=" %"), percent(float("nan"), unit=" %")
    ('12.3', '0.0 %', 'unknown')
    """
    return number(None if value is None else 100.0 * value, digits, sign, unit)


def accuracy(value: Number, unit: str = "") -> str:
    """An AvgAcc as percent, with two decimals as in the paper.

    >>> accuracy(0.71385)
    '71.39'
    """
    return percent(value, 2, unit=unit)


def points(value: Number, digits: int = 1, unit: str = "") -> str:
    """A difference of fractions in points, with its sign.

    >>> points(0.0123), points(-0.00001, unit=" points")
    ('+1.2', '+0.0 points')
    """
    return percent(value, digits, "+", unit)


def usd(value: Number, unit: str = "") -> str:
    """US dollars: cents from one dollar on, three significant digits below it.

    >>> usd(1234.5), usd(0.0), usd(0.012), usd(0.9996), usd(float("nan"), unit=" USD")
    ('1,234.50', '0.00', '0.0120', '1.00', 'unknown')
    """
    if value is not None and 0.0 < abs(value) < 0.9995:
        return significant(value, unit=unit)
    return number(value, 2, unit=unit)


def seconds(value: Number, unit: str = " s") -> str:
    """Seconds with three significant digits.

    >>> seconds(0.25), seconds(261.84), seconds(None)
    ('0.250 s', '262 s', 'unknown')
    """
    return significant(value, unit=unit)


def count(value: Number) -> str:
    """How many; a mean of counts is rounded.

    >>> count(12345), count(410.2), count(None)
    ('12,345', '410', 'unknown')
    """
    return number(value, 0)


def p_value(value: Number) -> str:
    """A p-value with three decimals, and "<0.001" for what they cannot show.

    >>> p_value(0.0421), p_value(0.0), p_value(float("nan"))
    ('0.042', '<0.001', 'unknown')
    """
    return "<0.001" if value is not None and 0.0 <= value < 0.0005 else number(value, 3)


def span(one: Interval, show: Show) -> str:
    """The ends of a 95 % interval in brackets, "" where there is none.

    >>> span(Interval(0.5, 0.25, 0.75), percent), span(Interval(0.5, math.nan, math.nan), percent)
    ('[25.0, 75.0]', '')
    """
    return f"[{show(one.low)}, {show(one.high)}]" if math.isfinite(one.low) and math.isfinite(one.high) else ""


def interval(one: Interval | None, show: Show, unit: str = "", ends: Show | None = None) -> str:
    """A number with its 95 % interval, "none" for None; `ends` is the form of the ends where it is another.

    >>> interval(Interval(0.5, 0.25, 0.75), percent, " %"), interval(Interval(0.5, math.nan, math.nan), percent, " %")
    ('50.0 % [25.0, 75.0]', '50.0 %')
    >>> interval(Interval(math.nan, math.nan, math.nan), percent, " %"), interval(None, percent)
    ('unknown', 'none')
    """
    if one is None:
        return NONE
    if not math.isfinite(one.value):
        return UNKNOWN
    return f"{show(one.value)}{unit} {span(one, ends or show)}".rstrip()
