"""Cascades: which models to try in which order, and how sure one must be of a reply to stop there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from llmrouterbench.table import FloatArray, IntArray

_WIDTH = 48
"""Cascades that are kept while they grow."""
_THRESHOLDS = np.linspace(0.05, 0.95, 19)
"""Shares of validation queries that a stage lets through, from which its thresholds come."""


@dataclass(frozen=True)
class Cascades:
    """Cascades of which none is beaten in both mean score and mean cost, from cheap to dear.

    stage      (c, depth) model of each stage, -1 behind the last
    threshold  (c, depth) a stage takes a query when its probability is at least this; the last takes all
    score      (c,) mean score on validation
    cost       (c,) mean USD on validation
    """

    stage: IntArray
    threshold: FloatArray
    score: FloatArray
    cost: FloatArray

    def within(self, budget: float) -> tuple[IntArray, FloatArray]:
        """Stages and thresholds of the best cascade of at most `budget` mean USD; of the cheapest where none is."""
        best = max(0, int((self.cost <= budget).sum()) - 1)
        length = int((self.stage[best] >= 0).sum())
        return self.stage[best, :length], self.threshold[best, :length]


class _Tried(NamedTuple):
    """A cascade with what it scores (n,) and costs (n,) on each validation query."""

    stages: tuple[int, ...]
    thresholds: tuple[float, ...]
    score: FloatArray
    cost: FloatArray


def search(chance: FloatArray, score: FloatArray, cost: FloatArray, depth: int, *, pays: bool) -> Cascades:
    """The best cascades of up to `depth` stages on validation outcomes.

    chance  (n, m) predicted probability that the model's reply is good
    score   (n, m) and cost (n, m), complete; `pays`: a stage that passes a query on has been paid for

    Stages are put in front one at a time, for the cascades that are not beaten so far.
    """
    models = range(score.shape[1])
    kept = _unbeaten([_Tried((i,), (0.0,), score[:, i], cost[:, i]) for i in models])
    for _ in range(depth - 1):
        longer = [
            _in_front(model, threshold, rest, chance, score, cost, pays)
            for rest in kept
            for model in models
            if model not in rest.stages
            for threshold in _worth_trying(model, rest, chance, score, cost, pays, kept)
        ]
        kept = _unbeaten([*kept, *longer])
    longest = max(len(one.stages) for one in kept)
    return Cascades(
        np.array([[*one.stages, *[-1] * (longest - len(one.stages))] for one in kept], dtype=np.int64),
        np.array([[*one.thresholds, *[0.0] * (longest - len(one.stages))] for one in kept]),
        np.array([one.score.mean() for one in kept]),
        np.array([one.cost.mean() for one in kept]),
    )


def served(stages: IntArray, thresholds: FloatArray, chance: FloatArray) -> IntArray:
    """Model (n,) at which each query stops, where the probabilities (n, m) need no reply.

    >>> served(np.array([1, 0]), np.array([0.5, 0.0]), np.array([[0.9, 0.4], [0.1, 0.6]])).tolist()
    [0, 1]
    """
    taken = chance[:, stages] >= thresholds
    taken[:, -1] = True
    return np.asarray(stages[taken.argmax(axis=1)], dtype=np.int64)


def _in_front(
    model: int, threshold: float, rest: _Tried, chance: FloatArray, score: FloatArray, cost: FloatArray, pays: bool
) -> _Tried:
    """A cascade that tries `model` before the rest."""
    taken = chance[:, model] >= threshold
    before = cost[:, model] if pays else 0.0
    return _Tried(
        (model, *rest.stages),
        (threshold, *rest.thresholds),
        np.where(taken, score[:, model], rest.score),
        np.where(taken, cost[:, model], rest.cost + before),
    )


def _worth_trying(
    model: int, rest: _Tried, chance: FloatArray, score: FloatArray, cost: FloatArray, pays: bool, kept: list[_Tried]
) -> list[float]:
    """Thresholds at which the model in front gives a cascade that none of the kept ones beats."""
    mine = chance[np.isfinite(chance[:, model]), model]
    if not len(mine):
        return []
    thresholds = np.unique(np.quantile(mine, _THRESHOLDS))
    taken = chance[:, model] >= thresholds[:, None]
    before = cost[:, model] if pays else 0.0
    mean_score = np.where(taken, score[:, model], rest.score).mean(axis=1)
    mean_cost = np.where(taken, cost[:, model], rest.cost + before).mean(axis=1)
    known_score, known_cost = (np.array([getattr(one, key).mean() for one in kept]) for key in ("score", "cost"))
    beaten = ((known_score >= mean_score[:, None]) & (known_cost <= mean_cost[:, None])).any(axis=1)
    return [float(threshold) for threshold in thresholds[~beaten]]


def _unbeaten(tried: list[_Tried]) -> list[_Tried]:
    """The cascades that score more than every cheaper one, from cheap to dear; a spread of `_WIDTH` where more."""
    tried = sorted(tried, key=lambda one: (one.cost.mean(), -one.score.mean(), len(one.stages), one.stages))
    kept: list[_Tried] = []
    for one in tried:
        if not kept or one.score.mean() > kept[-1].score.mean():
            kept.append(one)
    if len(kept) <= _WIDTH:
        return kept
    return [kept[i] for i in np.linspace(0, len(kept) - 1, _WIDTH).round().astype(int)]
