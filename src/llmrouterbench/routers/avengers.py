"""Avengers: the best model of the nearest cluster."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.routers._clusters import cluster_estimate, fit_clusters, rank_vote
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries


class Avengers:
    """Cluster the training queries, rank the models in each cluster, serve the first of the nearest cluster's ranking.

    With top_k > 1 the nearest clusters vote with weight softmax(-beta * distance) and 1 / (rank + 1) a model.

    Source: Zhang et al., "The Avengers" (arXiv 2505.19797), section 3; k = 64 as in LLMRouterBench
    (arXiv 2601.07206), section B.3. Picks agree with the official code on the same embeddings and split.
    Differs: an outcome that was not measured is left out of a cluster's mean, and a model without any in a cluster
    ranks last there; the official code counts it as score 0 at cost 0.
    """

    weights = np.zeros(1)
    grid = {"k": (64, 32, 16)}

    def __init__(self, k: int = 64, top_k: int = 1, beta: float = 9.0, seed: int = 42) -> None:
        if k < 1 or top_k < 1:
            raise ValueError(f"k and top_k must be at least 1, got {k} and {top_k}")
        self.k, self.top_k, self.beta, self.seed = k, top_k, beta, seed

    def fit(self, train: Outcomes) -> Self:
        """Cluster the training queries."""
        self.clusters_ = fit_clusters(train, self.k, self.seed, "router 'avengers'")
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Means of the nearest cluster (n, m)."""
        return cluster_estimate(self.clusters_, queries, "router 'avengers'")

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) the vote's winner; there is no dial, so every weight gives the same."""
        near, distance = self.clusters_.nearest(queries, "router 'avengers'", self.top_k)
        return np.tile(rank_vote(self.clusters_, self.clusters_.score, near, distance, self.beta), (len(weights), 1))
