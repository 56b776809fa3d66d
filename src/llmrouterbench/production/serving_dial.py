"""From a serving policy to an order of models: the setting of the dial is solved once on the calibration slice."""

from __future__ import annotations

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.naming import did_you_mean
from llmrouterbench.production.learned import Learned
from llmrouterbench.production.serving_policy import (
    Belief,
    ServingPolicy,
    best_first,
    budget_weight,
    cheapest_order,
    in_time_first,
    strong_margin,
    strong_order,
    strong_threshold,
    utility,
)
from llmrouterbench.table import BoolArray, Estimate, FloatArray, IntArray, Queries, Router, TradeOffRouter

_MOST_SOLVED = 512


class Dial:
    """Policies of one fitted router."""

    def __init__(self, router: Router, learned: Learned) -> None:
        self._router, self._learned = router, learned
        self._name = np.argsort(np.argsort(np.array(learned.models, dtype=np.str_), kind="stable"))
        self._solved: dict[ServingPolicy, float] = {}

    def believed(self, estimate: Estimate) -> Belief:
        """What is expected (n, m), from a router's estimate."""
        learned = self._learned
        return Belief(
            self._name,
            estimate.score,
            estimate.cost,
            learned.score_map(estimate.score),
            learned.cost_map(estimate.cost),
            np.broadcast_to(learned.seconds, estimate.score.shape),
        )

    def of_slice(self) -> Belief:
        """What is expected on the calibration slice, calibrated out of fold."""
        piece = self._learned.piece
        usd, seconds = self._learned.cost_map(piece.cost), np.broadcast_to(self._learned.seconds, piece.score.shape)
        return Belief(self._name, piece.score, piece.cost, piece.quality, usd, seconds)

    def far_in_slice(self) -> BoolArray:
        """Which queries (n,) of the calibration slice count as out of distribution."""
        return self._learned.novelty.far(self._learned.piece.embedding.astype(np.float64))

    def order(self, policy: ServingPolicy, belief: Belief, queries: Queries) -> tuple[IntArray, BoolArray | None]:
        """Models (n, m), best first, and which of them (n, m) meet the policy's bounds; None where it has none."""
        return self._order(policy, belief, self.setting(policy), queries)

    def order_of_slice(self, policy: ServingPolicy) -> tuple[IntArray, BoolArray | None]:
        """The same on the calibration slice."""
        return self._order(policy, self.of_slice(), self.setting(policy), None)

    def _order(
        self, policy: ServingPolicy, belief: Belief, setting: float, queries: Queries | None
    ) -> tuple[IntArray, BoolArray | None]:
        met: BoolArray | None = None
        if policy.kind == "strong-share":
            order = strong_order(belief.score, self._name, self._strong(policy), setting)
        elif policy.min_quality is not None:
            value = self._value(belief, setting, queries)
            order, met = cheapest_order(belief, value, policy.min_quality)
        else:
            order = best_first(self._value(belief, setting, queries), self._name)
        if policy.max_seconds is not None:
            order, fast = in_time_first(order, belief.seconds, policy.max_seconds)
            met = fast if met is None else met & fast
        return order, met

    def _value(self, belief: Belief, setting: float, queries: Queries | None) -> FloatArray:
        """What the dial maximises (n, m): an own dial lifts the model that it decides on above all others."""
        if not self._learned.own_dial:
            return utility(belief, setting)
        value = np.array(belief.score)
        value[np.arange(len(value)), self._own_choice(setting, queries)] = np.inf
        return value

    def _own_choice(self, setting: float, queries: Queries | None) -> IntArray:
        if queries is None:
            place = np.flatnonzero(np.isclose(self._learned.settings, setting, rtol=1e-9))
            if not len(place):
                raise ValueError(f"a weight must be one of the router's own settings to be measured, got {setting:g}")
            return np.asarray(self._learned.piece.choice[place[0]], dtype=np.int64)
        assert isinstance(self._router, TradeOffRouter)
        return np.asarray(self._router.decide_sweep(queries, np.array([setting]))[0], dtype=np.int64)

    def setting(self, policy: ServingPolicy) -> float:
        """The weight, or for a strong share the threshold, that a policy comes to; solved on the calibration slice.

        Raises ValueError where there are no costs or times to follow the policy by, or nothing is within its budget.
        """
        known = self._solved.get(policy)
        if known is None:
            if len(self._solved) >= _MOST_SOLVED:  # clients may name any policy: what is kept must not grow with them
                self._solved.clear()
            self._check(policy)
            known = self._solved[policy] = self._solve(policy)
        return known

    def _solve(self, policy: ServingPolicy) -> float:
        settings = self._learned.settings
        if policy.kind == "weight":
            return float(policy.value or 0.0)
        if policy.kind == "strong-share":
            margin = strong_margin(self._learned.piece.score, self._strong(policy))
            return strong_threshold(margin, float(policy.value or 0.0))
        if policy.budget is None:
            return float(settings[0])
        served = np.array([self.slice_usd(policy, float(setting)) for setting in settings])
        place = budget_weight(served, np.arange(len(settings), dtype=np.float64), policy.budget)
        if place is None:
            least = float(np.nanmin(known_mean(served, axis=1)))
            raise ValueError(
                f"--budget must be within reach, got {policy.budget:g} USD/query where the cheapest setting costs"
                f" {least:.3g} on average; raise it"
            )
        return float(settings[int(place)])

    def slice_usd(self, policy: ServingPolicy, setting: float) -> FloatArray:
        """USD (n,) of what serves the slice: what was paid where that is known, else what is expected."""
        belief, piece = self.of_slice(), self._learned.piece
        choice = self._order(policy, belief, setting, None)[0][:, :1]
        paid = np.take_along_axis(piece.observed_cost, choice, axis=1)[:, 0]
        return np.where(np.isfinite(paid), paid, np.take_along_axis(belief.usd, choice, axis=1)[:, 0])

    def _check(self, policy: ServingPolicy) -> None:
        learned = self._learned
        needs_costs = policy.budget is not None or policy.min_quality is not None
        if needs_costs and not np.isfinite(learned.cost_map(learned.piece.cost)).any():
            raise ValueError(
                f"policy {str(policy)!r} needs costs, and the outcomes held none; fit on outcomes with a cost"
            )
        if policy.max_seconds is not None and not np.isfinite(learned.seconds).any():
            raise ValueError(
                f"policy {str(policy)!r} needs reply times, and the outcomes held none; fit on outcomes with seconds"
            )
        if policy.kind == "weight" and learned.own_dial:
            low, high = float(learned.settings.min()), float(learned.settings.max())
            if not low <= float(policy.value or 0.0) <= high:
                raise ValueError(
                    f"weight must be from {low:g} to {high:g} on this router's own dial, got {policy.value:g}"
                )
        self._strong(policy)

    def _strong(self, policy: ServingPolicy) -> int:
        name = policy.strong or self._learned.best
        if name not in self._learned.models:
            raise ValueError(f"no model named {name!r} to be the strong one{did_you_mean(name, self._learned.models)}")
        return self._learned.models.index(name)
