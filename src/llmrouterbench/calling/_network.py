"""The network under httpcore2: asyncio's own streams, without the layer of anyio between (see docs/benchmarks.md)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpcore2
from aiohappyeyeballs import start_connection

_NEXT_ADDRESS_SECONDS = 0.25
"""A host's next address is tried when one has not answered for so long: RFC 8305, which uvloop leaves to others."""


class AsyncioBackend(httpcore2.AsyncNetworkBackend):
    """Opens TCP connections; a `network_backend` of httpcore2, for asyncio only."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncioStream:
        """A connection. Raises httpcore2.ConnectError, ConnectTimeout."""
        with _connecting():
            async with asyncio.timeout(timeout):
                addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
                connected = await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS)
                return AsyncioStream(*await asyncio.open_connection(sock=connected))


class AsyncioStream(httpcore2.AsyncNetworkStream):
    """One connection. What is written goes out with the next read, so that a request's head and body are one packet.

    Reads and writes take no time limit: the client limits the whole call.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._unsent: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes, none at the end. Raises httpcore2.ReadError."""
        if self._unsent:
            self._writer.write(b"".join(self._unsent))
            self._unsent.clear()
        try:
            return await self._reader.read(max_bytes)
        except OSError as error:
            raise httpcore2.ReadError(error) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send these bytes before the next read."""
        self._unsent.append(buffer)

    async def aclose(self) -> None:
        """Close it at once, whatever state it is in: nothing is waiting to be sent."""
        self._writer.transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Self:
        """The same connection, encrypted from here on. Raises httpcore2.ConnectError, ConnectTimeout."""
        with _connecting():
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        return self

    def get_extra_info(self, info: str) -> Any:
        """`is_readable`: whether the other side has closed an idle connection; else what asyncio knows."""
        if info == "is_readable":
            return self._reader.at_eof() or self._writer.is_closing()
        return self._writer.get_extra_info(info)


@contextmanager
def _connecting() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(error) from error
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have
        raise httpcore2.ConnectError(error) from error
