"""Connections to one endpoint, on httpcore2, the engine of httpx2.

A call takes a free connection and gives it back. With at most one call on a connection there is nothing for httpx2's
pool and client to decide at every request, and that is most of what a request costs (see docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx2

from llmrouterbench.calling._network import AsyncioBackend
from llmrouterbench.calling.calls import Endpoint
from llmrouterbench.version import __version__

NETWORK_ERRORS = (
    httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, httpcore2.ProxyError,
)  # fmt: skip
"""What a connection may raise, all of it without the request's headers."""

_CONNECT_SECONDS = 20.0
_IDLE_SECONDS = 4.0
"""Below the 5 seconds after which common servers close an idle connection."""

Connection = httpcore2.AsyncHTTPConnection | httpcore2.AsyncHTTPProxy


class Connections:
    """As many connections as the endpoint takes calls at once, opened when they are needed."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._free: list[Connection] = []
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._proxy = proxy_of(endpoint.url)
        self._tls: ssl.SSLContext | None = None
        self._addresses: dict[str, httpcore2.URL] = {}
        self._headers = _headers(endpoint)

    def request(self, path: str, body: bytes) -> httpcore2.Request:
        """A POST of a JSON body. Raises httpcore2.LocalProtocolError for headers that are no plain text."""
        if path not in self._addresses:
            self._addresses[path] = httpcore2.URL(f"{self.endpoint.url.rstrip('/')}/{path}")
        headers = [*self._headers, (b"content-length", b"%d" % len(body))]
        limits = {"timeout": {"connect": _CONNECT_SECONDS, "pool": _CONNECT_SECONDS}}
        return httpcore2.Request("POST", self._addresses[path], headers=headers, content=body, extensions=limits)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection that nobody else uses, the one used last if it is still open."""
        async with self._slots:
            connection = await self._take()
            try:
                yield connection
            finally:
                self._free.append(connection)

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

    async def close(self) -> None:
        """Close all that are free."""
        for connection in self._free:
            await connection.aclose()
        self._free.clear()


def _headers(endpoint: Endpoint) -> list[tuple[bytes, bytes]]:
    """Every header of a request but its length; the endpoint's own come last and replace ours."""
    headers = {
        "host": urlsplit(endpoint.url).netloc,
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"llmrouterbench/{__version__}",
    }
    headers |= {"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
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
