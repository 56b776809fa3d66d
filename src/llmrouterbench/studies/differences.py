"""Routers against each other: every paired difference, with p-values that are corrected for looking at all of them.

The p-value of a pair is two-sided, from its difference over the standard error of the paired bootstrap and the tail of
the t-test that its interval has; a plain count of draws could not fall below 2 / (draws + 1), which a correction over
hundreds of pairs swallows.

Source: Holm, A simple sequentially rejective multiple test procedure, 1979; Benjamini, Hochberg, Controlling the false
discovery rate, 1995 (valid under the positive dependence that comparisons with shared routers have); Efron,
Tibshirani, An Introduction to the Bootstrap, 1993, section 16.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.replay import Replay, replay
from llmrouterbench.metrics import avg_acc
from llmrouterbench.naming import did_you_mean
from llmrouterbench.stats import Interval, IntervalRule, Paired, Sample, holm, pair
from llmrouterbench.table import FloatArray


def benjamini_hochberg(p: FloatArray) -> FloatArray:
    """Adjusted p-values (k,) that control the expected share of false findings among the findings.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p))


Finding = Literal["better", "worse", "not distinguishable"]
CONTROLS: dict[str, Callable[[FloatArray], FloatArray]] = {"holm": holm, "benjamini-hochberg": benjamini_hochberg}


@dataclass(frozen=True)
class Differences:
    """All paired differences of k routers, in AvgAcc; row minus column.

    names       k routers, the most accurate first
    difference  (k, k)
    low, high   (k, k) 95 % interval of each difference by itself, without correction
    p           (k, k) two-sided p-value of each difference by itself
    adjusted    (k, k) p-value after the correction over all pairs
    control     "holm" or "benjamini-hochberg"
    alpha       adjusted p-values below it are called a difference
    """

    names: tuple[str, ...]
    difference: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    adjusted: FloatArray
    control: str
    alpha: float

    def tied_with(self, name: str) -> tuple[str, ...]:
        """Routers that are not distinguishable from one. Raises KeyError for one that is not there."""
        if name not in self.names:
            raise KeyError(f"no router named {name!r} in the comparison{did_you_mean(name, self.names)}")
        row = self.names.index(name)
        return tuple(
            other
            for column, other in enumerate(self.names)
            if column != row and self.says(row, column) == "not distinguishable"
        )

    def at(self, row: int, column: int) -> Interval:
        """One difference by itself."""
        return Interval(*(float(plane[row, column]) for plane in (self.difference, self.low, self.high)))

    def says(self, row: int, column: int) -> Finding:
        """One difference in a word, after the correction."""
        if not self.adjusted[row, column] < self.alpha:
            return "not distinguishable"
        return "better" if self.difference[row, column] > 0 else "worse"


def compare_routers(
    runs: Runs,
    *,
    control: str = "holm",
    alpha: float = 0.05,
    replicates: int = 1000,
    seed: int = 0,
    played: Replay | None = None,
) -> Differences:
    """The matrix of all complete routers of some runs, at their validation-chosen operating points.

    Raises ValueError for a control that is not known or a level outside (0, 1).
    """
    played = played or replay(runs, runs.outcomes)
    at = [i for i, (kind, _) in enumerate(played.keys) if kind == "router"]
    names = [played.keys[i][1] for i in at]
    samples = [one.columns(at) for one in played.samples]
    options: dict[str, Any] = {"control": control, "alpha": alpha, "replicates": replicates, "seed": seed}
    return compare_columns(samples, names, **options, rule=runs.rules.present.intervals or "t")


def compare_columns(
    samples: Sequence[Sample],
    names: Sequence[str],
    *,
    control: str = "holm",
    alpha: float = 0.05,
    replicates: int = 1000,
    seed: int = 0,
    rule: IntervalRule = "t",
) -> Differences:
    """The matrix of the columns of some samples, one sample a seed."""
    if control not in CONTROLS:
        raise ValueError(f"no multiple-comparison control named {control!r}{did_you_mean(control, CONTROLS)}")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be between 0 and 1, got {alpha}; 0.05 is usual")
    means = pair(samples, replicates=replicates, seed=seed, rule=rule)
    order = np.argsort(-np.nan_to_num(avg_acc(means.acc), nan=-np.inf), kind="stable").tolist()
    k = len(order)
    difference, low, high = np.zeros((3, k, k))
    p, adjusted = np.ones((2, k, k))
    for i, j in zip(*np.triu_indices(k, 1), strict=True):
        one = means.difference(order[i], order[j])
        difference[i, j], low[i, j], high[i, j] = one.value, one.low, one.high
        p[i, j] = _p_value(means, one, order[i], order[j])
    upper = np.triu_indices(k, 1)
    adjusted[upper] = CONTROLS[control](p[upper])
    lower = (upper[1], upper[0])
    p[lower], adjusted[lower] = p[upper], adjusted[upper]
    difference[lower], low[lower], high[lower] = -difference[upper], -high[upper], -low[upper]
    return Differences(tuple(names[i] for i in order), difference, low, high, p, adjusted, control, alpha)


def _p_value(means: Paired, one: Interval, column: int, base: int) -> float:
    known = np.asarray(np.isfinite(means.acc[[column, base]]).all(axis=0))
    draws = np.asarray(avg_acc(means.draws.acc[:, column] - means.draws.acc[:, base]))
    if one.value == 0.0 and not draws.any():  # one column twice
        return 1.0
    return p_value(one.value, draws, means.draws.error(known)[1], means.draws.freedom(known))


def p_value(difference: float, draws: FloatArray, unseen: float = 0.0, freedom: float = math.inf) -> float:
    """Two-sided p-value of a difference from its bootstrap draws (b,): tail of a t-test at its standard error.

    `unseen` is the part of the error that no draw shows. 1 where nothing varies and nothing differs, where a value is
    missing, or without degrees of freedom.

    >>> p_value(0.0, np.zeros(9)), round(p_value(1.96, np.array([-1.0, 1.0] * 500)), 3)
    (1.0, 0.05)
    """
    from scipy.special import stdtr

    known = draws[np.isfinite(draws)]
    if len(known) < 2 or not math.isfinite(difference) or freedom < 1:
        return 1.0
    error = math.hypot(float(known.std(ddof=1)), unseen)
    if error == 0.0:
        return 0.0 if difference else 1.0
    if math.isinf(freedom):
        return math.erfc(abs(difference) / error / math.sqrt(2.0))
    return float(2.0 * stdtr(freedom, -abs(difference) / error))
