"""Connections on which no request has come yet: they have a time limit, and give way to new ones where there are many.

Uvicorn limits neither the time nor the size of a request's head, nor the number of connections without a request.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from llmrouterbench.serve.config import LimitsConfig

HEAD_BYTES = 65_536
"""Largest line and headers of a request."""
OWN_FILES = 64
"""Files that the process needs beside its connections."""
_base: Any = AutoHTTPProtocol


def most_connections(limits: LimitsConfig) -> int:
    """Connections at once: each may need another one to a provider, and the process may open only so many files."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return limits.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        wanted = 2 * limits.connections + OWN_FILES
        soft = max(soft, wanted if hard == resource.RLIM_INFINITY else min(wanted, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(limits.connections, (soft - OWN_FILES) // 2))


def guarded_protocol(limits: LimitsConfig) -> type[asyncio.Protocol]:
    """The protocol of a server whose connections wait so long for a request, and are so many."""
    most = most_connections(limits)
    waiting: dict[Any, float] = {}  # connection -> until when, the first to end first
    timer: list[asyncio.TimerHandle] = []

    def look(loop: asyncio.AbstractEventLoop) -> None:
        """End what has waited too long, and look again when the next one will have: one timer serves all."""
        timer.clear()
        for one in [one for one, until in waiting.items() if until <= loop.time()]:
            one._refuse(b"408 Request Timeout")
        if waiting:
            timer.append(loop.call_at(next(iter(waiting.values())), look, loop))

    class Guarded(_base):  # type: ignore[misc]
        """Uvicorn's protocol with these limits."""

        head_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:
            """Take a connection; one that has waited longest for its request goes where there are too many."""
            super().connection_made(transport)
            if len(self.connections) > most:
                oldest = next(iter(waiting), self)
                oldest.transport.abort()
            self._wait()

        def data_received(self, data: bytes) -> None:
            """Take some bytes."""
            before = self.cycle
            if self not in waiting and (before is None or before.response_complete):
                self._wait()
            super().data_received(data)
            if self.cycle is not before:
                self._came()
            elif self in waiting:
                self.head_bytes += len(data)
                if self.head_bytes > HEAD_BYTES:
                    self._refuse(b"431 Request Header Fields Too Large")

        def connection_lost(self, error: Exception | None) -> None:
            """Forget the connection."""
            self._came()
            super().connection_lost(error)

        def _wait(self) -> None:
            self.head_bytes = 0
            waiting[self] = self.loop.time() + limits.head_seconds
            if not timer:
                timer.append(self.loop.call_at(waiting[self], look, self.loop))

        def _came(self) -> None:
            waiting.pop(self, None)

        def _refuse(self, status: bytes) -> None:
            self._came()
            if not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                self.transport.close()

    return Guarded
