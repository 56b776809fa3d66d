"""Data frames whose columns are names of the data: no name can hide another column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

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
