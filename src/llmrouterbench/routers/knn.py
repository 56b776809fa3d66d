"""k nearest neighbours."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.routers._neighbours import Cells, Plane, near_rows, with_model
from llmrouterbench.routers._probes import newcomer
from llmrouterbench.table import Estimate, Outcomes, Queries


class KNN:
    """Expect of each model what it did on the k training queries most similar to this one (cosine).

    Neighbours on which a model was not measured do not count for it; without any there is no evidence:
    score 0, cost unknown.

    Source: Li, "Rethinking predictive modeling for LLM routing" (arXiv 2505.12601), section 3.
    Differs: the mean is not weighted by similarity; queries as similar as the k-th neighbour count too.
    """

    grid = {"k": (100, 20, 50, 200)}
    cells_: Cells | None = None

    def __init__(self, k: int = 100) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.k = k

    def fit(self, train: Outcomes) -> Self:
        """Remember the training queries and their outcomes."""
        self.models_ = train.models
        self.embedding_ = train.queries.embedded("router 'knn'").astype(np.float32)
        self.cells_ = Cells.of(self.embedding_)
        self.score_, self.cost_ = Plane.of(train.score, 0.0), Plane.of(train.cost, np.nan)
        return self

    def add_model(self, name: str, outcomes: Outcomes) -> Self:
        """Let a model join: `outcomes` holds its scores (and costs, where known) on embedded probe queries.

        Raises ValueError where the model is known already or has no scores, KeyError where the outcomes lack it.
        """
        alone = newcomer(name, outcomes, self.models_, "router 'knn'")
        probes, columns = alone.queries.embedded("router 'knn'"), (alone.score[:, 0], alone.cost[:, 0])
        self.embedding_, planes = with_model(self.embedding_, (self.score_, self.cost_), probes, columns)
        self.cells_ = Cells.of(self.embedding_)
        self.score_, self.cost_ = planes
        self.models_ = (*self.models_, name)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Mean outcome of the neighbours (n, m)."""
        score, cost = np.empty((2, len(queries), len(self.models_)))
        for block, (near,) in near_rows(self.embedding_, queries.embedded("router 'knn'"), [self.k], self.cells_):
            score[block], cost[block] = self.score_.mean(near), self.cost_.mean(near)
        return Estimate(self.models_, score, cost)
