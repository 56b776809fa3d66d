"""Models linear in the embedding, fitted by one optimiser: what several routers share.

`fit_affine` minimises any smooth loss of logits with L-BFGS; `fit_ridge` has a closed form. Targets are fractions, not
classes, and NaN where nothing was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.table import FloatArray

Loss = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""Loss and its derivative by the logit, both (n, c), from logits and targets (n, c)."""

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Ridge penalties to choose from."""
_LEADS = (300.0, 1000.0, 10_000.0)
"""Further penalties where what a model adds to what all share may be nothing."""
_CURVATURE = 0.25
"""Typical second derivative of a loss by its logit; it only speeds the search up."""
_SLOPE_STOP, _LOSS_STOP = 0.01, 1e7


@dataclass(frozen=True)
class Affine:
    """Logits x @ weight + bias, with weight (d, c) and bias (c,)."""

    weight: FloatArray
    bias: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """Logits (n, c) of rows (n, d)."""
        return np.asarray(x @ self.weight + self.bias)


@dataclass(frozen=True)
class CostModel:
    """Expected USD, linear in the embedding and kept within what a model cost in training: low and high (m,)."""

    affine: Affine
    low: FloatArray
    high: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """USD (n, m); NaN for a model without a known cost."""
        return np.clip(self.affine(x), self.low, self.high)


def softmax_loss(logit: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cross-entropy of probabilities softmax(logit) against target shares that sum to 1.

    >>> loss, slope = softmax_loss(np.zeros((1, 2)), np.array([[1.0, 0.0]]))
    >>> loss.sum().round(4).item(), slope.tolist()
    (0.6931, [[-0.5, 0.5]])
    """
    chance = softmax(logit)
    return -target * np.log(np.maximum(chance, np.finfo(np.float64).tiny)), chance - target


def logistic_loss(logit: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cross-entropy of one probability per column against a target fraction.

    >>> loss, slope = logistic_loss(np.zeros((1, 1)), np.array([[0.5]]))
    >>> loss.round(4).tolist(), slope.tolist()
    ([[0.6931]], [[0.0]])
    """
    return np.logaddexp(0.0, logit) - target * logit, sigmoid(logit) - target


def squared_hinge_loss(logit: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Squared hinge of a margin machine; a fraction t is the label +1 with weight t and -1 with weight 1 - t.

    The logit that minimises it is 2 * target - 1.

    >>> [part.tolist() for part in squared_hinge_loss(np.array([[0.0, 0.5]]), np.array([[1.0, 0.75]]))]
    [[[1.0, 0.75]], [[-2.0, 0.0]]]
    """
    short, over = np.maximum(0.0, 1.0 - logit), np.maximum(0.0, 1.0 + logit)
    return target * short**2 + (1.0 - target) * over**2, 2.0 * ((1.0 - target) * over - target * short)


def softmax(logit: FloatArray) -> FloatArray:
    """Probabilities (n, c) along the last axis."""
    chance = np.exp(logit - logit.max(axis=-1, keepdims=True))
    return np.asarray(chance / chance.sum(axis=-1, keepdims=True))


def sigmoid(logit: FloatArray) -> FloatArray:
    """1 / (1 + exp(-logit)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logit)))


def fit_affine(x: FloatArray, target: FloatArray, loss: Loss, penalty: float, steps: int = 500) -> Affine:
    """Minimise the summed loss plus penalty / 2 * sum(weight^2); the bias is free.

    x (n, d), target (n, c); a NaN target counts for nothing, and a column of NaN stays at logit 0. The search runs in
    coordinates in which the curvature is near 1 in every direction, where a slope of 0.01 is 1 % of a standard error;
    it takes at most `steps` steps. A loss may have any shape when every target is known.
    """
    from scipy.optimize import fmin_l_bfgs_b
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    known = np.isfinite(target)
    complete = bool(known.all())
    filled = np.where(known, target, 0.0)
    with threadpool_limits(limits=1):  # the matrices are small: more threads only wait for one another
        z, base, middle = _rounded(x, penalty)
        own = penalty * (base**2).sum(axis=0)[:, None]

        def objective(flat: FloatArray) -> tuple[float, FloatArray]:
            weight = flat.reshape(z.shape[1], -1)
            value, slope = loss(z @ weight, filled)
            if not complete:
                value, slope = value[known], np.where(known, slope, 0.0)
            gradient = z.T @ slope + own * weight
            return float(value.sum()) + 0.5 * float((own * weight**2).sum()), gradient.ravel()

        start = np.zeros(z.shape[1] * target.shape[1])
        found, *_ = fmin_l_bfgs_b(objective, start, factr=_LOSS_STOP, pgtol=_SLOPE_STOP, maxiter=steps)
    rounded: FloatArray = np.reshape(found, (z.shape[1], -1))
    weight = base @ rounded
    return Affine(weight, rounded[-1] / np.sqrt(_CURVATURE * max(len(x), 1)) - middle @ weight)


def _rounded(x: FloatArray, penalty: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rows (n, d) as rows (n, d + 1) in which every direction, the bias last, has a curvature near 1.

    Also the map (d, d + 1) from weights of the new rows to weights of the old, and the mean (d,) taken out.
    """
    n = max(len(x), 1)
    middle = x.sum(axis=0) / n
    centred = x - middle
    strength, axes = np.linalg.eigh(centred.T @ centred)
    base = axes / np.sqrt(np.maximum(strength, 0.0) * _CURVATURE + penalty)
    bias = np.full((len(x), 1), 1.0 / np.sqrt(_CURVATURE * n))
    return np.hstack([centred @ base, bias]), np.hstack([base, np.zeros((len(base), 1))]), middle


def fit_ridge(x: FloatArray, target: FloatArray, penalties: tuple[float, ...], *, one_penalty: bool = False) -> Affine:
    """Least squares plus penalty * sum(weight^2), the bias free; leave-one-out error chooses among the penalties.

    x (n, d), target (n, c). Columns that are measured on the same rows are solved together and share the penalty; with
    `one_penalty` all columns do. A column that was never measured predicts 0.
    """
    known = np.isfinite(target)
    weight, bias = np.zeros((x.shape[1], target.shape[1])), np.zeros(target.shape[1])
    patterns, pattern = np.unique(known, axis=1, return_inverse=True)
    solved = []
    for i in np.flatnonzero(patterns.any(axis=0)).tolist():
        columns = np.flatnonzero(pattern.ravel() == i)
        rows = patterns[:, i]
        solved.append((columns, _Ridge.of(x[rows], target[np.ix_(rows, columns)])))
    every = [one for _, one in solved]
    for columns, one in solved:
        weight[:, columns], bias[columns] = one.solution(_least_error(every if one_penalty else [one], penalties))
    return Affine(weight, bias)


@dataclass(frozen=True)
class _Ridge:
    """Ridge regression of complete targets (n, c), in the axes of x in which it is solved for any penalty."""

    middle: FloatArray
    mean: FloatArray
    y: FloatArray
    strength: FloatArray
    axes: FloatArray
    projected: FloatArray
    moment: FloatArray

    @classmethod
    def of(cls, x: FloatArray, target: FloatArray) -> _Ridge:
        middle, mean = x.mean(axis=0), target.mean(axis=0)
        centred, y = x - middle, target - mean
        strength, axes = np.linalg.eigh(centred.T @ centred)
        projected = centred @ axes
        return cls(middle, mean, y, np.maximum(strength, 0.0), axes, projected, projected.T @ y)

    def _solve(self, penalty: float) -> FloatArray:
        return np.asarray(self.moment / (self.strength + penalty)[:, None])

    def solution(self, penalty: float) -> tuple[FloatArray, FloatArray]:
        """Weight (d, c) and bias (c,)."""
        weight = self.axes @ self._solve(penalty)
        return weight, self.mean - self.middle @ weight

    def left_out_error(self, penalty: float) -> float:
        own = 1.0 / len(self.y) + (self.projected**2 / (self.strength + penalty)).sum(axis=1)
        residual = (self.y - self.projected @ self._solve(penalty)) / np.maximum(1.0 - own, 1e-9)[:, None]
        return float((residual**2).sum())


def _least_error(problems: list[_Ridge], penalties: tuple[float, ...]) -> float:
    """The penalty of the least leave-one-out error over all problems, the highest on a tie."""
    if len(penalties) == 1:
        return penalties[0]
    return min(sorted(penalties, reverse=True), key=lambda one: sum(part.left_out_error(one) for part in problems))


def fit_pooled(x: FloatArray, target: FloatArray, penalties: tuple[float, ...]) -> Affine:
    """Ridge in two steps: by how much a query (n, d) lies above the means of columns, then each column's lead there.

    The columns (n, c) share the penalty of their leads; one that was never measured predicts the former alone.
    """
    mean = np.nan_to_num(known_mean(target, axis=0))
    shared = fit_ridge(x, known_mean(target - mean, axis=1)[:, None], penalties)
    leads = penalties if len(penalties) == 1 else (*penalties, *_LEADS)
    lead = fit_ridge(x, target - mean - shared(x), leads, one_penalty=True)
    return Affine(shared.weight + lead.weight, mean + shared.bias + lead.bias)


def fit_costs(x: FloatArray, cost: FloatArray) -> CostModel:
    """Ridge regression of USD (n, m) on embeddings (n, d), each model in units of its own mean cost."""
    unit = known_mean(cost, axis=0)
    unit = np.where(np.isfinite(unit) & (unit > 0), unit, 1.0)
    affine = fit_ridge(x, cost / unit, PENALTIES)
    known = np.isfinite(cost)
    ever = known.any(axis=0)
    low = np.where(ever, np.where(known, cost, np.inf).min(axis=0), np.nan)
    high = np.where(ever, np.where(known, cost, -np.inf).max(axis=0), np.nan)
    return CostModel(Affine(affine.weight * unit, affine.bias * unit), low, high)
