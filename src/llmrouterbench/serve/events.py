"""Server-sent events on their way through: unchanged bytes, and what they say about usage, errors and the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from llmrouterbench.calling.calls import Usage
from llmrouterbench.calling.wire import decode_json, read_usage

_BOUNDARY = re.compile(rb"\r?\n\r?\n")
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"')
_LARGEST_EVENT = 16_000_000


class EventReader:
    r"""Reads a stream event by event and gives back the bytes to pass on.

    begun       whether a token has come: anything in a delta beyond its role, or a finish_reason
    done        whether [DONE] has come; complete: that, or a finish_reason
    usage       what the provider said; with `drop_usage` the chunk that holds nothing else is not passed on
    error       the error object of the stream, None where there was none; `masked` takes secrets out of its event

    >>> reader = EventReader()
    >>> reader.feed(b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\ndata: {"ch'), reader.begun
    (b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n', False)
    >>> reader.feed(b'oices":[{"delta":{"content":"Hi"}}]}\n\n')
    b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
    >>> reader.begun, reader.complete
    (True, False)
    """

    def __init__(self, drop_usage: bool = False, masked: Callable[[bytes], bytes] = bytes) -> None:
        self.begun = False
        self.done = False
        self.usage = Usage()
        self.error: Mapping[str, Any] | None = None
        self._finished = False
        self._drop_usage = drop_usage
        self._masked = masked
        self._rest = b""

    @property
    def complete(self) -> bool:
        """Whether the provider said all it had to say."""
        return (self.done or self._finished) and self.error is None

    def feed(self, piece: bytes) -> bytes:
        """Take bytes; returns those of whole events."""
        data = self._rest + piece
        out, start = [], 0
        for boundary in _BOUNDARY.finditer(data):
            event = data[start : boundary.end()]
            start = boundary.end()
            if self._keep(event):
                out.append(self._shown(event))
        self._rest = data[start:]
        if len(self._rest) > _LARGEST_EVENT:
            out.append(self._shown(self._rest))
            self._rest = b""
        return b"".join(out)

    def close(self) -> bytes:
        """The bytes after the last whole event."""
        last, self._rest = self._rest, b""
        return self._shown(last) if last and self._keep(last) else b""

    def _shown(self, event: bytes) -> bytes:
        return self._masked(event) if b"error" in event else event

    def _keep(self, event: bytes) -> bool:
        keep = True
        for line in event.split(b"\n"):
            if line.startswith(b"data:"):
                keep = self._look(line[5:].strip()) and keep
        return keep

    def _look(self, data: bytes) -> bool:
        """Note what one event says; whether it is passed on."""
        if data == b"[DONE]":
            self.done = True
            return True
        if not self._finished and _FINISH.search(data):
            self._finished = True
        if self.begun and b'"usage"' not in data and b'"error"' not in data:
            return True
        try:
            chunk = decode_json(data)
        except (ValueError, RecursionError):
            return True
        return self._note(chunk) if isinstance(chunk, Mapping) else True

    def _note(self, chunk: Mapping[str, Any]) -> bool:
        choices = chunk.get("choices")
        if chunk.get("error"):
            self.error = chunk
        self.begun = self.begun or self._says_something(choices)
        if isinstance(chunk.get("usage"), Mapping):
            self.usage = read_usage(chunk["usage"])[0]
            return bool(choices) or not self._drop_usage
        return True

    @staticmethod
    def _says_something(choices: Any) -> bool:
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, Mapping):
                continue
            delta = choice.get("delta")
            if choice.get("finish_reason") or choice.get("text"):
                return True
            if isinstance(delta, Mapping) and any(value for name, value in delta.items() if name != "role"):
                return True
        return False
