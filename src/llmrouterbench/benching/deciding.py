"""What one router decides on one split: fitted, swept over its dial, metered where it pays for replies."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from llmrouterbench.benching.folder import Decisions, Part, Served
from llmrouterbench.benching.policies import decide_sweep, run, weights_of
from llmrouterbench.benching.tuning import best_variant, variants
from llmrouterbench.contracts import ReplyReader, Router, Run, TradeOffRouter
from llmrouterbench.estimating.pseudo import Evidence, teaching
from llmrouterbench.source import source_of
from llmrouterbench.splits import Split, validation_folds, validation_split
from llmrouterbench.table import FloatArray, IntArray, Outcomes, Queries, Replies

FOLDS = 3
"""Folds of train on which operating points are chosen, as many as `fit` has."""


@runtime_checkable
class TrainsByEpochs(Protocol):
    """A router that can show how it would stand if its training ended after each epoch."""

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None]) -> Self:
        """Fit as `fit` does, and call `watch(self)` after every epoch up to the last one, without stopping early.

        `watch` only looks: which weights are kept does not depend on it. A class attribute `checkpoint_weight` names
        the setting of the dial to look at where that is not 0, "ignore cost".
        """
        ...


def describe_router(router: Router | None) -> dict[str, Any]:
    """Class and plain constructor settings of a router, for the record; None is a router outside.

    A router that is not ours has the hash of its source too.
    """
    if router is None:
        return {"class": "outside", "settings": {}}
    settings = {
        key: value
        for key, value in vars(router).items()
        if not key.endswith("_") and isinstance(value, str | int | float | bool | None | list | tuple)
    }
    source = {"source": code} if (code := source_of(type(router))) else {}
    return {"class": f"{type(router).__module__}:{type(router).__qualname__}", "settings": settings, **source}


def reads_replies(router: Router) -> bool:
    """Whether a router is a cascade, which pays for replies and reads them before one serves."""
    return isinstance(router, ReplyReader) and router.reads_replies


def needs_replies(router: Router) -> bool:
    """Whether it can do nothing without them; one with a `needs_replies` of False then decides before any reply."""
    return reads_replies(router) and bool(getattr(router, "needs_replies", True))


def decide(
    outcomes: Outcomes,
    split: Split,
    router: Router,
    validation: float,
    seed: int,
    *,
    folds: int = 0,
    tune: bool = False,
    watched: bool = False,
    logged: bool = False,
) -> Decisions:
    """What one router, given unfitted, decides on validation and test at every setting of its dial.

    The test part is decided by a router fitted on all of train; the validation part by one that never saw it: a share
    of train, or with `folds` all of it, each fold by a router that was fitted on the others.
    `tune` searches the router's declared grid (`tuning.grid_of`) on validation first. `watched` adds the part
    "checkpoints", test choices after each epoch, for a router that trains by epochs. Of a `logged` table routers learn
    from estimates.
    """
    train = outcomes.take(split.train)
    weights = weights_of(router, train)
    nothing: IntArray = np.zeros(0, dtype=np.int64)
    checked = Served.single(nothing, np.zeros((len(weights), 0), dtype=np.int64))
    candidates = variants(router) if tune else [router]
    if len(candidates) > 1 or (len(weights) > 1 and not folds):
        fit_rows, validation_rows = validation_split(outcomes, split.train, seed, validation, split.group)
        evidence = Evidence.of(outcomes.take(fit_rows), outcomes.take(validation_rows), logged=logged)
        router, choice = best_variant(candidates, evidence, weights)
        checked = Served.single(validation_rows, choice)
    group = outcomes.group if split.group is None else split.group
    if folds and (len(weights) > 1 or len(np.unique(group[split.train])) > 1):  # a dial must have unseen queries
        checked = _out_of_fold(outcomes, split, router, weights, seed, folds, logged=logged)
    started = time.perf_counter()
    queries = outcomes.queries.take(split.test)
    fitted, checkpoints = _fit(router, teaching(train, logged=logged), queries if watched else None)
    fit_seconds = time.perf_counter() - started
    started = time.perf_counter()
    choice = decide_sweep(fitted, queries, weights)
    decide_seconds = time.perf_counter() - started
    parts: dict[Part, Served] = {"validation": checked, "test": Served.single(split.test, choice)}
    if checkpoints:
        parts["checkpoints"] = Served.single(split.test, np.array(checkpoints))
    facts = {"fit_seconds": fit_seconds, "decide_seconds": decide_seconds, **describe_router(router)}
    return Decisions("", seed, weights, parts, {**facts, "quality_point": quality_point(router, weights)})


def quality_point(router: Router, weights: FloatArray) -> int:
    """The operating point at which quality decides: the last one of a dial of its own, the first one of the default."""
    return len(weights) - 1 if isinstance(router, TradeOffRouter) else 0


def _out_of_fold(
    outcomes: Outcomes, split: Split, router: Router, weights: FloatArray, seed: int, folds: int, *, logged: bool
) -> Served:
    """What is chosen for every training query by a router that never saw it."""
    rows, choices = [], []
    for fit, held in validation_folds(outcomes, split.train, seed, folds, split.group):
        fitted = copy.deepcopy(router).fit(teaching(outcomes.take(fit), logged=logged))
        rows.append(held)
        choices.append(decide_sweep(fitted, outcomes.queries.take(held), weights))
    order = np.argsort(np.concatenate(rows))
    return Served.single(np.concatenate(rows)[order], np.concatenate(choices, axis=1)[:, order])


def _fit(router: Router, train: Outcomes, watched: Queries | None) -> tuple[Router, list[IntArray]]:
    """A fitted copy, and its choices (n,) for the `watched` queries after each epoch of a training by epochs."""
    fresh, seen = copy.deepcopy(router), list[IntArray]()
    if watched is None or not isinstance(fresh, TrainsByEpochs):
        return fresh.fit(train), seen
    weight = np.array([getattr(fresh, "checkpoint_weight", 0.0)])
    fitted: Any = fresh.fit_watched(train, lambda now: seen.append(decide_sweep(now, watched, weight)[0]))
    return fitted, seen


def decide_reading(
    outcomes: Outcomes, replies: Replies, split: Split, router: Router, validation: float, seed: int, *, folds: int = 0
) -> Decisions:
    """What a cascade, given unfitted, decides and pays for on validation and test at every setting of its dial.

    `replies` by (row, model) of `outcomes`. As in `decide`, no part is decided by a cascade that saw it.
    """
    weights = weights_of(router, outcomes.take(split.train))
    if folds:
        pairs = list(validation_folds(outcomes, split.train, seed, folds, split.group))
    else:
        pairs = [validation_split(outcomes, split.train, seed, validation, split.group)]
    checked, *_ = _serve_reading(router, outcomes, replies, pairs, weights)
    tested, fit_seconds, seconds = _serve_reading(router, outcomes, replies, [(split.train, split.test)], weights)
    facts = {"fit_seconds": fit_seconds, "decide_seconds": seconds, **describe_router(router)}
    parts: dict[Part, Served] = {"validation": checked, "test": tested}
    return Decisions("", seed, weights, parts, {**facts, "quality_point": quality_point(router, weights)})


def _serve_reading(
    router: Router,
    outcomes: Outcomes,
    replies: Replies,
    pairs: Sequence[tuple[IntArray, IntArray]],
    weights: FloatArray,
) -> tuple[Served, float, float]:
    """Fit on the first rows of each pair and serve the second at every weight; seconds of both."""
    fit_seconds = seconds = 0.0
    runs: list[list[Run]] = []
    for fit, test in pairs:
        cascade: Any = copy.deepcopy(router)
        started = time.perf_counter()
        cascade.fit(outcomes.take(fit), replies_to(replies, fit))
        fitted = time.perf_counter()
        part, said = outcomes.take(test), replies_to(replies, test)
        runs.append([run(cascade.at(float(weight)), part, said) for weight in weights])
        fit_seconds, seconds = fit_seconds + fitted - started, seconds + time.perf_counter() - fitted
    rows = np.concatenate([test for _, test in pairs])
    order = np.argsort(rows) if len(pairs) > 1 else np.arange(len(rows))
    points = [
        [np.concatenate([getattr(one, plane) for one in at])[order] for plane in ("served", "called")]
        for at in zip(*runs, strict=True)
    ]
    return Served.joined([Served.dense(rows[order], *point) for point in points]), fit_seconds, seconds


def replies_to(replies: Replies, rows: IntArray) -> dict[tuple[int, int], str]:
    """The replies to some rows, numbered from 0 in their order."""
    place = {row: i for i, row in enumerate(rows.tolist())}
    return {(place[row], model): text for (row, model), text in replies.items() if row in place}
