"""The paper's Tables 2, 4, 5, 6, 10, 11, 12 and 13 as data frames, from any outcomes or runs.

Accuracies are percent and costs USD, as in the paper; beside a number that has a 95 % interval stand `_low` and
`_high`. An empty cell was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from llmrouterbench.benching.replay import Replay
from llmrouterbench.metrics import avg_acc
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.describe import describe
from llmrouterbench.reporting.frames import distinct, wide_frame
from llmrouterbench.settings import Setting
from llmrouterbench.stats import Interval
from llmrouterbench.table import FloatArray, Outcomes

Last = Literal["AvgAcc", "Total"]


def overview_table(outcomes: Outcomes, setting: Setting | None = None) -> pl.DataFrame:
    """Table 2: counts, tokens (millions) and cost of the outcomes, one line a fact.

    >>> overview_table(Outcomes.of(["a", "b"], ["m"], [[1], [0]])).row(2)
    ('Prompts', '2')
    """
    facts = describe(outcomes, setting)["overview"]
    rows = {
        "Datasets": f"{facts['datasets']}",
        "Models": f"{facts['models']}",
        "Prompts": f"{facts['queries']}",
        "Instances": f"{facts['instances']}",
        "Missing cells": f"{facts['missing_cells']}",
        "Tokens (M)": f"{facts['tokens_millions']:.1f}",
        "Cost (USD)": f"{facts['cost_usd']:.2f}",
        "Calls of unknown cost": f"{facts['unknown_costs']}",
    }
    return pl.DataFrame({"metric": list(rows), "value": list(rows.values())})


def accuracy_table(outcomes: Outcomes, setting: Setting | None = None) -> pl.DataFrame:
    """Tables 4 and 5: mean score of every model on every dataset, percent, over all queries."""
    return _of_nested(describe(outcomes, setting)["accuracy"])


def cost_table(outcomes: Outcomes, setting: Setting | None = None) -> pl.DataFrame:
    """Table 6: USD of every model on every dataset, over all queries; unknown costs are left out of the sums."""
    return _of_nested(describe(outcomes, setting)["cost"])


def _of_nested(rows: Mapping[str, Mapping[str, float]]) -> pl.DataFrame:
    columns = list(next(iter(rows.values()), {}))
    values = np.array([list(row.values()) for row in rows.values()]).reshape(len(rows), len(columns))
    return wide_frame({"model": list(rows)}, columns, values)


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


def measured_table(board: Leaderboard, last: Last, played: Replay | None = None) -> pl.DataFrame:
    """Tables 11 and 12 ("AvgAcc") and Table 13 ("Total"): means over seeds on the test part.

    Rows: single models, references, routers where validation put them, and with `played` every operating point of a
    router that has several; those have no interval.
    """
    rows = [*board.of_kind("model"), *board.of_kind("reference"), *board.of_kind("router")]
    accuracy = last == "AvgAcc"
    scale, nothing = (100.0 if accuracy else 1.0), Interval(np.nan, np.nan, np.nan)
    values = [scale * np.array(row.accuracy if accuracy else row.usd) for row in rows]
    given = [row.avg_acc if accuracy else row.cost for row in rows]
    intervals = [Interval(scale * i.value, scale * i.low, scale * i.high) for i in given]
    names, kinds, weights = [row.name for row in rows], [str(row.kind) for row in rows], [np.nan] * len(rows)
    for router, sweep in (played.points if played else {}).items():
        if len(sweep.weights) > 1:
            names += [router] * len(sweep.weights)
            kinds += ["operating point"] * len(sweep.weights)
            weights += sweep.weights.tolist()
            values += list(scale * sweep.acc if accuracy else sweep.cost)
            intervals += [nothing] * len(sweep.weights)
    facts: dict[str, Sequence[Any]] = {"kind": kinds, "weight": weights}
    return result_table(names, board.datasets, np.array(values), last, intervals=intervals, facts=facts)


def embedder_table(boards: Mapping[str, Leaderboard]) -> pl.DataFrame:
    """Table 10: AvgAcc in percent of every router with each embedder, one leaderboard an embedder.

    Raises ValueError without leaderboards and where they are of different data.
    """
    if not boards:
        raise ValueError("an embedding ablation needs at least one leaderboard, got none; give it one an embedder")
    hashes = {board.facts["data_hash"] for board in boards.values()}
    if len(hashes) > 1:
        raise ValueError(
            f"an embedding ablation must compare runs of the same data, got {len(hashes)} data hashes under"
            f" {', '.join(boards)}; run the bench of each embedder on the same outcomes"
        )
    lines = []
    for name, board in boards.items():
        line: dict[str, Any] = {"embedder": name}
        for row in board.of_kind("router"):
            number = row.avg_acc
            line |= {
                row.name: 100 * number.value,
                f"{row.name}_low": 100 * number.low,
                f"{row.name}_high": 100 * number.high,
            }
        lines.append(line)
    return pl.DataFrame(lines, infer_schema_length=None).fill_nan(None)
