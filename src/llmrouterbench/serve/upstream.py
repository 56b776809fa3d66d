"""One provider as the server sees it: places, time-outs, a circuit breaker, and replies whose bytes pass unchanged.

An attempt ends as a `Whole` or a `Streamed` reply, or as an UpstreamError that says whether another provider may do
better. A stream counts as begun with its first token; until then nothing of it is given away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpcore2

from llmrouterbench.calling.calls import Endpoint, Usage
from llmrouterbench.calling.connections import NETWORK_ERRORS, Connection, Connections
from llmrouterbench.calling.wire import (
    decode_json,
    error_code,
    error_text,
    filtered,
    read_usage,
    retry_after_seconds,
)
from llmrouterbench.serve.breaker import Breaker
from llmrouterbench.serve.config import FallbackConfig, ProviderConfig
from llmrouterbench.serve.events import EventReader

_LARGEST_REPLY = 100_000_000
_SHOWN = 200
_KEYS_REFUSED = (401, 402, 403)
_ELSEWHERE = (404, 408, 409, 413, 425, 429)
"""Refusals that another provider may not share; 5xx and refused keys besides."""


class UpstreamError(Exception):
    """An attempt that failed, without any secret.

    kind         "connection", "timeout", "busy", "status", "garbage" or "broken"
    status       of HTTP, 0 where there was none
    final        whether no other provider would do better: the client's own mistake
    body         the provider's refusal as it may be passed on, None: it says nothing to a client
    retry_after  seconds the provider asks to wait
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        status: int = 0,
        final: bool = False,
        body: bytes | None = None,
        content_type: str = "application/json",
        retry_after: float | None = None,
    ) -> None:
        whole = message.encode("utf-8", "replace").decode()  # a provider may send half a character
        super().__init__(whole)
        self.kind = kind
        self.message = whole
        self.status = status
        self.final = final
        self.body = body
        self.content_type = content_type
        self.retry_after = retry_after

    @property
    def blames_provider(self) -> bool:
        """Whether the circuit breaker counts it."""
        return not self.final and self.kind != "busy" and self.status not in (404, 413, 429)


@dataclass(frozen=True)
class Whole:
    """A reply that is there."""

    body: bytes
    content_type: str
    usage: Usage


class Streamed:
    """A stream whose first token has come: `begun` holds all bytes up to it, `rest` gives the others."""

    def __init__(self, provider: Upstream, response: httpcore2.Response, ends: float, drop_usage: bool) -> None:
        self.events = EventReader(drop_usage, provider.masked)
        self.begun = b""
        self._provider = provider
        self._pieces = response.aiter_stream()
        self._ends = ends

    @property
    def usage(self) -> Usage:
        """What the provider said so far."""
        return self.events.usage

    async def wait_for_first(self) -> None:
        """Read up to the first token. Raises UpstreamError."""
        while not self.events.begun:
            piece = await self._next()
            self.begun += self.events.feed(piece) if piece is not None else self.events.close()
            if self.events.error is not None:
                raise self._provider.refused(error_code(self.events.error) or 502, self.events.error, "", None)
            if piece is None and not self.events.begun:
                raise UpstreamError("broken", f"{self._provider.name} ended its stream before it said anything")

    async def rest(self) -> AsyncIterator[bytes]:
        """The bytes after the first token. Raises UpstreamError where the provider breaks off."""
        idle, loop = self._provider.config.idle_timeout, asyncio.get_running_loop()
        while not self.events.done:
            try:
                async with asyncio.timeout_at(min(self._ends, loop.time() + idle)):
                    piece = await self._next()
            except TimeoutError:
                raise UpstreamError("timeout", f"{self._provider.name} fell silent in its stream") from None
            if piece is None:
                break
            if data := self.events.feed(piece):
                yield data
        if last := self.events.close():
            yield last
        if not self.events.complete:
            raise UpstreamError("broken", f"{self._provider.name} broke its stream off")

    async def _next(self) -> bytes | None:
        """The next bytes, None at the end."""
        try:
            return await anext(self._pieces, None)
        except NETWORK_ERRORS as error:
            said = f"{self._provider.name} broke its stream off ({self._provider.short(error)})"
            raise UpstreamError("broken", said) from None


class Upstream:
    """Connections to one provider, for one event loop."""

    def __init__(self, name: str, config: ProviderConfig, endpoint: Endpoint, fallback: FallbackConfig) -> None:
        self.name = name
        self.config = config
        self.breaker = Breaker(fallback.failures, fallback.rest_seconds)
        self.in_flight = 0
        self._endpoint = endpoint
        self._slots = asyncio.Semaphore(config.concurrency)
        self._connections = Connections(endpoint)

    @asynccontextmanager
    async def ask(
        self, path: str, body: bytes, *, stream: bool, drop_usage: bool = False
    ) -> AsyncIterator[Whole | Streamed]:
        """One attempt. Raises UpstreamError until the reply is there or its stream has begun."""
        await self._take_slot()
        self.in_flight += 1
        now = asyncio.get_running_loop().time()
        ends = now + self.config.timeout
        first = min(ends, now + self.config.first_token_timeout) if stream else ends
        try:
            async with self._connections.connection() as connection, _closing() as opened:
                try:
                    async with asyncio.timeout_at(first):
                        opened.response = await self._send(connection, path, body)
                        reply = await self._read(opened.response, ends, stream, drop_usage)
                except TimeoutError:
                    raise UpstreamError("timeout", f"{self.name} said nothing in {first - now:g} seconds") from None
                yield reply
        finally:
            self.in_flight -= 1
            self._slots.release()

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    def short(self, error: Exception) -> str:
        """An error's text without secrets."""
        return self._endpoint.hide(str(error) or type(error).__name__)[:100]

    def masked(self, body: bytes) -> bytes:
        """What a provider says of an error, without secrets; without any, byte for byte as it came."""
        return self._endpoint.hide(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def refused(self, status: int, data: Any, text: str, wait: float | None) -> UpstreamError:
        """The error for a status of 400 and above, or for an error body with such a code."""
        said = self._endpoint.hide(error_text(data) or text).strip()[:_SHOWN]
        message = f"{self.name} answered with status {status}" + (f": {said}" if said else "")
        too_long = "context_length_exceeded" in str(_error(data).get("code"))
        final = filtered(status, data) or not (
            status in _ELSEWHERE or status in _KEYS_REFUSED or status >= 500 or status < 400 or too_long
        )
        return UpstreamError("status", message, status=status, final=final, retry_after=wait)

    async def _take_slot(self) -> None:
        if not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(self.config.queue_timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise UpstreamError("busy", f"{self.name} has {self.config.concurrency} calls under way") from None

    async def _send(self, connection: Connection, path: str, body: bytes) -> httpcore2.Response:
        """The response, its head read."""
        request = self._connections.request(path, body)
        request.extensions["timeout"] = {"connect": self.config.connect_timeout}
        try:
            return await connection.handle_async_request(request)
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.ProxyError) as error:
            raise UpstreamError("connection", f"{self.name} cannot be reached ({self.short(error)})") from None
        except NETWORK_ERRORS as error:
            said = f"{self.name} closed the connection without a reply ({self.short(error)})"
            raise UpstreamError("connection", said) from None

    async def _read(
        self, response: httpcore2.Response, ends: float, stream: bool, drop_usage: bool
    ) -> Whole | Streamed:
        content_type = _header(response, b"content-type") or "application/json"
        if response.status == 200 and stream and content_type.startswith("text/event-stream"):
            streamed = Streamed(self, response, ends, drop_usage)
            await streamed.wait_for_first()
            return streamed
        body = await self._read_body(response)
        if response.status != 200:
            raise self._refusal(response, body, content_type)
        try:
            data = decode_json(body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, Mapping):
            raise UpstreamError("garbage", f"{self.name} must answer with a JSON object, got {len(body)} other bytes")
        if data.get("error") and not data.get("choices"):
            raise self.refused(error_code(data) or 502, data, "", None)
        return Whole(body, content_type, read_usage(data.get("usage"))[0])

    async def _read_body(self, response: httpcore2.Response) -> bytes:
        parts, size = [], 0
        try:
            async for part in response.aiter_stream():
                size += len(part)
                if size > _LARGEST_REPLY:
                    raise UpstreamError("garbage", f"{self.name} sent more than {_LARGEST_REPLY:,} bytes")
                parts.append(part)
        except NETWORK_ERRORS as error:
            raise UpstreamError("broken", f"{self.name} broke its reply off ({self.short(error)})") from None
        return b"".join(parts)

    def _refusal(self, response: httpcore2.Response, body: bytes, content_type: str) -> UpstreamError:
        """The error for a status that is not 200; the body passes on where it tells a client about its request."""
        try:
            data = decode_json(body)
        except (ValueError, RecursionError):
            data = None
        wait = retry_after_seconds(_header(response, b"retry-after"))
        status = response.status
        error = self.refused(status, data, "" if data is not None else body.decode(errors="replace"), wait)
        tells = isinstance(data, Mapping) and 400 <= status < 500 and status not in (401, 402, 404, 407)
        if tells and (error.final or status != 403):
            error.body = self.masked(body)
            error.content_type = self._endpoint.hide(content_type)
        return error


@dataclass
class _Opened:
    """A response that must be closed, once there is one."""

    response: httpcore2.Response | None = None


@asynccontextmanager
async def _closing() -> AsyncIterator[_Opened]:
    opened = _Opened()
    try:
        yield opened
    finally:
        if opened.response is not None:
            await opened.response.aclose()


def _header(response: httpcore2.Response, name: bytes) -> str:
    """The first header of that name (lower case), "" where there is none."""
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


def _error(data: Any) -> Mapping[str, Any]:
    error = data.get("error") if isinstance(data, Mapping) else None
    return error if isinstance(error, Mapping) else {}
