"""One client for every OpenAI-compatible endpoint: chat completions, streamed or not, and embeddings.

Every call is ONE attempt: it ends as an Answer or as a CallError that says whether another attempt can succeed;
`retrying.py` makes the further ones. What ends how:

- status 429, 408, 409, 5xx: retryable, with Retry-After in seconds or as a date; 400, 401, 402, 403, 404: not
- a connection that fails, a reply or a stream that breaks off, no end within the time limit: retryable
- status 200 with an error in its body: as if the error's code had been the status
- half a JSON: retryable; another content type: not, because then the address is wrong
- no text, a content filter, a length limit: an Answer with that reason
- usage that is missing or impossible: None, the latter with a note
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import httpcore2
from httpcore2 import Response

from llmrouterbench.calling.calls import Answer, CallError, Embeddings, Endpoint, Request, Usage
from llmrouterbench.calling.connections import NETWORK_ERRORS, Connection, Connections
from llmrouterbench.calling.wire import (
    StreamedReply,
    bad_reply,
    decode_json,
    encode_json,
    filtered,
    read_answer,
    read_usage,
    refusal,
    request_body,
    retry_after_seconds,
    timed,
)

__all__ = ["Answer", "CallError", "Client", "Embeddings", "Endpoint", "Request", "Usage"]

_LAST_SECONDS = 0.5


class Client:
    """Connections to any number of endpoints, for one event loop; use as `async with Client() as client`."""

    def __init__(self) -> None:
        self._connections: dict[Endpoint, Connections] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connections in self._connections.values():
            await connections.close()
        self._connections.clear()

    async def complete(self, endpoint: Endpoint, request: Request) -> Answer:
        """One attempt at one chat completion. Raises CallError; ValueError for a request that cannot be written."""
        if endpoint.transport == "litellm":
            from llmrouterbench.calling import litellm_transport

            return await litellm_transport.complete(endpoint, request)
        body = encode_json(request_body(request, endpoint.url))
        async with self._post(endpoint, "chat/completions", body) as (response, started):
            if response.status >= 300:
                return await _read_refusal(endpoint, response, started)
            if _header(response, b"content-type").startswith("text/event-stream"):
                return await _read_stream(endpoint, response, started)
            answer = read_answer(endpoint, await _read_json(endpoint, response))
            return timed(answer, perf_counter() - started)

    async def embed(
        self, endpoint: Endpoint, model: str, texts: Sequence[str], *, dimensions: int | None = None
    ) -> Embeddings:
        """One attempt at the vectors (n, d) of some texts. Raises CallError."""
        asked: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": "float"}
        if dimensions is not None:
            asked["dimensions"] = dimensions
        async with self._post(endpoint, "embeddings", encode_json(asked)) as (response, started):
            if response.status >= 300:
                raise await _refusal_of(endpoint, response)
            data = await _read_json(endpoint, response)
            return _read_vectors(endpoint, data, len(texts), perf_counter() - started)

    @asynccontextmanager
    async def _post(self, endpoint: Endpoint, path: str, body: bytes) -> AsyncIterator[tuple[Response, float]]:
        """The response to a POST, its body not yet read, and when it was sent; ends with the endpoint's time limit."""
        connections = self._connections.get(endpoint) or self._connections.setdefault(endpoint, Connections(endpoint))
        async with connections.connection() as connection:
            started = perf_counter()
            try:
                async with asyncio.timeout(endpoint.timeout):
                    response = await _send(connections, connection, path, body)
                    try:
                        yield response, started
                    finally:
                        await response.aclose()
            except TimeoutError:
                raise CallError(
                    f"{endpoint.name} did not finish within {endpoint.timeout:g} seconds", "timeout",
                    retryable=True, billed=True,
                ) from None  # fmt: skip


async def _send(connections: Connections, connection: Connection, path: str, body: bytes) -> Response:
    """The response, its head read; a connection that fails is a CallError."""
    endpoint = connections.endpoint
    try:
        return await connection.handle_async_request(connections.request(path, body))
    except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.ProxyError) as error:
        sentence = f"{endpoint.name} cannot be reached ({_short(endpoint, error)}); check that it runs and its url"
        raise CallError(sentence, "connection", retryable=True) from None
    except httpcore2.LocalProtocolError as error:
        sentence = f"{endpoint.name}: headers must be plain text ({type(error).__name__})"
        raise CallError(sentence, "bad_request") from None
    except NETWORK_ERRORS as error:
        sentence = f"{endpoint.name} closed the connection without a reply ({_short(endpoint, error)})"
        raise CallError(sentence, "connection", retryable=True, billed=True) from None


def _header(response: Response, name: bytes) -> str:
    """The first header of that name (lower case), "" where there is none."""
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


def _short(endpoint: Endpoint, error: Exception) -> str:
    return endpoint.hide(str(error) or type(error).__name__)[:100]


def _broken(endpoint: Endpoint, why: str, usage: Usage | None = None) -> CallError:
    sentence = f"{endpoint.name} broke its reply off ({why})"
    return CallError(sentence, "broken_stream", retryable=True, usage=usage, billed=True)


async def _read_body(endpoint: Endpoint, response: Response) -> bytes:
    try:
        return await response.aread()
    except NETWORK_ERRORS as error:
        failed = _broken(endpoint, _short(endpoint, error))
        failed.billed = response.status < 300
        raise failed from None


async def _read_json(endpoint: Endpoint, response: Response) -> Any:
    body = await _read_body(endpoint, response)
    try:
        return decode_json(body)
    except ValueError:
        pass
    content_type = _header(response, b"content-type").partition(";")[0] or "no content type"
    if content_type.endswith("json"):
        raise bad_reply(endpoint, f"{len(body)} bytes that are no whole JSON")
    what = f"{endpoint.hide(content_type)[:60]!r} instead of JSON; check the url, which often ends in /v1"
    raise bad_reply(endpoint, what, retryable=False)


# --- refusals --------------------------------------------------------------------------------------------------------


async def _read_refusal(endpoint: Endpoint, response: Response, started: float) -> Answer:
    """An Answer where a content filter refused; else raises what the status means."""
    error = await _refusal_of(endpoint, response)
    if filtered(response.status, _json_or_none(response.content)):
        answer = Answer(finish_reason="content_filter", reason="content_filter", note=error.reason)
        return timed(answer, perf_counter() - started)
    raise error


async def _refusal_of(endpoint: Endpoint, response: Response) -> CallError:
    status = response.status
    body = await _read_body(endpoint, response)
    if status < 400:
        sentence = f"{endpoint.name} answered with a redirect (status {status}), which is not followed; check the url"
        return CallError(sentence, "bad_reply")
    wait = retry_after_seconds(_header(response, b"retry-after"))
    return refusal(endpoint, status, _json_or_none(body), body.decode("utf-8", "replace"), wait)


def _json_or_none(body: bytes) -> Any:
    try:
        return decode_json(body)
    except ValueError:
        return None


# --- streams ---------------------------------------------------------------------------------------------------------


async def _read_stream(endpoint: Endpoint, response: Response, started: float) -> Answer:
    """The reply of an event stream. It is whole after [DONE], or when it ends after a finish_reason."""
    reply, first_token, done = StreamedReply(endpoint), None, False
    why = "the stream ended without [DONE]"
    events = _events(response)
    try:
        async for event in events:
            done = event == b"[DONE]"
            if done:
                break
            reply.add(_chunk(endpoint, event, reply.usage))
            if first_token is None and reply.begun:
                first_token = perf_counter() - started
    except NETWORK_ERRORS as error:
        why = _short(endpoint, error)
    if not (done or reply.finish):
        raise _broken(endpoint, why, reply.usage)
    seconds = perf_counter() - started
    await _read_to_end(events)
    return timed(reply.answer(), seconds, first_token)


async def _read_to_end(events: AsyncIterator[bytes]) -> None:
    """Read what follows [DONE], so that the connection can be used again; a server may also leave it open."""
    with suppress(TimeoutError, *NETWORK_ERRORS):
        async with asyncio.timeout(_LAST_SECONDS):
            async for _ in events:
                pass


async def _events(response: Response) -> AsyncIterator[bytes]:
    """The data of each server-sent event; only line feeds end a line, as other breaks may stand in a JSON text."""
    rest = b""
    async for piece in response.aiter_stream():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if rest.startswith(b"data:"):
        yield rest[5:].strip()


def _chunk(endpoint: Endpoint, event: bytes, usage: Usage) -> Any:
    try:
        return decode_json(event)
    except ValueError:
        raise _broken(endpoint, "a chunk is no whole JSON", usage) from None


# --- embeddings ------------------------------------------------------------------------------------------------------


def _read_vectors(endpoint: Endpoint, data: Any, n: int, seconds: float) -> Embeddings:
    try:
        rows = sorted((int(row["index"]), tuple(map(float, row["embedding"]))) for row in data["data"])
    except (KeyError, TypeError, ValueError):
        raise bad_reply(endpoint, "embeddings that are no lists of numbers") from None
    if [index for index, _ in rows] != list(range(n)):
        raise bad_reply(endpoint, f"{len(rows)} vectors for {n} texts")
    usage, _ = read_usage(data.get("usage"))
    model = data.get("model")
    return Embeddings(
        **vars(usage),
        vectors=tuple(vector for _, vector in rows),
        seconds=seconds,
        model=model if isinstance(model, str) else "",
    )
