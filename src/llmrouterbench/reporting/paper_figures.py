"""The paper's figures of any outcomes or runs: the numbers of an analysis, handed to the function that draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.replay import DATASET_ORACLE_PAPER, ORACLE, Replay
from llmrouterbench.metrics import dataset_means, known_mean
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.figures.curves import Curve
from llmrouterbench.reporting.figures.differences import differences_picture
from llmrouterbench.reporting.figures.distribution import distribution_picture
from llmrouterbench.reporting.figures.domains import domains_picture
from llmrouterbench.reporting.figures.hardness import hardness_picture
from llmrouterbench.reporting.figures.heatmap import heatmap_picture
from llmrouterbench.reporting.figures.latency import latency_picture
from llmrouterbench.reporting.figures.metrics import MetricRow, metrics_picture
from llmrouterbench.reporting.figures.picture import Picture
from llmrouterbench.reporting.figures.savings import Saving, savings_picture
from llmrouterbench.reporting.figures.subsets import subsets_picture
from llmrouterbench.settings import Setting
from llmrouterbench.stats import Interval
from llmrouterbench.studies.comparisons import Comparisons
from llmrouterbench.studies.curation import SubsetCurve
from llmrouterbench.studies.hardness import hardness
from llmrouterbench.studies.latency import LatencyPoint
from llmrouterbench.table import FloatArray, Outcomes

_NONE = Interval(math.nan, math.nan, math.nan)


def curve_of(intervals: Sequence[Interval]) -> Curve:
    """A row of intervals as a curve."""
    parts = np.array([(one.value, one.low, one.high) for one in intervals], dtype=np.float64).reshape(-1, 3)
    return Curve(*parts.T)


def name_of(outcomes: Outcomes, setting: Setting | None) -> str:
    """What a title calls the data: the setting, else "own data"."""
    return setting.name if setting else str(outcomes.source.get("setting") or "own data")


def domains_of(outcomes: Outcomes, setting: Setting | None = None) -> Picture:
    """Figure 3: mean over the datasets of a domain; without a setting every dataset is a domain."""
    pool = outcomes.pool
    acc = dataset_means(pool.score, pool.dataset, pool.datasets)
    of_setting = setting.domains if setting else {}
    domain = {name: domain for domain, names in of_setting.items() for name in names}
    of = [domain.get(name, name) for name in pool.datasets]
    domains = [*(one for one in of_setting if one in of), *(one for one in of if one not in of_setting)]
    values = np.array([known_mean(acc[[one == mine for mine in of]], axis=0) for one in domains]).T
    return domains_picture(pool.models, domains, values, title=name_of(pool, setting), simulated=pool.simulated)


def subsets_of(outcomes: Outcomes, curves: Sequence[SubsetCurve], setting: Setting | None = None) -> Picture:
    """Figure 6: curated, top-k and random subsets, chosen and measured on the same queries."""
    return subsets_picture(
        curves[0].size,
        {curve.name: curve_of(curve.oracle) for curve in curves},
        title=name_of(outcomes, setting),
        simulated=outcomes.simulated,
        notes=["Curated and top-k subsets are chosen on the same queries, in hindsight; random is the expectation."],
    )


def heatmap_of(outcomes: Outcomes, setting: Setting | None = None) -> Picture:
    """Accuracy of every model on every dataset, over all queries."""
    pool = outcomes.pool
    acc = dataset_means(pool.score, pool.dataset, pool.datasets).T
    return heatmap_picture(pool.models, pool.datasets, acc, title=name_of(pool, setting), simulated=pool.simulated)


def heatmap_of_board(board: Leaderboard) -> Picture:
    """Accuracy of routers, references and models on every dataset, on the test part."""
    acc = np.array([row.accuracy for row in board.rows])
    names = [row.name for row in board.rows]
    return heatmap_picture(names, board.datasets, acc, title=_title(board), simulated=board.simulated)


def latency_of(outcomes: Outcomes, points: Sequence[LatencyPoint], setting: Setting | None = None) -> Picture:
    """Figure 9: means over all queries. Raises ValueError where no model has seconds and costs."""
    names = [point.model for point in points]
    planes = ([getattr(point, what).value for point in points] for what in ("score", "cost", "seconds"))
    return latency_picture(names, *planes, title=name_of(outcomes, setting), simulated=outcomes.simulated)


def metrics_of(board: Leaderboard) -> Picture:
    """Figure 4: routers where validation put them, Best Single and the Dataset Oracle."""
    references = [board["Best Single"], board[DATASET_ORACLE_PAPER]]
    rows = [
        MetricRow(row.name, row.avg_acc, row.gain_r, row.gain_b, row.gap_o, row.kind == "reference")
        for row in [*board.of_kind("router"), *references]
    ]
    return metrics_picture(rows, title=_title(board), simulated=board.simulated, notes=["Hatched: references."])


def savings_of(board: Leaderboard) -> Picture:
    """Figure 7: points chosen on validation with intervals, and in hindsight as in the paper."""
    rows = [
        Saving(
            row.name, row.perf_gain, row.cost_save or _NONE, row.hindsight_perf_gain,
            row.hindsight_cost_save if board.priced else math.nan,
        )
        for row in board.of_kind("router")
    ]  # fmt: skip
    return savings_picture(rows, base=board.base, title=_title(board), simulated=board.simulated)


def hardness_of(runs: Runs, board: Leaderboard, played: Replay, *, samples: int = 1000, seed: int = 0) -> Picture:
    """Figure 5, on the test part, mean over seeds."""
    made = hardness(runs, replicates=samples, seed=seed, played=played)
    accuracy = {name: curve_of(values) for name, values in made.accuracy.items() if name != ORACLE}
    return hardness_picture(made.solved_by, made.queries, accuracy, title=_title(board), simulated=board.simulated)


def distribution_of(runs: Runs, board: Leaderboard, played: Replay) -> Picture:
    """Figure 10, on the test part, mean over seeds, each router where validation put it."""
    routers = [row.name for row in board.of_kind("router")]
    share = np.array([served_share(runs, played, router) for router in routers])
    return distribution_picture(routers, runs.outcomes.models, share, title=_title(board), simulated=board.simulated)


def differences_of(found: Comparisons, board: Leaderboard) -> Picture:
    """Every router against every other one, on the test part, over seeds."""
    note = (
        f"Coloured: a difference, {found.control.title()}-corrected over all pairs at level {found.alpha:g};"
        " dot: not distinguishable."
    )
    return differences_picture(
        found.names, found.difference, found.adjusted, alpha=found.alpha, title=_title(board),
        simulated=board.simulated, notes=[note],
    )  # fmt: skip


def served_share(runs: Runs, played: Replay, router: str) -> FloatArray:
    """Share (m,) of the test queries that each model served, mean over seeds."""
    shares = []
    for seed, point in zip(runs.seeds, played.chosen[router], strict=True):
        part = runs.decisions[router, seed].parts["test"]
        mine = part.point == point
        served = np.bincount(part.model[mine], part.served[mine], minlength=len(runs.outcomes.models))
        shares.append(served / served.sum())
    return np.asarray(np.mean(shares, axis=0))


def _title(board: Leaderboard) -> str:
    return board.title.removeprefix("Leaderboard: ")
