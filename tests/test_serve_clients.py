"""The official client and curl, unchanged, against a real server with a real upstream."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import openai
import orjson
import pytest

from gateways import MODELS, REAL_COST, Running, config_of, fitted, running, wait_for
from upstream import Upstream

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
QUESTION = [{"role": "user", "content": "What is 6 times 7?"}]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(key="") as up:
        yield up


@pytest.fixture(scope="module")
def server(upstream: Upstream) -> Iterator[Running]:
    config = config_of({"only": upstream.url}, embeddings=[{"name": "embed", "provider": "only", "api_model": "e-1"}])
    with running(config) as here:
        yield here


def test_a_whole_reply_with_what_was_decided(server: Running, upstream: Upstream) -> None:
    raw = server.client().chat.completions.with_raw_response.create(model="auto", messages=QUESTION)
    reply = raw.parse()
    assert reply.choices[0].message.content == upstream.reply
    model = fitted().route("What is 6 times 7?").model
    assert reply.model == raw.headers["x-router-model"] == upstream.sent()["model"] == model
    assert raw.headers["x-router-provider"] == "only"
    assert float(raw.headers["x-router-cost"]) == pytest.approx(REAL_COST)
    assert float(raw.headers["x-router-estimated-cost"]) > 0
    assert float(raw.headers["x-router-decision-ms"]) > 0
    assert raw.headers["x-router-attempts"] == "1"
    assert raw.headers["x-router-reason"] in ("policy", "out of distribution")


def test_a_named_model_passes_through(server: Running, upstream: Upstream) -> None:
    for model in MODELS:
        raw = server.client().chat.completions.with_raw_response.create(model=model, messages=QUESTION)
        assert raw.headers["x-router-model"] == upstream.sent()["model"] == model
        assert raw.headers["x-router-reason"] == "named"


def test_a_policy_of_the_request(server: Running, upstream: Upstream) -> None:
    words = "cheapest --min-quality 0"
    raw = server.client().chat.completions.with_raw_response.create(model=f"auto:{words}", messages=QUESTION)
    assert raw.headers["x-router-model"] == fitted().route("What is 6 times 7?", words).model
    with pytest.raises(openai.BadRequestError, match="did you mean 'cheapest'"):
        server.client().chat.completions.create(model="auto:cheepest", messages=QUESTION)


@pytest.mark.parametrize("asks_usage", [False, True])
def test_a_stream_passes_through_and_its_usage_only_where_asked_for(
    server: Running, upstream: Upstream, asks_usage: bool
) -> None:
    more = {"stream_options": {"include_usage": True}} if asks_usage else {}
    chunks = list(server.client().chat.completions.create(model="auto", messages=QUESTION, stream=True, **more))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == f"{upstream.reply} "
    assert [bool(chunk.usage) for chunk in chunks].count(True) == int(asks_usage)
    line = server.lines()[-1]
    assert (line["status"], line["tokens_in"], line["tokens_out"]) == ("ok", 1000, 100)
    assert line["cost"] == pytest.approx(REAL_COST)


def test_tools_json_mode_images_logprobs_and_unknown_fields_go_through(server: Running, upstream: Upstream) -> None:
    client = server.client()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "What is shown?"}, image]
    reply = client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": parts}], tools=[TOOL], logprobs=True,
        response_format={"type": "json_object"}, seed=7, extra_body={"x_new": {"deep": [1.0, None]}},
    )  # fmt: skip
    sent = upstream.sent()
    assert sent["messages"][0]["content"] == parts
    assert (sent["tools"], sent["logprobs"], sent["seed"]) == ([TOOL], True, 7)
    assert (sent["response_format"], sent["x_new"]) == ({"type": "json_object"}, {"deep": [1.0, None]})
    choice = reply.choices[0]
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].function.arguments == '{"city": "Lima"}'
    assert orjson.loads(choice.message.content or "") == {"answer": 42}
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert reply.model_extra == {"x_own_field": {"kept": [1, 2.5, None]}}


def test_the_body_is_the_same_but_for_its_model(server: Running, upstream: Upstream) -> None:

    body = b'{ "seed": 1.0e2,"model" : "auto",\n"messages":[{"role":"user","content":"caf\xc3\xa9 \\u00e9"}], "n": 1 }'
    served = server.http.post(f"{server.url}/chat/completions", content=body).headers["x-router-model"]
    assert upstream.bodies[-1] == body.replace(b'"auto"', f'"{served}"'.encode())


def test_embeddings_and_models(server: Running, upstream: Upstream) -> None:
    client = server.client()
    reply = client.embeddings.create(model="embed", input=["a"], encoding_format="float")
    assert reply.data[0].embedding == [1.0, 0.5]
    assert upstream.sent()["model"] == "e-1"
    assert [model.id for model in client.models.list()] == ["auto", *MODELS, "embed"]
    with pytest.raises(openai.NotFoundError, match="no embedding model named 'gpt-5'"):
        client.embeddings.create(model="gpt-5", input="a")


def test_errors_are_those_that_the_client_knows(server: Running, upstream: Upstream) -> None:
    client = server.client()
    with pytest.raises(openai.NotFoundError, match="did you mean 'glm-4.6'"):
        client.chat.completions.create(model="glm-4.5", messages=QUESTION)
    with pytest.raises(openai.BadRequestError, match="messages must be a list"):
        client.chat.completions.create(model="auto", messages=[])
    upstream.fault = lambda body: "400"
    try:
        with pytest.raises(openai.BadRequestError, match="scripted status 400"):
            client.chat.completions.create(model="auto", messages=QUESTION)
    finally:
        upstream.fault = lambda body: ""
    assert server.lines()[-1]["status"] == "refused"
    with pytest.raises(openai.NotFoundError, match="is not served here"):
        client.post("/images/generations", body={}, cast_to=object)


def test_a_client_that_waits_no_longer_cancels_the_call(server: Running, upstream: Upstream) -> None:
    upstream.latency, before = 20.0, upstream.cancelled
    try:
        with pytest.raises(openai.APITimeoutError):
            server.client(timeout=0.5).chat.completions.create(model="auto", messages=QUESTION)
        wait_for(lambda: upstream.cancelled == before + 1 and server.lines()[-1]["status"] == "cancelled")
    finally:
        upstream.latency = 0.0


def test_closing_a_stream_cancels_the_call(server: Running, upstream: Upstream) -> None:
    upstream.pause, before = 5.0, upstream.cancelled
    try:
        with server.client().chat.completions.create(model="auto", messages=QUESTION, stream=True) as stream:
            next(iter(stream))
        wait_for(lambda: upstream.cancelled == before + 1 and server.lines()[-1]["status"] == "cancelled")
        assert server.gateway.upstreams["only"].in_flight == 0
    finally:
        upstream.pause = 0.0


def test_curl_streams(server: Running, upstream: Upstream) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    body = orjson.dumps({"model": "auto", "messages": QUESTION, "stream": True})
    command = [
        curl,
        "-sSN",
        f"{server.url}/chat/completions",
        "-H",
        "content-type: application/json",
        "-d",
        body.decode(),
    ]
    said = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    assert said.startswith(b": keep-alive\n\n")
    assert said.endswith(b"data: [DONE]\n\n")
    assert b"usage" not in said
