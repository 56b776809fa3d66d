"""Clients of Messages before providers of Messages: what is asked and what is said pass as they came."""

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


def config(native: Native, **more: Any) -> dict[str, Any]:
    own = {name: {"max_output": 5000} for name in ("gpt-5", "glm-4.6", "gemini-2.5-flash")}
    return config_of({"one": native.url}, provider={"api": "messages"}, **own, **more)


def post(url: str, body: bytes, **headers: str) -> httpx2.Response:
    return httpx2.post(f"{url}/messages", content=body, headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize("more", [b"", b', "stream" : true'], ids=["whole", "stream"])
def test_every_byte_passes_but_the_model(more: bytes) -> None:
    with Native(thoughts="I think so.", calls=CALLS) as native, running(config(native)) as server:
        reply = post(server.url, BODY % more, **{"anthropic-beta": "context-1m", "x-own": "no"})
        assert (reply.status_code, reply.headers["x-router-provider"]) == (200, "one")
        assert "x-router-left-out" not in reply.headers
        sent = BODY.replace(b'"auto"', json.dumps(reply.headers["x-router-model"]).encode()) % more
        assert native.raw[0] == sent
        assert (native.headers[0]["anthropic-beta"], "x-own" in native.headers[0]) == ("context-1m", False)
        assert reply.content == post(native.url, sent).content
        assert native.wrong == []
        wait_for(lambda: bool(server.lines()))
        line = server.lines()[-1]
        assert (line["status"], line["cost_from"], line["tokens_in"], line["tokens_out"]) == ("ok", "usage", 1000, 100)
        assert line["cost"] == pytest.approx((1000 * PRICE["input"] + 100 * PRICE["output"]) / 1e6)


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


def test_what_changes_the_price_is_taken_out_and_said() -> None:
    with Native() as native, running(config(native)) as server:
        reply = post(server.url, BODY % b', "service_tier": "auto"')
        assert reply.headers["x-router-left-out"] == "service_tier"
        assert "service_tier" not in native.bodies[0]
        reply = post(server.url, BODY % b', "max_tokens": 7')  # said twice: written anew, as we read it
        assert reply.status_code == 200
        assert native.raw[1].count(b'"max_tokens"') == 1
        assert native.bodies[1]["max_tokens"] == 7
        assert post(server.url, BODY % b', "max_tokens": 99999').status_code == 200
        assert native.bodies[2]["max_tokens"] == 5000  # what the model writes at most


@pytest.mark.parametrize("fault", ["cut", "error-event"])
def test_a_stream_that_breaks_ends_with_one_error_after_whole_events(fault: str) -> None:
    with Native(thoughts="hm", fault=lambda body: fault) as native, running(config(native)) as server:
        reply = post(server.url, BODY % b', "stream": true')
        *events, last, end = reply.content.split(b"\n\n")
        assert end == b""
        model = json.dumps(native.bodies[0]["model"]).encode()
        theirs = post(native.url, BODY.replace(b'"auto"', model) % b', "stream": true').content
        assert theirs.startswith(b"\n\n".join(events))
        assert last.startswith(b"event: error\ndata: ")
        assert json.loads(last.partition(b"data: ")[2])["error"]["message"]
        assert reply.content.count(b"event: error") == 1
        assert b"message_stop" not in reply.content
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


def test_a_budget_clamps_such_a_request_too() -> None:
    key = "sk-" + "1" * 40
    with Native() as native:
        room = (800 * PRICE["input"] + 100 * PRICE["output"]) / 1e6
        digest = hashlib.sha256(key.encode()).hexdigest()
        made = config(native, keys=[{"name": "team", "sha256": digest, "budget": room, "budget_period": "ever"}])
        with running(made) as server:
            reply = post(server.url, BODY % b"", **{"x-api-key": key})
            assert reply.status_code == 200, reply.text
            told = int(reply.headers["x-router-max-tokens"])
            assert native.bodies[0]["max_tokens"] == told < 900


def test_a_provider_s_key_is_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATIVE_KEY", "sk-native-0123456789")
    with Native(fault=lambda body: "error-event") as native:
        made = config(native)
        made["providers"]["one"]["key_env"] = "NATIVE_KEY"
        with running(made) as server:
            reply = post(server.url, BODY % b', "stream": true')
            assert native.headers[0]["x-api-key"] == "sk-native-0123456789"
            assert b"sk-native" not in reply.content
