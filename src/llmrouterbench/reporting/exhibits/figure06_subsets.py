"""Figure 6: the oracle of top-k, random and curated subsets of the pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from llmrouterbench.reporting.exhibits._material import Exhibit, Material
from llmrouterbench.reporting.figures.curves import Curve, check_curves, curve_table, draw_curves, draw_levels
from llmrouterbench.reporting.figures.picture import Picture, canvas, drawing, legend_beside


@drawing
def subsets_picture(
    size: ArrayLike,
    curves: Mapping[str, Curve],
    *,
    levels: Mapping[str, float] | None = None,
    title: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Picture:
    """Draw the oracle AvgAcc of subsets of `size` (k,) models, one curve a way to choose them, and reference levels.

    Raises ValueError without curves or where a curve has another length than `size`. Source: Figure 6.
    """
    from matplotlib.ticker import MaxNLocator

    x, lines = np.asarray(size, dtype=np.float64), levels or {}
    check_curves(x, curves, "a figure of subsets")
    figure, (axes,) = canvas(f"Oracle of subsets of the pool: {title}", 4.4, simulated=simulated, notes=notes)
    handles = draw_curves(axes, x, curves)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("models in the subset")
    axes.set_ylabel("oracle AvgAcc, %")
    marks, names = draw_levels(axes, lines)
    legend_beside(axes, [*handles, *marks], [*list(curves)[: len(handles)], *names])
    return Picture(figure, curve_table("models", x, curves, lines), tuple(notes))


def _picture(material: Material) -> Picture:
    curves = {curve.name: Curve.of(curve.oracle) for curve in material.curves}
    note = "Curated and top-k subsets are chosen on the same queries, in hindsight; random is the expectation."
    return subsets_picture(material.curves[0].size, curves, notes=[note], **material.look)


EXHIBIT = Exhibit("Figure 6: oracle of curated, top-k and random subsets", picture=_picture, place=106)
