"""Which task a query belongs to, and what every model does on each task: what the task routers share.

Tasks are the datasets of the training outcomes. A single dataset has no tasks to tell apart; k-means clusters of the
embedding stand in then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._k_means import k_means
from llmrouterbench.routers._linear_models import Affine, fit_affine, softmax, softmax_loss
from llmrouterbench.table import FloatArray, IntArray, Outcomes, Queries, StrArray

_STARTS = 3


@dataclass(frozen=True)
class Tasks:
    """A classifier of tasks and a table of outcomes by task.

    models  m model ids
    name    (t,) tasks
    logit   from an embedding (d,) to t logits
    score   (t, m) mean score, shrunk
    cost    (t, m) mean USD, shrunk; NaN for a model without a known cost
    """

    models: tuple[str, ...]
    name: tuple[str, ...]
    logit: Affine
    score: FloatArray
    cost: FloatArray

    def posterior(self, queries: Queries, who: str) -> FloatArray:
        """Probability (n, t) of each task."""
        return softmax(self.logit(queries.embedded(who)))


@dataclass(frozen=True)
class TaskSettings:
    """How to learn tasks: see `TaskSoft` for the meaning of each."""

    penalty: float
    pseudo: float
    labels: bool
    clusters: int
    seed: int

    def __post_init__(self) -> None:
        if self.penalty <= 0 or self.pseudo < 0 or self.clusters < 1:
            raise ValueError(
                "penalty must be above 0, pseudo at least 0 and clusters at least 1,"
                f" got {self.penalty}, {self.pseudo} and {self.clusters}"
            )


def fit_tasks(train: Outcomes, settings: TaskSettings, who: str) -> Tasks:
    """Fit the classifier on the embeddings and average the outcomes of each task."""
    return fit_labelled(train, *label_tasks(train, settings, who), settings, who)


def label_tasks(train: Outcomes, settings: TaskSettings, who: str) -> tuple[StrArray, IntArray]:
    """Names (t,) of the tasks, and the one of each query (n,)."""
    names, label = np.unique(train.dataset, return_inverse=True)
    if len(names) < 2 or not settings.labels:
        label = _clusters(train.queries.embedded(who), settings.clusters, settings.seed)
        names = np.array([f"cluster {i}" for i in range(label.max() + 1)])
    return names, label


def fit_labelled(train: Outcomes, names: StrArray, label: IntArray, settings: TaskSettings, who: str) -> Tasks:
    """`fit_tasks` of queries whose tasks are known."""
    members = np.eye(len(names))[label]
    logit = fit_affine(train.queries.embedded(who), members, softmax_loss, settings.penalty)
    score = _shrunk_means(train.score, members, settings.pseudo, _additive(train.score, members))
    cost = _shrunk_means(train.cost, members, settings.pseudo, known_mean(train.cost, axis=0))
    return Tasks(train.models, tuple(names.tolist()), logit, np.nan_to_num(score, nan=0.0), cost)


def _clusters(embedding: FloatArray, k: int, seed: int) -> IntArray:
    """Label (n,) of each row, from 0 and without gaps."""
    return np.unique(k_means(embedding, k, seed, _STARTS)[0], return_inverse=True)[1].astype(np.int64)


def _shrunk_means(plane: FloatArray, members: FloatArray, pseudo: float, prior: FloatArray) -> FloatArray:
    """Mean (t, m) of a plane (n, m) over the members (n, t) of each task and `pseudo` queries at the prior.

    The prior is (m,) or (t, m). A task on which a model was not measured gets the prior.
    """
    known = np.isfinite(plane)
    total, count = members.T @ np.where(known, plane, 0.0), members.T @ known
    weight = np.where(count + pseudo > 0, pseudo, 1.0)
    return np.asarray((total + weight * prior) / (count + weight))


def _additive(score: FloatArray, members: FloatArray) -> FloatArray:
    """Prior (t, m) of each model's score: its mean over all queries where it was measured on the task.

    Elsewhere the task's mean over the models that were, plus the model's usual lead over the others: a model that was
    spared the hard tasks must not look strong on them.
    """
    overall = np.broadcast_to(known_mean(score, axis=0), (members.shape[1], score.shape[1]))
    known = np.isfinite(score)
    count = members.T @ known
    mean = np.divide(members.T @ np.where(known, score, 0.0), count, out=np.full(count.shape, np.nan), where=count > 0)
    task = known_mean(mean, axis=1)[:, None]
    lead = known_mean(mean - task, axis=0)
    elsewhere = np.clip(task + lead, 0.0, 1.0)
    return np.where((count > 0) | ~np.isfinite(elsewhere), overall, elsewhere)
