"""`llmrouterbench score`, `datasets`: from stored replies to outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmrouterbench.commands._app import Json, app, known, usage
from llmrouterbench.terminal import print_json, progress_bar, say, show_lines, show_rows


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
    workers: Annotated[int | None, typer.Option("--workers", help="Processes for mathematics and code.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outcomes that were made otherwise.")] = False,
    json: Json = False,
) -> None:
    """Score stored replies; no model is called but the judges, through their cache. Run it again at any time."""
    from llmrouterbench.importers import report_lines
    from llmrouterbench.score import score_folder
    from llmrouterbench.score_config import open_judges, resolver, stored_config
    from llmrouterbench.scoring import Bench

    usage(lambda: known("compatibility", compat, ["ours", "official"]))
    usage(lambda: known("protocol", protocol, ["ours", "paper"]))
    chosen = stored_config(replies, config)
    with progress_bar() as tell, open_judges(chosen) as judges, Bench(unsafe_exec, workers, judges) as bench:
        report = score_folder(
            replies,
            to,
            resolver(chosen),
            bench,
            compat="official" if compat == "official" else "ours",
            failed="zero" if protocol == "paper" else "masked",
            overwrite=overwrite,
            progress=tell,
        )
    spent = {name: judge.spent for name, judge in judges.items()}
    if json:
        print_json({"folder": str(to), "judges_usd": spent, **report.to_dict()})
        return
    show_lines(report_lines(report))
    for name, dollars in spent.items():
        say(f"judge {name}: USD {dollars:.4f}")
    say(f"stored in {to}; next: llmrouterbench info {to}")


@app.command()
def datasets(json: Json = False) -> None:
    """List the datasets: where they come from, how they are scored."""
    from llmrouterbench.datasets import dataset, dataset_names

    rows = []
    for name in dataset_names():
        one = dataset(name)
        rows.append(
            {
                "name": name, "domain": one.domain, "size": one.size, "shots": one.shots, "scored by": one.kind,
                "judge": one.judge, "licence": one.licence, "shown": "yes" if one.shown else "no",
            }
        )  # fmt: skip
    show_rows("Datasets", rows, json)
