"""`llmrouterbench preferences`: how strong models are by battles, in which somebody preferred one of two replies."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from llmrouterbench.commands._terminal import print_json, show_lines
from llmrouterbench.commands.app import Json, app


@app.command()
def preferences(
    source: Annotated[str, typer.Argument(help="A file of battles (Arena, RouteLLM, RewardBench), or its address.")],
    json: Json = False,
) -> None:
    """Bradley-Terry strengths of models with intervals, by task, from who was preferred to whom."""
    from llmrouterbench.importers.battles import read_battles
    from llmrouterbench.reporting.preferences import preferences_dict, preferences_lines
    from llmrouterbench.studies.preferences import preferences

    battles = read_battles(source)
    found = preferences(battles)
    if json:
        print_json({**preferences_dict(found), "findings": [asdict(one) for one in battles.findings]})
        return
    said = [f"{one.kind}: {one.count:,} {one.happened}, first {one.example}" for one in battles.findings]
    show_lines(said + preferences_lines(found))
