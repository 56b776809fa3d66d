"""`llmrouterbench export`, `export-table` and `judge-choices`: tools and routers of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmrouterbench.commands._terminal import (
    print_json,
    say,
)
from llmrouterbench.commands.app import (
    Json,
    SettingName,
    app,
    known,
    load,
    usage,
    words,
)
from llmrouterbench.commands.report import show_report


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    method: Annotated[str, typer.Option("--for", help="The method whose official code will read the files.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to make.")],
    setting: SettingName = None,
    seed: Annotated[int, typer.Option("--seed")] = 42,
    split: Annotated[str, typer.Option("--split", help="paper, safe, or a file of a split.")] = "paper",
    embedder: Annotated[str, typer.Option("--embedder", help="For methods that read embeddings.")] = "tfidf",
    pair: Annotated[str, typer.Option("--pair", help="STRONG,WEAK for methods of two models.")] = "",
    models: Annotated[str, typer.Option("--models", help="Some models, comma-separated.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    json: Json = False,
) -> None:
    """Write the input files that a method's official code reads: same data, same split, no glue."""
    from llmrouterbench.api import export as write
    from llmrouterbench.embedders import make_embedder
    from llmrouterbench.exporters import check_method
    from llmrouterbench.splits import FILES, KINDS

    usage(lambda: check_method(method))
    tool = usage(lambda: make_embedder(embedder))
    strong_weak = usage(lambda: _pair(pair))
    if not split.lower().endswith(FILES):
        usage(lambda: known("split", split, list(KINDS)))
    outcomes, _ = load(folder, setting)
    facts = write(
        outcomes, method, to, seed=seed, split=split, embedder=tool, pair=strong_weak, models=words(models),
        overwrite=overwrite,
    )  # fmt: skip
    if json:
        print_json(facts)
    else:
        for note in facts["notes"]:
            say(note)
        say(f"files for {method} in {to}")


@app.command("export-table")
def export_table_(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    to: Annotated[Path, typer.Option("--to", help="A .csv, .jsonl or .parquet file, or a folder for the hub.")],
    setting: SettingName = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    json: Json = False,
) -> None:
    """Write outcomes as a table for any tool, a row per query and model; `import` reads it back as they were."""
    from llmrouterbench.api import export_table as write
    from llmrouterbench.numerals import count

    outcomes, _ = load(folder, setting)
    facts = write(outcomes, to, overwrite=overwrite)
    if json:
        print_json({"to": str(to), "simulated": outcomes.simulated, **facts})
    else:
        mark = "SIMULATED data: " if outcomes.simulated else ""
        said = f"{count(facts['records'])} records of {count(facts['queries'])} queries and {facts['models']} models"
        say(f"{mark}{said} in {to}")


def _pair(text: str) -> tuple[str, str] | None:
    said = words(text)
    if text and len(said) != 2:
        raise ValueError(f"--pair must be two models, STRONG,WEAK, got {text!r}")
    return (said[0], said[1]) if said else None


@app.command("judge-choices")
def judge_choices_(
    choices: Annotated[Path, typer.Argument(help="CSV, JSONL or Parquet: query id and model, or probabilities.")],
    runs: Annotated[Path, typer.Option("--runs", help="Folder of runs to judge them in.")],
    name: Annotated[str, typer.Option("--name", help="Name of the router in the leaderboard.")],
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Accept test queries without a choice.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier choices of that name.")] = False,
    json: Json = False,
) -> None:
    """Score the picks of any outside router in the same harness and leaderboard."""
    from llmrouterbench.benching.outside import judge_choices

    judge_choices(choices, runs, name, allow_missing=allow_missing, overwrite=overwrite)
    show_report(runs, json=json)
