"""The field's metrics, as plain functions on arrays.

Accuracies are fractions or percents, as long as one call uses one of them. `acc` arrays have the axis (dataset,) last;
NaN marks a cell that was not measured. Comparisons are like for like: a dataset counts only where both sides have it.

Source: LLMRouterBench (arXiv 2601.07206), section 3.4, with the readings confirmed against the paper's printed tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from llmrouterbench.table import BoolArray, FloatArray, IntArray, StrArray

_SAME = 1e-9
"""Means of the same numbers, summed in another order, may differ by less than this; no decision hangs on it."""

_OF_COST, _CHEAPEST, _DEAREST = 0.1, 0.0044, 200.0
"""RouterArena's weight of cost against accuracy, and the ends of its scale in USD per 1,000 queries."""

AVERAGES = {"AvgAcc": "mean over datasets of the mean score", "quality": "mean score over queries, as traffic has it"}
"""How an average is taken, in the JSON of every command: one name is one way."""


def known_mean(values: FloatArray, axis: int = -1) -> FloatArray:
    """Mean over the finite values along an axis; NaN where there is none, without a warning.

    >>> known_mean(np.array([[1.0, np.nan, 0.0], [np.nan, np.nan, np.nan]])).tolist()
    [0.5, nan]
    """
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return cast(FloatArray, np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0))


def dataset_means(values: ArrayLike, dataset: StrArray, datasets: list[str]) -> FloatArray:
    """Mean per dataset over measured cells: (n, ...) -> (datasets, ...).

    >>> dataset_means([1.0, 0.0, np.nan], np.array(["a", "a", "b"]), ["a", "b"]).tolist()
    [0.5, nan]
    """
    array = np.asarray(values, dtype=np.float64)
    return np.array([known_mean(array[dataset == name], axis=0) for name in datasets])


def avg_acc(acc: ArrayLike) -> FloatArray:
    """AvgAcc: unweighted mean over datasets of the accuracy, (..., datasets) -> (...).

    Source: section 3.4. A missing dataset is left out of the mean; compare such rows with `like_for_like`.

    >>> float(avg_acc([50.0, 100.0]))
    75.0
    """
    return known_mean(np.asarray(acc, dtype=np.float64))


def like_for_like(acc: ArrayLike, base: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Both accuracies (..., datasets), with NaN wherever either has NaN.

    >>> [a.tolist() for a in like_for_like([50.0, 60.0], [40.0, np.nan])]
    [[50.0, nan], [40.0, nan]]
    """
    a, b = np.broadcast_arrays(np.asarray(acc, dtype=np.float64), np.asarray(base, dtype=np.float64))
    known = np.isfinite(a) & np.isfinite(b)
    return np.where(known, a, np.nan), np.where(known, b, np.nan)


def _ratio(acc: ArrayLike, base: ArrayLike) -> FloatArray:
    a, b = like_for_like(acc, base)
    return cast(FloatArray, np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0))


def gain(acc: ArrayLike, base: ArrayLike) -> FloatArray:
    """Gain@b: mean over datasets of acc / base - 1, (..., datasets) -> (...).

    Gain@R has the random router as base, Gain@B the best single model. A dataset on which the base scores 0 has no
    ratio and is left out.

    >>> float(gain([0.6, 0.5], [0.5, 0.5])).__round__(3)
    0.1
    """
    return known_mean(_ratio(acc, base) - 1.0)


def gap(acc: ArrayLike, oracle: ArrayLike) -> FloatArray:
    """Gap@O: mean over datasets of 1 - acc / oracle, (..., datasets) -> (...).

    >>> float(gap([0.5, 0.5], [1.0, 0.5]))
    0.25
    """
    return known_mean(1.0 - _ratio(acc, oracle))


def oracle_gap_recovered(acc: ArrayLike, base: ArrayLike, oracle: ArrayLike) -> FloatArray:
    """Share of the way from base to oracle that a router covers, in AvgAcc; NaN where the two are equal.

    >>> float(oracle_gap_recovered([0.7], [0.6], [0.8])).__round__(3)
    0.5
    """
    a, b, o = (np.asarray(x, dtype=np.float64) for x in (acc, base, oracle))
    known = np.isfinite(a) & np.isfinite(b) & np.isfinite(o)
    a, b, o = (known_mean(np.where(known, x, np.nan)) for x in (a, b, o))
    return cast(FloatArray, np.divide(a - b, o - b, out=np.full(np.shape(a), np.nan), where=np.asarray(o > b)))


def difference(acc: ArrayLike, base: ArrayLike) -> FloatArray:
    """AvgAcc minus the base's, on the datasets both have, (..., datasets) -> (...).

    >>> float(difference([0.7, 0.5, 0.9], [0.6, 0.5, np.nan])).__round__(3)
    0.05
    """
    a, b = map(avg_acc, like_for_like(acc, base))
    return np.asarray(a - b)


def excess(acc: ArrayLike, base: ArrayLike) -> FloatArray:
    """PerfGain of one operating point: AvgAcc over the base's, minus 1, on the datasets both have.

    >>> float(excess([0.6, 0.5], [0.5, 0.5])).__round__(3)
    0.1
    """
    a, b = map(avg_acc, like_for_like(acc, base))
    return np.asarray(np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b > 0)) - 1.0)


def perf_gain(acc: ArrayLike, base_acc: float) -> float:
    """PerfGain: the best operating point's AvgAcc over the base's, minus 1. `acc` is (points,).

    Source: section 3.4. With `acc` measured on the test part this is a number in hindsight; the bench reports the
    point chosen on validation beside it.

    >>> round(perf_gain([68.58, 66.0], 65.96), 3)
    0.04
    """
    points = np.asarray(acc, dtype=np.float64)
    return float(np.nanmax(points) / base_acc - 1.0) if np.isfinite(points).any() and base_acc > 0 else float("nan")


def reaches(acc: ArrayLike, base: ArrayLike) -> BoolArray:
    """Whether an accuracy is no worse than the base's, rounding noise of the mean aside.

    >>> reaches([0.1 + 0.2, 0.29], 0.3 + 1e-16).tolist()
    [True, False]
    """
    a, b = np.asarray(acc, dtype=np.float64), np.asarray(base, dtype=np.float64)
    return np.asarray(a >= b - _SAME)


def cost_save(acc: ArrayLike, cost: ArrayLike, base_acc: float, base_cost: float) -> float:
    """CostSave: 1 - cost / base cost of the cheapest operating point that is no worse than the base.

    `acc` and `cost` are (points,). NaN where no point reaches the base (rounding noise aside) or a cost is not known.
    Source: section 3.4.

    >>> round(cost_save([66.0, 68.0], [85.8, 133.0], 65.96, 125.6), 3)
    0.317
    """
    a, c = np.asarray(acc, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    good = reaches(a, base_acc) & np.isfinite(c)
    return float(1.0 - c[good].min() / base_cost) if good.any() and base_cost > 0 else float("nan")


def pareto_frontier(acc: ArrayLike, cost: ArrayLike) -> BoolArray:
    """Which points (points,) no other point dominates: none is as accurate and as cheap, and better in one of them.

    Points with an unknown coordinate are on no frontier. Equal points are both on it.

    >>> pareto_frontier([0.5, 0.7, 0.6], [1.0, 2.0, 3.0]).tolist()
    [True, True, False]
    """
    a, c = np.asarray(acc, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    frontier = np.zeros(a.shape, dtype=np.bool_)
    known = np.flatnonzero(np.isfinite(a) & np.isfinite(c))
    order = known[np.lexsort((-a[known], c[known]))]  # by cost, the more accurate first
    best, best_cost = -np.inf, np.nan
    for i in order.tolist():
        if a[i] > best or (a[i] == best and c[i] == best_cost):
            frontier[i] = True
            best, best_cost = a[i], c[i]
    return frontier


def pareto_dist(acc: ArrayLike, cost: ArrayLike, all_acc: ArrayLike, all_cost: ArrayLike) -> float:
    """ParetoDist: mean L1 distance of a method's points (points,) to the nearest frontier point of all points.

    Both axes are min-max normalised over `all_*`, the single models and every method's points (the method's own
    included). Source: section 3.4; confirmed in figure 8: nearest non-dominated point, not segment.

    >>> pareto_dist([0.5], [2.0], [0.5, 0.5, 1.0], [1.0, 2.0, 3.0])
    0.5
    """
    s_acc, s_cost = np.asarray(all_acc, dtype=np.float64), np.asarray(all_cost, dtype=np.float64)
    known = np.isfinite(s_acc) & np.isfinite(s_cost)
    a, c = np.asarray(acc, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    mine = np.isfinite(a) & np.isfinite(c)
    if not known.any() or not mine.any():
        return float("nan")
    s_acc, s_cost = s_acc[known], s_cost[known]
    scale_acc, scale_cost = np.ptp(s_acc) or 1.0, np.ptp(s_cost) or 1.0
    frontier = pareto_frontier(s_acc, s_cost)
    distance = (
        np.abs(a[mine, None] - s_acc[frontier]) / scale_acc + np.abs(c[mine, None] - s_cost[frontier]) / scale_cost
    )
    return float(distance.min(axis=1).mean())


def quality_hull(acc: ArrayLike, cost: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Accuracy and cost (h,) of the corners of the non-decreasing convex hull of points (points,), the cheapest first.

    A share of the queries at one point and the rest at another has any point between the two, so the curve of a method
    is the hull of its points; dearer points that are no better are left out. Points with an unknown coordinate too.
    Source: RouterBench (arXiv 2403.12031), section 3.2.

    >>> [part.tolist() for part in quality_hull([0.5, 0.5, 0.7, 0.6], [1.0, 2.0, 3.0, 4.0])]
    [[0.5, 0.7], [1.0, 3.0]]
    """
    a, c = np.asarray(acc, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    found: list[tuple[float, float]] = []
    for i in np.flatnonzero(pareto_frontier(a, c))[np.argsort(c[pareto_frontier(a, c)], kind="stable")].tolist():
        point = (float(a[i]), float(c[i]))
        while len(found) > 1 and _below(found[-2], found[-1], point):
            found.pop()
        if not found or point != found[-1]:
            found.append(point)
    corners = np.array(found).reshape(-1, 2)
    return corners[:, 0], corners[:, 1]


def _below(left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]) -> bool:
    """Whether the middle one of three points (accuracy, cost) is on or below the line of the others."""
    return (middle[0] - left[0]) * (right[1] - left[1]) <= (right[0] - left[0]) * (middle[1] - left[1])


def aiq(acc: ArrayLike, cost: ArrayLike, most: float) -> float:
    """AIQ, average improvement in quality: area below the hull of points (points,), over the cost `most`.

    From the cheapest point on; behind its best one the hull goes on level to `most`, which is the largest cost on the
    hull of any of the methods that are compared. NaN without a point. Source: RouterBench (arXiv 2403.12031), section
    3.2, and its code (`evaluation/AIQ.py`).

    >>> round(aiq([0.5, 0.7], [0.0, 2.0], 4.0), 6)
    0.65
    """
    height, place = quality_hull(acc, cost)
    if not len(place) or not most > 0:
        return float("nan")
    return _area(np.append(height, height[-1]), np.append(place, max(most, place[-1]))) / most


def apgr(acc: ArrayLike, strong: ArrayLike, weak_acc: float, strong_acc: float) -> float:
    """APGR, average performance gap recovered, between a weak and a strong model.

    acc     (points,) accuracy of each setting of the dial
    strong  (points,) share of the queries that the strong model serves there

    Area below the accuracy, from the smallest share to the largest one, less that of the weak model, over the same of
    the strong model. NaN where the two are equally accurate or the share never changes. Source: RouteLLM (arXiv
    2406.18665), section 3, and its code (`routellm/evals/evaluate.py`).

    >>> round(apgr([0.5, 0.8, 0.9], [0.0, 0.5, 1.0], 0.5, 0.9), 4)
    0.625
    """
    a, share = _by_share(acc, strong)
    if len(a) < 2 or share[0] == share[-1] or weak_acc == strong_acc:
        return float("nan")
    return (_area(a, share) / float(share[-1] - share[0]) - weak_acc) / (strong_acc - weak_acc)


def calls_for(part: float, acc: ArrayLike, strong: ArrayLike, weak_acc: float, strong_acc: float) -> float:
    """CPT, call-performance threshold: share of strong calls at which a part of the performance gap is recovered.

    The smallest share on the line through the points of the dial; NaN where none recovers as much. Source: RouteLLM
    (arXiv 2406.18665), section 3; its code takes accuracies to rise with the share.

    >>> calls_for(0.5, [0.5, 0.8, 0.9], [0.0, 0.5, 1.0], 0.5, 0.9).__round__(3)
    0.333
    """
    a, share = _by_share(acc, strong)
    wanted = weak_acc + part * (strong_acc - weak_acc)
    reached = np.flatnonzero(reaches(a, wanted))
    if not len(reached):
        return float("nan")
    at = int(reached[0])
    if at == 0 or a[at] == a[at - 1]:
        return float(share[at])
    return float(share[at] - (share[at] - share[at - 1]) * max(a[at] - wanted, 0.0) / (a[at] - a[at - 1]))


def _area(height: FloatArray, place: FloatArray) -> float:
    """Area below the line through points, from the first to the last."""
    return float((np.diff(place) * (height[1:] + height[:-1]) / 2.0).sum())


def _by_share(acc: ArrayLike, strong: ArrayLike) -> tuple[FloatArray, FloatArray]:
    a, share = np.asarray(acc, dtype=np.float64), np.asarray(strong, dtype=np.float64)
    known = np.isfinite(a) & np.isfinite(share)
    order = np.argsort(share[known], kind="stable")
    return a[known][order], share[known][order]


def arena_score(acc: float, usd: float) -> float:
    """RouterArena's score of an accuracy in [0, 1] at a cost in USD per 1,000 queries: a weighted harmonic mean.

    Cost counts on a logarithmic scale from 0.0044 (1) to 200 USD (0), and a tenth as much as accuracy. NaN where the
    cost is unknown. Source: RouterArena (arXiv 2510.00202), section 4; the values of its leaderboard come out.

    >>> round(100 * arena_score(0.7396, 10.02), 2), round(100 * arena_score(0.6809, 0.54), 2)
    (64.32, 66.67)
    """
    if not usd > 0:
        return float("nan")
    cheap = float(np.clip(np.log(_DEAREST / usd) / np.log(_DEAREST / _CHEAPEST), 0.0, 1.0))
    return (1.0 + _OF_COST) * acc * cheap / (_OF_COST * acc + cheap) if acc > 0 and cheap > 0 else 0.0


def total_cost(cost: ArrayLike, dataset: StrArray, datasets: list[str]) -> float:
    """USD for all queries: per dataset, the mean of the known costs (n,) times the number of queries, summed.

    With every cost known this is the plain sum. NaN as soon as a dataset has no known cost: an unpriced call is not
    a free call.

    >>> total_cost([1.0, np.nan, 3.0], np.array(["a", "a", "b"]), ["a", "b"])
    5.0
    """
    array = np.asarray(cost, dtype=np.float64)
    sizes = np.array([(dataset == name).sum() for name in datasets])
    return float((dataset_means(array, dataset, datasets) * sizes).sum())


def best_single(acc: ArrayLike) -> int:
    """Index of the model with the highest AvgAcc; `acc` is (datasets, models). The first one on a tie.

    A model without a dataset is compared with each other model on the datasets both have.

    >>> best_single([[0.5, 0.6], [0.9, 0.7]])
    0
    """
    table = np.asarray(acc, dtype=np.float64)
    complete = np.isfinite(table).all(axis=0)
    means = avg_acc(table.T)
    if not np.isfinite(means).any():
        raise ValueError("best_single needs at least one measured accuracy, got none")
    best = int(np.argmax(np.where(complete, means, -np.inf))) if complete.any() else int(np.nanargmax(means))
    for other in np.flatnonzero(~complete).tolist():
        mine, theirs = like_for_like(table[:, best], table[:, other])
        if float(avg_acc(theirs)) > float(avg_acc(mine)):
            best = other
    return best


def random_expectation(values: FloatArray) -> FloatArray:
    """Expected value (n,) of serving a uniformly random model: the mean over the measured models (n, m).

    The paper's Random Router is one seeded draw of this.

    >>> random_expectation(np.array([[1.0, 0.0], [1.0, np.nan]])).tolist()
    [0.5, 1.0]
    """
    return known_mean(values)


def oracle_choice(score: FloatArray, cost: FloatArray) -> IntArray:
    """The oracle's model (n,): the best score, and among equals the cheapest; an unknown cost counts as the dearest.

    -1 where no model was measured. Source: section 3.4.

    >>> oracle_choice(np.array([[1.0, 1.0], [0.0, 0.5]]), np.array([[2.0, 1.0], [1.0, 9.0]])).tolist()
    [1, 1]
    """
    best = np.max(np.where(np.isfinite(score), score, -np.inf), axis=1)
    price = np.where(np.isfinite(cost), cost, np.finfo(np.float64).max)
    candidate = np.where(score == best[:, None], price, np.inf)
    choice = np.asarray(candidate.argmin(axis=1), dtype=np.int64)
    choice[~np.isfinite(best)] = -1
    return choice


def dataset_oracle_choice(acc: FloatArray) -> IntArray:
    """Index (datasets,) of the model with the highest accuracy on each dataset; `acc` is (datasets, models).

    With `acc` averaged over seeds this is the paper's Dataset Oracle (Tables 11 and 12); with the accuracies of one
    seed it is that seed's own, whose mean over seeds is never lower. -1 where nothing was measured.

    >>> dataset_oracle_choice(np.array([[0.5, 0.6], [0.9, np.nan]])).tolist()
    [1, 0]
    """
    filled = np.where(np.isfinite(acc), acc, -np.inf)
    choice = np.asarray(filled.argmax(axis=1), dtype=np.int64)
    choice[~np.isfinite(filled.max(axis=1))] = -1
    return choice


def dataset_oracle_per_seed(acc: FloatArray) -> FloatArray:
    """Dataset Oracle accuracy (datasets,) as the mean over seeds of each seed's best; `acc` (seeds, datasets, models).

    >>> dataset_oracle_per_seed(np.array([[[0.5, 0.7]], [[0.9, 0.7]]])).tolist()
    [0.8]
    """
    best = np.max(np.where(np.isfinite(acc), acc, -np.inf), axis=2)
    return known_mean(np.where(np.isfinite(best), best, np.nan), axis=0)


def ties_as_wins(score: FloatArray) -> FloatArray:
    """Scores with every positive value counted as 1: how parts of the paper read ArenaHard's ties (`ties_win=True`).

    >>> ties_as_wins(np.array([0.0, 0.5, np.nan])).tolist()
    [0.0, 1.0, nan]
    """
    return np.where(np.isfinite(score), (score > 0).astype(np.float64), np.nan)


@dataclass(frozen=True)
class Calibration:
    """Estimates against scores in equal bins of the estimate; NaN where a bin is empty.

    expected  (bins,) mean estimate
    observed  (bins,) mean score
    count     (bins,) estimates in the bin
    error     expected calibration error: mean of abs(expected - observed), weighted by count
    """

    expected: FloatArray
    observed: FloatArray
    count: FloatArray
    error: float


def calibrate(estimate: ArrayLike, score: ArrayLike, bins: int = 10) -> Calibration:
    """Bin estimates (k,) in [0, 1] and their scores (k,); pairs with an unknown side are left out.

    Estimates outside [0, 1] go to the outer bins. Source: Guo et al., On Calibration of Modern Neural Networks (arXiv
    1706.04599), section 2. Raises ValueError where no pair is known.

    >>> made = calibrate([0.1, 0.1, 0.9, 0.9], [0.0, 0.0, 1.0, 0.0], bins=2)
    >>> made.observed.tolist(), round(made.error, 2)
    ([0.0, 0.5], 0.25)
    """
    p, s = (np.asarray(part, dtype=np.float64).ravel() for part in (estimate, score))
    known = np.isfinite(p) & np.isfinite(s)
    if not known.any():
        raise ValueError("a calibration needs an estimate with a measured score, got none; give it a test part")
    p, s = p[known], s[known]
    at = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(at, minlength=bins).astype(np.float64)
    empty = np.full(bins, np.nan)
    expected = np.divide(np.bincount(at, p, bins), count, out=empty.copy(), where=count > 0)
    observed = np.divide(np.bincount(at, s, bins), count, out=empty, where=count > 0)
    error = float(np.nansum(np.abs(expected - observed) * count) / count.sum())
    return Calibration(expected, observed, count, error)
