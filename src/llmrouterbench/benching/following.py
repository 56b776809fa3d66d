"""A router that follows a serving policy, so that a bench measures what the policy promises like any router."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from typing import Self

import numpy as np

from llmrouterbench.benching.deciding import reads_replies
from llmrouterbench.benching.policies import decide_sweep, weights_of
from llmrouterbench.benching.policies.policy import Belief, Policy, Slice, coins
from llmrouterbench.contracts import Router, TradeOffRouter
from llmrouterbench.metrics import known_mean
from llmrouterbench.routers import REGISTRY, make_router, parse_router
from llmrouterbench.splits import validation_split
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries
from llmrouterbench.worth import train_best_single

_SLICE = 0.2


class PolicyRouter:
    """A router and a policy that is solved on a fifth of train: one operating point.

    router  a router with its settings
    policy  its words
    seed    of the slice, and of a router that is named without one; None: 0, and the router's own

    Raises ValueError for a router that reads replies, and in `fit` for a policy beyond reach.
    """

    def __init__(self, router: str, policy: str, seed: int | None = None) -> None:
        self.router, self.policy, self.seed = router, str(Policy.parse(policy)), seed
        if reads_replies(self._unfitted()):
            raise ValueError(f"a policy must have a router that decides before any reply, got {router!r}; leave it out")

    def _unfitted(self) -> Router:
        name, given = parse_router(self.router)
        made = make_router(name, **given)
        return made if self.seed is None else seeded(self.router, made, self.seed)

    @property
    def weights(self) -> FloatArray:
        """(1,): what the policy comes to."""
        return np.zeros(1)

    def fit(self, train: Outcomes) -> Self:
        """Fit the router, and solve the policy on a slice of train that it did not see, as production does."""
        unfitted = self._unfitted()
        rest, held = validation_split(train, np.arange(len(train)), self.seed or 0, _SLICE)
        learn, piece = train.take(rest), train.take(held)
        weights = weights_of(unfitted, learn)
        self.own_dial_ = isinstance(unfitted, TradeOffRouter)
        self.models_, self.single_ = train.models, train_best_single(learn)
        self.seconds_ = known_mean(learn.seconds, axis=0)
        self.router_ = unfitted.fit(learn)
        settings = weights[::-1] if self.own_dial_ else weights
        belief = self._belief(piece.queries, settings)
        self.solved_ = Policy.parse(self.policy).solved(
            Slice(belief, piece.score, piece.cost, settings, piece.together)
        )
        return self

    def predict(self, queries: Queries) -> Estimate:
        """What the router expects."""
        return self.router_.predict(queries)

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) model that the policy serves, the same at every weight; exploration aside."""
        settings = np.array([one for one in (self.solved_.setting, self.solved_.other) if np.isfinite(one)])
        order, _ = Policy.parse(self.policy).ranked(self._belief(queries, settings), self.solved_)
        return np.repeat(order[None, :, 0], len(weights), axis=0)

    def _belief(self, queries: Queries, settings: FloatArray) -> Belief:
        """What is expected (n, m), uncalibrated; a dial of the router's own is asked at these settings (w,)."""
        said = self.router_.predict(queries)
        names = np.argsort(np.argsort(np.array(self.models_, dtype=np.str_), kind="stable"))
        quality, seconds = np.clip(said.score, 0.0, 1.0), np.broadcast_to(self.seconds_, said.score.shape)
        made = Belief(
            *(self.models_, names, self.single_, said.score, said.cost, quality, said.cost, seconds),
            coin=coins(queries.id.tolist()),
        )
        if not self.own_dial_:
            return made
        choice = dict(zip(settings.tolist(), decide_sweep(self.router_, queries, settings), strict=True))
        return replace(made, dial=lambda setting: np.asarray(choice[setting], dtype=np.int64))


def seeded(spec: str, router: Router, seed: int) -> Router:
    """A router that was named without a seed, with the random start of this one."""
    if isinstance(router, PolicyRouter):
        return PolicyRouter(router.router, router.policy, seed)
    name, given = parse_router(spec)
    if "seed" in given or name not in REGISTRY or "seed" not in signature(type(router)).parameters:
        return router
    return make_router(name, **given, seed=seed)
