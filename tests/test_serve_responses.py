"""The Responses API with OpenAI's own client against a real server whose provider speaks chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import orjson
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from gateways import MODELS, Running, config_of, running
from llmrouterbench.calling.calls import Usage
from llmrouterbench.serve.dialects import responses
from llmrouterbench.serve.refusals import RefusedError
from test_serve_messages import SAID, parsed
from upstream import Upstream

pytestmark = pytest.mark.slow
READ = {"type": "function", "name": "read", "description": "A file.", "parameters": {"type": "object"}, "strict": False}
SPACE = {"type": "namespace", "name": "agents", "description": "Others.", "tools": [READ]}
PATCH = {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}}
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(says=lambda body: SAID if body.get("tools") else None) as up:
        yield up


@pytest.fixture(scope="module")
def server(upstream: Upstream) -> Iterator[Running]:
    with running(config_of({"only": upstream.url})) as here:
        yield here


def chat(**more: Any) -> dict[str, Any]:
    """What a provider would be sent."""
    sent: dict[str, Any] = json.loads(responses.read(orjson.dumps({"model": "auto", "input": "Hi", **more})).body.raw)
    return sent


def test_a_response_is_routed_and_billed_as_a_chat(server: Running, upstream: Upstream) -> None:
    raw = server.client().responses.with_raw_response.create(
        model="auto", input="What is 6 times 7?", instructions="Be brief.", max_output_tokens=900, metadata={"a": "b"}
    )
    response = raw.parse()
    assert (response.output_text, response.status) == (upstream.reply, "completed")
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (1000, 100, 1100)
    assert response.id == f"resp_{raw.headers['x-router-decision']}"
    assert (response.instructions, response.metadata) == ("Be brief.", {"a": "b"})
    assert raw.headers["x-router-left-out"] == "metadata"
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 6 times 7?"}]
    assert upstream.sent() == {"max_tokens": 900, "model": raw.headers["x-router-model"], "messages": messages}
    assert server.client().responses.create(model=MODELS[1], input="Hi").model == MODELS[1]


def test_thoughts_and_calls_come_as_items(server: Running) -> None:
    response = server.client().responses.create(model="auto", input="Hi", tools=[READ])
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]
    assert response.output[0].content[0].text == SAID["reasoning_content"]
    assert response.output_text == SAID["content"]
    assert [(item.call_id, json.loads(item.arguments)) for item in response.output[2:]] == [
        ("call_a", {"path": "a"}), ("call_b", {"path": "b"}),
    ]  # fmt: skip


def test_a_stream_is_the_same_response_item_by_item(server: Running) -> None:
    with server.client().responses.stream(model="auto", input="Hi", tools=[READ]) as stream:
        events = list(stream)
        streamed = stream.get_final_response()
    whole = server.client().responses.create(model="auto", input="Hi", tools=[READ])
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[1].type) == ("response.created", "response.in_progress")
    assert events[-1].type == "response.completed"
    assert [without_id(item) for item in streamed.output] == [without_id(item) for item in whole.output]
    assert (streamed.usage, server.lines()[-2]["tokens_out"]) == (whole.usage, 100)
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.id for item in done] == [item.id for item in streamed.output]


def without_id(item: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = item.model_dump(exclude={"id"}, exclude_none=True)
    return dumped


def test_every_event_is_one_of_the_api(server: Running) -> None:
    asked = {"model": "auto", "input": "Hi", "tools": [SPACE, READ, PATCH], "stream": True, "store": False}
    events = parsed(server.http.post(f"{server.url}/responses", json=asked).content)
    assert [name for name, _ in events] == [data["type"] for _, data in events]
    for _, data in events:
        EVENTS.validate_python(data)
    Response.model_validate(events[-1][1]["response"])


class Answer(BaseModel):
    answer: int


def test_a_parsed_answer_has_its_schema(server: Running, upstream: Upstream) -> None:
    response = server.client().responses.parse(model="auto", input="Hi", text_format=Answer)
    assert response.output_parsed == Answer(answer=42)
    wanted = upstream.sent()["response_format"]
    assert (wanted["type"], wanted["json_schema"]["name"]) == ("json_schema", "Answer")
    assert wanted["json_schema"]["strict"] is True


def test_log_probabilities_are_those_of_the_provider(server: Running) -> None:
    response = server.client().responses.create(model="auto", input="Hi", include=["message.output_text.logprobs"])
    assert response.output[0].content[0].logprobs[0].logprob == -0.5


def test_the_items_of_an_agent_become_the_turns_of_a_chat() -> None:
    call = {
        "type": "function_call",
        "call_id": "1",
        "name": "read",
        "arguments": "{}",
        "id": "fc_1",
        "status": "completed",
    }
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "high"}
    sent = chat(
        instructions="A",
        tools=[READ, SPACE],
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "B"}]},
            {"role": "user", "content": "Look"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "phase": "commentary",
             "content": [{"type": "output_text", "text": "I look", "annotations": [], "logprobs": []}]},
            call, {**call, "call_id": "2", "namespace": "agents"},
            {"type": "function_call_output", "call_id": "1", "output": "nothing"},
            {"type": "function_call_output", "call_id": "2", "output": [image]},
            {"type": "custom_tool_call", "call_id": "3", "name": "patch", "input": "a"},
            {"type": "custom_tool_call_output", "call_id": "3", "output": "ok"},
        ],
    )  # fmt: skip
    calls = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for id, name in (("1", "read"), ("2", "agents__read"))
    ]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}}
    patch = {"id": "3", "type": "custom", "custom": {"name": "patch", "input": "a"}}
    assert sent["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]},
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": "I look", "reasoning_content": "Hm.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "1", "content": "nothing"},
        {"role": "tool", "tool_call_id": "2", "content": "The attachment follows."},
        {"role": "user", "content": [picture]},
        {"role": "assistant", "content": None, "tool_calls": [patch]},
        {"role": "tool", "tool_call_id": "3", "content": "ok"},
    ]
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["read", "agents__read"]
    assert sent["tools"][1]["function"]["description"] == "Others.\n\nA file."


def test_settings_become_those_of_a_chat() -> None:
    chosen = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "custom", "name": "patch"}]}
    sent = chat(
        tools=[PATCH], tool_choice=chosen, parallel_tool_calls=False, reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low", "format": {"type": "json_object"}}, temperature=0.5, top_p=0.9, top_logprobs=3,
        prompt_cache_key="k", store=False, truncation="disabled", include=["reasoning.encrypted_content"],
        client_metadata={"a": "b"}, background=False, previous_response_id=None,
    )  # fmt: skip
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a/"}}
    allowed = {"mode": "auto", "tools": [{"type": "custom", "custom": {"name": "patch"}}]}
    assert sent == {
        "model": "auto", "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "custom", "custom": {"name": "patch", "format": grammar}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}, "parallel_tool_calls": False,
        "reasoning_effort": "low", "verbosity": "low", "response_format": {"type": "json_object"}, "logprobs": True,
        "top_logprobs": 3, "temperature": 0.5, "top_p": 0.9, "prompt_cache_key": "k",
    }  # fmt: skip


def test_a_call_goes_back_to_its_namespace_and_a_custom_one_as_custom() -> None:
    asked = responses.read(orjson.dumps({"model": "auto", "input": "Hi", "tools": [SPACE, PATCH]}))
    calls = [
        {"id": "1", "type": "function", "function": {"name": "agents__read", "arguments": "{}"}},
        {"id": "2", "type": "custom", "custom": {"name": "patch", "input": "aa"}},
    ]
    raw = orjson.dumps({"model": "m", "choices": [{"index": 0, "message": {"tool_calls": calls}}]})
    response = Response.model_validate_json(asked.reply("d").whole(raw, Usage(1, 2)))
    function, custom = response.output
    assert (function.type, custom.type) == ("function_call", "custom_tool_call")
    assert (getattr(function, "namespace", ""), getattr(function, "name", "")) == ("agents", "read")
    assert (getattr(custom, "name", ""), getattr(custom, "input", "")) == ("patch", "aa")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id must be absent, got 'resp_1'; nothing is kept here"),
        ({"conversation": "c"}, "conversation must be absent"),
        ({"store": True}, "store must be false or absent, got True"),
        ({"background": True}, "background must be false or absent"),
        ({"truncation": "auto"}, 'truncation must be "disabled" or absent'),
        ({"input": []}, "input must be a text or a list of at least one item"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, r"input\[0\].type 'item_reference' has no form"),
        ({"tools": [{"type": "web_search"}]}, r"tools\[0\].type 'web_search' is run by OpenAI"),
        ({"tools": [{"type": "file_search", "vector_store_ids": []}]}, "'file_search' has no form"),
        ({"tools": [READ, READ]}, "must be the name of one tool, got 'read' again"),
        ({"tool_choice": "required"}, "tool_choice must be auto or none where there are no tools"),
        ({"include": ["file_search_call.results"]}, "include 'file_search_call.results' has no form"),
        ({"prompt": {"id": "p"}}, "prompt must be absent"),
        ({"mood": 1}, "mood has no form in chat completions"),
        ({"max_output_tokens": 0}, "max_output_tokens must be above 0"),
    ],
)
def test_what_has_no_translation_is_refused_by_its_name(server: Running, more: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        chat(**more)
    with pytest.raises(openai.BadRequestError, match=said.replace("\\", "")[:20].split("[")[0]):
        server.client().responses.create(model="auto", input="Hi", extra_body=more)


def test_a_reply_that_was_cut_is_incomplete() -> None:
    reply = responses.read(orjson.dumps({"model": "auto", "input": "Hi"})).reply
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "length"}
    response = Response.model_validate_json(reply("d").whole(orjson.dumps({"choices": [choice]}), Usage(1, 2)))
    assert (response.status, response.output[0].status) == ("incomplete", "incomplete")  # type: ignore[union-attr]
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
