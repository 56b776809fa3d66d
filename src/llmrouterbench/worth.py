"""Is routing worth it? Out-of-fold evidence on the training outcomes, and what to serve when there is none."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from llmrouterbench.contracts import Router, TradeOffRouter
from llmrouterbench.metrics import avg_acc, best_single, dataset_means
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

MARGIN = 1e-6
"""How far below the best single model a model must lie that is not to be preferred to it."""


@dataclass(frozen=True)
class Gain:
    """AvgAcc of routing minus AvgAcc of the best single model, in [-1, 1], and its standard error; NaN where unknown.

    >>> Gain(0.04, 0.01).clear, Gain(0.01, 0.01).clear, Gain(0.01, 0.01).positive
    (True, False, True)
    """

    mean: float
    error: float

    @property
    def positive(self) -> bool:
        """Whether routing was better."""
        return self.mean > 0

    @property
    def clear(self) -> bool:
        """Whether it was better by more than three standard errors."""
        return self.mean > 3 * self.error


def train_best_single(train: Outcomes) -> int:
    """Index of the model with the highest training AvgAcc; 0 where nothing was measured."""
    acc = dataset_means(train.score, train.dataset, train.datasets)
    return best_single(acc) if np.isfinite(acc).any() else 0


def capped(score: FloatArray, best: int, allowed: np.typing.NDArray[np.bool_] | None = None) -> FloatArray:
    """Scores (n, m) in which no model is above model `best`, except where `allowed` (n, m) says so.

    At weight 0 of the dial `best` is served; with a weight on cost, a cheaper model that is as good still is.

    >>> capped(np.array([[0.9, 0.6, 0.2]]), 1).round(2).tolist()
    [[0.6, 0.6, 0.2]]
    """
    ceiling = np.minimum(score, score[:, [best]] - MARGIN)
    ceiling[:, best] = score[:, best]
    return ceiling if allowed is None else np.where(allowed, score, ceiling)


def quality_choice(router: Router, queries: Queries) -> IntArray:
    """Model (n,) that a fitted router serves at the end of its dial that ignores cost."""
    if isinstance(router, TradeOffRouter):
        return np.asarray(router.decide_sweep(queries, router.weights[-1:])[0], dtype=np.int64)
    return by_name(router.predict(queries))


def by_name(estimate: Estimate) -> IntArray:
    """Model (n,) with the highest score, the first in string order of the ids on a tie."""
    order = np.argsort(np.array(estimate.models, dtype=np.str_), kind="stable")
    return np.asarray(order[estimate.score[:, order].argmax(axis=1)], dtype=np.int64)


def folds_of(train: Outcomes, folds: int, seed: int) -> IntArray:
    """Fold (n,) of each query: every dataset is dealt out evenly, and copies of a query and clusters stay together.

    >>> train = Outcomes.of(list("abcabc"), ["m"], np.ones((6, 1)))
    >>> fold = folds_of(train, 3, seed=0)
    >>> sorted(fold[:3].tolist()), (fold[:3] == fold[3:]).all().item()
    ([0, 1, 2], True)
    """
    _, first, group = np.unique(train.together, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(first))
    dealt = shuffled[np.argsort(train.dataset[first][shuffled], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[dealt] = np.arange(len(first)) % folds
    return np.asarray(fold[group], dtype=np.int64)


def out_of_fold_gain(router: Router, train: Outcomes, folds: int, seed: int) -> Gain:
    """What an unfitted router gains over the best single model, each chosen without the fold it serves.

    Only queries on which both served something measured count. NaN where there are too few to split or to count.
    """
    fold = folds_of(train, folds, seed)
    routed, single = np.full((2, len(train)), np.nan)
    if len(np.unique(fold)) < 2:
        return Gain(np.nan, np.nan)
    for one in range(folds):
        held, rest = np.flatnonzero(fold == one), train.take(np.flatnonzero(fold != one))
        if len(held):
            picks = quality_choice(copy.deepcopy(router).fit(rest), train.queries.take(held))
            routed[held] = train.score[held, picks]
            single[held] = train.score[held, train_best_single(rest)]
    lead = routed - single
    gain, square = (dataset_means(values, train.dataset, train.datasets) for values in (lead, lead**2))
    count = np.array([np.isfinite(lead[train.dataset == name]).sum() for name in train.datasets])
    variance = (square - gain**2)[count > 0] / np.maximum(count[count > 0], 1)
    return Gain(float(avg_acc(gain)), float(np.sqrt(np.maximum(variance, 0.0).sum()) / max(len(variance), 1)))
