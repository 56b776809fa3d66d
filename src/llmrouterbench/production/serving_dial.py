"""Policies of one fitted router: what is believed of queries, each policy solved once on the calibration slice."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from llmrouterbench.benching.policies.policy import Belief, Policy, Ranking, Slice, Solved, coins
from llmrouterbench.contracts import Router, TradeOffRouter
from llmrouterbench.production.learned import Learned
from llmrouterbench.table import BoolArray, Estimate, FloatArray, IntArray, Queries

_MOST_SOLVED = 512


class Dial:
    """Policies of one fitted router."""

    def __init__(self, router: Router, learned: Learned, *, sure: bool) -> None:
        self._router, self._learned, self._sure = router, learned, sure
        self._name = np.argsort(np.argsort(np.array(learned.models, dtype=np.str_), kind="stable"))
        self._single = learned.models.index(learned.best)
        self._solved: dict[Policy, Solved] = {}

    def believed(self, estimate: Estimate, queries: Queries) -> Belief:
        """What is expected (n, m) of some queries, from a router's estimate."""

        def own(setting: float) -> IntArray:
            assert isinstance(self._router, TradeOffRouter)
            return np.asarray(self._router.decide_sweep(queries, np.array([setting]))[0], dtype=np.int64)

        quality, coin = self._learned.score_map(estimate.score), coins(queries.text)
        belief = self._belief(estimate.score, estimate.cost, quality, coin)
        return replace(belief, dial=own) if self._learned.own_dial else belief

    def of_slice(self) -> Belief:
        """What is expected on the calibration slice, calibrated out of fold."""
        piece = self._learned.piece

        def own(setting: float) -> IntArray:
            place = np.flatnonzero(np.isclose(self._learned.settings, setting, rtol=1e-9))
            if not len(place):
                raise ValueError(f"a weight must be one of the router's own settings to be measured, got {setting:g}")
            return np.asarray(piece.choice[place[0]], dtype=np.int64)

        belief = self._belief(piece.score, piece.cost, piece.quality, coins(piece.name.tolist()))
        return replace(belief, dial=own) if self._learned.own_dial else belief

    def _belief(self, score: FloatArray, cost: FloatArray, quality: FloatArray, coin: FloatArray) -> Belief:
        learned = self._learned
        seconds = np.broadcast_to(learned.seconds, score.shape)
        expected = learned.cost_map(cost)
        return Belief(learned.models, self._name, self._single, score, cost, quality, expected, seconds, coin)

    def far_in_slice(self) -> BoolArray:
        """Which queries (n,) of the calibration slice count as out of distribution; none that the embedder knows."""
        piece = self._learned.piece
        return piece.fresh & self._learned.novelty.far(piece.embedding.astype(np.float64))

    @cached_property
    def piece(self) -> Slice:
        """The calibration slice, as those serve it who are asked: the models left, and the fallback far from train."""
        learned = self._learned
        score, paid = learned.piece.judged
        fallback = np.where(self.far_in_slice(), learned.models.index(learned.fallback), -1)
        serving = np.isin(learned.models, learned.serving)
        return Slice(
            self.of_slice(), score, paid, learned.settings, learned.piece.group, serving, fallback, sure=self._sure
        )

    def order(self, policy: Policy, belief: Belief) -> Ranking:
        """Models (n, m), best first, and which of them (n, m) meet the policy's bounds; None where it has none."""
        return policy.ranked(belief, self.solved(policy))

    def order_of_slice(self, policy: Policy) -> Ranking:
        """The same on the calibration slice."""
        return self.order(policy, self.piece.belief)

    def solved(self, policy: Policy) -> Solved:
        """What a policy comes to, solved on the calibration slice. Raises ValueError."""
        known = self._solved.get(policy)
        if known is None:
            if len(self._solved) >= _MOST_SOLVED:  # clients may name any policy: what is kept must not grow with them
                self._solved.clear()
            piece = self.piece if self._sure else replace(self.piece, serving=None, fallback=None)
            known = self._solved[policy] = policy.solved(piece)
        return known
