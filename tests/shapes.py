"""A server for tests that answers every POST with the bytes that it is told, in its pieces, and counts what it sent."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Sent:
    """What goes out after the status line: headers, then the body until the connection is closed.

    A piece that is None is a pause until the server is told to go on, a number one of so many seconds.
    """

    headers: Mapping[str, str]
    pieces: Iterable[bytes | float | None]
    status: int = 200


@dataclass
class ShapeServer:
    """The server, in a thread of this process; use it as a context manager.

    answer  (path, body) -> what to send
    asked   the bodies that came; sent: the bytes of bodies that went out
    go_on   ends a pause
    """

    answer: Callable[[str, dict[str, Any]], Sent]
    asked: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0
    go_on: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on.set()
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _shut(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._reply(reader, writer)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length:"))
        body = json.loads(await reader.readexactly(int(length.partition(":")[2])))
        self.asked.append(body)
        reply = self.answer(head.split(" ", 2)[1], body)
        headers = [f"{name}: {value}" for name, value in reply.headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {reply.status} Scripted", *headers, "connection: close", "", ""])
        writer.write(head.encode())
        for piece in reply.pieces:
            if piece is None:
                await asyncio.to_thread(self.go_on.wait)
            elif isinstance(piece, bytes):
                self.sent += len(piece)
                writer.write(piece)
                await writer.drain()
            else:
                await asyncio.sleep(piece)
