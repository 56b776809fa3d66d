"""OpenAI's Responses. Source: platform.openai.com (Responses, streaming), and the types of its package `openai`.

Nothing is kept here: a client sends its whole input each time, as agents do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from llmrouterbench.serve.chat_body import PRICED, all_said_once, as_json, chat_body, named_model, parse_object
from llmrouterbench.serve.dialects._fields import Fields
from llmrouterbench.serve.dialects._response import AsItIs, InForm
from llmrouterbench.serve.dialects._turns import Part, Turns, text_part
from llmrouterbench.serve.dialects.dialect import Asked, Native
from llmrouterbench.serve.refusals import RefusedError, short

PATH = "/v1/responses"
_WHOLE = "nothing is kept here: send the whole input, with store: false"
_ECHOED = (
    "instructions", "max_output_tokens", "max_tool_calls", "metadata", "prompt_cache_key", "reasoning",
    "safety_identifier", "temperature", "text", "top_logprobs", "top_p", "user",
)  # fmt: skip
"""Fields of a request that its response repeats."""
_SAME = (
    "temperature", "top_p", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
)  # fmt: skip
"""Fields that chat completions have too."""
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
    top.leave_out("client_metadata", "metadata", "stream_options", "prompt_cache_options", *PRICED)
    top.pass_over("max_tool_calls")  # of tools that a server runs, of which there are none
    top.close()
    body = replace(chat_body(as_json(chat), chat), most_tokens=most, stream=bool(stream))
    said = {name: data[name] for name in _ECHOED if data.get(name) is not None} | tools.echoed(data)
    repeated = as_json(said)
    native = Native(
        "responses", all_said_once(raw, data), "max_output_tokens", tuple(name for name in PRICED if name in data),
        partial(AsItIs, said=repeated),
        says={} if data.get("store") is False else {"store": False},
    )  # fmt: skip
    reply = partial(InForm, said=repeated, names=tools.names)
    return Asked(body, reply, left_out=tuple(sorted(left_out)), native=native)


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
    item.leave_out("encrypted_content")  # for the eyes of the server that made it
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


def error(status: int, body: bytes) -> bytes:
    """The body as it is: both dialects of OpenAI have one form of errors."""
    return body
