"""`llmrouterbench board`: a leaderboard of submissions that anyone can recompute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmrouterbench.commands._terminal import print_json, say, show_lines
from llmrouterbench.commands.app import Json, app, seeds_of, usage

boards = typer.Typer(
    no_args_is_help=True,
    help="A leaderboard that anyone can recompute: `board init`, then `board submit`, `check` and `update`.",
)
app.add_typer(boards, name="board")

Folder = Annotated[Path, typer.Argument(help="The folder of the board.")]


@boards.command("init")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make, fit for git.")],
    data: Annotated[Path, typer.Option("--data", help="A folder of outcomes.")],
    title: Annotated[str | None, typer.Option("--title", help="Name of the board; the data's when not given.")] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="'paper' (five seeds) or numbers.")] = "paper",
    split: Annotated[str | None, typer.Option("--split", help="safe, paper, or a file of a split.")] = None,
    ratio: Annotated[float, typer.Option("--ratio", help="Share of the open queries for training.")] = 0.7,
    held_out: Annotated[
        float | None,
        typer.Option("--held-out", help="Share of queries whose outcomes stay with you; none when not given."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier folder.")] = False,
    json: Json = False,
) -> None:
    """Make the folder of a board: data, splits, rules."""
    from llmrouterbench.boards.folder import init as make

    said = {"title": title, "split": split, "ratio": ratio, "held_out": held_out, "overwrite": overwrite}
    made = make(folder, data, seeds=seeds_of(seeds), **said)  # type: ignore[arg-type]
    if json:
        print_json({"folder": str(folder), "kind": made.kind, "data_hash": made.outcomes.content_hash})
        return
    if made.kind == "held-out":
        say(f"the outcomes of {len(made.hidden):,} queries are not in {folder}: keep {data}, `board update` needs it")
    say(f"board in {folder}; how to submit is in {folder / 'README.md'}")


@boards.command("submit")
def submit(
    folder: Folder,
    card: Annotated[Path, typer.Option("--card", help="JSON file: who made the router, how, and from what.")],
    bench: Annotated[Path | None, typer.Option("--bench", help="Folder of runs on the board's data.")] = None,
    router: Annotated[str | None, typer.Option("--router", help="The router of that bench.")] = None,
    choices: Annotated[
        Path | None, typer.Option("--choices", help="Instead: CSV, JSONL or Parquet as `judge-choices` takes it.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what was not published yet.")] = False,
    json: Json = False,
) -> None:
    """Write what a router decided into a board, as a folder for a pull request."""
    from llmrouterbench.boards.submission import submit as write

    if (bench is None) != (router is None):
        raise typer.BadParameter("--bench and --router belong together; give both")
    place = write(folder, card, bench=bench, router=router, choices=choices, overwrite=overwrite)
    if json:
        print_json({"folder": str(place)})
    else:
        say(f"submission in {place}; commit it and open a pull request")


@boards.command("check")
def check(
    folder: Folder,
    submissions: Annotated[list[str] | None, typer.Argument(help="Names; all when none are given.")] = None,
    json: Json = False,
) -> None:
    """Say in one sentence what is wrong with a submission; exits with 1 where something is."""
    from llmrouterbench.boards.submission import check as checked

    found = usage(lambda: checked(folder, submissions))
    if json:
        print_json({"problems": found})
    else:
        show_lines([f"{name}: {problem or 'fine'}" for name, problem in found.items()] or ["no submissions yet"])
    raise typer.Exit(1 if any(found.values()) else 0)


@boards.command("update")
def update(
    folder: Folder,
    data: Annotated[
        Path | None, typer.Option("--data", help="Of a held-out board: the outcomes that it was made from.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", help="Bootstrap replicates.")] = 1000,
    json: Json = False,
) -> None:
    """Compute everything again from stored choices: ranks, audit, history, and the site."""
    from llmrouterbench.boards.update import update as compute

    standing = compute(folder, data=data, samples=samples)
    if json:
        print_json({"moved": standing.moved, "refused": standing.refused, "leaderboard": standing.numbers.to_dict()})
        return
    show_lines(standing.moved)
    for name in standing.entries:
        for one in standing.audit.flagged(name):
            show_lines([f"{name} is flagged: {one.test}; see its page"])
    for name, why in standing.refused.items():
        say(f"{name} is not ranked: {why}")
    say(f"site: {folder / 'site' / 'index.html'}")
