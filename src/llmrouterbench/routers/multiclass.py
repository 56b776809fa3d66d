"""Predict the best model directly."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.routers._linear_models import fit_affine, fit_costs, softmax, softmax_loss
from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries


class Multiclass:
    """A softmax over models, trained to name the best model of each query.

    Models that tie for the best score share a query's probability equally. A query on which all measured models
    score the same says nothing about which is best and is left out.

    The estimate's score is the probability of being best, not an expected score. Costs are ridge regressions of USD.

    Source: the multi-class router of RouterEval (Huang et al. 2025, arXiv 2503.10657); Li (arXiv 2505.12601) calls it
    model selection.
    Differs: shared probability on ties, where a single label would be an accident of the order of the models.
    """

    grid = {"penalty": (1.0, 10.0, 0.1)}

    def __init__(self, penalty: float = 1.0) -> None:
        if penalty <= 0:
            raise ValueError(f"penalty must be above 0, got {penalty}")
        self.penalty = penalty

    def fit(self, train: Outcomes) -> Self:
        """Learn who is best, and costs."""
        x = train.queries.embedded("router 'multiclass'")
        share = best_shares(train.score)
        told = np.isfinite(share).all(axis=1)
        self.models_ = train.models
        self.measured_ = np.isfinite(train.score).any(axis=0)
        self.logit_ = fit_affine(x[told], share[told], softmax_loss, self.penalty)
        self.cost_ = fit_costs(x, train.cost)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Probability of being the best model and expected USD, both (n, m)."""
        x = queries.embedded("router 'multiclass'")
        chance = softmax(np.where(self.measured_, self.logit_(x), -np.inf)) if self.measured_.any() else np.zeros(1)
        return Estimate(self.models_, np.broadcast_to(chance, (len(x), len(self.models_))), self.cost_(x))


def best_shares(score: FloatArray) -> FloatArray:
    """Share (n, m) of each model in being best; NaN in rows where no two measured models differ.

    >>> best_shares(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, np.nan]])).tolist()
    [[0.5, 0.5, 0.0], [nan, nan, nan]]
    """
    known = np.isfinite(score)
    high = np.where(known, score, -np.inf).max(axis=1, keepdims=True)
    low = np.where(known, score, np.inf).min(axis=1, keepdims=True)
    best = (score == high).astype(np.float64)
    return np.where(high > low, best / np.maximum(best.sum(axis=1, keepdims=True), 1.0), np.nan)
