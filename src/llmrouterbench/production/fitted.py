"""A fitted router in production: load its folder once, then `route` queries."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from llmrouterbench.benching.policies.policy import Belief, Policy, as_policy
from llmrouterbench.contracts import Router
from llmrouterbench.embedders import Embedder
from llmrouterbench.embedders.vectors import unit_rows
from llmrouterbench.naming import did_you_mean
from llmrouterbench.production.fitted_store import read_fitted, write_fitted
from llmrouterbench.production.learned import Learned
from llmrouterbench.production.serving_dial import Dial
from llmrouterbench.shown import Shown
from llmrouterbench.table import BoolArray, Estimate, IntArray, Queries

POLICY, NOVEL, UNMET, EXPLORED = "policy", "out of distribution", "nothing meets the policy", "exploration"
BOUNDS, SURE = "bounds", "sure"
"""What facts say of the bounds of policies: promised with 95 %. Folders of version 0.1 say nothing and keep theirs."""
REASONS = (POLICY, NOVEL, UNMET, EXPLORED)


@dataclass(frozen=True, repr=False)
class Decision(Shown):
    """Who serves one query, and why.

    model       who serves
    ranking     all allowed models, best first under the policy: the order of fallback; its first is `model` but for
                queries out of distribution and for exploration
    score       calibrated score that is expected of `model`; its mean for a query out of distribution
    cost        expected USD; NaN unknown
    seconds     expected; NaN unknown
    reason      "policy", "out of distribution", "nothing meets the policy" or "exploration"
    propensity  probability with which this model was chosen; 1 without exploration
    reading     whom to ask before one serves; None: `model` serves. Where nobody can be asked, `model` serves too
    """

    model: str
    ranking: tuple[str, ...]
    score: float
    cost: float
    seconds: float
    reason: str
    propensity: float
    reading: Reading | None = None


@dataclass(frozen=True)
class Reading:
    """Replies that are read before one serves.

    models   who is asked, all at once
    decided  who serves after the replies that came, by model: one that was asked and gave none does not
    """

    models: tuple[str, ...]
    decided: Callable[[Mapping[str, str]], Decision]


class FittedRouter:
    """A router, its embedder, calibration and policies, as `llmrouterbench fit` stored them. Safe to share by threads.

    models          who serves
    default_policy  what `route` follows where no policy is given
    facts           the manifest: data, versions, how it was fitted
    counted         decisions so far, by reason
    dial            the order of models that each policy gives
    """

    def __init__(self, router: Router, embedder: Embedder, learned: Learned, facts: dict[str, Any]) -> None:
        self.router, self.embedder, self.learned, self.facts = router, embedder, learned, facts
        self.models = learned.serving
        self.default_policy = Policy.parse(learned.policy)
        self.counted: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.random = random.Random()
        self.dial = Dial(router, learned, sure=facts.get(BOUNDS) == SURE)
        self._column = {model: j for j, model in enumerate(learned.models)}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        mark = "SIMULATED, " if self.facts["simulated"] else ""
        learned = f"{self.facts['router']} of {self.facts['data']['train']:,} queries"
        return f"FittedRouter({mark}{learned}, default policy {self.default_policy}, {len(self.models)} models)"

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a folder. Raises FileNotFoundError where there is none, ValueError where any byte was changed."""
        return cls(*read_fitted(Path(folder)))

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the folder that `load` reads."""
        write_fitted(Path(folder), self.router, self.embedder, self.learned, self.facts, overwrite=overwrite)

    def route(
        self, query: str, policy: Policy | str | None = None, *, allowed: Collection[str] | None = None
    ) -> Decision:
        """Decide one query."""
        return self.route_many([query], policy, allowed=allowed)[0]

    def route_many(
        self,
        queries: Sequence[str],
        policy: Policy | str | None = None,
        *,
        allowed: Collection[str] | None = None,
    ) -> list[Decision]:
        """Decide queries, each as if alone. Raises ValueError for unknown models or a policy beyond reach."""
        return self.route_and_estimate(queries, policy, allowed=allowed)[0] if len(queries) else []

    def route_unread(
        self, queries: Sequence[str], policy: Policy | str | None = None, *, allowed: Collection[str] | None = None
    ) -> list[Decision]:
        """What `route_many` gives. Raises ValueError where replies would be read first: they are not there."""
        made = self.route_many(queries, policy, allowed=allowed)
        if reading := sum(decision.reading is not None for decision in made):
            chosen = self.default_policy if policy is None else policy
            raise ValueError(
                f"policy {str(chosen)!r} must decide without reading replies here, where none are stored, got"
                f" {reading:,} queries on which it asks first; `policies` and `bench` measure it"
            )
        return made

    def route_and_estimate(
        self,
        queries: Sequence[str],
        policy: Policy | str | None = None,
        *,
        allowed: Collection[str] | None = None,
    ) -> tuple[list[Decision], Estimate]:
        """What `route_many` and `estimate` give for at least one query, which is embedded once."""
        chosen = self.default_policy if policy is None else as_policy(policy)
        columns = self._allowed(allowed)
        asked = self.embedded(queries)
        expected = self.router.predict(asked)
        belief = self.dial.believed(expected, asked)
        order, met = self.dial.order(chosen, belief)
        far = self.learned.novelty.far(asked.embedded("a fitted router"))
        decided = [
            self._decided(chosen, belief, row, order[row], met, bool(far[row]), columns) for row in range(len(asked))
        ]
        first = self.dial.asks(chosen, belief, asked)
        first[:, [column for column in range(first.shape[1]) if column not in columns]] = False
        for row in np.flatnonzero(first.any(axis=1)).tolist():
            if decided[row].reason not in (NOVEL, EXPLORED):
                of_row = Estimate(expected.models, expected.score[[row]], expected.cost[[row]])
                after = partial(self._after, chosen, asked.take(np.array([row])), of_row, columns)
                models = tuple(self.learned.models[column] for column in np.flatnonzero(first[row]).tolist())
                decided[row] = replace(decided[row], reading=Reading(models, after))
        with self._lock:
            self.counted.update(decision.reason for decision in decided)
        return decided, self._estimate(belief)

    def _after(
        self,
        policy: Policy,
        query: Queries,
        expected: Estimate,
        allowed: frozenset[int],
        replies: Mapping[str, str],
    ) -> Decision:
        """The decision on one query after the replies of those who were asked."""
        said = {(0, self._column[model]): text for model, text in replies.items()}
        belief = self.dial.believed(expected, query, said)
        order, met = self.dial.order(policy, belief)
        return self._decided(policy, belief, 0, order[0], met, False, allowed, drawn=True)

    def estimate(self, queries: Sequence[str]) -> Estimate:
        """Calibrated scores and costs (n, m) of the models that serve."""
        asked = self.embedded(queries)
        return self._estimate(self.dial.believed(self.router.predict(asked), asked))

    def _estimate(self, belief: Belief) -> Estimate:
        columns = [self._column[model] for model in self.models]
        return Estimate(self.models, belief.quality[:, columns], belief.usd[:, columns])

    def embedded(self, queries: Sequence[str]) -> Queries:
        """Queries with unit vectors, rounded as the bench rounds them."""
        who = f"embedder {self.embedder.key!r}"
        rounded = unit_rows(self.embedder.embed(queries), who).astype(np.float32).astype(np.float64)
        return Queries.of(queries, embedding=unit_rows(rounded, who))

    def check_policy(self, policy: Policy | str) -> None:
        """Raises ValueError where this router cannot follow the policy: no costs, no times, an unknown model."""
        self.dial.solved(as_policy(policy))

    def _allowed(self, allowed: Collection[str] | None) -> frozenset[int]:
        names = self.models if allowed is None else list(allowed)
        for name in names:
            if name not in self.models:
                raise ValueError(f"no model named {name!r} serves here{did_you_mean(name, self.models)}")
        if not names:
            raise ValueError("allowed must hold at least one model, got none; leave it out to allow all")
        return frozenset(self._column[name] for name in names)

    def _decided(
        self,
        policy: Policy,
        belief: Belief,
        row: int,
        order: IntArray,
        met: BoolArray | None,
        far: bool,
        allowed: frozenset[int],
        *,
        drawn: bool = False,
    ) -> Decision:
        """The decision on one query; `met` (n, m) says which models meet the policy, None: all do.

        drawn  whether its lot was drawn before, and fell on the policy
        """
        ranking = [column for column in order.tolist() if column in allowed]
        model, propensity = ranking[0], 1.0
        reason = POLICY if met is None or met[row, model] else UNMET
        fallback = self._column[self.learned.fallback]
        if far:
            reason, model = NOVEL, fallback if fallback in allowed else model
        elif policy.explore:
            first, share = model, policy.explore / len(ranking)
            if not drawn and self.random.random() < policy.explore:
                reason, model = EXPLORED, self.random.choice(ranking)
            propensity = share + (1.0 - policy.explore if model == first else 0.0)
        return Decision(
            self.learned.models[model],
            tuple(self.learned.models[column] for column in ranking),
            float(self.learned.mean_score[model] if far else belief.quality[row, model]),
            float(belief.usd[row, model]),
            float(belief.seconds[row, model]),
            reason,
            propensity,
        )
