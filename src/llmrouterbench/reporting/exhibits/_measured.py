"""Tables of every row on every dataset of the test part: accuracies in percent, costs in USD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from llmrouterbench.metrics import avg_acc
from llmrouterbench.reporting.exhibits._material import Material
from llmrouterbench.reporting.frames import distinct, wide_frame
from llmrouterbench.stats import UNKNOWN_NUMBER, Interval
from llmrouterbench.table import FloatArray

Last = Literal["AvgAcc", "Total"]


def result_table(
    names: Sequence[str],
    datasets: Sequence[str],
    values: FloatArray,
    last: Last,
    *,
    intervals: Sequence[Interval] | None = None,
    facts: Mapping[str, Sequence[Any]] | None = None,
) -> pl.DataFrame:
    """One line a row of values (rows, datasets), with AvgAcc or Total at the end; NaN is an empty cell.

    AvgAcc and Total skip an empty cell, as in the paper. `facts` are columns between the names and the numbers.

    >>> result_table(["r"], ["a", "b"], np.array([[50.0, 60.0]]), "AvgAcc").row(0)
    ('r', 50.0, 60.0, 55.0)
    """
    known = np.isfinite(values)
    total = np.where(known.any(axis=1), np.where(known, values, 0.0).sum(axis=1), np.nan)
    summary = avg_acc(values) if last == "AvgAcc" else total
    ends, heads = [summary], [str(last)]
    if intervals is not None:
        ends += [np.array([i.low for i in intervals]), np.array([i.high for i in intervals])]
        heads += [f"{last}_low", f"{last}_high"]
    first = {"name": list(names), **(facts or {})}
    made = wide_frame(first, distinct(datasets, [*first, *heads]) + heads, np.column_stack([values, *ends]))
    return made.with_columns(pl.col("weight").cast(pl.Float64)) if "weight" in first else made


def measured_table(material: Material, last: Last) -> pl.DataFrame:
    """Tables 11 and 12 ("AvgAcc") and Table 13 ("Total"): means over seeds on the test part.

    Rows: single models, references, routers where validation put them, and every operating point of a router that has
    several; those have no interval.
    """
    board = material.board
    rows = [*board.of_kind("model"), *board.of_kind("reference"), *board.of_kind("router")]
    accuracy = last == "AvgAcc"
    scale = 100.0 if accuracy else 1.0
    values = [scale * np.array(row.accuracy if accuracy else row.usd) for row in rows]
    given = [row.avg_acc if accuracy else row.cost for row in rows]
    intervals = [Interval(scale * i.value, scale * i.low, scale * i.high) for i in given]
    names, kinds, weights = [row.name for row in rows], [str(row.kind) for row in rows], [np.nan] * len(rows)
    for router, sweep in material.played.points.items():
        if len(sweep.weights) > 1:
            names += [router] * len(sweep.weights)
            kinds += ["operating point"] * len(sweep.weights)
            weights += sweep.weights.tolist()
            values += list(scale * sweep.acc if accuracy else sweep.cost)
            intervals += [UNKNOWN_NUMBER] * len(sweep.weights)
    facts: dict[str, Sequence[Any]] = {"kind": kinds, "weight": weights}
    return result_table(names, board.datasets, np.array(values), last, intervals=intervals, facts=facts)
