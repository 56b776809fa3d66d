"""A strong and a weak model: the pair that a binary router chooses between."""

from __future__ import annotations

import numpy as np

from llmrouterbench.metrics import avg_acc, best_single, dataset_means
from llmrouterbench.naming import did_you_mean
from llmrouterbench.table import FloatArray, Outcomes

PAPER_PAIR = ("gpt-5", "qwen3-235b-a22b-2507")
"""Strong and weak model of the binary routers in LLMRouterBench (arXiv 2601.07206), section B.3."""
GOOD = 0.8
"""Share of the strong model's training AvgAcc that makes a model good enough to be the weak one."""


def choose_pair(train: Outcomes, strong: str | None = None, weak: str | None = None) -> tuple[int, int]:
    """Columns of the strong and the weak model; twice the same where the pool has one measured model.

    Where a name is None, the paper's pair if the pool measured it; else the best single model of train as the strong
    one, and as the weak one the cheapest of the others with at least 80 % of the strong one's training AvgAcc (the
    most accurate of them where no cost is known; the most accurate other model where none is good enough).
    Raises ValueError for a name that the outcomes lack, or one name given twice.
    """
    for role, name in (("strong", strong), ("weak", weak)):
        if name is not None and name not in train.models:
            raise ValueError(f"{role} must be a model of the pool, got {name!r}{did_you_mean(name, train.models)}")
    if strong is not None and strong == weak:
        raise ValueError(f"strong and weak must be two models, got {strong!r} twice; leave one out to have it chosen")
    acc = dataset_means(train.score, train.dataset, train.datasets)
    mean: FloatArray = avg_acc(acc.T)
    measured = [model for model, known in zip(train.models, np.isfinite(mean), strict=True) if known]
    strong = strong or next((name for name in PAPER_PAIR[:1] if name in measured and name != weak), None)
    first = train.models.index(strong) if strong is not None else _best_but(acc, train, weak)
    if weak is None and PAPER_PAIR[1] in measured and PAPER_PAIR[1] != train.models[first]:
        weak = PAPER_PAIR[1]
    return first, train.models.index(weak) if weak is not None else _cheap_and_good(train, mean, first)


def _best_but(acc: FloatArray, train: Outcomes, other: str | None) -> int:
    """Column of the best single model other than `other`, unless it is alone."""
    rest = [i for i, model in enumerate(train.models) if model != other] or [0]
    return rest[best_single(acc[:, rest])]


def _cheap_and_good(train: Outcomes, mean: FloatArray, strong: int) -> int:
    """Column of the cheapest good model beside the strong one; the strong one where it is alone."""
    others = [i for i in np.flatnonzero(np.isfinite(mean)).tolist() if i != strong]
    if not others:
        return strong
    good = [i for i in others if mean[i] >= GOOD * mean[strong]]
    price: FloatArray = avg_acc(dataset_means(train.cost, train.dataset, train.datasets).T)
    priced = [i for i in good if np.isfinite(price[i])]
    if priced:
        return min(priced, key=lambda i: float(price[i]))
    return max(others, key=lambda i: float(mean[i]))
