"""Every table and figure that outcomes or runs allow, the paper's and our own, and what was left out and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.replay import Replay, replay
from llmrouterbench.reporting import analysis_tables, paper_figures, paper_tables
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.figures.pareto import board_picture
from llmrouterbench.reporting.figures.picture import Picture, marked
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.settings import BUILT_IN, Setting, load_setting
from llmrouterbench.studies.collapse import routing_collapse
from llmrouterbench.studies.comparisons import Comparisons, compare_routers
from llmrouterbench.studies.curation import marginal_values, subset_curves
from llmrouterbench.studies.hardness import recall_failures
from llmrouterbench.studies.latency import ServingTable, latency_points, load_serving, with_seconds
from llmrouterbench.table import Outcomes

_NEEDS_RUNS = {
    "table11_12_test_accuracy": "test accuracies",
    "table13_test_cost": "test costs",
    "figure04_metrics": "metrics of routers",
    "figure05_hardness": "accuracies of routers",
    "figure07_savings": "gains of routers",
    "figure08_pareto": "operating points of routers",
    "figure10_distribution": "choices of routers",
    "recall_failures": "choices of routers",
    "collapse": "choices of routers",
    "differences": "scores of routers",
    "verdicts": "scores of routers",
}
_NEEDS_COSTS = ("table13_test_cost", "figure08_pareto")
_NEEDS_TWO = ("differences", "verdicts")
_NO_COSTS = "needs known costs, and there are none"


@dataclass(frozen=True)
class Exhibits:
    """Tables and figures by the stem of their files, and a reason for each that could not be made.

    title     what the data are called
    verdicts  a sentence a router: whom it beats, with all pairs compared and corrected for that
    """

    tables: dict[str, pl.DataFrame]
    pictures: dict[str, Picture]
    left_out: dict[str, str]
    title: str = ""
    simulated: bool = False
    verdicts: tuple[str, ...] = ()


def exhibits(
    source: Outcomes | Runs,
    *,
    board: Leaderboard | None = None,
    setting: Setting | None = None,
    embedders: Mapping[str, Runs] | None = None,
    serving: ServingTable | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Exhibits:
    """Make Tables 2, 4-6, 10-13 and Figures 3-10 of outcomes or runs, and the analyses, as far as these allow.

    board      the leaderboard of the runs, where it has been computed already
    setting    names, domains; that of the source when not given and built in
    embedders  runs by embedder, for Table 10
    serving    serving statistics for models without measured seconds; the package's own table when not given

    Raises ValueError for embedders of different data, ImportError without matplotlib.
    """
    outcomes = source.outcomes if isinstance(source, Runs) else source
    setting = setting or _own_setting(source)
    tables, pictures, left_out = _of_outcomes(outcomes, setting, serving or load_serving(), samples, seed)
    verdicts: tuple[str, ...] = ()
    if isinstance(source, Runs):
        board = board or leaderboard(source, samples=samples, seed=seed)
        played = replay(source, source.outcomes)
        several = len(board.of_kind("router")) > 1
        found = compare_routers(source, replicates=samples, seed=seed, played=played) if several else None
        more_tables, more_pictures = _of_runs(source, board, played, found, samples, seed)
        tables, pictures = tables | more_tables, {**pictures, **more_pictures}
        left_out |= {name: _why(name, board) for name in _NEEDS_RUNS if name not in {**tables, **pictures}}
        verdicts = tuple(map(found.sentence, found.names)) if found else ()
    else:
        left_out |= {name: f"needs runs for {what}; make them with bench" for name, what in _NEEDS_RUNS.items()}
    if embedders:
        boards = {name: leaderboard(runs, samples=samples, seed=seed) for name, runs in embedders.items()}
        tables["table10_embedders"] = paper_tables.embedder_table(boards)
    else:
        left_out["table10_embedders"] = "needs a folder of runs for each embedder"
    return Exhibits(
        {name: marked(table) if outcomes.simulated else table for name, table in sorted(tables.items())},
        dict(sorted(pictures.items())),
        dict(sorted(left_out.items())),
        paper_figures.name_of(outcomes, setting),
        outcomes.simulated,
        verdicts,
    )


def _own_setting(source: Outcomes | Runs) -> Setting | None:
    name = source.rules.setting if isinstance(source, Runs) else source.source.get("setting")
    return load_setting(name) if name in BUILT_IN else None


_Made = tuple[dict[str, pl.DataFrame], dict[str, Picture]]


def _named(pictures: Iterable[Picture]) -> dict[str, Picture]:
    return {picture.name: picture for picture in pictures}


def _of_outcomes(
    outcomes: Outcomes, setting: Setting | None, serving: ServingTable, samples: int, seed: int
) -> tuple[dict[str, pl.DataFrame], dict[str, Picture], dict[str, str]]:
    """What needs no router, with the reasons for what could not be made."""
    curves = subset_curves(outcomes, replicates=samples, seed=seed)
    tables = {
        "table02_overview": paper_tables.overview_table(outcomes, setting),
        "table04_05_accuracy": paper_tables.accuracy_table(outcomes, setting),
        "subsets": analysis_tables.subsets_table(curves),
        "marginal_values": analysis_tables.marginal_table(marginal_values(outcomes, replicates=samples, seed=seed)),
    }
    pictures = [
        paper_figures.domains_of(outcomes, setting),
        paper_figures.subsets_of(outcomes, curves, setting),
        paper_figures.heatmap_of(outcomes, setting),
    ]
    left_out = {}
    if np.isfinite(outcomes.cost).any():
        tables["table06_cost"] = paper_tables.cost_table(outcomes, setting)
    else:
        left_out["table06_cost"] = _NO_COSTS
    timed, _ = with_seconds(outcomes, serving)
    points = latency_points(timed, replicates=samples, seed=seed)
    if any(np.isfinite([point.score.value, point.cost.value, point.seconds.value]).all() for point in points):
        pictures.append(paper_figures.latency_of(timed, points, setting))
        tables["latency"] = analysis_tables.latency_table(points)
    else:
        reason = "needs models with known costs and seconds; measure seconds or give a serving table"
        left_out |= {"figure09_latency": reason, "latency": reason}
    return tables, _named(pictures), left_out


def _of_runs(
    runs: Runs, board: Leaderboard, played: Replay, found: Comparisons | None, samples: int, seed: int
) -> _Made:
    tables = {"table11_12_test_accuracy": paper_tables.measured_table(board, "AvgAcc", played)}
    if board.priced:
        tables["table13_test_cost"] = paper_tables.measured_table(board, "Total", played)
    pictures = [paper_figures.heatmap_of_board(board)]
    if board.of_kind("router"):
        pictures += [
            paper_figures.metrics_of(board),
            paper_figures.hardness_of(runs, board, played, samples=samples, seed=seed),
            paper_figures.savings_of(board),
            paper_figures.distribution_of(runs, board, played),
        ]
        rare = recall_failures(runs, replicates=samples, seed=seed, played=played)
        tables["recall_failures"] = analysis_tables.recall_table(rare)
        spread = routing_collapse(runs, replicates=samples, seed=seed, played=played)
        tables["collapse"] = analysis_tables.collapse_table(spread)
    if found is not None:
        pictures.append(paper_figures.differences_of(found, board))
        tables["differences"] = analysis_tables.differences_table(found)
        tables["verdicts"] = analysis_tables.verdicts_table(found)
    if board.points:
        pictures.append(board_picture(board))
    return tables, _named(pictures)


def _why(name: str, board: Leaderboard) -> str:
    if name in _NEEDS_TWO:
        return "needs two routers with decisions for every seed"
    if name in _NEEDS_COSTS:
        return "needs a model with known costs on every dataset" if board.priced else _NO_COSTS
    return "needs a router with decisions for every seed, and there is none"
