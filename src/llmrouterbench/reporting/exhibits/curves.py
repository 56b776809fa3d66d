"""What other benchmarks make of the operating points of a router: AIQ, QNC, APGR, CPT, RouterArena's score."""

from __future__ import annotations

import numpy as np
import polars as pl

from llmrouterbench.benching.replay import OperatingPoints
from llmrouterbench.metrics import aiq, apgr, arena_score, avg_acc, calls_for, known_mean, quality_hull
from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_runs
from llmrouterbench.reporting.frames import rows_frame
from llmrouterbench.table import FloatArray

_PARTS = 20, 50, 80
"""Percent of the gap between two models, as RouteLLM has them."""


def _table(material: Material) -> pl.DataFrame:
    """One line a router; AIQ, QNC, APGR and CPT are about all of its points on test, in hindsight."""
    board, sweeps = material.board, material.played.points
    queries = float(np.mean(board.facts["test_queries"]))
    hulls = [quality_hull(avg_acc(one.acc), one.cost.sum(axis=1))[1] for one in sweeps.values()]
    most = max((float(hull[-1]) for hull in hulls if len(hull)), default=float("nan"))
    rows = []
    for row in board.of_kind("router"):
        sweep = sweeps[row.name]
        rows.append(
            {
                "router": row.name,
                "arena_score_percent": 100.0 * arena_score(row.avg_acc.value, 1000.0 * row.cost.value / queries),
                "aiq_percent": _aiq_percent(sweep, most),
                "qnc_percent": 100.0 * (1.0 - row.hindsight_cost_save),
                **_between_two(material, row.name, sweep),
            }
        )
    return rows_frame(rows, ("router",))


def _aiq_percent(sweep: OperatingPoints, most: float) -> float:
    """NaN of a single point, which makes no curve."""
    single = len(sweep.weights) == 1
    return float("nan") if single else 100.0 * aiq(avg_acc(sweep.acc), sweep.cost.sum(axis=1), most)


def _between_two(material: Material, router: str, sweep: OperatingPoints) -> dict[str, float]:
    """APGR and CPT, for a pool of two models of which one is better."""
    models = material.board.of_kind("model")
    if len(models) != 2:
        return {}
    strong, weak = (one.avg_acc.value for one in models)
    share = _share(material, router, material.runs.outcomes.pool.models.index(models[0].name))
    curve = avg_acc(sweep.acc), share, weak, strong
    return {
        "apgr_percent": 100.0 * apgr(*curve),
        **{f"cpt_{part}_percent": 100.0 * calls_for(part / 100.0, *curve) for part in _PARTS},
    }


def _share(material: Material, router: str, model: int) -> FloatArray:
    """Share (w,) of the test queries that a model serves at every operating point, mean over seeds."""
    shares = []
    for seed in material.runs.seeds:
        decisions = material.runs.decisions[router, seed]
        part, points = decisions.parts["test"], len(decisions.weights)
        mine = part.model == model
        shares.append(np.bincount(part.point[mine], part.served[mine], points) / len(part.rows))
    return known_mean(np.array(shares), axis=0)


EXHIBIT = Exhibit(
    "What other benchmarks say of the same points: AIQ, QNC, APGR and CPT, RouterArena's score",
    needs=(needs_runs("the curves of other benchmarks", routers=1),),
    table=_table,
    place=209,
)
