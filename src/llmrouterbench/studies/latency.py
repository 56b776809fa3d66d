"""Seconds: from tokens and serving statistics to end-to-end time, and models by score, cost and seconds.

Measured seconds always win; where there are none, `first_token_seconds + tokens_out / tokens_per_second` stands in; a
model without either has unknown seconds, never 0.

Source: LLMRouterBench (arXiv 2601.07206), section 4.2.2 ("performance-cost-latency") and figure 9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from llmrouterbench.stats import Interval, Paired, pair, sample_of
from llmrouterbench.strict import parse_plain, parse_toml, read_toml
from llmrouterbench.table import BoolArray, FloatArray, Outcomes


@dataclass(frozen=True)
class Serving:
    """How fast a host serves a model: seconds to the first token, tokens a second after it."""

    id: str
    first_token_seconds: float
    tokens_per_second: float
    date: str
    source: str

    def __post_init__(self) -> None:
        if not (self.first_token_seconds >= 0 and self.tokens_per_second > 0):
            raise ValueError(
                f"serving statistics of {self.id!r} must have first_token_seconds of at least 0 and tokens_per_second"
                f" above 0, got {self.first_token_seconds} and {self.tokens_per_second}"
            )


@dataclass(frozen=True)
class Reported:
    """Mean end-to-end seconds of a model on a dataset, as a publication prints them."""

    id: str
    dataset: str
    seconds: float
    date: str
    source: str


@dataclass(frozen=True)
class ServingTable:
    """Serving statistics by model, and end-to-end seconds that were only reported as such."""

    models: dict[str, Serving]
    reported: tuple[Reported, ...] = ()


def load_serving(path: str | Path | None = None) -> ServingTable:
    """The dated table of this package, or a user's own of the same form.

    Raises FileNotFoundError, or ValueError for unknown keys, missing keys and statistics out of range.

    >>> [(one.id, one.seconds) for one in load_serving().reported]
    [('qwen3-235b-a22b-thinking-2507', 262.1), ('glm-4.6', 32.4)]
    """
    if path is None:
        where = "serving.toml"
        raw = parse_toml((resources.files("llmrouterbench") / "data" / where).read_text(encoding="utf-8"), where)
    else:
        where = str(path)
        raw = read_toml(Path(path), "the TOML file of serving statistics")
    table = parse_plain(_File, raw, where)
    return ServingTable({one.id: one for one in table.models}, table.reported)


@dataclass(frozen=True)
class _File:
    """The form of the file."""

    models: tuple[Serving, ...] = ()
    reported: tuple[Reported, ...] = ()


def end_to_end(tokens_out: ArrayLike, first_token: float, tokens_per_second: float) -> FloatArray:
    """Seconds until the last of `tokens_out` tokens; NaN where the tokens are not known.

    >>> end_to_end([100, np.nan], 0.5, 50.0).tolist()
    [2.5, nan]
    """
    return np.asarray(first_token + np.asarray(tokens_out, dtype=np.float64) / tokens_per_second)


def with_seconds(outcomes: Outcomes, table: ServingTable) -> tuple[Outcomes, tuple[str, ...]]:
    """The outcomes with seconds filled in from tokens, and the models that still have none at all.

    Seconds that were measured stay. A cell without a reply (no score) stays without seconds.
    """
    filled = np.full(outcomes.seconds.shape, np.nan)
    for i, model in enumerate(outcomes.models):
        if model in table.models:
            serving = table.models[model]
            filled[:, i] = end_to_end(outcomes.tokens_out[:, i], serving.first_token_seconds, serving.tokens_per_second)
    filled = np.where(np.isfinite(outcomes.score), filled, np.nan)
    seconds = np.where(np.isfinite(outcomes.seconds), outcomes.seconds, filled)
    unknown = ~np.isfinite(seconds).any(axis=0)
    return replace(outcomes, seconds=seconds), tuple(np.array(outcomes.models)[unknown].tolist())


def frontier(score: ArrayLike, cost: ArrayLike, seconds: ArrayLike) -> BoolArray:
    """Which points (k,) no other beats in one of score, cost and seconds without losing in another.

    Points with an unknown coordinate are on no frontier. Equal points are both on it.

    >>> frontier([0.5, 0.5, 0.4], [1, 1, 2], [9, 3, 3]).tolist()
    [False, True, False]
    """
    loss = np.stack([-np.asarray(score, dtype=np.float64), np.asarray(cost), np.asarray(seconds)], axis=1)
    known = np.isfinite(loss).all(axis=1)
    on: BoolArray = known.copy()
    for i in np.flatnonzero(known).tolist():
        no_worse, better = (loss[known] <= loss[i]).all(axis=1), (loss[known] < loss[i]).any(axis=1)
        on[i] = not (no_worse & better).any()
    return on


@dataclass(frozen=True)
class LatencyPoint:
    """AvgAcc, USD and seconds a query of one model, each the mean of its dataset means.

    NaN where a dataset on which the model was scored has no known cost or seconds.
    """

    model: str
    score: Interval
    cost: Interval
    seconds: Interval
    on_frontier: bool


def latency_points(outcomes: Outcomes, *, replicates: int = 1000, seed: int = 0) -> tuple[LatencyPoint, ...]:
    """Every model of the pool in three objectives, with the three-objective frontier: figure 9."""
    pool = outcomes.pool
    m = len(pool.models)
    means = pair([sample_of(pool, np.hstack([pool.score, pool.cost, pool.seconds]))], replicates=replicates, seed=seed)
    score, cost, seconds = ([_if_complete(means, i + plane * m, i) for i in range(m)] for plane in range(3))
    on = frontier(*([one.value for one in plane] for plane in (score, cost, seconds))).tolist()
    return tuple(map(LatencyPoint, pool.models, score, cost, seconds, on))


def _if_complete(means: Paired, column: int, scored: int) -> Interval:
    """The mean of a column, if it has all datasets on which the model was scored."""
    lacking = np.isfinite(means.acc[scored]) & ~np.isfinite(means.acc[column])
    return Interval(float("nan"), float("nan"), float("nan")) if lacking.any() else means.accuracy(column)
