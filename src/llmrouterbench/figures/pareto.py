"""Accuracy against cost: single models, every operating point of every router, and the frontier of all of them."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import BboxBase

    from llmrouterbench.board import Leaderboard, Point

# Okabe and Ito's colours, told apart with any kind of colour vision; markers tell the same story without colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_GREY = "#777777"
_LABEL_SIZE = 7.5
_OFFSETS = ((6, 0), (0, 6), (0, -6), (-6, 0), (5, 5), (5, -5), (-5, 5), (-5, -5), (0, 15), (0, -15), (22, 9), (22, -9))
_LOG_FROM = 10.0


def pareto_figure(board: Leaderboard) -> Figure:
    """Draw AvgAcc (percent) over total test cost (USD); the cost axis is logarithmic where it spans more than 10x.

    Raises ValueError where no point has a known cost, ModuleNotFoundError without matplotlib.
    """
    from matplotlib.figure import Figure

    if not board.points:
        raise ValueError("a Pareto figure needs points with known costs, got none; import outcomes with costs")
    figure = Figure(figsize=(8.0, 5.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    _frame(axes, board)
    _frontier(axes, [point for point in board.points if point.on_frontier])
    models = [point for point in board.points if point.kind == "model"]
    axes.scatter([p.cost for p in models], [100 * p.avg_acc for p in models], s=22, color=_GREY, zorder=3)
    names = [row.name for row in board.of_kind("router")]
    for i, name in enumerate(names):
        _router(axes, board, name, _COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)])
    if names:
        look: dict[str, Any] = {"fontsize": 8, "title_fontsize": 7, "framealpha": 0.9, "edgecolor": "none"}
        title = "large mark: point chosen on validation"
        axes.legend(loc="lower right", title=title, alignment="left", **look)
    figure.draw_without_rendering()  # the layout must stand before labels are placed by pixels
    _label_models(axes, models, board)
    return figure


def _frame(axes: Axes, board: Leaderboard) -> None:
    cost = np.array([point.cost for point in board.points])
    positive = cost[cost > 0]
    if len(positive) and positive.max() > _LOG_FROM * positive.min():
        _log_cost(axes, positive, free=len(positive) < len(cost))
    axes.set_xlabel("cost of all test queries, USD (mean over seeds)")
    axes.set_ylabel("AvgAcc, % (mean over seeds)")
    name = board.title.removeprefix("Leaderboard: ")
    axes.set_title(f"{'SIMULATED: ' if board.simulated else ''}accuracy and cost, {name}", loc="left", fontsize=11)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _log_cost(axes: Axes, positive: FloatArray, *, free: bool) -> None:
    """A free point has no logarithm: where there is one, the axis is linear below the cheapest paid point."""
    from matplotlib.ticker import LogLocator

    if free:
        axes.set_xscale("symlog", linthresh=float(positive.min()))
    else:
        axes.set_xscale("log")
        steps = (1.0, 2.0, 5.0) if positive.max() < 1000.0 * positive.min() else (1.0,)
        axes.xaxis.set_major_locator(LogLocator(subs=steps))
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _frontier(axes: Axes, points: list[Point]) -> None:
    points = sorted(points, key=lambda p: (p.cost, p.avg_acc))
    cost = np.repeat([p.cost for p in points], 2)[1:]  # along to the next point, then up
    acc = np.repeat([100 * p.avg_acc for p in points], 2)[:-1]
    axes.plot(cost, acc, color="#bbbbbb", linewidth=1.2, zorder=1, label="frontier of all points")


def _router(axes: Axes, board: Leaderboard, name: str, colour: str, marker: str) -> None:
    """The sweep of one router, and a larger mark where validation put it."""
    points = [point for point in board.points if point.kind == "router" and point.name == name]
    if len(points) > 1:
        points.sort(key=lambda point: point.index)
        cost, acc = [p.cost for p in points], [100 * p.avg_acc for p in points]
        axes.plot(cost, acc, color=colour, linewidth=0.8, alpha=0.6, marker=marker, markersize=2.6, zorder=4)
    row = board[name]
    if math.isfinite(row.cost.value):
        at = [row.cost.value], [100 * row.avg_acc.value]
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 9.0, "markeredgecolor": "white"}
        axes.plot(*at, linestyle="none", zorder=5, label=name, **style)


def _label_models(axes: Axes, models: list[Point], board: Leaderboard) -> None:
    """Name single models, the important ones first, each where its name covers nothing; without room, not at all."""
    taken = _drawn(axes, models)
    scale = axes.figure.dpi / 72.0
    frame = _corners(axes.bbox)
    order = sorted(models, key=lambda p: (p.name != board.base, not p.on_frontier, -p.avg_acc))
    for point in order:
        x, y = axes.transData.transform((point.cost, 100 * point.avg_acc))
        width, height = 0.56 * _LABEL_SIZE * len(point.name) * scale, 1.15 * _LABEL_SIZE * scale
        for dx, dy in _OFFSETS:
            left = x + dx * scale - width * (0.0 if dx > 0 else 1.0 if dx < 0 else 0.5)
            bottom = y + dy * scale - height * (0.0 if dy > 0 else 1.0 if dy < 0 else 0.5)
            box = (left, bottom, left + width, bottom + height)
            if _inside(box, frame) and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                _write(axes, point, dx, dy, bold=point.name == board.base)
                break


def _drawn(axes: Axes, models: list[Point]) -> list[Box]:
    """Boxes in pixels that a label must not cover: single models, marks, lines cut into short pieces, the legend."""
    legend = axes.get_legend()
    boxes = [] if legend is None else [_corners(legend.get_window_extent())]
    lines = [np.asarray(line.get_xydata(), dtype=np.float64) for line in axes.lines]
    for line in [*lines, *(np.array([[p.cost, 100 * p.avg_acc]]) for p in models)]:
        ends = axes.transData.transform(line)
        steps = np.maximum(1, np.ceil(np.abs(np.diff(ends, axis=0)).max(axis=1) / 6.0)).astype(np.int64)
        pieces = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(ends[:-1], ends[1:], steps, strict=True)]
        boxes += [(x - 4, y - 4, x + 4, y + 4) for x, y in np.concatenate([*pieces, ends[-1:]]).tolist()]
    return boxes


Box = tuple[float, float, float, float]


def _corners(box: BboxBase) -> Box:
    return box.x0, box.y0, box.x1, box.y1


def _inside(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _write(axes: Axes, point: Point, dx: float, dy: float, *, bold: bool) -> None:
    axes.annotate(
        point.name,
        (point.cost, 100 * point.avg_acc),
        xytext=(dx, dy),
        textcoords="offset points",
        ha="left" if dx > 0 else "right" if dx < 0 else "center",
        va="bottom" if dy > 0 else "top" if dy < 0 else "center",
        fontsize=_LABEL_SIZE,
        color="#444444",
        fontweight="bold" if bold else "normal",
    )


def pareto_files(board: Leaderboard) -> dict[str, bytes]:
    """The figure as file contents, "pareto.png" and "pareto.svg"; the same bytes for the same board."""
    import matplotlib

    figure = pareto_figure(board)
    out = {}
    with matplotlib.rc_context({"svg.hashsalt": "llmrouterbench"}):
        for kind, key in (("png", "Software"), ("svg", "Date")):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata={key: None})
            out[f"pareto.{kind}"] = buffer.getvalue()
    return out
