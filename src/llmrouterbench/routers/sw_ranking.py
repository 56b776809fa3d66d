"""Similarity-weighted ranking: a Bradley-Terry model of each query's own, from battles weighed by similarity."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._battles import results, win_rate
from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries

WHO = "router 'sw_ranking'"
_STEPS = 60
_BLOCK = 64


class SimilarityWeightedRanking:
    """Fit strengths to all training battles, which weigh base^(1 + similarity / the largest one) for this query.

    The score of `predict` is the expected result against the average other model, cost the mean in training.

    base    how much more the nearest training query weighs than one without any similarity
    pseudo  draws between each two models, as a share of the battles that they fought: no strength is infinite

    Source: Ong et al. 2024, "RouteLLM" (arXiv 2406.18665), section 4.2: similarity-weighted ranking with base 10.
    Strengths by the iteration of Hunter (Annals of Statistics 32, 2004).
    Differs: models of the pool themselves, where the paper groups models of an arena into ten tiers; draws count half.
    """

    grid = {"base": (10.0, 1e3, 1e6)}

    def __init__(self, base: float = 10.0, pseudo: float = 0.01) -> None:
        if base < 1 or pseudo <= 0:
            raise ValueError(f"base must be at least 1 and pseudo above 0, got {base:g} and {pseudo:g}")
        self.base, self.pseudo = base, pseudo

    def fit(self, train: Outcomes) -> Self:
        """Remember the training queries and their battles."""
        self.models_ = train.models
        self.embedding_ = train.queries.embedded(WHO)
        self.won_ = results(train.score)[0].reshape(len(train), -1).astype(np.float32)
        self.cost_ = known_mean(train.cost, axis=0)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Expected results (n, m), and mean costs."""
        embedding, m = queries.embedded(WHO), len(self.models_)
        score = np.empty((len(queries), m))
        for start in range(0, len(queries), _BLOCK):
            block = slice(start, start + _BLOCK)
            similarity = embedding[block] @ self.embedding_.T
            nearest = np.maximum(similarity.max(axis=1, keepdims=True), 1e-9)
            weight = self.base ** (np.maximum(similarity, 0.0) / nearest)  # the base of 1 + ... cancels out
            won = (weight.astype(np.float32) @ self.won_).astype(np.float64).reshape(-1, m, m)
            score[block] = win_rate(strengths(won, self.pseudo))
        return Estimate(self.models_, score, np.tile(self.cost_, (len(queries), 1)))


def strengths(won: FloatArray, pseudo: float) -> FloatArray:
    """Bradley-Terry strengths (q, m) in log odds, mean 0, from the weight (q, m, m) of what i won against j.

    >>> won = np.array([[[0.0, 3.0], [1.0, 0.0]]])
    >>> bool(np.isclose(np.diff(strengths(won, 1e-9)), np.log(1 / 3)).all())
    True
    """
    met = won + won.swapaxes(1, 2)
    draws = pseudo * met + 1e-9 * ~np.eye(won.shape[1], dtype=np.bool_)
    won, met = won + draws / 2, met + draws
    log_odds = np.zeros(won.shape[:2])
    for _ in range(_STEPS):
        power = np.exp(log_odds)
        share = (met / (power[:, :, None] + power[:, None, :])).sum(axis=2)
        log_odds = np.log(np.maximum(won.sum(axis=2), 1e-300)) - np.log(np.maximum(share, 1e-300))
        log_odds -= log_odds.mean(axis=1, keepdims=True)
    return log_odds
