"""The facts of one request while it is served, and what becomes of them: headers, a log row, a log line."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmrouterbench.calling.calls import Usage
from llmrouterbench.decision_log import Logged, LoggedEmbeddings, LoggedSide
from llmrouterbench.embedders.vectors import text_hash
from llmrouterbench.serve.choosing import Choice
from llmrouterbench.serve.dialects import chat
from llmrouterbench.serve.dialects.dialect import Dialect, Reply
from llmrouterbench.serve.refusals import masked

CONVERSATION, EXPLAIN = b"x-router-conversation", b"x-router-explain"


@dataclass
class Exchange:
    """One request; for its fields see `decision_log.Logged`.

    dialect  what the client speaks; new_reply makes the way of a provider's reply into that, reply is the last one
    tries  calls to providers so far
    failures  which models failed before, and in which way
    clamp  the most tokens out that the key's budget pays for, None: all that were asked for
    begun  whether the client has seen the head of the reply; whole: the end of it
    calls  when each attempt began, and with which kind of failure it ended, "" for none
    trace  headers that name the client's own trace
    told  headers of the provider's reply that the client gets too
    left_out  fields of the request that say nothing in the dialect of providers
    explain  whether the client is told what was believed of every model that could serve
    """

    path: str
    dialect: Dialect = chat
    new_reply: Callable[[], Reply] = chat.AsItIs
    reply: Reply = field(default_factory=chat.AsItIs)
    id: str = field(default_factory=lambda: f"d-{secrets.token_hex(12)}")
    at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.perf_counter)
    key: str = "-"
    asked: str = ""
    choice: Choice | None = None
    stream: bool = False
    model: str | None = None
    provider: str | None = None
    status: str = "failed"
    http_status: int = 500
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None
    cost_from: str | None = None
    clamp: int | None = None
    first_token_seconds: float | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[float, str]] = field(default_factory=list)
    trace: Mapping[str, str] = field(default_factory=dict)
    tries: int = 0
    failures: list[str] = field(default_factory=list)
    begun: bool = False
    whole: bool = False
    left_out: tuple[str, ...] = ()
    explain: bool = False
    told: Mapping[str, str] = field(default_factory=dict)

    def bill(self, usage: Usage, cost: float | None, cost_from: str) -> None:
        """Add what one call cost, None: nobody knows."""
        self.usage = usage
        if cost is not None:
            self.cost = cost + (self.cost or 0.0)
            self.cost_from = "counted" if "counted" in (self.cost_from, cost_from) else cost_from

    @property
    def stood_in_for(self) -> str | None:
        """The model that was chosen, where another one served."""
        chosen = self.choice.chosen if self.choice is not None else None
        return chosen if chosen != self.model and self.model is not None else None

    @property
    def because(self) -> str:
        """Why another model served: what became of the calls before, else that the chosen one rests."""
        return "; ".join(self.failures) or "it rests after failures, or the budget has no room for it"

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self.started

    def headers(self) -> dict[str, str]:
        """What the client is told about the decision; the real cost only where the reply is whole."""
        told = {**self.told, "x-router-decision": self.id}
        if self.choice is not None:
            told |= {
                "x-router-reason": self.choice.reason,
                "x-router-decision-ms": f"{1000 * self.choice.decision_seconds:.2f}",
                "x-router-attempts": str(self.tries),
            }
            if self.choice.asks:
                told["x-router-asked"] = ", ".join(self.choice.asks)
            if math.isfinite(self.choice.estimated_cost):
                told["x-router-estimated-cost"] = f"{self.choice.estimated_cost:.8f}"
            if self.explain:
                told["x-router-estimates"] = json.dumps(_believed(self.choice))
        told |= {f"x-router-{name}": value for name, value in self._served()}
        return told

    def _served(self) -> Iterator[tuple[str, str]]:
        if self.model is not None:
            yield "model", self.model
        if self.provider is not None:
            yield "provider", self.provider
        if self.cost is not None:
            yield "cost", f"{self.cost:.8f}"
        if self.stood_in_for is not None:
            yield "stood-in-for", self.stood_in_for
            yield "because", self.because
        if self.clamp is not None:
            yield "max-tokens", str(self.clamp)
        if self.left_out:
            yield "left-out", ", ".join(self.left_out)

    def row(self, log_text: bool) -> Logged | None:
        """Its row in the decision log, None where nothing was decided."""
        choice = self.choice
        if choice is None:
            return None
        chosen = choice.chosen
        return Logged(
            id=self.id, time=self.at, key=self.key, asked=masked(self.asked), policy=choice.policy,
            query_hash=text_hash(choice.text), query=choice.text if log_text else None,
            router_model=choice.router_model, chosen=chosen, model=self.model, provider=self.provider,
            reason=choice.reason, propensity=choice.propensities[chosen], propensities=choice.propensities,
            scores=choice.scores, costs=choice.costs, estimated_score=_known(choice.scores.get(chosen)),
            estimated_cost=_known(choice.estimated_cost), estimated_seconds=_known(choice.seconds), ood=choice.ood,
            shadow=choice.shadow, conversation=choice.conversation, stream=self.stream, status=self.status,
            http_status=self.http_status, cost=self.cost, tokens_in=self.usage.tokens_in,
            tokens_out=self.usage.tokens_out, decision_seconds=choice.decision_seconds,
            first_token_seconds=self.first_token_seconds, seconds=self.seconds, attempts=tuple(self.attempts),
            cost_from=self.cost_from,
        )  # fmt: skip

    def side_row(self) -> LoggedSide | None:
        """Which side it was on, None where traffic is not split."""
        side = None if self.choice is None else self.choice.side
        if side is None:
            return None
        return LoggedSide(
            self.id, self.at, side.experiment, side.unit, side.name, side.probability, side.preferred, side.other
        )

    def embeddings_row(self) -> LoggedEmbeddings:
        """Its row in the decision log where it asked for vectors."""
        return LoggedEmbeddings(
            id=self.id, time=self.at, key=self.key, model=self.model or masked(self.asked)[:100],
            provider=self.provider, status=self.status, http_status=self.http_status,
            tokens_in=self.usage.tokens_in, cost=self.cost, cost_from=self.cost_from, seconds=self.seconds,
        )  # fmt: skip

    def line(self) -> dict[str, Any]:
        """What is logged about it: no text, no key."""
        choice = self.choice
        return {
            "event": "request", "path": self.path, "decision": self.id, "key": self.key, "status": self.status,
            "http_status": self.http_status, "asked": masked(self.asked)[:100], "model": self.model,
            "provider": self.provider, "reason": choice.reason if choice else None, "attempts": self.attempts,
            "stream": self.stream, "cost": self.cost, "cost_from": self.cost_from,
            "tokens_in": self.usage.tokens_in, "tokens_out": self.usage.tokens_out,
            "seconds": round(self.seconds, 4), "stood_in_for": self.stood_in_for,
        }  # fmt: skip


def _believed(choice: Choice) -> dict[str, Any]:
    """The policy, and of every model that could serve its expected score and cost, and its chance to be chosen."""
    models = {
        model: {
            "score": _known(choice.scores.get(model)),
            "cost": _known(choice.costs.get(model)),
            "chance": choice.propensities.get(model, 0.0),
        }
        for model in choice.chain
    }
    return {"policy": choice.policy, "models": models}


def _known(value: float | None) -> float | None:
    """None instead of NaN."""
    return None if value is None or math.isnan(value) else value
