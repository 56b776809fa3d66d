"""A server that speaks Anthropic's Messages, behind chat completions: their request, reply and events, and back again.

What has no form in Messages is refused by its name. Source: docs.anthropic.com (Messages, streaming).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmrouterbench.calling.apis import _chunks as chunks
from llmrouterbench.calling.refusals import inner
from llmrouterbench.calling.wire import decode_json, encode_json

PATH = "messages"
HEADERS = {"anthropic-version": "2023-06-01"}
KEY_HEADER = "x-api-key"
_NAME = "Messages"
_STOPS = {
    "end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length",
    "model_context_window_exceeded": "length", "refusal": "content_filter",
}  # fmt: skip
_SAME = ("model", "temperature", "top_p", "top_k", "stream")
_READ = frozenset(
    {*_SAME, "messages", "max_tokens", "max_completion_tokens", "stop", "tools", "tool_choice", "parallel_tool_calls"}
    | {"reasoning_effort", "response_format", "user"}
)
_INTO = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_ONLY_OBJECT = {"type": "object", "properties": {}}
Block = dict[str, Any]


# --- a request -------------------------------------------------------------------------------------------------------


def request_of(body: bytes) -> bytes:
    """A chat request as one for a message. Raises ValueError that names what has no form there."""
    chat = decode_json(body)
    chunks.check_fields(chat, _READ, _NAME)
    most = chunks.most_tokens(chat)
    if most is None:
        raise ValueError("max_tokens must be set, as Messages are not taken without it")
    made = {name: chat[name] for name in _SAME if chat.get(name) is not None} | {"max_tokens": most}
    system, turns = _turns(chat["messages"])
    made |= {"messages": turns} | ({"system": system} if system else {})
    if stop := chat.get("stop"):
        made["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if isinstance(chat.get("user"), str):
        made["metadata"] = {"user_id": chat["user"]}
    made |= _tools(chat)
    if output := _output(chat):
        made["output_config"] = output
    return encode_json(made)


def _turns(messages: Any) -> tuple[list[Block], list[dict[str, Any]]]:
    """The blocks of the system, and the turns; what one side says in a row is one turn."""
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = message["role"]
        if role in ("system", "developer"):
            system += _blocks(message.get("content"))
            continue
        if role not in ("user", "assistant", "tool"):
            raise chunks.no_form(f"a message of role {role}", _NAME)
        side, blocks = ("assistant", _said(message)) if role == "assistant" else ("user", _told(message))
        if turns and turns[-1]["role"] == side:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": side, "content": blocks})
    return system, turns


def _told(message: Mapping[str, Any]) -> list[Block]:
    if message["role"] == "user":
        return _blocks(message.get("content"))
    return [
        {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": _blocks(message.get("content"))}
    ]


def _said(message: Mapping[str, Any]) -> list[Block]:
    """What the model said before; thoughts without a signature are no part of it."""
    blocks = _blocks(message.get("content")) or _blocks(message.get("refusal"))
    for call in message.get("tool_calls") or ():
        said = inner(call, "function")
        if not said:
            raise chunks.no_form("a call of a tool that is no function", _NAME)
        blocks.append({"type": "tool_use", "id": call.get("id"), "name": said.get("name"), "input": _input(said)})
    return blocks


def _input(said: Mapping[str, Any]) -> Any:
    arguments = said.get("arguments") or "{}"
    try:
        made = decode_json(arguments.encode()) if isinstance(arguments, str) else arguments
    except ValueError:
        made = None
    if not isinstance(made, dict):
        raise ValueError(f"the arguments of a call of {str(said.get('name'))[:60]!r} must be an object in JSON")
    return made


def _blocks(content: Any) -> list[Block]:
    """The blocks of a content; an empty text is none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [block for part in content or () for block in _block(part)]


def _block(part: Mapping[str, Any]) -> list[Block]:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return _blocks(part.get("text", part.get("refusal")))
    if kind == "image_url":
        return [{"type": "image", "source": _source(str(inner(part, "image_url").get("url")))}]
    if kind == "file" and isinstance(data := inner(part, "file").get("file_data"), str):
        return [{"type": "document", "source": _source(data)}]
    raise chunks.no_form(f"content of type {kind}", _NAME)


def _source(url: str) -> dict[str, str]:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return {"type": "base64", "media_type": kind, "data": data}


def _tools(chat: Mapping[str, Any]) -> dict[str, Any]:
    tools = [_tool(one) for one in chat.get("tools") or ()]
    if not tools:
        return {}
    asked, single = chat.get("tool_choice"), chat.get("parallel_tool_calls") is False
    choice: dict[str, Any] = {}
    if isinstance(asked, str) and asked in _CHOICES:
        choice = {"type": _CHOICES[asked]}
    elif isinstance(asked, Mapping) and asked.get("type") == "function":
        choice = {"type": "tool", "name": inner(asked, "function").get("name")}
    elif asked is not None:
        raise chunks.no_form("this tool_choice", _NAME)
    if single and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    return {"tools": tools} | ({"tool_choice": choice} if choice else {})


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    said = inner(tool, "function")
    if not said:
        raise chunks.no_form(f"a tool of type {tool.get('type')}", _NAME)
    made = {"name": said.get("name"), "input_schema": said.get("parameters") or _ONLY_OBJECT}
    return made | {name: said[name] for name in ("description", "strict") if said.get(name)}


def _output(chat: Mapping[str, Any]) -> dict[str, Any]:
    """How hard it thinks, and the schema of what it says."""
    made: dict[str, Any] = {}
    if (effort := chat.get("reasoning_effort")) is not None:
        made["effort"] = effort
    form = inner(chat, "response_format")
    if form.get("type") == "json_schema":
        made["format"] = {"type": "json_schema", "schema": inner(form, "json_schema").get("schema")}
    elif form.get("type", "text") != "text":
        raise chunks.no_form(f"response_format of type {form.get('type')}", _NAME)
    return made


# --- a reply ---------------------------------------------------------------------------------------------------------


def completion_of(body: bytes) -> bytes:
    """A message as a chat completion; what is no message as it came."""
    try:
        message = decode_json(body)
    except ValueError:
        return body
    if not isinstance(message, Mapping) or message.get("type") != "message":
        return body
    told: dict[str, list[Any]] = {"text": [], "thinking": [], "tool_use": []}
    for block in message.get("content") or ():
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind in told:
            told[kind].append(block if kind == "tool_use" else block.get(kind) or "")
    said: dict[str, Any] = {"role": "assistant", "content": "".join(told["text"]) or None}
    if told["thinking"]:
        said["reasoning_content"] = "".join(told["thinking"])
    if told["tool_use"]:
        said["tool_calls"] = [_call(one, chunks.dumped(one.get("input") or {}).decode()) for one in told["tool_use"]]
    choice = {"index": 0, "message": said, **_end(message)}
    head = chunks.head(message.get("id"), message.get("model"), "chat.completion")
    return chunks.dumped(head | {"choices": [choice], "usage": _usage(inner(message, "usage"))})


def _call(block: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    return chunks.call(block.get("id"), block.get("name"), arguments)


def _end(said: Mapping[str, Any]) -> dict[str, Any]:
    """Why it ended, and the stop sequence that did it."""
    stop = said.get("stop_sequence")
    finish = {"finish_reason": _STOPS.get(str(said.get("stop_reason")), "stop")}
    return finish if stop is None else finish | {"stop_reason": stop}


def _usage(usage: Mapping[str, Any]) -> dict[str, Any] | None:
    """Usage as chat completions have it: tokens of the cache are part of the prompt's."""
    into, read, written = usage.get(_INTO[0]), *(usage.get(name) or 0 for name in _INTO[1:])
    if not (isinstance(into, int) and isinstance(read, int) and isinstance(written, int)):
        return None
    details = {"cached_tokens": read, "cache_write_tokens": written}
    return chunks.usage(into + read + written, usage.get("output_tokens"), details)


class Events(chunks.Reader):
    """The events of a message, as they come, as those of a chat completion."""

    def __init__(self) -> None:
        super().__init__()
        self._usage: dict[str, Any] = {}
        self._calls: dict[str, list[int]] = {}
        """Of each block that is a call its number, and how many pieces of its arguments came."""

    def said(self, kind: str, event: Mapping[str, Any]) -> Iterator[bytes]:
        """What an event of a kind says."""
        if kind == "error":
            yield chunks.line(event)
        elif kind == "message_start":
            message = inner(event, "message")
            self.head = chunks.head(message.get("id"), message.get("model"), "chat.completion.chunk")
            self._usage = dict(inner(message, "usage"))
            yield self.chunk({"role": "assistant", "content": ""})
        elif kind == "content_block_start":
            yield from self._begin(str(event.get("index")), inner(event, "content_block"))
        elif kind == "content_block_delta":
            yield from self._delta(str(event.get("index")), inner(event, "delta"))
        elif kind == "content_block_stop":
            if (call := self._calls.get(str(event.get("index")))) is not None and not call[1]:
                yield self.chunk(chunks.arguments(call[0], "{}"))
        elif kind == "message_delta":
            self._usage |= {name: value for name, value in inner(event, "usage").items() if value is not None}
            yield self.chunk({}, **_end(inner(event, "delta")))
        elif kind == "message_stop":
            if (usage := _usage(self._usage)) is not None:
                yield chunks.line({**self.head, "choices": [], "usage": usage})
            yield chunks.DONE
        else:
            yield chunks.SIGN_OF_LIFE

    def _begin(self, index: str, block: Mapping[str, Any]) -> Iterator[bytes]:
        kind = block.get("type")
        if kind == "tool_use":
            number = len(self._calls)
            self._calls[index] = [number, 0]
            yield self.chunk({"tool_calls": [{"index": number, **_call(block, "")}]})
        elif kind in ("text", "thinking") and block.get(kind):
            yield from self._delta(index, {"type": f"{kind}_delta", kind: block[kind]})

    def _delta(self, index: str, delta: Mapping[str, Any]) -> Iterator[bytes]:
        kind = delta.get("type")
        if kind == "text_delta":
            yield self.chunk({"content": delta.get("text")})
        elif kind == "thinking_delta":
            yield self.chunk({"reasoning_content": delta.get("thinking")})
        elif kind == "input_json_delta" and (call := self._calls.get(index)) is not None and delta.get("partial_json"):
            call[1] += 1
            yield self.chunk(chunks.arguments(call[0], delta["partial_json"]))
