"""Every table and figure of the paper that some outcomes or runs allow, and what was left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from llmrouterbench import paper_figures, paper_tables
from llmrouterbench.board import Leaderboard
from llmrouterbench.figures.pareto import board_picture
from llmrouterbench.figures.picture import Picture, marked, save_picture
from llmrouterbench.files import write_bytes
from llmrouterbench.latency import ServingTable, load_serving, with_seconds
from llmrouterbench.leaderboard import leaderboard
from llmrouterbench.replay import replay
from llmrouterbench.runs import Runs
from llmrouterbench.settings import BUILT_IN, Setting, load_setting
from llmrouterbench.table import Outcomes

_NEEDS_RUNS = {
    "table11_12_test_accuracy": "test accuracies",
    "table13_test_cost": "test costs",
    "figure04_metrics": "metrics of routers",
    "figure05_hardness": "accuracies of routers",
    "figure07_savings": "gains of routers",
    "figure08_pareto": "operating points of routers",
    "figure10_distribution": "choices of routers",
}
_NEEDS_COSTS = ("table13_test_cost", "figure08_pareto")


@dataclass(frozen=True)
class Exhibits:
    """Tables and figures by the stem of their files, and a reason for each that could not be made."""

    tables: dict[str, pl.DataFrame]
    pictures: dict[str, Picture]
    left_out: dict[str, str]


def exhibits(
    source: Outcomes | Runs,
    *,
    setting: Setting | None = None,
    embedders: Mapping[str, Runs] | None = None,
    serving: ServingTable | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Exhibits:
    """Make Tables 2, 4-6, 10-13 and Figures 3-10 of outcomes or runs, as far as these allow.

    setting    names, domains; that of the source when not given and built in
    embedders  runs by embedder, for Table 10
    serving    serving statistics for models without measured seconds; the package's own table when not given

    Raises ValueError for embedders of different data, ImportError without matplotlib.
    """
    outcomes = source.outcomes if isinstance(source, Runs) else source
    setting = setting or _own_setting(source)
    made = _of_outcomes(outcomes, setting, serving or load_serving(), samples, seed)
    if isinstance(source, Runs):
        more = _of_runs(source, samples, seed)
        made = Exhibits(
            {**made.tables, **more.tables}, {**made.pictures, **more.pictures}, {**made.left_out, **more.left_out}
        )
    else:
        made.left_out.update(
            {name: f"needs runs for {what}; make them with bench" for name, what in _NEEDS_RUNS.items()}
        )
    if embedders:
        boards = {name: leaderboard(runs, samples=samples, seed=seed) for name, runs in embedders.items()}
        made.tables["table10_embedders"] = paper_tables.embedder_table(boards)
    else:
        made.left_out["table10_embedders"] = "needs a folder of runs for each embedder"
    tables = {name: marked(table) if outcomes.simulated else table for name, table in sorted(made.tables.items())}
    return Exhibits(tables, dict(sorted(made.pictures.items())), dict(sorted(made.left_out.items())))


def write_exhibits(
    source: Outcomes | Runs,
    out: str | Path,
    *,
    setting: Setting | None = None,
    embedders: Mapping[str, Runs] | None = None,
    serving: ServingTable | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Exhibits:
    """Write every table as CSV and every figure as SVG, PNG and CSV into the folder `out`; see `exhibits`."""
    made = exhibits(source, setting=setting, embedders=embedders, serving=serving, samples=samples, seed=seed)
    folder = Path(out)
    for name, table in made.tables.items():
        write_bytes(folder / f"{name}.csv", table.write_csv().encode())
    for picture in made.pictures.values():
        save_picture(picture, folder)
    for name in made.left_out:  # those of an earlier source must not stay behind
        for ending in ("csv", "svg", "png"):
            (folder / f"{name}.{ending}").unlink(missing_ok=True)
    return made


def _own_setting(source: Outcomes | Runs) -> Setting | None:
    name = source.facts["setting"] if isinstance(source, Runs) else source.source.get("setting")
    return load_setting(name) if name in BUILT_IN else None


def _of_outcomes(
    outcomes: Outcomes, setting: Setting | None, serving: ServingTable, samples: int, seed: int
) -> Exhibits:
    tables = {
        "table02_overview": paper_tables.overview_table(outcomes, setting),
        "table04_05_accuracy": paper_tables.accuracy_table(outcomes, setting),
    }
    pictures = [
        paper_figures.domains_of(outcomes, setting),
        paper_figures.subsets_of(outcomes, setting, samples=samples, seed=seed),
        paper_figures.heatmap_of(outcomes, setting),
    ]
    left_out = {}
    if np.isfinite(outcomes.cost).any():
        tables["table06_cost"] = paper_tables.cost_table(outcomes, setting)
    else:
        left_out["table06_cost"] = _no_costs()
    timed, _ = with_seconds(outcomes, serving)
    if (np.isfinite(timed.pool.cost) & np.isfinite(timed.pool.seconds)).any():
        pictures.append(paper_figures.latency_of(timed, setting, samples=samples, seed=seed))
    else:
        left_out["figure09_latency"] = (
            "needs models with known costs and seconds; measure seconds or give a serving table"
        )
    return Exhibits(tables, {picture.name: picture for picture in pictures}, left_out)


def _no_costs() -> str:
    return "needs known costs, and there are none"


def _of_runs(runs: Runs, samples: int, seed: int) -> Exhibits:
    board, played = leaderboard(runs, samples=samples, seed=seed), replay(runs, runs.outcomes)
    tables = {"table11_12_test_accuracy": paper_tables.measured_table(board, "AvgAcc", played)}
    if board.priced:
        tables["table13_test_cost"] = paper_tables.measured_table(board, "Total", played)
    pictures = [paper_figures.heatmap_of_board(board)]
    if board.of_kind("router"):
        pictures += [
            paper_figures.metrics_of(board),
            paper_figures.hardness_of(runs, board, samples=samples, seed=seed),
            paper_figures.savings_of(board),
            paper_figures.distribution_of(runs, board, played),
        ]
    if board.points:
        pictures.append(board_picture(board))
    found = {picture.name: picture for picture in pictures}
    return Exhibits(tables, found, {name: _why(name, board) for name in _NEEDS_RUNS if name not in {**tables, **found}})


def _why(name: str, board: Leaderboard) -> str:
    if name in _NEEDS_COSTS:
        return "needs a model with known costs on every dataset" if board.priced else _no_costs()
    return "needs a router with decisions for every seed, and there is none"
