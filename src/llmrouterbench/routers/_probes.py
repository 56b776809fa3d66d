"""k-means clusters of probe queries, and what a model did in each: what uniroute and hiershrink share.

A model is a column of sums over clusters, so that a new one joins by its own outcomes alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.routers._k_means import k_means
from llmrouterbench.table import FloatArray, IntArray, Outcomes

_BLOCK = 4096


@dataclass(frozen=True)
class Tally:
    """Sums over the clusters of a partition.

    total  (k, m) sum of the measured values
    count  (k, m) how many there are
    """

    total: FloatArray
    count: FloatArray

    def joined(self, other: Tally) -> Tally:
        """These models, then those of another tally over the same clusters."""
        return Tally(np.hstack([self.total, other.total]), np.hstack([self.count, other.count]))

    def overall(self) -> FloatArray:
        """Mean (m,) over everything measured; NaN for a model that never was."""
        count = self.count.sum(axis=0)
        mean: FloatArray = np.divide(self.total.sum(axis=0), count, out=np.full(len(count), np.nan), where=count > 0)
        return mean

    def shrunk(self, toward: FloatArray, strength: float) -> FloatArray:
        """Means (k, m) pulled toward a prior (m,) or (k, m), as if it had been seen `strength` times.

        >>> Tally(np.array([[3.0], [0.0]]), np.array([[4.0], [0.0]])).shrunk(np.array([0.5]), 4.0).tolist()
        [[0.625], [0.5]]
        """
        if strength > 0:
            return np.asarray((self.total + strength * toward) / (self.count + strength))
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1.0), toward)


def fit_centroids(embedding: FloatArray, k: int, seed: int) -> FloatArray:
    """Centroids (k, d) of k-means, fewer where there are fewer distinct rows."""
    return k_means(embedding, k, seed, 1)[1]


def nearest(embedding: FloatArray, centroid: FloatArray) -> IntArray:
    """Cluster (n,) whose centroid is nearest to each row (Euclid).

    >>> nearest(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 0.9], [0.8, 0.1]])).tolist()
    [1, 0]
    """
    half = 0.5 * (centroid**2).sum(axis=1)
    blocks = [embedding[start : start + _BLOCK] for start in range(0, len(embedding), _BLOCK)]
    found = [(block @ centroid.T - half).argmax(axis=1) for block in blocks]
    return np.concatenate(found).astype(np.int64) if found else np.zeros(0, dtype=np.int64)


def tally(values: FloatArray, cluster: IntArray, k: int) -> Tally:
    """Sum values (n, m) over clusters (n,), NaN left out."""
    known = np.isfinite(values)
    total, count = np.zeros((2, k, values.shape[1]))
    np.add.at(total, cluster, np.where(known, values, 0.0))
    np.add.at(count, cluster, known)
    return Tally(total, count)


def newcomer(name: str, outcomes: Outcomes, models: tuple[str, ...], who: str) -> Outcomes:
    """The outcomes of one model that is to join others.

    Raises ValueError where it is among them already or was not measured, KeyError where the outcomes lack it.
    """
    if name in models:
        raise ValueError(f"{who} must not know a model that is to join, got {name!r}; fit again to replace it")
    alone = outcomes.select([name])
    if not np.isfinite(alone.score).any():
        raise ValueError(f"model {name!r} must have scores on some probes to join {who}, got none; measure it first")
    return alone
