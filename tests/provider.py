"""A scripted provider for tests: an OpenAI-compatible FastAPI server on loopback, with faults on demand and own books.

Which fault a request meets: the next one that `script` has put in its model's queue; else, for a model named
"fault:NAME", always NAME; else none. `python tests/provider.py [LATENCY]` runs one by itself and prints its address.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from loopback import Loopback

INPUT_PRICE, OUTPUT_PRICE = 1.0, 4.0
"""USD per million tokens of every model here."""

FAULTS = (
    "400", "401", "402", "403", "404", "429", "429:SECONDS", "429:date:SECONDS", "500", "503", "quota", "redirect",
    "filter-400", "reset", "half", "half-json", "html", "stall", "error-200", "error-200-429", "empty",
    "content_filter", "length", "no-usage", "negative", "no-cost", "half-emoji", "cut", "cut-after-finish",
    "stream-error", "no-end",
)  # fmt: skip
"""Every fault by name; the last four need a streamed request, and "429:2" asks to wait two seconds."""

UNBILLED = frozenset({"reset", "stall", "html", "error-200", "error-200-429", "filter-400", "quota", "redirect"})


@dataclass(frozen=True)
class Bill:
    """One line of the provider's books: a request that came and what it was charged."""

    model: str
    prompt: str
    fault: str
    tokens_in: int
    tokens_out: int
    cost: float


@dataclass
class Provider(Loopback):
    """The server, in a thread of this process; use it as a context manager.

    latency  seconds before each answer; stall: seconds that the fault "stall" lasts
    key      the API key to insist on, "" for any
    reply    prompt -> reply text
    books    every request in the order of its answer, failed ones at cost 0; bodies: what was sent, word for word
    """

    latency: float = 0.0
    stall: float = 30.0
    key: str = ""
    reply: Callable[[str], str] = lambda prompt: f"The reply to {prompt}"
    says_cost: bool = True
    books: list[Bill] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    _queues: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    _transports: dict[tuple[str, int], asyncio.Transport] = field(default_factory=dict)

    def application(self) -> FastAPI:
        return _application(self)

    def uvicorn_options(self) -> dict[str, Any]:
        return {"http": _protocol(self), "loop": "asyncio"}

    def script(self, model: str, *faults: str) -> None:
        """Let the next requests of a model meet these faults, "ok" for none, one each."""
        self._queues[model].extend(faults)

    @property
    def billed(self) -> float:
        """USD charged so far."""
        return sum(bill.cost for bill in self.books)

    def paid(self) -> Counter[tuple[str, str]]:
        """How many times each (model, prompt) was charged."""
        return Counter((bill.model, bill.prompt) for bill in self.books if bill.cost)

    def next_fault(self, model: str) -> str:
        queue = self._queues[model]
        if queue:
            return queue.popleft()
        return model.removeprefix("fault:") if model.startswith("fault:") else "ok"

    def abort(self, client: tuple[str, int]) -> None:
        """Reset a connection: no lingering, so that the kernel sends RST."""
        transport = self._transports[client]
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def enter(self, body: dict[str, Any], fault: str) -> tuple[str, dict[str, Any]]:
        """The reply text and its usage, entered in the books."""
        prompt = text_of(body["messages"][-1]["content"])
        text = "" if fault in ("empty", "content_filter") else self.reply(prompt)
        text += "\ud83d" if fault == "half-emoji" else ""
        free = fault in UNBILLED or fault.split(":")[0].isdigit()
        tokens_in, tokens_out = sum(len(text_of(m["content"]).split()) for m in body["messages"]), len(text.split())
        cost = 0.0 if free else (tokens_in * INPUT_PRICE + tokens_out * OUTPUT_PRICE) / 1e6
        self.books.append(Bill(body["model"], prompt, fault, tokens_in, tokens_out, cost))
        usage = {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }
        return text, usage | ({"cost": cost} if self.says_cost and fault != "no-cost" else {})


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "[image]") for part in content)


# --- the server ------------------------------------------------------------------------------------------------------


def _protocol(provider: Provider) -> type[asyncio.Protocol]:
    class Protocol(H11Protocol):
        """Remembers connections, so that they can be reset."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            provider._transports[transport.get_extra_info("peername")[:2]] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client is not None:
                provider._transports.pop(self.client, None)
            super().connection_lost(exc)

    return Protocol


def _application(provider: Provider) -> FastAPI:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        provider.bodies.append(body)
        provider.headers.append(dict(request.headers))
        refused = _check_key(provider, request)
        if refused is not None:
            return refused
        provider.busy += 1
        provider.most_busy = max(provider.most_busy, provider.busy)
        try:
            await asyncio.sleep(provider.latency)
            return await _answer(provider, request, body, provider.next_fault(body["model"]))
        finally:
            provider.busy -= 1

    @app.post("/v1/embeddings")
    async def embeddings(request: Request) -> Response:
        body = await request.json()
        provider.bodies.append(body)
        refused = _check_key(provider, request) or await _refuse(provider, request, provider.next_fault(body["model"]))
        if refused is not None:
            return refused
        rows = [{"index": i, "embedding": [float(len(text)), 1.0]} for i, text in enumerate(body["input"])]
        usage = {"prompt_tokens": len(rows), "total_tokens": len(rows)}
        return JSONResponse({"object": "list", "data": rows[::-1], "model": body["model"], "usage": usage})

    return app


def _check_key(provider: Provider, request: Request) -> Response | None:
    given = request.headers.get("authorization", "")
    if provider.key and given != f"Bearer {provider.key}":
        return _error(401, f"Incorrect API key provided: {given.removeprefix('Bearer ')}")
    return None


def _error(status: int, message: str, code: Any = None, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": message, "code": code}}, status, headers)


async def _answer(provider: Provider, request: Request, body: dict[str, Any], fault: str) -> Response:
    text, usage = provider.enter(body, fault)
    refused = await _refuse(provider, request, fault)
    if refused is not None:
        return refused
    if fault == "negative":
        usage |= {"prompt_tokens": -5, "completion_tokens": -1, "cost": -0.5}
    finish = fault if fault in ("content_filter", "length") else "stop"
    if body.get("stream"):
        events = _events(body["model"], text, finish, {} if fault == "no-usage" else usage, fault)
        return StreamingResponse(events, media_type="text/event-stream")
    reply: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": usage,
    }
    if fault == "no-usage":
        del reply["usage"]
    if fault in ("half", "half-json"):
        return _half(reply, whole_message=fault == "half-json")
    return Response(json.dumps(reply), media_type="application/json")


async def _refuse(provider: Provider, request: Request, fault: str) -> Response | None:
    """The response of a fault that is no reply, None for the others."""
    if fault.startswith("429"):
        _, _, wait = fault.rpartition(":") if ":" in fault else ("", "", "")
        header = formatdate(time.time() + float(wait), usegmt=True) if "date" in fault else wait
        return _error(429, "slow down", "rate_limited", {"retry-after": header} if header else None)
    if fault.isdigit():
        sent = request.headers.get("authorization", "")
        return _error(int(fault), f"scripted status {fault} for {sent}")
    if fault == "stall":
        await asyncio.sleep(provider.stall)
        return _error(500, "stalled")
    if fault == "reset":
        assert request.client is not None
        provider.abort((request.client.host, request.client.port))
        return Response(b"")
    made: dict[str, Response] = {
        "quota": _error(429, "You exceeded your current quota", "insufficient_quota"),
        "redirect": Response(status_code=302, headers={"location": "http://127.0.0.1:9/elsewhere"}),
        "filter-400": _error(400, "The prompt was filtered", "content_filter"),
        "html": HTMLResponse("<html>Welcome to nginx</html>"),
        "error-200": JSONResponse({"error": {"message": "upstream broke", "code": 502}}),
        "error-200-429": JSONResponse({"error": {"message": "upstream is busy", "code": 429}}),
    }
    return made.get(fault)


def _half(reply: dict[str, Any], *, whole_message: bool) -> Response:
    data = json.dumps(reply).encode()
    if whole_message:
        return Response(data[: len(data) // 2], media_type="application/json")

    async def pieces() -> AsyncIterator[bytes]:
        yield data[: len(data) // 2]
        raise ConnectionAbortedError("scripted")

    return StreamingResponse(pieces(), media_type="application/json", headers={"content-length": str(len(data))})


async def _events(model: str, text: str, finish: str, usage: dict[str, Any], fault: str) -> AsyncIterator[bytes]:
    """A streamed reply, a word a chunk."""

    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": choices, **more}
        return b"data: " + json.dumps(chunk, ensure_ascii=fault == "half-emoji").encode() + b"\n\n"

    yield b": a comment that keeps the connection open\n\n"
    words = text.split(" ")
    for i, word in enumerate(words):
        yield event([{"index": 0, "delta": {"content": word if i == 0 else f" {word}"}, "finish_reason": None}])
        await asyncio.sleep(0)
        if i == len(words) // 2 and fault == "cut":
            raise ConnectionAbortedError("scripted")
        if i == len(words) // 2 and fault == "stream-error":
            yield event([], error={"message": "upstream broke", "code": 502}, usage=usage)
            return
    yield event([{"index": 0, "delta": {}, "finish_reason": finish}])
    if fault == "cut-after-finish":
        raise ConnectionAbortedError("scripted")
    if usage:
        yield event([], usage=usage)
    yield b"data: [DONE]\n\n"
    if fault == "no-end":
        await asyncio.sleep(30)


if __name__ == "__main__":
    with Provider(latency=float(sys.argv[1]) if len(sys.argv) > 1 else 0.0) as running:
        print(running.url, flush=True)
        threading.Event().wait()
