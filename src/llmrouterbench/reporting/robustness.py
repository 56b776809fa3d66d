"""How a router takes disturbances, and how it spreads queries, as plain lines."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from llmrouterbench.numerals import interval, number, percent, points
from llmrouterbench.stats import Interval, judged
from llmrouterbench.studies.collapse import Collapse
from llmrouterbench.studies.robustness import Disturbance
from llmrouterbench.studies.stress import Stress

_HEADS = {
    "left out": "Tasks that train has not seen",
    "noise": "Noise in the test prompts (the replies that are replayed are those to the clean prompts)",
    "template": "Prompt template removed: how much of the score was the template",
    "models": "A model removed or added, and the router fitted again",
    "prices": "New prices, at the cheapest setting that reaches the best single model on unseen training queries",
}


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
    moved = f"{percent(one.before.value)} -> {percent(one.after.value)}, {interval(one.difference, points)}"
    mark = {"noise": " (noise)", "the same": " (no change)"}.get(judged(one.difference), "")
    cost = f"; cost {interval(one.cost, points, ' %')}" if isfinite(one.cost.value) else ""
    return f"{one.what}: {moved}{mark}; over the best single {interval(one.over_single, points)}{cost}"


def collapse_lines(found: Sequence[Collapse]) -> list[str]:
    """Who is served what: the most used model, and how far the spread is from the oracle's."""
    lines = [
        "Routing collapse (0: spread like the oracle's, 1: nothing in common; needless: a cheaper model was as good):"
    ]
    for one in found:
        needless = f", needless {_percent(one.needless)}" if isfinite(one.needless.value) else ""
        index, even = interval(one.index, number), interval(one.evenness, number)
        top = f"{one.top_model} serves {_percent(one.top_share)}"
        lines.append(f"- {one.router}: index {index}, evenness {even}, {top}{needless}")
    return lines


def _percent(one: Interval) -> str:
    return interval(one, percent, " %")
