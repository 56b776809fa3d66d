"""What a stored log tells of every model: its queries embedded, pseudo-outcomes made, values of single models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llmrouterbench.embedders.tfidf import TfidfSvd
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.estimating.pseudo import FOLDS, Pseudo, pseudo_outcomes, usable
from llmrouterbench.estimating.values import Value, value_of
from llmrouterbench.splits import with_near_copies
from llmrouterbench.stats import Interval
from llmrouterbench.table import Outcomes


def embedded_log(outcomes: Outcomes) -> Outcomes:
    """The models that a router may choose, with TF-IDF embeddings; near-copies of a query are one group."""
    pool = outcomes.pool
    grouped = with_near_copies(pool)
    return grouped.with_embedding(embed_queries(grouped, TfidfSvd(), np.arange(len(grouped)))[0])


def enough_queries(part: Outcomes) -> bool:
    """Whether there are models to compare and queries to cross-fit on."""
    return len(part.models) > 1 and len(np.unique(part.together)) >= 2 * FOLDS


def studied_log(outcomes: Outcomes) -> Pseudo | None:
    """Pseudo-outcomes of the queries that count; None where there are too few, or one model."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if len(outcomes.pool.models) < 2 or not len(usable(outcomes.pool)):
        return None
    with threadpool_limits(limits=1):  # many small products: waking threads takes longer than they do
        pool = embedded_log(outcomes)
        part = pool.take(usable(pool))
        return pseudo_outcomes(part) if enough_queries(part) else None


def values_of_models(made: Pseudo) -> list[Value]:
    """The value of serving each model to every query, the best first; those without a number last."""
    everyone = np.zeros(len(made.part), dtype=np.int64)
    values = [value_of(model, made, everyone + j) for j, model in enumerate(made.part.models)]
    return sorted(values, key=lambda one: (not one.known, -one.score.value if one.known else 0.0, one.name))


@dataclass(frozen=True)
class LogSummary:
    """Doubly robust values of the models of a log, and what they stand on.

    models    the best first; () where there is nothing to compare
    known     whether the log says its propensities; else they are estimated from the queries
    queries   that count
    """

    models: tuple[Value, ...]
    known: bool
    queries: int

    @classmethod
    def of(cls, outcomes: Outcomes) -> LogSummary:
        """The summary of a log with texts."""
        made = studied_log(outcomes)
        return cls((), False, 0) if made is None else cls(tuple(values_of_models(made)), made.known, len(made.part))

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> LogSummary:
        """What `to_dict` gave."""
        models = (Value(**{**one, "score": Interval(**one["score"])}) for one in plain["models"])
        return cls(tuple(models), plain["known"], plain["queries"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)
