"""k nearest neighbours, k chosen on validation."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.metrics import avg_acc, dataset_means
from llmrouterbench.routers._neighbours import Cells, Plane, near_rows, with_model
from llmrouterbench.routers._probes import newcomer
from llmrouterbench.splits import validation_split
from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries
from llmrouterbench.worth import by_name

WHO = "router 'knn_tuned'"


class KNNTuned:
    """The mean outcome of the k most similar training queries, with the k that serves best on a part of train.

    ks          numbers of neighbours to choose from
    validation  share of train that the choice is made on; the chosen k then counts neighbours in all of train

    The highest validation AvgAcc wins, the larger k among equals.

    Source: Li, "Rethinking predictive modeling for LLM routing" (arXiv 2505.12601), section 3: well-tuned kNN.
    Differs: the mean is not weighted by similarity; queries as similar as the k-th neighbour count too.
    """

    cells_: Cells | None = None

    def __init__(
        self, ks: tuple[int, ...] = (5, 10, 20, 40, 80, 160, 320, 640), validation: float = 0.2, seed: int = 42
    ) -> None:
        if not ks or min(ks) < 1:
            raise ValueError(f"ks must hold numbers of neighbours of at least 1, got {ks}")
        self.ks, self.validation, self.seed = ks, validation, seed

    def fit(self, train: Outcomes) -> Self:
        """Choose k, then remember all training queries and their outcomes."""
        rows, held = validation_split(train, np.arange(len(train)), self.seed, self.validation)
        self.acc_ = self._accuracies(train.take(rows), train.take(held))
        self.k_ = max(zip(np.nan_to_num(self.acc_, nan=-1.0).tolist(), self.ks, strict=True))[1]
        self.models_ = train.models
        self.embedding_ = train.queries.embedded(WHO).astype(np.float32)
        self.cells_ = Cells.of(self.embedding_)
        self.score_, self.cost_ = Plane.of(train.score, 0.0), Plane.of(train.cost, np.nan)
        return self

    def add_model(self, name: str, outcomes: Outcomes) -> Self:
        """Let a model join: `outcomes` holds its scores (and costs, where known) on embedded probe queries.

        Raises ValueError where the model is known already or has no scores, KeyError where the outcomes lack it.
        """
        alone = newcomer(name, outcomes, self.models_, WHO)
        probes, columns = alone.queries.embedded(WHO), (alone.score[:, 0], alone.cost[:, 0])
        self.embedding_, planes = with_model(self.embedding_, (self.score_, self.cost_), probes, columns)
        self.cells_ = Cells.of(self.embedding_)
        self.score_, self.cost_ = planes
        self.models_ = (*self.models_, name)
        return self

    def _accuracies(self, part: Outcomes, held: Outcomes) -> FloatArray:
        """AvgAcc (ks,) on held-out queries; NaN where nothing that was served was measured."""
        training, plane = part.queries.embedded(WHO).astype(np.float32), Plane.of(part.score, 0.0)
        estimate = np.empty((len(self.ks), *held.score.shape))
        for block, masks in near_rows(training, held.queries.embedded(WHO), self.ks, Cells.of(training)):
            for i, near in enumerate(masks):
                estimate[i, block] = plane.mean(near)
        unpriced = np.full(held.score.shape, np.nan)
        picks = [by_name(Estimate(held.models, score, unpriced)) for score in estimate]
        served = held.score[np.arange(len(held))[:, None], np.array(picks).T]
        return avg_acc(dataset_means(served, held.dataset, held.datasets).T)

    def predict(self, queries: Queries) -> Estimate:
        """Mean outcome of the neighbours (n, m)."""
        score, cost = np.empty((2, len(queries), len(self.models_)))
        for block, (near,) in near_rows(self.embedding_, queries.embedded(WHO), [self.k_], self.cells_):
            score[block], cost[block] = self.score_.mean(near), self.cost_.mean(near)
        return Estimate(self.models_, score, cost)
