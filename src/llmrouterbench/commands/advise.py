"""`llmrouterbench advise`: is routing worth it on these outcomes?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmrouterbench.commands._terminal import print_json, say, show_lines
from llmrouterbench.commands.app import Json, SettingName, app, load


@app.command()
def advise(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    setting: SettingName = None,
    quick: Annotated[bool, typer.Option("--quick", help="One seed, fewer draws, no learning curve.")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for advice.md, advice.json and the learning curve as a figure.")
    ] = None,
    json: Json = False,
) -> None:
    """Say whether routing is worth it here, with the numbers that decide, and which models nobody needs."""
    from llmrouterbench.reporting.advice import advice_dict, advice_lines, write_advice
    from llmrouterbench.studies.advise import recommend

    outcomes, _ = load(folder, setting)
    advice = recommend(outcomes, quick=quick)
    if to is not None:
        missing = write_advice(advice, to)
        if missing:
            say(missing)
    if json:
        print_json(advice_dict(advice))
    else:
        show_lines(advice_lines(advice))
