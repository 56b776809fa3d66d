"""The report: the leaderboard of a folder of runs as files to read, to open and to compute with."""

from __future__ import annotations

from pathlib import Path

from llmrouterbench.board import Leaderboard
from llmrouterbench.leaderboard import leaderboard
from llmrouterbench.render import write_report
from llmrouterbench.runs import load_runs


def report(
    runs_folder: str | Path,
    to: str | Path | None = None,
    *,
    samples: int = 1000,
    figures: bool = True,
    baseline: str | None = None,
) -> Leaderboard:
    """Compute the leaderboard of a folder of runs and write it into `to` (RUNS/report when not given).

    Writes leaderboard.md, leaderboard.csv, per_dataset_accuracy.csv, per_dataset_cost.csv, report.json and, with
    matplotlib, pareto.png and pareto.svg. Raises FileNotFoundError or ValueError as `load_runs` does.
    """
    folder = Path(runs_folder)
    board = leaderboard(load_runs(folder), samples=samples, baseline=baseline)
    return write_report(board, folder / "report" if to is None else Path(to), figures=figures)
