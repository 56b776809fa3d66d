"""k-means clusters of training queries with every model's means in them: what Avengers and Avengers-Pro share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.routers._k_means import k_means
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries


@dataclass(frozen=True)
class Clusters:
    """k clusters of training queries.

    centroid (k, d) raw, not renormalised
    score    (k, m) mean score of each model in each cluster; NaN where it was not measured there
    cost     (k, m) mean USD; NaN where none is known
    """

    models: tuple[str, ...]
    centroid: FloatArray
    score: FloatArray
    cost: FloatArray

    def nearest(self, queries: Queries, who: str, top: int) -> tuple[IntArray, FloatArray]:
        """The `top` nearest clusters (n, top) of each query and the distances 1 - q.c to them."""
        distance = 1.0 - _unit(queries.embedded(who)) @ self.centroid.T
        near = np.argsort(distance, axis=1, kind="stable")[:, :top]
        return near, np.take_along_axis(distance, near, axis=1)


def fit_clusters(train: Outcomes, k: int, seed: int, who: str) -> Clusters:
    """Cluster as the official code does, so that picks agree with it.

    Rows in order of (dataset, record index), copies of a prompt as one row (the smallest index, the outcomes of the
    largest), float64 unit vectors, scikit-learn's KMeans with ten starts; a sample of more than 50,000 rows.
    """
    place = official_rows(train)
    label, centroid = k_means(_unit(train.queries.embedded(who)[place]), k, seed, 10)
    score, cost = (
        _cluster_means(_last_of_copies(plane, train, place), label, len(centroid))
        for plane in (train.score, train.cost)
    )
    return Clusters(train.models, centroid, score, cost)


def official_rows(train: Outcomes) -> IntArray:
    """Rows of the unique prompts in official order: by dataset, then by the smallest record index of the copies."""
    order = np.lexsort((train.index, train.dataset))
    first = np.unique(train.group[order], return_index=True)[1]
    return order[np.sort(first)]


def _last_of_copies(plane: FloatArray, train: Outcomes, place: IntArray) -> FloatArray:
    """Values of the rows in `place`, each cell from the copy of that prompt with the largest index that has one."""
    item = {group: i for i, group in enumerate(train.group[place].tolist())}
    values = plane[place]
    copies = np.setdiff1d(np.arange(len(train)), place)
    for row in copies[np.argsort(train.index[copies], kind="stable")].tolist():
        target = item[int(train.group[row])]
        values[target] = np.where(np.isfinite(plane[row]), plane[row], values[target])
    return values


def _unit(vectors: FloatArray) -> FloatArray:
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norm > 0, norm, 1.0)


def _cluster_means(plane: FloatArray, label: IntArray, k: int) -> FloatArray:
    """Mean (k, m) of a plane (n, m) over the measured members of each cluster."""
    known = np.isfinite(plane)
    total, count = np.zeros((2, k, plane.shape[1]))
    np.add.at(total, label, np.where(known, plane, 0.0))
    np.add.at(count, label, known)
    means: FloatArray = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return means


def cluster_estimate(clusters: Clusters, queries: Queries, who: str) -> Estimate:
    """Means of the nearest cluster (n, m); a model without evidence there has score 0."""
    nearest = clusters.nearest(queries, who, 1)[0][:, 0]
    return Estimate(clusters.models, np.nan_to_num(clusters.score[nearest], nan=0.0), clusters.cost[nearest])


def rank_vote(clusters: Clusters, value: FloatArray, near: IntArray, distance: FloatArray, beta: float) -> IntArray:
    """Model (n,) with the most votes: each near cluster votes 1 / (rank + 1) by its own ranking of `value` (k, m).

    Clusters weigh softmax(-beta * distance). Equal values rank in string order of the model ids, and so do equal votes.
    A model with value NaN, not measured in a cluster, ranks last there.
    """
    name_order = np.argsort(np.array(clusters.models, dtype=np.str_), kind="stable")
    by_name = np.nan_to_num(value[:, name_order], nan=-np.inf)
    order = np.argsort(-by_name, axis=1, kind="stable")
    if near.shape[1] == 1:
        best: IntArray = name_order[order[:, 0]][near[:, 0]]
        return best
    rank = np.argsort(order, axis=1)
    weight = np.exp(-beta * (distance - distance.min(axis=1, keepdims=True)))
    weight /= weight.sum(axis=1, keepdims=True)
    votes = np.einsum("nt,ntm->nm", weight, 1.0 / (rank[near] + 1.0))
    return np.asarray(name_order[votes.argmax(axis=1)], dtype=np.int64)
