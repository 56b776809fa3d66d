"""Advice in words: the recommendation, the numbers that decide, and what else the study found."""

from __future__ import annotations

import math
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llmrouterbench.files import write_bytes, write_json
from llmrouterbench.metrics import AVERAGES
from llmrouterbench.naming import markdown_safe
from llmrouterbench.numerals import count, interval, percent, points
from llmrouterbench.reporting.log_advice import log_advice_dict, log_advice_lines
from llmrouterbench.reporting.verdict import headline, prices, title, verdict_dict
from llmrouterbench.stats import Interval
from llmrouterbench.studies.advise import Advice
from llmrouterbench.studies.headroom import Needless
from llmrouterbench.studies.learning import Learning
from llmrouterbench.studies.log_advice import LogAdvice
from llmrouterbench.studies.swaps import Lacking, Swap
from llmrouterbench.studies.verdict import Verdict


def recommendation(advice: Advice) -> str:
    """The verdict in one sentence."""
    if advice.verdict:
        return headline(advice.verdict)
    return f"Cannot tell whether to route: too few queries to hold any out. Until then serve {advice.headroom.best}."


def lacks(one: Lacking) -> str:
    """That a model's missing scores are not missing at random, and what they could make of it."""
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
    room, found = advice.headroom, advice.verdict
    table = [("A table by task", found.table.difference)] if found and found.table else []
    return [
        f"{room.best} alone has an AvgAcc of {_percent(room.single)}; an oracle would have {_percent(room.oracle)}.",
        *(
            f"{who} gains {_points(gain)} over the best single model of train."
            for who, gain in [*table, *((one.router, one.gain) for one in advice.candidates)]
        ),
        *([_saving(found)] if found and found.priced else []),
        *([_swap(found.swap)] if found and found.swap else []),
        *map(lacks, advice.lacking),
        *(_more_queries(advice) if advice.action in ("do not route", "cannot tell") else []),
    ]


def _saving(found: Verdict) -> str:
    free = found.offers[1]
    if free.name == found.base and free.seeds == found.seeds:
        return "Nothing is cheaper and surely loses nothing on unseen training queries."
    moved = interval(free.difference, points, " points")
    return (
        f"At no loss on unseen training queries {title(free)} saves {_percent(free.saving)}; AvgAcc moves by {moved}."
    )


def _swap(swap: Swap) -> str:
    told = "" if swap.sure else "; whether it is as good cannot be told from so few queries"
    lead = f"AvgAcc moves by {_points(swap.difference)}"
    return f"{swap.model} alone saves {_percent(swap.saving)} against {swap.instead_of}; {lead}{told}."


def _more_queries(advice: Advice) -> list[str]:
    """How many would show what may be gained; [] where nothing may, or where there are as many."""
    best = max(advice.candidates, key=lambda one: one.gain.value if math.isfinite(one.gain.value) else -math.inf)
    needed = best.queries_to_be_sure(advice.queries)
    if not needed > advice.queries:
        return []
    return [
        f"{best.router} may still gain {_points(best.gain)}; it would take about {count(_rounded_up(needed))} labelled"
        f" queries instead of {count(advice.queries)} to be certain of a gain of this size (power 80 %)."
    ]


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
        *(prices(advice.verdict) if advice.verdict else []),
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
    return {
        "recommendation": recommendation(advice),
        "because": reasons(advice),
        "action": advice.action,
        "router": advice.router,
        "averages": {"AvgAcc": AVERAGES["AvgAcc"]},
        **asdict(advice),
        "verdict": verdict_dict(advice.verdict),
    }


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
