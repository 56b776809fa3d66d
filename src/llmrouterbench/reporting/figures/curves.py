"""Curves with bands over a common axis: the panel of the subset and the learning-curve figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.numerals import percent
from llmrouterbench.reporting.figures.picture import COLOURS, GREY, MARKERS, numbered
from llmrouterbench.stats import Interval
from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Curve:
    """Values (k,) over a common axis, fractions, with a band; NaN where there is none."""

    value: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, intervals: Sequence[Interval]) -> Curve:
        """A row of numbers with their intervals as a curve."""
        parts = np.array([(one.value, one.low, one.high) for one in intervals], dtype=np.float64).reshape(-1, 3)
        return cls(*parts.T)

    @classmethod
    def plain(cls, value: FloatArray) -> Curve:
        """A curve without a band."""
        nothing = np.full(len(value), np.nan)
        return cls(np.asarray(value, dtype=np.float64), nothing, nothing)


def check_curves(x: FloatArray, curves: Mapping[str, Curve], what: str) -> None:
    """Raise ValueError unless there is a curve and every one has a value for each x."""
    if not curves or not len(x):
        raise ValueError(f"{what} needs at least one curve of one point, got none; give it values")
    for name, curve in curves.items():
        if not len(x) == len(curve.value) == len(curve.low) == len(curve.high):
            raise ValueError(f"{what}: curve {name!r} must have {len(x)} values, got {len(curve.value)}")


def draw_curves(axes: Axes, x: FloatArray, curves: Mapping[str, Curve]) -> list[Any]:
    """Draw at most seven curves in percent, and their bands; returns the handles for the legend."""
    handles = []
    for curve, colour, marker in zip(curves.values(), COLOURS, MARKERS, strict=False):
        axes.fill_between(x, 100 * curve.low, 100 * curve.high, color=colour, alpha=0.15, linewidth=0)
        look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": 1.5}
        handles += axes.plot(x, 100 * curve.value, **look)
    return handles


def draw_levels(axes: Axes, levels: Mapping[str, float]) -> tuple[list[Any], list[str]]:
    """Grey lines at reference values (fractions); returns handles and names with their values for the legend."""
    handles = []
    for value, style in zip(levels.values(), cycle(("--", ":", "-.")), strict=False):
        handles.append(axes.axhline(100 * value, color=GREY, linewidth=1.3, linestyle=style, zorder=1))
    return handles, [numbered(name, f" ({percent(value)})") for name, value in levels.items()]


def curve_table(axis: str, x: FloatArray, curves: Mapping[str, Curve], levels: Mapping[str, float]) -> pl.DataFrame:
    """One line a point of a curve, and one a reference value with an empty axis; percent."""
    import polars as pl

    parts = [
        pl.DataFrame(
            {
                "curve": [name] * len(x),
                axis: np.asarray(x, dtype=np.float64),
                "percent": 100 * curve.value,
                "percent_low": 100 * curve.low,
                "percent_high": 100 * curve.high,
            }
        )
        for name, curve in curves.items()
    ]
    lines = {"curve": list(levels), "percent": [100 * value for value in levels.values()]}
    return pl.concat(
        [*parts, pl.DataFrame(lines, schema={"curve": pl.String, "percent": pl.Float64})], how="diagonal"
    ).fill_nan(None)
