"""`llmrouterbench schema`: the JSON Schema of a config, for editors."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmrouterbench.commands._terminal import print_json
from llmrouterbench.commands.app import app, known, usage

KINDS = ("collect", "serve", "dataset", "setting", "card")


@app.command()
def schema(
    kind: Annotated[
        str,
        typer.Argument(help="collect (of `run` too), serve, dataset (one of your own), setting, card (of a board)."),
    ],
) -> None:
    """Print the JSON Schema of a config, by which an editor completes and checks it."""
    usage(lambda: known("kind of config", kind, list(KINDS)))
    print_json(schema_of(kind))


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of one of `KINDS`, made of the class that reads such a file."""
    from llmrouterbench.boards.card import Card
    from llmrouterbench.collecting.config import CollectConfig
    from llmrouterbench.datasets.own import OwnDataset
    from llmrouterbench.serve.config import ServeConfig
    from llmrouterbench.settings import Setting
    from llmrouterbench.strict import json_schema

    kinds = dict(zip(KINDS, (CollectConfig, ServeConfig, OwnDataset, Setting, Card), strict=True))
    return json_schema(kinds[kind])
