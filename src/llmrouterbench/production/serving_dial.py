"""Policies of one fitted router: what is believed of queries, each policy solved once on the calibration slice."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from llmrouterbench.benching.policies.policy import Belief, Policy, Ranking, Slice, Solved, coins
from llmrouterbench.contracts import AsksAtOnce, Router, TradeOffRouter
from llmrouterbench.production.learned import Learned
from llmrouterbench.production.reading import at
from llmrouterbench.table import BoolArray, Estimate, FloatArray, IntArray, Queries, Replies

_MOST_SOLVED = 512


class Dial:
    """Policies of one fitted router."""

    def __init__(self, router: Router, learned: Learned, *, sure: bool) -> None:
        self._router, self._learned, self._sure = router, learned, sure
        self._reader = router if isinstance(router, AsksAtOnce) and router.reads_replies else None
        self._asked: dict[float, BoolArray] = {}
        self._name = np.argsort(np.argsort(np.array(learned.models, dtype=np.str_), kind="stable"))
        self._single = learned.models.index(learned.best)
        self._solved: dict[Policy, Solved] = {}

    def believed(self, estimate: Estimate, queries: Queries, replies: Replies | None = None) -> Belief:
        """What is expected (n, m) of some queries, from a router's estimate.

        replies  what those said whom a router that reads replies asked; None: nobody was asked
        """

        def own(setting: float) -> IntArray:
            if self._reader is not None:
                return at(self._reader, setting).chosen(queries, replies or {})
            assert isinstance(self._router, TradeOffRouter)
            return np.asarray(self._router.decide_sweep(queries, np.array([setting]))[0], dtype=np.int64)

        quality, coin = self._learned.score_map(estimate.score), coins(queries.text)
        belief = self._belief(estimate.score, estimate.cost, quality, coin)
        has_dial = self._learned.own_dial and (self._reader is None or replies is not None)
        return replace(belief, dial=own) if has_dial else belief

    def asks(self, policy: Policy, belief: Belief, queries: Queries) -> BoolArray:
        """Which models (n, m) are asked before one serves, at the setting that each query has under a policy."""
        asked = np.zeros(belief.score.shape, dtype=np.bool_)
        if self._reader is None or not policy.on_dial:
            return asked
        solved = self.solved(policy)
        other = belief.coin < solved.share
        for setting, rows in ((solved.setting, np.flatnonzero(~other)), (solved.other, np.flatnonzero(other))):
            if len(rows):
                asked[rows] = at(self._reader, setting).asks(queries.take(rows))
        return asked

    def of_slice(self) -> Belief:
        """What is expected on the calibration slice, calibrated out of fold."""
        piece = self._learned.piece

        def own(setting: float) -> IntArray:
            place = np.flatnonzero(np.isclose(self._learned.settings, setting, rtol=1e-9))
            if not len(place):
                near = self._learned.settings[abs(self._learned.settings - setting).argmin()]
                raise ValueError(
                    f"a weight must be one of the router's own settings to be measured, got {setting:g}; take {near:g}"
                )
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

    def _asked_of_slice(self, setting: float) -> BoolArray:
        """Which models (n, m) are asked first on the calibration slice; nobody where the fallback serves."""
        if setting not in self._asked:
            assert self._reader is not None
            piece = self._learned.piece
            queries = Queries.of(piece.name.tolist(), embedding=piece.embedding.astype(np.float64))
            serving = np.isin(self._learned.models, self._learned.serving)
            asked = at(self._reader, setting).asks(queries) & serving
            self._asked[setting] = asked & ~self.far_in_slice()[:, None]
        return self._asked[setting]

    @cached_property
    def piece(self) -> Slice:
        """The calibration slice, as those serve it who are asked: the models left, and the fallback far from train."""
        learned = self._learned
        score, paid = learned.piece.judged
        fallback = np.where(self.far_in_slice(), learned.models.index(learned.fallback), -1)
        serving = np.isin(learned.models, learned.serving)
        asked = None if self._reader is None else self._asked_of_slice
        return Slice(
            self.of_slice(), score, paid, learned.settings, learned.piece.group, serving, fallback,
            sure=self._sure, asked=asked,
        )  # fmt: skip

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
            if self._reader is not None and policy.needs_seconds:
                raise ValueError(
                    f"policy {str(policy)!r} must not be about seconds where replies are read first, which takes"
                    " longer than any model's mean; leave them out"
                )
            if len(self._solved) >= _MOST_SOLVED:  # clients may name any policy: what is kept must not grow with them
                self._solved.clear()
            piece = self.piece if self._sure else replace(self.piece, serving=None, fallback=None)
            known = self._solved[policy] = policy.solved(piece)
        return known
