"""Clients of Messages or Responses before providers of the same: what is asked and what is said pass as they came."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import anthropic
import httpx2
import pytest

from gateways import PRICE, config_of, running, wait_for
from natives import CALLS, Native
from upstream import Upstream

pytestmark = pytest.mark.slow
MARK = {"type": "ephemeral"}
BODY = b"""{ "model" : "auto", "max_tokens":900, "temperature": 1e0,
 "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
 "thinking": {"type": "enabled", "budget_tokens": 2048}, "metadata": {"user_id": "u\\u00e9"},
 "messages": [{"role": "user", "content": "Hi"},
  {"role": "assistant", "content": [
   {"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "text", "text": "Yes?"}]},
  {"role": "user", "content": [
   {"type": "text", "text": "What is 6 times 7?", "cache_control": {"type": "ephemeral"}}]}]%b}"""
RESPONSE = b"""{ "model" : "auto", "max_output_tokens":900, "temperature": 1e0, "store" :false,
 "instructions": "Be brief.",
 "include": ["reasoning.encrypted_content"], "metadata": {"user_id": "u\\u00e9"}, "prompt_cache_key": "k",
 "input": [{"role": "user", "content": "Hi"},
  {"type": "reasoning", "id": "rs_0", "summary": [], "encrypted_content": "c2ln"},
  {"role": "assistant", "content": "Yes?"},
  {"role": "user", "content": [{"type": "input_text", "text": "What is 6 times 7?"}]}]%b}"""
BODIES = {"messages": BODY, "responses": RESPONSE}
LIMITS = {"messages": "max_tokens", "responses": "max_output_tokens"}
each = pytest.mark.parametrize("api", BODIES)


def config(native: Native, api: str = "messages", **more: Any) -> dict[str, Any]:
    own = {name: {"max_output": 5000} for name in ("gpt-5", "glm-4.6", "gemini-2.5-flash")}
    return config_of({"one": native.url}, provider={"api": api}, **own, **more)


def post(url: str, api: str, more: bytes = b"", model: str = "auto", /, **headers: str) -> httpx2.Response:
    body = BODIES[api].replace(b'"auto"', json.dumps(model).encode()) % more
    head = {"content-type": "application/json", **headers}
    return httpx2.post(f"{url}/{api}", content=body, headers=head, timeout=60)


@each
@pytest.mark.parametrize("more", [b"", b', "stream" : true'], ids=["whole", "stream"])
def test_every_byte_passes_but_the_model(api: str, more: bytes) -> None:
    with Native(thoughts="I think so.", calls=CALLS) as native, running(config(native, api)) as server:
        reply = post(server.url, api, more, **{"anthropic-beta": "context-1m", "x-own": "no"})
        assert (reply.status_code, reply.headers["x-router-provider"]) == (200, "one")
        assert "x-router-left-out" not in reply.headers
        model = reply.headers["x-router-model"]
        assert native.raw[0] == BODIES[api].replace(b'"auto"', json.dumps(model).encode()) % more
        assert ("anthropic-beta" in native.headers[0], "x-own" in native.headers[0]) == (api == "messages", False)
        assert reply.content == post(native.url, api, more, model).content
        assert native.wrong == []
        wait_for(lambda: bool(server.lines()))
        line = server.lines()[-1]
        assert (line["status"], line["cost_from"], line["tokens_in"], line["tokens_out"]) == ("ok", "usage", 1000, 100)
        assert line["cost"] == pytest.approx((1000 * PRICE["input"] + 100 * PRICE["output"]) / 1e6)


def test_encrypted_thoughts_go_back_to_the_provider_and_are_left_out_elsewhere() -> None:
    turns: Any = [{"role": "user", "content": "Hi"}]
    with Native(thoughts="hm") as native, Upstream() as chat:
        made = config_of({"native": native.url, "chat": chat.url})
        made["providers"]["native"]["api"] = "responses"
        made["models"][0]["provider"], made["models"][1]["provider"] = "native", "chat"
        with running(made) as server:
            client = server.client()
            first = client.responses.create(model="gpt-5", input=turns, store=False)
            turns += [
                *(item.model_dump(exclude_none=True) for item in first.output),
                {"role": "user", "content": "And?"},
            ]
            *_, last = client.responses.create(model="gpt-5", input=turns, stream=True)
            assert last.response.output_text == native.text
            assert native.bodies[1]["input"][1]["encrypted_content"] == "s"
            assert native.bodies[1]["store"] is False, "whatever is not said: nothing is kept"
            other = client.responses.with_raw_response.create(model="glm-4.6", input=turns)
            assert "encrypted_content" in other.headers["x-router-left-out"]
            assert b'"s"' not in chat.bodies[-1]
        assert native.wrong == []


@pytest.mark.parametrize("more", [b'"store": true, ', b'"previous_response_id": "resp_1", ', b'"background": true, '])
def test_what_is_read_is_what_is_sent(more: bytes) -> None:
    """A field that is said twice is sent once, as it was read; what needs a store is refused."""
    with Native() as native, running(config(native, "responses")) as server:
        name = more.split(b'"')[1]
        body = b"{" + more + (RESPONSE % b"").lstrip()[1:]
        assert server.http.post(f"{server.url}/responses", content=body).status_code == (
            200 if name == b"store" else 400
        )
        twice = b"{" + more + (RESPONSE % (b', "' + name + b'": null')).lstrip()[1:]
        assert server.http.post(f"{server.url}/responses", content=twice).status_code == 200
        assert all(raw.count(b'"' + name + b'"') <= 1 for raw in native.raw)
        assert not any(body.get(name.decode()) for body in native.bodies)


def test_signatures_and_marks_of_the_cache_reach_the_provider_from_its_own_client() -> None:
    with Native(thoughts="hm", calls=CALLS) as native, running(config(native)) as server:
        with anthropic.Anthropic(base_url=server.root, api_key="none", max_retries=0) as client:
            asked: Any = {
                "model": "auto",
                "max_tokens": 900,
                "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
            }
            turns: Any = [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": MARK}]}]
            with client.messages.stream(messages=turns, **asked) as events:
                first = events.get_final_message()
            assert [one.signature for one in first.content if one.type == "thinking"] == ["s"]
            results = [{"type": "tool_result", "tool_use_id": one["id"], "content": "21"} for one in CALLS]
            turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
            client.messages.create(messages=turns, **asked)
        assert native.bodies[1]["messages"][0]["content"][0]["cache_control"] == MARK
        assert native.bodies[1]["messages"][1]["content"][0]["signature"] == "s"
        assert native.wrong == []


@each
def test_what_changes_the_price_is_taken_out_and_said(api: str) -> None:
    limit = LIMITS[api]
    with Native() as native, running(config(native, api)) as server:
        reply = post(server.url, api, b', "service_tier": "auto"')
        assert reply.headers["x-router-left-out"] == "service_tier"
        assert "service_tier" not in native.bodies[0]
        reply = post(server.url, api, b', "%b": 7' % limit.encode())  # said twice: written anew, as we read it
        assert reply.status_code == 200
        assert native.raw[1].count(limit.encode()) == 1
        assert native.bodies[1][limit] == 7
        assert post(server.url, api, b', "%b": 99999' % limit.encode()).status_code == 200
        assert native.bodies[2][limit] == 5000  # what the model writes at most


@pytest.mark.parametrize(
    ("api", "fault"),
    [("messages", "cut"), ("messages", "error-event"), ("responses", "cut"), ("responses", "error-event"),
     ("responses", "failed")],
)  # fmt: skip
def test_a_stream_that_breaks_ends_with_one_error_after_whole_events(
    api: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATIVE_KEY", "sk-native-0123456789")
    with Native(thoughts="hm", fault=lambda body: fault) as native:
        made = config(native, api)
        made["providers"]["one"]["key_env"] = "NATIVE_KEY"
        with running(made) as server:
            reply = post(server.url, api, b', "stream": true')
            *events, end = reply.content.split(b"\n\n")
            assert end == b""
            ours = 1 if api == "messages" else 2
            theirs = post(native.url, api, b', "stream": true', native.bodies[0]["model"]).content
            assert theirs.startswith(b"\n\n".join(events[:-ours]))
            assert [one.partition(b"\n")[0] for one in events[-ours:]] == [
                b"event: error", b"event: response.failed"
            ][:ours]  # fmt: skip
            assert b"Overloaded" in events[-1] or fault == "cut"
            assert all(json.loads(one.partition(b"data: ")[2]) for one in events)
            assert reply.content.count(b"event: error") == 1
            assert b"sk-native" not in reply.content
            assert b"message_stop" not in reply.content
            assert b"response.completed" not in reply.content
            wait_for(lambda: bool(server.lines()))
            line = server.lines()[-1]
            assert (line["status"], line["cost_from"]) == ("broken", "counted")
            assert line["cost"] > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("first", ["messages", "chat"])
def test_where_one_fails_the_other_serves_in_the_client_s_words(first: str, stream: bool) -> None:
    with Native() as native, Upstream() as chat:
        made = config_of({"messages": native.url, "chat": chat.url}, fallback={"attempts": 5})
        made["providers"]["messages"]["api"] = "messages"
        for model in made["models"]:
            model |= {"provider": first, "max_output": 5000}
            model["also"] = [{"provider": "chat" if first == "messages" else "messages"}]
        if first == "messages":
            native.fault = lambda body: "529"
        else:
            chat.fault = lambda body: "503"
        with (
            running(made) as server,
            anthropic.Anthropic(base_url=server.root, api_key="none", max_retries=0) as client,
        ):
            with client.messages.stream(
                model="auto", max_tokens=50, messages=[{"role": "user", "content": "Hi"}]
            ) as events:
                assert events.get_final_text()
            whole = client.messages.create(model="auto", max_tokens=50, messages=[{"role": "user", "content": "Hi"}])
            assert whole.content[0].type == "text"


@each
def test_a_budget_clamps_such_a_request_too(api: str) -> None:
    key = "sk-" + "1" * 40
    with Native() as native:
        room = (800 * PRICE["input"] + 100 * PRICE["output"]) / 1e6
        digest = hashlib.sha256(key.encode()).hexdigest()
        made = config(native, api, keys=[{"name": "team", "sha256": digest, "budget": room, "budget_period": "ever"}])
        with running(made) as server:
            reply = post(server.url, api, **{"x-api-key": key})
            assert reply.status_code == 200, reply.text
            told = int(reply.headers["x-router-max-tokens"])
            assert native.bodies[0][LIMITS[api]] == told < 900
