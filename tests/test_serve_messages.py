"""Anthropic's own client against a real server whose provider speaks chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import orjson
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateways import MODELS, Running, config_of, running
from llmrouterbench.calling.calls import Usage
from llmrouterbench.serve.dialects import messages
from llmrouterbench.serve.refusals import RefusedError
from upstream import Upstream, deltas

pytestmark = pytest.mark.slow
READ = {"name": "read", "description": "A file.", "input_schema": {"type": "object", "properties": {"path": {}}}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
QUESTION = [{"role": "user", "content": "What is 6 times 7?"}]
SAID: dict[str, Any] = {
    "role": "assistant",
    "reasoning_content": "Two files will do.",
    "content": "I read both of them now.",
    "tool_calls": [
        {"id": f"call_{name}", "type": "function", "function": {"name": "read", "arguments": f'{{"path": "{name}"}}'}}
        for name in ("a", "b")
    ],
}
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(says=lambda body: SAID if body.get("tools") else None) as up:
        yield up


@pytest.fixture(scope="module")
def server(upstream: Upstream) -> Iterator[Running]:
    with running(config_of({"only": upstream.url})) as here:
        yield here


@pytest.fixture(scope="module")
def claude(server: Running) -> Iterator[Any]:
    """Anthropic's own client; its types know less than servers take."""
    with anthropic.Anthropic(base_url=server.root, api_key="none", max_retries=0) as here:
        yield here


def body(**more: Any) -> dict[str, Any]:
    return {"model": "auto", "max_tokens": 900, "messages": QUESTION, **more}


def chat(**more: Any) -> dict[str, Any]:
    """What a provider would be sent."""
    sent: dict[str, Any] = json.loads(messages.read(json.dumps(body(**more)).encode()).body.raw)
    return sent


def test_a_message_is_routed_and_billed_as_a_chat(claude: Any, upstream: Upstream) -> None:
    raw = claude.messages.with_raw_response.create(**body(system="Be brief."))
    message = raw.parse()
    assert (message.content[0].text, message.stop_reason) == (upstream.reply, "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (1000, 100)
    assert message.id == f"msg_{raw.headers['x-router-decision']}"
    assert raw.headers["x-router-model"] == message.model == upstream.sent()["model"]
    assert upstream.sent() == {
        "max_tokens": 900,
        "model": message.model,
        "messages": [{"role": "system", "content": "Be brief."}, *QUESTION],
    }
    assert claude.messages.create(**body(model=MODELS[1])).model == MODELS[1]


def test_thoughts_and_calls_come_as_blocks(claude: Any) -> None:
    message = claude.messages.create(**body(tools=[READ], thinking={"type": "adaptive"}))
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert (message.content[0].thinking, message.content[1].text) == (SAID["reasoning_content"], SAID["content"])
    assert [(block.id, block.input) for block in message.content[2:]] == [
        ("call_a", {"path": "a"}), ("call_b", {"path": "b"}),
    ]  # fmt: skip
    assert message.stop_reason == "tool_use"
    unasked = claude.messages.create(**body(tools=[READ]))
    assert [block.type for block in unasked.content] == ["text", "tool_use", "tool_use"]


def test_a_stream_is_the_same_message_block_by_block(claude: Any, server: Running, upstream: Upstream) -> None:
    asked = body(tools=[READ], thinking={"type": "enabled", "budget_tokens": 1024})
    with claude.messages.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_message()
        assert stream.response.headers["x-router-left-out"] == "budget_tokens"
    whole = claude.messages.create(**asked)
    assert [block.to_dict() for block in streamed.content] == [block.to_dict() for block in whole.content]
    assert (streamed.usage, streamed.stop_reason) == (whole.usage, "tool_use")
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert server.lines()[-2]["tokens_out"] == 100
    assert upstream.sent(-2)["stream_options"] == {"include_usage": True}


def test_every_event_is_one_of_the_api(server: Running) -> None:
    raw = server.http.post(
        f"{server.url}/messages", json=body(tools=[READ], stream=True, thinking={"type": "adaptive"})
    )
    events = parsed(raw.content)
    assert [name for name, _ in events] == [data["type"] for _, data in events]
    for name, data in events:
        if name != "ping":
            EVENTS.validate_python(data)
    blocks = [data["index"] for name, data in events if name == "content_block_start"]
    assert blocks == [data["index"] for name, data in events if name == "content_block_stop"] == [0, 1, 2, 3]


def parsed(raw: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of each event; comments are none."""
    events = []
    for event in raw.decode().replace(":\n\n", "").strip().split("\n\n"):
        name, _, data = event.partition("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


def test_the_turns_of_an_agent_become_those_of_a_chat() -> None:
    call = {"type": "tool_use", "id": "1", "name": "read", "input": {"path": "é"}}
    sent = chat(
        system=[{"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "B"}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Look"}, IMAGE]},
            {"role": "system", "content": "Now."},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "I look"}, call,
                {**call, "id": "2"},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "no such file", "is_error": True},
                {"type": "tool_result", "tool_use_id": "2", "content": [IMAGE]},
                {"type": "text", "text": "Well?"},
            ]},
        ],
    )  # fmt: skip
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    calls = [
        {"id": id, "type": "function", "function": {"name": "read", "arguments": '{"path": "é"}'}} for id in ("1", "2")
    ]
    assert sent["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image]},
        {"role": "system", "content": "Now."},
        {"role": "assistant", "content": "I look", "reasoning_content": "Hm.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "1", "content": "no such file"},
        {"role": "tool", "tool_call_id": "2", "content": "The attachment follows."},
        {"role": "user", "content": [image, {"type": "text", "text": "Well?"}]},
    ]


def test_settings_become_those_of_a_chat() -> None:
    schema = {"type": "object", "properties": {}}
    sent = chat(
        tools=[{**READ, "strict": True, "type": "custom", "cache_control": {"type": "ephemeral"}}],
        tool_choice={"type": "tool", "name": "read", "disable_parallel_tool_use": True},
        stop_sequences=["END"], temperature=0.5, top_p=0.9, top_k=5, metadata={"user_id": "u"},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": schema}},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    )  # fmt: skip
    function = {"name": "read", "description": "A file.", "strict": True, "parameters": READ["input_schema"]}
    reply = {"name": "reply", "strict": True, "schema": schema}
    assert sent == {
        "model": "auto", "messages": QUESTION, "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "read"}}, "parallel_tool_calls": False,
        "stop": ["END"], "temperature": 0.5, "top_p": 0.9, "top_k": 5, "reasoning_effort": "high",
        "response_format": {"type": "json_schema", "json_schema": reply},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"max_tokens": None}, "max_tokens must be a whole number above 0"),
        ({"messages": []}, "at least one message"),
        ({"messages": [*QUESTION, {"role": "assistant", "content": "It is"}]}, "must not end with the assistant's"),
        ({"container": "c"}, "container has no form in chat completions"),
        ({"mood": 1}, "mood has no form"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, r"tools\[0\].type 'web_search_20250305'"),
        ({"tool_choice": {"type": "any"}}, "tool_choice must be of type auto or none"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, r"edits\[0\].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "search_result"}]}]},
            r"content\[0\].type 'search_result'",
        ),
        ({"messages": [{"role": "user", "content": [{**IMAGE, "source": {"type": "file"}}]}]}, "source.type 'file'"),
        ({"messages": [{"role": "user", "content": [{"type": "redacted_thinking"}]}]}, "'redacted_thinking' has no"),
        ({"speed": "fast"}, 'speed must be "standard" or absent'),
        ({"system": 5}, "system must be a list, got 5"),
    ],
)
def test_what_has_no_translation_is_refused_by_its_name(claude: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        messages.read(json.dumps(body(**more)).encode())
    if more.get("max_tokens", 1) is not None:
        with pytest.raises(anthropic.BadRequestError, match=said) as refused:
            claude.messages.create(**body(extra_body=more))
        told: Any = refused.value.body
        assert told["error"]["type"] == "invalid_request_error"


def test_tokens_are_counted_and_nobody_is_asked(claude: Any, upstream: Upstream) -> None:
    before = len(upstream.bodies)
    few = claude.messages.count_tokens(model="auto", messages=QUESTION).input_tokens
    many = claude.messages.count_tokens(model="auto", messages=QUESTION, tools=[READ]).input_tokens
    assert 5 < few < many
    assert len(upstream.bodies) == before


THOUGHTS_FIRST = ("reasoning_content", "content", "tool_calls")
TEXTS = st.text(max_size=30)
SAYINGS = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_content": TEXTS,
        "content": TEXTS,
        "tool_calls": st.lists(
            st.builds(
                lambda id, name, value: {
                    "id": id, "type": "function", "function": {"name": name, "arguments": json.dumps({"v": value})},
                },
                st.uuids().map(str), st.text(min_size=1, max_size=5), TEXTS,
            ),
            max_size=3,
        ),
    },
)  # fmt: skip


@given(SAYINGS, st.randoms(use_true_random=False))
def test_a_stream_says_what_the_whole_reply_says(said: dict[str, Any], dice: Any) -> None:
    """In whatever order the pieces of parallel calls come."""
    asked = messages.read(json.dumps(body(thinking={"type": "adaptive"})).encode())
    end = "tool_calls" if said.get("tool_calls") else "stop"
    choice = {"index": 0, "message": said, "finish_reason": end}
    used = Usage(7, 5)
    whole = json.loads(asked.reply("d").whole(orjson.dumps({"model": "m", "choices": [choice]}), used))
    Message.model_validate(whole)
    in_order: dict[str, Any] = {name: said[name] for name in THOUGHTS_FIRST if name in said}
    reply, pieces = asked.reply("d"), list(deltas(in_order))
    calls = [piece for piece in pieces if "tool_calls" in piece]
    begins = [at for at, one in enumerate(calls) if "id" in one["tool_calls"][0]]
    order = begins + sorted(set(range(len(calls))) - set(begins), key=lambda at: dice.random())
    rest = {at: iter([one for one in calls if one["tool_calls"][0]["index"] == at]) for at in range(3)}
    mixed = [next(rest[calls[at]["tool_calls"][0]["index"]]) for at in order]
    out = b""
    for piece in [*(one for one in pieces if "tool_calls" not in one), *mixed]:
        out += reply.events(chunk(delta=piece))
    out += reply.events(chunk(delta={}, finish_reason=end) + b"data: [DONE]\n\n") + reply.end(used)
    assert blocks_of(parsed(out)) == [{**one, "input": json.dumps(one["input"])} if "input" in one else one
                                      for one in whole["content"]]  # fmt: skip


def chunk(**choice: Any) -> bytes:
    return b"data: " + orjson.dumps({"model": "m", "choices": [{"index": 0, **choice}]}) + b"\n\n"


def blocks_of(events: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The blocks that a stream builds; one is open at a time."""
    blocks: list[dict[str, Any]] = []
    for name, data in events:
        if name == "content_block_start":
            assert data["index"] == len(blocks)
            blocks.append({**data["content_block"], **({"input": ""} if "input" in data["content_block"] else {})})
        if name == "content_block_delta":
            assert data["index"] == len(blocks) - 1
            field = {"input_json_delta": "input", "text_delta": "text", "thinking_delta": "thinking"}
            kind = data["delta"]["type"]
            blocks[-1][field[kind]] += data["delta"]["partial_json" if kind == "input_json_delta" else field[kind]]
    return blocks


def test_arguments_that_are_no_object_are_a_bad_reply() -> None:
    function: dict[str, Any] = {"name": "read", "arguments": "[1]"}
    said = {"tool_calls": [{"id": "1", "type": "function", "function": function}]}
    raw = orjson.dumps({"choices": [{"index": 0, "message": said}]})
    reply = messages.read(json.dumps(body()).encode()).reply
    with pytest.raises(ValueError, match="no JSON object"):
        reply("d").whole(raw, Usage())
    function["arguments"] = '{"path": "half a na'
    cut = orjson.dumps({"choices": [{"index": 0, "message": said, "finish_reason": "length"}]})
    message = json.loads(reply("d").whole(cut, Usage(3, 4)))
    assert (message["content"][0]["input"], message["stop_reason"]) == ({"path": "half a na"}, "max_tokens")


def test_a_stop_sequence_is_told_where_the_provider_tells_it() -> None:
    reply = messages.read(json.dumps(body(stop_sequences=["END"])).encode()).reply("d")
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop", "stop_reason": "END"}
    message = json.loads(reply.whole(orjson.dumps({"choices": [choice]}), Usage(3, 4)))
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")
