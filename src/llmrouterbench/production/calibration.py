"""Calibration: maps from what a router estimates to what happens, fitted on queries that the router has not seen.

A map is monotone, one a model: a straight line on the log-odds (Platt) or a staircase (isotonic). Which of them, or
none, is chosen by cross-validation; the numbers "after" come from folds that neither the map nor that choice saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmrouterbench.metrics import calibrate, known_mean
from llmrouterbench.table import FloatArray, IntArray

METHODS = ("none", "platt", "isotonic")
"""From the simplest on; a later one is taken where it is clearly better."""
CLEARLY = 2.0
"""Standard errors of the Brier score by which: with fewer the choice changes from fold to fold and brings nothing."""
MARGIN = 0.5
"""Standard errors by which fewer probes may be worse and still be enough."""
_FEWEST = 20
"""Measured outcomes below which a model keeps the router's own estimate."""
_EDGE = 1e-3


@dataclass(frozen=True)
class ScoreMap:
    """Monotone maps of m models from the router's estimate to the expected score.

    method     (m,) "none", "platt" or "isotonic"
    log_odds   whether Platt's line is on the log-odds; otherwise on the estimate itself, which is no probability
    slope, intercept  (m,) of Platt's line
    knots      m arrays (2, k): places and heights of the staircase; (2, 0) for the other methods
    """

    method: tuple[str, ...]
    log_odds: bool
    slope: FloatArray
    intercept: FloatArray
    knots: tuple[FloatArray, ...]

    def __call__(self, score: FloatArray) -> FloatArray:
        """Expected scores (n, m) in [0, 1]."""
        out = np.clip(score, 0.0, 1.0)
        platt = [j for j, method in enumerate(self.method) if method == "platt"]
        if platt:
            line = self.slope[platt] * _feature(score[:, platt], self.log_odds) + self.intercept[platt]
            out[:, platt] = 1.0 / (1.0 + np.exp(-line))
        for j, method in enumerate(self.method):
            if method == "isotonic":
                out[:, j] = np.interp(score[:, j], *self.knots[j])
        return out

    def joined(self, other: ScoreMap) -> ScoreMap:
        """These models, then those of another map."""
        if self.log_odds != other.log_odds:
            raise ValueError("maps to be joined must read the estimate alike; fit again")
        return ScoreMap(
            (*self.method, *other.method),
            self.log_odds,
            np.append(self.slope, other.slope),
            np.append(self.intercept, other.intercept),
            (*self.knots, *other.knots),
        )


def _feature(score: FloatArray, log_odds: bool) -> FloatArray:
    if not log_odds:
        return score
    chance = np.clip(score, _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(chance / (1.0 - chance)))


def fit_map(method: str, score: FloatArray, outcome: FloatArray, log_odds: bool | None = None) -> ScoreMap:
    """Fit one method to estimates and outcomes (n, m), NaN left out; a model with too few outcomes keeps "none".

    >>> made = fit_map("isotonic", np.repeat([[0.2], [0.8]], 20, axis=0), np.repeat([[0.0], [0.5]], 20, axis=0))
    >>> made(np.array([[0.1], [0.9]])).tolist()
    [[0.0], [0.5]]
    """
    m = score.shape[1]
    if log_odds is None:
        log_odds = bool((score >= 0).all() and (score <= 1).all())
    known = np.isfinite(outcome)
    methods = [method if known[:, j].sum() >= _FEWEST else "none" for j in range(m)]
    slope, intercept, knots = np.ones(m), np.zeros(m), [np.zeros((2, 0)) for _ in range(m)]
    for j, (one, rows) in enumerate(zip(methods, known.T, strict=True)):
        if one == "platt":
            slope[j], intercept[j] = _platt(_feature(score[rows, j], log_odds), outcome[rows, j])
        elif one == "isotonic":
            knots[j] = _staircase(score[rows, j], outcome[rows, j])
    return ScoreMap(tuple(methods), log_odds, slope, intercept, tuple(knots))


def _platt(x: FloatArray, outcome: FloatArray) -> tuple[float, float]:
    """Slope (never negative) and intercept. Source: Platt 1999, with its smoothed targets; fractions count in part."""
    from sklearn.linear_model import LogisticRegression

    good, bad = outcome.sum(), (1.0 - outcome).sum()
    target = outcome * (good + 1.0) / (good + 2.0) + (1.0 - outcome) / (bad + 2.0)
    center, spread = x.mean(), max(float(x.std()), 1e-9)
    place = np.tile((x - center) / spread, 2)[:, None]
    label = np.repeat([1, 0], len(x))
    fitted: Any = LogisticRegression(C=1e3, max_iter=1000)
    fitted.fit(place, label, sample_weight=np.concatenate([target, 1.0 - target]))
    slope, intercept = float(fitted.coef_[0, 0]) / spread, float(fitted.intercept_[0])
    if slope <= 0 or x.std() < 1e-9:
        mean = float(target.mean())
        return 0.0, float(np.log(mean / (1.0 - mean)))
    return slope, intercept - slope * float(center)


def _staircase(x: FloatArray, outcome: FloatArray) -> FloatArray:
    """Knots (2, k). Source: Zadrozny and Elkan 2002."""
    from sklearn.isotonic import IsotonicRegression

    fitted: Any = IsotonicRegression(y_min=0.0, y_max=1.0).fit(x, outcome)
    return np.array([fitted.X_thresholds_, fitted.y_thresholds_], dtype=np.float64)


def choose_method(score: FloatArray, outcome: FloatArray, fold: IntArray) -> str:
    """The simplest method that no other beats by two standard errors of the Brier score out of fold."""
    best, loss = "none", _losses(np.clip(score, 0.0, 1.0), outcome)
    for method in METHODS[1:]:
        other = _losses(out_of_fold(method, score, outcome, fold), outcome)
        mean, error = mean_and_error(loss - other)
        if mean > CLEARLY * error:
            best, loss = method, other
    return best


def out_of_fold(method: str | None, score: FloatArray, outcome: FloatArray, fold: IntArray) -> FloatArray:
    """Calibrated scores (n, m), each from a map that did not see its fold; None chooses the method without it too."""
    out = np.clip(score, 0.0, 1.0)
    for one in np.unique(fold).tolist():
        held, rest = fold == one, fold != one
        if rest.any():
            chosen = choose_method(score[rest], outcome[rest], fold[rest]) if method is None else method
            out[held] = fit_map(chosen, score[rest], outcome[rest])(score[held])
    return out


def _losses(chance: FloatArray, outcome: FloatArray) -> FloatArray:
    """Mean squared error (n,) of each query over the models measured on it."""
    return known_mean((chance - outcome) ** 2)


def mean_and_error(values: FloatArray) -> tuple[float, float]:
    """Mean and its standard error of values (n,), NaN left out; (NaN, NaN) of fewer than two.

    >>> mean_and_error(np.array([1.0, 3.0, np.nan]))
    (2.0, 1.0)
    """
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return float("nan"), float("nan")
    return float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known)))


@dataclass(frozen=True)
class Reliability:
    """How far estimates are from outcomes.

    error        expected calibration error over all models and queries, ten bins
    model_error  the mean over models of each model's own
    brier        mean squared error
    """

    error: float
    model_error: float
    brier: float


def reliability(chance: FloatArray, outcome: FloatArray) -> Reliability:
    """Errors of calibrated or raw scores (n, m) against outcomes (n, m); NaN where nothing was measured."""
    known = np.isfinite(outcome)
    if not known.any():
        return Reliability(float("nan"), float("nan"), float("nan"))
    own = [calibrate(chance[:, j], outcome[:, j]).error for j in np.flatnonzero(known.any(axis=0))]
    brier = float(((chance - outcome)[known] ** 2).mean())
    return Reliability(calibrate(chance, outcome).error, float(np.mean(own)), brier)


@dataclass(frozen=True)
class CostMap:
    """From estimated to expected USD, a factor a model.

    factor  (m,)
    mean    (m,) USD of a model whose cost the router does not estimate; NaN unknown
    """

    factor: FloatArray
    mean: FloatArray

    def __call__(self, cost: FloatArray) -> FloatArray:
        """Expected USD (n, m); NaN unknown."""
        return np.where(np.isfinite(cost), cost * self.factor, self.mean)

    def joined(self, other: CostMap) -> CostMap:
        """These models, then those of another map."""
        return CostMap(np.append(self.factor, other.factor), np.append(self.mean, other.mean))


def fit_cost_map(estimate: FloatArray, cost: FloatArray, mean: FloatArray, method: str = "factor") -> CostMap:
    """The factor of each model that makes its bill right, from estimates and costs (n, m); method "none" keeps 1.

    >>> fit_cost_map(np.array([[1.0], [3.0]]), np.array([[2.0], [6.0]]), np.array([np.nan])).factor.tolist()
    [2.0]
    """
    both = np.isfinite(estimate) & np.isfinite(cost)
    expected, paid = (np.where(both, part, 0.0).sum(axis=0) for part in (estimate, cost))
    usable = (expected > 0) & (paid > 0) & (method == "factor")
    return CostMap(np.divide(paid, expected, out=np.ones(len(paid)), where=usable), mean)


def bill_error(estimate: FloatArray, cost: FloatArray) -> float:
    """Mean over models of abs(estimated bill / bill - 1), on cells (n, m) where both are known; NaN without any."""
    both = np.isfinite(estimate) & np.isfinite(cost)
    expected, paid = (np.where(both, part, 0.0).sum(axis=0) for part in (estimate, cost))
    known = paid > 0
    return float(np.abs(expected[known] / paid[known] - 1.0).mean()) if known.any() else float("nan")


def choose_cost_method(estimate: FloatArray, cost: FloatArray, fold: IntArray) -> tuple[str, float, float]:
    """Method "factor" where it makes the bills of held-out folds righter, else "none"; their error before and after."""
    nothing = np.full(cost.shape[1], np.nan)
    before, after = [], []
    for one in np.unique(fold).tolist():
        held, rest = fold == one, fold != one
        fitted = fit_cost_map(estimate[rest], cost[rest], nothing)
        before.append(bill_error(estimate[held], cost[held]))
        after.append(bill_error(fitted(estimate[held]), cost[held]))
    plain, scaled = _mean(before), _mean(after)
    return ("factor", plain, scaled) if scaled < plain else ("none", plain, plain)


def _mean(values: Sequence[float]) -> float:
    return float(known_mean(np.array(values)))
