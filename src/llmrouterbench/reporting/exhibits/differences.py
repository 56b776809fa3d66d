"""Routers against each other: every paired difference in AvgAcc, and whether it is noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_runs
from llmrouterbench.reporting.figures.matrix import ROW, matrix_panel
from llmrouterbench.reporting.figures.picture import Picture, canvas, drawing, left_out
from llmrouterbench.reporting.frames import ends, rows_frame, wide_frame
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
    return Picture(figure, data, said)


def _picture(material: Material) -> Picture:
    """On the test part, over seeds."""
    found = material.differences
    note = (
        f"Coloured: a difference, {found.control.title()}-corrected over all pairs at level {found.alpha:g};"
        " dot: not distinguishable."
    )
    matrices = found.names, found.difference, found.adjusted
    return differences_picture(*matrices, alpha=found.alpha, notes=[note], **material.look)


def _table(material: Material) -> pl.DataFrame:
    """One line a pair of routers: the difference in AvgAcc (router minus other), its p-value, and what that means."""
    found = material.differences
    pairs = [(i, j) for i in range(len(found.names)) for j in range(i + 1, len(found.names))]
    rows = [
        {
            "router": found.names[i],
            "other": found.names[j],
            **ends("difference_percent", found.at(i, j)),
            "p": found.p[i, j],
            f"p_{found.control.replace('-', '_')}": found.adjusted[i, j],
            "verdict": found.says(i, j),
        }
        for i, j in pairs
    ]
    return rows_frame(rows, ("router", "other", "verdict"))


EXHIBIT = Exhibit(
    "Routers against each other, corrected for comparing all pairs",
    (needs_runs("scores of routers", 2),),
    table=_table,
    picture=_picture,
    place=202,
    of_logs=True,
)
