"""Avengers-Pro: the nearest cluster's best balance of score and cost."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.routers._clusters import Clusters, cluster_estimate, fit_clusters, rank_vote
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries


class AvengersPro:
    """Avengers with a dial: rank models in each cluster by alpha * score + (1 - alpha) * cheapness.

    Score is min-max normalised over the models of a cluster (1 for all when equal); cheapness is 1 - cost / dearest.
    The dial alpha has 101 settings, 0 to 1; all of them come from one clustering.

    Source: Zhang et al., "Beyond GPT-5: ..., Avengers-Pro" (arXiv 2508.12631), section 2; k = 64 and 101 settings as
    in LLMRouterBench (arXiv 2601.07206), section B.3.
    Differs: an outcome that was not measured is left out of a cluster's mean, and a model without any in a cluster
    ranks last there, where the official code counts it as score 0 at cost 0 and so serves it when alpha is small.
    A model whose cost is not known counts as the dearest.
    """

    weights = np.linspace(0.0, 1.0, 101)
    grid = {"k": (64, 32, 16)}

    def __init__(self, k: int = 64, top_k: int = 1, beta: float = 9.0, seed: int = 42) -> None:
        if k < 1 or top_k < 1:
            raise ValueError(f"k and top_k must be at least 1, got {k} and {top_k}")
        self.k, self.top_k, self.beta, self.seed = k, top_k, beta, seed

    def fit(self, train: Outcomes) -> Self:
        """Cluster the training queries, once for all settings of the dial."""
        self.clusters_ = fit_clusters(train, self.k, self.seed, "router 'avengers_pro'")
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Means of the nearest cluster (n, m)."""
        return cluster_estimate(self.clusters_, queries, "router 'avengers_pro'")

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) the vote's winner for each alpha."""
        near, distance = self.clusters_.nearest(queries, "router 'avengers_pro'", self.top_k)
        score, cheapness = normalised(self.clusters_)
        return np.array(
            [rank_vote(self.clusters_, a * score + (1 - a) * cheapness, near, distance, self.beta) for a in weights]
        )


def normalised(clusters: Clusters) -> tuple[FloatArray, FloatArray]:
    """Score and cheapness (k, m), each in [0, 1] within its cluster; the score is NaN where nothing was measured."""
    low, high = np.nanmin(clusters.score, axis=1, keepdims=True), np.nanmax(clusters.score, axis=1, keepdims=True)
    spread = high - low
    score = np.where(spread > 0, (clusters.score - low) / np.where(spread > 0, spread, 1.0), clusters.score * 0 + 1)
    known = np.isfinite(clusters.cost)
    dearest = np.where(known, clusters.cost, 0.0).max(axis=1, keepdims=True)
    cheapness = np.where(
        dearest > 0, 1.0 - np.where(known, clusters.cost, dearest) / np.where(dearest > 0, dearest, 1.0), 1.0
    )
    return score, cheapness
