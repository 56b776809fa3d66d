"""Calibration: whether replies that a router expects to be right with 70 % are right in 70 % of the cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.metrics import Calibration
from llmrouterbench.numerals import percent
from llmrouterbench.reporting.figures.picture import (
    COLOURS,
    GREY,
    MARKERS,
    MOST_LINES,
    Picture,
    canvas,
    drawing,
    left_out,
    legend_beside,
    numbered,
)

if TYPE_CHECKING:
    import polars as pl


@drawing
def reliability_picture(
    curves: Mapping[str, Calibration], *, title: str = "", simulated: bool = False, notes: Sequence[str] = ()
) -> Picture:
    """Draw mean score over mean estimate, a line a router, and how many estimates each bin holds below.

    The seven with the least calibration error are drawn. Raises ValueError without curves.
    """
    if not curves:
        raise ValueError("a calibration figure needs at least one curve, got none; use metrics.calibrate first")
    ranked = sorted(curves, key=lambda name: (curves[name].error, name))
    drawn = ranked[:MOST_LINES]
    said = (*left_out(len(ranked), len(drawn), "routers", "calibration error"), *notes)
    settings: dict[str, Any] = {"sharex": True, "gridspec_kw": {"height_ratios": (3, 1)}}
    figure, (top, bottom) = canvas(f"Calibration: {title}", 5.4, (2, 1), simulated=simulated, notes=said, **settings)
    top.plot([0, 100], [0, 100], color=GREY, linewidth=1.0, linestyle="--")
    handles = []
    for name, colour, marker in zip(drawn, COLOURS, MARKERS, strict=False):
        curve = curves[name]
        known = curve.count > 0
        look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": 1.3}
        handles += top.plot(100 * curve.expected[known], 100 * curve.observed[known], **look)
        bottom.stairs(curve.count, np.linspace(0, 100, len(curve.count) + 1), color=colour, linewidth=1.2)
    top.set(xlim=(-2, 102), ylim=(-4, 104), ylabel="mean score, %")
    bottom.set(xlabel="estimated score, %", ylabel="estimates")
    names = [numbered(name, f" ({percent(curves[name].error)})") for name in drawn]
    legend_beside(top, handles, names, "calibration error, %")
    return Picture(figure, _table({name: curves[name] for name in ranked}), said)


def _table(curves: Mapping[str, Calibration]) -> pl.DataFrame:
    import polars as pl

    parts = [
        {
            "name": [name] * len(curve.count),
            "estimate_percent": 100 * curve.expected,
            "score_percent": 100 * curve.observed,
            "estimates": curve.count,
            "calibration_error_percent": [100 * curve.error] * len(curve.count),
        }
        for name, curve in curves.items()
    ]
    return pl.concat([pl.DataFrame(part) for part in parts]).fill_nan(None)
