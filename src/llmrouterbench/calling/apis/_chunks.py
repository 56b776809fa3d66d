"""Chunks of a chat completion, and what its translators share."""

from __future__ import annotations

import json
import time
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"
SIGN_OF_LIFE = b":\n\n"


def dumped(value: Any) -> bytes:
    """A value as JSON, also one that holds half a character."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


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
