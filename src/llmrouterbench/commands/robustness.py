"""`llmrouterbench robustness`: how a router takes what production does to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrouterbench.commands._terminal import print_json, progress_bar, show_lines
from llmrouterbench.commands.app import Json, SettingName, app, load, usage

if TYPE_CHECKING:
    from llmrouterbench.settings import Setting
    from llmrouterbench.studies.robustness import Setup

SEEDS = "42,999,2024"


@app.command()
def robustness(
    folder: Annotated[Path, typer.Argument(metavar="RUNS|OUTCOMES", help="A folder of outcomes, or of runs.")],
    router: Annotated[str, typer.Option("--router", help="Router to disturb, with settings as name:key=value.")] = (
        "task_soft"
    ),
    seeds: Annotated[str, typer.Option("--seeds", help="Numbers, one split each.")] = SEEDS,
    embedder: Annotated[
        str, typer.Option("--embedder", help="tfidf, minilm, st:NAME, endpoint:URL#MODEL, file:PATH.")
    ] = "tfidf",
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Model to remove and to add; repeat it. The best single model when not given."),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option("--price", metavar="MODEL=FACTOR", help="Change all these prices at once; repeat it."),
    ] = None,
    domains: Annotated[
        bool, typer.Option("--domains", help="Leave out whole domains of the --setting, not single datasets.")
    ] = False,
    samples: Annotated[int, typer.Option("--samples", help="Bootstrap samples for the intervals.")] = 1000,
    jobs: Annotated[int, typer.Option("--jobs", help="Parallel processes, a seed each.")] = 2,
    setting: SettingName = None,
    json: Json = False,
) -> None:
    """Disturb one router: tasks left out, noise, no template, other models, other prices. Of runs: routing collapse."""
    if (folder / "runs.json").is_file():
        _of_runs(folder, samples, json)
        return
    from llmrouterbench.reporting.robustness import stress_lines
    from llmrouterbench.studies.stress import stress

    setup = usage(lambda: _setup(router, seeds, embedder, samples, jobs))
    factors = usage(lambda: _factors(price or []))
    outcomes, chosen = load(folder, setting)
    groups = usage(lambda: _domains(chosen)) if domains else None
    with progress_bar() as tell:
        found = stress(outcomes, setup, models=model, factors=factors, domains=groups, progress=tell)
    if json:
        print_json(asdict(found))
    else:
        show_lines(stress_lines(found))


def _setup(router: str, seeds: str, embedder: str, samples: int, jobs: int) -> Setup:
    from llmrouterbench.embedders import make_embedder
    from llmrouterbench.studies.robustness import Setup

    try:
        numbers = tuple(int(word) for word in seeds.split(","))
    except ValueError:
        raise ValueError(f"--seeds must be whole numbers with commas between, got {seeds!r}") from None
    setup = Setup(router, numbers, embedder=make_embedder(embedder), replicates=samples, jobs=jobs)
    setup.unfitted()
    return setup


def _factors(words: Sequence[str]) -> dict[str, float]:
    """Numbers by model from "MODEL=FACTOR" words; a model id may hold "=" itself."""
    found = {}
    for word in words:
        name, _, number = word.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise ValueError(f"--price must be MODEL=FACTOR, got {word!r}")
    return found


def _domains(setting: Setting | None) -> dict[str, str]:
    if setting is None:
        raise ValueError("--domains needs a --setting that says which dataset is of which domain")
    return {name: domain for domain, names in setting.domains.items() for name in names}


def _of_runs(folder: Path, samples: int, json: bool) -> None:
    from llmrouterbench.benching.folder import load_runs
    from llmrouterbench.reporting.robustness import collapse_lines
    from llmrouterbench.studies.collapse import routing_collapse

    runs = load_runs(folder)
    found = routing_collapse(runs, replicates=samples)
    simulated = runs.made.simulated
    if json:
        print_json({"simulated": simulated, "collapse": list(map(asdict, found))})
        return
    note = "Runs keep no texts: give the folder of outcomes for noise, templates, and tasks, models and prices changed."
    show_lines([*(["SIMULATED data."] if simulated else []), *collapse_lines(found), "", note])
