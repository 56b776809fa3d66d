"""k nearest neighbours that leave the best single model only on clear evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from llmrouterbench.routers._neighbours import Cells, Plane, near_rows, with_model
from llmrouterbench.routers._probes import newcomer
from llmrouterbench.table import BoolArray, Estimate, Outcomes, Queries
from llmrouterbench.worth import capped, train_best_single

if TYPE_CHECKING:
    from scipy.sparse import csr_array

WHO = "router 'knn_guard'"


class KNNGuard:
    """Leave the best single model for another only where the neighbours' paired gain clears z standard errors.

    On the k training queries most similar to this one, the gain of a model is its mean score minus the best single
    model's, over the neighbours where both were measured. A model whose gain is not above z standard errors of that
    mean counts as no better than the best single one; with a weight on cost it can still be chosen for its price.

    Source: the guard is this project's; the neighbours are those of Li (arXiv 2505.12601), section 3.
    """

    grid = {"k": (100, 50, 200), "z": (1.0, 0.5, 2.0)}
    cells_: Cells | None = None

    def __init__(self, k: int = 100, z: float = 1.0) -> None:
        if k < 2 or z < 0:
            raise ValueError(f"k must be at least 2 and z at least 0, got {k} and {z}")
        self.k, self.z = k, z

    def fit(self, train: Outcomes) -> Self:
        """Remember the training queries, their outcomes, and each model's lead over the best single one."""
        self.models_ = train.models
        self.best_ = train_best_single(train)
        self.embedding_ = train.queries.embedded(WHO).astype(np.float32)
        self.cells_ = Cells.of(self.embedding_)
        self.score_, self.cost_ = Plane.of(train.score, 0.0), Plane.of(train.cost, np.nan)
        self._lead()
        return self

    def _lead(self) -> None:
        score = self.score_.values()
        lead = score - score[:, [self.best_]]
        self.lead_, self.square_ = Plane.of(lead, 0.0), Plane.of(lead**2, 0.0)

    def add_model(self, name: str, outcomes: Outcomes) -> Self:
        """Let a model join: `outcomes` holds its scores (and costs, where known) on embedded training queries.

        Raises ValueError where the model is known already, or has no scores beside the best single model's; KeyError
        where the outcomes lack it.
        """
        alone = newcomer(name, outcomes, self.models_, WHO)
        probes, columns = alone.queries.embedded(WHO), (alone.score[:, 0], alone.cost[:, 0])
        self.embedding_, planes = with_model(self.embedding_, (self.score_, self.cost_), probes, columns)
        self.cells_ = Cells.of(self.embedding_)
        self.score_, self.cost_ = planes
        self.models_ = (*self.models_, name)
        self._lead()
        if not self.lead_.known[:, -1].any():
            best = self.models_[self.best_]
            raise ValueError(
                f"probes for {WHO} must be training queries, where it can compare with {best!r}, got none among"
                f" {len(alone)}; ask {name!r} some of those, or fit router 'knn'"
            )
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Mean outcome of the neighbours (n, m), held down where the gain is not clear."""
        score, cost = np.empty((2, len(queries), len(self.models_)))
        for block, (near,) in near_rows(self.embedding_, queries.embedded(WHO), [self.k], self.cells_):
            score[block] = capped(self.score_.mean(near), self.best_, self._clear(near))
            cost[block] = self.cost_.mean(near)
        return Estimate(self.models_, score, cost)

    def _clear(self, near: csr_array) -> BoolArray:
        """Whether (n, m) the mean gain is above z standard errors of it."""
        count = self.lead_.count(near)
        gain = self.lead_.mean(near)
        variance = np.maximum(self.square_.mean(near) - gain**2, 0.0) / np.maximum(count - 1.0, 1.0)
        return np.asarray((count > 1) & (gain > self.z * np.sqrt(variance) + 1e-6))
