"""HierShrink: cluster means, shrunk to coarser cluster means, shrunk to the model's mean."""

from __future__ import annotations

from typing import Self

import numpy as np

from llmrouterbench.routers._probes import Tally, fit_centroids, nearest, newcomer, tally
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

WHO = "router 'hiershrink'"


class HierShrink:
    """Expect a model's mean in the query's fine cluster, pulled to its mean in the coarse one, pulled to its mean.

    Few observations give the model's mean, many give the fine cluster's; a new model joins from a few dozen outcomes
    (`add_model`).

    Source: issue 3459 of vllm-project/semantic-router (2026): b1 = (n m + lambda mean) / (n + lambda) over 20 k-means
    clusters, b2 likewise over 100 clusters with b1 as the prior, lambda = 24 on both levels.
    Differs: cost is shrunk in the same way, where the source takes a constant per model.
    """

    grid = {"shrinkage": (24.0, 6.0, 96.0)}

    def __init__(self, coarse: int = 20, fine: int = 100, shrinkage: float = 24.0, seed: int = 42) -> None:
        if coarse < 1 or fine < 1:
            raise ValueError(f"coarse and fine must be at least 1, got {coarse} and {fine}")
        if shrinkage <= 0:
            raise ValueError(f"shrinkage must be above 0, got {shrinkage:g}")
        self.coarse, self.fine, self.shrinkage, self.seed = coarse, fine, shrinkage, seed

    def fit(self, train: Outcomes) -> Self:
        """Cluster the training queries twice and tally the outcomes."""
        embedding = train.queries.embedded(WHO)
        self.centroids_ = [fit_centroids(embedding, k, self.seed) for k in (self.coarse, self.fine)]
        self.models_ = train.models
        self.score_, self.usd_ = self._levels(train)
        return self

    def add_model(self, name: str, outcomes: Outcomes) -> Self:
        """Let a model join: `outcomes` holds its scores (and costs, where known) on embedded queries.

        Raises ValueError where the model is known already or has no scores, KeyError where the outcomes lack it.
        """
        score, usd = self._levels(newcomer(name, outcomes, self.models_, WHO))
        self.models_ = (*self.models_, name)
        self.score_ = [mine.joined(its) for mine, its in zip(self.score_, score, strict=True)]
        self.usd_ = [mine.joined(its) for mine, its in zip(self.usd_, usd, strict=True)]
        return self

    def _levels(self, outcomes: Outcomes) -> tuple[list[Tally], list[Tally]]:
        """Tallies of scores and of costs, coarse and fine."""
        clusters = self._clusters(outcomes.queries)
        sizes = [len(centroid) for centroid in self.centroids_]
        scores = [tally(outcomes.score, c, k) for c, k in zip(clusters, sizes, strict=True)]
        return scores, [tally(outcomes.cost, c, k) for c, k in zip(clusters, sizes, strict=True)]

    def _clusters(self, queries: Queries) -> list[IntArray]:
        embedding = queries.embedded(WHO)
        return [nearest(embedding, centroid) for centroid in self.centroids_]

    def predict(self, queries: Queries) -> Estimate:
        """Shrunken means (n, m) of the query's clusters; score 0 for a model that was never measured."""
        clusters = self._clusters(queries)
        score = self._shrunk(self.score_, clusters, np.nan_to_num(self.score_[0].overall(), nan=0.0))
        return Estimate(self.models_, score, self._shrunk(self.usd_, clusters, self.usd_[0].overall()))

    def _shrunk(self, levels: list[Tally], clusters: list[IntArray], mean: FloatArray) -> FloatArray:
        coarse, fine = levels
        prior = coarse.shrunk(mean, self.shrinkage)[clusters[0]]
        own = Tally(fine.total[clusters[1]], fine.count[clusters[1]])
        return own.shrunk(prior, self.shrinkage)
