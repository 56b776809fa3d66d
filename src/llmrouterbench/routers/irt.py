"""IRT-Router: item response theory, with models as examinees and queries as items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._linear_models import fit_costs, logistic_loss, sigmoid
from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries

WHO = "router 'irt'"


@dataclass(frozen=True)
class Items:
    """What the embedding (d,) of a query says of it as a test item, and what the models can do.

    discrimination  (d + 1, k) the item's discriminations are softplus of x @ this, the last row for a constant
    difficulty      (d + 1,) the item's difficulty is x @ this
    ability         (k, m) abilities of the models
    """

    discrimination: FloatArray
    difficulty: FloatArray
    ability: FloatArray

    def logit(self, x: FloatArray) -> FloatArray:
        """Log odds (n, m) of a right answer to items x (n, d + 1)."""
        return np.asarray(np.logaddexp(0.0, x @ self.discrimination) @ self.ability - (x @ self.difficulty)[:, None])


class IRT:
    """Expect score sigmoid(a . theta - b): ability theta of the model, discrimination a and difficulty b of the query.

    dims     number of abilities
    penalty  on the sum of squares of all parameters but the constants, against the summed cross-entropy
    steps    at most this many iterations of L-BFGS

    Abilities, and the linear maps from the embedding to discrimination and difficulty, are fitted together; fractional
    scores are fractional labels. `items_.ability` and `difficulty` can be read: who can do what, and what is hard.

    Source: Song et al., "IRT-Router" (arXiv 2506.01048), MIRT-Router, 25 dimensions as in the authors' code.
    Differs: abilities are free parameters, where the paper maps a text about the model to them; a full-batch
    optimiser in numpy stands in for Adam; no warm-up of a query's embedding by its neighbours; cost is a regression on
    the embedding, where the paper takes a constant per model.
    """

    grid = {"penalty": (3.0, 1.0, 10.0)}

    def __init__(self, dims: int = 25, penalty: float = 3.0, steps: int = 100, seed: int = 42) -> None:
        if dims < 1 or steps < 1:
            raise ValueError(f"dims and steps must be at least 1, got {dims} and {steps}")
        if penalty <= 0:
            raise ValueError(f"penalty must be above 0, got {penalty:g}")
        self.dims, self.penalty, self.steps, self.seed = dims, penalty, steps, seed

    def fit(self, train: Outcomes) -> Self:
        """Fit abilities and item maps to all measured scores."""
        x = train.queries.embedded(WHO)
        self.models_ = train.models
        self.measured_ = np.isfinite(train.score).any(axis=0)
        self.items_ = fit_items(with_constant(x), train.score, self.dims, self.penalty, self.steps, self.seed)
        self.costs_ = fit_costs(x, train.cost)
        return self

    def difficulty(self, queries: Queries) -> FloatArray:
        """Difficulty (n,) of queries, in log odds."""
        return np.asarray(with_constant(queries.embedded(WHO)) @ self.items_.difficulty)

    def predict(self, queries: Queries) -> Estimate:
        """Expected outcomes (n, m); score 0 for a model that was never measured."""
        x = queries.embedded(WHO)
        score = sigmoid(self.items_.logit(with_constant(x)))
        return Estimate(self.models_, np.where(self.measured_, score, 0.0), self.costs_(x))


def with_constant(x: FloatArray) -> FloatArray:
    """Rows (n, d) with a last column of ones."""
    return np.hstack([x, np.ones((len(x), 1))])


def fit_items(x: FloatArray, score: FloatArray, dims: int, penalty: float, steps: int, seed: int) -> Items:
    """Minimise cross-entropy + penalty / 2 * (squares) over x (n, d + 1) and scores (n, m), NaN left out."""
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    known = np.isfinite(score)
    filled = np.where(known, score, 0.0)
    n, (d, m) = max(int(known.any(axis=1).sum()), 1), (x.shape[1], score.shape[1])
    cuts = np.cumsum([d * dims, d])

    def unpack(flat: FloatArray) -> Items:
        discrimination, difficulty, ability = np.split(flat, cuts)
        return Items(discrimination.reshape(d, dims), difficulty, ability.reshape(dims, m))

    def objective(flat: FloatArray) -> tuple[float, FloatArray]:
        items = unpack(flat)
        raw = x @ items.discrimination
        sharp = np.logaddexp(0.0, raw)
        value, slope = logistic_loss(sharp @ items.ability - (x @ items.difficulty)[:, None], filled)
        slope = np.where(known, slope, 0.0)
        back = x.T @ ((slope @ items.ability.T) * sigmoid(raw))
        gradient = np.concatenate([back.ravel(), -(x.T @ slope.sum(axis=1)), (sharp.T @ slope).ravel()])
        shrunk = penalty * flat * free
        total = float(np.where(known, value, 0.0).sum()) + 0.5 * float(shrunk @ flat)
        return total / n, (gradient + shrunk) / n

    free = np.ones(cuts[-1] + dims * m)
    free[cuts[0] - dims : cuts[0]] = free[cuts[1] - 1] = 0.0  # the constants
    start = 0.1 * np.random.default_rng(seed).standard_normal(len(free))
    start[cuts[1] :] += _mean_ability(score, dims)
    with threadpool_limits(limits=1):  # the same sums on every machine
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    return unpack(found.x)


def _mean_ability(score: FloatArray, dims: int) -> FloatArray:
    """Abilities (dims * m,) with which items of average discrimination give every model its mean score."""
    mean = np.clip(np.nan_to_num(known_mean(score, axis=0), nan=0.5), 0.02, 0.98)
    return np.tile(np.log(mean / (1.0 - mean)) / (dims * np.log(2.0)), dims)
