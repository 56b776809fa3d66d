"""Collecting against a loopback server with a fixed latency, in a process of its own; a thread pool with the openai
client in the same run is the reference."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.measure import Measured, Row, measure

LATENCY_SECONDS = 0.05
IN_FLIGHT = 200
REQUESTS = 8000
REFERENCE_REQUESTS = 2000
MEMORY_MODELS = (5, 50)
MEMORY_QUERIES = 2000
TARGET = "3x, and 1,000 requests a second"
NETWORK_TARGET = "1.2x, else ours goes"

_REPLY = (
    b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"The answer is 42."}}],'
    b'"usage":{"prompt_tokens":20,"completion_tokens":8,"total_tokens":28}}'
)
_RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(_REPLY), _REPLY)

OURS = """
collect(config, questions)
"""
OURS_SETUP = """
import tempfile
from llmrouterbench.collecting.collect import collect
from llmrouterbench.collecting.config import parse_config
from llmrouterbench.replies import Item
from llmrouterbench.collecting.replies_store import Prompted
folder = tempfile.mkdtemp()
config = parse_config({{
    "out": folder,
    "endpoints": {{"loopback": {{"url": "{url}", "concurrency": {in_flight}}}}},
    "models": [
        {{"name": f"m{{i}}", "endpoint": "loopback", "price": {{"input": 1.0, "output": 2.0}}}} for i in range({models})
    ],
}})
questions = {{"d": [Prompted(Item(str(i), ""), f"What is {{i}} + 1? " * 4) for i in range({requests})]}}
"""
THEIRS = """
with ThreadPoolExecutor({in_flight}) as pool:
    list(pool.map(ask, range({requests})))
"""
THEIRS_SETUP = """
from concurrent.futures import ThreadPoolExecutor
from openai import OpenAI
client = OpenAI(base_url="{url}", api_key="none")
def ask(i):
    messages = [{{"role": "user", "content": f"What is {{i}} + 1? " * 4}}]
    return client.chat.completions.create(model="m", messages=messages, temperature=0.2, top_p=1.0)
"""

CALLS = """
asyncio.run(call_all())
"""
CALLS_SETUP = """
import asyncio
import httpcore2
from llmrouterbench.calling import connections
from llmrouterbench.calling.client import Client, Endpoint, Request
{backend}
endpoint = Endpoint("loopback", "{url}", concurrency={in_flight})
async def call_all():
    async with Client() as client:
        async def worker():
            for i in range({requests} // {in_flight}):
                message = {{"role": "user", "content": f"What is {{i}} + 1? " * 4}}
                await client.complete(endpoint, Request("loopback", "m", (message,)))
        await asyncio.gather(*(worker() for _ in range({in_flight})))
"""
OTHER_BACKEND = "connections.AsyncioBackend = httpcore2.AnyIOBackend"
"""Puts the library's own network under the same client."""


class _Server(asyncio.Protocol):
    """Answers every POST after the latency; just enough HTTP for clients that keep their connections."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            asyncio.get_running_loop().call_later(LATENCY_SECONDS, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_RESPONSE)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def server() -> Iterator[str]:
    """The address of a loopback server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.collecting"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def ours(url: str, requests: int, models: int = 1) -> Measured:
    """Our collection of so many queries for every model: from the cache's first look to the reply on disk."""
    return measure(OURS, OURS_SETUP.format(url=url, requests=requests, models=models, in_flight=IN_FLIGHT))


def theirs(url: str, requests: int) -> Measured:
    """A thread pool with the openai client, nothing cached, nothing stored."""
    fields = {"url": url, "requests": requests, "in_flight": IN_FLIGHT}
    return measure(THEIRS.format(**fields), THEIRS_SETUP.format(**fields))


def calls(url: str, backend: str = "") -> Measured:
    """So many calls by our client alone, on its own network or on another."""
    fields = {"url": url, "requests": REQUESTS, "in_flight": IN_FLIGHT, "backend": backend}
    return measure(CALLS, CALLS_SETUP.format(**fields), repeat=2)


def rows() -> list[Row]:
    """Seconds for `REQUESTS` queries; those of the reference are scaled from fewer. Then the network by itself."""
    with server() as url:
        mine, reference = ours(url, REQUESTS), theirs(url, REFERENCE_REQUESTS)
        own, other = calls(url), calls(url, OTHER_BACKEND)
    scaled = Measured(reference.seconds * REQUESTS / REFERENCE_REQUESTS, reference.peak)
    what = (
        f"collect {REQUESTS:,} replies, {IN_FLIGHT} in flight, 50 ms latency ({REQUESTS / mine.seconds:,.0f} a second)"
    )
    alone = f"call {REQUESTS:,} times, {IN_FLIGHT} in flight: the client alone ({REQUESTS / own.seconds:,.0f} a second)"
    return [
        Row(what, mine, f"{IN_FLIGHT} threads, openai client", scaled, TARGET),
        Row(alone, own, "the same client on httpcore2's own network backend", other, NETWORK_TARGET),
    ]


def memory() -> dict[int, Measured]:
    """Requests -> seconds and peak memory; the queries are the same, so that the peak must stay where it is."""
    with server() as url:
        return {models * MEMORY_QUERIES: ours(url, MEMORY_QUERIES, models) for models in MEMORY_MODELS}


def table() -> str:
    """Markdown: peak memory of a short and of a long collection."""
    lines = ["| requests in one run | peak memory | requests a second |", "|---:|---:|---:|"]
    lines += [
        f"| {requests:,} | {run.peak / 2**20:,.0f} MiB | {requests / run.seconds:,.0f} |"
        for requests, run in memory().items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    asyncio.run(_serve())
