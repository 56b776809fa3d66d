"""Figure 9: accuracy, cost and latency of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from llmrouterbench.numerals import count
from llmrouterbench.numerals import seconds as in_seconds
from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_seconds
from llmrouterbench.reporting.figures.labels import label_points
from llmrouterbench.reporting.figures.picture import GREY, Picture, canvas, cost_axis, drawing, numbered
from llmrouterbench.studies.latency import frontier
from llmrouterbench.table import BoolArray, FloatArray

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes


@drawing
def latency_picture(
    names: Sequence[str],
    acc: ArrayLike,
    cost: ArrayLike,
    seconds: ArrayLike,
    *,
    cost_label: str = "cost of a query, USD",
    title: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Picture:
    """Draw accuracy (m,), a fraction, over cost (m,) in USD, coloured by seconds (m,) a query; slow is dark and large.

    A ring marks models that no other one beats in all three; a hollow point has unknown seconds, and a model without
    accuracy or cost is only in the data.

    Raises ValueError where no model has all three. Source: section 4.2.2, Figure 9.
    """
    table = np.column_stack([np.asarray(part, dtype=np.float64) for part in (acc, cost, seconds)])
    placed: BoolArray = np.asarray(np.isfinite(table[:, :2]).all(axis=1))
    timed: BoolArray = placed & np.isfinite(table[:, 2]) & (table[:, 2] > 0)
    if not timed.any():
        raise ValueError("a figure of latency needs a model with accuracy, cost and seconds, got none; give it seconds")
    best = frontier(table[:, 0], table[:, 1], table[:, 2])
    said = ["Ring: no other model is as accurate, as cheap and as fast."]
    said += ["Hollow: seconds unknown."] * bool((placed & ~timed).any())
    said += [f"{count((~placed).sum())} models without a known accuracy or cost are not drawn."] * int((~placed).any())
    figure, (axes,) = canvas(f"Accuracy, cost and latency: {title}", 5.0, simulated=simulated, notes=[*said, *notes])
    cost_axis(axes, table[placed, 1])
    hollow = table[np.logical_and(placed, ~timed)]
    axes.scatter(hollow[:, 1], 100 * hollow[:, 0], s=40, facecolors="none", edgecolors=GREY)
    _timed(axes, table[timed], best[timed])
    axes.set(xlabel=cost_label, ylabel="accuracy, %")
    axes.margins(0.1)
    figure.draw_without_rendering()  # the layout must stand before labels are placed by pixels
    order = [i for i in np.lexsort((-table[:, 0], ~timed, ~best)).tolist() if placed[i]]
    labels = [numbered(names[i], f", {in_seconds(table[i, 2])}") if timed[i] else names[i] for i in order]
    label_points(axes, np.column_stack([table[order, 1], 100 * table[order, 0]]), labels, gap=1.3)
    return Picture(figure, _table(names, table, best), (*said, *notes))


def _table(names: Sequence[str], table: FloatArray, best: BoolArray) -> pl.DataFrame:
    import polars as pl

    numbers = {"accuracy_percent": 100 * table[:, 0], "cost_usd": table[:, 1], "seconds": table[:, 2]}
    return pl.DataFrame({"name": list(names), **numbers, "on_frontier": best}).fill_nan(None)


def _timed(axes: Axes, table: FloatArray, best: BoolArray) -> None:
    """Points (k, 3) of accuracy, cost and seconds, with the colours of the seconds in a bar beside."""
    from matplotlib.colors import LogNorm

    low, high = float(table[:, 2].min()), float(table[:, 2].max())
    high = high if high > low else 2 * low
    size = 30 + 60 * np.log(table[:, 2] / low) / np.log(high / low)
    look: dict[str, Any] = {"cmap": "cividis_r", "norm": LogNorm(low, high), "edgecolors": "#D55E00", "zorder": 3}
    dots = axes.scatter(
        table[:, 1], 100 * table[:, 0], s=size, c=table[:, 2], linewidths=np.where(best, 1.8, 0.0).tolist(), **look
    )
    bar = dots.figure.colorbar(dots, ax=axes, format=lambda value, _: f"{value:g}", pad=0.02)
    bar.set_ticks(sorted({float(f"{value:.2g}") for value in np.geomspace(low, high, 5)}))
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=8)
    bar.set_label("seconds a query", fontsize=8)


def _picture(material: Material) -> Picture:
    """Means over all queries."""
    names = [point.model for point in material.latencies]
    planes = ([getattr(point, what).value for point in material.latencies] for what in ("score", "cost", "seconds"))
    return latency_picture(names, *planes, **material.look)


EXHIBIT = Exhibit("Figure 9: accuracy, cost and latency", (needs_seconds,), picture=_picture, place=109)
