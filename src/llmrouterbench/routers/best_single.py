"""One model for every query: the best on train."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.metrics import avg_acc, best_single, dataset_means
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries


class BestSingle:
    """Serve the model with the highest training AvgAcc: the baseline that a router must beat.

    Differs: the paper's Best Single is the best on the test part, in hindsight; this one is chosen before.
    Source: LLMRouterBench (arXiv 2601.07206), section 3.4.
    """

    weights = np.zeros(1)

    def fit(self, train: Outcomes) -> Self:
        """Learn every model's mean outcome."""
        acc = dataset_means(train.score, train.dataset, train.datasets)
        cost = dataset_means(train.cost, train.dataset, train.datasets)
        self.models_ = train.models
        self.best_ = best_single(acc)
        self.score_ = np.nan_to_num(avg_acc(acc.T), nan=0.0)
        self.cost_ = avg_acc(cost.T)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """The same estimate for every query."""
        shape = (len(queries), len(self.models_))
        return Estimate(self.models_, np.broadcast_to(self.score_, shape), np.broadcast_to(self.cost_, shape))

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) the best model, whatever the weight."""
        return np.full((len(weights), len(queries)), self.best_, dtype=np.int64)
