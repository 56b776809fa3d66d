"""The columns of the leaderboard: what validation chose first, hindsight last and named so."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from llmrouterbench.reporting.board import Leaderboard, Row
from llmrouterbench.reporting.page.cells import Cell, bare, isolated, number, percent, signed, usd

Group = Literal["main", "validation", "hindsight"]
GROUPS: dict[Group, str] = {
    "main": "Accuracy and cost, chosen on validation",
    "validation": "Trade-offs, chosen on validation",
    "hindsight": "In hindsight, chosen on test: flatters",
}


@dataclass(frozen=True)
class Column:
    """A column of the leaderboard; `about` explains it, `needs_cost` says that it is nothing without known costs."""

    title: str
    about: str
    cell: Callable[[Row], Cell]
    group: Group = "main"
    needs_cost: bool = False
    words: bool = False


def leaderboard_columns(board: Leaderboard) -> list[Column]:
    """The columns that these numbers allow."""
    found = [*_main(isolated(board.baseline)), *_validation(), *_hindsight(board.peaked)]
    return [column for column in found if board.priced or not column.needs_cost]


def groups(columns: Sequence[Column]) -> list[tuple[str, str, int]]:
    """Neighbouring columns of one group: key, title, how many."""
    return [(key, title, sum(column.group == key for column in columns)) for key, title in GROUPS.items()]


def _main(baseline: str) -> list[Column]:
    against = "what the 95 % interval of this one difference says, not corrected for looking at many"
    way = "share of the way from Best Single to the Oracle"
    bill = "all test queries of a seed, mean over seeds"
    return [
        Column("AvgAcc, %", "mean over datasets of the mean score", lambda row: number(row.avg_acc, percent)),
        Column(f"minus {baseline}, points", "AvgAcc minus that of the baseline", _difference),
        Column("in words", against, lambda row: _words(row.verdict), words=True),
        Column("Gain@R, %", "gain over a random choice", lambda row: number(row.gain_r, signed)),
        Column("Gain@B, %", "gain over Best Single", lambda row: number(row.gain_b, signed)),
        Column("Gap@O, %", "gap to the Oracle; lower is better", lambda row: number(row.gap_o, percent)),
        Column("recovered, %", way, lambda row: number(row.recovered, percent)),
        Column("Cost, USD", bill, _cost, needs_cost=True),
    ]


def _validation() -> list[Column]:
    excess = "AvgAcc over that of Best Single, minus 1"
    cheapest = "at the cheapest point that reaches Best Single on validation"
    there = "AvgAcc of that point minus that of Best Single, on test"
    group: Group = "validation"
    return [
        Column("PerfGain, %", excess, lambda row: number(row.perf_gain, signed), group),
        Column("CostSave, %", cheapest, lambda row: number(row.cost_save, signed, "none"), group, needs_cost=True),
        Column("AvgAcc there, points", there, lambda row: number(row.saver_difference, signed), group, needs_cost=True),
    ]


def _hindsight(peaked: bool) -> list[Column]:
    group: Group = "hindsight"
    dist = "mean distance of all operating points to the frontier; lower is better"
    peak = "highest AvgAcc on test over operating points and checkpoints, chosen seed by seed (paper protocol)"
    columns = [
        Column("PerfGain, %", "at the best point on test", lambda row: bare(row.hindsight_perf_gain, signed), group),
        Column("CostSave, %", "at the cheapest point that reaches it on test", _saving, group, needs_cost=True),
        Column("ParetoDist", dist, lambda row: bare(row.pareto_dist, _three), group, needs_cost=True),
        Column("points", "settings of the dial that were tried", lambda row: bare(row.points, "{:g}".format), group),
    ]
    more = [Column("peak on test, %", peak, lambda row: bare(row.peak_on_test, percent), group)]
    return columns + more if peaked else columns


def _words(verdict: str) -> Cell:
    mark = verdict.partition(" ")[0]
    return Cell(verdict or "the baseline", "", verdict, mark if mark in ("better", "worse") else "")


def _difference(row: Row) -> Cell:
    return number(row.difference, signed) if row.verdict else Cell("–")


def _cost(row: Row) -> Cell:
    cell = number(row.cost, lambda value: usd(value, like=row.cost.value))
    return Cell(f"{cell.text}*", cell.span, cell.sort) if row.unknown_cost else cell


def _saving(row: Row) -> Cell:
    return Cell("none") if math.isnan(row.hindsight_cost_save) else bare(row.hindsight_cost_save, signed)


def _three(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
