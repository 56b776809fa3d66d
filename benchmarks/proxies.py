"""Our server and the LiteLLM proxy side by side: dialects, streams, tools, connections, workers.

Both stand before the same upstream of 20 ms on loopback.
`python -m benchmarks.proxies WORKERS SCALE` prints a share of it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.loading import Load, closed_loop, make_request, open_loop
from benchmarks.serving import KEY, LATENCY_SECONDS, ROOT, install_litellm, litellm, memory_of, ours, prepare

CONNECTIONS = (16, 64)
REQUESTS, REFERENCE_REQUESTS = 800, 100
WARM = 50
EQUAL_SHARE = 0.5
"""Part of LiteLLM's own throughput at which both are asked for their p99."""
EQUAL_SECONDS = 6.0
MIX_SECONDS = 15.0
SIZES = (1_000, 20_000, 400_000, 7_900_000)
"""Bytes of the bodies that are sent while /healthz is asked, up to nearly the limit of 8 MB."""
TARGET = "6 times the throughput, lower p99, less memory"

_TOOLS = [
    {"type": "function", "function": {"name": f"tool_{n}", "parameters": {"type": "object", "properties": {}}}}
    for n in range(12)
]
_TURN = "What is 6 times 7? Answer in one word, and say how sure you are."


def _chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": _TURN}], **more}


KINDS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "chat": ("/v1/chat/completions", _chat),
    "chat, streamed": ("/v1/chat/completions", lambda model: _chat(model, stream=True)),
    "chat, 12 tools": ("/v1/chat/completions", lambda model: _chat(model, tools=_TOOLS)),
    "Responses": ("/v1/responses", lambda model: {"model": model, "input": _TURN}),
    "Messages": ("/v1/messages", lambda model: _chat(model, max_tokens=100)),
}
"""Name -> path, and the body for a model."""


# --- the upstream ----------------------------------------------------------------------------------------------------

_USAGE = {"prompt_tokens": 20, "completion_tokens": 12, "total_tokens": 32}
_HEAD = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}


def _completion(message: dict[str, Any], finish: str) -> bytes:
    said = {"role": "assistant", "content": None, **message}
    return _whole({**_HEAD, "choices": [{"index": 0, "message": said, "finish_reason": finish}], "usage": _USAGE})


def _whole(value: Any) -> bytes:
    body = orjson.dumps(value)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def _stream() -> bytes:
    words = [{"content": f"word {n} "} for n in range(12)]
    chunks = [
        {**_HEAD, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in [*((word, None) for word in words), ({}, "stop")]
    ]
    events = [orjson.dumps(one) for one in (*chunks, {**chunks[0], "choices": [], "usage": _USAGE})]
    body = b"".join(b"data: %b\n\n" % one for one in (*events, b"[DONE]"))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def _response() -> bytes:
    """LiteLLM asks an OpenAI provider for a response as such."""
    part = {"type": "output_text", "text": "forty-two", "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
    usage = {
        "input_tokens": 20, "output_tokens": 12, "total_tokens": 32, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    said = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "error": None}
    more: dict[str, Any] = {"incomplete_details": None, "parallel_tool_calls": True, "tools": [], "tool_choice": "auto"}
    return _whole({**said, **more, "output": [message], "usage": usage})


class _Upstream(asyncio.Protocol):
    """Answers each request after 20 ms with what was made before."""

    plain = _completion({"content": "forty-two"}, "stop")
    call = {"id": "c", "type": "function", "function": {"name": "tool_1", "arguments": "{}"}}
    tools = _completion({"tool_calls": [call]}, "tool_calls")
    stream, response = _stream(), _response()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.data = transport, bytearray()

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.data[:end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.data) < end + 4 + length:
                return
            body = bytes(self.data[end + 4 : end + 4 + length])
            del self.data[: end + 4 + length]
            asyncio.get_running_loop().call_later(LATENCY_SECONDS, self._answer, self._reply(head, body))

    def _reply(self, head: bytes, body: bytes) -> bytes:
        if b"/responses" in head.split(b"\r\n", 1)[0]:
            return self.response
        if b'"stream":true' in body or b'"stream": true' in body:
            return self.stream
        return self.tools if b'"tools"' in body else self.plain

    def _answer(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(reply)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Upstream, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def upstream() -> Iterator[int]:
    """The port of the upstream, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.proxies", "upstream"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


# --- the study -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """What one server brought for one kind of request: as fast as it goes, and at a rate that both can bear."""

    closed: Load
    equal: Load
    memory: int


def family(process: int) -> int:
    """Resident bytes of a process and all that it started."""
    total, waiting = 0, [process]
    while waiting:
        one = waiting.pop()
        total += memory_of(one)
        children = Path(f"/proc/{one}/task/{one}/children")
        waiting += map(int, children.read_text().split()) if children.is_file() else []
    return total


def _cell(
    port: int, process: int, kind: str, model: str, connections: int, count: int, rate: float, span: float
) -> Cell:
    path, body = KINDS[kind]
    requests = [make_request(port, path, body(model), KEY)]
    asyncio.run(closed_loop(port, requests, WARM, connections))
    closed = asyncio.run(closed_loop(port, requests, count, connections))
    rate = rate or EQUAL_SHARE * closed.rate
    return Cell(closed, asyncio.run(open_loop(port, requests, rate, span)), family(process))


def health(port: int, seconds: float) -> tuple[float, Load]:
    """How long /healthz takes while bodies of all sizes come at half the rate that the server takes: rate, load.

    A process of its own asks, so that what the load generator does meanwhile is not counted.
    """
    bodies = [make_request(port, "/v1/chat/completions", _chat("auto", metadata={"pad": "x" * n}), KEY) for n in SIZES]

    async def measure() -> tuple[float, Load]:
        rate = 0.5 * (await closed_loop(port, bodies, 16 * len(bodies), 8)).rate
        pressing = asyncio.create_task(open_loop(port, bodies, rate, seconds + 2.0))
        await asyncio.sleep(1.0)
        command = [sys.executable, "-m", "benchmarks.proxies", "health", str(port), str(seconds)]
        asking = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
        told, _ = await asking.communicate()
        await pressing
        return rate, Load(np.array(orjson.loads(told)["seconds"]), seconds, orjson.loads(told)["failed"])

    return asyncio.run(measure())


async def _ask_health(port: int, seconds: float) -> None:
    load = await open_loop(port, [b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"], 20.0, seconds)
    print(orjson.dumps({"seconds": load.seconds.tolist(), "failed": load.failed}).decode())


def table(workers: int, scale: float = 1.0) -> str:
    """Markdown: a row for each kind of request and number of connections."""
    why = install_litellm()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        router, _ = prepare(folder)
        provider = stack.enter_context(upstream())
        theirs = None if why else stack.enter_context(litellm(folder, provider, workers))
        mine = stack.enter_context(ours(router, provider, log=folder / "log", workers=workers))
        rows = [_row(mine, theirs, kind, connections, workers, scale) for kind in KINDS for connections in CONNECTIONS]
    return "\n".join(
        [
            f"Upstream of 20 ms on loopback; target: {TARGET}. Ours routes, with its decision log and request lines on;"
            f" LiteLLM passes through. Both run all the time and are asked in turn, row by row: {REQUESTS * scale:,.0f}"
            f" requests a row, of LiteLLM {REFERENCE_REQUESTS * scale:,.0f}; p99 at half of LiteLLM's throughput, for"
            f" {EQUAL_SECONDS * scale:g} seconds. Load, servers and upstream share the machine."
            + (f" LiteLLM could not be installed: {why}" if why else ""),
            "",
            "| request | connections | workers | ours, a second | LiteLLM | ratio | p99, ms | LiteLLM | MiB | LiteLLM"
            " | failed |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
            *rows,
        ]
    )


def health_table(scale: float = 1.0) -> str:
    """Markdown: how long /healthz takes under a mix of bodies up to the limit."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        router, _ = prepare(folder)
        port, _ = stack.enter_context(ours(router, stack.enter_context(upstream()), log=folder / "log"))
        rate, found = health(port, MIX_SECONDS * scale)
    sizes = ", ".join(f"{size:,}" for size in SIZES)
    return (
        f"`/healthz`, asked 20 times a second while bodies of {sizes} bytes in turn come {rate:.0f} a second, half of"
        f" what the server takes: p50 {found.percentile(50):.1f} ms, p99 {found.percentile(99):.1f} ms, longest"
        f" {1000 * np.max(found.seconds):.1f} ms, {found.failed} failed. Target: p99 under 50 ms."
    )


def _row(
    mine: tuple[int, int], theirs: tuple[int, int] | None, kind: str, connections: int, workers: int, scale: float
) -> str:
    """LiteLLM and ours one after the other, so that what else the machine does is the same for both."""
    other, span = None, EQUAL_SECONDS * scale
    if theirs is not None:
        other = _cell(*theirs, kind, "m", connections, int(REFERENCE_REQUESTS * scale), 0.0, span)
    rate = 0.0 if other is None else EQUAL_SHARE * other.closed.rate
    return _line(
        kind, connections, workers, _cell(*mine, kind, "auto", connections, int(REQUESTS * scale), rate, span), other
    )


def _line(kind: str, connections: int, workers: int, mine: Cell, theirs: Cell | None) -> str:
    def told(cell: Cell | None) -> tuple[str, str, str]:
        if cell is None:
            return "", "", ""
        return f"{cell.closed.rate:,.0f}", f"{cell.equal.percentile(99):.0f}", f"{cell.memory / 2**20:,.0f}"

    (rate, p99, memory), (other_rate, other_p99, other_memory) = told(mine), told(theirs)
    ratio = "" if theirs is None else f"{mine.closed.rate / theirs.closed.rate:.1f}x"
    failed = f"{mine.closed.failed}" + ("" if theirs is None else f", {theirs.closed.failed}")
    cells = [kind, connections, workers, rate, other_rate, ratio, p99, other_p99, memory, other_memory, failed]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    if sys.argv[1:] == ["upstream"]:
        asyncio.run(_serve())
    elif sys.argv[1:2] == ["health"]:
        asyncio.run(_ask_health(int(sys.argv[2]), float(sys.argv[3])))
    else:
        print(table(int(sys.argv[1]), float(sys.argv[2])))
