"""Connections to one endpoint, on httpcore2, the engine of httpx2.

A call takes a free connection and gives it back. With at most one call on a connection there is nothing for httpx2's
pool and client to decide at every request, and that is most of what a request costs (see docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx2

from llmrouterbench.calling._network import AsyncioBackend
from llmrouterbench.calling.apis import APIS, Api, asked
from llmrouterbench.calling.calls import CallError, Endpoint
from llmrouterbench.calling.response import Connection, Response
from llmrouterbench.version import __version__

_IDLE_SECONDS = 4.0
"""Below the 5 seconds after which common servers close an idle connection."""


class Connections:
    """As many connections as the endpoint takes calls at once, opened when they are needed.

    in_flight  calls under way
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.in_flight = 0
        self._free: list[Connection] = []
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._proxy = proxy_of(endpoint.url)
        self._tls: ssl.SSLContext | None = None
        self._addresses: dict[str, httpcore2.URL] = {}
        self._api = APIS.get(endpoint.api)
        self._headers = _headers(endpoint, self._api)

    @asynccontextmanager
    async def post(
        self,
        path: str,
        body: bytes,
        *,
        stream: bool = False,
        native: Mapping[str, str] | None = None,
        sent: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[Response]:
        """The response to a POST of a JSON body, opened; `sent` is told when it has its place. Raises CallError.

        native  more headers of a body that is in the server's own API already
        """
        if self._api is not None:
            path, body = self._api.PATH, self._translated(body) if native is None else body
        await self._take_slot()
        sent()
        self.in_flight += 1
        taken: list[Connection] = []
        try:
            taken.append(await self._take())
            response = Response(self.endpoint, stream=stream, api=self._api)
            try:
                await response.open(taken[0], self._request(path, body, native or {}))
                yield response
                await response.drain()
            except CallError as error:
                error.told = response.told
                raise
            finally:
                await response.close()
        finally:
            self._free += taken
            self.in_flight -= 1
            self._slots.release()

    async def close(self) -> None:
        """Close all that are free."""
        for connection in self._free:
            await connection.aclose()
        self._free.clear()

    def _translated(self, body: bytes) -> bytes:
        """A chat request as what the server speaks. Raises CallError for what has no form there."""
        assert self._api is not None
        try:
            return asked(self._api, body)
        except ValueError as error:
            said = json.dumps({"error": {"message": str(error), "type": "invalid_request_error"}}).encode()
            facts: dict[str, Any] = {"status": 400, "elsewhere": True, "body": said}
            raise self.endpoint.failed("bad_request", f"was not asked: {error}", **facts) from None

    def _request(self, path: str, body: bytes, more: Mapping[str, str]) -> httpcore2.Request:
        if path not in self._addresses:
            self._addresses[path] = httpcore2.URL(f"{self.endpoint.url.rstrip('/')}/{path}")
        headers = [*self._headers, (b"content-length", b"%d" % len(body))]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in more.items()]
        seconds = self.endpoint.connect_timeout
        limits = {"timeout": {"connect": seconds, "pool": seconds}}
        return httpcore2.Request("POST", self._addresses[path], headers=headers, content=body, extensions=limits)

    async def _take_slot(self) -> None:
        """Wait until one call more may be made. Raises CallError where that takes too long."""
        if self.endpoint.queue_timeout is None or not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(self.endpoint.queue_timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise self.endpoint.failed("busy", f"has {self.endpoint.concurrency} calls under way") from None

    async def _take(self) -> Connection:
        if not self._free:
            return self._open()
        connection = self._free.pop()
        if isinstance(connection, httpcore2.AsyncHTTPConnection) and (
            connection.is_closed() or connection.has_expired()
        ):
            await connection.aclose()
            return self._open()
        return connection

    def _open(self) -> Connection:
        self._tls = self._tls or httpx2.create_ssl_context()
        if self._proxy is not None:
            url, user = self._proxy
            return httpcore2.AsyncHTTPProxy(
                url,
                proxy_auth=user,
                ssl_context=self._tls,
                max_connections=1,
                keepalive_expiry=_IDLE_SECONDS,
                network_backend=AsyncioBackend(),
            )
        origin = httpcore2.URL(self.endpoint.url).origin
        return httpcore2.AsyncHTTPConnection(
            origin, ssl_context=self._tls, keepalive_expiry=_IDLE_SECONDS, network_backend=AsyncioBackend()
        )


def _headers(endpoint: Endpoint, api: Api | None) -> list[tuple[bytes, bytes]]:
    """Every header of a request but its length; the endpoint's own come last and replace ours."""
    headers = {
        "host": urlsplit(endpoint.url).netloc,
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"llmrouterbench/{__version__}",
    }
    headers |= {} if api is None else api.HEADERS
    if endpoint.key:
        own = None if api is None else api.KEY_HEADER
        headers |= {own: endpoint.key} if own else {"authorization": f"Bearer {endpoint.key}"}
    headers |= {name.lower(): value for name, value in endpoint.headers.items()}
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def proxy_of(url: str) -> tuple[str, tuple[str, str] | None] | None:
    """Address, and user and password, of the proxy that the environment names for a url (http_proxy, no_proxy, ...).

    Raises ValueError for a proxy that speaks another protocol.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    address = proxies.get(parts.scheme) or proxies.get("all")
    if not address or proxy_bypass(parts.netloc):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    if proxy.scheme not in ("http", "https"):
        raise ValueError(f"a proxy must be http:// or https://, got {proxy.scheme}://; set no_proxy for {parts.netloc}")
    user = (unquote(proxy.username), unquote(proxy.password or "")) if proxy.username else None
    return proxy._replace(netloc=proxy.netloc.rpartition("@")[2]).geturl(), user
