"""Horizontal bars with intervals and the number beside each: a panel that several figures are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.numerals import NONE, percent
from llmrouterbench.reporting.figures.picture import COLOURS, LABEL
from llmrouterbench.stats import UNKNOWN_NUMBER, Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.24
"""Inches a row of bars needs."""
_DIAMOND: dict[str, Any] = {"markersize": 4.5, "markerfacecolor": "white", "color": "#D55E00"}


def bar_panel(
    axes: Axes,
    values: Sequence[Interval | None],
    title: str,
    *,
    sign: str = "",
    hatched: Sequence[bool] | None = None,
    marks: Sequence[float] = (),
) -> None:
    """Draw values (rows,), fractions shown as percent; None has no bar and says "none", hatched rows are references.

    A diamond stands at each of `marks` (rows,), where there is one.
    """
    drawn = [one or UNKNOWN_NUMBER for one in values]
    numbers = 100 * np.array([(one.value, one.low, one.high) for one in drawn]).reshape(-1, 3)
    known = np.isfinite(numbers)
    width = np.where(known[:, 0], numbers[:, 0], 0.0)
    bars = axes.barh(range(len(values)), width, height=0.68, color="#9ecae1", edgecolor=COLOURS[0], linewidth=0.6)
    for bar, reference in zip(bars, hatched or [False] * len(values), strict=True):
        if reference:
            bar.set(facecolor="#eeeeee", edgecolor="#777777", hatch="////")
    rows = np.flatnonzero(known.all(axis=1))
    axes.hlines(rows, numbers[rows, 1], numbers[rows, 2], color="#222222", linewidth=1.0)
    places = 100 * np.array(marks if len(marks) else [np.nan] * len(values), dtype=np.float64)
    axes.plot(places, range(len(values)), linestyle="none", marker="D", **_DIAMOND)
    reach = np.nan_to_num(np.column_stack([numbers, places]), nan=0.0)
    ends = reach.max(axis=1, initial=0.0)
    low, high = float(reach.min(initial=0.0)), float(ends.max(initial=0.0))
    room = (high - low) or 1.0
    axes.set_xlim(low - 0.05 * room, high + 0.42 * room)
    for row, (one, end) in enumerate(zip(values, ends.tolist(), strict=True)):
        text = NONE if one is None else percent(one.value, sign=sign)
        axes.text(end + 0.03 * room, row, text, va="center", fontsize=LABEL)
    axes.axvline(0.0, color="#222222", linewidth=0.8)
    axes.set_title(title, loc="left", fontsize=9)
