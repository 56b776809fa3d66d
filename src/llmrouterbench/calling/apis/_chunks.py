"""Chunks of a chat completion, and what its translators share."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from llmrouterbench.calling.events import Event, EventReader
from llmrouterbench.calling.wire import decode_json

DONE = b"data: [DONE]\n\n"
SIGN_OF_LIFE = b":\n\n"


def dumped(value: Any) -> bytes:
    """A value as JSON, also one that holds half a character."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


class Reader:
    """Reads the events of one stream as they come; a subclass says what each means in chunks of a chat completion."""

    def __init__(self) -> None:
        self._reader = EventReader()
        self._came: list[bytes] = []
        self.head: dict[str, Any] = {}

    def feed(self, piece: bytes) -> bytes:
        """What these bytes say."""
        return b"".join(out for event in self._reader.feed(piece) for out in self._read(event))

    def close(self) -> bytes:
        """What is left at the end."""
        return b"".join(out for event in self._reader.close() for out in self._read(event))

    def came(self) -> bytes:
        """The events that were read since this was last asked, as they came; an error is none of them."""
        came = b"".join(self._came)
        self._came.clear()
        return came

    def said(self, kind: str, event: Mapping[str, Any]) -> Iterator[bytes]:
        """What an event of a kind says."""
        raise NotImplementedError

    def fails(self, kind: str, event: Mapping[str, Any]) -> bool:
        """Whether an event of a kind says that the reply failed."""
        return kind == "error"

    def chunk(self, delta: dict[str, Any], **more: Any) -> bytes:
        """An event of this stream with a delta."""
        return chunk(self.head, delta, **more)

    def _read(self, one: Event) -> Iterator[bytes]:
        """What is no event of theirs goes on as it came."""
        data = one.data
        try:
            event = decode_json(data) if data else {"type": "ping"}
        except ValueError:
            event = None
        if isinstance(event, Mapping) and isinstance(kind := event.get("type"), str):
            if not self.fails(kind, event):
                self._came.append(one.raw)
            yield from self.said(kind, event)
        else:
            yield b"data: " + data.replace(b"\n", b" ") + b"\n\n"


def line(chunk: Any) -> bytes:
    """A chunk as an event."""
    return b"data: " + dumped(chunk) + b"\n\n"


def head(id: Any, model: Any, kind: str) -> dict[str, Any]:
    """What every chunk, and a completion, begins with."""
    return {"id": id, "object": kind, "created": int(time.time()), "model": model}


def chunk(head: dict[str, Any], delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    """One event with a delta."""
    return line({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, **more}]})


def call(id: Any, name: Any, arguments: str) -> dict[str, Any]:
    """A call of a function."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def arguments(number: int, text: Any) -> dict[str, Any]:
    """A delta with more of a call's arguments."""
    return {"tool_calls": [{"index": number, "function": {"arguments": text}}]}


def usage(into: Any, out: Any, details: dict[str, Any]) -> dict[str, Any] | None:
    """Usage as chat completions have it, None where tokens are not told; `details` are those of the prompt."""
    if not isinstance(into, int) or not isinstance(out, int):
        return None
    told = {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}
    return {**told, "prompt_tokens_details": details}


def no_form(what: str, api: str) -> ValueError:
    """The error for what a request asks and an API does not know."""
    return ValueError(f"{what[:60]} has no form in {api}, which this provider speaks; leave it out")


def most_tokens(chat: dict[str, Any]) -> Any:
    """Tokens out at most, None where the request does not say."""
    names = ("max_completion_tokens", "max_tokens")
    return next((chat[name] for name in names if chat.get(name) is not None), None)


def check_fields(chat: dict[str, Any], read: frozenset[str], api: str) -> None:
    """Raise ValueError for a field that is not read and says something."""
    for name, value in chat.items():
        if not (
            name in read or name in _SAYS_NOTHING or value is None or (name in _DEFAULTS and _DEFAULTS[name] == value)
        ):
            raise no_form(name, api)


_SAYS_NOTHING = frozenset({"stream_options", "metadata", "prompt_cache_key", "prompt_cache_retention", "store"})
"""Fields that change nothing of what is asked; these APIs tell a stream's usage always."""
_DEFAULTS = {"n": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False, "service_tier": "auto"}
