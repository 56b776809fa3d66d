"""What a reply in chat completions says, piece by piece: thoughts, text, a refusal, calls of tools, and its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import orjson

from llmrouterbench.calling.events import EventReader
from llmrouterbench.calling.refusals import inner
from llmrouterbench.calling.wire import decode_json, read_text

What = Literal["thoughts", "text", "refusal", "call", "custom"]


class Piece(NamedTuple):
    """Some text of a reply.

    what  what it is part of; of a call its arguments, of a custom tool's call its input
    call  number of the call; id and name of it, "" where an earlier piece said them
    """

    what: What
    text: str
    call: int = 0
    id: str = ""
    name: str = ""
    logprobs: tuple[Any, ...] = ()


class ChatReader:
    """Reads one reply, its first choice: a whole completion, or the events of a stream.

    model   as the provider says it, "" before
    finish  its finish_reason, "" before; stop: the stop sequence that ended it, where the provider tells
    """

    def __init__(self) -> None:
        self.model = self.finish = self.stop = ""
        self._events = EventReader()
        self._calls: dict[int, tuple[int, str]] = {}
        self._count = 0

    def whole(self, completion: bytes) -> Iterator[Piece]:
        """The pieces of a completion."""
        yield from self._read(decode_json(completion), "message")

    def stream(self, piece: bytes) -> Iterator[Piece]:
        """The pieces of whole events."""
        for event in self._events.feed(piece):
            if event.data and event.data != b"[DONE]":
                yield from self._read(decode_json(event.data), "delta")

    def _read(self, data: Any, where: str) -> Iterator[Piece]:
        if not isinstance(data, Mapping):
            return
        self.model = self.model or _words(data.get("model"))
        for choice in data.get("choices") or ():
            if choice.get("index") not in (0, None):
                continue
            self.finish = _words(choice.get("finish_reason")) or self.finish
            self.stop = _words(choice.get("stop_reason")) or self.stop
            message = inner(choice, where)
            yield from _said(message, inner(choice, "logprobs").get("content"))
            for number, call in enumerate(message.get("tool_calls") or ()):
                yield self._call(call, number)

    def _call(self, call: Mapping[str, Any], number: int) -> Piece:
        """A call, or more of one; another id at the same index is another call."""
        id, index = _words(call.get("id")), call.get("index")
        at = index if isinstance(index, int) else number
        if at not in self._calls or (id and self._calls[at][1] not in ("", id)):
            self._calls[at] = self._count, id
            self._count += 1
        kind: What = "custom" if "custom" in call else "call"
        said = inner(call, "custom" if kind == "custom" else "function")
        text = _argument(said.get("input" if kind == "custom" else "arguments"))
        return Piece(kind, text, self._calls[at][0], id, _words(said.get("name")))


def _said(message: Mapping[str, Any], logprobs: Any) -> Iterator[Piece]:
    content = message.get("content")
    if thoughts := _words(message.get("reasoning_content")) or _words(message.get("reasoning")) or _thoughts(content):
        yield Piece("thoughts", thoughts)
    if text := read_text(content):
        yield Piece("text", text, logprobs=tuple(logprobs) if isinstance(logprobs, list) else ())
    if refusal := _words(message.get("refusal")):
        yield Piece("refusal", refusal)


def _thoughts(content: Any) -> str:
    """The thoughts that stand among the parts of a content, as Mistral sends them."""
    if not isinstance(content, list):
        return ""
    parts = [part.get("thinking") for part in content if isinstance(part, Mapping)]
    return "".join(part if isinstance(part, str) else read_text(part) for part in parts)


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _argument(value: Any) -> str:
    """Arguments as text; some servers send the object itself."""
    return value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()
