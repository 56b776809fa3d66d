"""The points of the Pareto plot, as the page draws them."""

from __future__ import annotations

import math
from typing import Any

from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.stats import Interval


def plot_of(board: Leaderboard) -> dict[str, Any] | None:
    """Single models, what validation chose for each router, and all operating points; None without a known cost.

    Accuracies are percent, costs USD; `main` points have intervals, `sweep` points are means over seeds.
    """
    if not board.points:
        return None
    intervals = {(row.kind, row.name): row for row in board.rows}
    main = []
    for row in board.rows:
        if row.kind == "reference" or not all(map(math.isfinite, (row.avg_acc.value, row.cost.value))):
            continue
        if row.kind == "model" and not any(p.name == row.name and p.kind == "model" for p in board.points):
            continue  # a model without every dataset or price is in no Pareto set
        main.append(
            {"name": row.name, "kind": row.kind, "acc": _scaled(row.avg_acc, 100), "cost": _scaled(row.cost, 1)}
        )
    sweeps: dict[str, list[list[float]]] = {}
    for point in board.points:
        if point.kind == "router" and intervals["router", point.name].points > 1:
            sweeps.setdefault(point.name, []).append([point.cost, 100 * point.avg_acc, point.weight])
    frontier = sorted([p.cost, 100 * p.avg_acc] for p in board.points if p.on_frontier)
    return {"main": main, "sweeps": sweeps, "frontier": frontier, "base": board.base}


def _scaled(one: Interval, by: float) -> list[float]:
    return [by * one.value, by * one.low, by * one.high]
