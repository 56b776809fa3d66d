"""Figure 7: PerfGain and CostSave of every router against the best single model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmrouterbench.numerals import NONE
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
from llmrouterbench.stats import UNKNOWN_NUMBER, Interval

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Saving:
    """PerfGain and CostSave of one router, as fractions; CostSave is None where no point reaches the base.

    hindsight_*  the same with the operating point chosen on the test part, as in the paper; NaN: not drawn
    """

    name: str
    perf_gain: Interval
    cost_save: Interval | None
    hindsight_perf_gain: float = math.nan
    hindsight_cost_save: float = math.nan


@drawing
def savings_picture(
    rows: Sequence[Saving],
    *,
    base: str = "Best Single",
    title: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Picture:
    """Draw two bars a router, the best PerfGain on top; "none" where no operating point reaches the base.

    A diamond marks the number in hindsight where there is one. Raises ValueError without rows. Source: Figure 7.
    """
    if not rows:
        raise ValueError("a figure of savings needs at least one router, got none; run a bench")
    ranked = [rows[i] for i in first_rows(np.array([row.perf_gain.value for row in rows]), len(rows))]
    drawn = ranked[:MOST_ROWS]
    hindsight = any(np.isfinite(row.hindsight_perf_gain) for row in drawn)
    said = [*left_out(len(rows), len(drawn), "routers", "PerfGain")]
    said += ["Line: 95 % interval."] * any(np.isfinite(row.perf_gain.low) for row in drawn)
    said += [
        "Bar: operating point chosen on unseen training queries; diamond: in hindsight, on the test part."
    ] * hindsight
    reaches = all(row.cost_save is not None for row in drawn)
    said += [*([] if reaches else [f'"{NONE}": no operating point is as accurate as the base.']), *notes]
    figure, axes = canvas(
        f"Gains and savings against {base}: {title}", 1.0 + ROW * len(drawn), (1, 2),
        simulated=simulated, notes=said, sharey=True,
    )  # fmt: skip
    gains, saves = [row.hindsight_perf_gain for row in drawn], [row.hindsight_cost_save for row in drawn]
    bar_panel(axes[0], [row.perf_gain for row in drawn], "PerfGain, %", sign="+", marks=gains)
    bar_panel(axes[1], [row.cost_save for row in drawn], "CostSave, %", sign="+", marks=saves)
    rows_axis(axes, [row.name for row in drawn])
    return Picture(figure, _table(ranked), tuple(said))


def _table(rows: Sequence[Saving]) -> pl.DataFrame:
    import polars as pl

    columns: dict[str, list[object]] = {"name": [row.name for row in rows]}
    for name in ("perf_gain", "cost_save"):
        for part, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
            columns[f"{name}_percent{ending}"] = [100 * getattr(getattr(row, name), part, math.nan) for row in rows]
        columns[f"hindsight_{name}_percent"] = [100 * getattr(row, f"hindsight_{name}") for row in rows]
    return pl.DataFrame(columns).fill_nan(None)


def _picture(material: Material) -> Picture:
    """Points chosen on validation with intervals, and in hindsight as in the paper."""
    board = material.board
    rows = [
        Saving(
            row.name, row.perf_gain, row.cost_save if board.priced else UNKNOWN_NUMBER, row.hindsight_perf_gain,
            row.hindsight_cost_save if board.priced else math.nan,
        )
        for row in board.of_kind("router")
    ]  # fmt: skip
    return savings_picture(rows, base=board.base, **material.look)


EXHIBIT = Exhibit("Figure 7: PerfGain and CostSave", (needs_runs("gains of routers", 1),), picture=_picture, place=107)
