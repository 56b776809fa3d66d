"""EquiRouter: learn which model beats which, not what each one scores."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._linear_models import fit_affine, fit_costs, sigmoid
from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries

WHO = "router 'equirouter'"


class EquiRouter:
    """Rank the models of a query by a linear function of its embedding, fitted to pairwise comparisons.

    A pair of models with different scores on a training query costs |difference| * log(1 + exp(loser - winner)). Of
    two models with equal scores and different costs the cheaper one wins, with weight `tie`: that keeps cheap models
    in use where they suffice, instead of a collapse to the dearest. The estimate is the chance of beating a model
    drawn at random from the pool, which orders models as the ranking does and lies in [0, 1].

    Source: Lai and Ye, "When Routing Collapses: On the Degenerate Convergence of LLM Routers" (arXiv 2602.03478):
    rankings instead of scores, as the decision depends on comparisons only.
    Differs: written from the paper's argument, not from its code; a linear ranking on a frozen embedding with the
    pairwise logistic loss (RankNet; Burges et al., ICML 2005) stands in for the authors' network and loss.
    """

    grid = {"tie": (0.02, 0.0), "penalty": (10.0, 3.0, 30.0)}

    def __init__(self, tie: float = 0.02, penalty: float = 10.0) -> None:
        if not 0.0 <= tie <= 1.0:
            raise ValueError(f"tie must be between 0 and 1, got {tie:g}")
        if penalty <= 0:
            raise ValueError(f"penalty must be above 0, got {penalty:g}")
        self.tie, self.penalty = tie, penalty

    def fit(self, train: Outcomes) -> Self:
        """Fit the ranking to all comparisons of two models on a query."""
        x = train.queries.embedded(WHO)
        pairs = np.stack(np.triu_indices(len(train.models), k=1), axis=1)
        contrast = np.zeros((len(train.models), len(pairs)))
        contrast[pairs[:, 0], np.arange(len(pairs))] = 1.0
        contrast[pairs[:, 1], np.arange(len(pairs))] = -1.0
        margin = margins(train.score, known_mean(train.cost, axis=0), pairs, self.tie)
        heft, sign = np.abs(margin), np.sign(margin)

        def loss(logit: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
            lead = sign * (logit @ contrast)
            far = np.exp(-np.abs(lead))  # serves both the loss and its slope, the greater part of the work
            upset = np.where(lead > 0, far, 1.0) / (1.0 + far)
            value = np.zeros_like(logit)  # a query's whole loss stands in its first column
            value[:, 0] = (heft * (np.log1p(far) + np.maximum(-lead, 0.0))).sum(axis=1)
            return value, -(margin * upset) @ contrast.T

        self.models_ = train.models
        self.rank_ = fit_affine(x, np.zeros(train.score.shape), loss, self.penalty)
        self.measured_ = np.isfinite(train.score).any(axis=0)
        self.costs_ = fit_costs(x, train.cost)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Chance of beating a random model of the pool (n, m), and expected USD; 0 for a model never measured."""
        x = queries.embedded(WHO)
        score = np.zeros((len(queries), len(self.models_)))
        if self.measured_.any():
            score[:, self.measured_] = win_share(self.rank_(x)[:, self.measured_])
        return Estimate(self.models_, score, self.costs_(x))


def margins(score: FloatArray, cost: FloatArray, pairs: np.typing.NDArray[np.int64], tie: float) -> FloatArray:
    """By how much (n, pairs) the first model of a pair beats the second; 0 where one was not measured.

    score (n, m), mean cost (m,), pairs (p, 2); equal scores give +-tie to the cheaper model, 0 for unknown costs.

    >>> margins(np.array([[1.0, 0.25], [1.0, 1.0]]), np.array([3.0, 2.0]), np.array([[0, 1]]), 0.1).tolist()
    [[0.75], [-0.1]]
    """
    first, second = pairs[:, 0], pairs[:, 1]
    margin = score[:, first] - score[:, second]
    cheaper = np.nan_to_num(np.sign(cost[second] - cost[first]), nan=0.0)
    margin = np.where(margin == 0, tie * cheaper, margin)
    return np.nan_to_num(margin, nan=0.0)


def win_share(logit: FloatArray) -> FloatArray:
    """Mean chance (n, m) of beating a model of the pool, itself included at 1/2; rises with the logit.

    >>> win_share(np.array([[0.0, 0.0], [100.0, 0.0]])).tolist()
    [[0.5, 0.5], [0.75, 0.25]]
    """
    return np.asarray(np.mean([sigmoid(logit - logit[:, [j]]) for j in range(logit.shape[1])], axis=0))
