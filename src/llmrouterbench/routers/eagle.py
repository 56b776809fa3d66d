"""Eagle: Elo ratings of all training queries, and of those near the query."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._battles import results, win_rate
from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries

WHO = "router 'eagle'"
_SCALE = np.log(10.0) / 400.0
"""Natural log odds of a point of Elo."""
_BLOCK = 64


class Eagle:
    """Rate every model by its battles on train; replay those near the query from there; mix the two ratings.

    A query is one round in which every measured model meets every other: better wins, equal is a draw. Only who was
    better counts, so that preferences teach it as well as scores do. The score of `predict` is the expected result
    against the average other model, cost the mean in training.

    neighbours  training queries whose battles are replayed, the nearest last
    step        Elo points that a round can move a rating by (K)
    mix         share of the global rating (P)

    Source: Zhao, Jin and Mao, "Eagle: Efficient Training-Free Router for Multi-LLM Inference" (arXiv 2409.15518),
    sections 2.2 and 2.3, with its N = 20, K = 32 and P = 0.5.
    Differs: all battles of a query are one round, whose mean moves a rating, where the paper has single comparisons by
    users; the global rating is the mean over the second half of train, so that the last queries do not decide it.
    """

    grid = {"neighbours": (20, 50, 100), "mix": (0.5, 0.2)}

    def __init__(self, neighbours: int = 20, step: float = 32.0, mix: float = 0.5, seed: int = 42) -> None:
        if neighbours < 1 or step <= 0 or not 0.0 <= mix <= 1.0:
            raise ValueError(
                "neighbours must be at least 1, step above 0 and mix from 0 to 1,"
                f" got {neighbours}, {step:g} and {mix:g}"
            )
        self.neighbours, self.step, self.mix, self.seed = neighbours, step, mix, seed

    def fit(self, train: Outcomes) -> Self:
        """Play all training queries once, in an order of the seed."""
        self.models_ = train.models
        self.embedding_ = train.queries.embedded(WHO)
        self.score_ = train.score
        self.cost_ = known_mean(train.cost, axis=0)
        rating, late = np.zeros((1, len(train.models))), []
        order = np.random.default_rng(self.seed).permutation(len(train))
        for played, row in enumerate(order.tolist(), 1):
            rating = self._play(rating, train.score[[row]])
            if 2 * played >= len(train):
                late.append(rating[0])
        self.rating_ = np.mean(late, axis=0) if late else rating[0]
        return self

    def _play(self, rating: FloatArray, score: FloatArray) -> FloatArray:
        """Ratings (q, m) after one round each, with scores (q, m)."""
        won, met = results(score)
        expected = 0.5 * (1.0 + np.tanh(0.5 * _SCALE * (rating[:, :, None] - rating[:, None, :])))
        surprise = ((won - expected) * met).sum(axis=2) / np.maximum(met.sum(axis=2), 1.0)
        return np.asarray(rating + self.step * surprise)

    def predict(self, queries: Queries) -> Estimate:
        """Expected results (n, m), and mean costs."""
        rating = np.tile(self.rating_, (len(queries), 1))
        embedding = queries.embedded(WHO)
        for start in range(0, len(queries), _BLOCK):
            block = slice(start, start + _BLOCK)
            near = np.argsort(-(embedding[block] @ self.embedding_.T), axis=1, kind="stable")[:, : self.neighbours]
            local = rating[block]
            for column in near.T[::-1]:
                local = self._play(local, self.score_[column])
            rating[block] = self.mix * self.rating_ + (1.0 - self.mix) * local
        return Estimate(self.models_, win_rate(_SCALE * rating), np.tile(self.cost_, (len(queries), 1)))
