"""The result of a leaderboard in words, for somebody who reads nothing else."""

from __future__ import annotations

from llmrouterbench.benching.replay import ORACLE
from llmrouterbench.naming import isolated, listed
from llmrouterbench.numerals import interval, percent, points
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.columns import Row
from llmrouterbench.stats import Interval
from llmrouterbench.studies.differences import Differences


def sentences(board: Leaderboard, compared: Differences | None) -> list[str]:
    """One model for everyone, the best router, what it cannot be told from, the best saving."""
    single, oracle = board["Best Single"], board[ORACLE]
    first = (
        f"Serving one model to everyone: {isolated(board.base)} (Best Single) reaches an AvgAcc of"
        f" {_percent(single.avg_acc)}. The best model for every single query, known in hindsight (Oracle), would reach"
        f" {_percent(oracle.avg_acc)}."
    )
    routers = board.of_kind("router")
    if not routers:
        return [first, "There is no router with decisions for every seed."]
    return [first, _top(board, routers[0]), *_tied(routers[0], compared), *_saver(routers)]


def _top(board: Leaderboard, row: Row) -> str:
    name = isolated(row.name)
    if not row.verdict:
        return f"{name}, the baseline, is the most accurate router, at {_percent(row.avg_acc)}: no other is above it."
    against = f"{_points(row.difference)} against {isolated(board.baseline)}, {row.verdict}"
    return f"{name} is the most accurate router, at {_percent(row.avg_acc)}: {against}."


def _tied(row: Row, compared: Differences | None) -> list[str]:
    tied = compared.tied_with(row.name) if compared and row.name in compared.names else ()
    said = f"{isolated(row.name)} is not distinguishable from {listed(tied)}, after correction for comparing all pairs."
    return [said] if tied else []


def _saver(routers: list[Row]) -> list[str]:
    """The largest saving that is certain to be one; where none is, that is said."""
    found = [(row.cost_save, row.saver_difference, row.name) for row in routers]
    sure = [(save, lost, name) for save, lost, name in found if save and lost and save.low > 0.0]
    if not sure:
        some = any(save is not None for save, _, _ in found)
        return (
            ["No router is sure to save cost at the quality of Best Single on unseen training queries."] if some else []
        )
    save, lost, name = max(sure, key=lambda one: one[0].value)
    return [
        f"Cheapest at the quality of Best Single on unseen training queries: {isolated(name)} saves {_percent(save)} of"
        f" the cost; on test its AvgAcc is {_points(lost)} against Best Single."
    ]


def _percent(one: Interval) -> str:
    return interval(one, percent, " %")


def _points(one: Interval) -> str:
    return interval(one, points, " points")


def standing(found: Differences, name: str) -> str:
    """What all pairs together say of one router, after the correction."""
    tied, row, others = found.tied_with(name), found.names.index(name), len(found.names) - 1
    says = [found.says(row, column) for column in range(len(found.names)) if column != row]
    counts = {"better than": says.count("better"), "worse than": says.count("worse")}
    parts = [f"{words} {count} of {others} others" for words, count in counts.items() if count]
    return ", ".join([*parts, *([f"not distinguishable from {listed(tied, 6)}"] if tied else [])]) or "alone"


def standing_sentence(found: Differences, name: str) -> str:
    """The same as a sentence that names the router and the correction."""
    return f"{name}: {standing(found, name)} ({found.control}, level {found.alpha:g})"
