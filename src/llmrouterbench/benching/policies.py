"""Policies: from estimates to the model that serves. And the harness that pays for every call and keeps the books."""

from __future__ import annotations

import numpy as np

from llmrouterbench.metrics import dataset_means, dataset_oracle_choice, oracle_choice
from llmrouterbench.table import (
    Ask,
    BoolArray,
    Estimate,
    FloatArray,
    IntArray,
    Outcomes,
    Policy,
    Queries,
    Replies,
    Router,
    Run,
    TradeOffRouter,
)

TRADE_OFFS = 41
"""Settings of the default dial: 0 and 40 powers between 1e-3 and 1e2 of score per mean call."""


def default_weights(train: Outcomes) -> FloatArray:
    """(w,) weights in score per USD for `argmax(score - weight * cost)`, from "ignore cost" to "cost decides".

    One unit is the mean known cost of a call in training. Only [0] where no cost is known.
    """
    known = train.cost[np.isfinite(train.cost)]
    if not len(known) or known.mean() <= 0:
        return np.zeros(1)
    return np.asarray(np.concatenate([[0.0], np.geomspace(1e-3, 1e2, TRADE_OFFS - 1)]) / known.mean())


def best_utility(estimate: Estimate, weights: FloatArray) -> IntArray:
    """(w, n) model with the highest score - weight * cost; the first in string order of the ids on a tie.

    A cost that the router does not know counts as the dearest known one of that query: unpriced is not free.

    >>> estimate = Estimate(("a", "b"), np.array([[0.9, 0.8]]), np.array([[2.0, 1.0]]))
    >>> best_utility(estimate, np.array([0.0, 1.0])).tolist()
    [[0], [1]]
    """
    order = np.argsort(np.array(estimate.models, dtype=np.str_), kind="stable")
    score, cost = estimate.score[:, order], estimate.cost[:, order]
    known = np.isfinite(cost)
    dearest = np.where(known, cost, 0.0).max(axis=1, keepdims=True)
    cost = np.where(known, cost, dearest)
    return np.array([order[(score - weight * cost).argmax(axis=1)] for weight in weights], dtype=np.int64)


def weights_of(router: Router, train: Outcomes) -> FloatArray:
    """The dial of a router: its own, or the default one."""
    return router.weights if isinstance(router, TradeOffRouter) else default_weights(train)


def decide_sweep(router: Router, queries: Queries, weights: FloatArray) -> IntArray:
    """(w, n) model chosen by a fitted router at every setting of its dial."""
    if isinstance(router, TradeOffRouter):
        return router.decide_sweep(queries, weights)
    return best_utility(router.predict(queries), weights)


class RouterPolicy:
    """Serve a fitted router at one setting of its dial."""

    def __init__(self, router: Router, weight: float = 0.0) -> None:
        self.router = router
        self.weight = weight

    def decide(self, queries: Queries, ask: Ask) -> IntArray:
        """(n,) model chosen; asks for no reply before it decides."""
        return np.asarray(decide_sweep(self.router, queries, np.array([self.weight]))[0], dtype=np.int64)


class Random:
    """Serve a uniformly random model; the harness takes the exact expectation. Source: section 3.4 of the paper."""

    def __init__(self, models: int) -> None:
        self.models = models

    def decide(self, queries: Queries, ask: Ask) -> FloatArray:
        """(n, m) equal probabilities."""
        return np.full((len(queries), self.models), 1.0 / self.models)


class Oracle:
    """Serve the best model of each query, the cheapest among equals. It holds the test table: that is its point."""

    def __init__(self, test: Outcomes) -> None:
        choice = oracle_choice(test.score, test.cost)
        self._choice = dict(zip(test.queries.id.tolist(), choice.tolist(), strict=True))

    def decide(self, queries: Queries, ask: Ask) -> IntArray:
        """(n,) best model in hindsight; model 0 for a query on which nothing was measured."""
        return np.array([max(self._choice[id], 0) for id in queries.id.tolist()], dtype=np.int64)


class DatasetOracle:
    """Serve the model that is best on the query's dataset, in hindsight. It holds the test table."""

    def __init__(self, test: Outcomes) -> None:
        best = dataset_oracle_choice(dataset_means(test.score, test.dataset, test.datasets))
        by_dataset = dict(zip(test.datasets, best.tolist(), strict=True))
        self._choice = {
            id: by_dataset[name]
            for id, name in zip(test.queries.id.tolist(), test.dataset.tolist(), strict=True)
        }  # fmt: skip

    def decide(self, queries: Queries, ask: Ask) -> IntArray:
        """(n,) best model of the dataset; model 0 for a dataset on which nothing was measured."""
        return np.array([max(self._choice[id], 0) for id in queries.id.tolist()], dtype=np.int64)


def run(policy: Policy, test: Outcomes, replies: Replies | None = None) -> Run:
    """Let a policy decide on test queries and pay for every call it makes.

    `replies` holds the stored reply of (row, model), for policies that read replies (cascades). A policy that asks
    for a reply that is not stored gets a KeyError that says so. Whatever is served is called; costs add up.
    """
    n, m = test.score.shape
    asked: BoolArray = np.zeros((n, m), dtype=np.bool_)

    def ask(row: int, model: int) -> str:
        asked[row, model] = True
        if replies is None or (row, model) not in replies:
            raise KeyError(f"no stored reply of {test.models[model]!r} to query {str(test.queries.id[row])!r}")
        return replies[row, model]

    served = _as_probabilities(policy.decide(test.queries, ask), (n, m))
    called = np.maximum(asked, served)
    return Run(
        models=test.models,
        served=served,
        called=called,
        score=_expected(served, test.score),
        cost=_expected(called, test.cost),
        seconds=_expected(called, test.seconds),
    )


def _as_probabilities(decided: IntArray | FloatArray, shape: tuple[int, int]) -> FloatArray:
    """(n, m) probabilities from either form of a decision, checked."""
    n, m = shape
    if decided.shape == (n,):
        if n and (decided.min() < 0 or decided.max() >= m):
            raise ValueError(
                f"a policy must choose a model from 0 to {m - 1}, got {int(decided.min())} to {decided.max()}"
            )
        served = np.zeros(shape)
        served[np.arange(n), decided.astype(np.int64)] = 1.0
        return served
    if decided.shape != shape or (decided < 0).any() or not np.allclose(decided.sum(axis=1), 1.0):
        raise ValueError(f"a policy must return (queries,) choices or {shape} probabilities, got {decided.shape}")
    return np.asarray(decided, dtype=np.float64)


def _expected(weight: FloatArray, plane: FloatArray) -> FloatArray:
    """(n,) sum of weight * value over models; NaN where a value that counts is not known."""
    unknown = (~np.isfinite(plane) & (weight > 0)).any(axis=1)
    total = (weight * np.where(np.isfinite(plane), plane, 0.0)).sum(axis=1)
    return np.where(unknown, np.nan, total)
