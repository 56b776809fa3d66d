"""`llmrouterbench demo`: the main job on SIMULATED data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmrouterbench.commands._terminal import (
    print_json,
    progress_bar,
    say,
)
from llmrouterbench.commands.app import (
    Json,
    app,
)
from llmrouterbench.commands.report import print_board
from llmrouterbench.settings import BUILT_IN


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to make.")] = Path("demo"),
    seed: Annotated[int, typer.Option("--seed")] = 0,
    json: Json = False,
) -> None:
    """Run the main job on SIMULATED data at the paper's full scale: both settings, five seeds, no download."""
    from llmrouterbench.benching.bench import bench as run_bench
    from llmrouterbench.reporting.report import report as write_report
    from llmrouterbench.simulation.simulate import simulate as make
    from llmrouterbench.store import write_outcomes

    said = {}
    for name in BUILT_IN:
        say(f"{name}: simulating outcomes")
        outcomes = make(name, seed)
        data = out / "data" / name
        write_outcomes(outcomes, data, overwrite=True)
        with progress_bar() as tell:
            run_bench(data, out / name, setting=name, split="paper", progress=tell)
        board = write_report(out / name)
        said[name] = board.to_dict()
        if not json:
            print_board(board, out / name / "report", out / name)
    if json:
        print_json(said)
