"""Figure 8: accuracy against cost of single models and every operating point of every router, and their frontier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.metrics import pareto_dist
from llmrouterbench.numerals import number
from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_points, needs_runs
from llmrouterbench.reporting.figures.labels import label_points
from llmrouterbench.reporting.figures.picture import (
    COLOURS,
    GREY,
    MARKERS,
    Picture,
    canvas,
    cost_axis,
    drawing,
    left_out,
    legend_beside,
    numbered,
    picture_files,
)

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes

    from llmrouterbench.reporting.board import Leaderboard, Point

_MOST_ROUTERS = 24
Spot = tuple[float, float]
"""Cost in USD and AvgAcc as a fraction."""


@drawing
def pareto_picture(
    points: Sequence[Point],
    *,
    chosen: Mapping[str, Spot] | None = None,
    title: str = "",
    base: str = "",
    simulated: bool = False,
) -> Picture:
    """Draw AvgAcc (percent) over total test cost (USD), with the ParetoDist of every router in the legend.

    `chosen` is where validation put each router, drawn as a large mark; `base` is the model in bold. ParetoDist is over
    all points given. Raises ValueError where there is no point. Source: section 3.4 and Figure 8.
    """
    if not points:
        raise ValueError("a Pareto figure needs points with known costs, got none; import outcomes with costs")
    data = _table(points)
    routers = sorted({p.name for p in points if p.kind == "router"}, key=lambda name: (-_best(points, name), name))
    drawn = routers[:_MOST_ROUTERS]
    notes = left_out(len(routers), len(drawn), "routers", "AvgAcc")
    figure, (axes,) = canvas(f"Accuracy and cost: {title}", 5.2, simulated=simulated, notes=notes)
    cost_axis(axes, np.array([p.cost for p in points]))
    axes.set_xlabel("cost of all test queries, USD (mean over seeds)")
    axes.set_ylabel("AvgAcc, % (mean over seeds)")
    handles = [_frontier(axes, [p for p in points if p.on_frontier])]
    models = sorted(
        (p for p in points if p.kind == "model"), key=lambda p: (p.name != base, not p.on_frontier, -p.avg_acc)
    )
    axes.scatter([p.cost for p in models], [100 * p.avg_acc for p in models], s=22, color=GREY, zorder=3)
    spots = chosen or {}
    handles += [_router(axes, points, name, i, spots.get(name)) for i, name in enumerate(drawn)]
    dist = dict(zip(data["name"].to_list(), data["pareto_dist"].to_list(), strict=True))
    names = ["frontier of all points", *(numbered(name, f" ({number(dist[name], 3)})") for name in drawn)]
    heading = "router (ParetoDist)" + ("\nlarge mark: chosen on unseen training queries" if spots else "")
    legend_beside(axes, handles, names, heading)
    figure.draw_without_rendering()  # the layout must stand before labels are placed by pixels
    at = np.array([(p.cost, 100 * p.avg_acc) for p in models]).reshape(-1, 2)
    label_points(axes, at, [p.name for p in models], bold=0 if models and models[0].name == base else None)
    return Picture(figure, data, notes)


def _best(points: Sequence[Point], name: str) -> float:
    return max(p.avg_acc for p in points if p.kind == "router" and p.name == name)


def _table(points: Sequence[Point]) -> pl.DataFrame:
    import polars as pl

    acc, cost = np.array([p.avg_acc for p in points]), np.array([p.cost for p in points])
    keys = [(p.kind, p.name) for p in points]
    mine = {key: np.array([key == other for other in keys]) for key in dict.fromkeys(keys)}
    dist = {key: pareto_dist(acc[rows], cost[rows], acc, cost) for key, rows in mine.items()}
    return pl.DataFrame(
        {
            "name": [p.name for p in points],
            "kind": [p.kind for p in points],
            "weight": [None if math.isnan(p.weight) else p.weight for p in points],
            "avg_acc_percent": 100 * acc,
            "cost_usd": cost,
            "on_frontier": [p.on_frontier for p in points],
            "pareto_dist": [dist[key] for key in keys],
        },
        schema_overrides={"weight": pl.Float64},
    )


def _frontier(axes: Axes, points: Sequence[Point]) -> Any:
    points = sorted(points, key=lambda p: (p.cost, p.avg_acc))
    cost = np.repeat([p.cost for p in points], 2)[1:]  # along to the next point, then up
    acc = np.repeat([100 * p.avg_acc for p in points], 2)[:-1]
    return axes.plot(cost, acc, color="#999999", linewidth=2.0, zorder=1)[0]


def _router(axes: Axes, points: Sequence[Point], name: str, i: int, chosen: Spot | None) -> Any:
    """The sweep of one router, and a larger mark where validation put it; a router of one point is a large mark."""
    sweep = sorted((p for p in points if p.kind == "router" and p.name == name), key=lambda p: p.index)
    look: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[(i + i // 7) % len(MARKERS)]}
    large: dict[str, Any] = {"markersize": 8.5, "markeredgecolor": "white", "linestyle": "none", "zorder": 5}
    if len(sweep) > 1:
        at = [p.cost for p in sweep], [100 * p.avg_acc for p in sweep]
        axes.plot(*at, linewidth=0.8, alpha=0.5, markersize=2.6, zorder=4, **look)
    elif chosen is None:
        chosen = sweep[0].cost, sweep[0].avg_acc
    if chosen is not None and math.isfinite(chosen[0]):
        return axes.plot([chosen[0]], [100 * chosen[1]], **look, **large)[0]
    return axes.plot([], [], **look, **large)[0]


def board_picture(board: Leaderboard) -> Picture:
    """The figure of a leaderboard. Raises as `pareto_picture`."""
    rows = board.of_kind("router")
    return pareto_picture(
        board.points,
        chosen={row.name: (row.cost.value, row.avg_acc.value) for row in rows},
        title=board.name,
        base=board.base,
        simulated=board.simulated,
    )


def pareto_files(board: Leaderboard) -> dict[str, bytes]:
    """The figure as file contents, "pareto.png" and "pareto.svg"; the same bytes for the same board."""
    files = picture_files(board_picture(board), "pareto")
    return {name: files[name] for name in ("pareto.png", "pareto.svg")}


def _picture(material: Material) -> Picture:
    return board_picture(material.board)


EXHIBIT = Exhibit(
    "Figure 8: accuracy against cost, the frontier and ParetoDist",
    (needs_runs("operating points of routers"), needs_points),
    picture=_picture,
    place=108,
    of_logs=True,
)
