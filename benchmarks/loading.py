"""A load generator that takes little of the machine: kept connections, one request at a time on each."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from llmrouterbench.table import FloatArray

CONNECTIONS = 32


@dataclass(frozen=True)
class Load:
    """What a load brought.

    seconds  (n,) of each request, in the order of their ends; span: from the first request to the last reply
    failed   requests without status 200
    """

    seconds: FloatArray
    span: float
    failed: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.seconds) / self.span

    def percentile(self, share: float) -> float:
        """Milliseconds under which this share of requests stayed."""
        return 1000.0 * float(np.percentile(self.seconds, share))


class _Caller(asyncio.Protocol):
    """One kept connection; one request at a time, its reply read up to its content-length or its last chunk."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._data = b""
        self._answered: asyncio.Future[bool] | None = None

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0 or self._answered is None:
            return
        head = self._data[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if b"transfer-encoding: chunked" in head:
            length = len(self._data) - end - 4 if self._data.endswith(b"\r\n0\r\n\r\n") else len(self._data)
        if len(self._data) >= end + 4 + length and not self._answered.done():
            self._data = self._data[end + 4 + length :]
            self._answered.set_result(head.startswith(b"http/1.1 200"))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(False)

    async def call(self, request: bytes) -> bool:
        """Whether the request got a 200, within a minute."""
        if self.transport.is_closing():
            return False
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            async with asyncio.timeout(60.0):
                return await self._answered
        except TimeoutError:
            return False


async def _connect(port: int) -> _Caller:
    _, caller = await asyncio.get_running_loop().create_connection(_Caller, "127.0.0.1", port)
    return caller


def make_requests(port: int, model: str, queries: list[str], key: str) -> list[bytes]:
    bodies = ({"model": model, "messages": [{"role": "user", "content": query}]} for query in queries)
    return [make_request(port, "/v1/chat/completions", body, key) for body in bodies]


def make_request(port: int, path: str, body: dict[str, Any], key: str) -> bytes:
    """One POST of a JSON body."""
    raw = orjson.dumps(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


async def closed_loop(port: int, requests: list[bytes], count: int, connections: int = CONNECTIONS) -> Load:
    """So many requests, some at once, each connection sending the next as soon as it has its reply."""
    seconds, failed = [], 0
    numbers = iter(range(count))
    callers = [await _connect(port) for _ in range(connections)]

    async def work(caller: _Caller) -> None:
        nonlocal failed
        for number in numbers:
            if caller.transport.is_closing():
                caller = await _connect(port)
            started = time.perf_counter()
            good = await caller.call(requests[number % len(requests)])
            seconds.append(time.perf_counter() - started)
            failed += not good

    started = time.perf_counter()
    await asyncio.gather(*(work(caller) for caller in callers))
    span = time.perf_counter() - started
    for caller in callers:
        caller.transport.close()
    return Load(np.array(seconds), span, failed)


async def open_loop(port: int, requests: list[bytes], rate: float, span: float) -> Load:
    """Requests at a fixed rate, whatever the server does; each takes a free connection or a new one."""
    seconds: list[float] = []
    free: list[_Caller] = []
    failed = 0

    async def one(due: float, request: bytes) -> None:
        nonlocal failed
        while free and free[-1].transport.is_closing():
            free.pop()
        caller = free.pop() if free else await _connect(port)
        failed += not await caller.call(request)
        seconds.append(time.perf_counter() - due)
        if not caller.transport.is_closing():
            free.append(caller)

    started, tasks = time.perf_counter(), []
    for number in range(int(rate * span)):
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(one(max(due, started), requests[number % len(requests)])))
    await asyncio.gather(*tasks)
    taken = time.perf_counter() - started
    for caller in free:
        caller.transport.close()
    return Load(np.array(seconds), taken, failed)
