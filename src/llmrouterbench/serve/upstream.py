"""One provider as the server sees it: a circuit breaker, and replies whose bytes pass unchanged where they are good.

An attempt ends as a `Whole` or a `Streamed` reply, or as a CallError that says whether another provider may do better.
A stream counts as begun with its first token; until then nothing of it is given away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from llmrouterbench.calling.calls import CallError, Endpoint, Usage
from llmrouterbench.calling.client import CHAT, Body, Streaming, read_reply
from llmrouterbench.calling.connections import Connections
from llmrouterbench.calling.counting import text_bytes, tokens_of
from llmrouterbench.calling.refusals import bad_reply
from llmrouterbench.calling.wire import judge_completion, judge_embeddings, read_text
from llmrouterbench.serve.breaker import Breaker
from llmrouterbench.serve.config import FallbackConfig, ServedProviderConfig
from llmrouterbench.serve.events import as_events
from llmrouterbench.serve.state import State


@dataclass(frozen=True)
class Whole:
    """A reply that is there; `told` are headers that name the call at its provider, or its limits.

    native  whether the body is as the provider sent it, in an API of its own that the client speaks too
    text    what it says
    """

    body: bytes
    content_type: str
    usage: Usage
    counted_tokens: int = 0
    told: Mapping[str, str] = field(default_factory=dict)
    native: bool = False
    text: str = ""


@dataclass(frozen=True)
class Streamed:
    """A stream whose first token has come: `begun` holds all bytes up to it, `rest` gives the others.

    native  whether these are as the provider sent them, in an API of its own that the client speaks too
    """

    begun: bytes
    streaming: Streaming
    told: Mapping[str, str] = field(default_factory=dict)
    native: bool = False

    @property
    def usage(self) -> Usage:
        """What the provider said so far."""
        return self.streaming.reply.usage

    @property
    def whole(self) -> bool:
        """Whether its end has come."""
        return bool(self.streaming.reply.finish)

    @property
    def counted_tokens(self) -> int:
        """Tokens out that came so far, as counted."""
        return self.streaming.reply.counted_tokens

    @property
    def text(self) -> str:
        """What came so far, where it was asked for with `keep_text`."""
        return self.streaming.reply.answer().text

    async def rest(self) -> AsyncIterator[bytes]:
        """The bytes after the first token. Raises CallError where the provider breaks off."""
        while (piece := await self.streaming.next()) is not None:
            if piece := self.streaming.came() if self.native else piece:
                yield piece


async def to_its_end(reply: Whole | Streamed) -> Whole | Streamed:
    """A reply with all of its bytes there. Raises CallError where the provider breaks off."""
    if isinstance(reply, Whole):
        return reply
    return replace(reply, begun=b"".join([reply.begun, *[piece async for piece in reply.rest()]]))


class Upstream:
    """Connections to one provider, for one event loop."""

    def __init__(
        self, name: str, config: ServedProviderConfig, endpoint: Endpoint, fallback: FallbackConfig, state: State
    ) -> None:
        self.name = name
        self.config = config
        self._fallback, self._state = fallback, state
        self._breakers: dict[str, Breaker] = {}
        self._connections = Connections(endpoint)

    def breaker(self, model: str) -> Breaker:
        """The breaker of a model here: one that fails, or has reached its limit, does not close the others."""
        if model not in self._breakers:
            mirror = self._state.mirror(f"breaker:{self.name}:{model}")
            self._breakers[model] = Breaker(self._fallback.failures, self._fallback.rest_seconds, mirror)
        return self._breakers[model]

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return self._connections.in_flight

    @asynccontextmanager
    async def ask(
        self,
        path: str,
        body: bytes,
        *,
        stream: bool,
        wants_usage: bool = False,
        native: Mapping[str, str] | None = None,
        sent: Callable[[], None] = lambda: None,
        keep_text: bool = False,
    ) -> AsyncIterator[Whole | Streamed]:
        """One attempt; `wants_usage`: whether the client asked a stream for it; `sent` is told when it goes out.

        native     more headers of a body that is in the provider's own API, as is then the reply
        keep_text  whether what it says is kept beside its bytes

        Raises CallError until the reply is there or its stream has begun.
        """
        async with self._connections.post(path, body, stream=stream, native=native, sent=sent) as response:
            reply = await read_reply(response, keep_text=keep_text, drop_usage=not wants_usage)
            if isinstance(reply, Body):
                judged = replace(self._judged(path, reply, stream, wants_usage), told=response.told)
                as_it_came = native is not None and not stream
                yield replace(judged, body=reply.came, native=True) if as_it_came else judged
            elif stream:
                begun = await reply.begin()
                yield Streamed(begun if native is None else reply.came(), reply, response.told, native is not None)
            else:
                raise bad_reply(self._connections.endpoint, "an event stream where JSON was asked for")

    def bad_reply(self, what: str) -> CallError:
        """The error for a reply that is read, and that a client cannot be told."""
        return bad_reply(self._connections.endpoint, what)

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    def _judged(self, path: str, reply: Body, stream: bool, wants_usage: bool) -> Whole:
        """A body that a client can use; a stream is made of it where the client waits for one."""
        endpoint = self._connections.endpoint
        if path != CHAT:
            usage = judge_embeddings(endpoint, reply.data, reply.raw)
            return Whole(reply.raw, "application/json", replace(usage, tokens_out=0))  # vectors are no tokens
        usage, _ = judge_completion(endpoint, reply.data, reply.raw)
        text = read_text(reply.data["choices"][0]["message"].get("content"))
        counted = 0 if is_told(usage) else tokens_of(sum(text_bytes(one["message"]) for one in reply.data["choices"]))
        if not stream:
            return Whole(reply.raw, "application/json", usage, counted, text=text)
        try:
            events = as_events(reply.data, usage=wants_usage)
            return Whole(events, "text/event-stream; charset=utf-8", usage, counted, text=text)
        except RecursionError:
            raise bad_reply(endpoint, "JSON that is nested too deeply for a stream", usage=usage) from None


def is_told(usage: Usage) -> bool:
    """Whether a provider said what a call is billed by."""
    return usage.provider_cost is not None or (usage.tokens_in is not None and usage.tokens_out is not None)


def blames(error: CallError) -> bool:
    """Whether the circuit breaker counts a failure: not what a request, a limit or a missing model explains."""
    return error.elsewhere and error.kind not in ("busy", "bad_request", "not_found") and error.status != 429


def tells(error: CallError) -> bool:
    """Whether the provider's own words say something to the client about its request, or when to come again."""
    about_key = error.kind in ("auth", "payment", "not_found") or error.status == 407
    return error.body is not None and 400 <= error.status < 500 and not about_key
