"""CARROT: plug in estimates of quality and cost, and weigh them."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._linear_models import PENALTIES, fit_costs, fit_ridge
from llmrouterbench.routers._neighbours import Cells, Plane, near_rows
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

WHO = "router 'carrot'"


class Carrot:
    """Estimate score and cost of every model apart, then serve argmax (1 - mu) * score - mu * cost.

    estimator  "knn" (means over the k nearest training queries) or "linear" (ridge regression on the embedding)
    mu         the dial, 1 (cheapest) to 0 (best) in 101 settings; one unit of cost is what the dearest model cost on
               average in training, so that the dial spans the whole curve whatever the prices

    Source: Somerstep et al., "CARROT: A Cost Aware Rate Optimal Router" (arXiv 2502.03261): the plug-in rule and its
    CARROT-KNN estimator; "linear" stands in for the fine-tuned RoBERTa heads on a frozen encoder.
    Differs: costs are in units of the dearest model, where the paper weighs USD; k is a setting with a grid for
    tuning, where the authors cross-validate powers of two up to 512.
    """

    weights = np.linspace(1.0, 0.0, 101)
    grid = {"k": (128, 16, 32, 64, 256, 512)}
    cells_: Cells | None = None

    def __init__(self, estimator: Literal["knn", "linear"] = "knn", k: int = 128) -> None:
        if estimator not in ("knn", "linear"):
            raise ValueError(f"estimator must be 'knn' or 'linear', got {estimator!r}")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.estimator, self.k = estimator, k

    def fit(self, train: Outcomes) -> Self:
        """Remember the training queries, or regress on their embedding."""
        x = train.queries.embedded(WHO)
        mean_cost = known_mean(train.cost, axis=0)
        dearest = float(np.nanmax(mean_cost)) if np.isfinite(mean_cost).any() else 0.0
        self.models_ = train.models
        self.unit_ = dearest if dearest > 0 else 1.0
        self.measured_ = np.isfinite(train.score).any(axis=0)
        if self.estimator == "knn":
            self.training_ = x.astype(np.float32)
            self.cells_ = Cells.of(self.training_)
            self.planes_ = (Plane.of(train.score, 0.0), Plane.of(train.cost, np.nan))
        else:
            self.affine_, self.costs_ = fit_ridge(x, train.score, PENALTIES), fit_costs(x, train.cost)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Expected outcomes (n, m)."""
        x = queries.embedded(WHO)
        if self.estimator == "linear":
            return Estimate(self.models_, np.where(self.measured_, self.affine_(x), 0.0), self.costs_(x))
        score, cost = np.empty((2, len(queries), len(self.models_)))
        for block, (near,) in near_rows(self.training_, x, [self.k], self.cells_):
            score[block], cost[block] = (plane.mean(near) for plane in self.planes_)
        return Estimate(self.models_, score, cost)

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) model for every mu; an unknown cost counts as the dearest known one of the query."""
        estimate = self.predict(queries)
        order = np.argsort(np.array(self.models_, dtype=np.str_), kind="stable")
        score, cost = estimate.score[:, order], estimate.cost[:, order] / self.unit_
        known = np.isfinite(cost)
        dearest = np.where(known, cost, 0.0).max(axis=1, keepdims=True)
        cost = np.where(known, cost, dearest)
        return np.array([order[((1.0 - mu) * score - mu * cost).argmax(axis=1)] for mu in weights], dtype=np.int64)
