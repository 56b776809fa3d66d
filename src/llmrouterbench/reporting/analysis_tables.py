"""Tables beyond the paper's: paired differences and what they say, recall failures, collapse, curation, latency.

Accuracies and differences are percent, costs USD; beside a number that has a 95 % interval stand `_low` and `_high`.
An empty cell was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from llmrouterbench.stats import Interval
from llmrouterbench.studies.collapse import Collapse
from llmrouterbench.studies.comparisons import Comparisons
from llmrouterbench.studies.curation import MarginalValue, SubsetCurve
from llmrouterbench.studies.hardness import RecallFailure
from llmrouterbench.studies.latency import LatencyPoint


def _spread(name: str, number: Interval, scale: float = 100.0) -> dict[str, float]:
    """One number as three columns."""
    return {name: scale * number.value, f"{name}_low": scale * number.low, f"{name}_high": scale * number.high}


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pl.DataFrame:
    """Rows as a table; without rows, a table of the named columns."""
    if not rows:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return pl.DataFrame(list(rows), infer_schema_length=None).fill_nan(None)


def differences_table(found: Comparisons) -> pl.DataFrame:
    """One line a pair of routers: the difference in AvgAcc (router minus other), its p-value, and what that means."""
    rows = []
    for i, name in enumerate(found.names):
        for j in range(i + 1, len(found.names)):
            certain = found.adjusted[i, j] < found.alpha
            one = Interval(found.difference[i, j], found.low[i, j], found.high[i, j])
            word = "better" if one.value > 0 else "worse"
            rows.append(
                {
                    "router": name,
                    "other": found.names[j],
                    **_spread("difference_percent", one),
                    "p": found.p[i, j],
                    f"p_{found.control.replace('-', '_')}": found.adjusted[i, j],
                    "verdict": word if certain else "not distinguishable",
                }
            )
    return _frame(rows, ("router", "other", "verdict"))


def verdicts_table(found: Comparisons) -> pl.DataFrame:
    """One sentence a router: whom it beats, who beats it, and from whom it is not distinguishable."""
    return _frame([{"router": name, "verdict": found.sentence(name)} for name in found.names], ("router", "verdict"))


def recall_table(found: Sequence[RecallFailure]) -> pl.DataFrame:
    """Model-recall failures: the rare queries that at most `few` models solve, and what each router does there."""
    rows = [
        {
            "router": one.router,
            "few": one.few,
            "rare_queries": one.rare,
            "rare_percent": 100.0 * one.share,
            **_spread("accuracy_there_percent", one.accuracy),
            "missed_queries": one.missed,
            **_spread("share_of_gap_percent", one.gap),
        }
        for one in found
    ]
    return _frame(rows, ("router", "few"))


def collapse_table(found: Sequence[Collapse]) -> pl.DataFrame:
    """Routing collapse: the most used model, evenness, distance to the oracle's spread, needless service, shares."""
    rows = [
        {
            "router": one.router,
            "top_model": one.top_model,
            **_spread("top_share_percent", one.top_share),
            **_spread("evenness", one.evenness, 1.0),
            **_spread("collapse_index", one.index, 1.0),
            **_spread("needless_percent", one.needless),
        }
        for one in found
    ]
    return _frame(rows, ("router", "top_model"))


def subsets_table(curves: Sequence[SubsetCurve]) -> pl.DataFrame:
    """Oracle of curated, top-k and random subsets by size, with the model that joins at each size."""
    rows = [
        {
            "subset": curve.name,
            "models": size,
            "joins": curve.models[size - 1] if curve.models else None,
            **_spread("oracle_percent", oracle),
            **_spread("cost_usd", cost, 1.0),
        }
        for curve in curves
        for size, oracle, cost in zip(curve.size, curve.oracle, curve.cost, strict=True)
    ]
    return _frame(rows, ("subset", "models"))


def marginal_table(values: Sequence[MarginalValue]) -> pl.DataFrame:
    """What each model is worth: alone, added to Best Single, dropped from the pool, and its Shapley value."""
    rows = [
        {
            "model": one.model,
            **_spread("alone_percent", one.alone),
            **_spread("add_one_percent", one.added),
            **_spread("drop_one_percent", one.dropped),
            **_spread("shapley_percent", one.share),
            "needed": one.needed,
        }
        for one in values
    ]
    return _frame(rows, ("model", "needed"))


def latency_table(points: Sequence[LatencyPoint]) -> pl.DataFrame:
    """AvgAcc, USD and end-to-end seconds a query of every model, and the three-objective frontier."""
    rows = [
        {
            "model": one.model,
            **_spread("accuracy_percent", one.score),
            **_spread("cost_usd", one.cost, 1.0),
            **_spread("seconds", one.seconds, 1.0),
            "on_frontier": one.on_frontier if np.isfinite(one.seconds.value) else None,
        }
        for one in points
    ]
    return _frame(rows, ("model", "on_frontier"))
