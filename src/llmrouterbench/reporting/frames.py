"""Tables of reports as data frames: what is not known is an empty cell, and no name can hide another column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.stats import Interval
from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    import polars as pl


def distinct(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """The names, with a number behind those that are taken.

    >>> distinct(["model", "a", "a"], ["model"])
    ['model (2)', 'a', 'a (2)']
    """
    seen, out = set(taken), []
    for name in names:
        new, count = name, 1
        while new in seen:
            count += 1
            new = f"{name} ({count})"
        seen.add(new)
        out.append(new)
    return out


def wide_frame(first: Mapping[str, Sequence[Any]], names: Sequence[str], values: FloatArray) -> pl.DataFrame:
    """Columns of facts, then one column a name from values (rows, names); NaN is an empty cell.

    >>> wide_frame({"model": ["m"]}, ["model"], np.array([[50.0]])).columns
    ['model', 'model (2)']
    """
    import polars as pl

    columns: dict[str, Any] = {key: pl.Series(key, list(value)) for key, value in first.items()}
    table = np.asarray(values, dtype=np.float64)
    columns |= {name: table[:, j] for j, name in enumerate(distinct(names, list(first)))}
    return pl.DataFrame(columns).fill_nan(None)


def nested_frame(first: str, rows: Mapping[str, Mapping[str, float]]) -> pl.DataFrame:
    """Rows of numbers by name; `first` is the head of the names.

    >>> nested_frame("model", {"m": {"aime": 50.0}}).row(0)
    ('m', 50.0)
    """
    columns = list(next(iter(rows.values()), {}))
    values = np.array([list(row.values()) for row in rows.values()]).reshape(len(rows), len(columns))
    return wide_frame({first: list(rows)}, columns, values)


def rows_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pl.DataFrame:
    """Rows as a table; without rows, a table of the named columns."""
    import polars as pl

    if not rows:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return pl.DataFrame(list(rows), infer_schema_length=None).fill_nan(None)


def ends(name: str, number: Interval, scale: float = 100.0) -> dict[str, float]:
    """A number with its interval as three columns, in percent when no other scale is given.

    >>> ends("p", Interval(0.5, 0.25, 0.75))
    {'p': 50.0, 'p_low': 25.0, 'p_high': 75.0}
    """
    return {name: scale * number.value, f"{name}_low": scale * number.low, f"{name}_high": scale * number.high}
