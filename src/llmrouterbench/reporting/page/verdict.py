"""The verdict and its slider, as the page shows them."""

from __future__ import annotations

import math
from typing import Any

from llmrouterbench.naming import isolated
from llmrouterbench.numerals import interval, percent, points, usd
from llmrouterbench.reporting import verdict
from llmrouterbench.studies.verdict import Offer, Verdict


def verdict_view(found: Verdict | None) -> dict[str, Any] | None:
    """Sentences, the small table and, where costs are known, every stop of the slider; None without a verdict."""
    if found is None:
        return None
    head, *lines = verdict.table(found)
    return {
        "lines": verdict.lines(found),
        "head": head,
        "rows": lines,
        "legend": verdict.LEGEND,
        "commands": verdict.commands(found),
        "base": found.base,
        "stops": [_stop(found, one) for one in found.offers] if found.priced else [],
        "start": _start(found),
    }


def _start(found: Verdict) -> int:
    """The stop to begin with: what the verdict runs, else the smallest loss in the table that certainly saves."""
    if found.choice in found.offers:
        return found.offers.index(found.choice)
    return next((i for i, one in enumerate(found.offers) if one.losing in verdict.SHOWN and one.cheaper), 1)


def _words(one: Offer) -> str:
    if not one.losing:
        return "nothing, at any price" if one.losing is None else "nothing"
    return f"up to {verdict.loss_in_words(one)} of AvgAcc"


def _stop(found: Verdict, one: Offer) -> dict[str, Any]:
    alone = one.name == found.base and one.seeds == found.seeds
    return {
        "lose": "best" if one.losing is None else f"{100 * one.losing:g}",
        "words": _words(one),
        "run": f"{isolated(one.name)} alone" if one.kind == "model" else isolated(one.name),
        "weight": None if math.isnan(one.weight) else one.weight,
        "difference": "baseline" if alone else interval(one.difference, points, " points"),
        "saves": "nothing" if alone else interval(one.saving, percent, " %"),
        "usd": interval(one.usd, usd),
        "served": [[isolated(name), f"{percent(share, 0)} %", share] for name, share in one.served],
        "command": verdict.command(one),
        "at": [one.bill.value, 100 * one.avg_acc.value],
    }
