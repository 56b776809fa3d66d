"""Routers against each other: every paired difference in AvgAcc, coloured where it is no noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmrouterbench.reporting.figures.matrix import ROW, matrix_panel
from llmrouterbench.reporting.figures.picture import Picture, canvas, drawing, left_out
from llmrouterbench.reporting.frames import wide_frame
from llmrouterbench.table import FloatArray

_MOST = 20


@drawing
def differences_picture(
    names: Sequence[str],
    difference: FloatArray,
    adjusted: FloatArray,
    *,
    alpha: float = 0.05,
    title: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Picture:
    """Draw differences (k, k) of row minus column, fractions shown as points, the best router first.

    A cell is coloured where the corrected p-value `adjusted` (k, k) is below `alpha`; the others show a dot. Raises
    ValueError where the shapes do not fit. The first 20 routers are drawn.
    """
    k = len(names)
    if not k or difference.shape != (k, k) or adjusted.shape != (k, k):
        raise ValueError(f"differences must be (routers, routers) = ({k}, {k}), got {difference.shape}")
    points = 100 * difference
    certain = adjusted < alpha
    shown = list(names)[:_MOST]
    values = np.where(certain, points, np.nan)[:_MOST, :_MOST]
    said = (*left_out(k, len(shown), "routers", "AvgAcc"), *notes)
    figure, (axes,) = canvas(
        f"Row minus column, points of AvgAcc: {title}", 1.9 + 1.1 * ROW * len(shown), simulated=simulated, notes=said
    )
    most = float(np.nanmax(np.abs(values), initial=0.1))
    matrix_panel(axes, values, shown, shown, "PuOr", span=(-most, most), sign="+", numbers=_MOST, small=True)
    for i, j in np.argwhere(~np.isfinite(values)).tolist():
        axes.text(j, i, "" if i == j else "·", ha="center", va="center", color="#777777", fontsize=11)
    data = wide_frame({"router": names}, names, points)
    return Picture("differences", figure, data, said)
