"""OpenAI's Responses. Source: platform.openai.com (Responses, streaming), and the types of its package `openai`.

Nothing is kept here: a client sends its whole input each time, as agents do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llmrouterbench.calling.calls import Usage
from llmrouterbench.calling.refusals import error_text
from llmrouterbench.calling.wire import decode_json
from llmrouterbench.serve.chat_body import as_json, chat_body, named_model, parse_object
from llmrouterbench.serve.dialects._fields import Fields
from llmrouterbench.serve.dialects._pieces import ChatReader, Piece
from llmrouterbench.serve.dialects._turns import Part, Turns, text_part
from llmrouterbench.serve.dialects.dialect import Asked
from llmrouterbench.serve.refusals import RefusedError, short

PATH = "/v1/responses"
_WHOLE = "nothing is kept here: send the whole input, with store: false"
_ECHOED = (
    "instructions", "max_output_tokens", "max_tool_calls", "metadata", "prompt_cache_key", "reasoning",
    "safety_identifier", "service_tier", "temperature", "text", "top_logprobs", "top_p", "user",
)  # fmt: skip
"""Fields of a request that its response repeats."""
_SAME = (
    "temperature", "top_p", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "service_tier",
)  # fmt: skip
"""Fields that chat completions have too."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_JOINT = "__"
"""Between the name of a namespace and that of its function, where both are one name."""


# --- a request -------------------------------------------------------------------------------------------------------


def read(raw: bytes) -> Asked:
    """The chat request that a response asks for. Raises RefusedError (400)."""
    data = parse_object(raw)
    left_out: set[str] = set()
    top = Fields(data, "", left_out)
    chat: dict[str, Any] = {"model": named_model(data)}
    top.pass_over("model")
    _check_kept(top)
    tools = _Tools()
    chat |= tools.read(top)
    chat["messages"] = _messages(top, tools)
    if stream := top.of(bool, "stream"):
        chat["stream"] = True
    most = top.of(int, "max_output_tokens")
    if most is not None and most < 1:
        raise RefusedError(400, f"max_output_tokens must be above 0, got {most}")
    chat |= {**_reasoning(top), **_text(top), **_odds(top), **dict(top.copied(*_SAME))}
    top.leave_out("client_metadata", "metadata", "stream_options", "prompt_cache_options")
    top.pass_over("max_tool_calls")  # of tools that a server runs, of which there are none
    top.close()
    body = replace(chat_body(as_json(chat), chat), most_tokens=most, stream=bool(stream))
    said = {name: data[name] for name in _ECHOED if data.get(name) is not None} | tools.echoed(data)
    repeated = as_json(said)
    return Asked(body, lambda id: _Reply(id, repeated, tools.names), left_out=tuple(sorted(left_out)))


def _check_kept(top: Fields) -> None:
    """Refuse what needs a store of responses."""
    for name in ("previous_response_id", "conversation", "prompt"):
        top.expect(name, remedy=_WHOLE)
    top.expect("store", False, remedy=_WHOLE)
    top.expect("background", False, remedy=_WHOLE)
    top.expect("truncation", "disabled", remedy="the input is the client's to shorten")


class _Tools:
    """The tools of a request; `names`: from a name that providers know to namespace and name, where there is one."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[str, str]] = {}
        self._known: set[str] = set()

    def read(self, top: Fields) -> dict[str, Any]:
        """The fields of the chat request."""
        tools = [one for tool in top.each("tools") for one in self._tool(tool)]
        choice, parallel = top.any("tool_choice"), top.of(bool, "parallel_tool_calls")
        if not tools and choice not in (None, "auto", "none"):
            raise RefusedError(400, f"tool_choice must be auto or none where there are no tools, got {short(choice)}")
        if not tools:
            return {}
        chat: dict[str, Any] = {"tools": tools}
        if choice is not None:
            chat["tool_choice"] = self._choice(choice, top)
        if parallel is not None:
            chat["parallel_tool_calls"] = parallel
        return chat

    def name(self, namespace: str | None, name: str) -> str:
        """The name that providers know."""
        return name if namespace is None else f"{namespace}{_JOINT}{name}"

    def echoed(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What a response repeats of them, and must."""
        parallel = data.get("parallel_tool_calls")
        return {
            "tools": data.get("tools") or [],
            "tool_choice": data.get("tool_choice") or "auto",
            "parallel_tool_calls": True if parallel is None else parallel,
        }

    def _tool(self, tool: Fields, namespace: str | None = None, about: str = "") -> Iterator[dict[str, Any]]:
        kind = tool.text("type")
        if kind == "namespace" and namespace is None:
            space, said = tool.text("name"), tool.of(str, "description") or ""
            for inside in tool.each("tools"):
                yield from self._tool(inside, space, said)
        elif kind in ("function", "custom"):
            yield self._own(kind, tool, namespace, about)
        elif kind == "web_search":
            place = tool.place("type")
            raise RefusedError(
                400, f"{place} 'web_search' is run by OpenAI's own server; in Codex, web_search = \"disabled\""
            )
        else:
            tool.unknown("type", kind)
        tool.close()

    def _own(self, kind: str, tool: Fields, namespace: str | None, about: str) -> dict[str, Any]:
        """A tool that the client runs."""
        tool.expect("defer_loading", False, remedy="all tools are sent")
        tool.expect("async", False, remedy="calls are answered in the next request")
        tool.expect("allowed_callers", ["direct"], remedy="no server runs tools here")
        tool.leave_out("output_schema")
        own = tool.text("name")
        name = self.name(namespace, own)
        if name in self._known:
            raise RefusedError(400, f"{tool.place('name')} must be the name of one tool, got {name[:100]!r} again")
        self._known.add(name)
        if namespace is not None:
            self.names[name] = namespace, own
        made: dict[str, Any] = {"name": name}
        if said := "\n\n".join(one for one in (about, tool.of(str, "description")) if one):
            made["description"] = said
        if kind == "custom":
            return {"type": "custom", "custom": {**made, **_format(tool)}}
        made |= dict(tool.copied("parameters", "strict"))
        return {"type": "function", "function": made}

    def _choice(self, choice: Any, top: Fields) -> Any:
        if isinstance(choice, str):
            return choice
        fields = top.within("tool_choice", choice)
        kind = fields.text("type")
        if kind == "allowed_tools":
            allowed = [self._named(one, one.text("type")) for one in fields.each("tools")]
            made = {"type": kind, kind: {"mode": fields.text("mode"), "tools": allowed}}
        else:
            made = self._named(fields, kind)
        fields.close()
        return made

    def _named(self, fields: Fields, kind: str) -> dict[str, Any]:
        if kind not in ("function", "custom"):
            fields.unknown("type", kind)
        made = {"type": kind, kind: {"name": self.name(fields.of(str, "namespace"), fields.text("name"))}}
        fields.close()
        return made


def _format(tool: Fields) -> dict[str, Any]:
    """The format of a custom tool's input; a grammar stands one level deeper in chat completions."""
    form = tool.object("format")
    if form is None:
        return {}
    kind = form.text("type")
    inside = dict(form.copied("syntax", "definition"))
    form.close()
    return {"format": {"type": kind, **({kind: inside} if inside else {})}}


def _messages(top: Fields, tools: _Tools) -> list[dict[str, Any]]:
    turns = Turns()
    if instructions := top.of(str, "instructions"):
        turns.add("system", [text_part(instructions)])
    given = top.any("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list) or not items:
        raise RefusedError(400, f"input must be a text or a list of at least one item, got {short(items)}")
    for number, one in enumerate(items):
        item = top.within(f"input[{number}]", one)
        _add_item(turns, item, tools)
        item.close()
    return turns.messages()


def _add_item(turns: Turns, item: Fields, tools: _Tools) -> None:
    kind = item.of(str, "type") or "message"
    item.pass_over("id", "status")
    if kind == "message":
        _add_message(turns, item)
    elif kind == "reasoning":
        _add_thoughts(turns, item)
    elif kind in ("function_call", "custom_tool_call"):
        item.expect("caller", {"type": "direct"}, remedy="no server runs tools here")
        item.expect("async", False, remedy="calls are answered in the next request")
        sort, said = ("function", "arguments") if kind == "function_call" else ("custom", "input")
        named = {"name": tools.name(item.of(str, "namespace"), item.text("name")), said: item.text(said)}
        turns.call({"id": item.text("call_id"), "type": sort, sort: named})
    elif kind in ("function_call_output", "custom_tool_call_output"):
        item.expect("caller", {"type": "direct"}, remedy="no server runs tools here")
        item.pass_over("name", "namespace")  # those of its call
        turns.result(item.text("call_id"), [_part(part) for part in item.parts("output", "input_text")])
    else:
        item.unknown("type", kind)


def _add_message(turns: Turns, item: Fields) -> None:
    role = item.text("role")
    if role not in ("user", "assistant", "system", "developer"):
        item.unknown("role", role)
    item.leave_out("phase")
    if role == "assistant":
        _add_said(turns, item)
        return
    parts = [_part(part) for part in item.parts("content", "input_text")]
    turns.add("user" if role == "user" else "system", parts)  # few servers know a developer


def _add_said(turns: Turns, item: Fields) -> None:
    """What a model said before; a refusal has a field of its own."""
    parts, refused = [], []
    for part in item.parts("content", "output_text"):
        kind = part.text("type")
        part.pass_over("annotations", "logprobs")  # about the text, not of it
        if kind == "refusal":
            refused.append(part.text("refusal"))
        elif kind in ("output_text", "input_text"):
            parts.append(text_part(part.text("text")))
        else:
            part.unknown("type", kind)
        part.close()
    turns.say(parts, **({"refusal": "\n\n".join(refused)} if refused else {}))


def _add_thoughts(turns: Turns, item: Fields) -> None:
    if (hidden := item.any("encrypted_content")) is not None:
        said = f"{item.place('encrypted_content')} is for another server's eyes, got {len(str(hidden))} characters"
        raise RefusedError(400, f"{said}; leave that item out")
    thoughts = []
    for name in ("content", "summary"):
        texts = []
        for part in item.each(name):
            part.pass_over("type")
            texts.append(part.text("text"))
            part.close()
        thoughts.append("\n\n".join(texts))
    turns.think(thoughts[0] or thoughts[1])


def _part(part: Fields) -> Part:
    """A part of what a user says, or of what a tool gave."""
    kind = part.text("type")
    part.leave_out("prompt_cache_breakpoint")
    made: Part
    if kind in ("input_text", "output_text", "text"):
        made = text_part(part.text("text"))
    elif kind == "input_image":
        made = {"type": "image_url", "image_url": {"url": part.text("image_url"), **dict(part.copied("detail"))}}
    elif kind == "input_file":
        made = {"type": "file", "file": {"filename": part.text("filename"), "file_data": part.text("file_data")}}
    else:
        part.unknown("type", kind)
    part.close()
    return made


def _reasoning(top: Fields) -> dict[str, Any]:
    reasoning = top.object("reasoning")
    if reasoning is None:
        return {}
    effort = reasoning.of(str, "effort")
    reasoning.leave_out("summary", "generate_summary")
    reasoning.expect("context", "auto", remedy="a provider reads the thoughts that it is sent")
    reasoning.expect("mode", "standard", remedy="modes are OpenAI's own")
    reasoning.close()
    return {} if effort is None else {"reasoning_effort": effort}


def _text(top: Fields) -> dict[str, Any]:
    text = top.object("text")
    if text is None:
        return {}
    chat = dict(text.copied("verbosity"))
    if (form := text.object("format")) is not None:
        kind = form.text("type")
        if kind == "json_schema":
            inside = {"name": form.text("name"), **dict(form.copied("schema", "strict", "description"))}
            chat["response_format"] = {"type": kind, kind: inside}
        elif kind == "json_object":
            chat["response_format"] = {"type": kind}
        elif kind != "text":
            form.unknown("type", kind)
        form.close()
    text.close()
    return chat


def _odds(top: Fields) -> dict[str, Any]:
    """Whether log probabilities are wanted, and how many."""
    wanted = False
    for one in top.of(list, "include") or ():
        if one == "message.output_text.logprobs":
            wanted = True
        elif one != "reasoning.encrypted_content":  # no thought is encrypted here
            top.unknown("include", str(one))
    most = top.of(int, "top_logprobs")
    chat: dict[str, Any] = {"logprobs": True} if wanted or most else {}
    return chat | ({"top_logprobs": most} if most else {})


# --- a reply ---------------------------------------------------------------------------------------------------------


def error(status: int, body: bytes) -> bytes:
    """The body as it is: both dialects of OpenAI have one form of errors."""
    return body


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


class _Reply:
    """A reply as a response. Calls stay open until it ends, as they may come interleaved."""

    def __init__(self, id: str, said: bytes, names: Mapping[str, tuple[str, str]]) -> None:
        self._id = id
        self._said = said
        self._names = names
        self._at = int(time.time())
        self._read = ChatReader()
        self._items: list[_Item] = []
        self._number = 0
        self._begun = False

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
