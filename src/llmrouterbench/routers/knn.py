"""k nearest neighbours."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries

_BLOCK = 1024


class KNN:
    """Expect of each model what it did on the k training queries most similar to this one (cosine).

    Neighbours on which a model was not measured do not count for it; without any, its training mean stands in.

    Source: Li, "Rethinking predictive modeling for LLM routing" (arXiv 2505.12601), section 3.
    Differs: the mean is not weighted by similarity.
    """

    def __init__(self, k: int = 100) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.k = k

    def fit(self, train: Outcomes) -> Self:
        """Remember the training queries and their outcomes."""
        self.models_ = train.models
        self.embedding_ = train.queries.embedded("router 'knn'")
        self.score_, self.cost_ = train.score, train.cost
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Mean outcome of the neighbours (n, m)."""
        embedding = queries.embedded("router 'knn'")
        k = min(self.k, len(self.embedding_))
        score, cost = np.empty((2, len(queries), len(self.models_)))
        for start in range(0, len(queries), _BLOCK):
            block = slice(start, start + _BLOCK)
            similarity = embedding[block] @ self.embedding_.T
            near = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
            score[block] = _neighbour_mean(self.score_, near, 0.0)
            cost[block] = _neighbour_mean(self.cost_, near, np.nan)
        return Estimate(self.models_, score, cost)


def _neighbour_mean(plane: FloatArray, near: np.typing.NDArray[np.int64], never: float) -> FloatArray:
    """Mean (n, m) of a training plane over neighbours (n, k), NaN left out; `never` for a model never measured."""
    known = np.isfinite(plane)
    filled = np.where(known, plane, 0.0)
    total = known.sum(axis=0)
    overall = np.divide(filled.sum(axis=0), total, out=np.full(plane.shape[1], never), where=total > 0)
    count = known[near].sum(axis=1)
    mean = np.divide(filled[near].sum(axis=1), count, out=np.zeros(count.shape), where=count > 0)
    return np.asarray(np.where(count > 0, mean, overall))
