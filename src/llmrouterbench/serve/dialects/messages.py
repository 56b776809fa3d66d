"""Anthropic's Messages. Source: docs.anthropic.com (Messages, streaming), and the types of its package `anthropic`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic_core import from_json

from llmrouterbench.calling.calls import Usage
from llmrouterbench.calling.counting import text_bytes, tokens_of
from llmrouterbench.calling.refusals import error_text
from llmrouterbench.calling.wire import decode_json
from llmrouterbench.serve.chat_body import PRICED, all_said_once, as_json, chat_body, named_model, parse_object
from llmrouterbench.serve.dialects._fields import Fields
from llmrouterbench.serve.dialects._pieces import ChatReader, Piece
from llmrouterbench.serve.dialects._turns import Part, Turns, text_part
from llmrouterbench.serve.dialects.chat import AsItIs
from llmrouterbench.serve.dialects.dialect import Asked, Native
from llmrouterbench.serve.refusals import RefusedError

PATH = "/v1/messages"
COUNT_PATH = f"{PATH}/count_tokens"
_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 405: "invalid_request_error", 408: "timeout_error", 413: "request_too_large",
    422: "invalid_request_error", 429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip
_STOPS = {"length": "max_tokens", "content_filter": "refusal"}
_PASSES = ("anthropic-beta",)


# --- a request -------------------------------------------------------------------------------------------------------


def read(raw: bytes) -> Asked:
    """The chat request that a message asks for. Raises RefusedError (400)."""
    return _read(raw, counting=False)


def count(raw: bytes) -> int:
    """Tokens in of a request, as counted from its text: each provider would count otherwise. Raises RefusedError."""
    return _read(raw, counting=True).body.sizes[0]


def _read(raw: bytes, *, counting: bool) -> Asked:
    data = parse_object(raw)
    left_out: set[str] = set()
    top = Fields(data, "", left_out)
    chat: dict[str, Any] = {"model": named_model(data)}
    top.pass_over("model")
    turns = Turns()
    turns.add("system", _texts(top, "system"))
    _add_messages(turns, top)
    chat["messages"] = turns.messages()
    chat |= _tools(top)
    most = top.of(int, "max_tokens")
    if not counting and (most is None or most < 1):
        raise RefusedError(400, f"max_tokens must be a whole number above 0, got {'none' if most is None else most}")
    stops = top.of(list, "stop_sequences") or []
    chat |= {"stop": stops} if stops else {}
    chat |= dict(top.copied("temperature", "top_p", "top_k"))
    if stream := top.of(bool, "stream"):
        chat["stream"] = True
    thinks = _thinking(top)
    chat |= _output(top)
    _check_edits(top)
    top.leave_out("cache_control", "metadata", "diagnostics", *PRICED)
    top.expect("speed", "standard", remedy="the speed is the provider's")
    top.close()
    body = replace(chat_body(as_json(chat), chat), most_tokens=most, stream=bool(stream))
    priced = tuple(name for name in PRICED if name in data)
    native = Native("messages", all_said_once(raw, data), "max_tokens", priced, lambda _: _AsItIs(), _PASSES)
    return Asked(
        body, lambda id: _Reply(f"msg_{id}", body.sizes[0], stops, shows=thinks), left_out=tuple(sorted(left_out)),
        native=native,
    )  # fmt: skip


def _add_messages(turns: Turns, top: Fields) -> None:
    role = None
    for message in top.each("messages"):
        role = message.text("role")
        if role == "user":
            _add_user(turns, message)
        elif role == "assistant":
            _add_assistant(turns, message)
        elif role == "system":
            turns.add("system", _texts(message, "content"))
        else:
            message.unknown("role", role)
        message.close()
    if role is None:
        raise RefusedError(400, "messages must be a list of at least one message")
    if role == "assistant":
        raise RefusedError(400, "messages must not end with the assistant's: no provider is asked to continue a text")


def _blocks(fields: Fields, name: str) -> Iterator[tuple[str, Fields]]:
    """The blocks of a content with their type; a text is one. Each is closed after it was read."""
    for block in fields.parts(name, "text"):
        kind = block.text("type")
        block.leave_out("cache_control")
        yield kind, block
        block.close()


def _texts(fields: Fields, name: str) -> list[Part]:
    """A content that is text alone."""
    parts = []
    for kind, block in _blocks(fields, name):
        if kind != "text":
            block.unknown("type", kind)
        parts.append(_text(block))
    return parts


def _text(block: Fields) -> Part:
    block.leave_out("citations")
    return text_part(block.text("text"))


def _add_user(turns: Turns, message: Fields) -> None:
    parts = []
    for kind, block in _blocks(message, "content"):
        if kind == "tool_result":
            block.leave_out("is_error")
            turns.result(block.text("tool_use_id"), [_part(one, inside) for one, inside in _blocks(block, "content")])
        else:
            parts.append(_part(kind, block))
    turns.add("user", parts)


def _part(kind: str, block: Fields) -> Part:
    """A part of what a user says, or of what a tool gave."""
    if kind == "text":
        return _text(block)
    if kind == "image" and (source := block.object("source")) is not None:
        return {"type": "image_url", "image_url": {"url": _address(source)}}
    if kind == "document" and (source := block.object("source")) is not None:
        if (citations := block.object("citations")) is not None:
            citations.expect("enabled", False, remedy="citations have no form in chat completions")
        return _document(source, block.of(str, "title"))
    block.unknown("type", kind)


def _document(source: Fields, title: str | None) -> Part:
    if (kind := source.text("type")) == "text":
        source.pass_over("media_type")
        part = text_part("\n\n".join([*([title] if title else []), source.text("data")]))
    elif kind == "base64":
        address = f"data:{source.text('media_type')};base64,{source.text('data')}"
        part = {"type": "file", "file": {"filename": title or "document.pdf", "file_data": address}}
    else:
        source.unknown("type", kind)
    source.close()
    return part


def _address(source: Fields) -> str:
    """The address of an image, its data within it."""
    kind = source.text("type")
    if kind == "base64":
        address = f"data:{source.text('media_type')};base64,{source.text('data')}"
    elif kind == "url":
        address = source.text("url")
    else:
        source.unknown("type", kind)
    source.close()
    return address


def _add_assistant(turns: Turns, message: Fields) -> None:
    parts, calls = [], []
    for kind, block in _blocks(message, "content"):
        if kind == "text":
            parts.append(_text(block))
        elif kind == "thinking":
            block.pass_over("signature")
            turns.think(block.text("thinking"))
        elif kind == "tool_use":
            block.expect("caller", {"type": "direct"}, remedy="no server runs tools here")
            said = json.dumps(block.of(dict, "input") or {}, ensure_ascii=False)
            function = {"name": block.text("name"), "arguments": said}
            calls.append({"id": block.text("id"), "type": "function", "function": function})
        else:
            block.unknown("type", kind)
    turns.say(parts)
    for call in calls:
        turns.call(call)


def _tools(top: Fields) -> dict[str, Any]:
    tools = [_tool(tool) for tool in top.each("tools")]
    choice = top.object("tool_choice")
    if not tools and choice is not None and choice.any("type") not in ("auto", "none"):
        raise RefusedError(400, "tool_choice must be of type auto or none where there are no tools")
    if not tools:
        return {}
    chat: dict[str, Any] = {"tools": tools}
    if choice is not None:
        kind = choice.text("type")
        if kind == "tool":
            chat["tool_choice"] = {"type": "function", "function": {"name": choice.text("name")}}
        elif kind in (known := {"auto": "auto", "any": "required", "none": "none"}):
            chat["tool_choice"] = known[kind]
        else:
            choice.unknown("type", kind)
        if choice.of(bool, "disable_parallel_tool_use"):
            chat["parallel_tool_calls"] = False
        choice.close()
    return chat


def _tool(tool: Fields) -> dict[str, Any]:
    if (kind := tool.of(str, "type") or "custom") != "custom":
        tool.unknown("type", kind)
    tool.leave_out("cache_control", "eager_input_streaming")
    tool.expect("defer_loading", False, remedy="all tools are sent")
    tool.expect("allowed_callers", ["direct"], remedy="no server runs tools here")
    function = {"name": tool.text("name"), **dict(tool.copied("description", "strict"))}
    function["parameters"] = tool.of(dict, "input_schema") or {"type": "object", "properties": {}}
    tool.close()
    return {"type": "function", "function": function}


def _thinking(top: Fields) -> bool:
    """Whether the client wants to see thoughts; how long a model thinks says `output_config.effort`."""
    thinking = top.object("thinking")
    if thinking is None:
        return False
    kind = thinking.text("type")
    if kind not in ("enabled", "adaptive", "between_tools", "disabled"):
        thinking.unknown("type", kind)
    thinking.leave_out("budget_tokens")
    shown = thinking.of(str, "display") != "omitted"
    thinking.close()
    return shown and kind != "disabled"


def _output(top: Fields) -> dict[str, Any]:
    chat: dict[str, Any] = {}
    output = top.object("output_config")
    if output is None:
        return chat
    if effort := output.of(str, "effort"):
        chat["reasoning_effort"] = effort
    if (form := output.object("format")) is not None:
        if (kind := form.text("type")) != "json_schema":
            form.unknown("type", kind)
        schema = {"name": "reply", "strict": True, "schema": form.of(dict, "schema") or {}}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
        form.close()
    output.close()
    return chat


def _check_edits(top: Fields) -> None:
    """Refuse to edit the context, but for an edit that keeps all of it."""
    management = top.object("context_management")
    if management is None:
        return
    for edit in management.each("edits"):
        if (kind := edit.text("type")) != "clear_thinking_20251015":
            edit.unknown("type", kind)
        edit.expect("keep", "all", remedy="the context is the client's to edit")
        edit.close()
    management.close()


# --- a reply ---------------------------------------------------------------------------------------------------------


def error(status: int, body: bytes) -> bytes:
    """An error as Anthropic's clients read it, with the words that the body says."""
    try:
        said = error_text(decode_json(body))
    except ValueError:
        said = ""
    return as_json({"type": "error", "error": _error(status, said or body[:1000].decode("utf-8", "replace"))})


def _error(status: int, message: str) -> dict[str, str]:
    return {"type": _ERRORS.get(status, "api_error"), "message": message}


class _AsItIs(AsItIs):
    """A reply of a provider that speaks Messages."""

    def broken(self, said: bytes) -> bytes:
        """An error event."""
        return _broken(said)


def _broken(said: bytes) -> bytes:
    return b"event: error\ndata: " + error(502, said) + b"\n\n"


@dataclass(eq=False)
class _Block:
    """A block of the reply; parts: what of it came, or what waits to be sent."""

    kind: Literal["thinking", "text", "tool_use"]
    call: int = -1
    id: str = ""
    name: str = ""
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that came."""
        return "".join(self.parts)

    def start(self) -> dict[str, Any]:
        """Its beginning, without what it says."""
        if self.kind == "tool_use":
            return {"type": "tool_use", "id": self.id, "name": self.name, "input": {}}
        signed = {"signature": ""} if self.kind == "thinking" else {}
        return {"type": self.kind, self.kind: "", **signed}

    def whole(self) -> dict[str, Any]:
        """All of it. Raises ValueError for arguments that are no object."""
        if self.kind != "tool_use":
            return {**self.start(), self.kind: self.text}
        said = _half(self.text) if self.text.strip() else {}
        if not isinstance(said, dict):
            raise ValueError(f"arguments of {self.name[:100]!r} that are no JSON object")
        return {**self.start(), "input": said}

    def delta(self, text: str) -> dict[str, Any]:
        """Some more of it."""
        kind, name = {
            "thinking": ("thinking_delta", "thinking"),
            "text": ("text_delta", "text"),
            "tool_use": ("input_json_delta", "partial_json"),
        }[self.kind]
        return {"type": kind, name: text}


class _Reply:
    """A reply as a message. One block is sent at a time: what belongs to another one waits while a call is open."""

    def __init__(self, id: str, tokens_in: int, stops: Iterable[str], *, shows: bool) -> None:
        self._id = id
        self._tokens_in = tokens_in
        self._stops = tuple(stops)
        self._shows = shows
        self._read = ChatReader()
        self._blocks: list[_Block] = []
        self._sent = 0  # blocks that were begun
        self._begun = self._refused = False

    def whole(self, completion: bytes, usage: Usage) -> bytes:
        """The message. Raises ValueError."""
        for piece in self._read.whole(completion):
            if (block := self._block(piece)) is not None:
                block.parts.append(piece.text)
        content = [block.whole() for block in self._blocks]
        return as_json({**self._message(content, self._usage(usage)), **self._stop()})

    def events(self, piece: bytes) -> bytes:
        """Events for what came; a ping where nothing can be sent yet."""
        out = b"".join(self._events(piece))
        return out or (_event("ping") if self._begun and not self._read.finish else b"")

    def end(self, usage: Usage) -> bytes:
        """The blocks that waited, why it ended, and what it used."""
        out = [*self._begin(), *self._close()]
        for number in range(self._sent, len(self._blocks)):
            out += [*self._open(number), *self._close()]
        out.append(_event("message_delta", delta=self._stop(), usage=self._usage(usage)))
        return b"".join([*out, _event("message_stop")])

    def broken(self, said: bytes) -> bytes:
        """An error event."""
        return _broken(said)

    def _events(self, piece: bytes) -> Iterator[bytes]:
        for one in self._read.stream(piece):
            yield from self._begin()
            if (block := self._block(one)) is None:
                continue
            number = self._blocks.index(block)
            current = self._blocks[self._sent - 1] if self._sent else None
            if number == self._sent and (current is None or current.kind != "tool_use"):
                yield from self._close()
                yield from self._open(number)
            if number == self._sent - 1 and one.text:
                yield _event("content_block_delta", index=number, delta=block.delta(one.text))
            block.parts.append(one.text)

    def _block(self, piece: Piece) -> _Block | None:
        """The block that a piece belongs to, None for what the client does not want to see."""
        last = self._blocks[-1] if self._blocks else None
        if piece.what == "thoughts" and not self._shows:
            return None
        if piece.what == "custom":
            raise ValueError("a call of a custom tool, which nobody offered")
        if piece.what == "call":
            found = next((one for one in self._blocks if one.kind == "tool_use" and one.call == piece.call), None)
            if found is None:
                id = piece.id or f"toolu_{self._id}_{piece.call}"
                self._blocks.append(found := _Block("tool_use", piece.call, id, piece.name))
            return found
        self._refused = self._refused or piece.what == "refusal"
        kind: Literal["thinking", "text"] = "thinking" if piece.what == "thoughts" else "text"
        if last is None or last.kind != kind:
            self._blocks.append(last := _Block(kind))
        return last

    def _begin(self) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            used = {"input_tokens": self._tokens_in, "output_tokens": 0}
            yield _event("message_start", message={**self._message([], used), "stop_reason": None})
            yield _event("ping")

    def _open(self, number: int) -> Iterator[bytes]:
        """Begin a block, with what of it has waited."""
        block = self._blocks[number]
        self._sent = number + 1
        yield _event("content_block_start", index=number, content_block=block.start())
        if text := block.text:
            yield _event("content_block_delta", index=number, delta=block.delta(text))

    def _close(self) -> Iterator[bytes]:
        if self._sent:
            yield _event("content_block_stop", index=self._sent - 1)

    def _message(self, content: list[dict[str, Any]], usage: Mapping[str, int]) -> dict[str, Any]:
        return {
            "id": self._id, "type": "message", "role": "assistant", "model": self._read.model, "content": content,
            "stop_sequence": None, "usage": usage,
        }  # fmt: skip

    def _stop(self) -> dict[str, Any]:
        """Why it ended; which stop sequence did it few providers tell."""
        finish, stop = self._read.finish, self._read.stop
        reason = _STOPS.get(finish, "end_turn")
        if reason == "end_turn" and any(block.kind == "tool_use" for block in self._blocks):
            reason = "tool_use"
        elif reason == "end_turn" and self._refused:
            reason = "refusal"
        elif reason == "end_turn" and stop in self._stops:
            return {"stop_reason": "stop_sequence", "stop_sequence": stop}
        return {"stop_reason": reason, "stop_sequence": None}

    def _usage(self, usage: Usage) -> dict[str, int]:
        """Tokens as billed; those of the provider's cache stand beside the others."""
        into = self._tokens_in if usage.tokens_in is None else usage.tokens_in
        out = usage.tokens_out
        read, written = usage.tokens_cached or 0, usage.tokens_cache_write or 0
        return {
            "input_tokens": max(0, into - read - written),
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "output_tokens": tokens_of(text_bytes([one.parts for one in self._blocks])) if out is None else out,
        }


def _half(text: str) -> Any:
    """What JSON says, or as much of it as came."""
    try:
        return decode_json(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return from_json(text, allow_partial="trailing-strings")


def _event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + as_json({"type": kind, **more}) + b"\n\n"
