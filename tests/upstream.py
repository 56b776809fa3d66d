"""A scripted upstream for tests of the server: a real OpenAI-compatible FastAPI server on loopback, in a thread.

It answers with what it was sent, so that a test can see that nothing changed on the way. `fault` decides for each
request how it goes wrong; `python tests/upstream.py` runs one in a process of its own and prints its address.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from loopback import Loopback

CHAT = "/v1/chat/completions"
FAULTS = (
    "400", "401", "402", "404", "408", "429", "500", "503", "too-long", "stall", "drop", "html", "half", "error-200",
    "array", "empty-stream", "role-only", "cut", "error-event", "stall-later",
)  # fmt: skip
"""Faults by name; those after "array" need a stream. "cut", "error-event" and "stall-later" come after first tokens."""


TELLING = ("told", "spelled", "spelled-200", "spelled-16", "error-event", "spelled-event")
"""Faults that repeat the key they were given, spelled in many ways; the last two need a stream."""


@dataclass
class Upstream(Loopback):
    """The server; use it as a context manager.

    fault    (body) -> the name of a fault, "" for none
    latency  seconds before an answer; pause: seconds between the words of a stream
    key      the key to insist on, "" for any; streams: whether it sends a stream where it is asked for one
    says     (body) -> the message of its reply, None: `reply`, or what was asked for
    usage    (body) -> what its reply is billed for, None: it does not tell; told: what was told
    heads    further headers of every answer to a chat
    bodies   what was sent, as bytes; headers beside it
    finished, cancelled  answers that went out whole, and those whose client left
    """

    fault: Callable[[dict[str, Any]], str] = lambda body: ""
    latency: float = 0.0
    pause: float = 0.0
    key: str = ""
    streams: bool = True
    reply: str = "one two three four"
    says: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda body: None
    usage: Callable[[dict[str, Any]], dict[str, int] | None] = lambda body: usage()
    told: list[dict[str, int] | None] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    finished: int = 0
    cancelled: int = 0
    busy: int = 0
    most_busy: int = 0

    def application(self) -> FastAPI:
        return _application(self)

    def sent(self, number: int = -1) -> dict[str, Any]:
        """A body that came, read."""
        body: dict[str, Any] = json.loads(self.bodies[number])
        return body


def refused_url() -> str:
    """An address on loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def _application(upstream: Upstream) -> FastAPI:
    app = FastAPI()

    @app.post(CHAT)
    async def chat(request: Request) -> Response:
        raw = await request.body()
        upstream.bodies.append(raw)
        upstream.headers.append(dict(request.headers))
        body = json.loads(raw)
        given = request.headers.get("authorization", "")
        if upstream.key and given != f"Bearer {upstream.key}":
            return _error(401, f"Incorrect API key provided: {given}")
        upstream.busy += 1
        upstream.most_busy = max(upstream.most_busy, upstream.busy)
        try:
            made = await _until_left(upstream, request, _answer(upstream, body, upstream.fault(body), given))
            made.headers.update(upstream.heads)
            return made
        finally:
            upstream.busy -= 1

    @app.post("/v1/embeddings")
    async def embeddings(request: Request) -> Response:
        raw = await request.body()
        upstream.bodies.append(raw)
        body = json.loads(raw)
        if refused := _refusal(upstream.fault(body), request.headers.get("authorization", "")):
            return refused
        upstream.finished += 1
        data = [{"object": "embedding", "index": 0, "embedding": [1.0, 0.5]}]
        told = {"prompt_tokens": 3, "total_tokens": 3}
        return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": told})

    return app


async def _until_left(upstream: Upstream, request: Request, answer: Any) -> Response:
    """The answer, unless the client leaves first; then it is cancelled and counted."""
    task = asyncio.ensure_future(answer)
    while not task.done():
        await asyncio.wait([task], timeout=0.02)
        if not task.done() and await request.is_disconnected():
            task.cancel()
            upstream.cancelled += 1
            return Response(b"")
    made: Response = task.result()
    return made


def _error(status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> Response:
    error = {"message": message, "type": "scripted", "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers)


def _refusal(fault: str, given: str) -> Response | None:
    """The response of a fault that is no reply, None for the others."""
    made: dict[str, Response] = {
        "429": _error(429, "slow down", "rate_limit_exceeded", {"retry-after": "1"}),
        "too-long": _error(400, "This model's context is too short", "context_length_exceeded"),
        "html": HTMLResponse("<html>Welcome to nginx</html>"),
        "error-200": JSONResponse({"error": {"message": "upstream broke", "code": 502}}),
        "array": JSONResponse([1, 2, 3]),
        "half": Response(b'{"id": "chatcmpl-1", "choices": [{"ind', media_type="application/json"),
        "told": Response("x" * 180 + given, 400, media_type="text/plain"),
        "spelled": Response(_spelled(given), 400, media_type=f"application/json; of={given.removeprefix('Bearer ')}"),
        "spelled-16": Response(_spelled(given).encode("utf-16"), 400, media_type="application/json"),
        "spelled-200": Response(_spelled(given), 200, media_type="application/json"),
    }
    if fault.isdigit() and fault not in made:
        return _error(int(fault), f"scripted status {fault} for {given}")
    return made.get(fault)


def _spelled(given: str) -> str:
    """An error that spells what it was given with JSON escapes, of JSON within JSON too, as in an address, encoded."""
    escaped = "".join(f"\\u{ord(one):04X}" for one in given)
    inner = json.dumps({"said": f'"{given}"', "url": "?key=" + "".join(f"%{ord(one):02x}" for one in given),
                        "basic": b64encode(b"me:" + given.encode()).decode(), "hex": given.encode().hex()})  # fmt: skip
    return f'{{"error": {{"message": "for {escaped}", "code": 400, "metadata": {{"raw": {json.dumps(inner)}}}}}}}'


async def _answer(upstream: Upstream, body: dict[str, Any], fault: str, given: str) -> Response:
    await asyncio.sleep(upstream.latency)
    if fault == "stall":
        await asyncio.sleep(30)
    refused = _refusal(fault, given)
    if refused is not None:
        return refused
    if not _well_formed(body):
        return _error(400, "fields must be as documented")
    if fault == "drop":
        return StreamingResponse(_breaking(), headers={"content-length": "1000"}, media_type="application/json")
    if body.get("stream") and upstream.streams:
        return StreamingResponse(_events(upstream, body, fault, given), media_type="text/event-stream")
    upstream.finished += 1
    return JSONResponse(completion(upstream, body))


def _well_formed(body: dict[str, Any]) -> bool:
    """Whether fields that this upstream reads have their form, as far as it reads them."""
    tools = body.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(one, dict) for one in tools):
        return False
    if not all(isinstance(own := one.get(str(one.get("type", "function"))), dict) and "name" in own for one in tools):
        return False
    kind = (body.get("response_format") or {}) if isinstance(body.get("response_format"), dict | None) else None
    return isinstance(kind, dict) and isinstance(kind.get("type", ""), str) and isinstance(
        body.get("stream_options"), dict | None
    )  # fmt: skip


async def _breaking() -> AsyncIterator[bytes]:
    yield b'{"id": "chatcmpl-1", '
    raise ConnectionAbortedError("scripted")


def completion(upstream: Upstream, body: dict[str, Any]) -> dict[str, Any]:
    """A whole reply, with what was asked for in it: a tool call, JSON, log probabilities."""
    message: dict[str, Any] = {"role": "assistant", "content": upstream.reply}
    finish = "stop"
    if body.get("tools"):
        first = body["tools"][0]
        function = {"name": first[str(first.get("type", "function"))]["name"], "arguments": '{"city": "Lima"}'}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        }
        finish = "tool_calls"
    if (body.get("response_format") or {}).get("type", "").startswith("json"):
        message["content"] = '{"answer": 42}'
    if (said := upstream.says(body)) is not None:
        message, finish = said, "tool_calls" if said.get("tool_calls") else "stop"
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": finish}
    if body.get("logprobs"):
        one = {"token": "one", "logprob": -0.5, "bytes": [111], "top_logprobs": []}
        choice["logprobs"] = {"content": [one], "refusal": None}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
        "choices": [choice], "usage": _told(upstream, body), "x_own_field": {"kept": [1, 2.50, None]},
    }  # fmt: skip


def _told(upstream: Upstream, body: dict[str, Any]) -> dict[str, int] | None:
    upstream.told.append(upstream.usage(body))
    return upstream.told[-1]


def usage() -> dict[str, int]:
    """What every reply is billed for."""
    return {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


async def _events(upstream: Upstream, body: dict[str, Any], fault: str, given: str) -> AsyncIterator[bytes]:
    """A streamed reply, a word a chunk."""

    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        return b"data: " + json.dumps({**chunk, "choices": choices, **more}).encode() + b"\n\n"

    done = False
    try:
        yield b": keep-alive\n\n"
        if fault == "empty-stream":
            return
        yield event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        if fault == "role-only":
            return
        said = upstream.says(body)
        for delta in deltas(said) if said is not None else ():
            yield event([{"index": 0, "delta": delta, "finish_reason": None}])
        finish = "tool_calls" if said is not None and said.get("tool_calls") else "stop"
        for number, word in enumerate(upstream.reply.split(" ") if said is None else ()):
            if number == 2 and fault == "cut":
                raise ConnectionAbortedError("scripted")
            if number == 2 and fault == "error-event":
                yield event([], error={"message": f"upstream broke for {given}", "code": 502})
                return
            if number == 2 and fault == "spelled-event":
                yield b"event: error\ndata: " + _spelled(given).encode() + b"\n\n"
                return
            if number == 2 and fault == "stall-later":
                await asyncio.sleep(30)
            yield event([{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}])
            await asyncio.sleep(upstream.pause)
        yield event([{"index": 0, "delta": {}, "finish_reason": finish}])
        if (body.get("stream_options") or {}).get("include_usage"):
            yield event([], usage=_told(upstream, body))
        yield b"data: [DONE]\n\n"
        done = True
        upstream.finished += 1
    finally:
        upstream.cancelled += not done and not fault


def deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message as a server streams it: texts in pieces of seven characters, each call after its beginning."""
    for name, value in message.items():
        if isinstance(value, str) and name != "role":
            yield from ({name: part} for part in _sevens(value))
    for number, call in enumerate(message.get("tool_calls") or ()):
        kind = call["type"]
        field = "arguments" if kind == "function" else "input"
        start = {**call[kind], field: ""}
        yield {"tool_calls": [{"index": number, "id": call["id"], "type": kind, kind: start}]}
        for part in _sevens(call[kind][field]):
            yield {"tool_calls": [{"index": number, kind: {field: part}}]}


def _sevens(text: str) -> Iterator[str]:
    return (text[at : at + 7] for at in range(0, len(text), 7))


if __name__ == "__main__":
    with Upstream(latency=float(sys.argv[1]) if len(sys.argv) > 1 else 0.0) as running:
        print(running.url, flush=True)
        threading.Event().wait()
