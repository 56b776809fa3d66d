"""Policies of one fitted router: what is believed of queries, each policy solved once on the calibration slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llmrouterbench.benching.policies.policy import Belief, Policy, Ranking, Slice
from llmrouterbench.contracts import Router, TradeOffRouter
from llmrouterbench.production.learned import Learned
from llmrouterbench.table import BoolArray, Estimate, FloatArray, IntArray, Queries

_MOST_SOLVED = 512


class Dial:
    """Policies of one fitted router."""

    def __init__(self, router: Router, learned: Learned) -> None:
        self._router, self._learned = router, learned
        self._name = np.argsort(np.argsort(np.array(learned.models, dtype=np.str_), kind="stable"))
        self._single = learned.models.index(learned.best)
        self._solved: dict[Policy, float] = {}

    def believed(self, estimate: Estimate, queries: Queries) -> Belief:
        """What is expected (n, m) of some queries, from a router's estimate."""

        def own(setting: float) -> IntArray:
            assert isinstance(self._router, TradeOffRouter)
            return np.asarray(self._router.decide_sweep(queries, np.array([setting]))[0], dtype=np.int64)

        belief = self._belief(estimate.score, estimate.cost, self._learned.score_map(estimate.score))
        return replace(belief, dial=own) if self._learned.own_dial else belief

    def of_slice(self) -> Belief:
        """What is expected on the calibration slice, calibrated out of fold."""
        piece = self._learned.piece

        def own(setting: float) -> IntArray:
            place = np.flatnonzero(np.isclose(self._learned.settings, setting, rtol=1e-9))
            if not len(place):
                raise ValueError(f"a weight must be one of the router's own settings to be measured, got {setting:g}")
            return np.asarray(piece.choice[place[0]], dtype=np.int64)

        belief = self._belief(piece.score, piece.cost, piece.quality)
        return replace(belief, dial=own) if self._learned.own_dial else belief

    def _belief(self, score: FloatArray, cost: FloatArray, quality: FloatArray) -> Belief:
        learned = self._learned
        seconds = np.broadcast_to(learned.seconds, score.shape)
        return Belief(learned.models, self._name, self._single, score, cost, quality, learned.cost_map(cost), seconds)

    def far_in_slice(self) -> BoolArray:
        """Which queries (n,) of the calibration slice count as out of distribution; none that the embedder knows."""
        piece = self._learned.piece
        return piece.fresh & self._learned.novelty.far(piece.embedding.astype(np.float64))

    def order(self, policy: Policy, belief: Belief) -> Ranking:
        """Models (n, m), best first, and which of them (n, m) meet the policy's bounds; None where it has none."""
        return policy.ranked(belief, self.setting(policy))

    def order_of_slice(self, policy: Policy) -> Ranking:
        """The same on the calibration slice."""
        return self.order(policy, self.of_slice())

    def setting(self, policy: Policy) -> float:
        """The setting of the dial that a policy comes to, solved on the calibration slice. Raises ValueError."""
        known = self._solved.get(policy)
        if known is None:
            if len(self._solved) >= _MOST_SOLVED:  # clients may name any policy: what is kept must not grow with them
                self._solved.clear()
            learned = self._learned
            piece = Slice(self.of_slice(), learned.piece.judged[1], learned.settings)
            known = self._solved[policy] = policy.solved(piece)
        return known
