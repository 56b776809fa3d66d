"""A table drawn as coloured cells with their numbers: the panel of the heat map and the routing distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.numerals import number
from llmrouterbench.reporting.figures.picture import LABEL, literal, rows_axis
from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.22
"""Inches a row of cells needs."""
_FEW_COLUMNS = 17
_FLAT = 4
"""Columns whose names fit side by side."""


def matrix_panel(
    axes: Axes,
    values: FloatArray,
    rows: Sequence[str],
    columns: Sequence[str],
    colours: str,
    *,
    span: tuple[float, float] | None = None,
    sign: str = "",
    numbers: int = _FEW_COLUMNS,
    small: bool = False,
) -> None:
    """Draw values (rows, columns), percent; a cell without a value is empty. Numbers stand in up to `numbers` columns.

    `span` is what the colours stand for, the range of the values when not given; `small` values have a decimal.
    """
    from matplotlib import colormaps

    low, high = span or _range(values)
    shade = colormaps[colours]
    axes.imshow(np.ma.masked_invalid(values), cmap=shade, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    rows_axis([axes], rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    look: dict[str, Any] = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"} if len(columns) > _FLAT else {}
    axes.set_xticks(range(len(columns)), [literal(name, 30) for name in columns], fontsize=8, **look)
    axes.tick_params(axis="x", length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if len(columns) > numbers:
        return
    digits = 1 if small or high <= 1.0 else 0
    for i, j in np.argwhere(np.isfinite(values)).tolist():
        red, green, blue, _ = shade((values[i, j] - low) / (high - low))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        axes.text(
            j,
            i,
            number(values[i, j], digits, sign),
            ha="center",
            va="center",
            fontsize=LABEL,
            color="white" if dark else "black",
        )


def _range(values: FloatArray) -> tuple[float, float]:
    """Smallest and largest known value; an interval also where all are equal."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0
