"""Servers that speak Messages or Responses natively, for tests: real HTTP on loopback, held to the vendors' types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic.types as messages
import openai.types.responses as responses
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import TypeAdapter

from loopback import Loopback

_MESSAGE = TypeAdapter(messages.MessageCreateParams)
_RESPONSE = TypeAdapter(responses.ResponseCreateParams)
CALLS = [{"id": "c1", "name": "weather", "input": {"city": "Bern"}}, {"id": "c2", "name": "clock", "input": {}}]


@dataclass
class Native(Loopback):
    """One server; use it as a context manager.

    says    what a reply says: thoughts, text and calls, in this order
    stop    why it ends, in the words of its API, "" for the plain end
    fault   "" or "529", "400", "error-event", "failed", "cut"
    bodies  what was sent, read; raw: as it came; wrong: what the vendor's own types found wrong in it
    swap    a field of the reply, wherever it stands, and the value in its place; parts: such fields
    """

    key: str = ""
    thoughts: str = ""
    text: str = "one two three"
    calls: list[dict[str, Any]] = field(default_factory=list)
    stop: str = ""
    fault: Callable[[dict[str, Any]], str] = lambda body: ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    swap: tuple[str, Any] | None = None
    parts = ("content", "output", "usage", "type", "object", "delta", "index", "item", "message", "response", "text")

    def application(self) -> FastAPI:
        return _application(self)


def _application(native: Native) -> FastAPI:
    app = FastAPI()

    @app.post("/v1/messages")
    async def message(request: Request) -> Response:
        return await _answer(native, request, _MESSAGE, _message, _message_events)

    @app.post("/v1/responses")
    async def response(request: Request) -> Response:
        return await _answer(native, request, _RESPONSE, _response, _response_events)

    return app


async def _answer(
    native: Native, request: Request, types: Any, whole: Callable[..., dict[str, Any]], events: Callable[..., Any]
) -> Response:
    body = json.loads(await request.body())
    native.bodies.append(body)
    native.raw.append(await request.body())
    native.headers.append(dict(request.headers))
    try:
        types.validate_python(body)
    except ValueError as error:
        native.wrong.append(str(error))
    fault = native.fault(body)
    if fault.isdigit():
        said = {"type": "overloaded_error", "message": "Overloaded"}
        return JSONResponse({"type": "error", "error": said}, int(fault))
    if body.get("stream"):
        made = [_swapped(one, native.swap) for one in _faulty(events(native, body), fault)]
        lines = (f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in made)
        return StreamingResponse(lines, media_type="text/event-stream")
    return JSONResponse(_swapped(whole(native, body), native.swap))


def _swapped(value: Any, swap: tuple[str, Any] | None) -> Any:
    """A value with another one in the place of every field of a name."""
    if isinstance(value, dict) and swap is not None:
        return {name: swap[1] if name == swap[0] else _swapped(one, swap) for name, one in value.items()}
    return [_swapped(one, swap) for one in value] if isinstance(value, list) else value


def _faulty(events: Iterator[dict[str, Any]], fault: str) -> Iterator[dict[str, Any]]:
    """The events; cut after those with words, or broken off by an error there."""
    for one in events:
        if fault and one["type"] in ("message_delta", "response.completed"):
            if fault == "error-event":
                yield {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded", "code": "x"}}
            if fault == "failed":  # of a response, with the key that it was given
                problem = {"code": "server_error", "message": "Overloaded, with sk-native-0123456789"}
                yield {"type": "response.failed", "response": {**one["response"], "status": "failed", "error": problem}}
            return
        yield one


# --- Messages --------------------------------------------------------------------------------------------------------


def _message(native: Native, body: dict[str, Any]) -> dict[str, Any]:
    thinking = [{"type": "thinking", "thinking": native.thoughts, "signature": "s"}] if native.thoughts else []
    text = [{"type": "text", "text": native.text}] if native.text else []
    stop = native.stop or ("tool_use" if native.calls else "end_turn")
    made = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"],
        "content": [*thinking, *text, *({"type": "tool_use", **call} for call in native.calls)], "stop_reason": stop,
        "stop_sequence": "END" if stop == "stop_sequence" else None,
        "usage": {
            "input_tokens": 700, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 100,
            "output_tokens": 100,
        },
    }  # fmt: skip
    messages.Message.model_validate(made)
    return made


def _message_events(native: Native, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    whole = _message(native, body)
    start = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    yield {"type": "message_start", "message": start}
    yield {"type": "ping"}
    for index, block in enumerate(whole["content"]):
        kind = block["type"]
        empty = {**block, "input": {}} if kind == "tool_use" else {**block, kind: ""}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]}
    yield {"type": "message_delta", "delta": delta, "usage": {"input_tokens": None, "output_tokens": 100}}
    yield {"type": "message_stop"}


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "tool_use":
        text = json.dumps(block["input"]) if block["input"] else ""
        for at in range(0, len(text), 5):
            yield {"type": "input_json_delta", "partial_json": text[at : at + 5]}
        return
    kind = block["type"]
    for at in range(0, len(block[kind]), 5):
        yield {"type": f"{kind}_delta", kind: block[kind][at : at + 5]}
    if kind == "thinking":
        yield {"type": "signature_delta", "signature": "s"}


# --- Responses -------------------------------------------------------------------------------------------------------


def _response(native: Native, body: dict[str, Any]) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    if native.thoughts:
        summary = [{"type": "summary_text", "text": native.thoughts}]
        output.append({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "s"})
    if native.text:
        part = {"type": "output_text", "text": native.text, "annotations": []}
        output.append({"type": "message", "id": "m_1", "role": "assistant", "status": "completed", "content": [part]})
    for call in native.calls:
        arguments = json.dumps(call["input"])
        output.append({"type": "function_call", "call_id": call["id"], "name": call["name"], "arguments": arguments})
    made = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": body["model"], "output": output, "error": None,
        "status": "incomplete" if native.stop else "completed", "tools": [], "tool_choice": "auto",
        "incomplete_details": {"reason": native.stop} if native.stop else None, "parallel_tool_calls": True,
        "usage": {
            "input_tokens": 1000, "input_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 0},
            "output_tokens": 100, "output_tokens_details": {"reasoning_tokens": 40}, "total_tokens": 1100,
        },
    }  # fmt: skip
    responses.Response.model_validate(made)
    return made


def _response_events(native: Native, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    whole = _response(native, body)
    yield {"type": "response.created", "response": {**whole, "output": [], "usage": None}}
    for index, item in enumerate(whole["output"]):
        begun = {**item, "arguments": ""} if item["type"] == "function_call" else item
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}
        kind, text = {
            "reasoning": ("response.reasoning_summary_text.delta", native.thoughts),
            "message": ("response.output_text.delta", native.text),
            "function_call": ("response.function_call_arguments.delta", item.get("arguments", "")),
        }[item["type"]]
        for at in range(0, len(text), 5):
            yield {"type": kind, "output_index": index, "delta": text[at : at + 5]}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.incomplete" if native.stop else "response.completed", "response": whole}


MADE: dict[str, tuple[Callable[..., dict[str, Any]], Callable[..., Iterator[dict[str, Any]]]]] = {
    "messages": (_message, _message_events), "responses": (_response, _response_events),
}  # fmt: skip
"""API -> what makes a whole reply, and its events."""
