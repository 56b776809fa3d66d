"""The report: the numbers of a folder of runs as files to read, to open and to compute with."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrouterbench.benching.folder import Runs, load_runs
from llmrouterbench.coverage import need_matrix
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.reporting.page import noting_jinja2, write_beside
from llmrouterbench.reporting.render import write_report

if TYPE_CHECKING:
    from llmrouterbench.reporting.exhibits import Exhibits
    from llmrouterbench.settings import Setting
    from llmrouterbench.table import Outcomes


def report(
    runs_folder: str | Path,
    to: str | Path | None = None,
    *,
    samples: int = 1000,
    figures: bool = True,
    baseline: str | None = None,
    text: bool = True,
    data: str | Path | None = None,
) -> Leaderboard:
    """Compute the leaderboard of a folder of runs and write it into `to` (RUNS/report when not given).

    Writes leaderboard.md, leaderboard.csv, per_dataset_accuracy.csv, per_dataset_cost.csv, report.json; with jinja2
    index.html, and with matplotlib pareto.png and pareto.svg. `text` and `data` as of `page.write_beside`. Raises
    FileNotFoundError or ValueError as `load_runs` does.
    """
    folder = Path(runs_folder)
    out = folder / "report" if to is None else Path(to)
    runs = load_runs(folder)
    board = noting_jinja2(leaderboard(runs, samples=samples, baseline=baseline))
    board = write_report(board, out, figures=figures)
    write_beside(runs, board, None, out, folder=folder, text=text, data=data, samples=samples)
    return board


def full_report(
    runs_folder: str | Path,
    to: str | Path | None = None,
    *,
    samples: int = 1000,
    baseline: str | None = None,
    embedders: Mapping[str, str | Path] | None = None,
    serving: str | Path | None = None,
    text: bool = True,
    data: str | Path | None = None,
    ties_win: bool = False,
) -> tuple[Leaderboard, Exhibits | None]:
    """What `report` writes and, beside it, every table, figure and the list of them (see `catalogue`).

    embedders  folders of runs by the name of their embedder, for Table 10
    serving    a TOML file of serving statistics, for seconds that were not measured
    ties_win   every positive score counts as 1, as parts of the paper read ArenaHard; said in the leaderboard
    text, data as of `page.write_beside`

    Without matplotlib there are no exhibits (None). Raises FileNotFoundError or ValueError as `load_runs` does, and
    ValueError for embedders of other data.
    """
    folder = Path(runs_folder)
    out = folder / "report" if to is None else Path(to)
    runs = load_runs(folder)
    others = {name: load_runs(Path(path)) for name, path in (embedders or {}).items()}
    board = noting_jinja2(leaderboard(runs, samples=samples, baseline=baseline, ties_win=ties_win))
    made = _exhibits(runs, out, serving, board=board, embedders=others, samples=samples)
    board = write_report(board, out)
    write_beside(runs, board, made, out, folder=folder, text=text, data=data, samples=samples)
    return board, made


def outcomes_report(
    outcomes: Outcomes,
    to: str | Path,
    *,
    setting: Setting | None = None,
    samples: int = 1000,
    embedders: Mapping[str, str | Path] | None = None,
    serving: str | Path | None = None,
) -> Exhibits | None:
    """Every table and figure that needs no runs. Arguments and errors as of `full_report`."""
    need_matrix(outcomes, "which model is best on what")
    others = {name: load_runs(Path(path)) for name, path in (embedders or {}).items()}
    return _exhibits(outcomes, Path(to), serving, setting=setting, embedders=others, samples=samples)


def _exhibits(source: Outcomes | Runs, out: Path, serving: str | Path | None, **settings: Any) -> Exhibits | None:
    if find_spec("matplotlib") is None:
        return None
    from llmrouterbench.reporting.catalogue import write_exhibits
    from llmrouterbench.reporting.exhibits import exhibits
    from llmrouterbench.studies.latency import load_serving

    return write_exhibits(exhibits(source, serving=load_serving(serving), **settings), out)
