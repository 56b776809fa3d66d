"""Avengers and Avengers-Pro from their published rules, with plain loops: what ours must pick, query by query."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from llmrouterbench.table import Outcomes


def official_picks(train: Outcomes, test: Outcomes, k: int, seed: int, alpha: float | None, top_k: int) -> list[int]:
    """Avengers written from the published rules with plain loops; `alpha` None is Avengers, else Avengers-Pro."""
    items: dict[tuple[str, str], list[int]] = {}
    for row in range(len(train)):
        items.setdefault((str(train.dataset[row]), train.queries.prompt[row]), []).append(row)
    ordered = sorted(items, key=lambda key: (key[0], min(int(train.index[r]) for r in items[key])))
    values = [max(items[key], key=lambda r: int(train.index[r])) for key in ordered]
    places = [min(items[key], key=lambda r: int(train.index[r])) for key in ordered]
    assert train.queries.embedding is not None
    assert test.queries.embedding is not None
    x = np.array([train.queries.embedding[r] / np.linalg.norm(train.queries.embedding[r]) for r in places])
    means = KMeans(n_clusters=k, random_state=seed, n_init=10).fit(x)
    rankings = []
    for cluster in range(k):
        mine = [values[i] for i in range(len(values)) if means.labels_[i] == cluster]
        score = {m: float(np.mean([train.score[r, j] for r in mine])) for j, m in enumerate(train.models)}
        if alpha is not None:
            cost = {m: float(np.mean([train.cost[r, j] for r in mine])) for j, m in enumerate(train.models)}
            low, high, dear = min(score.values()), max(score.values()), max(cost.values())
            score = {
                m: alpha * ((s - low) / (high - low) if high > low else 1.0)
                + (1 - alpha) * (1 - cost[m] / dear if dear > 0 else 1.0)
                for m, s in score.items()
            }
        rankings.append(sorted(sorted(score), key=lambda m, s=score: -s[m]))  # type: ignore[misc]
    picks = []
    for vector in test.queries.embedding:
        q = vector / np.linalg.norm(vector)
        distance = [1.0 - float(q @ c) for c in means.cluster_centers_]
        near = sorted(range(k), key=lambda c: distance[c])[:top_k]
        weight = np.exp([-9.0 * distance[c] for c in near])
        votes = dict.fromkeys(sorted(train.models), 0.0)
        for w, c in zip(weight / weight.sum(), near, strict=True):
            for rank, model in enumerate(rankings[c]):
                votes[model] += float(w) / (rank + 1)
        picks.append(train.models.index(max(votes, key=lambda m: votes[m])))
    return picks
