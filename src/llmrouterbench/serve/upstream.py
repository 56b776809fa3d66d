"""One provider as the server sees it: places, time-outs, a circuit breaker, and replies whose bytes pass unchanged.

An attempt ends as a `Whole` or a `Streamed` reply, or as an UpstreamError that says whether another provider may do
better. A stream counts as begun with its first token; until then nothing of it is given away.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx2

from llmrouterbench import __version__
from llmrouterbench._chat_format import (
    decode_json,
    error_code,
    error_text,
    filtered,
    read_usage,
    retry_after_seconds,
)
from llmrouterbench.calls import Endpoint, Usage
from llmrouterbench.serve.breaker import Breaker
from llmrouterbench.serve.config import FallbackConfig, ProviderConfig
from llmrouterbench.serve.events import EventReader

_LANE = 8
"""Connections of one HTTP client: its pool walks through all of them at every request, so small pools are faster."""
_IDLE_SECONDS = 4.0
"""Below the 5 seconds after which common servers close an idle connection."""
_STALE_SECONDS = 1.0
"""A connection that breaks within so many seconds was closed by the provider before it read the request."""
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

    def __init__(self, provider: Upstream, response: httpx2.Response, ends: float, drop_usage: bool) -> None:
        self.events = EventReader(drop_usage)
        self.begun = b""
        self._provider = provider
        self._pieces = response.aiter_bytes()
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
        except httpx2.HTTPError as error:
            said = f"{self._provider.name} broke its stream off ({self._provider.short(error)})"
            raise UpstreamError("broken", said) from None


@cache
def _tls() -> ssl.SSLContext:
    """One for all connections, as it takes long to make."""
    return httpx2.create_ssl_context()


class Upstream:
    """Connections to one provider, for one event loop."""

    def __init__(self, name: str, config: ProviderConfig, endpoint: Endpoint, fallback: FallbackConfig) -> None:
        self.name = name
        self.config = config
        self.breaker = Breaker(fallback.failures, fallback.rest_seconds)
        self.in_flight = 0
        self._endpoint = endpoint
        self._slots = asyncio.Semaphore(config.concurrency)
        self._free: list[httpx2.AsyncClient] = []
        self._all: list[httpx2.AsyncClient] = []
        self._addresses: dict[str, httpx2.URL] = {}
        _tls()

    @asynccontextmanager
    async def ask(
        self, path: str, body: bytes, *, stream: bool, drop_usage: bool = False
    ) -> AsyncIterator[Whole | Streamed]:
        """One attempt. Raises UpstreamError until the reply is there or its stream has begun."""
        await self._take_slot()
        client = self._client()
        self.in_flight += 1
        now = asyncio.get_running_loop().time()
        ends = now + self.config.timeout
        first = min(ends, now + self.config.first_token_timeout) if stream else ends
        response: httpx2.Response | None = None
        try:
            try:
                async with asyncio.timeout_at(first):
                    response = await self._send(client, path, body)
                    reply = await self._read(response, ends, stream, drop_usage)
            except TimeoutError:
                raise UpstreamError("timeout", f"{self.name} said nothing in {first - now:g} seconds") from None
            yield reply
        finally:
            try:
                if response is not None:
                    await response.aclose()
            finally:
                self.in_flight -= 1
                self._free.append(client)
                self._slots.release()

    async def close(self) -> None:
        """Close all connections."""
        for client in self._all:
            await client.aclose()

    def short(self, error: Exception) -> str:
        """An error's text without secrets."""
        return self._endpoint.hide(str(error) or type(error).__name__)[:100]

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

    def _client(self) -> httpx2.AsyncClient:
        if not self._free:
            self._free = [self._open()] * _LANE
        return self._free.pop()

    def _open(self) -> httpx2.AsyncClient:
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": f"llmrouterbench/{__version__}",
        }
        if self._endpoint.key:
            headers["authorization"] = f"Bearer {self._endpoint.key}"
        client = httpx2.AsyncClient(
            headers=headers,
            verify=_tls(),
            timeout=httpx2.Timeout(None, connect=self.config.connect_timeout),
            limits=httpx2.Limits(
                max_connections=_LANE, max_keepalive_connections=_LANE, keepalive_expiry=_IDLE_SECONDS
            ),
        )
        self._all.append(client)
        return client

    async def _send(self, client: httpx2.AsyncClient, path: str, body: bytes) -> httpx2.Response:
        """The response, its head read."""
        url = self._addresses.get(path)
        if url is None:
            url = self._addresses[path] = httpx2.URL(f"{self._endpoint.url.rstrip('/')}/{path}")
        loop = asyncio.get_running_loop()
        stale_until = loop.time() + _STALE_SECONDS
        while True:
            try:
                return await client.send(client.build_request("POST", url, content=body), stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
                raise UpstreamError("connection", f"{self.name} cannot be reached ({self.short(error)})") from None
            except httpx2.HTTPError as error:
                if loop.time() < stale_until:  # a kept connection that the provider had closed: once more
                    stale_until = 0.0
                    continue
                said = f"{self.name} closed the connection without a reply ({self.short(error)})"
                raise UpstreamError("connection", said) from None

    async def _read(self, response: httpx2.Response, ends: float, stream: bool, drop_usage: bool) -> Whole | Streamed:
        content_type = response.headers.get("content-type", "application/json")
        if response.status_code == 200 and stream and content_type.startswith("text/event-stream"):
            streamed = Streamed(self, response, ends, drop_usage)
            await streamed.wait_for_first()
            return streamed
        body = await self._read_body(response)
        if response.status_code != 200:
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

    async def _read_body(self, response: httpx2.Response) -> bytes:
        parts, size = [], 0
        try:
            async for part in response.aiter_bytes():
                size += len(part)
                if size > _LARGEST_REPLY:
                    raise UpstreamError("garbage", f"{self.name} sent more than {_LARGEST_REPLY:,} bytes")
                parts.append(part)
        except httpx2.HTTPError as error:
            raise UpstreamError("broken", f"{self.name} broke its reply off ({self.short(error)})") from None
        return b"".join(parts)

    def _refusal(self, response: httpx2.Response, body: bytes, content_type: str) -> UpstreamError:
        """The error for a status that is not 200; the body passes on where it tells a client about its request."""
        try:
            data = decode_json(body)
        except (ValueError, RecursionError):
            data = None
        wait = retry_after_seconds(response.headers.get("retry-after", ""))
        status = response.status_code
        error = self.refused(status, data, "" if data is not None else body[:_SHOWN].decode(errors="replace"), wait)
        tells = isinstance(data, Mapping) and 400 <= status < 500 and status not in (401, 402, 404, 407)
        if tells and (error.final or status != 403):
            error.body = self._endpoint.hide(body.decode(errors="replace")).encode()
            error.content_type = content_type
        return error


def _error(data: Any) -> Mapping[str, Any]:
    error = data.get("error") if isinstance(data, Mapping) else None
    return error if isinstance(error, Mapping) else {}
