"""What `fit` learned beside router and embedder: plain numbers that are stored and that every decision reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmrouterbench.production.calibration import CostMap, ScoreMap
from llmrouterbench.production.novelty import Novelty
from llmrouterbench.table import BoolArray, FloatArray, IntArray, StrArray


@dataclass(frozen=True)
class CalibrationSlice:
    """Queries that neither router nor embedder learned from (of a log: see `LoggedSlice`): n queries, m models.

    name      (n,) sha256 of each text, to find a query again in the outcomes of a new model
    dataset   (n,)
    group     (n,) copies of a query share a number
    embedding (n, d)
    score, cost  (n, m) the router's own estimate
    quality   (n, m) calibrated by maps that did not see the query
    choice    (w, n) what a router with a dial of its own decides at each setting; (0, n) for others
    observed_score, observed_cost, observed_seconds  (n, m) what happened; NaN not measured
    """

    name: StrArray
    dataset: StrArray
    group: IntArray
    embedding: NDArray[np.float32]
    score: FloatArray
    cost: FloatArray
    quality: FloatArray
    choice: IntArray
    observed_score: FloatArray
    observed_cost: FloatArray
    observed_seconds: FloatArray

    def __len__(self) -> int:
        return len(self.name)

    @property
    def judged(self) -> tuple[FloatArray, FloatArray]:
        """Scores and costs (n, m) whose means over queries are what a policy is worth."""
        return self.observed_score, self.observed_cost

    @property
    def fresh(self) -> BoolArray:
        """Which queries (n,) the embedder did not learn from, so that they are as near to those as new ones are."""
        return np.ones(len(self), dtype=np.bool_)


@dataclass(frozen=True)
class LoggedSlice(CalibrationSlice):
    """All queries of a log, in which each was answered by one model; routers that never saw a query judge it.

    value_score, value_cost  (n, m) pseudo-outcomes by what train taught, see `estimating.pseudo`
    weight                   (n, m) 1 / propensity where the log measured a score, else 0
    unseen                   (n,) see `fresh`
    """

    value_score: FloatArray
    value_cost: FloatArray
    weight: FloatArray
    unseen: BoolArray

    @property
    def judged(self) -> tuple[FloatArray, FloatArray]:
        """Pseudo-outcomes (n, m) of score and cost."""
        return self.value_score, self.value_cost

    @property
    def fresh(self) -> BoolArray:
        """Which queries (n,) the embedder did not learn from."""
        return self.unseen


@dataclass(frozen=True)
class Learned:
    """Everything a decision needs beside router and embedder.

    models      m model ids, in the router's order
    dropped     models that no longer serve
    score_map, cost_map
    seconds     (m,) mean seconds of a reply; NaN unknown
    mean_score  (m,) over the calibration slice; what is expected where the query says nothing
    novelty     what is out of distribution
    piece       the calibration slice
    settings    (w,) of the dial, from "quality decides" to the cheapest
    own_dial    whether the dial is the router's own; otherwise a weight in score per USD
    best        the best single model of train
    fallback    who serves queries that are out of distribution
    policy      the default policy in words
    """

    models: tuple[str, ...]
    dropped: tuple[str, ...]
    score_map: ScoreMap
    cost_map: CostMap
    seconds: FloatArray
    mean_score: FloatArray
    novelty: Novelty
    piece: CalibrationSlice
    settings: FloatArray
    own_dial: bool
    best: str
    fallback: str
    policy: str

    @property
    def serving(self) -> tuple[str, ...]:
        """The models that serve, in the router's order."""
        return tuple(model for model in self.models if model not in self.dropped)
