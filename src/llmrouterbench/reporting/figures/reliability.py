"""Calibration: whether replies that a router expects to be right with 70 % are right in 70 % of the cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

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
from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Calibration:
    """Estimates against scores in equal bins of the estimate; NaN where a bin is empty.

    expected  (bins,) mean estimate
    observed  (bins,) mean score
    count     (bins,) estimates in the bin
    error     expected calibration error: mean of abs(expected - observed), weighted by count
    """

    expected: FloatArray
    observed: FloatArray
    count: FloatArray
    error: float


def calibrate(estimate: ArrayLike, score: ArrayLike, bins: int = 10) -> Calibration:
    """Bin estimates (k,) in [0, 1] and their scores (k,); pairs with an unknown side are left out.

    Estimates outside [0, 1] go to the outer bins. Source: Guo et al., On Calibration of Modern Neural Networks (arXiv
    1706.04599), section 2. Raises ValueError where no pair is known.

    >>> made = calibrate([0.1, 0.1, 0.9, 0.9], [0.0, 0.0, 1.0, 0.0], bins=2)
    >>> made.observed.tolist(), round(made.error, 2)
    ([0.0, 0.5], 0.25)
    """
    p, s = (np.asarray(part, dtype=np.float64).ravel() for part in (estimate, score))
    known = np.isfinite(p) & np.isfinite(s)
    if not known.any():
        raise ValueError("a calibration needs an estimate with a measured score, got none; give it a test part")
    p, s = p[known], s[known]
    at = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(at, minlength=bins).astype(np.float64)
    empty = np.full(bins, np.nan)
    expected = np.divide(np.bincount(at, p, bins), count, out=empty.copy(), where=count > 0)
    observed = np.divide(np.bincount(at, s, bins), count, out=empty, where=count > 0)
    error = float(np.nansum(np.abs(expected - observed) * count) / count.sum())
    return Calibration(expected, observed, count, error)


@drawing
def reliability_picture(
    curves: Mapping[str, Calibration], *, title: str = "", simulated: bool = False, notes: Sequence[str] = ()
) -> Picture:
    """Draw mean score over mean estimate, a line a router, and how many estimates each bin holds below.

    The seven with the least calibration error are drawn. Raises ValueError without curves.
    """
    if not curves:
        raise ValueError("a calibration figure needs at least one curve, got none; use calibrate first")
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
    names = [numbered(name, f" ({100 * curves[name].error:.1f})") for name in drawn]
    legend_beside(top, handles, names, "calibration error, %")
    return Picture("reliability", figure, _table({name: curves[name] for name in ranked}), said)


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
