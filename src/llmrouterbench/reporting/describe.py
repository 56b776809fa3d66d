"""What a table of outcomes holds: the paper's Tables 2, 4, 5 and 6, and which cells are missing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from llmrouterbench.coverage import coverage_of, in_order
from llmrouterbench.estimating.tables import LogSummary
from llmrouterbench.metrics import AVERAGES, avg_acc, best_single, dataset_means, dataset_oracle_choice, oracle_choice
from llmrouterbench.reporting.frames import distinct
from llmrouterbench.settings import Setting
from llmrouterbench.studies.swaps import lacking_models
from llmrouterbench.table import FloatArray, Outcomes


def describe(outcomes: Outcomes, setting: Setting | None = None) -> dict[str, Any]:
    """Plain facts, ready for JSON; NaN marks what was not measured.

    data        what kind of data they are, see `coverage.Coverage`
    values      of a log: what every model would score if it had served every query, see `LogSummary`; else None
    lacking     models whose missing scores are not missing at random, with bounds, see `Lacking`; of a log ()
    overview    counts, tokens and cost (Table 2), best single model, dataset oracle and oracle AvgAcc
    accuracy    model -> dataset -> mean score in percent, and "AvgAcc" (Tables 4 and 5)
    cost        model -> dataset -> USD recorded, and "Total" (Table 6); unknown costs are left out and counted
    coverage    model -> dataset -> cells measured; `unknown_costs` likewise
    runs        of cells that are means of several runs: how many cells, runs each, and the standard deviation of the
                score of one run and of a mean, in percent; None where there are none
    """
    datasets, coverage = outcomes.datasets, coverage_of(outcomes)
    names = {entry.id: entry.name or entry.id for entry in setting.datasets} if setting else {}
    label = distinct([names.get(name, name) for name in datasets], ["AvgAcc", "Total"])
    acc = 100.0 * dataset_means(outcomes.score, outcomes.dataset, datasets)
    spent = _sums(outcomes.cost, outcomes)
    unknown = _counts(np.isfinite(outcomes.score) & ~np.isfinite(outcomes.cost), outcomes)
    measured = _counts(np.isfinite(outcomes.score), outcomes)
    rows = distinct([setting.abbreviation(model) if setting else model for model in outcomes.models])
    return {
        "simulated": outcomes.simulated,
        "source": outcomes.source,
        "content_hash": outcomes.content_hash,
        "setting": setting.name if setting else None,
        "averages": {"AvgAcc": AVERAGES["AvgAcc"]},
        "data": coverage.to_dict(),
        "values": None if coverage.matrix else LogSummary.of(outcomes).to_dict(),
        "lacking": [asdict(one) for one in lacking_models(outcomes)] if coverage.matrix else [],
        "overview": _overview(outcomes, acc, coverage.matrix),
        "datasets": {
            names.get(name, name): {
                "queries": int((outcomes.dataset == name).sum()),
                "subsets": sorted(set(outcomes.subset[outcomes.dataset == name].tolist()) - {""}),
            }
            for name in datasets
        },
        "accuracy": _table(rows, [*label, "AvgAcc"], np.vstack([acc, avg_acc(acc.T)])),
        "cost": _table(rows, [*label, "Total"], np.vstack([spent, _sum(spent, 0)])),
        "coverage": _table(rows, label, measured),
        "unknown_costs": _table(rows, label, unknown),
        "runs": _runs(outcomes),
    }


def _runs(outcomes: Outcomes) -> dict[str, float] | None:
    """Label noise, measured from repeated runs: roots of mean variances over the cells of several."""
    if outcomes.runs is None or outcomes.spread is None:
        return None
    several = outcomes.runs > 1
    runs, variance = outcomes.runs[several], outcomes.spread[several] ** 2
    noise = {"spread": np.sqrt(variance.mean()), "spread_of_mean": np.sqrt((variance / runs).mean())}
    return {"cells": len(runs), "mean": runs.mean(), **{name: 100.0 * value for name, value in noise.items()}}


def _overview(outcomes: Outcomes, acc: FloatArray, matrix: bool) -> dict[str, Any]:
    """Counts and references; of a log it is not known which model is best, nor what an oracle would score."""
    outcomes, acc = outcomes.pool, acc[:, : len(outcomes.pool.models)]
    known = np.isfinite(outcomes.score)
    oracle = oracle_choice(outcomes.score, outcomes.cost)
    served = np.where(oracle >= 0, outcomes.score[np.arange(len(oracle)), np.maximum(oracle, 0)], np.nan)
    best = best_single(acc) if matrix else None
    by_dataset = dataset_oracle_choice(acc)
    dataset_best = np.where(by_dataset >= 0, acc[np.arange(len(acc)), np.maximum(by_dataset, 0)], np.nan)
    nothing = (float("nan"),) * 4
    _, single, by_task, by_query = (
        nothing
        if best is None
        else in_order(
            float("nan"),
            float(avg_acc(acc[:, best])),
            float(avg_acc(dataset_best)),
            float(avg_acc(100.0 * dataset_means(served, outcomes.dataset, outcomes.datasets))),
        )
    )
    return {
        "datasets": len(outcomes.datasets),
        "models": len(outcomes.models),
        "queries": len(outcomes),
        "unique_queries": len(np.unique(outcomes.group)),
        "instances": int(known.sum()),
        "missing_cells": int((~known).sum()),
        "tokens_millions": float(_sum(np.stack([outcomes.tokens_in, outcomes.tokens_out]))) / 1e6,
        "cost_usd": float(_sum(outcomes.cost)),
        "unknown_costs": int((known & ~np.isfinite(outcomes.cost)).sum()),
        "best_single": None if best is None else outcomes.models[best],
        "best_single_AvgAcc": single,
        "dataset_oracle_AvgAcc": by_task,
        "oracle_AvgAcc": by_query,
    }


def _sum(plane: FloatArray, axis: int | None = None) -> FloatArray:
    """Sum of what is known; NaN where nothing is."""
    return np.where(np.isfinite(plane).any(axis=axis), np.nansum(plane, axis=axis), np.nan)


def _sums(plane: FloatArray, outcomes: Outcomes) -> FloatArray:
    """Sum (datasets, models) of what is known."""
    return np.array([_sum(plane[outcomes.dataset == name], 0) for name in outcomes.datasets])


def _counts(mask: np.typing.NDArray[np.bool_], outcomes: Outcomes) -> FloatArray:
    return np.array([mask[outcomes.dataset == name].sum(axis=0) for name in outcomes.datasets], dtype=np.float64)


def _table(rows: list[str], columns: list[str], values: FloatArray) -> dict[str, dict[str, float]]:
    """Nested dict from values (columns, rows)."""
    return {row: dict(zip(columns, values[:, i].tolist(), strict=True)) for i, row in enumerate(rows)}
