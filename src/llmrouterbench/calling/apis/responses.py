"""A server that speaks OpenAI's Responses, behind chat completions: their request, reply and events, and back again.

What has no form in Responses is refused by its name. Source: OpenAI's API reference, responses and their streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmrouterbench.calling.apis import _chunks as chunks
from llmrouterbench.calling.refusals import inner
from llmrouterbench.calling.wire import decode_json, encode_json

PATH = "responses"
HEADERS: dict[str, str] = {}
KEY_HEADER = ""
_NAME = "Responses"
_SAME = ("model", "temperature", "top_p", "stream", "parallel_tool_calls", "user")
_READ = frozenset(
    {*_SAME, "messages", "max_tokens", "max_completion_tokens", "tools", "tool_choice", "reasoning_effort"}
    | {"response_format", "verbosity"}
)
_DELTAS = {
    "response.output_text.delta": "content", "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning_content", "response.reasoning_summary_text.delta": "reasoning_content",
}  # fmt: skip
_ENDS = ("response.completed", "response.incomplete")
Item = dict[str, Any]


# --- a request -------------------------------------------------------------------------------------------------------


def request_of(body: bytes) -> bytes:
    """A chat request as one for a response, which nobody keeps. Raises ValueError that names what has no form there."""
    chat = decode_json(body)
    chunks.check_fields(chat, _READ, _NAME)
    made = {name: chat[name] for name in _SAME if chat.get(name) is not None} | {"store": False}
    made["input"] = [item for message in chat["messages"] for item in _items(message)]
    if (most := chunks.most_tokens(chat)) is not None:
        made["max_output_tokens"] = most
    if (effort := chat.get("reasoning_effort")) is not None:
        made["reasoning"] = {"effort": effort}
    if tools := [_tool(one) for one in chat.get("tools") or ()]:
        made |= {"tools": tools} | _choice(chat.get("tool_choice"))
    if text := _text(chat):
        made["text"] = text
    return encode_json(made)


def _items(message: Mapping[str, Any]) -> Iterator[Item]:
    role = message["role"]
    if role == "tool":
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": _output(message)}
        return
    if role not in ("system", "developer", "user", "assistant"):
        raise chunks.no_form(f"a message of role {role}", _NAME)
    said = message.get("content") or message.get("refusal")
    if content := _words(said) if role == "assistant" else _parts(said):
        yield {"role": role, "content": content}
    for call in message.get("tool_calls") or ():
        said = inner(call, "function")
        if not said:
            raise chunks.no_form("a call of a tool that is no function", _NAME)
        arguments = said.get("arguments") or "{}"
        yield {"type": "function_call", "call_id": call.get("id"), "name": said.get("name"), "arguments": arguments}


def _output(message: Mapping[str, Any]) -> Any:
    content = message.get("content")
    return content if isinstance(content, str) else _parts(content)


def _words(content: Any) -> str:
    """What the model said before, as one text."""
    return (
        content
        if isinstance(content, str)
        else "".join(part.get("text", part.get("refusal")) for part in content or ())
    )


def _parts(content: Any) -> list[Item]:
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}] if content else []
    return [_part(part) for part in content or ()]


def _part(part: Mapping[str, Any]) -> Item:
    match part.get("type"):
        case "text":
            return {"type": "input_text", "text": part.get("text")}
        case "image_url":
            image = inner(part, "image_url")
            return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
        case "file":
            return {"type": "input_file", **inner(part, "file")}
    raise chunks.no_form(f"content of type {part.get('type')}", _NAME)


def _tool(tool: Mapping[str, Any]) -> Item:
    said = inner(tool, "function")
    if not said:
        raise chunks.no_form(f"a tool of type {tool.get('type')}", _NAME)
    about = {"description": said["description"]} if said.get("description") else {}
    schema = said.get("parameters") or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "name": said.get("name"),
        "parameters": schema,
        "strict": bool(said.get("strict")),
    } | about


def _choice(asked: Any) -> dict[str, Any]:
    if asked is None or asked in ("auto", "none", "required"):
        return {} if asked is None else {"tool_choice": asked}
    if isinstance(asked, Mapping) and asked.get("type") == "function":
        return {"tool_choice": {"type": "function", "name": inner(asked, "function").get("name")}}
    raise chunks.no_form("this tool_choice", _NAME)


def _text(chat: Mapping[str, Any]) -> dict[str, Any]:
    """The form of what it says, and how much of it."""
    made: dict[str, Any] = {} if chat.get("verbosity") is None else {"verbosity": chat["verbosity"]}
    form = inner(chat, "response_format")
    if form.get("type") == "json_schema":
        made["format"] = {"type": "json_schema", **inner(form, "json_schema")}
    elif form:
        made["format"] = dict(form)
    return made


# --- a reply ---------------------------------------------------------------------------------------------------------


def completion_of(body: bytes) -> bytes:
    """A response as a chat completion; what is no response as it came."""
    try:
        response = decode_json(body)
    except ValueError:
        return body
    if not isinstance(response, Mapping) or response.get("object") != "response":
        return body
    if response.get("error"):
        return chunks.dumped({"error": response["error"]})
    said: dict[str, list[Any]] = {"content": [], "refusal": [], "reasoning_content": [], "tool_calls": []}
    for item in response.get("output") or ():
        for name, value in _said(item) if isinstance(item, Mapping) else ():
            said[name].append(value)
    calls = said.pop("tool_calls")
    message: dict[str, Any] = {name: "".join(map(str, texts)) for name, texts in said.items() if texts}
    message = {"role": "assistant", "content": None} | message | ({"tool_calls": calls} if calls else {})
    choice = {"index": 0, "message": message, "finish_reason": _finish(response, bool(calls))}
    head = chunks.head(response.get("id"), response.get("model"), "chat.completion")
    return chunks.dumped(head | {"choices": [choice], "usage": _usage(inner(response, "usage"))})


def _said(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What an item of the output says, by the field of a message."""
    kind = item.get("type")
    if kind == "function_call":
        yield "tool_calls", chunks.call(item.get("call_id"), item.get("name"), item.get("arguments") or "{}")
    for part in item.get("content") or () if kind in ("message", "reasoning") else ():
        if isinstance(part, Mapping) and part.get("type") == "refusal":
            yield "refusal", part.get("refusal") or ""
        elif isinstance(part, Mapping):
            yield "content" if kind == "message" else "reasoning_content", part.get("text") or ""
    for part in item.get("summary") or () if kind == "reasoning" else ():
        yield "reasoning_content", inner({"part": part}, "part").get("text") or ""


def _finish(response: Mapping[str, Any], calls: bool) -> str:
    reason = inner(response, "incomplete_details").get("reason")
    return {"max_output_tokens": "length", "content_filter": "content_filter"}.get(
        str(reason), "tool_calls" if calls else "stop"
    )  # fmt: skip


def _usage(usage: Mapping[str, Any]) -> dict[str, Any] | None:
    cached = inner(usage, "input_tokens_details").get("cached_tokens")
    made = chunks.usage(usage.get("input_tokens"), usage.get("output_tokens"), {"cached_tokens": cached})
    thought = inner(usage, "output_tokens_details").get("reasoning_tokens")
    return made and made | {"completion_tokens_details": {"reasoning_tokens": thought}}


class Events(chunks.Reader):
    """The events of a response, as they come, as those of a chat completion."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[str, int] = {}

    def fails(self, kind: str, event: Mapping[str, Any]) -> bool:
        """Whether an event of a kind says that the reply failed."""
        return kind in ("error", "response.failed") or (kind in _ENDS and bool(inner(event, "response").get("error")))

    def said(self, kind: str, event: Mapping[str, Any]) -> Iterator[bytes]:
        """What an event of a kind says."""
        if self.fails(kind, event):
            problem = inner(event, "response").get("error") or inner(event, "error") or event
            yield chunks.line({"error": problem})
        elif kind in _DELTAS:
            yield self.chunk({_DELTAS[kind]: event.get("delta")})
        elif kind == "response.created":
            response = inner(event, "response")
            self.head = chunks.head(response.get("id"), response.get("model"), "chat.completion.chunk")
            yield self.chunk({"role": "assistant", "content": ""})
        elif kind == "response.output_item.added" and inner(event, "item").get("type") == "function_call":
            item, number = inner(event, "item"), len(self._calls)
            self._calls[str(event.get("output_index"))] = number
            call = chunks.call(item.get("call_id"), item.get("name"), item.get("arguments") or "")
            yield self.chunk({"tool_calls": [{"index": number, **call}]})
        elif kind == "response.function_call_arguments.delta":
            yield self.chunk(chunks.arguments(self._calls.get(str(event.get("output_index")), 0), event.get("delta")))
        elif kind in _ENDS:
            yield from self._end(inner(event, "response"))
        else:
            yield chunks.SIGN_OF_LIFE

    def _end(self, response: Mapping[str, Any]) -> Iterator[bytes]:
        yield self.chunk({}, finish_reason=_finish(response, bool(self._calls)))
        if (usage := _usage(inner(response, "usage"))) is not None:
            yield chunks.line({**self.head, "choices": [], "usage": usage})
        yield chunks.DONE
