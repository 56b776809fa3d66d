"""Numbers as they stand on the page: text, interval, and what to sort by."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmrouterbench.stats import Interval


@dataclass(frozen=True)
class Cell:
    """A number on the page: its text, its interval as text ("" where it has none), and what to sort by."""

    text: str
    span: str = ""
    sort: float | str | None = None
    classes: str = ""
    title: str = ""


def percent(value: float, sign: str = "", digits: int = 1) -> str:
    """A fraction as percent, "–" where there is none.

    >>> percent(0.1234), percent(-0.00001, "+"), percent(float("nan"))
    ('12.3', '+0.0', '–')
    """
    return "–" if math.isnan(value) else f"{round(100 * value, digits) + 0.0:{sign}.{digits}f}"


def usd(value: float, like: float | None = None) -> str:
    """US dollars with three digits or cents, "unknown" where they are not known; with as many decimals as `like`.

    >>> usd(1234.5), usd(0.01234), usd(94.4, like=117.0), usd(float("nan"))
    ('1234', '0.0123', '94', 'unknown')
    """
    if math.isnan(value):
        return "unknown"
    size = value if like is None else like
    return f"{value:.0f}" if size >= 100 else f"{value:.2f}" if size >= 1 or value == 0 else f"{value:.3g}"


def number(one: Interval | None, show: Callable[[float], str], none: str = "–") -> Cell:
    """A number with its interval below it."""
    if one is None or math.isnan(one.value):
        return Cell(none if one is None else show(one.value))
    span = "" if math.isnan(one.low) else f"[{show(one.low)}, {show(one.high)}]"
    return Cell(show(one.value), span, one.value)


def bare(value: float | None, show: Callable[[float], str]) -> Cell:
    """A number that has no interval."""
    value = math.nan if value is None else value
    return Cell(show(value), "", None if math.isnan(value) else value)


def signed(value: float) -> str:
    """A fraction as percent with its sign."""
    return percent(value, "+")


def isolated(name: str) -> str:
    """A name inside a sentence; one that runs from right to left, or says so, must not turn the words around it.

    >>> isolated("knn"), isolated("\u05d0") == "\u2068\u05d0\u2069"
    ('knn', True)
    """
    turns = any(unicodedata.bidirectional(c) in ("R", "AL", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI") for c in name)
    return f"\u2068{name}\u2069" if turns else name


def listed(names: Sequence[str], most: int = 6) -> str:
    """The first names and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(isolated, names[:most])) + more
