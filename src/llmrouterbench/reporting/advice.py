"""Advice in words: the recommendation, the numbers that decide, and what else the study found."""

from __future__ import annotations

import math
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llmrouterbench.files import write_bytes, write_json
from llmrouterbench.naming import markdown_safe
from llmrouterbench.numerals import count, interval, percent, points
from llmrouterbench.reporting.log_advice import log_advice_dict, log_advice_lines
from llmrouterbench.reporting.verdict import headline, prices
from llmrouterbench.stats import Interval
from llmrouterbench.studies.advise import WORTH_GAIN, WORTH_SAVING, Advice, Candidate
from llmrouterbench.studies.headroom import Needless
from llmrouterbench.studies.learning import Learning
from llmrouterbench.studies.log_advice import BY_TASK, LogAdvice
from llmrouterbench.studies.swaps import Lacking, Swap

BAR = f"a certain gain of {percent(WORTH_GAIN)} points or a certain saving of {percent(WORTH_SAVING, unit=' %')}"
"""What a way to route must show."""


def recommendation(advice: Advice) -> str:
    """The recommendation in plain words."""
    return {
        "cannot tell": f"Cannot tell whether to route: score more queries. Until then serve {advice.headroom.best}.",
        "do not route": f"Do not route: serve {advice.headroom.best} to everyone.",
        "route by task": "Route by task: where you know the task of a query, serve the model that is best on it.",
        "swap the model": _swapped(advice.swap),
        "route for quality": f"Route with {advice.router}, for quality.",
        "route for quality and cost": f"Route with {advice.router}, for quality and cost.",
        "route to save": f"Route with {advice.router}, to save cost at equal quality.",
    }[advice.action]


def _swapped(swap: Swap | None) -> str:
    return f"Do not route: serve {swap.model} to everyone instead of {swap.instead_of}." if swap else ""


def _swap(swap: Swap) -> str:
    told = "" if swap.sure else "; whether it is as good cannot be told from so few queries"
    lead = f"AvgAcc moves by {_points(swap.difference)}"
    return f"{swap.model} alone saves {_percent(swap.saving)} against {swap.instead_of}; {lead}{told}."


def _lacks(one: Lacking) -> str:
    harder = "easier" if one.easier > 0 else "harder"
    moved = f"{harder} for the others, by {percent(abs(one.easier))} points"
    low, high = (percent(one) for one in one.bounds)
    return (
        f"{one.model} has no score on {count(one.queries)} queries that are {moved}: its AvgAcc of"
        f" {percent(one.measured)} does not compare; it is {low} if all that is missing is wrong, and {high} if all is"
        " right."
    )


def reasons(advice: Advice) -> list[str]:
    """The numbers that decide, in sentences."""
    room = advice.headroom
    return [
        f"{room.best} alone has an AvgAcc of {_percent(room.single)}; an oracle would have {_percent(room.oracle)}.",
        *map(_gain, (advice.by_task, *advice.candidates)),
        *(_saving(one) for one in advice.candidates if one.saving),
        *([_swap(advice.swap)] if advice.swap else []),
        *map(_lacks, advice.lacking),
        *_decision(advice),
        *_beside_bench(advice),
    ]


def _beside_bench(advice: Advice) -> list[str]:
    """What the verdict of a bench of the same routers is, where it would serve in another way, and why."""
    found = advice.offers
    theirs = found.choice.kind if found and found.choice else ""
    acts = {"swap the model": "model", "route by task": "table"}
    mine = "router" if advice.router else acts.get(advice.action, "")
    if found is None or mine == theirs:
        return []
    why = "advise asks for quality first, then for what saves more; a bench for the best offer, then for the cheapest."
    if mine == "table":
        why = "a bench serves no table of tasks, which must be known."
    elif not mine:
        why = f"that is not {BAR}, which advise asks for."
    elif not theirs:
        why = "a bench asks that a lead be sure on training queries too."
    return [f"The verdict of a bench of these routers is another: {headline(found)} The reason: {why}"]


def _gain(one: Candidate) -> str:
    who = "A table by task" if one.router == BY_TASK else one.router
    return f"{who} gains {_points(one.gain)} over the best single model of train."


def _saving(one: Candidate) -> str:
    loss = interval(one.saving_loss, points, " points")
    saved = f"at equal quality on unseen training queries the saving is {_percent(one.saving)}"
    return f"{one.router}: {saved}; AvgAcc moves by {loss}."


def _decision(advice: Advice) -> list[str]:
    if advice.action == "route by task":
        return ["The table by task gains certainly, and no router here does better."]
    if advice.action == "route for quality":
        return [f"{advice.router} gains certainly on unseen queries."]
    if advice.action == "route for quality and cost":
        return [
            f"{advice.router} gains certainly on unseen queries and costs certainly less than {advice.headroom.best}."
        ]
    if advice.action == "swap the model":
        return ["It loses no more than it is worth, for certain, and no router here does better."]
    if advice.action == "route to save":
        return [f"{advice.router} saves certainly, at equal quality."]
    said = [f"No way to route shows {BAR} with no more than a point of quality lost."]
    if advice.action == "cannot tell" and advice.offers:
        seen = advice.offers.seen
        size = f"of {percent(seen)} points" if math.isfinite(seen) else "of any size"
        said.append(f"With {count(advice.offers.queries)} test queries a lead {size} need not show.")
    if advice.action == "cannot tell" and advice.offers and (maybe := advice.offers.unsettled):
        moved = f"whether AvgAcc falls cannot be told: {_points(maybe.difference)}"
        said.append(f"{maybe.name} saves {_percent(maybe.saving)}; {moved}.")
    best = max(advice.candidates, key=lambda one: one.gain.value if math.isfinite(one.gain.value) else -math.inf)
    needed = best.queries_to_be_sure(advice.queries)
    if needed > advice.queries:
        said.append(
            f"{best.router} may still gain {_points(best.gain)}; it would take about {count(_rounded_up(needed))}"
            f" labelled queries instead of {count(advice.queries)} to be certain of a gain of this size (power 80 %)."
        )
    return said


def _rounded_up(number: float) -> int:
    """Up to two digits.

    >>> _rounded_up(1234.5)
    1300
    """
    unit: int = 10 ** max(0, len(str(int(number))) - 2)
    return int(-(-number // unit)) * unit


def advice_lines(advice: Advice | LogAdvice) -> list[str]:
    """The advice as plain lines, the recommendation first."""
    if isinstance(advice, LogAdvice):
        return log_advice_lines(advice)
    mark = "SIMULATED data. " if advice.simulated else ""
    studied = "on test splits that no choice has seen; in brackets 95 % intervals."
    if advice.seeds == 1:
        studied = (
            "on one test split that no choice has seen; in brackets 95 % intervals, widened for what another shows."
        )
    return [
        f"{mark}{recommendation(advice)}",
        "",
        f"Studied {count(advice.queries)} queries, {studied}",
        *(f"- {reason}" for reason in reasons(advice)),
        "",
        *(prices(advice.offers) if advice.offers else []),
        *_headroom(advice),
        _cheap_replies(advice),
        "",
        *_needless(advice.needless),
        "",
        *map(_learning, advice.learning),
    ]


def _headroom(advice: Advice) -> list[str]:
    room = advice.headroom
    alone = "there is one dataset: no types to tell apart"
    task = _percent(room.task_share) if math.isfinite(room.task_share.value) else alone
    repeated = f"not measurable ({count(room.repeats)} prompts answered twice)"
    luck = (
        f"{_percent(room.noise_share)}: luck of single replies, which no router can gain"
        if room.noise_share
        else repeated
    )
    return [
        f"The gap from the best single model to the oracle is {percent(room.gap.value)} points of AvgAcc.",
        f"Share of it that task type explains: {task}",
        f"Share of it that is label noise: {luck}",
    ]


def _cheap_replies(advice: Advice) -> str:
    """When `agreement` can pay, by what perfect judges of cheap replies would save."""
    first = "Reading cheap replies first (agreement)"
    known = {name: bill for name, bill in advice.bills.items() if math.isfinite(bill)}
    if not known:
        return f"{first} cannot pay: no model costs below 15 % of {advice.headroom.best}."
    saving = [f"{name} {percent(bill, unit=' %')}" for name, bill in known.items() if bill < 1.0]
    never = [name for name, bill in known.items() if bill >= 1.0]
    lines = [f"costs at least, of the bill of {advice.headroom.best}: {', '.join(saving)}"] if saving else []
    lines += [f"the cheap calls cost more than they can save on {', '.join(never)}"] if never else []
    return f"{first}: {'; '.join(lines)}"


def _needless(found: tuple[Needless, ...]) -> list[str]:
    redundant = [f"{one.model} ({_lost(one)})" for one in found if one.redundant]
    dominated = [f"{one.model} by {one.dominated_by} ({_lost(one)})" for one in found if not one.redundant]
    lines = [f"Models nobody needs: {'; '.join(redundant) or 'none for certain'}"]
    if dominated:
        lines.append(f"Dominated, no choice alone, though a router may use them: {'; '.join(dominated)}")
    return lines


def _lost(one: Needless) -> str:
    return f"the oracle loses {percent(one.dropped.value, 2)} points without it"


def _learning(curve: Learning) -> str:
    steps = ", ".join(f"{count(size)} {points(gain.value)}" for size, gain in zip(curve.size, curve.gain, strict=True))
    need = f"{count(curve.enough)} labelled queries are enough" if curve.enough else "no size gains certainly"
    return f"{curve.router}: {need} (queries and points gained: {steps})"


def _percent(one: Interval | None) -> str:
    return interval(one, percent, " %")


def _points(one: Interval) -> str:
    return interval(one, points, " points")


def advice_dict(advice: Advice | LogAdvice) -> dict[str, Any]:
    """Numbers and sentences as plain values, ready for JSON."""
    if isinstance(advice, LogAdvice):
        return log_advice_dict(advice)
    return {"recommendation": recommendation(advice), "because": reasons(advice), **asdict(advice)}


def write_advice(advice: Advice | LogAdvice, folder: Path) -> str:
    """advice.md, advice.json and, where there is a learning curve, learning.svg, .png and .csv.

    Returns what could not be drawn and the remedy, "" where all was.
    """
    lines = "\n".join(map(markdown_safe, advice_lines(advice)))
    write_bytes(folder / "advice.md", f"{lines}\n".encode())
    write_json(folder / "advice.json", advice_dict(advice))
    if isinstance(advice, LogAdvice) or not advice.learning:
        return ""
    if find_spec("matplotlib") is None:
        return "the figure of the learning curve needs matplotlib; pip install 'llmrouterbench[report]'"
    from llmrouterbench.reporting.figures.curves import Curve
    from llmrouterbench.reporting.figures.learning import learning_picture
    from llmrouterbench.reporting.figures.picture import save_picture

    picture = learning_picture(
        advice.learning[0].size,
        {curve.router: Curve.of(curve.gain) for curve in advice.learning},
        levels={"no gain": 0.0},
        label="points of AvgAcc over the best single model",
        title=f"gain over {advice.headroom.best}",
        simulated=advice.simulated,
    )
    save_picture(picture, folder, "learning")
    return ""
