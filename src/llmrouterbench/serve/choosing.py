"""Who serves a request: the policy's choice, the order of fallback, and the probabilities with which it was made."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmrouterbench.benching.policies.policy import Policy
from llmrouterbench.embedders.vectors import text_hash
from llmrouterbench.naming import did_you_mean
from llmrouterbench.serve.chat_body import ChatBody
from llmrouterbench.serve.config import AUTO, ServeConfig
from llmrouterbench.serve.reading import can_compare
from llmrouterbench.serve.refusals import RefusedError
from llmrouterbench.serve.state import State

if TYPE_CHECKING:
    from llmrouterbench.production.fitted import Decision, FittedRouter
    from llmrouterbench.table import Estimate

_POLICIES = 1000
NAN = float("nan")


@dataclass(frozen=True)
class Side:
    """The side of a conversation on split traffic; the fields are those of `decision_log.LoggedSide`."""

    experiment: str
    unit: str
    name: str
    probability: float
    preferred: str
    other: str


@dataclass(frozen=True)
class Choice:
    """Who serves, and what was believed; the fields are those of `decision_log.Logged`.

    chain  models in the order in which they are tried, the chosen one first
    asks   whom to ask first, all at once, before `after` says who serves; nobody where `chain` does
    text   the text that decided
    side   which side it is on, None where traffic is not split
    """

    chain: tuple[str, ...]
    reason: str
    policy: str | None
    text: str
    router_model: str | None
    propensities: Mapping[str, float]
    scores: Mapping[str, float]
    costs: Mapping[str, float]
    seconds: float = NAN
    shadow: bool = False
    ood: bool = False
    conversation: str | None = None
    decision_seconds: float = 0.0
    side: Side | None = None
    asks: tuple[str, ...] = ()
    decided: Callable[[Mapping[str, str]], Choice] | None = None

    def after(self, replies: Mapping[str, str]) -> Choice:
        """Who serves after the replies that came, by model."""
        assert self.decided is not None
        started = time.perf_counter()
        read = self.decided(replies)
        side = self.side and replace(self.side, preferred=read.router_model or "")
        seconds = self.decision_seconds + time.perf_counter() - started
        return replace(
            self, chain=read.chain, router_model=read.router_model, propensities=read.propensities, side=side,
            decision_seconds=seconds,
        )  # fmt: skip

    @property
    def chosen(self) -> str:
        """The first model to try."""
        return self.chain[0]

    @property
    def estimated_cost(self) -> float:
        """USD expected of the chosen model, NaN where nobody knows."""
        return self.costs.get(self.chosen, NAN)


class Chooser:
    """Decides every request of one server.

    windows  context windows in tokens, None where nobody knows
    shadow   a model that serves every `auto` request, while the log says what the router would have done; "" for none
    explore  share of queries that a random model serves, for policies that do not say one themselves
    state    where the models of conversations are kept
    """

    def __init__(
        self,
        router: FittedRouter,
        config: ServeConfig,
        *,
        shadow: str = "",
        explore: float = 0.0,
        windows: Mapping[str, int | None] | None = None,
        state: State | None = None,
    ) -> None:
        self.router = router
        self._models = {model.name: model for model in config.models}
        self._context = config.conversation.context_characters
        self._most = config.conversation.most_characters
        self._windows = windows or {}
        self._windowed = any(self._windows.values())
        self._shadow = shadow
        self._explore = explore
        self._policies: OrderedDict[str, Policy] = OrderedDict()
        self.pool = tuple(model for model in router.models if model in self._models)
        if not self.pool:
            raise ValueError(
                f"the config must name models of the router, which are {', '.join(router.models)},"
                f" got {', '.join(self._models)}"
            )
        if shadow and shadow not in self._models:
            raise ValueError(f"--shadow must name a model of the config{did_you_mean(shadow, self._models)}")
        self._sticky_seconds = config.conversation.sticky_seconds
        self._state = state or State()
        self._default = config.policy or str(router.default_policy)
        router.check_policy(self.policy(self._default))

    def policy(self, words: str) -> Policy:
        """The policy in some words, parsed once. Raises ValueError."""
        known = self._policies.get(words)
        if known is None:
            known = Policy.parse(words)
            if self._explore and not known.explore:
                known = replace(known, explore=self._explore)
            self._policies[words] = known
            if len(self._policies) > _POLICIES:
                self._policies.popitem(last=False)
        return known

    def choose(self, body: ChatBody, who: str = "", conversation: str = "", models: Collection[str] = ()) -> Choice:
        """Who serves a request of the client key `who`, of its `models` where there are any.

        conversation  the id that it gave, "" for none

        Raises RefusedError (400, 403, 404).
        """
        started = time.perf_counter()
        name, _, words = body.model.partition(":")
        choice = self._named(body) if name != AUTO or body.model in self._models else self._routed(
            body, words or self._default, self._conversation(body, who, conversation), models
        )  # fmt: skip
        return replace(choice, decision_seconds=time.perf_counter() - started)

    async def stick(self, choice: Choice, body: ChatBody) -> Choice:
        """The choice of a conversation: the model that it has, where it has one that can serve."""
        model = None
        if choice.conversation is not None and body.follow_up:
            with suppress(OSError):  # nobody knows which it has
                model = await self._state.read(_sticking(choice))
        if model is None or model not in choice.chain:
            return choice
        chain = (model, *(other for other in choice.chain if other != model))
        return replace(
            choice, chain=chain, reason="conversation", propensities={other: float(other == model) for other in chain}
        )

    def keep(self, choice: Choice, model: str) -> None:
        """Note that a model served a conversation."""
        if choice.conversation is not None:
            self._state.later(_sticking(choice), lambda *_: (model, None), self._sticky_seconds)

    def _named(self, body: ChatBody) -> Choice:
        if body.model not in self._models:
            known = did_you_mean(body.model[:100], [AUTO, *self._models])
            raise RefusedError(404, f"no model named {body.model[:100]!r}{known}", "model_not_found")
        text = body.deciding_text(self._context, self._most)
        return Choice((body.model,), "named", None, text, None, {body.model: 1.0}, {}, {})

    def _conversation(self, body: ChatBody, who: str, given: str) -> str | None:
        """The conversation's hash, None where conversations do not stick."""
        if not self._sticky_seconds:
            return None
        return text_hash(f"{who}\n{body.model}\n{given or body.opening()}")

    def _routed(self, body: ChatBody, words: str, conversation: str | None, models: Collection[str]) -> Choice:
        try:
            policy = self.policy(words)
        except ValueError as error:
            raise RefusedError(
                400, f"model {body.model[:100]!r} must name a policy: {error}", "invalid_policy"
            ) from None
        text = body.deciding_text(self._context, self._most)
        allowed = self._allowed(body, models)
        all_serve = allowed == self.router.models
        try:
            (decision,), estimate = self.router.route_and_estimate(
                [text], policy, allowed=None if all_serve else allowed
            )
        except ValueError as error:
            raise RefusedError(400, f"policy {str(policy)!r} cannot be followed: {error}", "invalid_policy") from None
        choice = self._believed(decision, estimate, policy, text)
        if decision.reading is not None and can_compare(body, text) and not self._shadow:
            reading = decision.reading
            choice = replace(
                choice,
                asks=reading.models,
                decided=lambda said: self._believed(reading.decided(said), estimate, policy, text),
            )
        if self._shadow:
            return replace(
                choice, chain=(self._shadow,), reason="shadow", propensities={self._shadow: 1.0}, shadow=True
            )
        return replace(choice, conversation=conversation)

    def _believed(self, decision: Decision, estimate: Estimate, policy: Policy, text: str) -> Choice:
        """The router's decision with its probabilities and what it expects of every model."""
        novel = decision.reason == "out of distribution"
        own = decision.model if novel else decision.ranking[0]
        share = 0.0 if novel else policy.explore
        chain = (decision.model, *(model for model in decision.ranking if model != decision.model))
        propensities = {model: share / len(chain) + (1.0 - share) * (model == own) for model in chain}
        scores = dict(zip(self.router.models, estimate.score[0].tolist(), strict=True))
        costs = dict(zip(self.router.models, estimate.cost[0].tolist(), strict=True))
        return Choice(
            chain, decision.reason, str(policy), text, own, propensities, scores, costs, decision.seconds,
            ood=novel,
        )  # fmt: skip

    def _allowed(self, body: ChatBody, models: Collection[str]) -> tuple[str, ...]:
        """Models of the pool that may serve the key and can take the request."""
        able = self.pool
        if models:
            able = tuple(model for model in able if model in models)
            if not able or (self._shadow and self._shadow not in models):
                raise RefusedError(403, "no model that this key may ask is routed to here", "model_not_allowed")
        if body.needs:
            able = tuple(model for model in able if body.needs.isdisjoint(self._models[model].lacks))
        if not able:
            raise RefusedError(400, f"no model of this server takes {' and '.join(sorted(body.needs))}")
        return self._wide_enough(able, body) if self._windowed else able

    def _wide_enough(self, able: tuple[str, ...], body: ChatBody) -> tuple[str, ...]:
        """Models whose window holds the request, as counted; where none does, those with the longest one."""
        needed = body.sizes[0] + (body.most_tokens or 0)
        windows = {model: self._windows.get(model) or math.inf for model in able}
        wide = tuple(model for model in able if windows[model] >= needed)
        longest = max(windows.values())
        return wide or tuple(model for model in able if windows[model] == longest)


def _sticking(choice: Choice) -> str:
    return f"conversation:{choice.conversation}"
