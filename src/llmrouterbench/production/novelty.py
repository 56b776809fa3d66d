"""Queries that are unlike anything the router learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmrouterbench.table import BoolArray, FloatArray

MOST = 2048
"""Training queries that are kept to compare with; a random part of more."""
_ROUNDING = 1e-6
_FEW = 8
"""Queries up to which no thread is woken for the products: that takes longer than they do."""


@dataclass(frozen=True)
class Novelty:
    """What is near, and how near is near enough.

    known      (r, d) unit vectors of training queries
    threshold  least cosine to the nearest of them
    nothing    (d,) vector of a text in which the embedder finds nothing to read
    """

    known: NDArray[np.float32]
    threshold: float
    nothing: FloatArray

    def far(self, embedding: FloatArray) -> BoolArray:
        """Which queries (n, d) are out of distribution (n,)."""
        blank = embedding @ self.nothing > 1.0 - _ROUNDING
        return np.asarray(blank | (nearest_cosine(embedding, self.known) < self.threshold - _ROUNDING))


def nearest_cosine(embedding: FloatArray, known: NDArray[np.float32]) -> FloatArray:
    """Cosine (n,) of each unit row to the nearest known one.

    >>> nearest_cosine(np.array([[0.6, 0.8]]), np.eye(2, dtype=np.float32)).round(2).tolist()
    [0.8]
    """
    single = embedding.astype(np.float32)
    if len(single) <= _FEW:
        return np.asarray(np.einsum("nd,rd->nr", single, known).max(axis=1), dtype=np.float64)
    parts = [(single[i : i + 512] @ known.T).max(axis=1) for i in range(0, len(single), 512)]
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)


def fit_novelty(train: FloatArray, unseen: FloatArray, nothing: FloatArray, share: float, seed: int) -> Novelty:
    """Set the threshold so that a `share` of unseen queries from the same source counts as out of distribution.

    train, unseen  unit rows (n, d); the embedder and the router learned from `train` only
    nothing        (d,) vector of the empty text

    The threshold is a quantile of held-out queries and not of the training ones, to which an embedder that learned
    from them is kinder. Source: split conformal prediction, Vovk et al. 2005. Raises ValueError for a share outside
    [0, 1).
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"the share of queries out of distribution must be from 0 to below 1, got {share:g}")
    rows = np.arange(len(train))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])
    known = train[rows].astype(np.float32)
    cosine = np.sort(nearest_cosine(unseen, known))
    place = int(share * (len(cosine) + 1)) - 1
    threshold = float(cosine[place]) if place >= 0 and share > 0 else -1.0
    return Novelty(known, threshold, nothing)
