"""A fitted policy as the config of another router that knows example queries: vLLM Semantic Router.

The config holds, for every model that the policy serves, queries for which it does; there the nearest example decides.
That is an approximation, and how good it is gets measured: examples come from one half of the queries, and on the other
half the nearest example, by our embedder, is held against the policy. The other router embeds with a model of its own,
so its agreement can differ.

Source of the format: vLLM Semantic Router 0.4 (vllm-project/semantic-router, Apache-2.0), configuration v0.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.metrics import avg_acc, dataset_means
from llmrouterbench.shown import Shown
from llmrouterbench.stats import Interval, Sample, bootstrap
from llmrouterbench.table import FloatArray, IntArray, Outcomes, StrArray

if TYPE_CHECKING:
    from llmrouterbench.production.fitted import FittedRouter

CONFIG_VERSION = "v0.3"
EXAMPLES = 40
_LONGEST = 2000
_PLACEHOLDER = "replace-with-host:8000"


@dataclass(frozen=True, repr=False)
class PolicyExport(Shown):
    """A config, and how near it comes to the policy on queries that gave no example.

    config    plain values, ready for YAML; the addresses of the models are left to fill in
    examples  how many example queries each model has
    agreement share of held-out queries where the nearest example has the policy's model; mean over datasets
    loss      AvgAcc of the policy minus that of the nearest example, paired
    held_out  queries that both were measured on
    """

    config: dict[str, Any]
    examples: dict[str, int]
    agreement: Interval
    loss: Interval
    held_out: int


def export_policy(
    router: FittedRouter, outcomes: Outcomes, policy: str | None = None, *, examples: int = EXAMPLES, seed: int = 0
) -> PolicyExport:
    """Express a policy by examples out of `outcomes`; a default policy where none is given.

    examples  the most example queries a model gets

    Raises ValueError for fewer than 20 queries, or a policy that the router cannot follow.
    """
    if len(outcomes) < 20:
        raise ValueError(f"examples need at least 20 queries with text, got {len(outcomes)}; give more outcomes")
    texts = _texts(router, outcomes)
    asked = router.embedded(list(texts)).embedded("an export")
    made = router.route_unread(list(texts), policy)
    place = {model: j for j, model in enumerate(router.models)}
    choice = np.array([place[one.model] for one in made], dtype=np.int64)
    halves = np.random.default_rng(seed).permutation(len(texts))
    learn, held = np.sort(halves[::2]), np.sort(halves[1::2])
    rows = _examples(asked, choice, learn, examples, seed)
    nearest = choice[rows][(asked[held] @ asked[rows].T).argmax(axis=1)]
    agreement, loss = _measured(router, outcomes.take(held), choice[held], nearest, seed)
    by_model = {model: [str(texts[row]) for row in rows if choice[row] == j] for model, j in place.items()}
    by_model = {model: found for model, found in by_model.items() if found}
    default = router.models[int(np.bincount(choice[learn]).argmax())]
    counts = {model: len(found) for model, found in by_model.items()}
    return PolicyExport(_config(router.models, by_model, default), counts, agreement, loss, len(held))


def _texts(router: FittedRouter, outcomes: Outcomes) -> StrArray:
    """What the router reads: the prompt or the bare query, as it was fitted, cut to a length a config can bear."""
    queries = outcomes.queries
    chosen = queries.prompt if router.facts["settings"]["text"] == "prompt" else queries.text
    return np.array([text[:_LONGEST] for text in chosen], dtype=np.str_)


def _examples(asked: FloatArray, choice: IntArray, learn: IntArray, most: int, seed: int) -> IntArray:
    """Rows of `learn` that stand for the others: of each model's queries, the one nearest to each cluster's centre."""
    from sklearn.cluster import KMeans

    picked: list[int] = []
    for j in np.unique(choice[learn]):
        mine = learn[choice[learn] == j]
        if len(mine) <= most:
            picked += mine.tolist()
            continue
        clusters = KMeans(n_clusters=most, n_init=1, random_state=seed).fit(asked[mine])
        near = (asked[mine] @ clusters.cluster_centers_.T).argmax(axis=0)
        picked += mine[np.unique(near)].tolist()
    return np.array(sorted(picked), dtype=np.int64)


def _measured(
    router: FittedRouter, held: Outcomes, choice: IntArray, nearest: IntArray, seed: int
) -> tuple[Interval, Interval]:
    """Agreement, and the policy's AvgAcc minus the imitation's, with paired intervals."""
    column = {model: held.models.index(model) for model in router.models if model in held.models}
    columns = np.array([column.get(model, -1) for model in router.models], dtype=np.int64)
    rows = np.arange(len(held))
    padded = np.column_stack([held.score, np.full(len(held), np.nan)])
    score = np.column_stack([padded[rows, columns[choice]], padded[rows, columns[nearest]], choice == nearest])
    sample = Sample(held.dataset, held.group, score, np.full(score.shape, np.nan))
    drawn = bootstrap([sample], held.datasets, seed=seed)
    value = avg_acc(dataset_means(score, held.dataset, held.datasets).T)
    draws = avg_acc(drawn.acc)
    return drawn.interval(value[2], draws[:, 2]), drawn.interval(value[0] - value[1], draws[:, 0] - draws[:, 1])


def _config(models: tuple[str, ...], by_model: Mapping[str, list[str]], default: str) -> dict[str, Any]:
    """The configuration; one model alone needs no examples: every request goes to it."""
    decisions = [_decision(model, [{"type": "embedding", "name": model}]) for model in by_model]
    signals = [
        {"name": model, "threshold": -1.0, "aggregation_method": "max", "candidates": found}
        for model, found in by_model.items()
    ]
    if len(by_model) == 1:
        decisions, signals = [_decision(default, [])], []
    served = [model for model in models if model in by_model]
    return {
        "version": CONFIG_VERSION,
        "listeners": [{"name": "http", "address": "127.0.0.1", "port": 8899, "timeout": "300s"}],
        "providers": {"defaults": {"model": default}, "models": [_provider(model) for model in served]},
        "routing": {
            "strategy": "confidence",
            "modelCards": [{"name": model} for model in served],
            "signals": {"embeddings": signals},
            "decisions": decisions,
        },
    }


def _decision(model: str, conditions: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "name": model,
        "priority": 100,
        "rules": {"operator": "OR" if conditions else "AND", "conditions": conditions},
        "modelRefs": [{"model": model, "use_reasoning": False}],
    }


def _provider(model: str) -> dict[str, Any]:
    backend = {"name": "primary", "provider": "vllm", "endpoint": _PLACEHOLDER, "protocol": "http", "weight": 100}
    return {"name": model, "backend_refs": [backend]}
