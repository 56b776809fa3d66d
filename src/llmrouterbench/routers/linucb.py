"""LinUCB: a linear bandit, warm from full-information outcomes, that goes on learning from what it serves."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.routers._linear_models import fit_costs
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

WHO = "router 'linucb'"


class LinUCB:
    """One ridge regression per model, optimistic by alpha standard errors of its mean; `update` learns online.

    alpha  weight of the optimism sqrt(x' A^-1 x); 0 serves the plain estimate
    ridge  penalty: A starts as ridge times the identity
    dims   directions of the embedding that are kept (those of largest variance in training), beside a constant

    Source: Li et al., "A Contextual-Bandit Approach to Personalized News Article Recommendation" (WWW 2010,
    arXiv 1003.0146), algorithm 1, disjoint arms; warm start from a full reward matrix as in OrcaRouter
    (arXiv 2605.30736).
    Differs: the reward is the score alone, as the dial weighs cost; there are no lexical features. A model that was
    never measured has score 0 until its first update, so that it is not explored by accident.
    """

    grid = {"ridge": (1.0, 0.3, 3.0), "dims": (64, 128)}

    def __init__(self, alpha: float = 0.1, ridge: float = 1.0, dims: int = 64) -> None:
        if alpha < 0 or ridge <= 0:
            raise ValueError(f"alpha must be at least 0 and ridge above 0, got {alpha:g} and {ridge:g}")
        if dims < 1:
            raise ValueError(f"dims must be at least 1, got {dims}")
        self.alpha, self.ridge, self.dims = alpha, ridge, dims

    def fit(self, train: Outcomes) -> Self:
        """Warm start: every measured score of every model counts as an observed reward."""
        x = train.queries.embedded(WHO)
        self.models_ = train.models
        self.axes_ = principal_axes(x, self.dims)
        context = self._context(train.queries)
        known = np.isfinite(train.score)
        size = context.shape[1]
        self.inverse_ = np.empty((len(train.models), size, size))  # A^-1 of each model
        for model in range(len(train.models)):
            mine = context[known[:, model]]
            self.inverse_[model] = np.linalg.inv(mine.T @ mine + self.ridge * np.eye(size))
        self.moment_ = np.where(known, train.score, 0.0).T @ context  # b of each model
        self.seen_ = known.sum(axis=0)
        self.costs_ = fit_costs(x, train.cost)
        return self

    def update(self, queries: Queries, choice: IntArray, score: FloatArray) -> Self:
        """Learn from what was served: the score (n,) of model `choice` (n,) on each query, NaN where unknown.

        Only the arms that were served change (Sherman and Morrison's rank-one update of A^-1).
        """
        for x, arm, reward in zip(self._context(queries), choice.tolist(), score.tolist(), strict=True):
            if np.isfinite(reward):
                along = self.inverse_[arm] @ x
                self.inverse_[arm] -= np.outer(along, along) / (1.0 + x @ along)
                self.moment_[arm] += reward * x
                self.seen_[arm] += 1
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Optimistic scores (n, m) and expected USD."""
        context = self._context(queries)
        theta = np.einsum("mij,mj->im", self.inverse_, self.moment_)
        score = context @ theta
        if self.alpha > 0:
            score += self.alpha * self._widths(context)
        return Estimate(self.models_, np.where(self.seen_ > 0, score, 0.0), self.costs_(queries.embedded(WHO)))

    def _widths(self, context: FloatArray) -> FloatArray:
        """Standard errors (n, m) in units of the noise."""
        squares = [((context @ inverse) * context).sum(axis=1) for inverse in self.inverse_]
        return np.asarray(np.sqrt(np.maximum(np.stack(squares, axis=1), 0.0)))

    def _context(self, queries: Queries) -> FloatArray:
        x = queries.embedded(WHO)
        return np.hstack([x @ self.axes_, np.ones((len(x), 1))])


def principal_axes(x: FloatArray, dims: int) -> FloatArray:
    """Directions (d, k) of largest variance of rows (n, d), k = min(dims, d); all of the space where dims reaches d."""
    if dims >= x.shape[1]:
        return np.eye(x.shape[1])
    centred = x - x.mean(axis=0)
    axes: FloatArray = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :dims]
    return axes
