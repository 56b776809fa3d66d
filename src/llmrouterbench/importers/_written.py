"""Tables that `export_table` wrote: what they say beside the columns of any long table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from llmrouterbench.exporters.long_table import MARK, OF_MODEL, OF_QUERY, SIMULATED
from llmrouterbench.table import IntArray, Outcomes

TEXTS = (*OF_QUERY, *OF_MODEL, SIMULATED)
NUMBERS = ("runs", "spread")


def as_written(outcomes: Outcomes, queries: pl.DataFrame, cells: pl.DataFrame, path: Path) -> Outcomes:
    """The outcomes of a table as they were when they were written. Raises ValueError where a column was edited."""
    if MARK not in queries.columns:
        return outcomes
    columns: dict[str, IntArray] = {"index": _whole(queries, MARK, path)}
    columns |= {"group": _whole(queries, "lrb_group", path)} if "lrb_group" in queries.columns else {}
    columns |= {"cluster": _whole(queries, "lrb_cluster", path)} if "lrb_cluster" in queries.columns else {}
    if "lrb_subset" in queries.columns:
        outcomes = replace(outcomes, subset=queries["lrb_subset"].fill_null("").to_numpy().astype(np.str_))
    models = cells.unique("model").sort("model")
    if "lrb_order" in models.columns:
        outcomes = outcomes.select([outcomes.models[at] for at in np.argsort(_whole(models, "lrb_order", path))])
    named = set(models.filter(_true(models, "lrb_outside"))["model"])
    outside = tuple(model for model in outcomes.models if model in named)
    simulated = bool(_true(cells, SIMULATED).any())
    return replace(outcomes, **columns, outside=outside, simulated=simulated)  # type: ignore[arg-type]


def _whole(frame: pl.DataFrame, name: str, path: Path) -> IntArray:
    numbers = frame[name].cast(pl.Int64, strict=False)
    if numbers.has_nulls():
        wrong = frame[name].filter(numbers.is_null())[0]
        raise ValueError(f"{name} must be a whole number in every record, got {wrong!r} in {path}; export it again")
    return numbers.to_numpy()


def _true(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        return pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True)
    return (frame[name].str.to_lowercase() == "true").fill_null(value=False)
