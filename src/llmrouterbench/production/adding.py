"""A model joins or leaves a fitted router, without fitting the router again where it allows that."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from llmrouterbench.contracts import Router
from llmrouterbench.embedders.vectors import text_hash, unit_rows
from llmrouterbench.metrics import known_mean
from llmrouterbench.naming import did_you_mean
from llmrouterbench.production.calibration import (
    MARGIN,
    choose_cost_method,
    choose_method,
    fit_cost_map,
    fit_map,
    mean_and_error,
)
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.learned import CalibrationSlice, Learned, LoggedSlice
from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries
from llmrouterbench.worth import folds_of

CAN_ADD = ("uniroute", "hiershrink", "knn", "knn_tuned", "knn_guard")
FEWEST = 10
"""Scored probe queries without which nothing can be said about a model."""
_STEPS = (10, 25, 50, 100, 200, 400, 800, 1600)
_DRAWS, _HELD, _FOLDS = 5, 0.3, 5


@runtime_checkable
class Joinable(Router, Protocol):
    """A router that a model can join by its own outcomes."""

    def add_model(self, name: str, outcomes: Outcomes) -> Self:
        """Let a model join from its outcomes on embedded probe queries."""
        ...


@dataclass(frozen=True)
class Joining:
    """How well the router knows a new model from how many probe queries.

    probes  (k,) numbers of probe queries
    brier   (k,) mean squared error of its estimate on probe queries held out, over several draws
    error   (k,) standard error of `brier` minus the last one's; 0 for the last
    enough  the smallest number whose error is not above the last one's by half a standard error
    """

    model: str
    queries: int
    probes: tuple[int, ...]
    brier: tuple[float, ...]
    error: tuple[float, ...]
    enough: int


def add_models(fitted: FittedRouter, outcomes: Outcomes) -> tuple[FittedRouter, list[Joining]]:
    """Let every model of the probe outcomes that the router does not know join it.

    Raises ValueError for a router that cannot take one, and where there is no new model or too few scored probes.
    """
    router = _joinable(fitted)
    if isinstance(fitted.learned.piece, LoggedSlice):
        raise ValueError(
            "a router that takes a model must be fitted on a matrix, got one of a log; fit again with both"
        )
    names = [model for model in outcomes.pool.models if model not in fitted.learned.models]
    if not names:
        raise ValueError(
            f"probe outcomes must hold a model that the router does not know, got {', '.join(outcomes.models)};"
            " fit again to learn more about known ones"
        )
    for name in names:
        scored = int(np.isfinite(outcomes.select([name]).score).sum())
        if scored < FEWEST:
            raise ValueError(f"model {name!r} must have scores on {FEWEST} probe queries or more to join, got {scored}")
    kind = fitted.facts["settings"]["text"]
    texts = list(outcomes.queries.text if kind == "query" else outcomes.queries.prompt)
    embedded = outcomes.with_embedding(fitted.embedded(texts).embedded("add-model"))
    curves, learned = [], fitted.learned
    for name in names:
        alone = embedded.select([name])
        alone = alone.take(np.flatnonzero(np.isfinite(alone.score[:, 0])))
        curves.append(joining_curve(router, name, alone))
        router, learned = _joined(router, learned, name, alone)
    facts = copy.deepcopy(fitted.facts)
    facts["added"] = [*facts.get("added", []), *map(asdict, curves)]
    return FittedRouter(router, fitted.embedder, learned, facts), curves


def _joinable(fitted: FittedRouter) -> Joinable:
    if not isinstance(fitted.router, Joinable):
        raise ValueError(
            f"router {fitted.facts['router']!r} cannot take a model without being fitted again; fit it on outcomes that"
            f" hold the model, or fit one of {', '.join(CAN_ADD)}"
        )
    return fitted.router


def _with(router: Joinable, name: str, alone: Outcomes) -> Joinable:
    return copy.deepcopy(router).add_model(name, alone)


def joining_curve(router: Joinable, name: str, alone: Outcomes, seed: int = 0) -> Joining:
    """Let a model join from growing numbers of its scored probes, and judge it on others that are held out."""
    rng = np.random.default_rng(seed)
    most = len(alone) - max(2, int(_HELD * len(alone)))
    sizes = [*(step for step in _STEPS if step <= 0.75 * most), most]
    losses = np.full((len(sizes), len(alone)), np.nan)
    squares = np.zeros((len(sizes), len(alone), _DRAWS)) * np.nan
    for draw in range(_DRAWS):
        order = rng.permutation(len(alone))
        held = order[most:]
        for i, size in enumerate(sizes):
            estimate = _with(router, name, alone.take(np.sort(order[:size]))).predict(alone.queries.take(held))
            squares[i, held, draw] = (np.clip(estimate.score[:, -1], 0.0, 1.0) - alone.score[held, 0]) ** 2
    losses = known_mean(squares)
    excess = [mean_and_error(loss - losses[-1]) for loss in losses]
    enough = next(size for size, (mean, error) in zip(sizes, excess, strict=True) if not mean > MARGIN * error)
    brier = tuple(float(known_mean(loss)) for loss in losses)
    return Joining(name, len(alone), tuple(sizes), brier, tuple(error for _, error in excess), enough)


def _joined(router: Joinable, learned: Learned, name: str, alone: Outcomes) -> tuple[Joinable, Learned]:
    """Router and numbers with one more model, calibrated out of fold on its probes."""
    fold = folds_of(alone, _FOLDS, 0)
    score, cost = _out_of_fold(router, name, alone, fold)
    method = choose_method(score, alone.score, fold)
    cost_method, _, _ = choose_cost_method(cost, alone.cost, fold)
    score_map = learned.score_map.joined(fit_map(method, score, alone.score, learned.score_map.log_odds))
    mean_cost = known_mean(alone.cost, axis=0)
    grown = _with(router, name, alone)
    return grown, replace(
        learned,
        models=(*learned.models, name),
        score_map=score_map,
        cost_map=learned.cost_map.joined(fit_cost_map(cost, alone.cost, mean_cost, cost_method)),
        seconds=np.append(learned.seconds, known_mean(alone.seconds, axis=0)),
        mean_score=np.append(learned.mean_score, known_mean(alone.score, axis=0)),
        piece=_grown_slice(learned.piece, grown.predict(_slice_queries(learned.piece)), score_map, alone),
    )


def _out_of_fold(router: Joinable, name: str, alone: Outcomes, fold: np.typing.NDArray[np.int64]) -> tuple[Any, Any]:
    """Estimated score and cost (p, 1) of the probes, each by a router that the other folds joined."""
    score, cost = np.full((2, len(alone), 1), np.nan)
    for one in np.unique(fold).tolist():
        held, rest = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        estimate = _with(router, name, alone.take(rest)).predict(alone.queries.take(held))
        score[held, 0], cost[held, 0] = estimate.score[:, -1], estimate.cost[:, -1]
    return score, cost


def _slice_queries(piece: CalibrationSlice) -> Queries:
    embedding = unit_rows(piece.embedding.astype(np.float64), "the calibration slice")
    return Queries.of([""] * len(piece), embedding=embedding)


def _grown_slice(piece: CalibrationSlice, estimate: Estimate, score_map: Any, alone: Outcomes) -> CalibrationSlice:
    """The slice with one more column; outcomes of the new model where a probe is a query of the slice."""
    row = {text_hash(text): i for i, text in enumerate(alone.queries.text)}
    at = np.array([row.get(name, -1) for name in piece.name.tolist()], dtype=np.int64)

    def observed(before: FloatArray, plane: FloatArray) -> FloatArray:
        return np.column_stack([before, np.where(at >= 0, plane[at, 0], np.nan)])

    return replace(
        piece,
        score=np.array(estimate.score),
        cost=np.array(estimate.cost),
        quality=np.column_stack([piece.quality, score_map(estimate.score)[:, -1]]),
        observed_score=observed(piece.observed_score, alone.score),
        observed_cost=observed(piece.observed_cost, alone.cost),
        observed_seconds=observed(piece.observed_seconds, alone.seconds),
    )


def drop_models(fitted: FittedRouter, names: Sequence[str]) -> FittedRouter:
    """The same router without some models: they are never served again. Works for every router.

    Raises ValueError for a model that does not serve, or where none would be left.
    """
    for name in names:
        if name not in fitted.models:
            raise ValueError(f"no model named {name!r} serves here{did_you_mean(name, fitted.models)}")
    left = [model for model in fitted.models if model not in names]
    if not left:
        raise ValueError(f"one model at least must go on serving, got all {len(fitted.models)} to drop; keep one")
    learned = fitted.learned
    best = max(left, key=lambda model: float(learned.mean_score[learned.models.index(model)]))
    made = replace(
        learned,
        dropped=(*learned.dropped, *names),
        best=learned.best if learned.best in left else best,
        fallback=learned.fallback if learned.fallback in left else best,
    )
    facts = {**fitted.facts, "dropped": list(made.dropped), "best_single": made.best, "fallback": made.fallback}
    return FittedRouter(fitted.router, fitted.embedder, made, facts)
