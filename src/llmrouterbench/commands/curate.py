"""`llmrouterbench curate`: which models to keep in the pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmrouterbench.commands._terminal import print_json, show_lines
from llmrouterbench.commands.app import Json, SettingName, app, load, usage


@app.command()
def curate(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    size: Annotated[int | None, typer.Option("--size", help="Models to keep; every size when not given.")] = None,
    cost_weight: Annotated[
        float, typer.Option("--cost-weight", help="Score that one USD a query is worth: prefers cheap models.")
    ] = 0.0,
    budget: Annotated[
        float | None, typer.Option("--budget", help="What keeping models may cost, in the unit of --price.")
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option("--price", metavar="MODEL=NUMBER", help="What it costs to keep a model; repeat it. Others: 1."),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", help="Bootstrap samples for the intervals.")] = 1000,
    setting: SettingName = None,
    json: Json = False,
) -> None:
    """Choose a subset of the pool by greedy coverage, against top-k and random, and value every model."""
    from llmrouterbench.reporting.curation import curation_dict, curation_lines
    from llmrouterbench.studies.curation import study

    prices = usage(lambda: _prices(price or []))
    if prices and budget is None:
        raise typer.BadParameter("--price needs a --budget; say how much may be spent")
    outcomes, _ = load(folder, setting)
    found = study(outcomes, size=size, cost_weight=cost_weight, budget=budget, price=prices, samples=samples)
    if json:
        print_json(curation_dict(found))
    else:
        show_lines(curation_lines(found))


def _prices(words: list[str]) -> dict[str, float]:
    """Numbers by model from "MODEL=NUMBER" words; a model id may hold "=" itself."""
    found = {}
    for word in words:
        model, mark, number = word.rpartition("=")
        try:
            found[model] = float(number)
        except ValueError:
            mark = ""
        if not (model and mark):
            raise ValueError(f"--price must be MODEL=NUMBER, got {word!r}")
    return found
