"""What holds for a chat holds in every dialect: keys, budgets, books, faults, limits, cancelling."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from gateways import REAL_COST, Running, config_of, running, wait_for
from llmrouterbench.serve.dialects import DIALECTS, messages, responses
from llmrouterbench.serve.keys import new_key
from test_serve_messages import parsed
from upstream import Upstream

pytestmark = pytest.mark.slow
PATHS = tuple(DIALECTS)
NAMED = (messages.PATH, responses.PATH)
"""Those whose events have names."""
TURNS = [{"role": "user", "content": "What is 6 times 7?"}]


def body_of(path: str, most: int | None = None, **more: Any) -> dict[str, Any]:
    """The same question in a path's dialect."""
    if path.endswith("responses"):
        limit = {} if most is None else {"max_output_tokens": most}
        return {"model": "auto", "input": TURNS, **limit, **more}
    if path.endswith("/v1/completions"):
        return {"model": "auto", "prompt": TURNS[0]["content"], "max_tokens": most or 100_000, **more}
    limit = {"max_tokens": most or 100_000} if path == messages.PATH or most is not None else {}
    return {"model": "auto", "messages": TURNS, **limit, **more}


def ask(server: Running, path: str, key: str = "", **more: Any) -> httpx2.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return server.http.post(server.root + path, json=body_of(path, **more), headers=headers)


def said(path: str, reply: httpx2.Response) -> tuple[str, str]:
    """Type and message of an error, in the form of the path's dialect."""
    whole = reply.json()
    assert (whole.get("type") == "error") == path.startswith(messages.PATH)
    return whole["error"]["type"], whole["error"]["message"]


def test_the_books_of_all_dialects_are_the_same(tmp_path: Path) -> None:
    key, digest = new_key()
    with Upstream() as upstream:
        config = config_of({"only": upstream.url}, keys=[{"name": "k", "sha256": digest, "budget": 1.0}])
        with running(config, tmp_path / "log") as server:
            for number, (path, stream) in enumerate([(path, stream) for path in PATHS for stream in (False, True)]):
                reply = ask(server, path, key, stream=stream)
                assert reply.status_code == 200, reply.text
                row = server.row(number + 1)
                assert row["id"] == reply.headers["x-router-decision"]
                assert (row["key"], row["status"], row["stream"], row["cost_from"]) == ("k", "ok", stream, "usage")
                assert (row["tokens_in"], row["tokens_out"]) == (1000, 100)
                assert row["cost"] == pytest.approx(REAL_COST)
                line = server.lines()[-1]
                assert (line["path"], line["model"]) == (path, reply.headers["x-router-model"])
                assert ("x-router-cost" in reply.headers) != stream
            assert server.metric("llmrouterbench_cost_usd_total", key="k") == pytest.approx(2 * len(PATHS) * REAL_COST)
            hashes = server.frames(2 * len(PATHS)).decisions["query_hash"]
            assert hashes.n_unique() == 1  # one question, however it is asked


@pytest.mark.parametrize("path", [*PATHS, messages.COUNT_PATH])
def test_a_key_is_asked_for_in_every_dialect(path: str) -> None:
    key, digest = new_key()
    with Upstream() as upstream:
        config = config_of({"only": upstream.url}, keys=[{"name": "k", "sha256": digest}])
        with running({**config, "limits": {"body_bytes": 1000}}) as server:
            body = body_of(path) if path in PATHS else {"model": "auto", "messages": TURNS}
            for headers in ({}, {"x-api-key": "lrb-1"}, {"authorization": f"Basic {key}", "x-api-key": key}):
                refused = server.http.post(server.root + path, json=body, headers=headers)
                assert (refused.status_code, said(path, refused)[0]) == (401, "authentication_error")
            for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
                assert server.http.post(server.root + path, json=body, headers=headers).status_code == 200
            large = server.http.post(server.root + path, content=b" " * 1001, headers={"x-api-key": key})
            assert large.status_code == 413
            assert "1,000 bytes" in said(path, large)[1]
            wait_for(lambda: server.lines()[-1]["status"] == "refused")
            missing = server.http.get(server.root + path, headers={"x-api-key": key})
            assert (missing.status_code, "is not served here" in said(path, missing)[1]) == (405, True)


@pytest.mark.parametrize("path", PATHS[1:])
@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_that_pays_for_less_makes_the_reply_shorter(path: str, stream: bool) -> None:
    key, digest = new_key()
    with Upstream() as upstream:
        config = config_of({"only": upstream.url}, keys=[{"name": "k", "sha256": digest, "budget": 0.01}])
        with running(config) as server:
            reply = ask(server, path, key, most=100_000, stream=stream)
            most = int(reply.headers["x-router-max-tokens"])
            assert 1000 < most < 5000
            assert upstream.sent()["max_tokens"] == most
            for _ in range(9):
                refused = ask(server, path, key, most=100_000)
            kind, why = said(path, refused)
            assert (refused.status_code, kind) == (429, "rate_limit_error")
            assert "no room left" in why
            assert refused.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", PATHS[1:])
def test_models_get_their_own_limit_of_a_dialects_maximum(path: str) -> None:
    own = {"max_output": 500, "parameters": {"rename": {"max_tokens": "max_completion_tokens"}}}
    with Upstream() as upstream, running(config_of({"only": upstream.url}, **{"gpt-5": own})) as server:
        assert ask(server, path, most=900, model="gpt-5").status_code == 200
        assert upstream.sent()["max_completion_tokens"] == 500
        assert "max_tokens" not in upstream.sent()


@pytest.mark.parametrize("path", PATHS[1:])
@pytest.mark.parametrize("stream", [False, True])
def test_another_model_stands_in_and_where_nobody_serves_the_client_is_told(path: str, stream: bool) -> None:
    with Upstream() as bad, Upstream() as good:
        bad.fault = lambda body: "500"
        with running(config_of({"bad": bad.url, "good": good.url}, fallback={"attempts": 5})) as server:
            reply = ask(server, path, stream=stream, model="auto:best")
            assert reply.status_code == 200
            assert reply.headers["x-router-provider"] == "good"
            good.fault = lambda body: "429"
            failed = ask(server, path, stream=stream)
            assert (failed.status_code, failed.headers["x-should-retry"]) == (502, "false")
            assert "no provider could serve" in said(path, failed)[1]
            bad.fault = good.fault = lambda body: "400"
            refused = ask(server, path, stream=stream)
            assert (refused.status_code, "scripted status 400" in said(path, refused)[1]) == (400, True)


def broken_messages(server: Running) -> str:
    made = anthropic.Anthropic(base_url=server.root, api_key="none", max_retries=0)
    with made as client, pytest.raises(anthropic.APIStatusError) as error:
        list(client.messages.create(model="auto", max_tokens=9, messages=TURNS, stream=True))  # type: ignore[arg-type]
    return str(error.value)


def broken_responses(server: Running) -> str:
    events = list(server.client().responses.create(model="auto", input="Hi", stream=True))
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert events[-1].response.error.message == events[-2].message
    return str(events[-2].message)


@pytest.mark.parametrize("breaks", [broken_messages, broken_responses])
@pytest.mark.parametrize("fault", ["cut", "error-event"])
def test_a_stream_that_breaks_ends_as_the_dialect_says(breaks: Callable[[Running], str], fault: str) -> None:
    with Upstream(fault=lambda body: fault) as upstream, running(config_of({"only": upstream.url})) as server:
        assert "broke" in breaks(server)
        wait_for(lambda: bool(server.lines()))
        line = server.lines()[-1]
        assert (line["status"], line["cost_from"]) == ("broken", "counted")
        assert 0 < line["cost"] < REAL_COST


@pytest.mark.parametrize("path", PATHS[1:])
def test_a_client_that_leaves_ends_the_call_and_pays_what_came(path: str) -> None:
    with Upstream(pause=0.05, reply="word " * 400) as upstream, running(config_of({"only": upstream.url})) as server:
        with server.http.stream("POST", server.root + path, json=body_of(path, stream=True)) as reply:
            lines = reply.iter_lines()
            while not any(word in line for line in [next(lines)] for word in ("delta", "word")):
                pass
        wait_for(lambda: upstream.cancelled == 1 and bool(server.lines()))
        line = server.lines()[-1]
        assert (line["status"], line["cost_from"]) == ("cancelled", "counted")
        assert 0 < line["tokens_out"] < 400


@pytest.mark.parametrize("path", NAMED)
def test_a_stream_without_usage_tells_what_was_counted(path: str) -> None:
    """To the client as in the books; a provider that may not be asked for usage is not."""
    with Upstream(usage=lambda body: None) as upstream:
        config = config_of({"only": upstream.url}, provider={"stream_usage": False})
        with running(config) as server:
            events = parsed(ask(server, path, stream=True).content)
            assert "stream_options" not in upstream.sent()
            wait_for(lambda: bool(server.lines()))  # it comes after the last byte
            line = server.lines()[-1]
            last = events[-1][1]["response"] if path.endswith("responses") else events[-2][1]
            assert last["usage"]["output_tokens"] == line["tokens_out"] > 0
            assert last["usage"]["input_tokens"] == line["tokens_in"] > 0


@pytest.mark.parametrize("path", NAMED)
def test_json_where_a_stream_was_asked_for_comes_as_events(path: str) -> None:
    with Upstream() as upstream, running(config_of({"only": upstream.url}, provider={"stream_usage": False})) as server:
        whole = ask(server, path).json()
        upstream.streams = False
        events = parsed(ask(server, path, stream=True).content)
        text = "".join(data["delta"]["text"] for name, data in events if name == "content_block_delta")
        text += "".join(data["delta"] for name, data in events if name == "response.output_text.delta")
        assert text == upstream.reply
        assert json.dumps(whole).count(upstream.reply) == 1


def test_a_large_body_is_translated_beside_the_loop() -> None:
    """Dozens of tools, a long system prompt, many turns: what agents send."""
    tool = {
        "name": "t",
        "description": "x" * 500,
        "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
    }
    turns: list[dict[str, Any]] = []
    for number in range(150):
        use = {"type": "tool_use", "id": f"t{number}", "name": "t0", "input": {"a": "y" * 200}}
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": [{"type": "text", "text": "z" * 900}]}
        turns += [*TURNS, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    with Upstream() as upstream, running(config_of({"only": upstream.url})) as server:
        reply = ask(
            server, messages.PATH, messages=[*turns, *TURNS], system="s" * 60_000,
            tools=[{**tool, "name": f"t{number}"} for number in range(60)],
        )  # fmt: skip
        assert reply.status_code == 200, reply.text
        assert len(upstream.bodies[-1]) > 250_000
        assert len(upstream.sent()["messages"]) == 1 + 150 * 3 + 1


def test_a_reply_that_has_no_form_in_the_dialect_is_another_models_to_give(tmp_path: Path) -> None:
    """Nothing of it is left in what the client gets, and it is paid."""
    function = {"name": "t", "arguments": "[1]"}
    said = {"content": "wrong", "tool_calls": [{"id": "1", "type": "function", "function": function}]}
    with Upstream(says=lambda body: said) as odd, Upstream() as good:
        config = config_of({"odd": odd.url, "good": good.url})
        with running(config, tmp_path / "log") as server:
            reply = ask(server, messages.PATH, model="auto:best")
            assert reply.headers["x-router-provider"] == "good"
            assert [block.get("text") for block in reply.json()["content"]] == [good.reply]
            assert len(odd.bodies) > 0
            assert server.row()["cost"] == pytest.approx((len(odd.bodies) + 1) * REAL_COST)


def test_the_openai_client_reads_refusals_of_responses() -> None:
    with (
        Upstream() as upstream,
        running(config_of({"only": upstream.url})) as server,
        pytest.raises(openai.NotFoundError, match="no model named 'gpt-9'"),
    ):
        server.client().responses.create(model="gpt-9", input="Hi")
