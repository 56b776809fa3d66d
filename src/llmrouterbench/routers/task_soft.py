"""Soft predicted task: the house default."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.routers._tasks import TaskSettings, fit_tasks
from llmrouterbench.table import Estimate, Outcomes, Queries
from llmrouterbench.worth import Gain, capped, out_of_fold_gain, train_best_single

WHO = "router 'task_soft'"


class TaskSoft:
    """Weigh what every model does on each task by the probability that the query belongs to the task.

    A multinomial logistic regression from the embedding gives the probabilities. The table of (task, model) means
    counts `pseudo` more queries at the model's overall mean. Costs are weighed in the same way, from plain means.

    penalty   ridge penalty of the regression, on the sum of its losses (1 / C of scikit-learn)
    pseudo    pseudo-queries per cell of the table
    gate      serve the best single model unless routing is better than it out of fold (`folds` folds); the other
              models then count as no better than the best single, so that the dial can still save cost
    labels    take the training datasets as tasks; False, or a single dataset, makes `clusters` k-means clusters
              stand in for them. With the gate they do so too where datasets do not clearly pay and clusters do.

    Source: this project's probe of about 60 variants on seven sets of real outcomes; docs/results.md has its numbers
    on two of them. The idea is the Dataset Oracle of LLMRouterBench (arXiv 2601.07206, section 3.4), with a predicted
    dataset and means from train.
    """

    grid = {"penalty": (0.1, 1.0), "pseudo": (5.0, 20.0)}

    def __init__(
        self,
        penalty: float = 0.1,
        pseudo: float = 5.0,
        gate: bool = True,
        folds: int = 5,
        labels: bool = True,
        clusters: int = 24,
        seed: int = 42,
    ) -> None:
        if folds < 2:
            raise ValueError(f"folds must be at least 2, got {folds}")
        self.penalty, self.pseudo, self.gate, self.folds = penalty, pseudo, gate, folds
        self.labels, self.clusters, self.seed = labels, clusters, seed
        self._settings(labels)

    def fit(self, train: Outcomes) -> Self:
        """Learn the tasks, and with `gate` the out-of-fold gain over the best single model."""
        self.best_ = train_best_single(train)
        self.gain_ = self._gain(train, self.labels) if self.gate else Gain(np.nan, np.nan)
        labels = self.labels
        if self.gate and labels and not self.gain_.clear and len(train.datasets) > 1:
            other = self._gain(train, labels=False)
            if other.clear and not self.gain_.mean > other.mean:
                self.gain_, labels = other, False
        self.tasks_ = fit_tasks(train, self._settings(labels), WHO)
        return self

    def _settings(self, labels: bool) -> TaskSettings:
        return TaskSettings(self.penalty, self.pseudo, labels, self.clusters, self.seed)

    def _gain(self, train: Outcomes, labels: bool) -> Gain:
        ungated = TaskSoft(self.penalty, self.pseudo, False, self.folds, labels, self.clusters, self.seed)
        return out_of_fold_gain(ungated, train, self.folds, self.seed)

    def predict(self, queries: Queries) -> Estimate:
        """Mean outcomes (n, m) of the tasks, weighed by their probability."""
        posterior = self.tasks_.posterior(queries, WHO)
        score, cost = posterior @ self.tasks_.score, posterior @ self.tasks_.cost
        closed = self.gate and not self.gain_.positive
        return Estimate(self.tasks_.models, capped(score, self.best_) if closed else score, cost)
