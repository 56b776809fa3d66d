"""The contract of a router, as checks that anybody can run on their own.

    from llmrouterbench.checks.router import check_router
    check_router(MyRouter())

or one test per check in pytest: `@pytest.mark.parametrize("check", ROUTER_CHECKS)` and `check(MyRouter())`.
A check raises `ContractError`, an AssertionError, with a sentence that says what the contract asks for.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from llmrouterbench.benching.policies import decide_sweep, weights_of
from llmrouterbench.checks.contract import ContractError, require
from llmrouterbench.contracts import Router, TradeOffRouter
from llmrouterbench.persist import load_router, save_router
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

TOPICS = ("algebra", "biology", "history")
_FILLER = ("please", "tell", "me", "about", "this", "question", "today", "again")


def planted_table(n: int = 400, seed: int = 0, *, signal: bool = True) -> Outcomes:
    """SIMULATED outcomes of four models on n queries of three topics; each of three models is good at one topic.

    The topic stands in the text, in the embedding (with noise) and, mostly, in the dataset. Without `signal` every
    model has the same chance on every query.
    """
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, len(TOPICS), n)
    embedding = np.eye(8)[topic] + 0.25 * rng.standard_normal((n, 8))
    chance = np.where(np.arange(4) == topic[:, None], 0.9, 0.35) if signal else np.full((n, 4), 0.5)
    words = rng.choice(_FILLER, (n, 4))
    dataset = np.where(rng.random(n) < 0.8, topic, rng.integers(0, len(TOPICS), n))
    return Outcomes.of(
        [f"{TOPICS[t]} {' '.join(w)} {TOPICS[t]} {i}" for i, (t, w) in enumerate(zip(topic, words, strict=True))],
        ["delta", "alpha", "charlie", "bravo"],
        (rng.random((n, 4)) < chance).astype(np.float64),
        dataset=[f"set-{d}" for d in dataset],
        cost=(0.5 + rng.random((n, 4))) * np.array([1.0, 2.0, 3.0, 4.0]) / 1000,
        embedding=embedding / np.linalg.norm(embedding, axis=1, keepdims=True),
        simulated=True,
    )


def _fitted(router: Router, train: Outcomes) -> Router:
    """A fresh copy of a router, fitted."""
    require(not isinstance(router, type), f"a router must be an object, got a class; give {_named(router)}(...)")
    for method in ("fit", "predict"):
        there = callable(getattr(router, method, None))
        require(there, f"a router must have the methods fit and predict, got {_named(router)} without {method}")
    fresh = copy.deepcopy(router)
    require(fresh.fit(train) is fresh, "fit must return the router itself")
    return fresh


def _named(router: object) -> str:
    return router.__name__ if isinstance(router, type) else type(router).__name__


def _predicted(fitted: Router, queries: Queries) -> Estimate:
    estimate: object = fitted.predict(queries)
    if not isinstance(estimate, Estimate):
        got = type(estimate).__name__
        raise ContractError(f"predict must return an Estimate(models, score, cost), got {got}")
    return estimate


def _swept(fitted: Router, queries: Queries, weights: FloatArray) -> IntArray:
    """(w, n) choices of a fitted router at every setting of its dial."""
    if not isinstance(fitted, TradeOffRouter):
        _predicted(fitted, queries.take(np.arange(min(1, len(queries)))))
    picks: object = decide_sweep(fitted, queries, weights)
    if not (isinstance(picks, np.ndarray) and np.issubdtype(picks.dtype, np.integer)):
        raise ContractError(
            f"decide_sweep must return an array of integers, got {getattr(picks, 'dtype', type(picks).__name__)}"
        )
    asked = (len(weights), len(queries))
    require(picks.shape == asked, f"decide_sweep must return (weights, queries) = {asked}, got {picks.shape}")
    return picks


def _decided(router: Router, train: Outcomes, test: Outcomes) -> IntArray:
    """(w, n) choices of a fresh copy of a router."""
    fitted = _fitted(router, train)
    return _swept(fitted, test.queries, weights_of(fitted, train))


def _quality(router: Router, train: Outcomes, test: Outcomes) -> float:
    """Mean test score at the dial's best setting for quality."""
    picks = _decided(router, train, test)
    score: FloatArray = test.score[np.arange(len(test)), picks].mean(axis=1)
    return float(score.max())


def check_fit_returns_itself(router: Router) -> None:
    """`fit` returns the router and changes no outcome."""
    train = planted_table()
    before = train.content_hash
    _fitted(router, train)
    object.__getattribute__(train, "__dict__").pop("content_hash", None)
    require(train.content_hash == before, "fit must not change the outcomes it is given")


def check_estimate(router: Router) -> None:
    """`predict` returns finite scores (n, m) for the training models, in their order."""
    train, test = planted_table(), planted_table(50, 1)
    estimate = _predicted(_fitted(router, train), test.queries)
    require(estimate.models == train.models, f"Estimate.models must be {train.models}, got {estimate.models}")
    shape = estimate.score.shape
    require(shape == (50, 4), f"Estimate.score must be (queries, models) = (50, 4), got {shape}")
    require(not (estimate.cost < 0).any(), "Estimate.cost must not be negative")


def check_choices(router: Router) -> None:
    """`decide_sweep` returns a model for every query at every setting of the dial."""
    train, test = planted_table(), planted_table(50, 1)
    picks = _decided(router, train, test)
    require(len(picks) > 0, "a router must decide at one setting of its dial at least, got none; see `weights`")
    bad = picks[(picks < 0) | (picks >= 4)]
    require(not len(bad), f"choices must be indices of training models, 0 to 3, got {bad[0] if len(bad) else None}")


def check_same_seed_same_choices(router: Router) -> None:
    """Two fits on the same outcomes decide alike."""
    train, test = planted_table(), planted_table(80, 1)
    same = (_decided(router, train, test) == _decided(router, train, test)).all()
    require(bool(same), "a router must decide the same when it is fitted again; give it a seed of its own")


def check_rows_are_independent(router: Router) -> None:
    """What is decided for a query does not depend on the other queries of the call."""
    train, test = planted_table(), planted_table(60, 1)
    fitted = _fitted(router, train)
    weights = weights_of(fitted, train)
    whole = _swept(fitted, test.queries, weights)
    rows = np.arange(59, 0, -4)
    some = _swept(fitted, test.queries.take(rows), weights)
    require((whole[:, rows] == some).mean() > 0.99, "a decision must depend on its own query only")


def check_model_order(router: Router) -> None:
    """Reordering the models reorders the columns and hardly changes who is served."""
    train, test = planted_table(), planted_table(150, 1)
    turned = train.select(train.models[::-1])
    one = np.array(train.models)[_decided(router, train, test)]
    other = np.array(turned.models)[_decided(router, turned, test.select(turned.models))]
    same = float((one == other).mean())
    require(same > 0.9, f"choices must not depend on the order of the models, got {100 * same:.0f} % alike")


def check_missing_is_ignored(router: Router) -> None:
    """Cells that were not measured and models that never were do not break a router or get chosen for it."""
    train, test = planted_table(), planted_table(60, 1)
    score, cost = train.score.copy(), train.cost.copy()
    score[::3, 0] = np.nan
    score[:, 3] = cost[:, 3] = np.nan
    cost[:, 1] = np.nan
    holes = replace(train, score=score, cost=cost)
    fitted = _fitted(router, holes)
    finite = np.isfinite(_predicted(fitted, test.queries).score).all()
    require(bool(finite), "estimates must stay finite when outcomes are missing")
    dear = _swept(fitted, test.queries, weights_of(fitted, holes))
    quality = dear[-1] if hasattr(fitted, "weights") else dear[0]
    never = bool((quality != 3).all())
    require(never, "a model that was never measured must not be chosen for its quality")


def check_beats_best_single(router: Router) -> None:
    """On a table with a planted signal the router is better than every single model."""
    train, test = planted_table(900, 0), planted_table(600, 1)
    routed, single = _quality(router, train, test), float(test.score.mean(axis=0).max())
    found = routed > single + 0.03
    require(found, f"a planted signal must be found: got {routed:.3f}, best single {single:.3f}")


def check_no_worse_than_random(router: Router) -> None:
    """On a table without any signal the router is as good as random choice."""
    train, test = planted_table(600, 2, signal=False), planted_table(900, 3, signal=False)
    routed, chance = _quality(router, train, test), float(test.score.mean())
    fair = routed > chance - 0.05
    require(fair, f"without a signal a router must not be worse than random: {routed:.3f} < {chance:.3f}")


def check_small_tables(router: Router) -> None:
    """A pool of one, a dataset of one query and constant scores are decided, not crashed on."""
    train, test = planted_table(60), planted_table(10, 1)
    one = train.select(("alpha",))
    alone = _decided(router, one, test.select(("alpha",)))
    require(not alone.any(), "with one model there is one choice")
    lone = train.dataset.astype("<U16").copy()
    lone[0] = "alone"
    _decided(router, replace(train, dataset=lone), test)
    for value in (0.0, 1.0):
        _decided(router, replace(train, score=np.full_like(train.score, value)), test)


def check_saved_decides_alike(router: Router) -> None:
    """A router that was saved and loaded, without pickle, decides as before."""
    train, test = planted_table(), planted_table(80, 1)
    fitted = _fitted(router, train)
    weights = weights_of(fitted, train)
    with tempfile.TemporaryDirectory() as folder:
        save_router(fitted, Path(folder) / "router")
        loaded = load_router(Path(folder) / "router")
        same = (_swept(loaded, test.queries, weights) == _swept(fitted, test.queries, weights)).all()
    require(bool(same), "a loaded router must decide as the saved one")


ROUTER_CHECKS: tuple[Callable[[Router], None], ...] = (
    check_fit_returns_itself,
    check_estimate,
    check_choices,
    check_same_seed_same_choices,
    check_rows_are_independent,
    check_model_order,
    check_missing_is_ignored,
    check_beats_best_single,
    check_no_worse_than_random,
    check_small_tables,
    check_saved_decides_alike,
)
"""Every check of the contract. Baselines that ignore the query are excused from `check_beats_best_single`."""


def check_router(router: Router, *, constant: bool = False) -> None:
    """Run the whole contract on an unfitted router; `constant` for a baseline that ignores the query.

    Raises ContractError, an AssertionError, with the first broken rule; under `python -O` as well.
    """
    for check in ROUTER_CHECKS:
        if not (constant and check is check_beats_best_single):
            check(router)
