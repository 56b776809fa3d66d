"""What a policy is worth on a log: means of pseudo-outcomes, how sure they are, and what would overturn them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.estimating.pseudo import Pseudo
from llmrouterbench.metrics import avg_acc, dataset_means
from llmrouterbench.stats import FEWEST, UNKNOWN_NUMBER, Interval, effective_trials
from llmrouterbench.table import FloatArray, IntArray, StrArray

MOST_ODDS = 20.0
"""Odds of hidden selection beyond which nobody asks."""
_UNSEEN = 1.5
"""Trials that the next one may differ by: the standard error of no failure in n trials is 1.5 / n (rule of three)."""


@dataclass(frozen=True)
class Value:
    """AvgAcc of a policy on all queries of a log, doubly robust, with a 95 % interval; unknown below 20 trials.

    name       what the policy is called
    score      AvgAcc; cost is USD a query
    ips, snips  the same by inverse propensity scoring, plain and self-normalised: checks, not estimates
    effective  effective trials
    beyond     share of the queries on which its model was next to never chosen
    needed     requests more, chosen as before, that would make a number; 0 where there is one
    """

    name: str
    score: Interval
    cost: float
    ips: float
    snips: float
    effective: float
    beyond: float
    needed: int

    @property
    def known(self) -> bool:
        """Whether there is a number."""
        return bool(np.isfinite(self.score.value))


def value_of(name: str, made: Pseudo, choice: IntArray) -> Value:
    """The value of serving model `choice` (n,) to each query."""
    rows, part = np.arange(len(choice)), made.part
    weight = made.weight[rows, choice]
    effective, got = float(effective_trials(weight)), np.nan_to_num(part.score[rows, choice])
    share = _share(part.dataset)
    known = effective >= FEWEST
    cost = float((share * made.cost[rows, choice]).sum()) if known else float("nan")
    score = UNKNOWN_NUMBER
    if known:
        score = within_bounds(interval_of(made.score[rows, choice], part.dataset, part.together, effective))
    total = (share * weight).sum()
    return Value(
        name,
        score,
        cost,
        ips=float((share * weight * got).sum()) if known else float("nan"),
        snips=float((share * weight * got).sum() / total) if known else float("nan"),
        effective=effective,
        beyond=float(made.beyond[rows, choice].mean()),
        needed=0 if known else int(np.ceil(len(rows) * (FEWEST / max(effective, 1.0) - 1.0))),
    )


def difference(made: Pseudo, choice: IntArray, base: IntArray) -> Interval:
    """AvgAcc of one policy minus another's; unknown where either has fewer than 20 effective trials."""
    rows, differ = np.arange(len(choice)), choice != base
    if not differ.any():
        return Interval(0.0, 0.0, 0.0)
    trials = min(float(effective_trials(made.weight[rows, one])) for one in (choice, base))
    if trials < FEWEST:
        return UNKNOWN_NUMBER
    lead = made.score[rows, choice] - made.score[rows, base]
    return interval_of(lead, made.part.dataset, made.part.together, trials, float(differ.mean()))


def within_bounds(score: Interval) -> Interval:
    """An interval of a score, which lies in [0, 1]."""
    return Interval(*(float(np.clip(one, 0.0, 1.0)) for one in (score.value, score.low, score.high)))


def interval_of(
    values: FloatArray, dataset: StrArray, group: IntArray, effective: float, share: float = 1.0
) -> Interval:
    """AvgAcc of values (n,) with the interval of a t-test; copies of a query, and a cluster, count as one.

    The error holds the trial that was not seen: with few of them all may be right, and the next one wrong. `share` of
    the queries is in question.
    """
    from scipy.special import stdtrit

    names, place = np.unique(dataset, return_inverse=True)
    acc = dataset_means(values, dataset, names.tolist())
    left = _share(dataset) * (values - acc[place])
    _, cluster = np.unique(group, return_inverse=True)
    sums = np.bincount(cluster, weights=left)
    error = np.sqrt((sums**2).sum() + (share * _UNSEEN / effective) ** 2)
    width = float(stdtrit(max(effective - 1.0, 1.0), 0.975) * error)
    value = float(avg_acc(acc))
    return Interval(value, value - width, value + width)


def _share(dataset: StrArray) -> FloatArray:
    """Share (n,) of each query in AvgAcc."""
    _, place, count = np.unique(dataset, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(count) * count[place]), dtype=np.float64)


def overturning_odds(made: Pseudo, better: int, worse: int) -> float:
    """How much hidden selection would overturn that one model is better than another, as a ratio of odds.

    If whoever chose knew something that the queries do not show, by which the odds of being chosen differed by at most
    this factor from what is assumed, the better one could still be no better. 1: nothing hidden is needed; 20: more
    than that.

    Source: the marginal sensitivity model of Tan 2006; its bounds for weighted means, Zhao, Small, Bhattacharya 2019
    (arXiv 1711.11286), here of the residuals.
    """

    def lead(odds: float) -> float:
        return _bound(made, better, odds, -1.0) - _bound(made, worse, odds, 1.0)

    if lead(1.0) <= 0:
        return 1.0
    low, high = 1.0, MOST_ODDS
    if lead(high) > 0:
        return MOST_ODDS
    for _ in range(40):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if lead(middle) > 0 else (low, middle)
    return float(low)


def _bound(made: Pseudo, model: int, odds: float, sign: float) -> float:
    """The highest (sign 1) or lowest (-1) mean score of a model under hidden selection of these odds."""
    used = made.weight[:, model] > 0
    weight, residual = made.weight[used, model], sign * made.residual[used, model]
    low, high = 1.0 + (weight - 1.0) / odds, 1.0 + (weight - 1.0) * odds
    order = np.argsort(-residual)
    weight_low, weight_high, residual = low[order], high[order], residual[order]
    above = np.cumsum((weight_high - weight_low) * residual) + (weight_low * residual).sum()
    below = np.cumsum(weight_high - weight_low) + weight_low.sum()
    start = (weight_low * residual).sum() / weight_low.sum()
    expected = made.score[:, model] - made.weight[:, model] * made.residual[:, model]
    return float(expected.mean() + sign * max(start, (above / below).max()))
