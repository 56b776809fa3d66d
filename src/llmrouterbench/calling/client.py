"""One client for every OpenAI-compatible endpoint: chat completions, streamed or not, and embeddings.

Every call is ONE attempt: it ends as an Answer or as a CallError that says whether another attempt can succeed;
`retrying.py` makes the further ones. What ends how:

- status 429, 408, 409, 5xx: retryable, with Retry-After in seconds or as a date; 400, 401, 402, 403, 404: not
- a connection that fails, a reply or a stream that breaks off, no end within the time limit: retryable
- status 200 with an error in its body: as if the error's code had been the status
- what is no reply of the API, such as half a JSON: retryable, but not often, as it may have been billed; another
  content type, more than the endpoint's `reply_bytes`: not
- no text, a content filter, a length limit: an Answer with that reason
- usage that is missing or impossible: None, the latter with a note
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from llmrouterbench.calling.calls import Answer, CallError, Embeddings, Endpoint, Request, Usage
from llmrouterbench.calling.connections import Connections
from llmrouterbench.calling.events import Event, EventReader
from llmrouterbench.calling.refusals import bad_reply, refusal, retry_after_seconds
from llmrouterbench.calling.response import Response
from llmrouterbench.calling.wire import (
    StreamedReply,
    decode_json,
    encode_json,
    read_answer,
    read_embeddings,
    request_body,
)

__all__ = ["CHAT", "EMBEDDINGS", "Answer", "CallError", "Client", "Embeddings", "Endpoint", "Request", "Usage"]

CHAT, EMBEDDINGS = "chat/completions", "embeddings"
_SIGN_OF_LIFE = b":\n\n"


class Client:
    """Connections to any number of endpoints, for one event loop; use as `async with Client() as client`."""

    def __init__(self) -> None:
        self._connections: dict[Endpoint, Connections] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        for connections in self._connections.values():
            await connections.close()
        self._connections.clear()

    async def complete(self, endpoint: Endpoint, request: Request) -> Answer:
        """One attempt at one chat completion. Raises CallError; ValueError for a request that cannot be written."""
        if endpoint.transport == "litellm":
            from llmrouterbench.calling import litellm_transport

            return await litellm_transport.complete(endpoint, request)
        body = encode_json(request_body(request, endpoint.url))
        async with self._to(endpoint).post(CHAT, body, stream=request.stream) as response:
            try:
                reply = await read_reply(response)
                if isinstance(reply, Streaming):
                    return await reply.answer()
                return read_answer(endpoint, reply.data, response.seconds)
            except CallError as error:
                if error.kind != "content_filter":
                    raise
                usage, why = error.usage or Usage(), error.kind
                return Answer(
                    **vars(usage), finish_reason=why, reason=why, seconds=response.seconds, note=error.reason
                )  # fmt: skip

    async def embed(
        self, endpoint: Endpoint, model: str, texts: Sequence[str], *, dimensions: int | None = None
    ) -> Embeddings:
        """One attempt at the vectors (n, d) of some texts. Raises CallError."""
        asked: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": "float"}
        if dimensions is not None:
            asked["dimensions"] = dimensions
        async with self._to(endpoint).post(EMBEDDINGS, encode_json(asked)) as response:
            found = read_embeddings(endpoint, (await read_whole(response)).data, len(texts))
            return replace(found, seconds=response.seconds)

    def _to(self, endpoint: Endpoint) -> Connections:
        return self._connections.get(endpoint) or self._connections.setdefault(endpoint, Connections(endpoint))


# --- what came -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Body:
    """A body that is JSON, and what it says; not yet judged. `came`: as a server of another API sent it."""

    raw: bytes
    data: Any
    came: bytes = b""


async def read_reply(response: Response, *, keep_text: bool = True, drop_usage: bool = False) -> Body | Streaming:
    """The reply to a response whose head is there. Raises CallError for a refusal, and for what is neither."""
    if response.is_good and response.is_events:
        return Streaming(response, keep_text=keep_text, drop_usage=drop_usage)
    return await read_whole(response)


async def read_whole(response: Response) -> Body:
    """The JSON of a response. Raises CallError for a refusal, and for what is no JSON."""
    endpoint = response.endpoint
    if not response.is_good:
        raise await _refusal(response)
    with suppress(ValueError):
        return Body(response.body, decode_json(response.body), response.came)
    content_type = response.content_type.partition(";")[0].strip() or "no content type"
    if content_type.lower().endswith("json"):
        raise bad_reply(endpoint, f"{len(response.body)} bytes that are no whole JSON")
    what = f"{content_type[:60]!r} instead of JSON"
    raise bad_reply(endpoint, what, retryable=False, remedy="check the url, which often ends in /v1")


async def _refusal(response: Response) -> CallError:
    body, endpoint = await response.refused(), response.endpoint
    if response.status < 400:
        what = f"answered with a redirect (status {response.status}), which is not followed"
        return endpoint.failed("bad_reply", what, retryable=False, billed=False, remedy="check the url")
    data = None
    with suppress(ValueError):
        data = decode_json(body)
    wait = retry_after_seconds(response.header(b"retry-after"))
    return refusal(endpoint, response.status, data, body, wait, response.content_type or "application/json")


class Streaming:
    """A reply that comes as events: judged as they come, passed on byte for byte or put together to an Answer.

    With `drop_usage` a chunk that holds nothing but the usage is not passed on.
    """

    def __init__(self, response: Response, *, keep_text: bool = True, drop_usage: bool = False) -> None:
        self.reply = StreamedReply(response.endpoint, keep_text=keep_text)
        self.first_token_seconds: float | None = None
        self._response = response
        self._reader = EventReader()
        self._drop_usage = drop_usage
        self._failed: CallError | None = None
        self._ended = False
        self._came: list[bytes] = []

    def came(self) -> bytes:
        """The whole events that a server of another API sent since this was last asked."""
        came = b"".join(self._came)
        self._came.clear()
        return came

    async def answer(self) -> Answer:
        """The whole reply, its text kept. Raises CallError."""
        while await self.next() is not None:
            pass
        return self.reply.answer(self._response.seconds, self.first_token_seconds)

    async def begin(self) -> bytes:
        """The bytes up to the first token, or up to the end of a reply without any. Raises CallError."""
        parts = []
        while not self.reply.begun and (part := await self.next()) is not None:
            parts.append(part)
        if self._failed is not None:
            raise self._failed
        return b"".join(parts)

    async def next(self) -> bytes | None:
        """Whole events to pass on, b"" where none is whole yet; None at the end of a whole reply. Raises CallError."""
        if self._failed is not None:
            raise self._failed
        if self._ended:
            return None
        out: list[bytes] = []
        try:
            for event in await self._events():
                out.append(self._passed(event))
                if self.reply.done:
                    self._ended = True
                    break
            if self._ended:
                self.reply.end()
        except CallError as error:
            if not any(out):
                raise
            self._failed = error
        if self.reply.begun and self.first_token_seconds is None:
            self.first_token_seconds = self._response.seconds
            self._response.patience = self._response.endpoint.idle_timeout
        return b"".join(out)

    async def _events(self) -> list[Event]:
        """The events of the next piece; a connection that breaks or stalls after the finish_reason is the end."""
        try:
            piece = await self._response.piece()
        except CallError as error:
            if error.kind not in ("broken_stream", "timeout") or not self.reply.finish:
                raise
            piece = None
        self._came.append(self._response.came)
        if piece is not None:
            return self._reader.feed(piece)
        self._ended = True
        return [event for event in self._reader.close() if _is_whole(event)]

    def _passed(self, event: Event) -> bytes:
        """What of an event goes to a client."""
        says = self.reply.read(event.data) if event.data else "something"
        if says == "nothing":  # clients take it for a chunk
            return _SIGN_OF_LIFE
        return b"" if says == "usage" and self._drop_usage else event.raw


def _is_whole(event: Event) -> bool:
    """Whether the last event of a stream, which no blank line ends, is more than a part of one."""
    if event.data in (b"", b"[DONE]"):
        return True
    with suppress(ValueError):
        decode_json(event.data)
        return True
    return False
