"""`llmrouterbench simulate`: SIMULATED outcomes, and the release they would come in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llmrouterbench.commands._terminal import (
    print_json,
    say,
)
from llmrouterbench.commands.app import (
    Json,
    app,
    known,
    usage,
)
from llmrouterbench.settings import BUILT_IN


@app.command()
def simulate(
    to: Annotated[Path | None, typer.Option("--to", help="Folder for the outcomes of one setting.")] = None,
    setting: Annotated[str, typer.Option("--setting", help=" or ".join(BUILT_IN))] = "performance-cost",
    seed: Annotated[int, typer.Option("--seed", help="Equal seeds give equal data.")] = 0,
    scale: Annotated[float, typer.Option("--scale", help="Share of every dataset that --to gets, up to 1.")] = 1.0,
    release: Annotated[
        Path | None, typer.Option("--write-release", help="Also write the official layout: a folder or a .tar.gz.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder if it exists.")] = False,
    json: Json = False,
) -> None:
    """Make SIMULATED outcomes at the paper's full scale, with the paper's means and costs."""
    from llmrouterbench.simulation.simulate import simulate as make
    from llmrouterbench.store import write_outcomes

    usage(lambda: known("setting", setting, list(BUILT_IN)))
    if to is None and release is None:
        raise typer.BadParameter("say where to write: --to DIR, --write-release DIR, or both")
    if to is None and scale != 1.0:
        raise typer.BadParameter("--scale shrinks what --to gets, and --write-release is always whole; say --to DIR")
    said: dict[str, Any] = {"simulated": True, "seed": seed}
    if to is not None:
        outcomes = usage(lambda: make(setting, seed, scale=scale))
        write_outcomes(outcomes, to, overwrite=overwrite)
        said |= {"folder": str(to), "queries": len(outcomes), "models": len(outcomes.models)}
    if release is not None:
        from llmrouterbench.simulation.release import write_release

        said["release"] = write_release(release, seed, overwrite=overwrite)
    if json:
        print_json(said)
    else:
        say(f"SIMULATED outcomes written to {' and '.join(str(p) for p in (to, release) if p)}")
