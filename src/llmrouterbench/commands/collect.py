"""Commands that collect replies: `collect CONFIG`, `collect status`, `resume`, `reprice`, `release`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from llmrouterbench.commands._terminal import messages, print_json, say, show_rows
from llmrouterbench.commands.app import Json, app

if TYPE_CHECKING:
    from llmrouterbench.collecting.collect import Progress, Summary
    from llmrouterbench.collecting.config import CollectConfig

_SAY_EVERY = 60.0
"""Seconds between lines of progress where standard error is no terminal."""


class _RunByDefault(TyperGroup):
    """`collect CONFIG` is short for `collect run CONFIG`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            config = args[0].endswith((".yaml", ".yml")) or Path(args[0]).exists()
            if config or args[0].startswith("-"):
                args = ["run", *args]
        return super().parse_args(ctx, args)


collecting = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Collect replies of a pool of models: `collect CONFIG`, then `collect status FOLDER`.",
)
app.add_typer(collecting, name="collect")

Folder = Annotated[Path, typer.Argument(help="A folder of replies, the config's `out`.")]
BudgetUsd = Annotated[
    float | None, typer.Option("--budget", min=0.0, help="USD that all runs into the folder may spend together.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed/--no-retry-failed", help="Ask again what failed in an earlier run.")
]
Release = Annotated[
    Path | None,
    typer.Option("--write-release", help="Write the replies in the official record format into a new folder."),
]


@collecting.command("run")
def run(
    config: Annotated[Path, typer.Argument(help="The YAML file of the collection.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what it would ask and cost, and ask nothing.")
    ] = False,
    budget: BudgetUsd = None,
    retry_failed: RetryFailed = True,
    write_release: Release = None,
    json: Json = False,
) -> None:
    """Ask every model every query that has no reply yet; stop at any time and run again to go on."""
    from llmrouterbench.collecting.config import read_config

    chosen = read_config(config)
    if dry_run:
        _show_plan(chosen, retry_failed, json)
    else:
        _collect(chosen, budget, retry_failed, write_release, json)


@collecting.command()
def resume(
    folder: Folder,
    budget: BudgetUsd = None,
    retry_failed: RetryFailed = True,
    write_release: Release = None,
    json: Json = False,
) -> None:
    """Go on with the collection of a folder, with the config it was started with."""
    from llmrouterbench.collecting.config import parse_config
    from llmrouterbench.collecting.replies_store import read_replies_manifest

    config = parse_config(read_replies_manifest(folder)["config"], f"{folder / 'manifest.json'}: config")
    _collect(config.model_copy(update={"out": str(folder.resolve())}), budget, retry_failed, write_release, json)


@collecting.command()
def status(folder: Folder, json: Json = False) -> None:
    """Say what a folder holds of every model, also while a collection runs."""
    from dataclasses import asdict

    from llmrouterbench.collecting.pricing import mixed_prices
    from llmrouterbench.collecting.replies_store import tally, writer_of

    cells = tally(folder)
    writer = writer_of(folder)
    mixed = mixed_prices(folder)
    if json:
        rows = [{"dataset": d, "model": m, **asdict(cell), "missing": cell.missing} for (d, m), cell in cells.items()]
        print_json({"folder": str(folder), "writer": writer, "cells": rows, "mixed_prices": mixed})
        return
    rows = []
    for model in dict.fromkeys(model for _, model in cells):
        mine = [cell for (_, name), cell in cells.items() if name == model]
        rows.append(
            {
                "model": model,
                "ok": f"{sum(cell.ok for cell in mine)} of {sum(cell.items for cell in mine)}",
                "failed": str(sum(cell.failed for cell in mine)),
                "missing": str(sum(cell.missing for cell in mine)),
                "cost": _dollars(sum(cell.cost for cell in mine), sum(cell.unpriced for cell in mine)),
                "paid": _dollars(sum(cell.paid for cell in mine), 0),
                "tokens": f"{sum(cell.tokens_in + cell.tokens_out for cell in mine):,}",
            }
        )
    show_rows("Replies", rows, json=False)
    for sentence in mixed:
        say(sentence)
    say(f"{writer} is collecting into {folder}" if writer else f"nobody is collecting into {folder}")


@collecting.command()
def reprice(
    config: Annotated[Path, typer.Argument(help="The YAML file of the collection, with the right prices.")],
    json: Json = False,
) -> None:
    """Correct what replies cost by the config's prices; what a provider said itself stays, and nothing is asked."""
    from dataclasses import asdict

    from llmrouterbench.collecting.config import read_config
    from llmrouterbench.collecting.pricing import reprice

    done = reprice(read_config(config))
    if json:
        print_json({"models": [asdict(one) for one in done]})
        return
    rows = [
        {
            "model": one.model, "changed": str(one.changed), "said by the provider": str(one.told),
            "unknown": str(one.unknown), "before": _dollars(one.before, 0), "now": _dollars(one.after, 0),
        }
        for one in done
    ]  # fmt: skip
    show_rows("Repriced", rows, json=False)


@collecting.command()
def release(
    folder: Folder,
    to: Annotated[Path, typer.Option("--to", help="Folder to make.")],
    scored: Annotated[
        Path | None, typer.Option("--scored", help="Outcomes that `llmrouterbench score` made of the replies.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder if it exists.")] = False,
    json: Json = False,
) -> None:
    """Write the replies, with their scores, in the official record format, so that others can import them."""
    from llmrouterbench.collecting.replies_release import scores_in, write_replies_release
    from llmrouterbench.scoring.folder import scores_of

    scores = None if scored is None else scores_in(scores_of(scored))
    facts = write_replies_release(folder, to, scores=scores, overwrite=overwrite)
    if json:
        print_json({"folder": str(to), **facts})
    else:
        say(f"{facts['records']} records in {facts['files']} files in {to}; {facts['unscored']} without a score")


def _dollars(known: float, unpriced: int) -> str:
    return f"${known:.4f}" + (f" + {unpriced} unknown" if unpriced else "")


def _show_plan(config: CollectConfig, retry_failed: bool, json: bool) -> None:
    from dataclasses import asdict

    from llmrouterbench.collecting.collect import changes, load_all_questions
    from llmrouterbench.collecting.plan import plan

    for sentence in changes(config, load_all_questions(config)):
        say(sentence)
    rows = plan(config, retry_failed=retry_failed)
    known = sum(row.cost for row in rows if row.cost is not None)
    unknown = [row.model for row in rows if row.cost is None and row.to_ask]
    if json:
        print_json({"plan": [asdict(row) for row in rows], "cost": known, "unpriced": unknown})
        return
    shown = [
        {
            "model": row.model,
            "there": f"{row.there} of {row.queries}",
            "cached": str(row.cached),
            "to ask": str(row.to_ask),
            "tokens in": _short(row.tokens_in),
            "tokens out": f"{_short(row.tokens_out)} ({row.basis})",
            "cost": "unknown" if row.cost is None else f"${row.cost:.4f}",
        }
        for row in rows
    ]
    show_rows("Plan", shown, json=False)
    say(f"about ${known:.4f}" + (f" and what {', '.join(unknown)} cost, which nobody knows" if unknown else ""))


def _collect(config: CollectConfig, budget: float | None, retry_failed: bool, release: Path | None, json: bool) -> None:
    from llmrouterbench.collecting.collect import changes, collect, load_all_questions

    questions = load_all_questions(config)
    for sentence in changes(config, questions):
        say(sentence)
    with live() as tell:
        done = collect(config, questions, budget=budget, retry_failed=retry_failed, tell=tell)
    facts: dict[str, Any] = {"folder": config.out, **facts_of(done)}
    if release is not None:
        from llmrouterbench.collecting.replies_release import write_replies_release

        facts["release"] = {"folder": str(release), **write_replies_release(Path(config.out), release)}
    if json:
        print_json(facts)
    else:
        say_summary(config, done, f"llmrouterbench collect resume {config.out}")
        if release is not None:
            say(f"release in {release}")
    if done.interrupted:
        raise typer.Exit(130)
    if not done.complete:
        raise typer.Exit(1)


def facts_of(done: Summary) -> dict[str, Any]:
    """What a run did, for --json."""
    from dataclasses import asdict

    return {**asdict(done), "complete": done.complete}


def say_summary(config: CollectConfig, done: Summary, again: str) -> None:
    """What a run did, for people; `again` is the command that goes on."""
    from llmrouterbench.collecting.pricing import mixed_prices

    rows = [
        {
            "model": one.model,
            "ok": f"{one.ok} of {one.queries}",
            "failed": str(one.failed),
            "missing": str(one.queries - one.ok - one.failed),
            "cached": str(one.hits),
            "spent": _dollars(one.spent, 0),
            "cost": _dollars(one.cost, one.unpriced),
        }
        for one in done.models
    ]
    show_rows("Collected", rows, json=False)
    if done.torn:
        say(f"{done.torn} half-written lines of a run that was killed were cut off; their replies are asked for again")
    if done.in_flight:
        lost = f"; with those of runs before, for up to ${done.orphaned:.4f}, which counts on the budget"
        say(f"{done.in_flight} calls were under way when a run was killed; they may have been paid twice{lost}")
    for one in done.models:
        if one.stopped:
            say(f"model {one.model} stopped: {one.stopped}")
    for sentence in mixed_prices(Path(config.out)):
        say(sentence)
    if done.why:
        say(done.why)
    left = "" if done.complete else f"; to go on: {again}"
    say(f"replies in {config.out}{left}")


# --- live progress ---------------------------------------------------------------------------------------------------


@contextmanager
def live() -> Iterator[Callable[[Sequence[Progress]], None]]:
    """Progress on standard error: a bar for every model on a terminal, else a line a minute."""
    if not messages.is_terminal:
        yield _lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<20.20}"),
        BarColumn(10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
    )
    with Bars(*columns, console=messages) as bars:
        tasks: dict[str, Any] = {}

        def tell(models: Sequence[Progress]) -> None:
            for one in models:
                if one.model not in tasks:
                    tasks[one.model] = bars.add_task(one.model, total=one.queries, facts="")
                bars.update(tasks[one.model], completed=one.ok + one.failed, facts=_line(one))

        yield tell


def _line(one: Progress) -> str:
    """Failed, dollars, tokens and time left of one model."""
    left = one.seconds_left
    time_left = "" if left is None else f", {int(left) // 3600}:{int(left) // 60 % 60:02d}:{int(left) % 60:02d} left"
    end = ", stopped" if one.stopped else time_left
    return f"{one.failed} failed, ${one.spent:.4f}, {_short(one.tokens_in + one.tokens_out)} tokens{end}"


def _short(number: int) -> str:
    """12345 as 12k."""
    return (
        str(number) if number < 10_000 else f"{number // 1000}k" if number < 10_000_000 else f"{number // 1_000_000}M"
    )


def _lines() -> Callable[[Sequence[Progress]], None]:
    said = time.monotonic()

    def tell(models: Sequence[Progress]) -> None:
        nonlocal said
        if time.monotonic() - said >= _SAY_EVERY:
            said = time.monotonic()
            for one in models:
                say(f"{one.model}: {one.ok + one.failed} of {one.queries}, {_line(one)}")

    return tell
