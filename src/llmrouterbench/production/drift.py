"""Whether what a router meets now is still what it was fitted on: two samples of one number, compared.

Each number has two views: the Kolmogorov-Smirnov test says whether a difference is more than chance, the population
stability index how large it is. Its usual reading: below 0.1 stable, to 0.25 a shift to look at, above a large one
(Siddiqi, Credit Risk Scorecards, 2006, ch. 10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llmrouterbench.stats import holm
from llmrouterbench.table import FloatArray

Verdict = Literal["stable", "shifted", "far away", "too few"]
BINS, FEWEST = 10, 30
SHIFTED, FAR = 0.1, 0.25
LEVEL = 0.01
"""Chance of crying wolf over all numbers together."""


@dataclass(frozen=True)
class Drift:
    """One number then and now.

    psi      population stability index over tenths of the training sample, with half a row added to every tenth
    p_value  of the two-sample Kolmogorov-Smirnov test, Holm-adjusted over the numbers compared
    """

    name: str
    then: int
    now: int
    mean_then: float
    mean_now: float
    psi: float
    p_value: float
    verdict: Verdict


def drift_report(then: Mapping[str, FloatArray], now: Mapping[str, FloatArray]) -> list[Drift]:
    """Compare every number that both sides have, by name; values that are NaN are left out.

    >>> rng = np.random.default_rng(0)
    >>> old = {"length": rng.normal(size=2000)}
    >>> [one.verdict for one in drift_report(old, {"length": rng.normal(size=500)})]
    ['stable']
    >>> [one.verdict for one in drift_report(old, {"length": rng.normal(1.0, size=500)})]
    ['far away']
    """
    names = [name for name in then if name in now]
    samples = [(_known(then[name]), _known(now[name])) for name in names]
    enough = np.array([min(len(old), len(new)) >= FEWEST for old, new in samples], dtype=bool)
    p_value = np.full(len(names), np.nan)
    p_value[enough] = holm(np.array([_p_value(*samples[i]) for i in np.flatnonzero(enough)]))
    return [_drift(name, *samples[i], float(p_value[i])) for i, name in enumerate(names)]


def stability_index(then: FloatArray, now: FloatArray) -> float:
    """Population stability index of `now` (n,) against tenths of `then` (k,)."""
    edges = np.unique(np.quantile(then, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
    old = np.bincount(np.searchsorted(edges, then, side="right"), minlength=len(edges) + 1) + 0.5
    new = np.bincount(np.searchsorted(edges, now, side="right"), minlength=len(edges) + 1) + 0.5
    expected, found = old / old.sum(), new / new.sum()
    return float(((found - expected) * np.log(found / expected)).sum())


def _drift(name: str, old: FloatArray, new: FloatArray, p_value: float) -> Drift:
    index = float("nan")
    verdict: Verdict = "too few"
    if np.isfinite(p_value):
        index = stability_index(old, new)
        verdict = "stable" if p_value > LEVEL or index < SHIFTED else "shifted" if index < FAR else "far away"
    return Drift(name, len(old), len(new), _mean(old), _mean(new), index, p_value, verdict)


def _known(values: FloatArray) -> FloatArray:
    found: FloatArray = np.asarray(values, dtype=np.float64)
    return found[np.isfinite(found)]


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _p_value(old: FloatArray, new: FloatArray) -> float:
    from scipy.stats import ks_2samp

    return float(ks_2samp(old, new).pvalue)
