"""Learning curve: AvgAcc of routers over the number of labelled train queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from llmrouterbench.numerals import count
from llmrouterbench.reporting.figures.curves import Curve, check_curves, curve_table, draw_curves, draw_levels
from llmrouterbench.reporting.figures.picture import MOST_LINES, Picture, canvas, drawing, left_out, legend_beside


@drawing
def learning_picture(
    queries: ArrayLike,
    curves: Mapping[str, Curve],
    *,
    levels: Mapping[str, float] | None = None,
    label: str = "AvgAcc on test, %",
    title: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Picture:
    """Draw AvgAcc over `queries` (k,) labelled train queries, a curve a router; `levels` are Best Single and the like.

    `label` says what the values are where they are not AvgAcc itself, such as a gain in points.

    The seven curves with the best last value are drawn. Raises ValueError without curves, where a curve has another
    length than `queries`, or where a number of queries is not positive.
    """
    x, lines = np.asarray(queries, dtype=np.float64), levels or {}
    check_curves(x, curves, "a learning curve")
    if (x <= 0).any():
        raise ValueError(f"numbers of train queries must be positive, got {x.min():g}; leave that point out")
    ranked = dict(sorted(curves.items(), key=lambda item: -np.nan_to_num(item[1].value[-1], nan=-np.inf)))
    drawn = dict(list(ranked.items())[:MOST_LINES])
    said = (*left_out(len(ranked), len(drawn), "routers", "the last AvgAcc"), *notes)
    figure, (axes,) = canvas(f"Learning curve: {title}", 4.4, simulated=simulated, notes=said)
    handles = draw_curves(axes, x, drawn)
    if len(x) > 1:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(x, [count(value) for value in x])
    axes.set_xlabel("labelled train queries")
    axes.set_ylabel(label)
    marks, names = draw_levels(axes, lines)
    legend_beside(axes, [*handles, *marks], [*drawn, *names])
    return Picture(figure, curve_table("train_queries", x, ranked, lines), said)
