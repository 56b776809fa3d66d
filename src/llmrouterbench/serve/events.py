"""A whole completion as the events of a stream, for a client that asked for one and a provider that sent none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def as_events(completion: Mapping[str, Any], *, usage: bool) -> bytes:
    r"""The chunks of a completion, judged before, and [DONE]; its usage where that was asked for.

    >>> whole = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    >>> for event in as_events(whole, usage=False).split(b"\n\n")[1:-1]:
    ...     print(event.decode())
    data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}
    data: [DONE]

    Raises RecursionError for what is nested too deeply.
    """
    chunks = (json.dumps(chunk, separators=(",", ":")) for chunk in _chunks(completion, usage))
    return "".join(f"data: {text}\n\n" for text in (*chunks, "[DONE]")).encode()


def _chunks(completion: Mapping[str, Any], usage: bool) -> Iterator[dict[str, Any]]:
    """A chunk with everything that was said, one with the end of each choice, and one with the usage."""
    head = {name: value for name, value in completion.items() if name not in ("choices", "usage", "object")}
    head["object"] = "chat.completion.chunk"
    choices = completion["choices"]
    yield {**head, "choices": [_said(choice, number) for number, choice in enumerate(choices)]}
    ends = [{"index": choice.get("index", number), "delta": {}, "finish_reason": choice.get("finish_reason") or "stop"}
            for number, choice in enumerate(choices)]  # fmt: skip
    yield {**head, "choices": ends}
    if usage and isinstance(completion.get("usage"), dict):
        yield {**head, "choices": [], "usage": completion["usage"]}


def _said(choice: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A choice with its message as a delta; tool calls are numbered there."""
    delta = dict(choice["message"])
    if delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(delta["tool_calls"])]
    rest = {name: value for name, value in choice.items() if name not in ("message", "finish_reason")}
    return {"index": number, **rest, "delta": delta, "finish_reason": None}
