"""What tools of all kinds expect of a server: addresses, legacy completions, pages, headers of providers, a reload."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import openai
import orjson
import pytest
import yaml
from openai import OpenAI

from gateways import MODELS, config_of, fitted, running, wait_for
from llmrouterbench.decision_log import FILE, DecisionLog, LoggedEmbeddings
from llmrouterbench.serve.config import parse_serve_config
from llmrouterbench.serve.keys import new_key
from test_serve_process import BODY, router, serving, wait_until_there
from upstream import Upstream

__all__ = ["router"]
pytestmark = pytest.mark.slow
PAGE = "https://app.example.org"


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["", "/v1", "/v1/v1"])
def test_a_base_address_may_have_its_v1_or_not(base: str) -> None:
    embedder = {"name": "vectors", "provider": "one", "price": {"input": 1.0, "output": 0.0}}
    with Upstream() as upstream, running(config_of({"one": upstream.url}, embeddings=[embedder])) as server:
        with OpenAI(base_url=server.root + base, api_key="none", max_retries=0) as client:
            turns: Any = [{"role": "user", "content": "Hi"}]
            assert client.chat.completions.create(model="auto", messages=turns).choices[0].message.content
            assert client.responses.create(model="auto", input="Hi", store=False).output_text
            assert client.embeddings.create(model="vectors", input="Hi").data
            assert {one.id for one in client.models.list()} == {"auto", "vectors", *MODELS}
            assert client.models.retrieve("auto").id == "auto"
        for path, status in (("/messages/count_tokens", 400), ("/feedback", 400), ("/nothing", 404)):
            assert server.http.post(server.root + base + path, json={}).status_code == status


# --- legacy completions ----------------------------------------------------------------------------------------------


def test_a_legacy_completion_is_routed_whole_and_streamed() -> None:
    with Upstream(reply="one two") as upstream, running(config_of({"one": upstream.url})) as server:
        client = server.client()
        made = client.completions.create(model="auto", prompt="Say it", stop=["x"], temperature=0.5)
        assert (made.object, made.choices[0].text, made.choices[0].finish_reason) == (
            "text_completion",
            "one two",
            "stop",
        )
        assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (1000, 100)
        sent = upstream.sent()
        assert sent["messages"] == [{"role": "user", "content": "Say it"}]
        assert (sent["max_tokens"], sent["stop"], sent["temperature"]) == (16, ["x"], 0.5)
        options = {"include_usage": True}
        events = client.completions.create(
            model="auto", prompt=["Say it"], max_tokens=9, stream=True, stream_options=options
        )
        chunks = list(events)
        assert "".join(choice.text for one in chunks for choice in one.choices).strip() == "one two"
        assert [choice.finish_reason for one in chunks for choice in one.choices][-1] == "stop"
        assert chunks[-1].usage.total_tokens == 1100
        assert upstream.sent()["max_tokens"] == 9
        upstream.streams = False  # JSON where a stream was asked for, and no usage
        upstream.usage = lambda body: None
        chunks = list(client.completions.create(model="auto", prompt="Hi", stream=True, stream_options=options))
        assert chunks[0].choices[0].text == "one two"
        assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"prompt": ["a", "b"]}, "prompt must be one text"),
        ({"prompt": [1, 2]}, "prompt must be one text"),
        ({"prompt": None}, "prompt must be one text, got none"),
        ({"n": 2}, "n must be 1 or absent, got 2"),
        ({"best_of": 3}, "best_of must be 1 or absent"),
        ({"echo": True}, "echo must be false or absent"),
        ({"suffix": "end"}, "suffix must be"),
        ({"logprobs": 2}, "logprobs has no form in chat completions"),
    ],
)
def test_what_a_legacy_completion_cannot_be_is_refused_by_its_name(more: dict[str, Any], said: str) -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url})) as server:
        reply = server.http.post(f"{server.url}/completions", json={"model": "auto", "prompt": "a", **more})
        assert reply.status_code == 400
        assert said in reply.json()["error"]["message"]
        assert not upstream.bodies


def test_a_legacy_stream_that_breaks_says_so() -> None:
    with (
        Upstream(fault=lambda body: "cut") as upstream,
        running(config_of({"one": upstream.url})) as server,
        pytest.raises(openai.APIError),
    ):
        list(server.client().completions.create(model="auto", prompt="a", stream=True))


# --- pages -----------------------------------------------------------------------------------------------------------


def test_pages_of_the_configs_origins_may_ask_and_read() -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url}, cors=[PAGE])) as server:
        before = server.http.options(
            f"{server.url}/chat/completions",
            headers={
                "origin": PAGE, "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type,x-stainless-os",
            },
        )  # fmt: skip
        assert before.status_code == 200
        assert before.headers["access-control-allow-origin"] == PAGE
        assert "x-stainless-os" in before.headers["access-control-allow-headers"]
        reply = server.ask(headers={"origin": PAGE})
        assert reply.status_code == 200
        assert reply.headers["access-control-allow-origin"] == PAGE
        assert reply.headers["access-control-expose-headers"] == "*"
        other = server.ask(headers={"origin": "https://evil.example"})
        assert other.status_code == 403
        assert "access-control-allow-origin" not in other.headers


def test_a_server_without_keys_asks_nobody_for_a_page_that_was_not_let_in() -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url})) as server:
        raw = orjson.dumps(BODY)  # what a page can send without being allowed to: text, and it need not read the reply
        headers = {"origin": "https://evil.example", "content-type": "text/plain"}
        for path in ("chat/completions", "messages", "responses", "completions", "embeddings"):
            assert server.http.post(f"{server.url}/{path}", content=raw, headers=headers).status_code == 403
        assert server.http.get(f"{server.url}/models", headers=headers).status_code == 403
        assert not upstream.bodies
    key, digest = new_key()
    config = config_of({"one": "http://127.0.0.1:9/v1"}, keys=[{"name": "k", "sha256": digest}])
    with running(config) as server:  # a page that has the key is who it says
        headers = {"origin": "app://desktop", "authorization": f"Bearer {key}"}
        assert server.http.get(f"{server.url}/models", headers=headers).status_code == 200


@pytest.mark.parametrize("origin", ["app.example.org", "https://app.example.org/", "https://", ""])
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="must be an origin such as"):
        parse_serve_config(config_of({"one": "http://127.0.0.1:9/v1"}, cors=[origin]))


# --- headers of providers --------------------------------------------------------------------------------------------

HEADS = {"x-request-id": "req-7", "x-ratelimit-remaining-requests": "59", "x-other": "no", "set-cookie": "a=b"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_providers_id_and_limits_pass_and_its_id_is_logged(stream: bool, tmp_path: Path) -> None:
    with Upstream(heads=HEADS) as upstream, running(config_of({"one": upstream.url}), tmp_path) as server:
        reply = server.ask(stream=stream)
        assert (reply.headers["x-request-id"], reply.headers["x-ratelimit-remaining-requests"]) == ("req-7", "59")
        assert not {"x-other", "set-cookie"} & set(reply.headers)
        wait_for(lambda: bool(server.lines()))
        assert server.lines()[-1]["attempts"][-1]["request_id"] == "req-7"
        server.row()
        with sqlite3.connect(tmp_path / FILE) as log:
            (attempts,) = log.execute("SELECT attempts FROM decisions").fetchone()
        assert orjson.loads(attempts)[-1]["request_id"] == "req-7"


def test_a_refusal_has_its_providers_id_too_and_no_key() -> None:
    heads = {"x-request-id": "req-sk-canary-0123456789", "x-ratelimit-reset-requests": "1s"}
    with Upstream(heads=heads, fault=lambda body: "400") as upstream, pytest.MonkeyPatch.context() as patch:
        patch.setenv("THE_KEY", "sk-canary-0123456789")
        config = config_of({"one": upstream.url}, provider={"key_env": "THE_KEY"})
        with running(config) as server:
            reply = server.ask()
            assert reply.status_code == 400
            assert reply.headers["x-request-id"] == "req-***"
            assert reply.headers["x-ratelimit-reset-requests"] == "1s"


# --- a reload --------------------------------------------------------------------------------------------------------


def test_a_single_server_reads_router_and_config_anew_without_dropping_a_stream(router: Path, tmp_path: Path) -> None:
    with Upstream(pause=0.3) as old, Upstream(reply="new words") as new:
        key, digest = new_key()
        keys = [{"name": "k", "sha256": digest, "budget": 1.0}]
        config = config_of({"one": old.url}, keys=keys)
        headers = {"authorization": f"Bearer {key}"}
        with serving(router, config, tmp_path, "--log", str(tmp_path / "log")) as (process, url):
            wait_until_there(url)
            said: list[bytes] = []

            def read() -> None:
                with httpx2.stream("POST", f"{url}/chat/completions", json=BODY, headers=headers, timeout=60) as reply:
                    said.extend(reply.iter_raw())

            reader = threading.Thread(target=read)
            reader.start()
            wait_for(lambda: bool(said))
            path = tmp_path / "serve.yaml"
            path.write_text("models: [")
            process.send_signal(signal.SIGHUP)
            assert process.stderr is not None
            assert b"nothing is changed" in process.stderr.readline()
            path.write_text(yaml.safe_dump(config_of({"one": new.url}, keys=keys)))
            process.send_signal(signal.SIGHUP)
            assert b"are those of the files" in process.stderr.readline()
            reply = httpx2.post(f"{url}/chat/completions", json=BODY | {"stream": False}, headers=headers, timeout=60)
            assert reply.json()["choices"][0]["message"]["content"] == "new words"
            reader.join(60)
            assert b"".join(said).endswith(b"data: [DONE]\n\n")
            metrics = httpx2.get(f"{url.removesuffix('/v1')}/metrics", timeout=60).text
            assert 'llmrouterbench_requests_total{key="k",path="/v1/chat/completions",status="ok"} 2.0' in metrics
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def test_a_reload_forgets_no_money_and_no_rest() -> None:
    key, digest = new_key()
    keys = [{"name": "k", "sha256": digest, "budget": 0.0013}]
    with Upstream() as upstream, running(config_of({"one": upstream.url}, keys=keys)) as server:
        headers = {"authorization": f"Bearer {key}"}
        assert server.ask(max_tokens=100, headers=headers).status_code == 200
        before = server.gateway
        breaker = before.upstreams["one"].breaker(MODELS[0])
        for _ in range(5):
            breaker.failed()
        again = before.renewed(fitted(), before.config)
        assert not again.upstreams["one"].breaker(MODELS[0]).ready()
        assert again.keyring.limited[0].config.budget == 0.0013
        assert again.meters is before.meters
        assert again.state is before.state


# --- what becomes of old rows ----------------------------------------------------------------------------------------


def test_old_rows_go_and_what_they_cost_stays(tmp_path: Path) -> None:
    day, now = 86_400, time.time()

    def row(number: int, at: float) -> LoggedEmbeddings:
        return LoggedEmbeddings(f"e-{number}", at, "k", "m", "p", "ok", 200, 1, 0.5, "usage", 0.1)

    log = DecisionLog(tmp_path, lambda lost, said: pytest.fail(said))
    with log:
        for number in range(1500):
            log.add(row(number, now - 40 * day))
        log.add(row(2000, now - 8 * day))
        log.add(row(2001, now - 6 * day))
        wait_for(lambda: len(ids(tmp_path)) == 1502)
        log.keep_days = 7
        wait_for(lambda: only(tmp_path, log, row(2001, now - 6 * day)))
    assert log.spent("k", 0.0) == pytest.approx(1502 * 0.5)
    assert log.spent("k", (now // day - 9) * day) == pytest.approx(1.0)
    assert log.spent("other", 0.0) == 0.0


def only(folder: Path, log: DecisionLog, row: LoggedEmbeddings) -> bool:
    """Whether that row is the only one; each row that is written lets some old ones go."""
    log.add(row)
    return ids(folder) == [row.id]


def ids(folder: Path) -> list[str]:
    with sqlite3.connect(folder / FILE) as written:
        return [id for (id,) in written.execute("SELECT id FROM embeddings")]


def test_a_server_keeps_rows_as_long_as_its_config_says(tmp_path: Path) -> None:
    with Upstream() as upstream:
        config = config_of({"one": upstream.url}, log={"keep_days": 3})
        with running(config, tmp_path) as server:
            assert server.gateway.log is not None
            server.ask()
            server.frames(1)
            assert server.gateway.log.keep_days == 3
    assert parse_serve_config(config_of({"one": "http://127.0.0.1:9/v1"})).log.keep_days is None
