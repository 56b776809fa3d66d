"""One support vector machine per LLM."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.routers._linear_models import Affine, fit_affine, fit_costs, squared_hinge_loss
from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries

_FLOOR = 1e-6


class SVMRouter:
    """Classify solved and not solved for every model by a support vector machine with an RBF kernel.

    The kernel exp(-gamma * |x - z|^2) is approximated by its values at `landmarks` training queries (Nystroem), and
    the squared hinge is minimised for all models together, so that thousands of queries take seconds. A fractional
    score t is the label "solved" with weight t and "not solved" with weight 1 - t. The squared hinge is smallest at
    2 p - 1, so (margin + 1) / 2 within [0, 1] is the expected score and margins of different models compare.

    c          weight of the losses against the norm, as in scikit-learn
    gamma      kernel width; None is 1 / (total variance of the embedding)
    landmarks  training queries in the approximation; with as many as there are queries the kernel is exact

    Costs are ridge regressions of USD.

    Source: the SVM router that LLMRouterBench (arXiv 2601.07206) lists for RouterBench (Hu et al. 2024, arXiv
    2403.12031); Williams and Seeger 2001 (Nystroem); Zhang 2004, Annals of Statistics 32(1) (squared hinge).
    Differs: squared instead of plain hinge, approximate kernel; the bias is not penalised.
    """

    grid = {"c": (1.0, 0.1, 10.0)}

    def __init__(self, c: float = 1.0, gamma: float | None = None, landmarks: int = 400, seed: int = 42) -> None:
        if c <= 0 or landmarks < 1 or (gamma is not None and gamma <= 0):
            raise ValueError(f"c, gamma and landmarks must be above 0, got {c}, {gamma} and {landmarks}")
        self.c, self.gamma, self.landmarks, self.seed = c, gamma, landmarks, seed

    def fit(self, train: Outcomes) -> Self:
        """Fit all machines."""
        x = train.queries.embedded("router 'svm'")
        variance = float(x.var(axis=0).sum())
        self.gamma_ = self.gamma if self.gamma is not None else 1.0 / variance if variance > 0 else 1.0
        distinct = np.sort(np.unique(x, axis=0, return_index=True)[1])
        chosen = np.random.default_rng(self.seed).permutation(distinct)[: self.landmarks]
        self.models_, self.measured_ = train.models, np.isfinite(train.score).any(axis=0)
        self.landmark_ = x[np.sort(chosen)]
        root = _inverse_root(self._kernel(self.landmark_))
        machine = fit_affine(self._kernel(x) @ root, train.score, squared_hinge_loss, 1.0 / self.c)
        self.margin_ = Affine(root @ machine.weight, machine.bias)
        self.cost_ = fit_costs(x, train.cost)
        return self

    def _kernel(self, x: FloatArray) -> FloatArray:
        """Kernel (n, landmarks) of rows with the landmarks."""
        square = (x**2).sum(axis=1)[:, None] + (self.landmark_**2).sum(axis=1) - 2.0 * x @ self.landmark_.T
        return np.asarray(np.exp(-self.gamma_ * np.maximum(square, 0.0)))

    def predict(self, queries: Queries) -> Estimate:
        """Expected outcomes (n, m)."""
        x = queries.embedded("router 'svm'")
        score = np.clip(0.5 * (self.margin_(self._kernel(x)) + 1.0), 0.0, 1.0)
        return Estimate(self.models_, np.where(self.measured_, score, 0.0), self.cost_(x))


def _inverse_root(kernel: FloatArray) -> FloatArray:
    """Symmetric (p, p) matrix whose square inverts the kernel matrix, up to directions of no weight."""
    strength, axes = np.linalg.eigh(kernel)
    keep = strength > _FLOOR * strength[-1]
    return np.asarray((axes[:, keep] / np.sqrt(strength[keep])) @ axes[:, keep].T)
