"""`llmrouterbench plugins`: what installed packages add."""

from __future__ import annotations

from llmrouterbench.commands._terminal import say, show_rows
from llmrouterbench.commands.app import Json, app


@app.command()
def plugins(json: Json = False) -> None:
    """List routers, datasets, embedders and importers of installed packages, and why one cannot be used."""
    from llmrouterbench import datasets, embedders, importers, routers
    from llmrouterbench.plugins import damaged

    for sentence in damaged():
        say(sentence)
    kinds = (routers.PLUG_INS, datasets.PLUG_INS, embedders.PLUG_INS, importers.PLUG_INS)
    rows = [
        {"kind": one.kind, "name": one.name, "package": one.package, "fault": fault}
        for kind in kinds
        for one, fault in kind.states()
    ]
    if rows or json:
        show_rows("Plugins", rows, json)
    else:
        say("no installed package has any; docs/routers.md, datasets.md and importing.md say how to write one")
