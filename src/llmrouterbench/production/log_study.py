"""What a decision log tells: how other policies would have done, and whether the router still meets what it learned.

A request counts where a model was chosen for it by the server and then served it. What the client named, what stuck to
its conversation and what a fallback served is left out and counted: no probability of ours stands behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from llmrouterbench.benching.policies.policy import as_policy
from llmrouterbench.decision_log import LEFT_OUT, DecisionFrames
from llmrouterbench.production.drift import RESIDUAL, Drift, drift_report
from llmrouterbench.production.off_policy import Against, Logged, OffPolicy, evaluate_policies, served_against
from llmrouterbench.production.promises import served_on_slice
from llmrouterbench.table import FloatArray, IntArray

if TYPE_CHECKING:
    from llmrouterbench.production.fitted import FittedRouter

UNEXPLORED = "the router, without exploration"


@dataclass(frozen=True)
class Studied:
    """Requests of a log with axes (query, model).

    models     m models that could have served any of them
    choice     (n,) model that served
    propensity, score_estimate, cost_estimate  (n, m); 0 and NaN where the log has none
    preferred  (n,) what the router preferred before exploration; -1 unknown
    feedback   (n,) NaN where nobody gave any
    cost       (n,) USD, NaN unknown
    ood        (n,) whether the query was far from the training queries
    text       (n,) "" where it was not kept
    left_out   requests that do not count, by reason
    policy     in words, of most requests; None where it is not known
    """

    models: tuple[str, ...]
    choice: IntArray
    propensity: FloatArray
    score_estimate: FloatArray
    cost_estimate: FloatArray
    preferred: IntArray
    feedback: FloatArray
    cost: FloatArray
    ood: FloatArray
    text: tuple[str, ...]
    left_out: dict[str, int]
    policy: str | None = None

    def __len__(self) -> int:
        return len(self.choice)


@dataclass(frozen=True)
class PolicyValue:
    """What a policy would have scored and cost per request; None where no request has the number."""

    policy: str
    score: OffPolicy | None
    cost: OffPolicy | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def study(frames: DecisionFrames, feedback: str | None = None) -> Studied:
    """The requests of a log that count, with feedback of one kind, see `DecisionFrames.scored`.

    Raises ValueError where there are none.
    """
    rows = frames.decisions.with_columns(
        why=pl.when(pl.col("status") != "ok")
        .then(pl.lit("not served in full"))
        .when(pl.col("reason").is_in(LEFT_OUT))
        .then(pl.col("reason"))
        .when(pl.col("model") != pl.col("chosen"))
        .then(pl.lit("served by a fallback"))
    )
    counts = rows.filter(pl.col("why").is_not_null()).group_by("why").len().sort("why")
    left_out = dict(zip(counts["why"].to_list(), counts["len"].to_list(), strict=True))
    rows = rows.filter(pl.col("why").is_null()).with_row_index("row")
    if not rows.height:
        raise ValueError(
            f"the log must hold requests that the server chose a model for, got none of {frames.decisions.height:,};"
            ' ask for the model "auto"'
        )
    rows = rows.join(frames.scored(feedback).select("id", feedback="score"), on="id", how="left", maintain_order="left")
    long = frames.models.join(rows.select("id", "row"), on="id", how="inner")
    models = sorted(set(long["model"]) | set(rows["chosen"]))
    place = {model: j for j, model in enumerate(models)}
    at = long["row"].to_numpy(), long["model"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    preferred = [place.get(model, -1) for model in rows["router_model"].to_list()]
    return Studied(
        tuple(models),
        rows["chosen"].replace_strict(place, return_dtype=pl.Int64).to_numpy(),
        _plane(long["propensity"], at, (rows.height, len(models)), 0.0),
        _plane(long["score"], at, (rows.height, len(models)), float("nan")),
        _plane(long["cost"], at, (rows.height, len(models)), float("nan")),
        np.array(preferred, dtype=np.int64),
        _numbers(rows["feedback"]),
        _numbers(rows["cost"]),
        rows["ood"].cast(pl.Float64).to_numpy(),
        tuple(text or "" for text in rows["query"].to_list()),
        left_out,
        _most_common(rows["policy"].drop_nulls().to_list()),
    )


def policy_values(
    studied: Studied,
    router: FittedRouter | None = None,
    policies: Sequence[str] = (),
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> list[PolicyValue]:
    """The value of the router without exploration, of every single model, and of `policies` of a fitted router.

    Raises ValueError where policies are given without a router, or where a text that they need was not kept.
    """
    targets = dict(_singles(studied))
    if (studied.preferred >= 0).all():
        targets = {UNEXPLORED: np.eye(len(studied.models))[studied.preferred], **targets}
    if policies and router is None:
        raise ValueError(f"policies need the router that decides, got {policies[0]!r} without one; add --router")
    if router is not None:
        targets |= {policy: _decided(studied, router, policy) for policy in policies}
    score = _values(studied, studied.feedback, targets, studied.score_estimate, replicates, seed)
    cost = _values(studied, studied.cost, targets, studied.cost_estimate, replicates, seed)
    return [PolicyValue(name, *found) for name, *found in zip(targets, score, cost, strict=True)]


@dataclass(frozen=True)
class Saving:
    """What was served against one model for everything: the one of which the router expected most.

    score   of the feedback, cost in USD; None where no request has the number
    """

    model: str
    score: Against | None
    cost: Against | None


def saving(studied: Studied, *, replicates: int = 1000, seed: int = 0) -> Saving | None:
    """Compare with the best single model, by the scores expected on these requests; None where none are known."""
    known = np.isfinite(studied.score_estimate)
    count = known.sum(axis=0)
    if not count.any():
        return None
    total = np.where(known, studied.score_estimate, 0.0).sum(axis=0)
    best = int(np.argmax(np.where(count > 0, total / np.maximum(count, 1), -np.inf)))
    target = np.broadcast_to(np.eye(len(studied.models))[best], studied.propensity.shape)

    def against(reward: FloatArray, estimate: FloatArray) -> Against | None:
        logged = Logged(studied.choice, studied.propensity, reward)
        return served_against(logged, target, estimate, replicates=replicates, seed=seed)

    return Saving(
        studied.models[best],
        against(studied.feedback, studied.score_estimate),
        against(studied.cost, studied.cost_estimate),
    )


def log_drift(studied: Studied, router: FittedRouter) -> list[Drift]:
    """Queries, estimates and feedback of a log against the calibration slice that `fit` kept.

    Similarity to the training queries needs the texts; without them the router's estimates stand for the queries.
    """
    from llmrouterbench.production.novelty import nearest_cosine

    learned, piece = router.learned, router.learned.piece
    then = {RESIDUAL: _served_then(router, studied)}
    now = {RESIDUAL: studied.feedback - _of_choice(studied.score_estimate, studied.choice)}
    for column, model in enumerate(learned.models):
        if model in studied.models:
            then[f"expected score of {model}"] = piece.quality[:, column]
            now[f"expected score of {model}"] = studied.score_estimate[:, studied.models.index(model)]
    texts = [text for text in studied.text if text]
    if texts:
        name = "similarity to the training queries"
        then = {name: nearest_cosine(piece.embedding[piece.fresh].astype(np.float64), learned.novelty.known), **then}
        now[name] = nearest_cosine(router.embedded(texts).embedded("drift"), learned.novelty.known)
    return drift_report(then, now)


def _served_then(router: FittedRouter, studied: Studied) -> FloatArray:
    """Score minus expected score (n,) on the calibration slice, of what the log's policy would have served there.

    A policy serves a model where it expects much of it, so residuals of all models are no measure for those served. The
    other models have the share of exploration that the log shows.
    """
    learned, piece = router.learned, router.learned.piece
    try:
        choice, _ = served_on_slice(router, as_policy(studied.policy or router.default_policy))
    except ValueError:  # words that this router cannot follow
        choice, _ = served_on_slice(router, router.default_policy)
    sure = studied.preferred >= 0
    kept = studied.propensity[sure, studied.preferred[sure]]
    usual = float(kept.mean()) if len(kept) else 1.0
    others = len(learned.models) - 1
    weight = np.full(piece.quality.shape, (1.0 - usual) / others if others else 0.0)
    weight[np.arange(len(piece)), choice] = usual if others else 1.0
    residual = piece.judged[0] - piece.quality
    known = np.isfinite(residual) & (weight > 0)
    total = np.where(known, weight, 0.0).sum(axis=1)
    mean = np.divide(
        np.where(known, weight * residual, 0.0).sum(axis=1), total, out=np.full(len(piece), np.nan), where=total > 0
    )
    return np.asarray(mean, dtype=np.float64)


def _most_common(policies: Sequence[str]) -> str | None:
    return Counter(policies).most_common(1)[0][0] if policies else None


def _singles(studied: Studied) -> list[tuple[str, FloatArray]]:
    """A target (n, m) for each model that served at least once."""
    shape = len(studied), len(studied.models)
    return [
        (f"always {model}", np.broadcast_to(np.eye(shape[1])[j], shape))
        for j, model in enumerate(studied.models)
        if (studied.choice == j).any()
    ]


def _decided(studied: Studied, router: FittedRouter, policy: str) -> FloatArray:
    """The choices (n, m) of a policy, one-hot. The models that could have served each request limit it."""
    absent = sum(not text for text in studied.text)
    if absent:
        raise ValueError(
            f"a policy needs the text of every request, got {absent:,} without one; start the server with --log-text"
        )
    allowed = [model for model in router.models if model in studied.models]
    if not allowed:
        raise ValueError(f"the router must know models of the log, got {', '.join(router.models)}")
    made = router.route_unread(list(studied.text), policy, allowed=allowed)
    columns = [studied.models.index(decision.model) for decision in made]
    return np.asarray(np.eye(len(studied.models))[columns], dtype=np.float64)


def _values(
    studied: Studied,
    reward: FloatArray,
    targets: Mapping[str, FloatArray],
    estimate: FloatArray,
    replicates: int,
    seed: int,
) -> Sequence[OffPolicy | None]:
    if not np.isfinite(reward).any():
        return [None] * len(targets)
    logged = Logged(studied.choice, studied.propensity, reward)
    return evaluate_policies(logged, list(targets.values()), estimate, replicates=replicates, seed=seed)


def _of_choice(values: FloatArray, choice: IntArray) -> FloatArray:
    return np.asarray(values[np.arange(len(choice)), choice], dtype=np.float64)


def _plane(values: pl.Series, at: tuple[IntArray, IntArray], shape: tuple[int, int], nothing: float) -> FloatArray:
    plane = np.full(shape, nothing)
    plane[at] = values.fill_null(nothing).to_numpy()
    return plane


def _numbers(values: pl.Series) -> FloatArray:
    return np.asarray(values.cast(pl.Float64).fill_null(float("nan")).to_numpy(), dtype=np.float64)
