"""What a log lets believe of models and tasks: expectations, corrected as far as trials allow.

Pseudo-outcomes are right on average and too noisy to choose by: of many models the luckiest would serve. A correction
here is the weighted mean of residuals, drawn to what is usual where its trials are few.

Sources: self-normalised weights, Swaminathan, Joachims 2015; shrinkage, Morris 1983; the variance between, Paule,
Mandel 1982.
"""

from __future__ import annotations

import numpy as np

from llmrouterbench.table import FloatArray, IntArray, StrArray

MODELS, TASKS = 0.1, 0.01
"""Models, and tasks of a model, differ by so much at least: what was measured of models keeps its weight."""


def believed(expected: FloatArray, weight: FloatArray, residual: FloatArray, dataset: StrArray) -> FloatArray:
    """Expected scores (n, m), corrected by the residuals of models, and of tasks (n,) where there are several.

    weight, residual  (n, m) see `Pseudo`; a model without trials is left as it is expected
    """
    trials = weight > 0
    noise = float((residual[trials] ** 2).mean()) if trials.any() else 0.0
    mean, variance = _mean_residual(weight, residual, np.zeros(len(weight), dtype=np.int64), noise)
    level = expected.mean(axis=0) + mean[0]
    corrected = expected + np.where(np.isfinite(variance[0]), mean[0] + shrunk(level, variance[0], MODELS) - level, 0.0)
    names, task = np.unique(dataset, return_inverse=True)
    if len(names) > 1:
        own, variance = _mean_residual(weight, residual, task, noise)
        corrected = corrected + shrunk(own - mean[0], variance, TASKS, usual=0.0)[task]
    return np.asarray(corrected)


def _mean_residual(
    weight: FloatArray, residual: FloatArray, task: IntArray, noise: float
) -> tuple[FloatArray, FloatArray]:
    """Weighted mean (t, m) of the residuals of each task, and its variance; 0 and infinite without a trial."""
    members = np.eye(int(task.max()) + 1)[:, task]
    total, square = members @ weight, members @ weight**2
    mean, variance = np.zeros(total.shape), np.full(total.shape, np.inf)
    np.divide(members @ (weight * residual), total, out=mean, where=total > 0)
    np.divide(noise * square, total**2, out=variance, where=total > 0)
    return mean, variance


def shrunk(value: FloatArray, variance: FloatArray, least: float, usual: float | None = None) -> FloatArray:
    """Values drawn to what is usual (else to their mean), each by its variance against how far they differ beyond it.

    They differ by `least` at least (a standard deviation). A value of infinite variance is what is usual.

    >>> shrunk(np.array([0.2, 0.4, 0.9]), np.array([0.0, 0.0, np.inf]), 0.1).round(2).tolist()
    [0.2, 0.4, 0.3]
    """
    some = np.isfinite(variance)
    if not some.any():
        return np.full(value.shape, 0.0 if usual is None else usual)
    known, own = value[some], variance[some]

    def middle(between: float) -> float:
        return float(np.average(known, weights=1.0 / (own + between))) if usual is None else usual

    def excess(between: float) -> float:
        return float(((known - middle(between)) ** 2 / (own + between)).sum()) - (len(known) - (usual is None))

    low, high = least**2, 1.0
    if excess(low) <= 0:
        high = low
    for _ in range(40):
        half = np.sqrt(low * high)
        low, high = (half, high) if excess(half) > 0 else (low, half)
    center, kept = middle(low), low / (low + variance)
    return np.asarray(center + kept * (value - center))
