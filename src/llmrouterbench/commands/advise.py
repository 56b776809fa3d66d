"""`llmrouterbench advise`: is routing worth it on these outcomes?"""

from __future__ import annotations

from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrouterbench.commands._terminal import print_json, say, show_lines
from llmrouterbench.commands.app import Json, SettingName, app, load
from llmrouterbench.naming import markdown_safe

if TYPE_CHECKING:
    from llmrouterbench.stats import Interval
    from llmrouterbench.studies.advise import Advice
    from llmrouterbench.studies.headroom import Needless


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
    from llmrouterbench.studies.advise import advise as study

    outcomes, _ = load(folder, setting)
    advice = study(outcomes, quick=quick)
    if to is not None:
        write_advice(advice, to)
    if json:
        print_json(advice.to_dict())
    else:
        show_lines(advice_lines(advice))


def write_advice(advice: Advice, folder: Path) -> None:
    """advice.md, advice.json and, where there is a learning curve and matplotlib, learning.svg, .png and .csv."""
    from llmrouterbench.files import write_bytes, write_json

    write_bytes(folder / "advice.md", ("\n".join(markdown_safe(line) for line in advice_lines(advice)) + "\n").encode())
    write_json(folder / "advice.json", advice.to_dict())
    if not advice.learning:
        return
    if find_spec("matplotlib") is None:
        say("the figure of the learning curve needs matplotlib; pip install 'llmrouterbench[report]'")
        return
    from llmrouterbench.reporting.figures.learning import learning_picture
    from llmrouterbench.reporting.figures.picture import save_picture
    from llmrouterbench.reporting.paper_figures import curve_of

    curves = {curve.router: curve_of(curve.gain) for curve in advice.learning}
    label = "points of AvgAcc over the best single model"
    title, size = f"gain over {advice.headroom.best}", advice.learning[0].size
    picture = learning_picture(
        size, curves, levels={"no gain": 0.0}, label=label, title=title, simulated=advice.simulated
    )
    save_picture(picture, folder)


def advice_lines(advice: Advice) -> list[str]:
    """The advice as plain lines, the recommendation first."""
    mark = "SIMULATED data. " if advice.simulated else ""
    studied = f"Studied {advice.queries:,} queries, on test splits that no choice has seen; in brackets 95 % intervals."
    lines = [
        f"{mark}{advice.sentence}",
        "",
        studied,
        *(f"- {fact}" for fact in advice.because),
        "",
        *_headroom(advice),
        "",
    ]
    return [*lines, *_needless(advice), "", *_learning(advice)]


def _headroom(advice: Advice) -> list[str]:
    room = advice.headroom
    task = (
        _share(room.task_share) if isfinite(room.task_share.value) else "there is one dataset: no types to tell apart"
    )
    noise = _share(room.noise_share) if room.noise_share else f"not measurable ({room.repeats} prompts answered twice)"
    return [
        f"The gap from the best single model to the oracle is {100 * room.gap.value:.1f} points of AvgAcc.",
        f"Share of it that task type explains: {task}",
        f"Share of it that is label noise: {noise}",
    ]


def _share(number: Interval) -> str:
    return f"{100 * number.value:.0f} % [{100 * number.low:.0f}, {100 * number.high:.0f}]"


def _needless(advice: Advice) -> list[str]:
    redundant = [f"{one.model} ({_lost(one)})" for one in advice.needless if one.redundant]
    dominated = [
        f"{one.model} by {one.dominated_by} ({_lost(one)})"
        for one in advice.needless
        if one.dominated_by and not one.redundant
    ]
    lines = [f"Models nobody needs: {'; '.join(redundant) or 'none for certain'}"]
    return (
        [*lines, f"Dominated, no choice alone, though a router may use them: {'; '.join(dominated)}"]
        if dominated
        else lines
    )


def _lost(one: Needless) -> str:
    return f"the oracle loses {100 * one.dropped.value:.2f} points without it"


def _learning(advice: Advice) -> list[str]:
    lines = []
    for curve in advice.learning:
        steps = ", ".join(f"{size} {100 * gain.value:+.1f}" for size, gain in zip(curve.size, curve.gain, strict=True))
        need = f"{curve.enough} labelled queries are enough" if curve.enough else "no size gains certainly"
        lines.append(f"{curve.router}: {need} (queries and points gained: {steps})")
    return lines
