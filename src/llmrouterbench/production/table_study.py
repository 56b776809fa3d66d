"""How policies would have done on the queries of a stored log, with its propensities or with estimated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.coverage import coverage_of
from llmrouterbench.estimating.tables import studied_log, values_of_models
from llmrouterbench.estimating.values import Value, value_of
from llmrouterbench.shown import Shown
from llmrouterbench.table import IntArray, Outcomes

if TYPE_CHECKING:
    from llmrouterbench.production.fitted import FittedRouter


@dataclass(frozen=True, repr=False)
class TableValues(Shown):
    """What policies would have scored and cost on the queries of a log.

    policies  those asked for, then every single model; doubly robust, unknown below 20 effective trials
    known     whether the log says its propensities; else they are estimated from the queries
    queries   that count; left_out: those without a score, or without a propensity of it
    """

    policies: tuple[Value, ...]
    known: bool
    queries: int
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def table_values(outcomes: Outcomes, router: FittedRouter | None = None, policies: Sequence[str] = ()) -> TableValues:
    """The value of every single model, and of policies of a fitted router, which should not have learned from these.

    Raises ValueError for data that are no log, too few queries, or policies without a router.
    """
    if policies and router is None:
        raise ValueError(f"policies need the router that decides, got {policies[0]!r} without one; add --router")
    coverage = coverage_of(outcomes)
    if coverage.matrix and outcomes.propensity is None:
        raise ValueError(f"a log must be given, got {coverage.words}; `bench` compares routers on these")
    made = studied_log(outcomes)
    if made is None:
        raise ValueError(f"a log must have several models and queries to learn from, got {coverage.words}")
    models = values_of_models(made)
    chosen = [value_of(f"always {one.name}", made, _everyone(made.part, one.name)) for one in models]
    if router is not None:
        chosen = [*(value_of(policy, made, decided(made.part, router, policy)) for policy in policies), *chosen]
    return TableValues(tuple(chosen), made.known, len(made.part), len(outcomes) - len(made.part))


def _everyone(part: Outcomes, model: str) -> IntArray:
    return np.full(len(part), part.models.index(model))


def decided(part: Outcomes, router: FittedRouter, policy: str) -> IntArray:
    """The model (n,) that a policy of a router serves each query; the models of the log limit it."""
    allowed = [model for model in router.models if model in part.models]
    if not allowed:
        raise ValueError(f"the router must know models of the log, got {', '.join(router.models)}")
    texts = part.queries.prompt if router.facts["settings"]["text"] == "prompt" else part.queries.text
    made = router.route_unread(list(texts), policy, allowed=allowed)
    return np.array([part.models.index(decision.model) for decision in made], dtype=np.int64)
