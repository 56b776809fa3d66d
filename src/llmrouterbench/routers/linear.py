"""One linear model per LLM."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from llmrouterbench.routers._linear_models import (
    PENALTIES,
    fit_affine,
    fit_costs,
    fit_pooled,
    fit_ridge,
    logistic_loss,
    sigmoid,
)
from llmrouterbench.table import Estimate, Outcomes, Queries


class LinearRouter:
    """Predict every model's score by a linear function of the embedding: ridge, or logistic regression.

    kind     "ridge" or "logistic" (fractional scores are fractional labels)
    penalty  ridge penalty on the sum of the losses; None lets the leave-one-out error of ridge choose it, and means
             1 for logistic
    pooled   of ridge: learn from all models what a query is worth, and of each only its lead; for models that were
             measured on few queries each, as in a log

    Costs are ridge regressions of USD, kept within what each model cost in training.

    Source: the linear utility model of Li, "Rethinking predictive modeling for LLM routing" (arXiv 2505.12601).
    Differs: score and cost are predicted apart, so that one fit serves every trade-off.
    """

    grid = {"kind": ("ridge", "logistic")}

    def __init__(
        self, kind: Literal["ridge", "logistic"] = "ridge", penalty: float | None = None, pooled: bool = False
    ) -> None:
        if kind not in ("ridge", "logistic"):
            raise ValueError(f"kind must be 'ridge' or 'logistic', got {kind!r}")
        if penalty is not None and penalty <= 0:
            raise ValueError(f"penalty must be above 0, got {penalty}")
        if pooled and kind != "ridge":
            raise ValueError(f"pooled needs kind 'ridge', got {kind!r}")
        self.kind, self.penalty, self.pooled = kind, penalty, pooled

    def fit(self, train: Outcomes) -> Self:
        """Regress scores and costs on the embedding."""
        x = train.queries.embedded("router 'linear'")
        self.models_ = train.models
        self.measured_ = np.isfinite(train.score).any(axis=0)
        penalties = PENALTIES if self.penalty is None else (self.penalty,)
        if self.pooled:
            self.score_ = fit_pooled(x, train.score, penalties)
        elif self.kind == "ridge":
            self.score_ = fit_ridge(x, train.score, penalties)
        else:
            self.score_ = fit_affine(x, train.score, logistic_loss, 1.0 if self.penalty is None else self.penalty)
        self.cost_ = fit_costs(x, train.cost)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Expected outcomes (n, m); a ridge score may lie outside [0, 1]."""
        x = queries.embedded("router 'linear'")
        score = self.score_(x) if self.kind == "ridge" else sigmoid(self.score_(x))
        return Estimate(self.models_, np.where(self.measured_, score, 0.0), self.cost_(x))
