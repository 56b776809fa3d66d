"""How often comparisons of a running router with another one are right, in SIMULATED worlds, into docs/logs.md."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from benchmarks.house import ROOT
from benchmarks.pages import put
from llmrouterbench.estimating.pseudo import Pseudo
from llmrouterbench.estimating.values import difference
from llmrouterbench.production.confidence_sequence import LEVEL, Units, differences, mixture, tuning
from llmrouterbench.production.refitting import TEACHES, surely
from llmrouterbench.stats import effective_trials
from llmrouterbench.table import FloatArray, Outcomes

PAGE = ROOT / "docs" / "logs.md"
LIVE = "<!-- made by `make live`: live -->", "<!-- end of live -->"
REFIT = "<!-- made by `make live`: refit -->", "<!-- end of refit -->"
POINTS = 0.05
"""The difference that is looked for."""
LOOK = 50
"""Requests between two looks."""
MODELS, GOOD = ("a", "b", "c"), (0.82, 0.80, 0.55)
EXPLORE, REQUESTS = 0.3, 2000
_BATCH = 50


# --- split traffic ---------------------------------------------------------------------------------------------------


def first_crossings(share: float, lead: float, worlds: int, units: int, agree: float = 0.0) -> FloatArray:
    """Units until a look finds a difference, in so many worlds; inf where none does.

    share  of the candidate; lead: what it scores more; agree: share of the units on which the routers agree
    """
    rng, found = np.random.default_rng(0), []
    scale, rho = tuning(share)
    for _ in range(worlds // _BATCH):
        candidate, differs = rng.random((_BATCH, units)) < share, rng.random((_BATCH, units)) >= agree
        right = 0.7 + np.where(candidate & differs, lead / (1.0 - agree), 0.0)
        x = differences(Units(candidate, (rng.random((_BATCH, units)) < right).astype(np.float64), differs, share))
        total, variance = (np.cumsum(part, axis=1)[:, LOOK - 1 :: LOOK] for part in (x, x**2))
        most = np.maximum(*(mixture(sign * total, variance, scale, rho) for sign in (1.0, -1.0)))
        beyond = most >= np.log(2.0 / LEVEL)
        found.append(np.where(beyond.any(axis=1), float(LOOK) * (1 + beyond.argmax(axis=1)), np.inf))
    return np.concatenate(found)


def fixed_size(share: float) -> float:
    """Requests of the test of fixed size that finds so many points in 80 of 100 samples (two-sided, 5 %)."""
    variance = 0.75 * 0.25 / share + 0.7 * 0.3 / (1.0 - share)
    return float((1.959964 + 0.841621) ** 2 * variance / POINTS**2)


def live_table() -> str:
    """Markdown: how often the interval is wrong, and when a difference is found."""
    lines = [
        "| candidate's share | routers agree on | wrong, % | found | fixed size | ratio |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for share in (0.5, 0.1):
        for agree, words in ((0.0, "nothing"), (0.6, "60 % of the queries")):
            wrong = 100.0 * np.isfinite(first_crossings(share, 0.0, 2000, 5000, agree)).mean()
            once = fixed_size(share)
            found = float(np.median(first_crossings(share, POINTS, 200, int(2.0 * once), agree)))
            lines.append(
                f"| {100 * share:.0f} % | {words} | {wrong:.1f} | {found:,.0f} | {once:,.0f} | {found / once:.2f} |"
            )
    return "\n".join(lines)


# --- refit -----------------------------------------------------------------------------------------------------------


def judged(drop: float, world: int) -> float:
    """Later traffic on which "a" ran and "b" is what the new router prefers: what its lead is at least."""
    rng, n = np.random.default_rng(world), round(REQUESTS * (1.0 - TEACHES))
    good = np.array([GOOD[1] - drop, *GOOD[1:]])
    truth = (rng.random((n, 3)) < good).astype(np.float64)
    chance = np.tile([1.0 - EXPLORE + EXPLORE / 3, EXPLORE / 3, EXPLORE / 3], (n, 1))
    served_by = np.where(rng.random(n) < 1.0 - EXPLORE, 0, rng.integers(0, 3, n))
    tried = np.eye(3)[served_by] > 0
    guess = np.broadcast_to(np.array([GOOD[1], *GOOD[1:]]), (n, 3))
    part = replace(_asked(n), score=np.where(tried, truth, np.nan), propensity=chance)
    weight = np.where(tried, 1.0 / chance, 0.0)
    residual = np.where(tried, truth - guess, 0.0)
    made = Pseudo(part, guess + weight * residual, guess, weight, residual, chance < 0, known=True)
    new, old = np.ones(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    trials = min(float(effective_trials(weight[:, j])) for j in (0, 1))
    return surely(difference(made, new, old), trials)


@cache
def _asked(n: int) -> Outcomes:
    return Outcomes.of([str(i) for i in range(n)], MODELS, np.full((n, 3), np.nan))


def refit_table() -> str:
    """Markdown: how often the switch is recommended."""
    lines = ["| running router's model | worlds | switch recommended, % |", "|---|---:|---:|"]
    for words, drop, worlds in (("as good as the new one's", 0.0, 2000), ("15 points worse", 0.15, 500)):
        share = 100.0 * float(np.mean([judged(drop, world) > 0.0 for world in range(worlds)]))
        lines.append(f"| {words} | {worlds:,} | {share:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    put(PAGE, LIVE, live_table())
    put(PAGE, REFIT, refit_table())
