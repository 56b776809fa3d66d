"""The graph that GraphRouter learns from: tasks, queries and models, and what happened on every query-model edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llmrouterbench.metrics import dataset_means
from llmrouterbench.table import BoolArray, FloatArray, IntArray, Outcomes

UTILITIES = {"pf": (1.0, 0.0), "bl": (0.5, 0.5), "cf": (0.2, 0.8)}
"""Weights of score and of normalised cost: performance first, balance, cost first (arXiv 2410.03834)."""
_TIE = 1e-8


@dataclass(frozen=True)
class QueryGraph:
    """t tasks, n training queries, m models.

    centroid  (t, d) unit mean embedding of each task; a query belongs to the task of the nearest one
    task      (t, f) features of the task nodes
    query     (n, d) features of the query nodes
    llm       (m, g) features of the model nodes
    edge      (n, m, 3) utility, normalised cost and score of every edge; 0 where there is none
    measured  (n, m) which edges there are
    label     (n, m) which models have the highest utility of their query
    signal    (n,) whether any choice is better than another: not where every model fails at equal utility
    """

    centroid: FloatArray
    task: FloatArray
    query: FloatArray
    llm: FloatArray
    edge: FloatArray
    measured: BoolArray
    label: BoolArray
    signal: BoolArray

    def home(self) -> IntArray:
        """(n,) task of each training query, found as for a query that nobody has seen."""
        return nearest(self.centroid, self.query)


Vectors = Mapping[str, Sequence[float]]


def build_graph(
    train: Outcomes, embedding: FloatArray, utility: str, llm: Vectors | None, task: Vectors | None
) -> QueryGraph:
    """The graph of some outcomes, with nothing from outside them.

    `llm` and `task` are description vectors by model id and by dataset. Without them a model is described by its mean
    score and mean normalised cost on every task, and a task by its centroid.
    """
    names = train.datasets
    centre = dataset_means(embedding, train.dataset, names)
    length = np.linalg.norm(centre, axis=1, keepdims=True)
    centroid = centre / np.where(length > 0, length, 1.0)
    cost = normalised_costs(train)
    measured = np.isfinite(train.score)
    score = np.where(measured, train.score, 0.0)
    value = utilities(score, cost, utility)
    label = best_models(value, measured)
    return QueryGraph(
        centroid=centroid,
        task=centroid if task is None else _described(task, names, "task_vectors", "dataset"),
        query=embedding,
        llm=_statistics(train, cost) if llm is None else _described(llm, train.models, "llm_vectors", "model"),
        edge=np.stack([value, cost, score], axis=2) * measured[:, :, None],
        measured=measured,
        label=label,
        signal=has_signal(score, label, measured),
    )


def nearest(centroid: FloatArray, embedding: FloatArray) -> IntArray:
    """Row (n,) of the centroid with the largest inner product."""
    return np.asarray((embedding @ centroid.T).argmax(axis=1), dtype=np.int64)


def utilities(score: FloatArray, cost: FloatArray, utility: str) -> FloatArray:
    """Weighted score minus weighted cost, both in [0, 1].

    >>> [utilities(np.array([1.0]), np.array([0.5]), name).round(2).item() for name in ("pf", "bl", "cf")]
    [1.0, 0.25, -0.2]
    """
    good, cheap = UTILITIES[utility]
    return good * score - cheap * cost


def best_models(value: FloatArray, measured: BoolArray) -> BoolArray:
    """Which measured models (n, m) have the highest utility of their query; all of them on a tie.

    >>> best_models(np.array([[1.0, 1.0, 0.0]]), np.array([[True, True, True]])).tolist()
    [[True, True, False]]
    """
    known = np.where(measured, value, -np.inf)
    return np.asarray(measured & (known >= known.max(axis=1, keepdims=True) - _TIE))


def has_signal(score: FloatArray, label: BoolArray, measured: BoolArray) -> BoolArray:
    """Whether a query (n,) says anything: some model scores, or one of those that fail costs less than another.

    >>> score, label = np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[True, True], [True, True]])
    >>> has_signal(score, label, label).tolist()
    [True, False]
    """
    return np.asarray((score.max(axis=1) > 0) | (measured & ~label).any(axis=1))


def normalised_costs(train: Outcomes) -> FloatArray:
    """Cost (n, m) on the scale of its dataset: 0 the cheapest call, 1 the dearest.

    An unknown cost counts as the dearest; where a dataset has no known cost, or one cost only, all count as 0.
    """
    scaled = np.zeros(train.cost.shape)
    for name in train.datasets:
        rows = train.dataset == name
        cost = train.cost[rows]
        known = cost[np.isfinite(cost)]
        if len(known) and known.max() > known.min():
            scaled[rows] = np.nan_to_num((cost - known.min()) / (known.max() - known.min()), nan=1.0)
    return scaled


def _statistics(train: Outcomes, cost: FloatArray) -> FloatArray:
    """Features (m, 2 t) of the models: mean score and mean normalised cost by task, standardised over the models."""
    cost = np.where(np.isfinite(train.score), cost, np.nan)
    table = np.vstack([dataset_means(plane, train.dataset, train.datasets) for plane in (train.score, cost)]).T
    known = np.isfinite(table)
    count = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, table - np.where(known, table, 0.0).sum(axis=0) / count, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))


def _described(vectors: Vectors, names: Sequence[str], setting: str, kind: str) -> FloatArray:
    """The description vectors of these names, in their order. Raises ValueError for a name without one."""
    for name in names:
        if name not in vectors:
            raise ValueError(
                f"{setting} must hold a vector for every {kind}, got none for {name!r}; add it or leave {setting} out"
            )
    return np.array([vectors[name] for name in names], dtype=np.float64)
