"""How sure a number is: paired bootstrap over queries within datasets and over seeds.

A replicate draws, within each dataset, as many query groups with replacement as there are (copies of a query, and of a
cluster such as a conversation, travel together). Every router sees the same draw, so that differences are paired. A
query that is tested under several seeds is one query: its weight is the same in all of them. Seeds are drawn too, for
what they change on the queries that several of them test: which queries a seed tests is in the draw of queries already.
Bills are about the choices made.

Few queries carry less than a bootstrap of them shows. So a draw of g query groups stands sqrt(g / (g - 1)) times as far
from their mean; the ends of an interval are those of a t-test with as many degrees of freedom as there are groups
beyond the first of each dataset; and the error holds the query that was not seen: where all agree, the next may not.
With no dataset of two groups there is no interval.

Bills have long tails, which few queries do not show. So their error holds one and a half more queries as far off as the
farthest one, the interval of a bill is that of a t statistic with its skewness taken out, and a bill of fewer than 30
query groups, or of fewer than ten a dataset, has none. Ratios of two bills, in which most of the tail cancels, need
fewer. A gain divides by accuracies dataset by dataset: it has none where a dataset has fewer than 30 groups.

Source: Efron, Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13 (percentile interval) and p. 69 (a bootstrap's
variance is (g - 1) / g of what it should be); Hanley, Lippman-Hand, If nothing goes wrong, is everything all right?,
1983 (the standard error of no failure among n is 1.5 / n); Nadeau, Bengio, Inference for the generalization error,
2003 (resplits of one sample share most of their training data: the variance of the mean of s is 1 / s and the test over
the train share of what they show). The percentile rule draws queries and seeds both (Owen, The pigeonhole bootstrap,
arXiv 0712.1111).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from llmrouterbench.metrics import avg_acc, dataset_means, difference, gain, gap, known_mean
from llmrouterbench.table import BoolArray, FloatArray, IntArray, Outcomes, StrArray

IntervalRule = Literal["t", "percentile"]
"""How sure a number is said to be: as above; or plain percentiles of the bootstrap, as up to version 0.1."""
FEWEST = 20.0
"""Effective trials of a log below which nothing is said of a model or a policy."""
_CELLS = 4_000_000
"""Weights (replicates, queries) held at a time: 32 MB."""
_PAIRS = 2_000
"""Pairs of columns whose draws are held at a time: 16 MB at 1,000 draws."""
_UNSEEN = 1.5
"""Queries that the unseen one counts for in an error."""
_RARE = 3.0
"""The same with 95 % certainty: what was not seen in g groups happens in less than 3 of g."""
BILLS, BILLS_EACH = 30, 10
"""Query groups, and on average of each dataset, below which a bill has no interval: its tail may not be there."""
GAINS = 30
"""Query groups of a dataset below which a gain has no interval: its base may be near 0 on another sample."""
_STEP = 1e-6
_NORMAL = 1.959963984540054
"""97.5 % quantile of the normal distribution."""
_POWER = 0.8416212335729143
"""80 % quantile."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval; `low` and `high` are NaN where there is none."""

    value: float
    low: float
    high: float


UNKNOWN_NUMBER = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Sample:
    """What k columns (routers, operating points, models) got on the n test queries of one seed.

    dataset  (n,) dataset of each query
    group    (n,) queries with the same number are copies or of one cluster; the numbers mean the same in every sample
    score    (n, k) score of what was served; NaN where that was not measured
    cost     (n, k) USD; NaN where unknown
    weight   (n, k) of a log: 1 / propensity where what was served was measured, else 0; None: all was measured alike
    """

    dataset: StrArray
    group: IntArray
    score: FloatArray
    cost: FloatArray
    weight: FloatArray | None = None

    def __post_init__(self) -> None:
        n = len(self.dataset)
        if len(self.group) != n or len(self.score) != n or self.score.shape != self.cost.shape or self.score.ndim != 2:
            raise ValueError(
                f"Sample.score and .cost must be (queries, columns) with {n} queries,"
                f" got {self.score.shape} and {self.cost.shape} with {len(self.group)} groups"
            )

    def columns(self, at: Sequence[int]) -> Sample:
        """The same queries with some of the columns."""
        weight = None if self.weight is None else self.weight[:, at]
        return Sample(self.dataset, self.group, self.score[:, at], self.cost[:, at], weight)

    def trials(self, datasets: Sequence[str]) -> FloatArray | None:
        """Effective trials (k, datasets) of a log."""
        if self.weight is None:
            return None
        return np.array([effective_trials(self.weight[self.dataset == name]) for name in datasets]).T


def effective_trials(weight: FloatArray) -> FloatArray:
    """(sum of weights)^2 / sum of their squares, of weights (n, ...); 0 without any. Source: Kish 1965.

    >>> effective_trials(np.array([[2.0, 9.0], [2.0, 1.0], [0.0, 0.0]])).round(2).tolist()
    [2.0, 1.22]
    """
    square = (weight**2).sum(axis=0)
    found: FloatArray = np.divide(weight.sum(axis=0) ** 2, square, out=np.zeros(np.shape(square)), where=square > 0)
    return found


@dataclass(frozen=True)
class Replicates:
    """Bootstrap draws of means over seeds.

    acc     (replicates, k, datasets) mean score
    cost    (replicates, k, datasets) USD for all test queries of a dataset
    groups  (datasets,) query groups that were drawn from
    rule    how intervals are made of them
    apart   of each dataset (groups, k): USD by which the queries of a group move its cost, those of the mean aside
    """

    acc: FloatArray
    cost: FloatArray
    groups: IntArray
    rule: IntervalRule = "t"
    apart: tuple[FloatArray, ...] = ()

    def interval(self, value: float, draws: FloatArray, used: BoolArray | None = None, slope: float = 1.0) -> Interval:
        """A number about scores with its 95 % interval, from its value on every draw (replicates,).

        used   (datasets,) which of them the number is about; None: all
        slope  how much the number moves, at most, when every score moves by 1
        """
        return self.spread(interval(value, draws), used, slope)

    def spread(self, plain: Interval, used: BoolArray | None = None, slope: float = 1.0) -> Interval:
        """The same, from the percentile interval of its draws."""
        if self.rule == "percentile" or not np.isfinite(plain.low):
            return plain
        times, unseen = self.error(used)
        if not np.isfinite(times):
            return Interval(plain.value, math.nan, math.nan)
        return _further(plain, times / _NORMAL, times * unseen * slope)

    def ratio_interval(self, value: float, draws: FloatArray, used: BoolArray, apart: FloatArray) -> Interval:
        """The same of a ratio of bills; `apart` (groups,) is how far each query group moves it."""
        plain = interval(value, draws)
        if self.rule == "percentile" or not np.isfinite(plain.low):
            return plain
        times, _ = self.error(used)
        if not np.isfinite(times) or self._single(used):
            return Interval(plain.value, math.nan, math.nan)
        return _further(plain, times / _NORMAL, times * float(abs(apart).max(initial=0.0)))

    def bill_interval(self, value: float, draws: FloatArray, used: BoolArray, apart: FloatArray) -> Interval:
        """The same of a bill."""
        plain = interval(value, draws)
        if self.rule == "percentile" or not np.isfinite(plain.low):
            return plain
        groups = self._groups(used)
        if groups.sum() < max(BILLS, BILLS_EACH * len(groups)) or self._single(used):
            return Interval(plain.value, math.nan, math.nan)
        times, _ = self.error(used)
        known = draws[np.isfinite(draws)]
        error, skew = float(known.std()), _skewness(known)
        below, above = (_without_skew(end, skew) * error for end in (times, -times))
        above = math.hypot(above, times * _UNSEEN * float(apart.max(initial=0.0)))
        return Interval(plain.value, max(plain.value - below, 0.0), plain.value + above)

    def error(self, used: BoolArray | None = None) -> tuple[float, float]:
        """Standard errors to either end of an interval, and the standard error of an AvgAcc that no draw shows.

        The first is infinite where no dataset has two groups. A dataset with a single one could be anything: its error
        is 1.
        """
        from scipy.special import stdtrit

        if self.rule == "percentile":
            return _NORMAL, 0.0
        groups = self._groups(used)
        freedom, single = float((groups - 1).sum()), self._single(used)
        if freedom < 1:
            return math.inf, math.inf
        unseen = _UNSEEN / groups[groups > 1].min()
        return float(stdtrit(freedom, 0.975)), math.hypot(unseen, math.sqrt(single)) / len(groups)

    def freedom(self, used: BoolArray | None = None) -> float:
        """Degrees of freedom of an error; infinite under the percentile rule."""
        return math.inf if self.rule == "percentile" else float((self._groups(used) - 1).sum())

    def _groups(self, used: BoolArray | None) -> IntArray:
        groups = self.groups if used is None else self.groups[used]
        return groups[groups > 0]

    def _single(self, used: BoolArray | None) -> int:
        """Datasets with a single group."""
        return int((self._groups(used) == 1).sum())


def _further(plain: Interval, times: float, beyond: float) -> Interval:
    """An interval whose ends are some times as far from its value, and what no draw shows further."""
    low, high = (
        math.hypot(max(end, 0.0) * times, beyond) for end in (plain.value - plain.low, plain.high - plain.value)
    )
    return Interval(plain.value, plain.value - low, plain.value + high)


def _skewness(values: FloatArray) -> float:
    apart = values - values.mean()
    square = float((apart**2).mean())
    return float((apart**3).mean()) / square**1.5 if square > 1e-24 * max(float(values.mean()) ** 2, 1e-300) else 0.0


def sample_means(sample: Sample, datasets: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Mean score and total cost in USD (k, datasets) of one sample, over measured cells.

    The total is the mean known cost times the number of queries; NaN where no cost is known, or where there are no
    queries.

    >>> one = Sample(np.array(["a", "a"]), np.array([0, 1]), np.array([[1.0], [np.nan]]), np.array([[2.0], [4.0]]))
    >>> [plane.tolist() for plane in sample_means(one, ["a", "b"])]
    [[[1.0, nan]], [[6.0, nan]]]
    """
    names = list(datasets)
    sizes = np.array([(sample.dataset == name).sum() for name in names], dtype=np.float64)
    acc = dataset_means(sample.score, sample.dataset, names).T
    return acc, dataset_means(sample.cost, sample.dataset, names).T * sizes


def bootstrap(
    samples: Sequence[Sample],
    datasets: Sequence[str],
    *,
    replicates: int = 1000,
    seed: int = 0,
    rule: IntervalRule = "t",
) -> Replicates:
    """Draw queries and seeds with replacement, `replicates` times; one sample a seed.

    Every column must stand at the same place in every sample. Equal columns get bitwise equal replicates. Raises
    ValueError without samples, replicates or equal numbers of columns.
    """
    if not samples or replicates < 1:
        raise ValueError(
            f"bootstrap needs at least one sample and one replicate, got {len(samples)} and {replicates}; raise both"
        )
    columns = {sample.score.shape[1] for sample in samples}
    if len(columns) > 1:
        raise ValueError(f"every sample must have the same columns, got {sorted(columns)} of them; give each seed all")
    rng = np.random.default_rng(seed)
    share = np.full(len(samples), 1.0 / len(samples))
    drawn = rng.multinomial(len(samples), share, size=replicates).astype(np.float64)
    shape = (replicates, columns.pop(), len(datasets))
    acc, cost = np.empty(shape), np.empty(shape)
    groups = np.zeros(len(datasets), dtype=np.int64)
    taken = drawn if rule == "percentile" else np.ones_like(drawn)
    for i, name in enumerate(datasets):
        acc[:, :, i], cost[:, :, i], groups[i] = _one_dataset(samples, name, taken, rng, rule)
    if rule == "t" and len(samples) > 1:
        times = math.sqrt(len(samples) / (len(samples) - 1) * (1.0 + len(samples) * _test_over_train(samples)))
        for i, name in enumerate(datasets):
            effect = times / len(samples) * _seed_effects(samples, name)
            acc[:, :, i] += sum(many[:, None] * one for many, one in zip((drawn - 1.0).T, effect, strict=True))
    apart = () if rule == "percentile" else tuple(_bills_apart(samples, name) for name in datasets)
    return Replicates(acc, cost, groups, rule, apart)


def _bills_apart(samples: Sequence[Sample], name: str) -> FloatArray:
    """USD (groups, k) by which each query group of a dataset moves its cost, mean over seeds, from their mean."""
    rows = [np.flatnonzero(sample.dataset == name) for sample in samples]
    groups = np.unique(np.concatenate([sample.group[mine] for sample, mine in zip(samples, rows, strict=True)]))
    apart = np.zeros((len(groups), samples[0].cost.shape[1]))
    for sample, mine in zip(samples, rows, strict=True):
        cost = sample.cost[mine]
        share = len(mine) / np.maximum(np.isfinite(cost).sum(axis=0), 1) / len(samples)
        np.add.at(apart, np.searchsorted(groups, sample.group[mine]), np.nan_to_num(cost - known_mean(cost, 0)) * share)
    return apart


def _one_dataset(
    samples: Sequence[Sample], name: str, drawn: FloatArray, rng: np.random.Generator, rule: IntervalRule
) -> tuple[FloatArray, FloatArray, int]:
    """Replicates (b, k) of one dataset's mean score and total cost, and its groups; `drawn` (b, seeds) counts seeds."""
    rows = [np.flatnonzero(sample.dataset == name) for sample in samples]
    groups = np.unique(np.concatenate([sample.group[mine] for sample, mine in zip(samples, rows, strict=True)]))
    at = [np.searchsorted(groups, sample.group[mine]) for sample, mine in zip(samples, rows, strict=True)]
    scores = [_Columns.of(sample.score[mine]) for sample, mine in zip(samples, rows, strict=True)]
    costs = [_Columns.of(sample.cost[mine] * len(mine)) for sample, mine in zip(samples, rows, strict=True)]
    step = max(1, _CELLS // max(1, len(groups), *map(len, rows)))
    parts = []
    for start in range(0, len(drawn), step):
        seeds = drawn[start : start + step]
        weight = _draw(rng, len(seeds), len(groups))
        weights = [weight[:, columns] for columns in at]
        parts.append((_over_seeds(weights, scores, seeds), _over_seeds(weights, costs, seeds)))
    acc, cost = (np.concatenate([part[i] for part in parts]) for i in range(2))
    if rule == "t" and len(groups) > 1:
        once, apart = [np.ones((1, len(mine))) for mine in rows], math.sqrt(len(groups) / (len(groups) - 1))
        acc, cost = (
            mean + apart * (draws - mean)
            for draws, mean in ((acc, _over_seeds(once, scores, drawn)), (cost, _over_seeds(once, costs, drawn)))
        )
    return acc, cost, len(groups)


def _seed_effects(samples: Sequence[Sample], name: str) -> FloatArray:
    """How much higher each seed scores (s, k) than all do on the query groups of a dataset that others test too.

    0 where a seed shares none: then the draw of queries holds all that it shows.
    """
    rows = [np.flatnonzero(sample.dataset == name) for sample in samples]
    groups = np.unique(np.concatenate([sample.group[mine] for sample, mine in zip(samples, rows, strict=True)]))
    means = np.full((len(samples), len(groups), samples[0].score.shape[1]), np.nan)
    for mean, sample, mine in zip(means, samples, rows, strict=True):
        at, score = np.searchsorted(groups, sample.group[mine]), sample.score[mine]
        total, known = np.zeros((2, *mean.shape))
        np.add.at(total, at, np.nan_to_num(score))
        np.add.at(known, at, np.isfinite(score))
        np.divide(total, known, out=mean, where=known > 0)
    times = np.isfinite(means).sum(axis=0)
    shared = np.isfinite(means) & (times > 1)
    apart = np.where(shared, means - known_mean(means, axis=0), 0.0).sum(axis=1)
    weight = np.where(shared, 1.0 - 1.0 / np.maximum(times, 1), 0.0).sum(axis=1) * len(samples) / (len(samples) - 1)
    effect: FloatArray = np.divide(apart, weight, out=np.zeros(apart.shape), where=weight > 0.0)
    return effect


def _test_over_train(samples: Sequence[Sample]) -> float:
    """Test queries over training queries, from how often two seeds test the same; 0 where all test the same ones."""
    times = [np.zeros(0)]
    for name in sorted({name for sample in samples for name in sample.dataset.tolist()}):
        tested = [np.unique(sample.group[sample.dataset == name]) for sample in samples]
        many = np.unique(np.concatenate(tested), return_counts=True)[1]
        if many.min() < len(samples):
            times.append(many.astype(np.float64))
    varied = np.concatenate(times)
    overlap = float((varied * (varied - 1.0)).sum()) / max((len(samples) - 1) * float(varied.sum()), 1.0)
    return overlap / (1.0 - overlap)


def _draw(rng: np.random.Generator, times: int, groups: int) -> FloatArray:
    """How often each group is drawn (times, groups), `groups` draws with replacement each time."""
    if not groups:
        return np.zeros((times, 0))
    picked = rng.integers(0, groups, size=(times, groups)) + groups * np.arange(times)[:, None]
    return np.bincount(picked.ravel(), minlength=times * groups).reshape(times, groups).astype(np.float64)


def _over_seeds(weights: list[FloatArray], columns: list[_Columns], drawn: FloatArray) -> FloatArray:
    """Mean (b, k) over the seeds drawn of each seed's weighted means; NaN where no seed drawn has any."""
    total = known = np.zeros((len(drawn), 1))
    for i, (weight, column) in enumerate(zip(weights, columns, strict=True)):
        of_seed, seed = column.weighted_means(weight), drawn[:, i, None]
        finite = np.isfinite(of_seed)
        if finite.all():
            total, known = total + seed * of_seed, known + seed
        else:
            total, known = total + seed * np.where(finite, of_seed, 0.0), known + seed * finite
    mean: FloatArray = np.divide(total, known, out=np.full(total.shape, np.nan), where=known > 0)
    return mean


@dataclass(frozen=True)
class _Columns:
    """The distinct columns of an array (n, k): equal columns are multiplied once and so stay equal to the last bit.

    values  (n, u) with 0 where unknown
    known   (n, u), or None where everything is known
    place   (k,) which distinct column each column is
    """

    values: FloatArray
    known: BoolArray | None
    place: IntArray

    @classmethod
    def of(cls, array: FloatArray) -> _Columns:
        seen: dict[bytes, int] = {}
        place = np.array([seen.setdefault(column.tobytes(), len(seen)) for column in array.T], dtype=np.int64)
        distinct = array[:, np.unique(place, return_index=True)[1]]
        known = np.isfinite(distinct)
        return cls(np.where(known, distinct, 0.0), None if known.all() else known, place)

    def weighted_means(self, weight: FloatArray) -> FloatArray:
        """Means (b, k) under weights (b, n); NaN where all known cells have weight 0."""
        total = weight @ self.values
        known = weight.sum(axis=1, keepdims=True) if self.known is None else weight @ self.known.astype(np.float64)
        mean: FloatArray = np.divide(total, np.where(known > 0, known, np.nan))
        return mean if len(self.place) == total.shape[1] else mean[:, self.place]


def interval(value: float, replicates: FloatArray) -> Interval:
    """A number with the 95 % percentile interval of its replicates (b,); replicates without a value are left out.

    >>> interval(0.5, np.linspace(0.0, 1.0, 101))
    Interval(value=0.5, low=0.025, high=0.975)
    """
    known = replicates[np.isfinite(replicates)]
    if not known.size or not np.isfinite(value):
        return Interval(float(value), float("nan"), float("nan"))
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(float(value), float(low), float(high))


def bounds(values: FloatArray, group: IntArray, most: float | None = None) -> tuple[float, float]:
    """The mean of values (n,) is above the first number in 95 of 100 samples, and below the second in as many.

    NaN values are left out; queries of one group (n,) are no more independent than one. `most` is by how much a value
    that was never seen may differ, where that is known, as for scores; otherwise one and a half more groups count that
    are as far off as the farthest, and 30 groups are needed: bills have long tails. Infinite with fewer than two.

    Source: a mean's t statistic with its skewness taken out by a cubic, Hall, On the removal of skewness by
    transformation, 1992; what was not seen in g groups is rarer than 3 / g, Hanley, Lippman-Hand, 1983.

    >>> [round(end, 3) for end in bounds(np.array([0.0, 1.0] * 50), np.arange(100))]
    [0.409, 0.591]
    >>> [round(end, 3) for end in bounds(np.ones(100), np.arange(100), most=1.0)]
    [0.97, 1.03]
    """
    from scipy.special import stdtrit

    known = np.isfinite(values)
    values, (_, at) = values[known], np.unique(group[known], return_inverse=True)
    groups = int(at.max()) + 1 if len(at) else 0
    if groups < (BILLS if most is None else 2):
        return -math.inf, math.inf
    mean = float(values.mean())
    apart = np.bincount(at, weights=values - mean)
    square = float((apart**2).mean())
    error = math.sqrt(square * groups / (groups - 1)) * groups / len(values) / math.sqrt(groups)
    skew = (
        float((apart**3).mean()) / square**1.5 / math.sqrt(groups) if square > 1e-24 * max(mean * mean, 1e-300) else 0.0
    )
    times = float(stdtrit(groups - 1, 0.95))
    below, above = (_without_skew(end, skew) * error for end in (times, -times))
    if most is None:
        low, high = (_UNSEEN * float(end) / len(values) for end in (apart.min(), apart.max()))
        return mean - below + low, mean - above + high
    return mean - math.hypot(below, _RARE * most / groups), mean + math.hypot(above, _RARE * most / groups)


def _without_skew(times: float, skew: float) -> float:
    """A quantile of the t statistic of a mean, from that of a symmetric one; `skew` is over the root of the number."""
    if abs(skew) < 1e-6:
        return times
    return 3.0 / skew * (float(np.cbrt(1.0 + skew * (times - skew / 6.0))) - 1.0)


def seed_summary(values: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) of one number a seed; the deviation of a single seed is NaN.

    >>> seed_summary(np.array([1.0, 3.0, np.nan]))
    (2.0, 1.4142135623730951)
    """
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if known.size else float("nan")
    return mean, float(known.std(ddof=1)) if known.size > 1 else float("nan")


def detectable(difference: Interval) -> float:
    """The smallest true difference that as many queries would have shown in 80 of 100 samples; NaN without an interval.

    >>> round(detectable(Interval(0.01, -0.0096, 0.0296)), 3)
    0.028
    """
    return (difference.high - difference.low) / 2.0 * (1.0 + _POWER / _NORMAL)


Judgement = Literal["better", "worse", "noise", "the same", "too few", "not comparable"]


def judged(difference: Interval) -> Judgement:
    """A difference in a word; "noise" where its interval includes 0, "too few" where queries are too few for one.

    >>> judged(Interval(0.02, 0.01, 0.03)), judged(Interval(0.01, -0.01, 0.03)), judged(Interval(0.0, 0.0, 0.0))
    ('better', 'noise', 'the same')
    """
    if not np.isfinite(difference.low):
        return "too few" if np.isfinite(difference.value) else "not comparable"
    if difference.low == difference.value == difference.high == 0.0:
        return "the same"
    if difference.low <= 0.0 <= difference.high:
        return "noise"
    return "better" if difference.low > 0 else "worse"


@dataclass(frozen=True)
class Paired:
    """Columns that were measured on the same queries, over s seeds, with the same bootstrap draws for all.

    datasets     d names, the strata of the draws
    acc_by_seed  (s, k, d) mean score
    acc          (k, d) its mean over seeds
    usd          (k, d) cost in USD of all queries of a stratum, mean over seeds
    draws        bootstrap replicates of both
    trials       (k, d) effective trials of a log, mean over seeds; None: every query is one
    """

    datasets: tuple[str, ...]
    acc_by_seed: FloatArray
    acc: FloatArray
    usd: FloatArray
    draws: Replicates
    trials: FloatArray | None = None

    def number(self, metric: Callable[..., FloatArray], *columns: int) -> Interval:
        """A metric of the accuracies (..., d) of some columns: on the means, and on every draw."""
        acc = [self.acc[i] for i in columns]
        value, draws = float(metric(*acc)), np.asarray(metric(*(self.draws.acc[:, i] for i in columns)))
        if len(columns) == 2 and metric is not gap and value == 0.0 and not draws.any() and self._one_twice(*columns):
            return interval(value, draws)
        measured = self._measured(*columns)
        if metric is gain and self.draws.rule == "t":
            near = (acc[1] <= 0.0) | (self.draws.groups < GAINS)  # a base of 0 is left out, in other draws it is not
            if near[measured].any():
                return Interval(value, math.nan, math.nan)
        slope = abs(float(metric(acc[0] + _STEP, *acc[1:])) - value) / _STEP
        return self._drawn(*columns).interval(value, draws, measured, slope)

    def _drawn(self, *columns: int) -> Replicates:
        """The draws, in which the queries of a log count for no more than the fewest trials of these columns."""
        if self.trials is None:
            return self.draws
        most, fewest = self.draws.groups, self.trials[list(columns)].min(axis=0).astype(np.int64)
        return replace(self.draws, groups=np.clip(fewest, np.minimum(most, 2), most))

    def _one_twice(self, column: int, other: int) -> bool:
        """Whether two columns have equal scores and costs everywhere; equal scores alone may be luck."""
        return all(
            np.array_equal(plane[:, column], plane[:, other], equal_nan=True)
            for plane in (self.draws.acc, self.draws.cost)
        )

    def accuracy(self, column: int) -> Interval:
        """AvgAcc of a column; of a log, in [0, 1] where its estimate is not."""
        return _inside(self.number(avg_acc, column), clip=self.trials is not None)

    def by_dataset(self, column: int) -> FloatArray:
        """Accuracies (d,) of a column; of a log, NaN below 20 effective trials."""
        acc: FloatArray = self.acc[column]
        if self.trials is None:
            return acc
        return np.where(self.trials[column] < FEWEST, np.nan, np.clip(acc, 0.0, 1.0))

    def dataset_accuracy(self, column: int, dataset: int) -> Interval:
        """Accuracy of a column on one dataset."""
        only = np.arange(len(self.datasets)) == dataset
        value, draws = float(self.by_dataset(column)[dataset]), self.draws.acc[:, column, dataset]
        return _inside(self._drawn(column).interval(value, draws, only), clip=self.trials is not None)

    def difference(self, column: int, base: int) -> Interval:
        """AvgAcc of a column minus that of another, on the datasets both have."""
        return self.number(difference, column, base)

    def differences(self, pairs: Sequence[tuple[int, int]]) -> list[Interval]:
        """AvgAcc of the first column minus that of the second of every pair; all at once hold in 95 of 100 samples.

        Each is as wide as it must be among as many independent ones as the largest of them, over the draws, is like.
        Source: max-t, Romano, Wolf, Exact and approximate stepdown methods for multiple hypothesis testing, 2005.
        """
        found, largest = list[Interval](), np.zeros(len(self.draws.acc))
        for start in range(0, len(pairs), _PAIRS):
            part = pairs[start : start + _PAIRS]
            draws = self._leads(part)
            error = draws.std(axis=1, keepdims=True)
            apart = abs(draws - draws.mean(axis=1, keepdims=True)) / np.where(error > 1e-12, error, np.inf)
            np.fmax(largest, np.fmax.reduce(apart), out=largest)
            ends = np.percentile(draws, [2.5, 97.5], axis=1).T.tolist()
            found += [
                self._lead(*both, *of) if np.isfinite(of[0]) and some else self.difference(*both)
                for both, of, some in zip(part, ends, (error > 0.0)[:, 0].tolist(), strict=True)
            ]
        among = self._among(largest, len(pairs))
        return [
            widened(one, among, self._drawn(*both).freedom(self._measured(*both)))
            for one, both in zip(found, pairs, strict=True)
        ]

    def _leads(self, pairs: Sequence[tuple[int, int]]) -> FloatArray:
        """Replicates (pairs, b) of the differences of some pairs."""
        means, whole = self._means
        return np.array([
            means[one] - means[base] if whole[one] and whole[base]
            else difference(self.draws.acc[:, one], self.draws.acc[:, base]) for one, base in pairs
        ])  # fmt: skip

    @cached_property
    def _means(self) -> tuple[FloatArray, BoolArray]:
        """Replicates (k, b) of AvgAcc, and whether (k,) a column has an accuracy on every dataset in every draw."""
        whole: BoolArray = np.all(np.isfinite(self.draws.acc), axis=(0, 2))
        return avg_acc(self.draws.acc).T, whole

    def _lead(self, column: int, base: int, low: float, high: float) -> Interval:
        """The difference of two columns whose draws have these percentiles."""
        acc, other = self.acc[column], self.acc[base]
        value = float(difference(acc, other))
        slope = abs(float(difference(acc + _STEP, other)) - value) / _STEP
        plain = Interval(value, low, high)
        return self._drawn(column, base).spread(plain, self._measured(column, base), slope)

    def ranks(self, columns: Sequence[int]) -> list[tuple[int, int]]:
        """Best and worst rank of every column among them that all at once hold in 95 of 100 samples.

        The best is 1 and the number of those that are surely better, so columns that cannot be told apart share it.
        Source: Mogstad, Romano, Shaikh, Wilhelm, Inference for ranks, 2024.
        """
        pairs = [(i, j) for i in range(len(columns)) for j in range(i)]
        over = np.zeros((len(columns), len(columns)), dtype=np.bool_)
        leads = self.differences([(columns[i], columns[j]) for i, j in pairs])
        for (i, j), lead in zip(pairs, leads, strict=True):
            over[i, j], over[j, i] = lead.low > 0.0, lead.high < 0.0
        better, worse = over.sum(axis=0), over.sum(axis=1)
        return [(1 + int(b), len(columns) - int(w)) for b, w in zip(better, worse, strict=True)]

    def _among(self, largest: FloatArray, pairs: int) -> float:
        """How many independent differences these are like, from the largest of all in standard errors (b,)."""
        from scipy.special import ndtr

        chance = 2.0 * float(ndtr(-np.quantile(largest, 0.95)))
        return min(max(0.05 / chance, 1.0), pairs) if chance else float(pairs)

    def cost(self, column: int) -> Interval:
        """USD of a column over the datasets it has; NaN where one of them has no known cost."""
        measured = self._measured(column)
        apart = self._apart(measured, column)[0]
        return self._drawn(column).bill_interval(*self._bill(column, measured), measured, apart)

    def cost_ratio(self, column: int, base: int) -> Interval:
        """Cost of a column over that of another, minus 1, on the datasets both have; -0.2 is a fifth cheaper."""
        saved = self.saving(column, base)
        return Interval(-saved.value, -saved.high, -saved.low)

    def saving(self, column: int, base: int) -> Interval:
        """1 - cost / cost of another column, on the datasets both have; 0.2 is a fifth cheaper."""
        both = self._measured(column, base)
        (cost, costs), (bill, bills) = (self._bill(one, both) for one in (column, base))
        ratio = cost / bill if bill > 0 else math.nan
        draws = np.divide(costs, bills, out=np.full(costs.shape, np.nan), where=bills > 0)
        mine, theirs = self._apart(both, column, base)
        apart = (mine - ratio * theirs) / bill if bill > 0 else np.zeros(0)
        return self._drawn(column, base).ratio_interval(1.0 - ratio, 1.0 - draws, both, apart)

    def _measured(self, *columns: int) -> BoolArray:
        """Datasets (d,) on which all of these columns have an accuracy."""
        return np.asarray(np.isfinite(self.acc[list(columns)]).all(axis=0))

    def _bill(self, column: int, measured: BoolArray) -> tuple[float, FloatArray]:
        """USD on some datasets, and of every draw; NaN where there is none or one of them has no known cost."""
        total = float(self.usd[column][measured].sum()) if measured.any() else float("nan")
        return total, self.draws.cost[:, column][:, measured].sum(axis=1)

    def _apart(self, used: BoolArray, *columns: int) -> list[FloatArray]:
        """USD (groups,) by which every query group of some datasets moves the cost of each of these columns."""
        parts = [part for part, one in zip(self.draws.apart, used.tolist(), strict=False) if one]
        return [np.concatenate([np.zeros(0), *(part[:, column] for part in parts)]) for column in columns]


def _inside(score: Interval, *, clip: bool = False) -> Interval:
    """The ends of an interval of scores in [0, 1], where the value is one or is made one."""
    if not clip and not 0.0 <= score.value <= 1.0:
        return score
    return Interval(*np.clip((score.value, score.low, score.high), 0.0, 1.0).tolist())


def widened(one: Interval, among: float, freedom: float = math.inf) -> Interval:
    """An interval that holds among as many independent ones that were looked at (Bonferroni, by quantiles of t).

    >>> widened(Interval(0.5, 0.4, 0.6), 10).low.__round__(3)
    0.357
    """
    from scipy.special import stdtrit

    far, near = (float(stdtrit(min(freedom, 1e9), 1.0 - 0.025 / max(many, 1.0))) for many in (among, 1.0))
    times = far / near
    return Interval(one.value, one.value - times * (one.value - one.low), one.value + times * (one.high - one.value))


def holm(p: FloatArray) -> FloatArray:
    """Holm-adjusted p-values (k,): the chance of any false finding among all stays below what is called significant.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    out = np.empty(len(p))
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return out


def pair(samples: Sequence[Sample], *, replicates: int = 1000, seed: int = 0, rule: IntervalRule = "t") -> Paired:
    """Means and bootstrap draws of the columns of one sample a seed.

    >>> one = Sample(np.array(["a"] * 4), np.arange(4), np.array([[1.0, 0], [1, 1], [1, 0], [0, 0]]), np.ones((4, 2)))
    >>> pair([one], replicates=50).difference(0, 1).value
    0.5
    """
    datasets = tuple(sorted({name for sample in samples for name in sample.dataset.tolist()}))
    means = [sample_means(sample, datasets) for sample in samples]
    acc, usd = (np.array([part[i] for part in means]) for i in range(2))
    draws = bootstrap(samples, datasets, replicates=replicates, seed=seed, rule=rule)
    trials = [one for sample in samples if (one := sample.trials(datasets)) is not None]
    mean = np.nan_to_num(known_mean(np.where(np.array(trials) > 0, trials, np.nan), axis=0)) if trials else None
    return Paired(datasets, acc, known_mean(acc, axis=0), known_mean(usd, axis=0), draws, mean)


def sample_of(outcomes: Outcomes, score: FloatArray, cost: FloatArray | None = None) -> Sample:
    """The sample of columns (n, k) on all queries of a table; without a cost, cost is unknown."""
    return Sample(outcomes.dataset, outcomes.together, score, np.full(score.shape, np.nan) if cost is None else cost)
