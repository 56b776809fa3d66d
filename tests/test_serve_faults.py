"""Providers that refuse, stall, cut streams and answer garbage: what a fallback can hide, it hides."""

from __future__ import annotations

import asyncio
import io
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import orjson
import pytest

from gateways import config_of, fitted, running, total, wait_for
from llmrouterbench.calling.wire import decode_json
from llmrouterbench.serve import chat_body
from llmrouterbench.serve.config import parse_serve_config
from llmrouterbench.serve.gateway import Gateway
from llmrouterbench.serve.log_lines import LogLines
from upstream import FAULTS, Upstream, refused_url

FAST = {"timeout": 2.0, "first_token_timeout": 0.6, "idle_timeout": 0.6, "queue_timeout": 0.3, "connect_timeout": 1.0}
BEFORE = tuple(fault for fault in FAULTS if fault not in ("400", "cut", "error-event", "stall-later"))
STREAMED_ONLY = ("empty-stream", "role-only")
CALM = {"attempts": 3, "failures": 1000}
QUICK = {"attempts": 3, "failures": 5, "rest_seconds": 0.2}


@pytest.mark.parametrize("stream", [False, True])
def test_every_fault_before_the_first_token_is_hidden_by_another_model(tmp_path: Path, stream: bool) -> None:
    faults = [fault for fault in BEFORE if stream or fault not in STREAMED_ONLY]
    with Upstream() as bad, Upstream() as good:
        config = config_of({"bad": bad.url, "good": good.url}, provider=FAST, fallback=CALM)
        for model in config["models"]:
            model["provider"], model["also"] = "bad", [{"provider": "good"}]
        with running(config, tmp_path) as server:
            for fault in faults:
                bad.fault = lambda body, fault=fault: fault  # type: ignore[misc]
                for breaker in server.gateway.upstreams["bad"]._breakers.values():
                    breaker._mirror.value = None  # a 429 asks for a rest
                reply = server.ask(stream=stream)
                assert reply.status_code == 200, fault
                assert reply.headers["x-router-provider"] == "good", fault
                assert reply.headers["x-router-attempts"] == "2", fault
                assert b"scripted" not in reply.content
                assert b"error" not in reply.content
                if stream:
                    assert reply.content.endswith(b"data: [DONE]\n\n"), fault
            frames = server.frames(len(faults))
    assert total(frames.decisions, "status") == {"ok": len(faults)}
    assert set(frames.decisions["attempts"]) == {2}


@pytest.mark.parametrize("fault", ["cut", "error-event", "stall-later"])
def test_a_stream_that_breaks_after_its_first_token_says_so(fault: str) -> None:
    with Upstream(fault=lambda body: fault) as bad, running(config_of({"bad": bad.url}, provider=FAST)) as server:
        chunks = server.client().chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        pieces: list[str] = []
        with pytest.raises(openai.APIError, match=r"broke|fell silent"):
            pieces.extend(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert "".join(pieces) == "one two "
        wait_for(lambda: bool(server.lines()))
        assert server.lines()[-1]["status"] == "broken"
        assert server.lines()[-1]["attempts"][0]["error"]


def test_an_address_where_nobody_listens_is_passed_over() -> None:
    with Upstream() as good:
        config = config_of({"gone": refused_url(), "good": good.url}, provider=FAST)
        with running(config) as server:
            for model in [one["name"] for one in config["models"]] + ["auto"]:
                reply = server.ask(model=model)
                named_and_gone = model in [one["name"] for one in config["models"] if one["provider"] == "gone"]
                assert reply.status_code == (502 if named_and_gone else 200)
                if named_and_gone:
                    assert "cannot be reached" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [("500", 502), ("429", 429), ("401", 502), ("html", 502), ("stall", 504), ("too-long", 400), ("400", 400)],
)
def test_where_nobody_can_serve_the_client_is_told_why(fault: str, status: int) -> None:
    with Upstream(fault=lambda body: fault) as bad:
        patience = {"timeout": 0.4} if fault == "stall" else {}
        config = config_of({"bad": bad.url}, provider={**FAST, **patience}, fallback={"attempts": 2})
        with running(config) as server:
            reply = server.ask()
            assert reply.status_code == status
            assert reply.json()["error"]["message"]
            assert reply.headers["x-router-attempts"] == ("1" if fault == "400" else "2")
            assert server.lines()[-1]["status"] == ("refused" if fault == "400" else "failed")
            if fault == "429":
                assert reply.headers["retry-after"] == "1"


def test_a_provider_that_keeps_failing_rests_and_is_tried_again() -> None:
    broken = True
    with Upstream(fault=lambda body: "500" if broken else "") as bad, Upstream() as good:
        config = config_of({"bad": bad.url, "good": good.url}, fallback={"failures": 3, "rest_seconds": 1.0})
        for model in config["models"]:
            model["provider"], model["also"] = "bad", [{"provider": "good"}]
        with running(config) as server:
            for _ in range(8):
                assert server.ask().status_code == 200
            assert len(bad.bodies) == 3
            assert server.metric("llmrouterbench_breaker", provider="bad") == 2
            broken = False
            wait_for(lambda: server.ask().headers["x-router-provider"] == "bad")
            assert server.metric("llmrouterbench_breaker", provider="bad") == 0


def test_a_model_that_keeps_failing_does_not_let_the_others_of_its_provider_rest() -> None:
    with Upstream(fault=lambda body: "500" if body["model"] == "gpt-5" else "") as one:
        config = config_of({"one": one.url}, fallback={"failures": 2, "rest_seconds": 600})
        with running(config) as server:
            for _ in range(4):
                assert server.ask(model="gpt-5").status_code == 502
            assert server.metric("llmrouterbench_breaker", provider="one", model="gpt-5") == 2
            assert server.metric("llmrouterbench_breaker", provider="one", model="glm-4.6") == 0
            assert server.ask(model="glm-4.6").status_code == 200


def test_a_client_is_told_which_model_stood_in_and_why() -> None:
    with Upstream(fault=lambda body: "" if body["model"] == "glm-4.6" else "500") as one:
        config = config_of({"one": one.url}, fallback={"failures": 2, "rest_seconds": 600}, policy="best")
        with running(config) as server:
            first = server.ask()
            chosen = first.headers["x-router-stood-in-for"]
            assert first.headers["x-router-model"] == "glm-4.6" != chosen
            assert f"{chosen}: server" in first.headers["x-router-because"]
            for _ in range(3):
                last = server.ask()
            assert last.headers["x-router-because"].startswith("it rests")
            assert server.lines()[-1]["stood_in_for"] == chosen
            assert "x-router-because" not in server.ask(model="glm-4.6").headers


def test_a_client_that_tries_again_by_itself_does_not_multiply_our_attempts() -> None:
    with Upstream(fault=lambda body: "500") as bad, running(config_of({"bad": bad.url}, fallback=CALM)) as server:
        patient = server.client(max_retries=2)  # as it is when nobody says otherwise
        with pytest.raises(openai.InternalServerError):
            patient.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hi"}])
        assert len(bad.bodies) == 3


def test_a_resting_provider_is_asked_where_nobody_else_is_left() -> None:
    broken = True
    with Upstream(fault=lambda body: "500" if broken else "") as only:
        config = config_of({"only": only.url}, fallback={"attempts": 1, "failures": 1, "rest_seconds": 600})
        with running(config) as server:
            assert server.ask().status_code == 502
            broken = False
            assert server.ask().status_code == 200


def test_a_full_provider_is_passed_over() -> None:
    with Upstream(latency=1.5) as slow, Upstream() as free:
        config = config_of({"slow": slow.url, "free": free.url})
        config["providers"]["slow"] |= {"concurrency": 2, "queue_timeout": 0.1}
        for model in config["models"]:
            model["provider"], model["also"] = "slow", [{"provider": "free"}]
        with running(config) as server, ThreadPoolExecutor(6) as pool:
            replies = list(pool.map(lambda _: server.ask(), range(6)))
            assert {reply.status_code for reply in replies} == {200}
            assert Counter(reply.headers["x-router-provider"] for reply in replies) == {"slow": 2, "free": 4}
            assert slow.most_busy == 2
            assert server.metric("llmrouterbench_breaker", provider="slow") == 0


@pytest.mark.slow
def test_half_of_one_provider_fails_and_no_client_sees_it(tmp_path: Path) -> None:
    """Three providers, one with a fault in every other call: every request is served, logged and counted."""
    dice = random.Random(7)
    hidden = [fault for fault in BEFORE if fault not in ("stall", "400")]

    def fault(body: dict[str, Any]) -> str:
        return dice.choice(hidden) if dice.random() < 0.5 else ""

    with Upstream(fault=fault) as bad, Upstream() as second, Upstream() as third:
        config = config_of({"bad": bad.url, "second": second.url, "third": third.url}, provider=FAST, fallback=QUICK)
        with running(config, tmp_path) as server, ThreadPoolExecutor(8) as pool:
            names = ["auto", "auto:cheapest --min-quality 0"]

            def ask(number: int) -> httpx2.Response:
                return server.ask(f"Question {number}", names[number % 2], stream=number % 3 == 0)

            replies = list(pool.map(ask, range(300)))
            frames = server.frames(300)
            assert {reply.status_code for reply in replies} == {200}
            assert all(b"error" not in reply.content for reply in replies)
            assert len(bad.bodies) > 20
            ids = {reply.headers["x-router-decision"] for reply in replies}
            assert ids <= set(frames.decisions["id"])
            assert total(frames.decisions, "status") == {"ok": 300}
            assert server.metric("llmrouterbench_requests_total", status="ok") == 300
            assert server.metric("llmrouterbench_attempts_total") == frames.decisions["attempts"].sum()
            assert server.metric("llmrouterbench_attempts_total", result="ok") == 300
            assert len(server.lines()) == 300


SLOW_BODIES: dict[str, dict[str, Any]] = {
    "one long text": {"messages": [{"role": "user", "content": "The quick brown fox jumps. " * 280_000}]},
    "many short turns": {"messages": [{"role": "user", "content": "Hi"}] * 200_000},
    "many fields of that name": {
        "messages": [{"role": "user", "content": "Hi"}],
        "x": [{"model": "a", "n": 1}] * 250_000,
    },
}


@pytest.mark.parametrize("name", SLOW_BODIES)
def test_no_body_holds_the_others_up(name: str) -> None:
    """The largest bodies are read, decided by a bounded text and written beside the loop, each decoded once."""
    decoded: list[int] = []
    beside: list[bool] = []
    texts: list[int] = []

    def counted(data: bytes) -> Any:
        decoded.append(len(data))
        return noted(decode_json)(data)

    def noted(work: Any) -> Any:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            beside.append(threading.current_thread() is not threading.main_thread())
            return work(*arguments, **more)

        return wrapped

    def route(queries: list[str], *arguments: Any, **more: Any) -> Any:
        texts.extend(map(len, queries))
        return noted(fitted().route_and_estimate)(queries, *arguments, **more)

    async def ask(gateway: Gateway, body: bytes) -> list[Any]:
        sent: list[Any] = []
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return parts.pop() if parts else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await gateway.chat({"type": "http", "path": "/v1/chat/completions", "headers": []}, receive, send)
        await gateway.close()
        return sent

    with Upstream() as up, pytest.MonkeyPatch.context() as patch:
        config = parse_serve_config(config_of({"one": up.url}))
        gateway = Gateway(fitted(), config, lines=LogLines(io.BytesIO(), requests=False))
        patch.setattr(chat_body, "decode_json", counted)
        patch.setattr(chat_body, "with_model", noted(chat_body.with_model))
        patch.setattr(gateway.chooser, "router", SimpleNamespace(models=fitted().models, route_and_estimate=route))
        body = orjson.dumps({"model": "auto", **SLOW_BODIES[name]})
        sent = asyncio.run(ask(gateway, body))
        assert sent[0]["status"] == 200
        assert decoded == [len(body)]
        assert beside == [True] * 3
        assert max(texts) <= 16_000


def test_a_prompt_too_long_for_one_model_goes_to_one_with_a_longer_window() -> None:
    with Upstream(fault=lambda body: "" if body["model"] == "gemini-2.5-flash" else "too-long") as up:
        more: dict[str, Any] = {"gpt-5": {"context_window": 1000}, "gemini-2.5-flash": {"context_window": 9000}}
        with running(config_of({"one": up.url}, **more, fallback={"attempts": 2}, policy="best")) as server:
            server.gateway.chooser.pool = ("gpt-5", "glm-4.6", "gemini-2.5-flash")
            reply = server.ask(model="auto", max_tokens=50)
            assert (reply.status_code, reply.headers["x-router-model"]) == (200, "gemini-2.5-flash")


def test_auto_takes_no_model_whose_window_is_too_short() -> None:
    with Upstream() as up:
        more = {"gpt-5": {"context_window": 500}, "glm-4.6": {"context_window": 700}}
        with running(config_of({"one": up.url}, **more, policy="best")) as server:
            for _ in range(3):
                assert server.ask("word " * 3000).headers["x-router-model"] == "gemini-2.5-flash"
            server.gateway.chooser._windows = {"gpt-5": 500, "glm-4.6": 700, "gemini-2.5-flash": 600}
            assert server.ask("word " * 3000).headers["x-router-model"] == "glm-4.6", "the longest there is"


def test_a_model_gets_its_parameters_as_it_takes_them() -> None:
    taken = {"drop": ["top_k"], "rename": {"max_tokens": "max_completion_tokens"}, "clamp": {"temperature": 1.0}}
    with Upstream() as up:
        more: dict[str, Any] = {"gpt-5": {"parameters": taken, "max_output": 100}}
        with running(config_of({"one": up.url}, **more)) as server:
            asked: dict[str, Any] = {"top_k": 5, "temperature": 1.7, "max_tokens": 900, "seed": 7}
            assert server.ask(model="gpt-5", **asked).status_code == 200
            sent = up.sent()
            assert sent.pop("messages")
            assert sent == {"model": "gpt-5", "temperature": 1.0, "max_completion_tokens": 100, "seed": 7}
            assert server.ask(model="glm-4.6", **asked).status_code == 200
            assert asked.items() <= up.sent().items()
