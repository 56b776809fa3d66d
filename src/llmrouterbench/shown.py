"""How values print: a line a field and a table for many of a kind, short enough to read in a notebook or a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import PurePath
from typing import Any, ClassVar

import numpy as np

from llmrouterbench.numerals import NONE, interval, significant
from llmrouterbench.stats import Interval

MOST_ROWS, MOST_WORDS, WIDEST = 20, 8, 100
"""Rows of a table, items of a list, characters of a text that are shown."""


class Shown:
    """A dataclass (with `repr=False`) that prints in the words of the command line where it has some, else as `shown`.

    words  "module:function" of this package that writes the words; the module lies above, so it is asked for by name
    """

    words: ClassVar[str] = ""

    def __repr__(self) -> str:
        if not self.words:
            return shown(self)
        module, _, name = self.words.partition(":")
        said = getattr(import_module(f"{__package__}.{module}"), name)(self)
        return (said if isinstance(said, str) else "\n".join(said)).rstrip("\n")


class Facts(dict[str, Any]):
    """Plain values by name that print as `shown` says it."""

    def __repr__(self) -> str:
        return shown(self)


def shown(value: Any) -> str:
    """A dataclass or a mapping as text: its name, then a line a field; rows of a kind as a table.

    >>> Facts(queries=1200, cost=float("nan"), models=["a", "b"], score={"a": {"x": 0.5}, "b": {"x": 1.0}})
    queries  1,200
    cost     unknown
    models   a, b
    score
         x
      a  0.500
      b  1.00
    """
    parts = _parts(value)
    width = max((len(name) for name in parts), default=0)
    mark = " (SIMULATED)" if getattr(value, "simulated", False) else ""
    lines = [] if isinstance(value, Mapping) else [f"{type(value).__name__}{mark}"]
    for name, part in parts.items():
        table = _table(part)
        lines.append(f"{name:<{width}}  {_short(part) if table is None else ''}".rstrip())
        lines += [] if table is None else [f"  {line}" for line in table]
    return "\n".join(lines)


def _parts(value: Any) -> dict[str, Any]:
    """Fields of a dataclass, or what a mapping holds, by name."""
    if isinstance(value, Mapping):
        return {str(name): part for name, part in value.items()}
    return {field.name: getattr(value, field.name) for field in fields(value) if field.repr}


def _is_record(value: Any) -> bool:
    return isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, type))


def _table(value: Any) -> list[str] | None:
    """Aligned lines where a value is a sequence or a mapping of records; None where it is not."""
    named = isinstance(value, Mapping)
    records = list(value.values()) if named else list(value) if isinstance(value, tuple | list) else []
    if not records or not all(_is_record(one) and not isinstance(one, Interval) for one in records):
        return None
    rows = [{name: _short(part) for name, part in _parts(one).items() if _is_plain(part)} for one in records]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    heads = [str(name) for name in value] if named else []
    cells = [[*([""] if named else []), *columns]]
    cells += [[*heads[i : i + 1], *(row.get(name, "") for name in columns)] for i, row in enumerate(rows[:MOST_ROWS])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return lines + ([f"and {len(rows) - MOST_ROWS:,} more"] if len(rows) > MOST_ROWS else [])


def _is_plain(value: Any) -> bool:
    """Whether a value fits into a cell."""
    return value is None or isinstance(value, str | int | float | np.generic | PurePath | Interval)


def _short(value: Any) -> str:
    """Any value in a few words."""
    if value is None:
        return NONE
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return significant(float(value))
    if isinstance(value, Interval):
        return interval(value, significant)
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if isinstance(value, str | PurePath):
        line = "".join(c if c.isprintable() else " " for c in str(value)[: WIDEST + 1])
        return line if len(line) <= WIDEST else f"{line[:WIDEST]} ..."
    if _is_record(value):
        return _listed([f"{name} {_short(part)}" for name, part in _parts(value).items() if _is_plain(part)])
    if isinstance(value, Iterable) and isinstance(value, Sequence | set | frozenset):
        return _listed([_short(part) for part in value])
    return type(value).__name__


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST_WORDS:,} more" if len(words) > MOST_WORDS else ""
    return ", ".join(words[:MOST_WORDS]) + more or NONE
