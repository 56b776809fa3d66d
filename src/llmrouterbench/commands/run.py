"""`llmrouterbench run CONFIG`: collect, score, bench and report, each stage only where something has changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrouterbench.commands._terminal import print_json, progress_bar, say, show_rows
from llmrouterbench.commands.app import Json, app, usage
from llmrouterbench.commands.collect import BudgetUsd, RetryFailed, facts_of, live, say_summary
from llmrouterbench.commands.report import print_board

if TYPE_CHECKING:
    from llmrouterbench.chain import Stage
    from llmrouterbench.collecting.collect import Summary
    from llmrouterbench.collecting.config import CollectConfig


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="The YAML file of a collection, with `outcomes` and `bench`.")],
    budget: BudgetUsd = None,
    retry_failed: RetryFailed = True,
    partial: Annotated[
        bool, typer.Option("--partial", help="Go on after a collection that ended early; what is missing is masked.")
    ] = False,
    unsafe_exec: Annotated[
        bool, typer.Option("--unsafe-exec", help="Run model-written code unprotected where there is no sandbox.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes for mathematics and code.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", help="Parallel processes of the bench; -1 for all cores.")] = -1,
    json: Json = False,
) -> None:
    """Collect, score, bench and report by one config; a stage whose inputs have not changed is left out."""
    from llmrouterbench.chain import check_chain, run_after_collecting
    from llmrouterbench.collecting.config import read_config

    chosen = read_config(config)
    usage(lambda: check_chain(chosen))
    first, collected = _collect(chosen, config, budget, retry_failed, partial, json)
    with progress_bar() as tell:
        stages, board = run_after_collecting(
            chosen, unsafe=unsafe_exec, workers=workers, jobs=jobs, progress=tell
        )  # fmt: skip
    stages = [first, *stages]
    if json:
        told = {one.name: {"skipped": one.skipped, "folder": str(one.folder)} for one in stages}
        print_json({"stages": told, "collected": None if collected is None else facts_of(collected)})
        return
    if board is not None:
        print_board(board, stages[-1].folder, stages[-1].folder.parent)
    show_rows("Stages", [_row(one) for one in stages], json=False)
    say(f"report in {stages[-1].folder}")


def _row(stage: Stage) -> dict[str, Any]:
    return {"stage": stage.name, "what": "unchanged" if stage.skipped else "done", "folder": str(stage.folder)}


def _collect(
    chosen: CollectConfig, path: Path, budget: float | None, retry_failed: bool, partial: bool, json: bool
) -> tuple[Stage, Summary | None]:
    """The first stage; ends the command where it was stopped, or ended early and the user did not say --partial."""
    from llmrouterbench.chain import collect_missing, cut_short

    with live() as tell:
        stage, collected = collect_missing(chosen, budget=budget, retry_failed=retry_failed, tell=tell, say=say)
    if collected is None:
        return stage, None
    if not json:
        say_summary(chosen, collected, f"llmrouterbench run {path}")
    if collected.interrupted:
        raise typer.Exit(130)
    if (why := cut_short(collected)) and not partial:
        raise ValueError(f"the collection must end before it is scored, got: {why}; run again, or add --partial")
    return stage, collected
