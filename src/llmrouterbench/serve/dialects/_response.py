"""A reply in chat completions as one of OpenAI's Responses: whole, or event by event."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llmrouterbench.calling.calls import Usage
from llmrouterbench.calling.refusals import error_text
from llmrouterbench.calling.wire import decode_json
from llmrouterbench.serve.chat_body import as_json
from llmrouterbench.serve.dialects import chat
from llmrouterbench.serve.dialects._pieces import ChatReader, Piece

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(eq=False)
class _Item:
    """An item of the output; parts: what of it came."""

    kind: Literal["reasoning", "message", "function_call", "custom_tool_call"]
    id: str
    at: int
    call: int = -1
    call_id: str = ""
    name: str = ""
    space: str | None = None
    part: Literal["reasoning_text", "output_text", "refusal", ""] = ""
    closed: bool = False
    parts: list[str] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that came."""
        return "".join(self.parts)

    def shown(self, status: str) -> dict[str, Any]:
        """It as an item; empty where it is in progress."""
        whole = status != "in_progress"
        head: dict[str, Any] = {"id": self.id, "type": self.kind, "status": status}
        if self.part:
            head |= {"content": [self.shown_part(self.text)] if whole else []}
            more: dict[str, Any] = {"summary": []} if self.kind == "reasoning" else {"role": "assistant"}
            return head | more
        said = "arguments" if self.kind == "function_call" else "input"
        space = {} if self.space is None else {"namespace": self.space}
        return head | {"call_id": self.call_id, "name": self.name, **space, said: self.text if whole else ""}

    def shown_part(self, text: str) -> dict[str, Any]:
        """Its only part."""
        if self.part == "output_text":
            odds = self.logprobs if text else []
            return {"type": self.part, "text": text, "annotations": [], "logprobs": odds}
        return {"type": self.part, "refusal" if self.part == "refusal" else "text": text}


class InForm:
    """A reply as a response. Calls stay open until it ends, as they may come interleaved.

    said   what it repeats of the request; names: from a name that providers know to namespace and name of a tool
    passed events of the stream that have gone before
    """

    def __init__(self, id: str, said: bytes, names: Mapping[str, tuple[str, str]], passed: int = 0) -> None:
        self._id = id
        self._said = said
        self._names = names
        self._at = int(time.time())
        self._read = ChatReader()
        self._items: list[_Item] = []
        self._number = passed
        self._begun = passed > 0

    def whole(self, completion: bytes, usage: Usage) -> bytes:
        """The response."""
        for piece in self._read.whole(completion):
            self._add(piece)
        return self._response(self._status, usage)

    def events(self, piece: bytes) -> bytes:
        """Events for what came; a comment where there is none."""
        return b"".join(self._events(piece)) or (b":\n\n" if self._begun else b"")

    def end(self, usage: Usage) -> bytes:
        """The ends of all items, and the whole response."""
        out = [*self._begin()]
        for item in self._items:
            out += self._close(item)
        response = self._response(self._status, usage)
        return b"".join([*out, self._event(f"response.{self._status}", response=response)])

    def broken(self, said: bytes) -> bytes:
        """An error event, which OpenAI's clients read, and the failed response, which Codex reads."""
        try:
            message = error_text(decode_json(said))
        except ValueError:
            message = ""
        problem: dict[str, Any] = {"code": "server_error", "message": message or "the provider broke its reply off"}
        failed = self._response("failed", error=problem)
        events = [self._event("error", **problem, param=None), self._event("response.failed", response=failed)]
        return b"".join([*self._begin(), *events])

    def _events(self, piece: bytes) -> Iterator[bytes]:
        for one in self._read.stream(piece):
            yield from self._begin()
            before = self._items[-1] if self._items else None
            item = self._add(one)
            if item is self._items[-1] and item is not before:
                if before is not None and before.part:
                    yield from self._close(before)
                yield from self._open(item)
            if one.text:
                yield self._delta(item, one)

    def _add(self, piece: Piece) -> _Item:
        item = self._item(piece)
        item.parts.append(piece.text)
        item.logprobs += piece.logprobs
        return item

    def _item(self, piece: Piece) -> _Item:
        """The item that a piece belongs to, a new one where there is none yet."""
        at, what = len(self._items), piece.what
        if what in ("call", "custom"):
            found = next((one for one in self._items if one.call == piece.call), None)
            if found is None:
                found = self._called(piece, at)
                self._items.append(found)
            return found
        part: Any = {"thoughts": "reasoning_text", "text": "output_text"}.get(what, what)
        last = self._items[-1] if self._items else None
        if last is None or last.part != part:
            kind, start = ("reasoning", "rs") if what == "thoughts" else ("message", "msg")
            self._items.append(last := _Item(kind, f"{start}_{self._id}_{at}", at, part=part))  # type: ignore[arg-type]
        return last

    def _called(self, piece: Piece, at: int) -> _Item:
        space, name = self._names.get(piece.name, (None, piece.name))
        kind: Any = "function_call" if piece.what == "call" else "custom_tool_call"
        id = f"{'fc' if piece.what == 'call' else 'ctc'}_{self._id}_{at}"
        return _Item(kind, id, at, piece.call, piece.id or f"call_{self._id}_{at}", name, space)

    # events

    def _event(self, kind: str, response: bytes = b"", **more: Any) -> bytes:
        self._number += 1
        data = as_json({"type": kind, "sequence_number": self._number - 1, **more})
        if response:
            data = data[:-1] + b',"response":' + response + b"}"
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

    def _begin(self) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            for kind in ("created", "in_progress"):
                yield self._event(f"response.{kind}", response=self._response("in_progress"))

    def _open(self, item: _Item) -> Iterator[bytes]:
        yield self._event("response.output_item.added", output_index=item.at, item=item.shown("in_progress"))
        if item.part:
            yield self._event("response.content_part.added", **_place(item), part=item.shown_part(""))

    def _delta(self, item: _Item, piece: Piece) -> bytes:
        odds: dict[str, Any] = {"logprobs": list(piece.logprobs)} if item.part == "output_text" else {}
        return self._event(f"{_KINDS[item.part or item.kind]}.delta", **_place(item), delta=piece.text, **odds)

    def _close(self, item: _Item) -> Iterator[bytes]:
        if item.closed:
            return
        item.closed = True
        kind = _KINDS[item.part or item.kind]
        said = {"arguments": "arguments", "input": "input", "refusal": "refusal"}
        name = said.get(kind.rpartition("_")[2], said.get(kind.rpartition(".")[2], "text"))
        odds: dict[str, Any] = {"logprobs": item.logprobs} if item.part == "output_text" else {}
        yield self._event(f"{kind}.done", **_place(item), **odds | {name: item.text})
        if item.part:
            yield self._event("response.content_part.done", **_place(item), part=item.shown_part(item.text))
        yield self._event("response.output_item.done", output_index=item.at, item=item.shown(self._status_of(item)))

    # the response

    @property
    def _status(self) -> str:
        return "incomplete" if self._read.finish in _INCOMPLETE else "completed"

    def _status_of(self, item: _Item) -> str:
        return self._status if item is self._items[-1] else "completed"

    def _response(self, status: str, usage: Usage | None = None, error: Mapping[str, Any] | None = None) -> bytes:
        """The response, with what it repeats of the request behind what is its own."""
        ended = status in ("completed", "incomplete")
        why = _INCOMPLETE.get(self._read.finish) if status == "incomplete" else None
        own = {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": self._at,
            "status": status,
            "error": error,
            "incomplete_details": None if why is None else {"reason": why},
            "model": self._read.model,
            "output": [item.shown(self._status_of(item)) for item in self._items] if ended else [],
            "previous_response_id": None,
            "store": False,
            "truncation": "disabled",
            "usage": None if usage is None else _usage(usage),
        }
        return as_json(own)[:-1] + b"," + self._said[1:]


class AsItIs(chat.AsItIs):
    """A reply of a provider that speaks Responses; only what ends a stream that broke off is ours."""

    def __init__(self, id: str, said: bytes) -> None:
        self._id, self._said = id, said
        self._passed = 0

    def events(self, piece: bytes) -> bytes:
        """The events."""
        self._passed += piece.count(b"\n\n")
        return piece

    def broken(self, said: bytes) -> bytes:
        """An error event, and the failed response."""
        return InForm(self._id, self._said, {}, passed=self._passed).broken(said)


_KINDS = {
    "reasoning_text": "response.reasoning_text",
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "function_call": "response.function_call_arguments",
    "custom_tool_call": "response.custom_tool_call_input",
}
"""The events of each kind of item."""


def _place(item: _Item) -> dict[str, Any]:
    part = {"content_index": 0} if item.part else {}
    return {"item_id": item.id, "output_index": item.at, **part}


def _usage(usage: Usage) -> dict[str, Any] | None:
    """Tokens as billed, None where only the cost was told."""
    if usage.tokens_in is None or usage.tokens_out is None:
        return None
    cached = {"cached_tokens": usage.tokens_cached or 0, "cache_write_tokens": usage.tokens_cache_write or 0}
    return {
        "input_tokens": usage.tokens_in,
        "input_tokens_details": cached,
        "output_tokens": usage.tokens_out,
        "output_tokens_details": {"reasoning_tokens": usage.tokens_reasoning or 0},
        "total_tokens": usage.tokens_in + usage.tokens_out,
    }
