"""Which models a pool needs: greedy coverage, cost-aware subsets, and what each model adds.

The oracle of a subset serves the best of its models on every query. AvgAcc of that oracle, as a function of the
subset, is monotone and submodular (a facility-location function), so the greedy subset of k models has at least
1 - 1/e = 63 % of the best possible value. A cell that was not measured covers nothing; a query that no model was
measured on is left out.

Source: Nemhauser, Wolsey, Fisher, An analysis of approximations for maximizing submodular set functions, 1978
(guarantee); Minoux, Accelerated greedy algorithms, 1978 (lazy evaluation); LLMRouterBench (arXiv 2601.07206),
section 4.2.1 and figure 6 (oracle of the top k against random subsets).
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from llmrouterbench.coverage import need_matrix
from llmrouterbench.metrics import avg_acc, best_single, dataset_means
from llmrouterbench.naming import did_you_mean
from llmrouterbench.shown import Shown
from llmrouterbench.stats import UNKNOWN_NUMBER, Interval, pair, sample_of
from llmrouterbench.table import FloatArray, IntArray, Outcomes

_MOST_SIZES = 40
_DIGITS = 12
"""Gains that agree in so many are equal; the model that comes first in the pool wins."""
_SAME = 1e-12
_MOST_SUBSETS = 5_000
"""Subsets that are tried one by one."""


@dataclass(frozen=True)
class PoolValue:
    """Values of a pool on the queries that anything was measured on.

    outcomes  n such queries, m models that a router may choose
    score     (n, m) scores; 0 where a model was not measured, so that it covers nothing there
    price     (n, m) cost in USD; infinite where unknown
    weight    (n,) share of each query in AvgAcc
    """

    outcomes: Outcomes
    score: FloatArray
    price: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, outcomes: Outcomes) -> PoolValue:
        """The pool of some outcomes. Raises ValueError where nothing was measured."""
        pool = outcomes.pool
        measured = np.isfinite(pool.score).any(axis=1)
        pool = pool if measured.all() else pool.take(np.flatnonzero(measured))
        if not len(pool):
            raise ValueError(f"curation needs a measured score, got none in {len(outcomes)} queries")
        _, place, count = np.unique(pool.dataset, return_inverse=True, return_counts=True)
        score = np.where(np.isfinite(pool.score), pool.score, 0.0)
        price = np.where(np.isfinite(pool.cost), pool.cost, np.inf)
        return cls(pool, score, price, 1.0 / (len(count) * count[place]))

    @cached_property
    def accuracy(self) -> FloatArray:
        """Mean score (datasets, m) over measured cells."""
        return dataset_means(self.outcomes.score, self.outcomes.dataset, self.outcomes.datasets)

    @cached_property
    def alone(self) -> FloatArray:
        """AvgAcc (m,) of each model over measured cells; 0 where there are none."""
        return np.nan_to_num(avg_acc(self.accuracy.T))

    def by_accuracy(self) -> list[int]:
        """Models (m,), the highest AvgAcc over measured cells first."""
        acc = avg_acc(self.accuracy.T)
        order: list[int] = np.argsort(-np.where(np.isfinite(acc), acc, -np.inf), kind="stable").tolist()
        return order

    def oracle(self, models: Sequence[int]) -> float:
        """Oracle AvgAcc of a subset; NaN where missing cells put it below one of its models alone."""
        value = self.value(models)
        return value if value >= self.alone[list(models)].max(initial=0.0) - _SAME else float("nan")

    def value(self, models: Sequence[int] | IntArray) -> float:
        """Oracle AvgAcc of a subset; 0 of the empty one.

        >>> pool = PoolValue.of(Outcomes.of(["q", "r"], ["a", "b"], [[1, 0], [0, 1]]))
        >>> pool.value([0]), pool.value([0, 1])
        (0.5, 1.0)
        """
        if not len(models):
            return 0.0
        return float(self.weight @ self.score[:, np.asarray(models)].max(axis=1))


def greedy_order(value: FloatArray, weight: FloatArray, size: int) -> list[int]:
    """Columns of a value (n, m) in the order in which the greedy algorithm takes them, at most `size`.

    Each step takes the column that raises the weighted mean of the row maxima most. A
    column that raises nothing is taken only when no other is left. Lazy: an old gain is an upper bound, so a column
    is looked at again only when it comes first. Values must be at least 0.

    >>> greedy_order(np.array([[1.0, 0.9, 0.0], [1.0, 0.9, 0.0], [0.0, 0.0, 1.0]]), np.ones(3) / 3, 3)
    [0, 2, 1]
    """
    columns, most, best = np.ascontiguousarray(value.T), value.max(axis=1), np.zeros(len(value))
    queue = [(-round(float(gain), _DIGITS), i) for i, gain in enumerate(columns @ weight)]
    heapq.heapify(queue)
    order: list[int] = []
    while queue and len(order) < size:
        _, i = heapq.heappop(queue)
        again = (-round(float(weight @ np.maximum(columns[i] - best, 0.0)), _DIGITS), i)
        if queue and again > queue[0]:
            heapq.heappush(queue, again)
            continue
        order.append(i)
        np.maximum(best, columns[i], out=best)
        open_ = best < most
        if open_.sum() < len(open_) / 2:  # rows at their maximum can gain nothing more
            columns, most, best, weight = columns[:, open_], most[open_], best[open_], weight[open_]
    return order


def curate(outcomes: Outcomes, size: int | None = None, *, cost_weight: float = 0.0) -> tuple[str, ...]:
    """Models in greedy order, the first `size` of them (all when not given).

    Where a size has at most 5,000 subsets, the best of them is taken, in greedy order.

    With a `cost_weight` in score per USD, a subset is worth the mean over queries of its best score - weight * cost
    (above the lowest such value of the pool, which is what the guarantee is about); an unknown cost counts as the
    dearest known one of that query. Raises ValueError for a size or weight out of range, or a weight without costs.

    >>> outcomes = Outcomes.of(["q", "r", "s"], ["a", "b", "c"], [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    >>> curate(outcomes, 2)
    ('a', 'c')
    """
    pool = PoolValue.of(outcomes)
    models = pool.outcomes.models
    size = len(models) if size is None else size
    if not 1 <= size <= len(models):
        raise ValueError(f"the size of a subset must be from 1 to the {len(models)} models of the pool, got {size}")
    utility = _utility(pool, cost_weight)
    order = greedy_order(utility, pool.weight, size)
    if exact(len(models), size):
        subsets = [np.array(one) for one in itertools.combinations(range(len(models)), size)]
        best = _best_of(utility, pool.weight, [np.array(order), *subsets])
        order = best[greedy_order(utility[:, best], pool.weight, size)].tolist()
    return tuple(models[i] for i in order)


def exact(models: int, size: int) -> bool:
    """Whether every subset of a size is tried.

    >>> exact(10, 5), exact(33, 5), exact(33, 33)
    (True, False, True)
    """
    return math.comb(models, size) <= _MOST_SUBSETS


def tried(models: int) -> bool:
    """Whether all that a budget could buy is tried.

    >>> tried(12), tried(13)
    (True, False)
    """
    return 1 << models <= _MOST_SUBSETS


def _best_of(value: FloatArray, weight: FloatArray, subsets: Sequence[IntArray]) -> IntArray:
    """The subset with the best oracle; the first one of those that are equal."""
    found = [round(float(weight @ value[:, one].max(axis=1)), _DIGITS) for one in subsets]
    return subsets[int(np.argmax(found))]


def _utility(pool: PoolValue, cost_weight: float) -> FloatArray:
    """Utility score - weight * cost (n, m), moved up so that the lowest is 0."""
    if not (cost_weight >= 0.0 and math.isfinite(cost_weight)):
        raise ValueError(f"cost_weight must be a number of at least 0, got {cost_weight}")
    if cost_weight == 0.0:
        return pool.score
    known = np.isfinite(pool.price)
    if not known.any():
        raise ValueError("a cost_weight needs known costs, got none in these outcomes; leave it at 0")
    dearest = np.max(pool.price, axis=1, where=known, initial=0.0)
    dearest = np.where(known.any(axis=1), dearest, pool.price[known].max())
    utility = pool.score - cost_weight * np.where(known, pool.price, dearest[:, None])
    return np.asarray(utility - utility.min())


def curate_within(outcomes: Outcomes, budget: float, price: Mapping[str, float]) -> tuple[str, ...]:
    """Models whose prices add up to no more than a budget, with an oracle AvgAcc as high as greedy gets it.

    `price` is what it takes to keep a model in the pool, in any unit above 0 (GPU memory, USD a month, seats). The
    better of two is returned: greedy by gain per price over what still fits, and the one best model that fits. It has
    at least (1 - 1/e) / 2 = 32 % of the best possible oracle; of pools with up to 12 models the best subset is found.
    Empty where no model fits.

    Source: Leskovec et al., Cost-effective outbreak detection in networks, 2007, section 3.2.

    >>> outcomes = Outcomes.of(["q", "r"], ["a", "b"], [[1, 0], [1, 1]])
    >>> curate_within(outcomes, 5.0, {"a": 9.0, "b": 4.0})
    ('b',)
    """
    pool = PoolValue.of(outcomes)
    models = pool.outcomes.models
    for model in models:
        if model not in price:
            raise ValueError(f"every model needs a price, got none for {model!r}{did_you_mean(model, price)}")
    cost = np.array([price[model] for model in models], dtype=np.float64)
    if not (np.isfinite(cost) & (cost > 0)).all() or not budget > 0:
        raise ValueError(f"budget and prices must be above 0, got budget {budget} and prices from {cost.min()}")
    greedy = _fill(pool, budget, cost)
    fits = np.flatnonzero(cost <= budget)
    single = [int(fits[np.argmax((pool.weight @ pool.score)[fits])])] if len(fits) else []
    chosen = single if pool.value(single) > pool.value(greedy) else greedy
    if tried(len(models)) and len(fits):
        sizes = (itertools.combinations(fits.tolist(), k) for k in range(1, len(fits) + 1))
        buyable = [np.array(one) for one in itertools.chain(*sizes) if cost[list(one)].sum() <= budget]
        best = _best_of(pool.score, pool.weight, [np.array(chosen, dtype=np.int64), *buyable] if chosen else buyable)
        chosen = best[greedy_order(pool.score[:, best], pool.weight, len(best))].tolist()
    return tuple(models[i] for i in chosen)


def _fill(pool: PoolValue, budget: float, cost: FloatArray) -> list[int]:
    """Greedy by gain per price, over the columns that still fit."""
    best, left, chosen = np.zeros(len(pool.score)), budget, list[int]()
    open_ = cost <= left
    while open_.any():
        gain = pool.weight @ np.maximum(pool.score - best[:, None], 0.0)
        i = int(np.argmax(np.where(open_, gain / cost, -1.0)))
        if gain[i] <= _SAME:
            break
        chosen.append(i)
        best, left = np.maximum(best, pool.score[:, i]), left - cost[i]
        open_[i] = False
        open_ &= cost <= left
    return chosen


def random_oracle(score: FloatArray, sizes: Sequence[int]) -> FloatArray:
    """Expected best score (n, sizes) of a uniformly random subset of each size; exact, no draws.

    The i-th smallest of m scores is the best of a subset of k with probability C(i - 1, k - 1) / C(m, k).

    >>> random_oracle(np.array([[0.0, 1.0, 0.0]]), [1, 2, 3]).round(3).tolist()
    [[0.333, 0.667, 1.0]]
    """
    m = score.shape[1]
    chance = [[math.comb(i, k - 1) / math.comb(m, k) for k in sizes] for i in range(m)]
    return np.asarray(np.sort(score, axis=1) @ np.array(chance))


@dataclass(frozen=True)
class SubsetCurve:
    """Oracle of subsets of growing size: one line of figure 6.

    name    "curated", "top-k" or "random"
    size    models in each subset
    models  all models in the order in which they join; () for random subsets
    oracle  AvgAcc of each subset's oracle; of random subsets the expectation
    cost    USD of each subset's oracle on all queries (the cheapest of the best serves); NaN where not known
    """

    name: str
    size: tuple[int, ...]
    models: tuple[str, ...]
    oracle: tuple[Interval, ...]
    cost: tuple[Interval, ...]


def subset_curves(
    outcomes: Outcomes, sizes: Sequence[int] | None = None, *, replicates: int = 1000, seed: int = 0
) -> tuple[SubsetCurve, SubsetCurve, SubsetCurve]:
    """Oracle of curated, top-k and random subsets, from the same bootstrap draws.

    Sizes: all up to 40 models, 40 spread over the larger pools, when not given. The order of the models is chosen on
    the same queries, so curated values are in hindsight; `marginal_values` tells which differences are noise.
    An oracle that missing cells put below its own models alone is unknown. Raises ValueError for a size that the pool
    does not have.
    """
    pool = PoolValue.of(outcomes)
    m = len(pool.outcomes.models)
    sizes = _spread(m) if sizes is None else sorted(set(sizes))
    if not sizes or sizes[0] < 1 or sizes[-1] > m:
        raise ValueError(f"sizes of subsets must be from 1 to the {m} models of the pool, got {sizes}")
    orders = {"curated": greedy_order(pool.score, pool.weight, m), "top-k": pool.by_accuracy()}
    least = [np.maximum.accumulate(pool.alone[order])[np.array(sizes) - 1] for order in orders.values()]
    lowest = [*least, random_oracle(pool.alone[None], sizes)[0]]
    parts = [_oracles(pool, order, sizes) for order in orders.values()]
    random = random_oracle(pool.score, sizes)
    score, cost = (np.hstack(planes) for planes in zip(*parts, (random, np.full(random.shape, np.nan)), strict=True))
    measured = pair([sample_of(pool.outcomes, score, cost)], replicates=replicates, seed=seed)
    curves = []
    for at, name in enumerate((*orders, "random")):
        columns = range(at * len(sizes), (at + 1) * len(sizes))
        models = tuple(pool.outcomes.models[i] for i in orders.get(name, ()))
        oracle = tuple(_at_least(measured.accuracy(i), low) for i, low in zip(columns, lowest[at], strict=True))
        usd = tuple(map(measured.cost, columns))
        curves.append(SubsetCurve(name, tuple(sizes), models, oracle, usd))
    return curves[0], curves[1], curves[2]


def _at_least(oracle: Interval, lowest: float) -> Interval:
    """An oracle; unknown where missing cells put it below what its models have alone."""
    return oracle if oracle.value >= lowest - _SAME else UNKNOWN_NUMBER


def _spread(models: int) -> list[int]:
    if models <= _MOST_SIZES:
        return list(range(1, models + 1))
    return sorted({round(size) for size in np.geomspace(1, models, _MOST_SIZES).tolist()})


def _oracles(pool: PoolValue, order: Sequence[int], sizes: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Score and cost (n, sizes) of the oracles of the first models in an order; the cheapest of the best serves."""
    n = len(pool.score)
    best, paid = np.full(n, -1.0), np.full(n, np.inf)
    score, cost = np.empty((n, len(sizes))), np.empty((n, len(sizes)))
    for count, i in enumerate(order, start=1):
        mine, price = pool.score[:, i], pool.price[:, i]
        better = (mine > best) | ((mine == best) & (price < paid))
        best, paid = np.where(better, mine, best), np.where(better, price, paid)
        if count in sizes:
            at = list(sizes).index(count)
            score[:, at], cost[:, at] = best, np.where(np.isfinite(paid), paid, np.nan)
    return score, cost


@dataclass(frozen=True)
class MarginalValue:
    """What one model is worth to the oracle, in AvgAcc.

    alone    AvgAcc of the model, over measured cells
    added    oracle of Best Single and this model, minus Best Single, where that was measured: the add-one table
    dropped  oracle of the pool minus the oracle without this model: the drop-one table
    share    its Shapley value: the mean over all orders of what it adds when it joins; sums to the pool's oracle
    """

    model: str
    alone: Interval
    added: Interval
    dropped: Interval
    share: Interval

    @property
    def needed(self) -> bool:
        """Whether the oracle of the pool certainly loses something without this model."""
        return self.dropped.low > 0.0


def marginal_values(outcomes: Outcomes, *, replicates: int = 1000, seed: int = 0) -> tuple[MarginalValue, ...]:
    """Add-one and drop-one tables with Shapley values, one row a model, the most accurate first.

    What models add to an oracle that missing cells put below one of them is unknown.
    """
    pool = PoolValue.of(outcomes)
    measured_score = pool.outcomes.score
    single = measured_score[:, [best_single(pool.accuracy)]]
    added = np.where(np.isfinite(single), np.maximum(pool.score - single, 0.0), np.nan)
    planes = (measured_score, added, dropped_loss(pool.score), shapley(pool.score))
    m = len(pool.outcomes.models)
    measured = pair([sample_of(pool.outcomes, np.hstack(planes))], replicates=replicates, seed=seed)
    known = np.isfinite(pool.oracle(range(m)))
    return tuple(
        MarginalValue(
            pool.outcomes.models[i],
            measured.accuracy(i),
            measured.accuracy(i + m),
            *(measured.accuracy(i + plane * m) if known else UNKNOWN_NUMBER for plane in (2, 3)),
        )
        for i in pool.by_accuracy()
    )


def dropped_loss(score: FloatArray) -> FloatArray:
    """What the oracle loses (n, m) on each query without each model: the lead of the best over the second best.

    >>> dropped_loss(np.array([[1.0, 0.4], [1.0, 1.0]])).tolist()
    [[0.6, 0.0], [0.0, 0.0]]
    """
    if score.shape[1] == 1:
        return score.copy()
    second, best = np.partition(score, -2, axis=1)[:, -2:].T
    return np.where(score == best[:, None], (best - second)[:, None], 0.0)


def shapley(score: FloatArray) -> FloatArray:
    """Shapley value (n, m) of each model in the game "best score of the subset", scores at least 0.

    A model with the i-th smallest of m scores gets the steps up to it, each shared by the models at or above it.

    Source: Littlechild, Owen, A simple expression for the Shapley value in a special case, 1973.

    >>> shapley(np.array([[0.0, 0.5, 1.0]])).tolist()
    [[0.0, 0.25, 0.75]]
    """
    order = np.argsort(score, axis=1)
    steps = np.diff(np.take_along_axis(score, order, axis=1), axis=1, prepend=0.0)
    shares = np.cumsum(steps / np.arange(score.shape[1], 0, -1), axis=1)
    out = np.empty_like(shares)
    np.put_along_axis(out, order, shares, axis=1)
    return out


@dataclass(frozen=True, repr=False)
class Curation(Shown):
    """Which models to keep.

    order                 models in greedy order
    oracle                oracle AvgAcc of the first one, two, ... of them; NaN where missing cells put it below one
                          of them alone
    cost_weight           score that one USD a query is worth
    budget                what keeping models may cost; None where no budget was given
    within_budget         models that fit it; None without a budget
    within_budget_oracle  their oracle AvgAcc; None without a budget and where no model fits
    curves                curated, top-k and random subsets by size
    values                what every model is worth
    """

    words: ClassVar[str] = "reporting.curation:curation_lines"

    simulated: bool
    order: tuple[str, ...]
    oracle: tuple[float, ...]
    cost_weight: float
    budget: float | None
    within_budget: tuple[str, ...] | None
    within_budget_oracle: float | None
    curves: tuple[SubsetCurve, ...]
    values: tuple[MarginalValue, ...]


def study(
    outcomes: Outcomes,
    *,
    size: int | None = None,
    cost_weight: float = 0.0,
    budget: float | None = None,
    price: Mapping[str, float] | None = None,
    samples: int = 1000,
) -> Curation:
    """The chosen models, the curves of subsets, and what every model is worth; `price` of a model is 1 when not given.

    Raises ValueError for a size, weight, budget or price out of range, a price of an unknown model, or logged data.
    """
    need_matrix(outcomes, "which models to keep")
    models = outcomes.pool.models
    for name in price or {}:
        if name not in models:
            raise ValueError(f"no model named {name!r} to give a price{did_you_mean(name, models)}")
    order = curate(outcomes, size, cost_weight=cost_weight)
    kept = None if budget is None else curate_within(outcomes, budget, {**dict.fromkeys(models, 1.0), **(price or {})})
    pool = PoolValue.of(outcomes)

    def oracle(names: Sequence[str]) -> float:
        return pool.oracle([models.index(name) for name in names])

    return Curation(
        outcomes.simulated,
        order,
        tuple(oracle(order[: i + 1]) for i in range(len(order))),
        cost_weight,
        budget,
        kept,
        oracle(kept) if kept else None,
        subset_curves(outcomes, replicates=samples),
        marginal_values(outcomes, replicates=samples),
    )
