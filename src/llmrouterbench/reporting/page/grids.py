"""Tables of cells with names on both sides: accuracy by dataset, and every router against every other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.replay import Key
from llmrouterbench.naming import isolated
from llmrouterbench.numerals import UNKNOWN, count, p_value, percent, points, span
from llmrouterbench.numerals import interval as said_interval
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.columns import Cell, Row
from llmrouterbench.stats import Interval, Paired, judged
from llmrouterbench.studies.differences import Differences
from llmrouterbench.table import FloatArray

MOST_COMPARED = 40
"""Routers in the matrix of differences."""
MOST_MAPPED = 60
"""Single models in the heat map."""
STEPS, HALF_STEPS = 10, 5
"""Shades: 0 to 10 of accuracy, -5 to 5 around no difference."""
_APART, _PAIR_APART = 0.03, 0.02
"""Difference of one shade: to Best Single on a dataset, and between two routers."""


@dataclass(frozen=True)
class Grid:
    """A table of cells with names on both sides.

    columns   names
    lines     (name, kind) of each row, and its cells
    left_out  what had no room, in a sentence
    """

    columns: list[str]
    lines: list[tuple[tuple[str, str], list[Cell]]]
    left_out: str = ""


def heat_map(board: Leaderboard, paired: Paired, place: dict[Key, int]) -> Grid:
    """Accuracy of every row on every dataset, with intervals; `place` is the column of a row in `paired`."""
    rows = [*board.of_kind("router"), *board.of_kind("reference"), *board.of_kind("model")[:MOST_MAPPED]]
    everything = np.array([row.accuracy for row in rows])
    base = np.array(board["Best Single"].accuracy)
    low, high = _range(everything)
    cells = []
    for row in rows:
        at = place[_key(board, row)]
        known = [paired.dataset_accuracy(at, i) for i in range(len(row.accuracy))]
        cells.append([_shaded(one, base[i], low, high) for i, one in enumerate(known)])
    models = len(board.of_kind("model"))
    left_out = (
        f"The {MOST_MAPPED} most accurate of {count(models)} models; the CSV has all." if models > MOST_MAPPED else ""
    )
    names = [(row.name, row.kind) for row in rows]
    return Grid(list(board.datasets), list(zip(names, cells, strict=True)), left_out)


def _key(board: Leaderboard, row: Row) -> Key:
    return ("model", board.base) if (row.kind, row.name) == ("reference", "Best Single") else (row.kind, row.name)


def _range(values: FloatArray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def _shaded(one: Interval, base: float, low: float, high: float) -> Cell:
    if math.isnan(one.value):
        return Cell(UNKNOWN, classes="unknown", title=UNKNOWN)
    shade = round(STEPS * (one.value - low) / (high - low)) if high > low else 0
    apart = 0.0 if math.isnan(base) else one.value - base
    step = max(-HALF_STEPS, min(HALF_STEPS, round(apart / _APART)))
    ends = span(one, _whole)
    against = "" if math.isnan(base) else f"; {points(apart, unit=' points')} against Best Single"
    title = f"{percent(one.value, unit=' %')}, 95 % interval {ends or UNKNOWN}{against}"
    return Cell(percent(one.value), ends, sort=one.value, classes=f"h{shade} d{step}", title=title)


def _whole(value: float | None) -> str:
    return percent(value, 0)


def difference_matrix(compared: Differences) -> Grid:
    """Row minus column in points of AvgAcc; shaded where the corrected p-value calls it a difference."""
    names = list(compared.names[:MOST_COMPARED])
    cells = [[_pair(compared, i, j) for j in range(len(names))] for i in range(len(names))]
    more = len(compared.names) - len(names)
    left_out = f"The {len(names)} most accurate of {len(compared.names)} routers." if more else ""
    return Grid(names, [((name, "router"), line) for name, line in zip(names, cells, strict=True)], left_out)


def _pair(compared: Differences, i: int, j: int) -> Cell:
    one, other = compared.names[i], compared.names[j]
    if i == j:
        return Cell("", classes="self", title=one)
    number, p, says = compared.at(i, j), float(compared.adjusted[i, j]), compared.says(i, j)
    differs, same = says != "not distinguishable", judged(number) == "the same"
    step = max(1, min(HALF_STEPS, round(abs(number.value) / _PAIR_APART))) if differs else 0
    said = "the same" if same else says
    moved = said_interval(number, points, " points")
    title = f"{isolated(one)} minus {isolated(other)}: {moved}, corrected p {p_value(p)}: {said}"
    mark = "" if differs or math.isnan(number.value) else " =" if same else " ~"
    shade = f"d{step if number.value > 0 else -step}"
    return Cell(points(number.value), span(number, points), mark, number.value, shade, title)
