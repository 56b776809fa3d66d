"""A conversation with a gateway in this process: a request goes the way that it would go in the server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from llmrouterbench.serve.dialects import chat
from llmrouterbench.serve.exchange import EXPLAIN

if TYPE_CHECKING:
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.serve.asgi import Message
    from llmrouterbench.serve.config import ServeConfig
    from llmrouterbench.serve.gateway import Gateway


@dataclass(frozen=True)
class Turn:
    """What became of a query.

    text       the reply, None where nobody served; refusal: why not, "" where somebody did
    served     which model, "" for none; reason: of its choice; because: why it is another one than the chosen
    cost       USD of all calls, None unknown
    policy     in words, "" where a model was named
    estimates  model -> score, cost, chance; None where the router does not say
    """

    text: str | None
    refusal: str
    served: str
    reason: str
    because: str
    cost: float | None
    policy: str
    estimates: dict[str, dict[str, float | None]]


@dataclass
class Conversation:
    """Queries one after the other, each with those before it; `model` is what requests name."""

    gateway: Gateway
    model: str = "auto"
    messages: list[dict[str, str]] = field(default_factory=list)

    async def ask(self, query: str) -> Turn:
        """Ask; a turn that nobody served, or that was cancelled, is not remembered."""
        asked = [*self.messages, {"role": "user", "content": query}]
        sent: list[Message] = []

        async def receive() -> Message:
            if not sent:
                sent.append({})
                return {"type": "http.request", "body": orjson.dumps({"model": self.model, "messages": asked})}
            await asyncio.Event().wait()  # the client stays
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": chat.PATH, "headers": [(EXPLAIN, b"yes")]}
        await self.gateway.chat(scope, receive, send)
        turn = _turn(sent[1], b"".join(part.get("body", b"") for part in sent[2:]))
        if turn.text is not None:
            self.messages = [*asked, {"role": "assistant", "content": turn.text}]
        return turn


def _turn(head: Message, raw: bytes) -> Turn:
    told = {name.decode(): value.decode() for name, value in head["headers"]}
    body: dict[str, Any] = orjson.loads(raw)
    known = orjson.loads(told.get("x-router-estimates", '{"policy": null, "models": {}}'))
    served, text, refusal = told.get("x-router-model", ""), None, ""
    if head["status"] == 200:
        text = body["choices"][0]["message"].get("content") or ""
    else:
        refusal = str(body.get("error", {}).get("message") or f"the provider answered {head['status']}")
    return Turn(
        text=text,
        refusal=refusal,
        served=served,
        reason=told.get("x-router-reason", ""),
        because=told.get("x-router-because", ""),
        cost=float(told["x-router-cost"]) if "x-router-cost" in told else None,
        policy=known["policy"] or "",
        estimates=known["models"],
    )


def open_gateway(router: FittedRouter, config: ServeConfig) -> Gateway:
    """A gateway without client keys, state and log: whoever has the config's file has the providers' keys too."""
    from llmrouterbench.serve.gateway import Gateway
    from llmrouterbench.serve.log_lines import LogLines

    alone = {"keys": [], "teams": [], "managed_keys": False, "state": "", "state_env": ""}
    return Gateway(router, config.model_copy(update=alone), lines=LogLines(requests=False))
