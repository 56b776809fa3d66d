"""The result of a leaderboard in words, for somebody who reads nothing else."""

from __future__ import annotations

import math

from llmrouterbench.benching.replay import ORACLE
from llmrouterbench.reporting.board import Leaderboard, Row
from llmrouterbench.reporting.page.cells import isolated, listed, number, percent, signed
from llmrouterbench.stats import Interval
from llmrouterbench.studies.comparisons import Comparisons


def sentences(board: Leaderboard, compared: Comparisons | None) -> list[str]:
    """One model for everyone, the best router, what it cannot be told from, the best saving."""
    single, oracle = board["Best Single"], board[ORACLE]
    first = (
        f"Serving one model to everyone: {isolated(board.base)} (Best Single) reaches an AvgAcc of {_accuracy(single)}."
        f" The best model for every single query, known in hindsight (Oracle), would reach {_accuracy(oracle)}."
    )
    routers = board.of_kind("router")
    if not routers:
        return [first, "There is no router with decisions for every seed."]
    return [first, _top(board, routers[0]), *_tied(routers[0], compared), *_saver(routers)]


def _top(board: Leaderboard, row: Row) -> str:
    name = isolated(row.name)
    if not row.verdict:
        return f"{name}, the baseline, is the most accurate router, at {_accuracy(row)}: no other is above it."
    against = f"{_points(row.difference)} against {isolated(board.baseline)}, {row.verdict}"
    return f"{name} is the most accurate router, at {_accuracy(row)}: {against}."


def _tied(row: Row, compared: Comparisons | None) -> list[str]:
    tied = compared.tied_with(row.name) if compared and row.name in compared.names else ()
    said = f"{isolated(row.name)} is not distinguishable from {listed(tied)}, after correction for comparing all pairs."
    return [said] if tied else []


def _saver(routers: list[Row]) -> list[str]:
    """The largest saving that is certain to be one; where none is, that is said."""
    found = [(row.cost_save, row.saver_difference, row.name) for row in routers]
    sure = [(save, lost, name) for save, lost, name in found if save and lost and save.low > 0.0]
    if not sure:
        some = any(save is not None for save, _, _ in found)
        return ["No router is sure to save cost at the quality of Best Single on validation."] if some else []
    save, lost, name = max(sure, key=lambda one: one[0].value)
    cell = number(save, percent)
    return [
        f"Cheapest at the quality of Best Single on validation: {isolated(name)} saves {cell.text} % {cell.span} of the"
        f" cost; on test its AvgAcc is {_points(lost)} against Best Single."
    ]


def _accuracy(row: Row) -> str:
    cell = number(row.avg_acc, percent)
    return f"{cell.text} % {cell.span}".strip()


def _points(one: Interval) -> str:
    cell = number(one, signed)
    return "not known" if math.isnan(one.value) else f"{cell.text} points {cell.span}".strip()


def verdict(compared: Comparisons, name: str) -> str:
    """What all pairs together say of one router, after the correction."""
    tied = compared.tied_with(name)
    row = compared.difference[compared.names.index(name)]
    apart = [value > 0 for value, other in zip(row.tolist(), compared.names, strict=True) if other not in (name, *tied)]
    counts = {"better than": sum(apart), "worse than": len(apart) - sum(apart)}
    said = [f"{words} {count} of {len(compared.names) - 1} others" for words, count in counts.items() if count]
    return ", ".join([*said, *([f"not distinguishable from {listed(tied)}"] if tied else [])])
