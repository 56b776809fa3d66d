"""A gate for any router: the best single model unless routing pays on train."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from llmrouterbench.contracts import Router, TradeOffRouter
from llmrouterbench.persist import SavesFiles
from llmrouterbench.routers import make_router, parse_router
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries
from llmrouterbench.worth import capped, out_of_fold_gain, train_best_single


class Gated:
    """Wrap a router; when its out-of-fold AvgAcc on train is not above the best single model's, serve that model.

    router  the inner router with its settings, "knn" or "avengers:k=32;top_k=3" (a semicolon or a comma between them)
    folds   parts of train, each served by a router that was fitted on the others

    With the gate closed no other model counts as better than the best single one, but the dial can still choose a
    cheaper one that is as good. A router with a dial of its own keeps it; only its last setting, the one for quality,
    serves the best single model.

    Source: this project's probe of routers on seven sets of outcomes: the gate changes nothing where routing helps
    and restores the best single model where one model dominates. Fitting takes folds + 1 times as long.
    """

    weights: FloatArray

    def __init__(self, router: str = "knn", folds: int = 5, seed: int = 42) -> None:
        if folds < 2:
            raise ValueError(f"folds must be at least 2, got {folds}")
        self.router, self.folds, self.seed = router, folds, seed
        inner = self._made()
        if isinstance(inner, TradeOffRouter):  # only then is this router one too
            self.weights = inner.weights

    def _made(self) -> Router:
        name, settings = parse_router(self.router.replace(";", ","))
        return make_router(name, **settings)

    def fit(self, train: Outcomes) -> Self:
        """Fit the inner router, and measure its out-of-fold gain over the best single model."""
        self.inner_ = self._made().fit(train)
        self.best_ = train_best_single(train)
        self.gain_ = out_of_fold_gain(self._made(), train, self.folds, self.seed)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """The inner router's estimate (n, m); with the gate closed, no model is above the best single one."""
        estimate = self.inner_.predict(queries)
        if self.gain_.positive:
            return estimate
        return Estimate(estimate.models, capped(estimate.score, self.best_), estimate.cost)

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) choices on the inner router's own dial. Raises TypeError where it has none."""
        if not isinstance(self.inner_, TradeOffRouter):
            raise TypeError(f"router {self.router!r} has no dial of its own; use its estimate")
        choice = np.array(self.inner_.decide_sweep(queries, weights))
        if not self.gain_.positive:
            choice[weights == self.weights[-1]] = self.best_
        return choice

    def save_files(self, folder: Path) -> None:
        """Let the inner router write its files."""
        if isinstance(self.inner_, SavesFiles):
            self.inner_.save_files(folder)

    def load_files(self, folder: Path) -> None:
        """Let the inner router read its files."""
        if isinstance(self.inner_, SavesFiles):
            self.inner_.load_files(folder)
