"""Whether what a router meets now is still what it was fitted on: two samples of one number, compared.

Each number has two views: a test says whether a difference is more than chance, the population stability index how
large it is. Its usual reading: below 0.1 stable, to 0.25 a shift to look at, above a large one (Siddiqi, Credit Risk
Scorecards, 2006, ch. 10). Numbers in `MEANS` are compared by their means alone.

The test may be looked at every day for as long as a log grows: a Bayes factor of another mean against the same one is
an e-value, and 1 / e a p-value at whatever time one stops. Sources: Robbins 1970 (normal mixtures); Perez-Ortiz, Lardy,
de Heide, Grunwald, E-statistics, group invariance and anytime valid testing (arXiv 2208.07610), for two samples.
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
LEVEL = 0.05
"""Chance of crying wolf over all numbers together, however often one looks; half of it for `MEANS`."""
RESIDUAL = "feedback minus expected score"
MEANS = (RESIDUAL,)
"""Numbers of which the mean says all: what users lose."""
EFFECT = 0.25
"""Standard deviations by which means are thought to differ where they do."""


@dataclass(frozen=True)
class Drift:
    """One number then and now.

    psi      population stability index over tenths of the training sample, with half a row added to every tenth; NaN
             where means are compared alone
    p_value  valid at every look, Holm-adjusted over the numbers compared
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
    means = np.array([name in MEANS for name in names], dtype=bool)
    for part in (enough & means, enough & ~means):
        other = (enough & ~part).any()  # then each kind has half of the level
        found = holm(np.array([_p_value(*samples[i], spread=names[i] not in MEANS) for i in np.flatnonzero(part)]))
        p_value[part] = np.minimum(1.0, found * (2.0 if other else 1.0))
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
    if np.isfinite(p_value) and name in MEANS:
        far = abs(_mean(new) - _mean(old)) >= FAR
        verdict = "stable" if p_value > LEVEL else "far away" if far else "shifted"
    elif np.isfinite(p_value):
        index = stability_index(old, new)
        verdict = "stable" if p_value > LEVEL or index < SHIFTED else "shifted" if index < FAR else "far away"
    return Drift(name, len(old), len(new), _mean(old), _mean(new), index, p_value, verdict)


def _known(values: FloatArray) -> FloatArray:
    found: FloatArray = np.asarray(values, dtype=np.float64)
    return found[np.isfinite(found)]


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _p_value(old: FloatArray, new: FloatArray, *, spread: bool) -> float:
    """Of the means, and with `spread` of the mean distances from the old median too."""
    evidence = _evidence(old, new)
    if spread:
        middle = np.median(old)
        evidence = (evidence + _evidence(np.abs(old - middle), np.abs(new - middle))) / 2.0
    return float(min(1.0, 1.0 / evidence)) if evidence > 0 else 1.0


def _evidence(old: FloatArray, new: FloatArray) -> float:
    """Bayes factor of another mean, normal with a standard deviation of `EFFECT`, against the same one."""
    variance = old.var(ddof=1) / len(old) + new.var(ddof=1) / len(new)
    apart = float(new.mean() - old.mean())
    if variance <= 0.0:
        return 1.0 if apart == 0.0 else float("inf")
    effect = variance + (EFFECT**2) * old.var(ddof=1)
    exponent = 0.5 * apart**2 * (1.0 / variance - 1.0 / effect) - 0.5 * np.log(effect / variance)
    return float(np.exp(min(exponent, 700.0)))
