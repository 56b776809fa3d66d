"""UniRoute: a model is the vector of its errors on clusters of probes."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.routers._probes import Tally, fit_centroids, nearest, newcomer, tally
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

WHO = "router 'uniroute'"


class UniRoute:
    """Describe every model by its mean error in each of k clusters of probes; expect the error of the query's cluster.

    A new model joins from its outcomes on any probes (`add_model`), without fitting anything again.

    Source: Jitkrittum et al., "Universal Model Routing for Efficient LLM Inference" (arXiv 2502.08773), the variant
    with unsupervised clusters: error Phi(x) . Psi(m), with Phi(x) the one-hot nearest centroid.
    Differs: clusters and errors come from the same training queries, where the paper keeps a validation set for the
    errors; cost is a mean per cluster, where the paper takes a constant per model; a cluster without probes of a
    model has the model's overall error. The variant with a learned cluster map is not here.
    """

    grid = {"k": (32, 16, 64, 128)}

    def __init__(self, k: int = 32, seed: int = 42) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.k, self.seed = k, seed

    def fit(self, train: Outcomes) -> Self:
        """Cluster the training queries and tally every model's errors."""
        embedding = train.queries.embedded(WHO)
        self.centroid_ = fit_centroids(embedding, self.k, self.seed)
        self.models_ = train.models
        self.error_, self.usd_ = self._tallies(train)
        return self

    def add_model(self, name: str, outcomes: Outcomes) -> Self:
        """Let a model join: `outcomes` holds its scores (and costs, where known) on embedded probe queries.

        Raises ValueError where the model is known already or has no scores, KeyError where the outcomes lack it.
        """
        error, usd = self._tallies(newcomer(name, outcomes, self.models_, WHO))
        self.models_ = (*self.models_, name)
        self.error_, self.usd_ = self.error_.joined(error), self.usd_.joined(usd)
        return self

    def _tallies(self, outcomes: Outcomes) -> tuple[Tally, Tally]:
        cluster, k = self._cluster(outcomes.queries), len(self.centroid_)
        return tally(1.0 - outcomes.score, cluster, k), tally(outcomes.cost, cluster, k)

    def _cluster(self, queries: Queries) -> IntArray:
        return nearest(queries.embedded(WHO), self.centroid_)

    def errors(self) -> FloatArray:
        """The vectors (k, m) that describe the models; 1 for a model that was never measured."""
        return self.error_.shrunk(np.nan_to_num(self.error_.overall(), nan=1.0), 0.0)

    def predict(self, queries: Queries) -> Estimate:
        """Mean outcome in the query's cluster (n, m)."""
        cluster = self._cluster(queries)
        cost = self.usd_.shrunk(self.usd_.overall(), 0.0)
        return Estimate(self.models_, 1.0 - self.errors()[cluster], cost[cluster])
