"""Routers and datasets that break their contract, with the sentence that each must get; as a script: that each got."""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np

from llmrouterbench.checks.dataset import check_dataset
from llmrouterbench.checks.router import check_router
from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.replies import Item, Score
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries


class Cheat:
    """Keeps the contract but for what a subclass breaks, and finds no signal."""

    def fit(self, train: Outcomes) -> Self:
        self.models_ = train.models
        self.mean_ = np.nan_to_num(np.nanmean(train.score, axis=0)) if len(train) else np.zeros(1)
        return self

    def predict(self, queries: Queries) -> Estimate:
        shape = (len(queries), len(self.models_))
        return Estimate(self.models_, np.broadcast_to(self.mean_, shape), np.full(shape, np.nan))


class Restless(Cheat):
    def predict(self, queries: Queries) -> Estimate:
        shape = (len(queries), len(self.models_))
        return Estimate(self.models_, np.random.default_rng().random(shape), np.full(shape, np.nan))


class Neighbourly(Cheat):
    def predict(self, queries: Queries) -> Estimate:
        score = np.zeros((len(queries), len(self.models_)))
        score[:, 0] = len(queries) > 30
        score[:, 1] = 0.5
        return Estimate(self.models_, score, np.full(score.shape, np.nan))


class Selfless(Cheat):
    def fit(self, train: Outcomes) -> Self:
        super().fit(train)
        return None  # type: ignore[return-value]


class Secretive(Cheat):
    def fit(self, train: Outcomes) -> Self:
        self.secret_ = object()
        return super().fit(train)


class Meddling(Cheat):
    def fit(self, train: Outcomes) -> Self:
        train.score[0, 0] = 1.0 - train.score[0, 0]
        return super().fit(train)


class Fitless:
    def predict(self, queries: Queries) -> Estimate:
        return Estimate((), np.zeros((len(queries), 0)), np.zeros((len(queries), 0)))


class Bare(Cheat):
    """Its `predict` returns an array."""

    def predict(self, queries: Queries) -> FloatArray:  # type: ignore[override]
        return np.zeros((len(queries), len(self.models_)))


class Turned(Cheat):
    def predict(self, queries: Queries) -> Estimate:
        estimate = super().predict(queries)
        return replace(estimate, models=estimate.models[::-1])


class Paid(Cheat):
    """Is paid for its calls."""

    def predict(self, queries: Queries) -> Estimate:
        estimate = super().predict(queries)
        return replace(estimate, cost=np.full(estimate.score.shape, -1.0))


class Dialled(Cheat):
    """Has a dial of its own, which decides what a subclass says."""

    weights = np.array([0.5, 1.0])

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        return np.zeros((len(weights), len(queries)), dtype=np.int64)


class Listing(Dialled):
    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        return super().decide_sweep(queries, weights).tolist()  # type: ignore[no-any-return]


class Fractional(Dialled):
    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        return super().decide_sweep(queries, weights) + 0.5  # type: ignore[return-value]


class Flat(Dialled):
    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        picks: IntArray = super().decide_sweep(queries, weights)[0]
        return picks


class Outsider(Dialled):
    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        return super().decide_sweep(queries, weights) + 4


class Undialled(Dialled):
    weights = np.zeros(0)


BROKEN_ROUTERS: list[tuple[Any, str]] = [
    (Cheat, "a router must be an object, got a class; give Cheat(...)"),
    (Fitless(), "a router must have the methods fit and predict, got Fitless without fit"),
    ("knn", "a router must have the methods fit and predict, got str without fit"),
    (Selfless(), "fit must return the router itself"),
    (Meddling(), "fit must not change the outcomes it is given"),
    (Bare(), "predict must return an Estimate(models, score, cost), got ndarray"),
    (Turned(), "Estimate.models must be ('delta', 'alpha', 'charlie', 'bravo'), got ('bravo',"),
    (Paid(), "Estimate.cost must not be negative"),
    (Listing(), "decide_sweep must return an array of integers, got list"),
    (Fractional(), "decide_sweep must return an array of integers, got float64"),
    (Flat(), "decide_sweep must return (weights, queries) = (2, 50), got (50,)"),
    (Outsider(), "choices must be indices of training models, 0 to 3, got 4"),
    (Undialled(), "a router must decide at one setting of its dial at least, got none"),
    (Restless(), "must decide the same when it is fitted again"),
    (Neighbourly(), "must depend on its own query only"),
    (Cheat(), "a planted signal must be found"),
]

ITEMS = [Item("a", "1+1?", "2", "low"), Item("b", "2+2?", "4", "high")]


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    said = reply.rpartition("Answer:")[2].strip()[:100]
    return Score(float(said == item.target), said)


GOOD = Dataset(
    name="sums",
    title="Sums",
    domain="own",
    source=Source("own", "here", "1", {}),
    licence="MIT",
    citation="nobody",
    size=2,
    shots=0,
    kind="text",
    version=1,
    read=lambda files: ITEMS,
    prompt=lambda item: f"{item.query} End with 'Answer: <number>'.",
    score=score,
    subsets=("low", "high"),
)

_counter = itertools.count()
_moody: Callable[..., Score] = lambda item, reply, tools: (  # noqa: E731
    Score(0.0, str(next(_counter))) if "42" in reply else score(item, reply, tools)
)
BROKEN_DATASETS: list[tuple[dict[str, Any], str]] = [
    ({"licence": " "}, "must have a licence"),
    ({"version": 0}, "version must be at least 1, got 0"),
    ({"judge": "o3-mini"}, "a judge model belongs to kind 'judge', got 'o3-mini'"),
    ({"kind": "judge", "judge": "o3-mini"}, "template belongs to kind 'judge'"),
    ({"subsets": ("low",)}, "Item.subset must be one of ('low',), got 'high'"),
    ({"prompt": lambda item: " "}, "prompt of a must not be empty"),
    ({"prompt": lambda item: None}, "prompt of a must be text, got NoneType"),
    ({"prompt": lambda item: f"{next(_counter)}"}, "prompt of a must be the same every time"),
    ({"score": lambda item, reply, tools: 1.0}, "a: a scorer must return a Score(value), got float"),
    ({"score": lambda item, reply, tools: Score(1.0)}, "must not score above 0, got 1.0"),
    ({"score": lambda item, reply, tools: Score(0.0)}, "the right answer as a reply must score 1, got 0.0"),
    ({"score": _moody}, "must score the same again"),
]


def _said(check: Callable[[], None]) -> str:
    try:
        check()
    except Exception as error:
        return str(error)
    return "nothing was found"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if __debug__:
        sys.exit("run this with python -O")
    for router, _ in BROKEN_ROUTERS:
        print(_said(lambda router=router: check_router(router)))  # type: ignore[misc]
    for change, _ in BROKEN_DATASETS:
        print(_said(lambda change=change: check_dataset(replace(GOOD, **change), ITEMS)))  # type: ignore[misc]
