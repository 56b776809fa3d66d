"""Figure 5: how many models solve a query, how often routers are right there, and model-recall failures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from llmrouterbench.benching.replay import ORACLE
from llmrouterbench.numerals import count, percent
from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_runs
from llmrouterbench.reporting.figures.curves import Curve, check_curves, curve_table
from llmrouterbench.reporting.figures.picture import (
    COLOURS,
    MARKERS,
    MOST_LINES,
    Picture,
    canvas,
    drawing,
    left_out,
    legend_beside,
    literal,
)
from llmrouterbench.studies.hardness import hardness
from llmrouterbench.table import FloatArray, IntArray

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes

_MOST_BARS = 26


@drawing
def hardness_picture(
    solved_by: ArrayLike,
    queries: ArrayLike,
    accuracy: Mapping[str, Curve],
    *,
    few: int = 3,
    title: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Picture:
    """Draw the queries that exactly 0, 1, 2, ... models solve, and the accuracy of routers on them.

    solved_by  (k,) numbers of models that solve a query
    queries    (k,) test queries that so many models solve
    accuracy   router -> mean score there (k,), a fraction; NaN where there is none
    few        up to that many models, and at least one, is where a router can fail to recall the right model

    Draws the seven most accurate routers and joins numbers of models into at most 26 bars. Raises ValueError where the
    lengths differ or there is no query. Source: Figure 5 (410 queries that one to three models solve).
    """
    solved, given = np.asarray(solved_by, dtype=np.int64), np.asarray(queries, dtype=np.float64)
    if len(solved) != len(given) or not given.sum() > 0:
        raise ValueError(
            f"a figure of hardness needs queries for each of {len(solved)} counts, got {given.tolist()[:9]}"
        )
    check_curves(solved.astype(np.float64), accuracy, "a figure of hardness")
    counts = _dense(solved, given, 0.0)
    lines = {name: _dense(solved, curve.value, math.nan) for name, curve in accuracy.items()}
    overall = {name: _weighted(values, counts) for name, values in lines.items()}
    ranked = sorted(lines, key=lambda name: (-np.nan_to_num(overall[name], nan=-1.0), name))
    drawn = ranked[:MOST_LINES]
    said = (_failures(counts, lines, ranked, few), *left_out(len(ranked), len(drawn), "routers", "accuracy"), *notes)
    settings: dict[str, Any] = {"sharex": True, "gridspec_kw": {"height_ratios": (3, 2)}}
    figure, (top, bottom) = canvas(f"Query hardness: {title}", 5.0, (2, 1), simulated=simulated, notes=said, **settings)
    edges = _edges(len(counts))
    _bars(bottom, counts, edges)
    handles = [_line(top, counts, lines[name], edges, i) for i, name in enumerate(drawn)]
    for axes in (top, bottom):
        axes.axvspan(0.5, _position(edges, few) + 0.5, color="#fff2cc", zorder=0, linewidth=0)
    top.set(ylim=(-4, 104), ylabel="router accuracy, %")
    legend_beside(top, handles, drawn)
    return Picture(figure, _table(solved, given, {name: accuracy[name] for name in ranked}), said)


def _table(solved: IntArray, queries: FloatArray, accuracy: Mapping[str, Curve]) -> pl.DataFrame:
    import polars as pl

    axis = solved.astype(np.float64)
    sizes = pl.DataFrame({"models_that_solve": axis, "queries": queries})
    return curve_table("models_that_solve", axis, accuracy, {}).join(sizes, on="models_that_solve", how="left")


def _dense(solved: IntArray, values: FloatArray, empty: float) -> FloatArray:
    """Values by number of models 0, 1, ... up to the largest."""
    out = np.full(int(solved.max()) + 1, empty)
    out[solved] = values
    return out


def _weighted(values: FloatArray, counts: FloatArray) -> float:
    known = np.isfinite(values) & (counts > 0)
    return float(np.average(values[known], weights=counts[known])) if known.any() else math.nan


def _failures(counts: FloatArray, accuracy: Mapping[str, FloatArray], ranked: Sequence[str], few: int) -> str:
    """The sentence on queries that one to `few` models solve."""
    part, total = counts[1 : few + 1], float(counts.sum())
    right = [(name, _weighted(accuracy[name][1 : few + 1], part)) for name in ranked[:3]]
    said = ", ".join(
        f"{literal(name)} is right on {percent(value, unit=' %')}" for name, value in right if not math.isnan(value)
    )
    share = f"{count(part.sum())} queries ({percent(part.sum() / total, unit=' %')})"
    return f"Shaded: {share} that 1 to {few} models solve{'; of them ' if said else ''}{said}."


def _edges(size: int) -> FloatArray:
    """Starts of the bars over counts 0..size - 1, with the end: 0 stands alone, the others are joined evenly."""
    width = max(1, math.ceil((size - 1) / (_MOST_BARS - 1)))
    return np.array([0, *range(1, size, width), size], dtype=np.float64)


def _position(edges: FloatArray, count: int) -> int:
    return int(np.searchsorted(edges, count, side="right")) - 1


def _bars(axes: Axes, counts: FloatArray, edges: FloatArray) -> None:
    starts = edges[:-1].astype(np.int64)
    axes.bar(range(len(starts)), np.add.reduceat(counts, starts), color="#9ecae1", edgecolor=COLOURS[0], linewidth=0.6)
    ends = edges[1:].astype(np.int64) - 1
    names = [f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    turned = any(len(name) > 3 for name in names)
    axes.set_xticks(range(len(starts)), names, rotation=90 if turned else 0)
    axes.set_xlabel("models that solve the query")
    axes.set_ylabel("queries")
    axes.grid(visible=False, axis="x")


def _line(axes: Axes, counts: FloatArray, values: FloatArray, edges: FloatArray, i: int) -> Any:
    """Accuracy of one router, averaged over the counts of each bar by their queries."""
    pairs = zip(edges[:-1].astype(int).tolist(), edges[1:].astype(int).tolist(), strict=True)
    joined = np.array([_weighted(values[a:b], counts[a:b]) for a, b in pairs])
    look: dict[str, Any] = {"color": COLOURS[i], "marker": MARKERS[i], "markersize": 4, "linewidth": 1.2}
    at = np.flatnonzero(np.isfinite(joined))
    return axes.plot(at, 100 * joined[at], **look)[0]


def _picture(material: Material) -> Picture:
    """On the test part, mean over seeds."""
    made = hardness(material.runs, played=material.played, **material.draws)
    accuracy = {name: Curve.of(values) for name, values in made.accuracy.items() if name != ORACLE}
    return hardness_picture(made.solved_by, made.queries, accuracy, **material.look)


EXHIBIT = Exhibit(
    "Figure 5: query hardness, router accuracy and recall failures",
    (needs_runs("accuracies of routers", 1),),
    picture=_picture,
    place=105,
)
