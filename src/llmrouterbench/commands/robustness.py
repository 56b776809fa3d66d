"""`llmrouterbench robustness`: how a router takes what production does to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrouterbench.commands._terminal import print_json, progress_bar, show_lines
from llmrouterbench.commands.app import Json, SettingName, app, load, usage

if TYPE_CHECKING:
    from llmrouterbench.settings import Setting
    from llmrouterbench.stats import Interval
    from llmrouterbench.studies.collapse import Collapse
    from llmrouterbench.studies.robustness import Disturbance, Setup
    from llmrouterbench.studies.stress import Stress

SEEDS = "42,999,2024"
_HEADS = {
    "left out": "Tasks that train has not seen",
    "noise": "Noise in the test prompts (the replies that are replayed are those to the clean prompts)",
    "template": "Prompt template removed: how much of the score was the template",
    "models": "A model removed or added, and the router fitted again",
    "prices": "New prices, at the cheapest setting that reaches the best single model on validation",
}


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
    from llmrouterbench.embedders.vectors import make_embedder
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
    from llmrouterbench.studies.collapse import routing_collapse

    runs = load_runs(folder)
    found = routing_collapse(runs, replicates=samples)
    simulated = runs.made.simulated
    if json:
        print_json({"simulated": simulated, "collapse": list(map(asdict, found))})
        return
    note = "Runs keep no texts: give the folder of outcomes for noise, templates, and tasks, models and prices changed."
    show_lines([*(["SIMULATED data."] if simulated else []), *collapse_lines(found), "", note])


def stress_lines(found: Stress) -> list[str]:
    """The study as plain lines, a block a kind of disturbance."""
    mark = "SIMULATED data. " if found.simulated else ""
    lines = [
        f"{mark}{found.router}, paired differences on the same test queries; in brackets 95 % intervals.",
        "Each line: AvgAcc before -> after, points lost or gained; and against the best single model of train.",
    ]
    for kind, head in _HEADS.items():
        lines += ["", f"{head}:"]
        lines += [f"- {_line(one)}" for one in found.kinds.get(kind, ())]
        lines += [f"- not tried: {found.skipped[kind]}"] if kind in found.skipped else []
    return [*lines, "", *collapse_lines(found.collapse)]


def _line(one: Disturbance) -> str:
    words = f"{one.what}: {100 * one.before.value:.1f} -> {100 * one.after.value:.1f}, {_points(one.difference)}"
    if one.difference.low <= 0 <= one.difference.high:
        words += " (noise)" if one.difference.low < one.difference.high else " (no change)"
    words += f"; over the best single {_points(one.over_single)}"
    return words + (f"; cost {_percent(one.cost, '+')}" if isfinite(one.cost.value) else "")


def collapse_lines(found: Sequence[Collapse]) -> list[str]:
    """Who is served what: the most used model, and how far the spread is from the oracle's."""
    lines = [
        "Routing collapse (0: spread like the oracle's, 1: nothing in common; needless: a cheaper model was as good):"
    ]
    for one in found:
        needless = f", needless {_percent(one.needless)}" if isfinite(one.needless.value) else ""
        index, even = _plain(one.index), _plain(one.evenness)
        top = f"{one.top_model} serves {_percent(one.top_share)}"
        lines.append(f"- {one.router}: index {index}, evenness {even}, {top}{needless}")
    return lines


def _spelled(number: Interval, show: Callable[[float], str], unit: str = "") -> str:
    return f"{show(number.value)}{unit} [{show(number.low)}, {show(number.high)}]"


def _points(number: Interval) -> str:
    return _spelled(number, lambda value: f"{round(100 * value, 1) + 0.0:+.1f}")


def _percent(number: Interval, sign: str = "") -> str:
    return _spelled(number, lambda value: f"{round(100 * value, 1) + 0.0:{sign}.1f}", " %")


def _plain(number: Interval) -> str:
    return _spelled(number, lambda value: f"{value:.2f}")
