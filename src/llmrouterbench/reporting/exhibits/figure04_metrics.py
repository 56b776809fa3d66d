"""Figure 4: AvgAcc, Gain@R, Gain@B and Gap@O of routers and references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmrouterbench.benching.replay import DATASET_ORACLE_PAPER
from llmrouterbench.metrics import avg_acc, gain, gap
from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_runs
from llmrouterbench.reporting.figures.bars import ROW, bar_panel
from llmrouterbench.reporting.figures.picture import (
    MOST_ROWS,
    Picture,
    canvas,
    drawing,
    first_rows,
    left_out,
    rows_axis,
)
from llmrouterbench.stats import Interval
from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    import polars as pl

_PANELS = (
    ("avg_acc", "AvgAcc, %", ""),
    ("gain_r", "Gain@R, %", "+"),
    ("gain_b", "Gain@B, %", "+"),
    ("gap_o", "Gap@O, %", ""),
)


@dataclass(frozen=True)
class MetricRow:
    """The four metrics of one router, as fractions; `reference` rows are hatched."""

    name: str
    avg_acc: Interval
    gain_r: Interval
    gain_b: Interval
    gap_o: Interval
    reference: bool = False


def metric_rows(
    acc: Mapping[str, FloatArray],
    *,
    random: FloatArray,
    base: FloatArray,
    oracle: FloatArray,
    references: Sequence[str] = (),
) -> list[MetricRow]:
    """Rows without intervals from accuracies (datasets,) by name, fractions; NaN where a dataset was not measured.

    >>> row, = metric_rows({"r": np.array([0.6])}, random=np.array([0.3]), base=np.array([0.5]), oracle=np.array([0.8]))
    >>> round(row.gain_r.value, 3), round(row.gap_o.value, 3)
    (1.0, 0.25)
    """

    def alone(value: FloatArray) -> Interval:
        return Interval(float(value), float("nan"), float("nan"))

    return [
        MetricRow(
            name, alone(avg_acc(mine)), alone(gain(mine, random)), alone(gain(mine, base)), alone(gap(mine, oracle)),
            name in references,
        )
        for name, mine in acc.items()
    ]  # fmt: skip


@drawing
def metrics_picture(
    rows: Sequence[MetricRow], *, title: str = "", simulated: bool = False, notes: Sequence[str] = ()
) -> Picture:
    """Draw a bar a row in each of four panels, the best AvgAcc on top, with 95 % intervals where there are any.

    Raises ValueError without rows. Source: Figure 4.
    """
    if not rows:
        raise ValueError("a figure of metrics needs at least one router, got none; run a bench")
    ranked = [rows[i] for i in first_rows(np.array([row.avg_acc.value for row in rows]), len(rows))]
    drawn = ranked[:MOST_ROWS]
    said = (*left_out(len(rows), len(drawn), "rows", "AvgAcc"), *notes)
    figure, axes = canvas(
        f"Metrics: {title}", 1.0 + ROW * len(drawn), (1, 4), simulated=simulated, notes=said, sharey=True
    )
    for panel, (name, label, sign) in zip(axes, _PANELS, strict=True):
        values = [getattr(row, name) for row in drawn]
        bar_panel(panel, values, label, sign=sign, hatched=[row.reference for row in drawn])
    rows_axis(axes, [row.name for row in drawn])
    return Picture(figure, _table(ranked), said)


def _table(rows: Sequence[MetricRow]) -> pl.DataFrame:
    import polars as pl

    columns: dict[str, list[object]] = {
        "name": [row.name for row in rows],
        "reference": [row.reference for row in rows],
    }
    for name, _, _ in _PANELS:
        for part, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
            columns[f"{name}_percent{ending}"] = [100 * getattr(getattr(row, name), part) for row in rows]
    return pl.DataFrame(columns).fill_nan(None)


def _picture(material: Material) -> Picture:
    """Routers where validation put them, Best Single and the Dataset Oracle."""
    board = material.board
    rows = [
        MetricRow(row.name, row.avg_acc, row.gain_r, row.gain_b, row.gap_o, row.kind == "reference")
        for row in [*board.of_kind("router"), board["Best Single"], board[DATASET_ORACLE_PAPER]]
    ]
    return metrics_picture(rows, notes=["Hatched: references."], **material.look)


EXHIBIT = Exhibit(
    "Figure 4: AvgAcc, Gain@R, Gain@B and Gap@O", (needs_runs("metrics of routers", 1),), picture=_picture, place=104
)
