"""`llmrouterbench score REPLIES --to OUTCOMES`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrouterbench.commands._terminal import print_json, progress_bar, say, show_lines
from llmrouterbench.commands.app import Json, app, known, usage

if TYPE_CHECKING:
    from llmrouterbench.calling.asking import Asker


@app.command()
def score(
    replies: Annotated[Path, typer.Argument(help="A folder of replies, made by `collect`.")],
    to: Annotated[Path, typer.Option("--to", help="Folder of outcomes to make or to bring up to date.")],
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Config with the judges and own datasets; the stored one if not given."),
    ] = None,
    compat: Annotated[
        str, typer.Option("--compat", help="'official': read replies as the official scorers do.")
    ] = "ours",
    protocol: Annotated[str, typer.Option("--protocol", help="'paper': a failed call counts as score 0.")] = "ours",
    unsafe_exec: Annotated[
        bool, typer.Option("--unsafe-exec", help="Run model-written code unprotected where there is no sandbox.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes for mathematics and code.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outcomes that were made otherwise.")] = False,
    json: Json = False,
) -> None:
    """Score stored replies; no model is called but the judges, through their cache. Run it again at any time."""
    from llmrouterbench.collecting.changes import changed_files
    from llmrouterbench.importers import report_lines
    from llmrouterbench.scoring.config import stored_config
    from llmrouterbench.scoring.folder import score_collected

    usage(lambda: known("compatibility", compat, ["ours", "official"]))
    usage(lambda: known("protocol", protocol, ["ours", "paper"]))
    chosen = stored_config(replies, config)
    with progress_bar() as tell:
        report, judges = score_collected(
            chosen,
            replies,
            to,
            unsafe=unsafe_exec,
            workers=workers,
            compat="official" if compat == "official" else "ours",
            failed="zero" if protocol == "paper" else "masked",
            overwrite=overwrite,
            progress=tell,
        )
    spent = {name: _spent(judge) for name, judge in judges.items()}
    for sentence in changed_files(chosen.model_copy(update={"out": str(replies)})):
        say(f"{sentence}; scored as collected, collect again to bring the folder up to date")
    if json:
        print_json({"folder": str(to), "judges": spent, **report.to_dict()})
        return
    show_lines(report_lines(report))
    for name, facts in spent.items():
        said = ", ".join(f"{what.replace('_', ' ')} {value:g}" for what, value in facts.items())
        say(f"judge {name}: {said}")
    say(f"stored in {to}; next: llmrouterbench info {to}")


def _spent(judge: Asker) -> dict[str, float]:
    """What a judge did and cost in this run; it is no cost of a model of the pool."""
    return {
        "judgements": judge.calls,
        "from_cache": judge.cached,
        "failed": judge.failed,
        "without_known_cost": judge.unpriced,
        "usd": judge.spent,
    }
