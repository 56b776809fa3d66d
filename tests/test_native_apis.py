"""Providers that speak Messages or Responses natively serve every client, over real HTTP, as if they spoke chat."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways import PRICE, config_of, running, wait_for
from llmrouterbench.calling.apis import APIS, Api, asked, messages, responses
from llmrouterbench.calling.calls import CallError, Endpoint, Request
from llmrouterbench.calling.client import Client
from llmrouterbench.calling.wire import StreamedReply, judge_completion
from llmrouterbench.serve.config import parse_serve_config
from natives import CALLS, Native
from upstream import Upstream

slow = pytest.mark.slow
NAMES = tuple(APIS)
TURNS: Any = [{"role": "user", "content": "What is 6 times 7?"}]
TOOLS: Any = [
    {"type": "function", "function": {"name": call["name"], "parameters": {"type": "object", "properties": {}}}}
    for call in CALLS
]
PLACE = Endpoint("e", "http://127.0.0.1:9/v1")


def config(native: Native, api: str, **more: Any) -> dict[str, Any]:
    own = {name: {"max_output": 5000} for name in ("gpt-5", "glm-4.6", "gemini-2.5-flash")}
    return config_of({"one": native.url}, provider={"api": api}, **own, **more)


# --- through the server ----------------------------------------------------------------------------------------------


@slow
@pytest.mark.parametrize("api", NAMES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_client_is_served_by_any_api(api: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATIVE_KEY", "sk-native-0123456789")
    with Native(thoughts="I think so.", calls=CALLS) as native:
        made = config(native, api)
        made["providers"]["one"]["key_env"] = "NATIVE_KEY"
        with running(made) as server:
            reply = server.ask(tools=TOOLS, stream=stream, stream_options={"include_usage": True} if stream else None)
            assert reply.status_code == 200, reply.text
            message, finish, usage = read(reply.text, stream)
            assert message["content"] == native.text
            assert message["reasoning_content"] == native.thoughts
            called = [
                (one["id"], one["function"]["name"], one["function"]["arguments"]) for one in message["tool_calls"]
            ]
            assert called == [("c1", "weather", '{"city": "Bern"}'), ("c2", "clock", "{}")] or called == [
                ("c1", "weather", '{"city":"Bern"}'), ("c2", "clock", "{}")
            ]  # fmt: skip
            assert finish == "tool_calls"
            assert (usage["prompt_tokens"], usage["completion_tokens"]) == (1000, 100)
            assert usage["prompt_tokens_details"]["cached_tokens"] == 200
            wait_for(lambda: bool(server.lines()))
            line = server.lines()[-1]
            assert (line["status"], line["cost_from"], line["tokens_in"]) == ("ok", "usage", 1000)
            assert line["cost"] == pytest.approx((1000 * PRICE["input"] + 100 * PRICE["output"]) / 1e6)
        assert native.wrong == []
        key = native.headers[-1].get("x-api-key" if api == "messages" else "authorization", "")
        assert key.removeprefix("Bearer ") == "sk-native-0123456789"
        assert ("authorization" in native.headers[-1]) == (api != "messages")


def read(text: str, stream: bool) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Message, finish_reason and usage of a completion, put together as clients do."""
    if not stream:
        whole = json.loads(text)
        return whole["choices"][0]["message"], whole["choices"][0]["finish_reason"], whole["usage"]
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": []}
    finish = ""
    usage: dict[str, Any] = {}
    *lines, done = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    assert done == "[DONE]"
    for chunk in map(json.loads, lines):
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            finish = choice["finish_reason"] or finish
            for name in ("content", "reasoning_content"):
                message[name] += choice["delta"].get(name) or ""
            for call in choice["delta"].get("tool_calls") or ():
                if call["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append(call)
                else:
                    message["tool_calls"][call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    return message, finish, usage


@slow
@pytest.mark.parametrize("api", NAMES)
def test_agents_of_each_family_go_on_through_any_api(api: str) -> None:
    """Calls, their results, and an answer: the second request holds what the first one brought."""
    with Native(calls=CALLS) as native, running(config(native, api)) as server:
        with anthropic.Anthropic(base_url=server.root, api_key="none", max_retries=0) as client:
            more: Any = {"model": "auto", "max_tokens": 900, "system": "Be brief."}
            more["tools"] = [{"name": call["name"], "input_schema": {"type": "object"}} for call in CALLS]
            first = client.messages.create(messages=TURNS, **more)
            assert (first.stop_reason, [one.type for one in first.content]) == (
                "tool_use",
                ["text", "tool_use", "tool_use"],
            )
            results = [{"type": "tool_result", "tool_use_id": one["id"], "content": "21 degrees"} for one in CALLS]
            answered: Any = [
                *TURNS,
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": results},
            ]
            native.calls = []
            with client.messages.stream(messages=answered, **more) as events:
                assert events.get_final_text() == native.text
        openai_client = server.client()
        again = openai_client.responses.create(model="auto", input="Hi", instructions="Be brief.", store=False)
        assert again.output_text == native.text
        assert native.wrong == []
        sent = native.bodies[1]
        assert (sent["max_tokens" if api == "messages" else "max_output_tokens"]) == 900
        if api == "messages":
            assert sent["system"] == "Be brief."  # as it came: the client speaks what the provider speaks
            assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
            assert [block["type"] for block in sent["messages"][2]["content"]] == ["tool_result", "tool_result"]
            assert native.bodies[2]["max_tokens"] == 5000  # the model's own: Messages have no other end
        else:
            kinds = [item.get("type", item.get("role")) for item in sent["input"]]
            assert kinds == ["system", "user", "assistant", *["function_call"] * 2, *["function_call_output"] * 2]
            assert sent["store"] is False


@slow
@pytest.mark.parametrize("api", NAMES)
@pytest.mark.parametrize("stream", [False, True])
def test_where_such_a_provider_fails_another_one_serves(api: str, stream: bool) -> None:
    with Native(fault=lambda body: "529") as native, Upstream() as other:
        made = config(native, api, fallback={"attempts": 5})
        made["providers"]["two"] = {"url": other.url}
        for model in made["models"]:
            model["also"] = [{"provider": "two"}]
        with running(made) as server:
            reply = server.ask(stream=stream)
            assert (reply.status_code, reply.headers["x-router-provider"]) == (200, "two")
            reply = server.ask(stream=stream, audio={"voice": "x"})
            assert (reply.status_code, reply.headers["x-router-provider"]) == (200, "two")
            other.fault = lambda body: "503"
            reply = server.ask(stream=stream, model="gpt-5", audio={"voice": "x"})
            assert "audio has no form in" in reply.json()["error"]["message"]


@slow
@pytest.mark.parametrize("api", NAMES)
@pytest.mark.parametrize("fault", ["cut", "error-event"])
def test_a_stream_of_such_a_provider_that_breaks_is_no_whole_reply(api: str, fault: str) -> None:
    with Native(fault=lambda body: fault) as native, running(config(native, api)) as server:
        reply = server.ask(stream=True)
        assert "data: [DONE]" not in reply.text
        assert json.loads(reply.text.strip().rpartition("data: ")[2])["error"]["message"]
        wait_for(lambda: bool(server.lines()))
        line = server.lines()[-1]
        assert (line["status"], line["cost_from"]) == ("broken", "counted")
        assert line["cost"] > 0


@slow
@pytest.mark.parametrize("api", NAMES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_collection_asks_such_a_provider_too(api: str, stream: bool) -> None:
    async def ask(native: Native) -> Any:
        place: Any = {"key": "sk-native-0123456789", "api": api}
        async with Client() as client:
            request = Request("e", "m", tuple(TURNS), max_tokens=50, top_p=None, stream=stream)
            return await client.complete(Endpoint("e", native.url, **place), request)

    with Native() as native:
        answer = asyncio.run(ask(native))
        assert (answer.text, answer.model, answer.finish_reason) == (native.text, "m", "stop")
        assert (answer.tokens_in, answer.tokens_out, answer.tokens_cached) == (1000, 100, 200)
        native.fault = lambda body: "529"
        with pytest.raises(CallError, match="Overloaded") as failed:
            asyncio.run(ask(native))
        assert (failed.value.kind, failed.value.retryable) == ("server", True)
        assert native.wrong == []


# --- the translation itself ------------------------------------------------------------------------------------------

IMAGE = "data:image/png;base64,AAAA"
WHOLE: dict[str, Any] = {
    "model": "m", "max_completion_tokens": 70, "temperature": 0.5, "stream": True, "n": 1, "presence_penalty": 0,
    "stream_options": {"include_usage": True}, "reasoning_effort": "low", "parallel_tool_calls": False,
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}}, "user": "u",
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    "messages": [
        {"role": "system", "content": "S"}, {"role": "developer", "content": [{"type": "text", "text": "D"}]},
        {"role": "user", "content": [
            {"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": IMAGE}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}},
        ]},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "user", "content": "and?"},
    ],
}  # fmt: skip


def translated(api: Api, chat: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(asked(api, json.dumps(chat).encode()))
    return made


def test_a_whole_chat_request_as_a_message() -> None:
    made = translated(messages, WHOLE)
    assert made.pop("messages") == [
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}},
        ]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "42"}]},
            {"type": "text", "text": "and?"},
        ]},
    ]  # fmt: skip
    assert made == {
        "model": "m", "max_tokens": 70, "temperature": 0.5, "stream": True, "metadata": {"user_id": "u"},
        "system": [{"type": "text", "text": "S"}, {"type": "text", "text": "D"}],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    }  # fmt: skip


def test_a_whole_chat_request_as_a_response() -> None:
    made = translated(responses, WHOLE)
    assert made.pop("input") == [
        {"role": "system", "content": [{"type": "input_text", "text": "S"}]},
        {"role": "developer", "content": [{"type": "input_text", "text": "D"}]},
        {"role": "user", "content": [
            {"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": IMAGE, "detail": "auto"},
            {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"},
        ]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
        {"role": "user", "content": [{"type": "input_text", "text": "and?"}]},
    ]  # fmt: skip
    tool = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}
    assert made == {
        "model": "m", "max_output_tokens": 70, "temperature": 0.5, "stream": True, "user": "u", "store": False,
        "reasoning": {"effort": "low"}, "parallel_tool_calls": False, "tools": [tool],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}},
    }  # fmt: skip


@pytest.mark.parametrize("api", NAMES)
@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"n": 2}, "n has no form"),
        ({"logprobs": True}, "logprobs has no form"),
        ({"seed": 1}, "seed has no form"),
        ({"what_is_new": 1}, "what_is_new has no form"),
        ({"messages": [{"role": "critic", "content": "x"}]}, "a message of role critic has no form"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "content of type input_audio"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "a tool of type custom has no form"),
        ({"tool_choice": {"type": "allowed_tools"}}, "this tool_choice has no form"),
    ],
)
def test_what_has_no_form_there_is_refused_by_its_name(api: str, more: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        translated(APIS[api], {**WHOLE, **more})


def test_messages_need_an_end_and_arguments_that_are_an_object() -> None:
    with pytest.raises(ValueError, match="max_tokens must be set"):
        translated(messages, {"model": "m", "messages": TURNS})
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "[1]"}}
    with pytest.raises(ValueError, match="arguments of a call of 'f' must be an object"):
        translated(messages, {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "tool_calls": [call]}]})


@pytest.mark.parametrize(
    ("api", "stop", "finish"),
    [
        ("messages", "max_tokens", "length"),
        ("messages", "refusal", "content_filter"),
        ("messages", "stop_sequence", "stop"),
        ("responses", "max_output_tokens", "length"),
        ("responses", "content_filter", "content_filter"),
    ],
)
def test_why_a_reply_ended_is_told(api: str, stop: str, finish: str) -> None:
    for raw, whole in wire(api, Native(stop=stop)):
        if whole:
            completion = json.loads(APIS[api].completion_of(raw))
            assert completion["choices"][0]["finish_reason"] == finish
            assert judge_completion(PLACE, completion)[0].tokens_in == 1000
        else:
            assert streamed(APIS[api], [raw]).finish == finish


def wire(api: str, native: Native) -> list[tuple[bytes, bool]]:
    """What a server sends: whole, and as events."""
    import natives

    make, events = natives.MADE[api]
    body = {"model": "m"}
    lines = (f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events(native, body))
    return [(json.dumps(make(native, body)).encode(), True), ("".join(lines).encode(), False)]


def streamed(api: Api, pieces: list[bytes]) -> StreamedReply:
    reply, events = StreamedReply(PLACE), api.Events()
    for out in (*map(events.feed, pieces), events.close()):
        for line in out.split(b"\n\n"):
            if line.startswith(b"data: "):
                reply.read(line.removeprefix(b"data: "))
    return reply


@pytest.mark.parametrize("api", NAMES)
@given(st.data())
def test_however_a_stream_is_cut_into_pieces_it_says_the_same(api: str, data: st.DataObject) -> None:
    ((_, _), (raw, _)) = wire(api, Native(text="Grüße, 世界 \U0001f600", thoughts="hm", calls=CALLS))
    cuts = sorted({0, len(raw), *data.draw(st.lists(st.integers(0, len(raw)), max_size=9))})
    reply = streamed(APIS[api], [raw[a:b] for a, b in pairwise(cuts)])
    assert "".join(reply.text) == "Grüße, 世界 \U0001f600"
    assert (reply.finish, reply.done, reply.usage.tokens_out) == ("tool_calls", True, 100)
    events = APIS[api].Events()
    came = [(events.feed(raw[a:b]), events.came())[1] for a, b in pairwise(cuts)]
    assert b"".join(came) == raw
    assert all(one.endswith(b"\n\n") or not one for one in came)  # whole events only


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "content", "delta", "index", "usage", "output", "text", "message", "response"]),
        inside | st.sampled_from(["message", "text", "tool_use", "function_call", "content_block_start",
                                  "content_block_delta", "message_delta", "message_start", "response.completed",
                                  "response.output_item.added", "input_json_delta", "text_delta"]),
        max_size=5),
    max_leaves=12,
)  # fmt: skip


@slow
@pytest.mark.parametrize("api", NAMES)
def test_whatever_such_a_server_sends_is_a_reply_or_a_failure_of_it(api: str) -> None:
    """Broken values in the place of each part of a reply, whole and streamed, over real HTTP."""
    broken = [None, 5, "x", [], {}, [5], {"type": 5}, [{"type": "text", "text": {}}]]
    with Native(thoughts="hm", calls=CALLS) as native, running(config(native, api, fallback={"attempts": 1})) as server:
        for value in broken:
            for name in native.parts:
                native.swap = name, value
                for stream in (False, True):
                    reply = server.ask(stream=stream)
                    assert reply.status_code in (200, 502), (name, value, reply.text)
        assert all("Traceback" not in str(line) for line in server.lines())


@pytest.mark.parametrize("api", NAMES)
@given(json_values)
def test_whatever_a_client_asks_is_translated_or_refused(api: str, value: Any) -> None:
    for chat in ({**WHOLE, "messages": value}, {**WHOLE, "tools": value}, {**WHOLE, "response_format": value}):
        with suppress(ValueError):
            translated(APIS[api], chat)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"models": [{"name": "m", "provider": "a"}]}, "needs max_output"),
        (
            {"embeddings": [{"name": "e", "provider": "a", "max_output": 1}]},
            "embedding model 'e' must be at a provider",
        ),
    ],
)
def test_a_config_that_could_not_work_is_refused(change: dict[str, Any], said: str) -> None:
    raw = {
        "providers": {"a": {"url": "http://127.0.0.1:9/v1", "api": "messages"}},
        "models": [{"name": "m", "provider": "a", "max_output": 5}],
        **change,
    }
    with pytest.raises(ValueError, match=said):
        parse_serve_config(raw)
