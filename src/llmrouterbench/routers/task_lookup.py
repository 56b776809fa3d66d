"""Predicted dataset: the best model of the likeliest task."""

from __future__ import annotations

from typing import Self

from llmrouterbench.routers._tasks import TaskSettings, fit_tasks
from llmrouterbench.table import Estimate, Outcomes, Queries


class TaskLookup:
    """Predict the task of a query and serve the model that is best on it in training.

    Classifier, table and settings are those of `task_soft`; only the likeliest task counts here.

    Source: the Dataset Oracle of LLMRouterBench (arXiv 2601.07206), section 3.4.
    Differs: the dataset is predicted from the embedding, and the best model of each is chosen on train.
    """

    grid = {"penalty": (0.1, 1.0), "pseudo": (5.0, 20.0)}

    def __init__(
        self, penalty: float = 0.1, pseudo: float = 5.0, labels: bool = True, clusters: int = 24, seed: int = 42
    ) -> None:
        self.penalty, self.pseudo, self.labels, self.clusters, self.seed = penalty, pseudo, labels, clusters, seed
        self._settings()

    def _settings(self) -> TaskSettings:
        return TaskSettings(self.penalty, self.pseudo, self.labels, self.clusters, self.seed)

    def fit(self, train: Outcomes) -> Self:
        """Learn the tasks."""
        self.tasks_ = fit_tasks(train, self._settings(), "router 'task_lookup'")
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Mean outcomes (n, m) of the likeliest task."""
        task = self.tasks_.posterior(queries, "router 'task_lookup'").argmax(axis=1)
        return Estimate(self.tasks_.models, self.tasks_.score[task], self.tasks_.cost[task])
