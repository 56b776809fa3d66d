"""Policies: from estimates to the model that serves. And the harness that pays for every call and keeps the books."""

from __future__ import annotations

import numpy as np

from llmrouterbench.benching.policies.orders import unknown_as_dearest
from llmrouterbench.contracts import Cascade, Router, Run, TradeOffRouter
from llmrouterbench.table import BoolArray, Estimate, FloatArray, IntArray, Outcomes, Queries, Replies

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
    score, cost = estimate.score[:, order], unknown_as_dearest(estimate.cost[:, order])
    return np.array([order[(score - weight * cost).argmax(axis=1)] for weight in weights], dtype=np.int64)


def weights_of(router: Router, train: Outcomes) -> FloatArray:
    """The dial of a router: its own, or the default one."""
    return router.weights if isinstance(router, TradeOffRouter) else default_weights(train)


def decide_sweep(router: Router, queries: Queries, weights: FloatArray) -> IntArray:
    """(w, n) model chosen by a fitted router at every setting of its dial."""
    if isinstance(router, TradeOffRouter):
        return router.decide_sweep(queries, weights)
    return best_utility(router.predict(queries), weights)


def run(cascade: Cascade, test: Outcomes, replies: Replies | None = None) -> Run:
    """Let a cascade decide on test queries and pay for every call it makes.

    `replies` holds the stored reply of (row, model). A cascade that asks for a reply that is not stored gets a KeyError
    that says so. Whatever is served is called; costs add up.
    """
    n, m = test.score.shape
    asked: BoolArray = np.zeros((n, m), dtype=np.bool_)

    def ask(row: int, model: int) -> str:
        asked[row, model] = True
        if replies is None or (row, model) not in replies:
            raise KeyError(f"no stored reply of {test.models[model]!r} to query {str(test.queries.id[row])!r}")
        return replies[row, model]

    served = _as_probabilities(cascade.decide(test.queries, ask), (n, m))
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
                f"a cascade must choose a model from 0 to {m - 1}, got {int(decided.min())} to {decided.max()}"
            )
        served = np.zeros(shape)
        served[np.arange(n), decided.astype(np.int64)] = 1.0
        return served
    if decided.shape != shape or (decided < 0).any() or not np.allclose(decided.sum(axis=1), 1.0):
        raise ValueError(f"a cascade must return (queries,) choices or {shape} probabilities, got {decided.shape}")
    return np.asarray(decided, dtype=np.float64)


def _expected(weight: FloatArray, plane: FloatArray) -> FloatArray:
    """(n,) sum of weight * value over models; NaN where a value that counts is not known."""
    unknown = (~np.isfinite(plane) & (weight > 0)).any(axis=1)
    total = (weight * np.where(np.isfinite(plane), plane, 0.0)).sum(axis=1)
    return np.where(unknown, np.nan, total)
