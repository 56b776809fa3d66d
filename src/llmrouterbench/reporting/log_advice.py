"""Advice on a log in words: the recommendation, every model's value, and what would overturn it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from llmrouterbench.coverage import ONE_EACH, cannot_tell
from llmrouterbench.estimating.values import MOST_ODDS, Value
from llmrouterbench.numerals import count, interval, number, percent, points, usd
from llmrouterbench.stats import FEWEST
from llmrouterbench.studies.log_advice import BY_TASK, LogAdvice, LoggedCandidate


def log_recommendation(advice: LogAdvice) -> str:
    """The recommendation in plain words."""
    if advice.action == "cannot tell":
        if advice.coverage.models < 2:
            return "Cannot tell whether routing is worth it: only one model was ever asked; ask another one too."
        return f"{cannot_tell('whether routing is worth it').capitalize()}."
    return {
        "do not route": f"Do not route: serve {advice.best} to everyone.",
        "route by task": "Route by task: where you know the task of a query, serve the model that is best on it.",
        "route for quality": f"Route with {advice.router}, for quality.",
    }[advice.action]


def log_advice_lines(advice: LogAdvice) -> list[str]:
    """The advice as plain lines, the recommendation first."""
    mark = "SIMULATED data. " if advice.simulated else ""
    lines = [f"{mark}{log_recommendation(advice)}", "", f"{advice.coverage.words.capitalize()}."]
    if not advice.models:
        return lines
    return [
        *lines,
        how_estimated(advice.queries, known=advice.known),
        *(f"- {said}" for said in log_reasons(advice)),
        "",
        *_cautions(advice),
    ]


def log_reasons(advice: LogAdvice) -> list[str]:
    """The numbers that decide, in sentences."""
    return [*map(value_line, advice.models), *_lead(advice), *map(_gain, advice.candidates)]


def how_estimated(queries: int, *, known: bool) -> str:
    """What the numbers of a log are, in a sentence."""
    where = "the log's own" if known else "estimated from the queries"
    return (
        f"Estimated on {count(queries)} queries as if each model had served all of them: doubly robust, with"
        f" propensities {where}; in brackets 95 % intervals."
    )


def only_good(values: Sequence[Value]) -> list[str]:
    """A warning where no bad score was written down."""
    known = [one.score.value for one in values if one.known]
    if not known or min(known) < 1.0 - 1e-9:
        return []
    return ["Every score is the highest: if bad replies get none, these numbers say nothing about the models."]


def value_line(one: Value) -> str:
    """What a model would have scored and cost alone, or how many requests more would tell."""
    if not one.known:
        return (
            f"{one.name}: cannot tell, {number(one.effective, 0)} effective trials are fewer than {FEWEST:.0f}:"
            f" {count(one.needed)} more requests like these, or {FEWEST:.0f} at random, would tell."
        )
    beyond = f"; next to never tried on {percent(one.beyond, unit=' %')} of the queries" if one.beyond > 0.01 else ""
    return (
        f"{one.name} alone would have an AvgAcc of {interval(one.score, percent, ' %')} at {usd(one.cost, ' USD')} a"
        f" query ({count(one.effective)} effective trials{beyond})."
    )


def _lead(advice: LogAdvice) -> list[str]:
    known = [one.name for one in advice.models if one.known]
    if len(known) < 2:
        return []
    lead = interval(advice.lead, points, " points")
    if not advice.lead.low > 0:
        return [f"{known[0]} leads {known[1]} by {lead}: these two cannot be told apart."]
    more = f"more than {MOST_ODDS:.0f}" if advice.odds >= MOST_ODDS else number(advice.odds, 1)
    return [
        f"{known[0]} leads {known[1]} by {lead}; what the chooser knew beyond the query would have to change the odds"
        f" of its choices {more}-fold to undo that."
    ]


def _gain(one: LoggedCandidate) -> str:
    who = "A table by task" if one.router == BY_TASK else one.router
    if one.gain.low == one.gain.high == 0.0:
        return f"{who} would serve the best single model to everyone too."
    return (
        f"{who} would have an AvgAcc of {interval(one.value.score, percent, ' %')}, and gains"
        f" {interval(one.gain, points, ' points')} over the best single model."
    )


def _cautions(advice: LogAdvice) -> list[str]:
    said = [f"Cannot tell what an oracle would score, query by query: {ONE_EACH}.", *only_good(advice.models)]
    if not advice.known:
        said.append(
            "The estimate assumes that whoever chose saw nothing that the query does not show, and that a score comes"
            " back as often for every model and for good replies as for bad ones."
        )
    if advice.left_out:
        said.append(f"{count(advice.left_out)} queries are left out: no score, or no propensity of it, is known.")
    return said


def log_advice_dict(advice: LogAdvice) -> dict[str, Any]:
    """Numbers and sentences as plain values, ready for JSON."""
    said = {"recommendation": log_recommendation(advice), "because": log_reasons(advice)}
    return {**said, **asdict(advice), "coverage": advice.coverage.to_dict()}
