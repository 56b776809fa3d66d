"""Differences that may be looked at as often as one likes: confidence sequences for two sides of split traffic.

Every unit (a conversation) goes to the candidate with probability p, and has a score y in [0, 1]. With guesses g1 and
g0 of what the sides score, made before the unit came,

    x = g1 - g0 + (y - g1) / p            on the candidate's side
    x = g1 - g0 - (y - g0) / (1 - p)      on the running one's

has the difference of the sides as its mean, and lies within c = max(1 / p, 1 / (1 - p)) of 0. A unit on which both
sides would do the same has x = 0, whatever it scored. For sums S of x with mean d, V of x squared, n of units, and
every 0 <= l < 1 / c,

    exp(l (S - n d) - V (-log(1 - c l) - c l) / c^2)

is a supermartingale that begins at 1. So is its mean over l, here with u = 1 - c l of the density of a gamma
distribution with shape and rate a = r / c^2, cut to (0, 1):

    M = [a^a / (G(a) P(a, a))] [G(k) P(k, z) / z^k] exp((c (S - n d) + V) / c^2),
    k = (V + r) / c^2,  z = (c (S - n d) + V + r) / c^2

with G the gamma function and P the regularised incomplete one. By Ville's inequality M ever exceeds 1 / q with
probability q at most, however often one looks: the d for which it has not are the interval, each end with half of the
level.

Costs have no bound. Their interval is asymptotic: it holds as the normal approximation does, for many units.

Source: Howard, Ramdas, McAuliffe, Sekhon, Time-uniform, nonparametric, nonasymptotic confidence sequences (Annals of
Statistics 2021, arXiv 1810.08240), theorem 4 (empirical Bernstein) and proposition 9 (the gamma-exponential mixture);
for costs Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, Time-uniform central limit theory and asymptotic confidence
sequences (Annals of Statistics 2024, arXiv 2103.06476), theorem 2.2. x is the augmented inverse propensity estimate of
Robins, Rotnitzky, Zhao 1994.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from llmrouterbench.stats import UNKNOWN_NUMBER, Interval
from llmrouterbench.table import BoolArray, FloatArray

LEVEL = 0.05
EFFECT = 0.05
"""The difference for which the interval is made as narrow as can be when it is found; it holds for all."""
_SPREAD = 0.2
"""Variance of a score with a mean of 0.72, for the same purpose."""
_BEST = 9.21
"""v: a mixture that is narrowest at variance V has ends of about sqrt(v V) there, and r = V / (v - 1); level 0.05."""

_FEWEST, _USUAL = 100, 2000.0
"""Units of which a mean cost has an interval; those at which it is narrowest."""


@dataclass(frozen=True)
class Units:
    """Units in the order in which their scores came.

    candidate  (n,) whether it was on the candidate's side, of probability `share`
    score      (n,) in [0, 1]; or USD, which have no bound and only an asymptotic interval
    differs    (n,) whether the sides would have done anything else for it
    """

    candidate: BoolArray
    score: FloatArray
    differs: BoolArray
    share: float

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"share must be above 0 and below 1, got {self.share:g}")


def differences(units: Units, first: float = 0.5) -> FloatArray:
    """The x (n,) of units; the guesses are the means of the units before that differ, and of `first`.

    >>> one = Units(np.array([True, False]), np.array([1.0, 0.0]), np.array([True, True]), 0.5)
    >>> differences(one)
    array([1.  , 1.25])
    """
    used, on = units.differs, units.candidate
    guess = [_means_before(units.score, used & side, first) for side in (on, ~on)]
    x = (
        guess[0]
        - guess[1]
        + np.where(on, (units.score - guess[0]) / units.share, -(units.score - guess[1]) / (1.0 - units.share))
    )
    return np.asarray(np.where(used, x, 0.0), dtype=np.float64)


def _means_before(values: FloatArray, used: BoolArray, first: float) -> FloatArray:
    """Mean of the used values before each, with one more among them."""
    total, count = np.cumsum(np.where(used, values, 0.0), axis=-1), np.cumsum(used, axis=-1)
    return (total - np.where(used, values, 0.0) + first) / (count - used + 1.0)


def mixture(total: FloatArray, variance: FloatArray, scale: float, rho: float) -> FloatArray:
    """Log M of sums minus their means, and of V; -inf where c (S - n d) + V + r is not positive.

    >>> float(mixture(np.array(0.0), np.array(0.0), 2.0, 100.0))
    0.0
    """
    from scipy.special import gammainc, gammaln

    a, k = rho / scale**2, (variance + rho) / scale**2
    z = (scale * total + variance + rho) / scale**2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (
            a * math.log(a) - gammaln(a) - math.log(gammainc(a, a))
            + gammaln(k) + np.log(gammainc(k, np.maximum(z, 0.0))) - k * np.log(z) + z - a
        )  # fmt: skip
    return np.asarray(np.where(z > 0.0, found, -np.inf), dtype=np.float64)


def tuning(share: float) -> tuple[float, float]:
    """C and r for a share of the traffic.

    >>> scale, rho = tuning(0.5)
    >>> scale, round(rho)
    (2.0, 287)
    """
    spread = _SPREAD / (share * (1.0 - share))
    return 1.0 / min(share, 1.0 - share), _BEST * (spread / EFFECT) ** 2 / (_BEST - 1.0)


def mean_at_any_time(values: FloatArray) -> Interval:
    """Mean of values (n,) without bound, with the asymptotic interval; unknown for fewer than 100."""
    n = len(values)
    if n < _FEWEST:
        return UNKNOWN_NUMBER
    mixed = 1.0 + n * (_BEST - 1.0) / _USUAL
    width = float(values.std(ddof=1)) * math.sqrt(
        2.0 * mixed / (n * (mixed - 1.0)) * math.log(math.sqrt(mixed) / LEVEL)
    )
    return Interval(float(values.mean()), float(values.mean()) - width, float(values.mean()) + width)


def difference_at_any_time(units: Units) -> Interval:
    """Mean score of the candidate minus the running one's, and where it is with 95 %, however often one looks.

    >>> rng = np.random.default_rng(0)
    >>> on = rng.random(3000) < 0.5
    >>> score = (rng.random(3000) < np.where(on, 0.8, 0.7)).astype(float)
    >>> found = difference_at_any_time(Units(on, score, np.ones(3000, bool), 0.5))
    >>> 0.0 < found.low < 0.1 < found.high
    True

    Raises ValueError for a score outside [0, 1].
    """
    n = len(units.score)
    if not n:
        return Interval(float("nan"), -1.0, 1.0)
    if not (units.score.min() >= 0.0 and units.score.max() <= 1.0):
        raise ValueError(f"scores must be in [0, 1], got {units.score.min():g} to {units.score.max():g}")
    x = differences(units)
    total, variance = float(x.sum()), float((x**2).sum())
    low, high = (sign * _end(sign * total, variance, n, units.share) for sign in (1.0, -1.0))
    return Interval(float(np.clip(total / n, -1.0, 1.0)), max(low, -1.0), min(high, 1.0))


def _end(total: float, variance: float, n: int, share: float) -> float:
    """The least mean that is not refused."""
    from scipy.optimize import brentq

    scale, rho = tuning(share)
    limit = math.log(2.0 / LEVEL)

    def beyond(above: float) -> float:
        return float(mixture(np.array(above), np.array(variance), scale, rho)) - limit

    high = 1.0
    while beyond(high) < 0.0:
        high *= 2.0
    return (total - float(brentq(beyond, 0.0, high))) / n
