"""Which models to keep, in words: the choice and its guarantee, subsets by size, and what every model is worth."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from llmrouterbench.metrics import AVERAGES
from llmrouterbench.numerals import accuracy, count, interval
from llmrouterbench.stats import Interval
from llmrouterbench.studies.curation import Curation, MarginalValue, exact, tried

GUARANTEE = "Greedy keeps at least 63 % (1 - 1/e) of the best oracle that any subset of that size has"
GUARANTEE_BUDGET = "At least 32 % ((1 - 1/e) / 2) of the best oracle that the budget buys"
_SHOWN = 12


def curation_dict(found: Curation) -> dict[str, Any]:
    """Numbers and guarantees as plain values, ready for JSON."""
    averages = {"AvgAcc": AVERAGES["AvgAcc"]}
    return {
        "averages": averages,
        **asdict(found),
        "guarantee": _guarantee(found),
        "guarantee_within_budget": _bought(found),
    }


def _guarantee(found: Curation) -> str:
    """What is known of the choice against the best of its size."""
    if len(found.order) < len(found.values) and exact(len(found.values), len(found.order)):
        said = "The best subset of that size, all were tried"
        shorter = f"; shorter beginnings of the order: {GUARANTEE[0].lower()}{GUARANTEE[1:]}"
    else:
        said, shorter = GUARANTEE, ""
    weighed = ", in score minus weighted cost above the lowest of the pool" if found.cost_weight else ""
    return f"{said}{weighed}{shorter if len(found.order) > 1 else ''}"


def _bought(found: Curation) -> str | None:
    """The same of what a budget buys; None where it buys nothing."""
    if not found.within_budget:
        return None
    return "The best oracle that the budget buys, all were tried" if tried(len(found.values)) else GUARANTEE_BUDGET


def curation_lines(found: Curation) -> list[str]:
    """The study as plain lines, the choice first."""
    mark = "SIMULATED data. " if found.simulated else ""
    weighed = f", at {found.cost_weight:g} score per USD" if found.cost_weight else ""
    lines = [f"{mark}Keep models in this order (oracle AvgAcc of those kept so far, %{weighed}):"]
    pairs = list(zip(found.order, found.oracle, strict=True))
    lines += [f"{i:3d}. {name}  {accuracy(value)}" for i, (name, value) in enumerate(pairs[:_SHOWN], start=1)]
    lines += [f"     {_more(len(pairs))}"] if len(pairs) > _SHOWN else []
    lines += ["", f"{_guarantee(found)}.", ""]
    if found.budget is not None:
        oracle = f" (oracle {accuracy(found.within_budget_oracle, ' %')})" if found.within_budget else ""
        chosen = ", ".join(found.within_budget or ()) or "no model fits"
        bought = _bought(found)
        says = f" {bought}." if bought else ""
        lines += [f"Within a budget of {found.budget:g}: {chosen}{oracle}.{says}", ""]
    return [*lines, *_curves(found), "", *_values(found.values)]


def _curves(found: Curation) -> list[str]:
    curated, top, random = found.curves
    lines = ["Oracle AvgAcc by size, %, with 95 % intervals: curated (in hindsight), the k most accurate, k at random:"]
    rows = zip(curated.size, curated.oracle, top.oracle, random.oracle, strict=True)
    return lines + [f"{k:3d}  {'  '.join(map(_percent, oracles))}" for k, *oracles in rows if k <= _SHOWN]


def _values(values: tuple[MarginalValue, ...]) -> list[str]:
    lines = [
        "Worth of each model, points of AvgAcc: alone; added to the best single model; dropped from the pool; Shapley:"
    ]
    for one in values[:_SHOWN]:
        need = "" if one.needed else "  (dropping it loses nothing for certain)"
        numbers = "  ".join(map(_percent, (one.alone, one.added, one.dropped, one.share)))
        lines.append(f"{one.model}: {numbers}{need}")
    return lines + ([_more(len(values))] if len(values) > _SHOWN else [])


def _more(models: int) -> str:
    return f"and {count(models - _SHOWN)} more; --json has all"


def _percent(one: Interval) -> str:
    return interval(one, accuracy)
