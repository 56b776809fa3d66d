"""k-means of embeddings: of all rows where these are few, else of a sample of them."""

from __future__ import annotations

import numpy as np

from llmrouterbench.table import FloatArray, IntArray

WHOLE, _SAMPLE = 50_000, 20_000
"""Rows up to which all are clustered, and how many stand for more: a step costs rows x clusters x dimensions."""


def k_means(embedding: FloatArray, k: int, seed: int, starts: int) -> tuple[IntArray, FloatArray]:
    """Nearest centroid (n,) of each row (n, d), and the centroids (c, d): k, or fewer where fewer rows are distinct.

    scikit-learn's KMeans, the best of `starts`. Of more than 50,000 rows 20,000 at random are clustered, and each row
    then belongs to the centroid that is nearest to it.
    """
    from sklearn.cluster import KMeans

    whole = len(embedding) <= WHOLE
    some = embedding if whole else embedding[_sample(len(embedding), seed)]
    k = min(k, len(np.unique(some, axis=0)))
    fitted = KMeans(n_clusters=k, random_state=seed, n_init=starts).fit(some)
    label = fitted.labels_ if whole else fitted.predict(embedding)
    return np.asarray(label, dtype=np.int64), np.asarray(fitted.cluster_centers_, dtype=np.float64)


def _sample(n: int, seed: int) -> IntArray:
    return np.sort(np.random.default_rng(seed).choice(n, _SAMPLE, replace=False))
