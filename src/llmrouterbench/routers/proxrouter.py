"""ProxRouter: means over clusters or neighbours that weigh more the nearer they are, by an exponential tilt."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._probes import fit_centroids, nearest
from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries

WHO = "router 'proxrouter'"
_BLOCK = 128


class ProxRouter:
    """Expect the mean of all references, each weighing (its training queries) * exp(-distance / temperature).

    References are the centroids of k-means clusters, or the k nearest training queries, of one query each. Distance is
    1 - cosine. A cold temperature is the nearest reference alone; a hot one the plain mean of all, which a query that
    is like none of them is safer with.

    references   "clusters" or "neighbours"
    k            how many
    temperature  of the tilt

    Source: Patel et al., "ProxRouter: Proximity-Weighted LLM Query Routing for Improved Robustness to Outliers" (arXiv
    2510.09852), its KM-Prox and kNN-Prox.
    Differs: the temperature has a grid for `--tune`; a model that no reference measured has its overall mean.
    """

    grid = {"temperature": (0.1, 0.03, 0.3)}

    def __init__(self, references: str = "clusters", k: int = 64, temperature: float = 0.1, seed: int = 42) -> None:
        if references not in ("clusters", "neighbours"):
            raise ValueError(f"references must be 'clusters' or 'neighbours', got {references!r}")
        if k < 1 or temperature <= 0:
            raise ValueError(f"k must be at least 1 and temperature above 0, got {k} and {temperature:g}")
        self.references, self.k, self.temperature, self.seed = references, k, temperature, seed

    def fit(self, train: Outcomes) -> Self:
        """Find the references, with the sums of what was measured there."""
        self.models_ = train.models
        place = train.queries.embedded(WHO)
        score, cost = _sums(train.score), _sums(train.cost)
        if self.references == "clusters":
            centroid = fit_centroids(place, self.k, self.seed)
            members = np.eye(len(centroid))[nearest(place, centroid)].T
            place, score, cost = centroid, members @ score, members @ cost
        length = np.linalg.norm(place, axis=1, keepdims=True)
        self.place_, self.score_, self.cost_ = place / np.where(length > 0, length, 1.0), score, cost
        self.overall_ = np.nan_to_num(known_mean(train.score, axis=0)), known_mean(train.cost, axis=0)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Tilted means (n, m)."""
        embedding, m = queries.embedded(WHO), len(self.models_)
        score, cost = np.empty((2, len(queries), m))
        for start in range(0, len(queries), _BLOCK):
            block = slice(start, start + _BLOCK)
            similarity = embedding[block] @ self.place_.T
            if self.references == "neighbours":
                last = len(self.place_) - min(self.k, len(self.place_))
                least = np.partition(similarity, last, axis=1)[:, [last]]
                similarity = np.where(similarity >= least, similarity, -np.inf)
            tilt = np.exp((similarity - similarity.max(axis=1, keepdims=True)) / self.temperature)
            score[block] = _mean(tilt @ self.score_, self.overall_[0])
            cost[block] = _mean(tilt @ self.cost_, self.overall_[1])
        return Estimate(self.models_, score, cost)


def _sums(plane: FloatArray) -> FloatArray:
    """Values (n, 2 m): measured ones, 0 elsewhere, then 1 where measured."""
    known = np.isfinite(plane)
    return np.hstack([np.where(known, plane, 0.0), known])


def _mean(sums: FloatArray, otherwise: FloatArray) -> FloatArray:
    total, weight = np.split(sums, 2, axis=1)
    tiny = 1e-12  # farther than 27 temperatures is no evidence
    return np.where(weight > tiny, total / np.maximum(weight, tiny), otherwise)
