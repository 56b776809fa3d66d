"""The verdict and its slider, as the page shows them."""

from __future__ import annotations

import math
from typing import Any

from llmrouterbench.naming import isolated
from llmrouterbench.numerals import interval, percent, points, usd
from llmrouterbench.reporting import verdict
from llmrouterbench.reporting.verdict import Offer, Verdict


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
        "stops": [_stop(found, one) for one in found.offers[1:]] if found.priced else [],
        "start": _start(found),
    }


def _start(found: Verdict) -> int:
    """The stop to begin with: no loss where that already pays, else the smallest loss that certainly does."""
    if found.choice is not None:
        return 0
    return next((i for i, one in enumerate(found.offers[1:]) if one.losing in verdict.SHOWN and one.cheaper), 0)


def _stop(found: Verdict, one: Offer) -> dict[str, Any]:
    alone = one.name == found.base and one.seeds == found.seeds
    return {
        "lose": round(100 * (one.losing or 0.0), 3),
        "words": verdict.loss_in_words(one),
        "run": f"{isolated(one.name)} alone" if one.kind == "model" else isolated(one.name),
        "weight": None if math.isnan(one.weight) else one.weight,
        "difference": "baseline" if alone else interval(one.difference, points, " points"),
        "saves": "nothing" if alone else interval(one.saving, percent, " %"),
        "usd": interval(one.usd, usd),
        "served": [[isolated(name), f"{percent(share, 0)} %", share] for name, share in one.served],
        "command": one.command(),
        "at": [one.bill.value, 100 * one.avg_acc.value],
    }
