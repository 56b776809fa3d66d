"""`llmrouterbench report`: numbers, tables and figures from stored decisions; or what moved between two runs."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from llmrouterbench.commands._terminal import print_json, say, show_lines, tables
from llmrouterbench.commands.app import Json, PageText, SettingName, app, load, usage

if TYPE_CHECKING:
    from llmrouterbench.reporting.board import Leaderboard
    from llmrouterbench.reporting.exhibits import Exhibits


@app.command()
def report(
    source: Annotated[
        Path | None, typer.Argument(metavar="RUNS|OUTCOMES", help="A folder of runs, or of outcomes.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", metavar="OLD NEW", help="Two folders of runs: what moved, and is it noise?"),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for the report; report in the source when not given.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", help="Bootstrap samples for the intervals.")] = 1000,
    baseline: Annotated[str | None, typer.Option("--baseline", help="Router that differences are against.")] = None,
    embedders: Annotated[
        list[str] | None,
        typer.Option("--embedders", metavar="NAME=RUNS", help="Runs with another embedder, for Table 10; repeat it."),
    ] = None,
    serving: Annotated[
        Path | None, typer.Option("--serving", help="TOML file of serving statistics, for unmeasured seconds.")
    ] = None,
    setting: SettingName = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of outcomes with the query texts, where runs do not find it.")
    ] = None,
    ties_win: Annotated[
        bool, typer.Option("--ties-win", help="Count every positive score as 1, as parts of the paper do on ArenaHard.")
    ] = False,
    text: PageText = True,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json: Json = False,
) -> None:
    """Compute every number, table and figure from stored decisions, or from outcomes those that need no router."""
    if (source is None) == (compare is None):
        raise typer.BadParameter("give a folder of runs or of outcomes, or --compare OLD NEW, and not both")
    if compare is not None:
        _compare(*compare, to, samples, json)
        return
    assert source is not None
    by_name = usage(lambda: _named_runs(embedders or []))
    if (source / "manifest.json").is_file() and not (source / "runs.json").is_file():
        for option, value in {"--baseline": baseline, "--data": data, "--ties-win": ties_win or None}.items():
            if value is not None:
                raise typer.BadParameter(f"{option} needs a folder of runs, got a folder of outcomes; leave it out")
        _of_outcomes(source, setting, to or source / "report", samples, by_name, serving, json)
        return
    if setting is not None:
        raise typer.BadParameter("--setting needs a folder of outcomes; runs have the setting they were made with")
    from llmrouterbench.reporting.report import full_report

    out = to or source / "report"
    page: dict[str, Any] = {"text": text, "data": data, "ties_win": ties_win}
    board, made = full_report(
        source, out, samples=samples, baseline=baseline, embedders=by_name, serving=serving, **page
    )
    if json:
        print_json({**board.to_dict(), "exhibits": _listed(made)})
        return
    print_board(board, out, source)
    _say(made, out)
    if show:
        typer.launch(str(out / "index.html"))


def show_report(runs: Path, *, text: bool = True, json: bool = False) -> None:
    """Write and print the leaderboard of some runs, without the figures; what `bench` and `judge-choices` end with."""
    from llmrouterbench.reporting.report import report as write_report

    board = write_report(runs, text=text)
    if json:
        print_json(board.to_dict())
        return
    print_board(board, runs / "report", runs)
    say(f"every table and figure: llmrouterbench report {shlex.quote(str(runs))}")


def print_board(board: Leaderboard, report: Path, runs: Path) -> None:
    """Print a leaderboard: its tables, and last the verdict with the commands that run it and the page."""
    from llmrouterbench.reporting import verdict
    from llmrouterbench.reporting.page import NAME
    from llmrouterbench.reporting.render import render

    for table in render(board, tables.width):
        tables.print(table)
    if board.verdict is not None:
        noted = board.facts["data"]
        data = os.path.normpath(runs / noted) if noted else "DATA"
        tables.print("", *map(escape, verdict.lines(board.verdict)), sep="\n", highlight=False)
        show_lines(["", *verdict.commands(board.verdict, data)])
    page = report / NAME
    show_lines([f"page: {page}" if page.is_file() else f"report: {report}"])


def _of_outcomes(
    folder: Path,
    setting: str | None,
    out: Path,
    samples: int,
    embedders: dict[str, Path],
    serving: Path | None,
    json: bool,
) -> None:
    from llmrouterbench.reporting.report import outcomes_report

    outcomes, chosen = load(folder, setting)
    made = outcomes_report(outcomes, out, setting=chosen, samples=samples, embedders=embedders, serving=serving)
    if json:
        print_json({"folder": str(out), "exhibits": _listed(made)})
    else:
        _say(made, out)


def _named_runs(words: list[str]) -> dict[str, Path]:
    """Folders by name from "NAME=RUNS" words."""
    found = {}
    for word in words:
        name, mark, path = word.partition("=")
        if not (name and mark and path):
            raise ValueError(f"--embedders must be NAME=RUNS, got {word!r}")
        found[name] = Path(path)
    return found


def _listed(made: Exhibits | None) -> dict[str, Any] | None:
    if made is None:
        return None
    return {
        "tables": sorted(made.tables),
        "figures": sorted(made.pictures),
        "left_out": made.left_out,
        "verdicts": list(made.verdicts),
    }


def _say(made: Exhibits | None, out: Path) -> None:
    if made is None:
        say("tables and figures need matplotlib; pip install 'llmrouterbench[report]'")
        return
    from llmrouterbench.reporting.catalogue import NAME

    for verdict in made.verdicts:
        say(verdict)
    for name, reason in made.left_out.items():
        say(f"not made: {made.title_of(name)}: {reason}")
    say(f"{len(made.tables)} tables and {len(made.pictures)} figures in {out}, listed in {out / NAME}")


def _compare(old: Path, new: Path, to: Path | None, samples: int, json: bool) -> None:
    from llmrouterbench.benching.folder import load_runs
    from llmrouterbench.files import write_bytes, write_json
    from llmrouterbench.reporting.comparison import markdown
    from llmrouterbench.studies.moves import compare_runs

    diff = compare_runs(load_runs(old), load_runs(new), replicates=samples)
    text = markdown(diff)
    if to is not None:
        write_bytes(to / "comparison.md", text.encode())
        write_json(to / "comparison.json", asdict(diff))
    if json:
        print_json({**asdict(diff), "markdown": text})
    else:
        show_lines(text.splitlines())
