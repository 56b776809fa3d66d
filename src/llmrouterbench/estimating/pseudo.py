"""Doubly robust pseudo-outcomes: what every model would have scored and cost on every query of a log, right on average.

A pseudo-outcome is what a model of the outcomes expects, corrected where the log measured: expected + (measured -
expected) / propensity. Its mean over queries is right where either the expectation or the propensity is, and of a
single query it says next to nothing: it lies outside [0, 1] as often as not.

Source: Robins, Rotnitzky, Zhao 1994; for policies Dudik, Langford, Li 2011 (arXiv 1103.4601) and Athey, Wager 2021
(arXiv 1702.02896). Both models are fitted without the fold they speak of (Chernozhukov et al. 2018, arXiv 1608.00060).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from llmrouterbench.contracts import Router
from llmrouterbench.estimating.shrinking import believed
from llmrouterbench.routers import make_router
from llmrouterbench.stats import FEWEST, effective_trials
from llmrouterbench.table import BoolArray, FloatArray, IntArray, Outcomes, Queries
from llmrouterbench.worth import folds_of

FOLDS = 3
FLOOR = 0.02
"""Propensities below this count as this: one request speaks for 50 at most."""
_MOST_DATASETS = 50
_LEAST_SUM, _MOST_SUM = 0.75, 100.0


@dataclass(frozen=True)
class PseudoOutcomes(Outcomes):
    """Outcomes whose scores and costs are pseudo-outcomes: any numbers, known for every query and supported model."""

    def bounds(self, plane: str) -> tuple[float, float]:
        """Pseudo-outcomes have none."""
        most = float(np.finfo(np.float64).max)
        return (-most, most) if plane in ("score", "cost") else super().bounds(plane)

    @classmethod
    def of_planes(cls, outcomes: Outcomes, score: FloatArray, cost: FloatArray) -> PseudoOutcomes:
        """The same queries and models with other scores and costs (n, m)."""
        rest: dict[str, Any] = {one.name: getattr(outcomes, one.name) for one in fields(Outcomes)}
        return cls(**{**rest, "score": score, "cost": cost})


@dataclass(frozen=True)
class Pseudo:
    """Pseudo-outcomes of n queries and m models.

    part       the queries, and what the log measured
    score, cost  (n, m) pseudo-outcomes; a cost is NaN where it is never known
    weight     (n, m) 1 / propensity where the log measured a score, else 0
    residual   (n, m) measured minus expected score, 0 where nothing was measured
    beyond     (n, m) whether the propensity of a model lies below the floor
    known      whether the log says its propensities; else they are estimated, which assumes that whoever chose saw
               nothing that the query does not show
    """

    part: Outcomes
    score: FloatArray
    cost: FloatArray
    weight: FloatArray
    residual: FloatArray
    beyond: BoolArray
    known: bool

    @property
    def effective(self) -> FloatArray:
        """Effective trials (m,): how many evenly weighted ones the log has of each model."""
        return effective_trials(self.weight)

    @property
    def supported(self) -> BoolArray:
        """Which models (m,) have 20 effective trials."""
        return np.asarray(self.effective >= FEWEST)

    def judging(self, supported: BoolArray) -> PseudoOutcomes:
        """What decisions are judged by; nothing of models that are not `supported` (m,)."""
        return self._planes(self.score, supported)

    def teaching(self) -> PseudoOutcomes:
        """What routers learn from: what may be believed of each score; nothing of models that are not `supported`."""
        expected = self.score - self.weight * self.residual
        return self._planes(believed(expected, self.weight, self.residual, self.part.dataset), self.supported)

    def _planes(self, score: FloatArray, supported: BoolArray) -> PseudoOutcomes:
        return PseudoOutcomes.of_planes(
            self.part, np.where(supported, score, np.nan), np.where(supported, self.cost, np.nan)
        )


def usable(outcomes: Outcomes) -> IntArray:
    """Rows of the queries that count: with a score, and with a propensity of it where the log says most of them."""
    measured = np.isfinite(outcomes.score)
    rows = measured.any(axis=1)
    if says_propensities(outcomes):
        assert outcomes.propensity is not None
        rows &= ~(measured & ~(outcomes.propensity > 0)).any(axis=1)
    return np.flatnonzero(rows)


def says_propensities(outcomes: Outcomes) -> bool:
    """Whether a log says the propensity of most cells that it measured, and these add up."""
    if outcomes.propensity is None:
        return False
    measured = np.isfinite(outcomes.score)
    said = measured & (outcomes.propensity > 0)
    if not measured.any() or said.sum() <= 0.5 * measured.sum():
        return False
    rows = np.flatnonzero(measured.any(axis=1) & (said == measured).all(axis=1))
    weight = np.where(said, 1.0 / np.where(said, outcomes.propensity, 1.0), 0.0)[rows]
    return _add_up(weight, outcomes.group[rows])


def _add_up(weight: FloatArray, group: IntArray) -> bool:
    """Whether 1 / propensity (n, m), 0 where nothing was measured, sums to the queries, as it must on average.

    Less, by a quarter at least and by four standard errors, says of a model that it could not serve the others, or that
    its scores come back less often; a sum of a hundred times as many has a chance of one in a hundred (Markov).
    """
    tried = weight[:, effective_trials(weight) >= FEWEST]
    n = max(len(tried), 1)
    mean = tried.sum(axis=0) / n
    names, copy_of = np.unique(group, return_inverse=True)
    sums = np.zeros((len(names), tried.shape[1]))
    np.add.at(sums, copy_of, tried - mean)
    error = np.sqrt((sums**2).sum(axis=0)) / n
    lacking = (mean < _LEAST_SUM) & (1.0 - mean > 4.0 * error)
    return not (lacking | (mean > _MOST_SUM)).any()


@dataclass(frozen=True)
class Nuisance:
    """What some queries of a log teach about outcomes and choices: both linear in embedding and dataset."""

    outcome: Router
    choice: Router | None
    datasets: tuple[str, ...]

    def __call__(self, part: Outcomes) -> Pseudo:
        """Pseudo-outcomes of other queries."""
        seen = _seen(part, self.datasets)
        estimate = self.outcome.predict(seen)
        if self.choice is None:
            assert part.propensity is not None
            propensity = part.propensity
        else:
            propensity = self.choice.predict(seen).score
        return _pseudo(part, np.clip(estimate.score, 0.0, 1.0), estimate.cost, propensity, self.choice is None)


def nuisance(train: Outcomes) -> Nuisance:
    """Fit on embedded queries, see `usable`. Raises ValueError where they have no embedding."""
    names = tuple(train.datasets) if 1 < len(train.datasets) <= _MOST_DATASETS else ()
    seen = replace(train, queries=_seen(train, names), propensity=None)
    choice = None
    if not says_propensities(train):
        measured = np.isfinite(train.score).astype(np.float64)
        nothing = np.full(measured.shape, np.nan)
        choice = make_router("linear", kind="logistic").fit(replace(seen, score=measured, cost=nothing))
    return Nuisance(make_router("linear", pooled=True).fit(seen), choice, names)


def _seen(part: Outcomes, datasets: tuple[str, ...]) -> Queries:
    """Queries whose embedding says their dataset as well."""
    vectors = part.queries.embedded("an estimate from a log")
    names = (part.dataset[:, None] == np.array(datasets, dtype=np.str_)[None]).astype(np.float64)
    return replace(part.queries, embedding=np.hstack([vectors, names]) if datasets else vectors)


def _pseudo(part: Outcomes, score: FloatArray, cost: FloatArray, propensity: FloatArray, known: bool) -> Pseudo:
    measured = np.isfinite(part.score)
    weight = np.where(measured, 1.0 / np.clip(np.nan_to_num(propensity, nan=1.0), FLOOR, 1.0), 0.0)
    residual = np.where(measured, part.score - score, 0.0)
    paid = np.where(measured & np.isfinite(part.cost), part.cost - cost, 0.0)
    return Pseudo(part, score + weight * residual, cost + weight * paid, weight, residual, propensity < FLOOR, known)


def pseudo_outcomes(outcomes: Outcomes, *, folds: int = FOLDS, seed: int = 0) -> Pseudo:
    """Pseudo-outcomes of embedded queries, each from models that did not see its fold; copies share a fold."""
    fold = folds_of(outcomes, folds, seed)
    parts = []
    for one in np.unique(fold).tolist():
        held = np.flatnonzero(fold == one)
        parts.append((held, nuisance(outcomes.take(np.flatnonzero(fold != one)))(outcomes.take(held))))
    return joined(outcomes, parts)


def joined(outcomes: Outcomes, parts: Sequence[tuple[IntArray, Pseudo]]) -> Pseudo:
    """Pseudo-outcomes of parts, each with its rows, as those of the whole."""
    planes = {name: np.zeros(outcomes.score.shape) for name in ("score", "cost", "weight", "residual")}
    beyond = np.zeros(outcomes.score.shape, dtype=np.bool_)
    for rows, part in parts:
        for name, plane in planes.items():
            plane[rows] = getattr(part, name)
        beyond[rows] = part.beyond
    return Pseudo(outcomes, **planes, beyond=beyond, known=parts[0][1].known)


@dataclass(frozen=True)
class Evidence:
    """What routers learn from some queries, and what they are judged by on others; nothing learned knows what judges.

    learn, judge  of a matrix the outcomes themselves; of a log what is believed, and pseudo-outcomes, all that is
                  estimated being learned from the first
    weight        (n, m) of what judges, see `Pseudo`; None of a matrix
    """

    learn: Outcomes
    judge: Outcomes
    weight: FloatArray | None = None

    @classmethod
    def of(cls, train: Outcomes, part: Outcomes, *, logged: bool) -> Evidence:
        """From embedded outcomes. Raises ValueError for a log without 20 effective trials of any model."""
        if not logged:
            return cls(train, part)
        made, judge = _enough(pseudo_outcomes(train)), nuisance(train)(part)
        return cls(made.teaching(), judge.judging(made.supported), judge.weight)


def teaching(train: Outcomes, *, logged: bool) -> Outcomes:
    """What routers learn from: of a matrix the outcomes, of a log what is believed. Errors as of `Evidence.of`."""
    return _enough(pseudo_outcomes(train)).teaching() if logged else train


def _enough(made: Pseudo) -> Pseudo:
    if not made.supported.any():
        raise ValueError(
            f"a log must hold {FEWEST:.0f} effective trials of a model, got {made.effective.max():.0f} at most in"
            f" {len(made.part):,} queries; collect more requests"
        )
    return made


@dataclass(frozen=True)
class Judge:
    """By what decisions about the queries of a log are judged.

    score, cost  (n, m) pseudo-outcomes: of train each by what the rest of train teaches, of test by train; NaN for
                 queries in neither, and for models without 20 effective trials in train
    weight       (n, m) of test, see `Pseudo`; else 0
    """

    score: FloatArray
    cost: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, outcomes: Outcomes, train: IntArray, test: IntArray) -> Judge:
        """From embedded outcomes of a log. Raises ValueError for one without 20 effective trials of any model."""
        known, asked = outcomes.take(train), outcomes.take(test)
        made, judge = _enough(pseudo_outcomes(known)), nuisance(known)(asked)
        score, cost = np.full((2, *outcomes.score.shape), np.nan)
        weight = np.zeros(outcomes.score.shape)
        for rows, part in ((train, made), (test, judge)):
            table = part.judging(made.supported)
            score[rows], cost[rows] = table.score, table.cost
        weight[test] = judge.weight
        return cls(score, cost, weight)

    def table(self, outcomes: Outcomes) -> PseudoOutcomes:
        """The outcomes as if every model had served every query."""
        return PseudoOutcomes.of_planes(outcomes, self.score, self.cost)
