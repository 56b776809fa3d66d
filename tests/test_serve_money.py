"""Money of client keys: a reservation is a bound, and what was produced is paid, whoever leaves, whatever is told."""

from __future__ import annotations

import asyncio
import json
import math
import random
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways import PRICE, REAL_COST, Running, config_of, running
from llmrouterbench.calling.prices import Price, cost
from llmrouterbench.decision_log import FILE, DecisionLog
from llmrouterbench.serve.bounds import LEAST_TOKENS, LONGEST_REPLY, SAFE_TOKENS, bound_of
from llmrouterbench.serve.chat_body import parse_chat
from llmrouterbench.serve.keys import new_key
from upstream import Upstream

MODEL = "gpt-5"
EMBEDDER = {"name": "vectors", "provider": "one", "price": {"input": 1000.0, "output": 0.0}}
WORDS = "one two three four five six seven eight"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def keyed(upstream: Upstream, budget: float, **more: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """A config with one key of such a budget, and the headers of its requests."""
    key, digest = new_key()
    keys = [{"name": "team", "sha256": digest, "budget": budget, "budget_period": "ever"}]
    return config_of({"one": upstream.url}, keys=keys, **more), {"authorization": f"Bearer {key}"}


def spent(server: Running, folder: Path, rows: int = 1) -> tuple[float, float]:
    """USD of the key in memory, and after a restart."""
    server.frames(rows)
    log = DecisionLog(folder, lambda lost, said: None)
    (account,) = server.gateway.keyring.limited
    return asyncio.run(account.spent()), log.spent("team", 0.0)


def test_embeddings_are_priced_reserved_and_remembered(upstream: Upstream, tmp_path: Path) -> None:
    config, headers = keyed(upstream, 0.2, embeddings=[EMBEDDER])

    def embed(server: Running) -> int:
        body = {"model": "vectors", "input": "Hi"}
        return server.http.post(f"{server.url}/embeddings", json=body, headers=headers).status_code

    with running(config, tmp_path) as server:
        assert [embed(server) for _ in range(40)].count(200) < 40, "three tokens at 1,000 USD a million, 40 times"
        assert server.metric("llmrouterbench_cost_usd_total", model="vectors") > 0
    log = DecisionLog(tmp_path, lambda lost, said: None)
    assert 0.0 < log.spent("team", 0.0) <= 0.2
    with running(config, tmp_path) as server:
        assert embed(server) == 429
    with sqlite3.connect(tmp_path / FILE) as log_file:
        told = set(log_file.execute("SELECT model, status, tokens_in, cost, cost_from FROM embeddings"))
    assert told == {("vectors", "ok", 3, 0.003, "usage")}


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ({"max_tokens": 900_000}, ("max_tokens",)),
        ({"max_completion_tokens": 900_000}, ("max_completion_tokens",)),
        ({"max_tokens": 50, "max_completion_tokens": 900_000}, ("max_tokens", "max_completion_tokens")),
        ({"max_tokens": None}, ("max_tokens",)),
        ({}, ("max_tokens",)),
    ],
)
def test_where_a_budget_pays_for_less_the_reply_is_shorter(
    upstream: Upstream, asked: dict[str, Any], fields: tuple[str, ...]
) -> None:
    config, headers = keyed(upstream, 0.01)
    with running(config) as server:
        reply = server.ask(model=MODEL, headers=headers, **asked)
        assert reply.status_code == 200
        clamp = int(reply.headers["x-router-max-tokens"])
        known = any(value for value in asked.values())
        assert clamp == pytest.approx((0.01 - 0.0002) / 2e-6, rel=0.02) if known else clamp == SAFE_TOKENS
        assert {upstream.sent()[name] for name in fields} == {clamp}
        assert set(upstream.sent()) - {"model", "messages"} == set(fields)


def test_a_budget_that_pays_for_all_changes_nothing(upstream: Upstream) -> None:
    config, headers = keyed(upstream, 100.0)
    with running(config) as server:
        reply = server.ask(model=MODEL, headers=headers, max_tokens=1000)
        assert (upstream.sent()["max_tokens"], "x-router-max-tokens" in reply.headers) == (1000, False)


@pytest.mark.parametrize("calls", [200])
def test_of_many_calls_at_once_only_those_go_out_that_the_budget_pays_for(calls: int) -> None:
    """Each may cost one USD, and the key has one."""
    usage = {"prompt_tokens": 0, "completion_tokens": 500_000, "total_tokens": 500_000}
    with Upstream(latency=0.2, usage=lambda body: usage) as upstream:
        config, headers = keyed(upstream, 1.0)
        with running(config) as server, ThreadPoolExecutor(32) as pool:
            ask = partial(server.ask, model=MODEL, headers=headers, max_tokens=499_800)
            statuses = list(pool.map(lambda _: ask().status_code, range(calls)))
        assert statuses.count(200) == len(upstream.bodies) == 1
        assert statuses.count(429) == calls - 1


@pytest.mark.parametrize("leaves", [False, True])
def test_a_stream_that_tells_no_usage_costs_what_it_produced(upstream: Upstream, tmp_path: Path, leaves: bool) -> None:
    upstream.reply, upstream.pause = WORDS, 0.05 if leaves else 0.0
    config, headers = keyed(upstream, 10.0, provider={"stream_usage": False})
    with running(config, tmp_path) as server:
        asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        with server.http.stream("POST", f"{server.url}/chat/completions", json=asked, headers=headers) as reply:
            for number, _ in enumerate(reply.iter_lines()):
                if leaves and number > 6:
                    break
        row = server.row()
        assert (row["status"], row["cost_from"]) == ("cancelled" if leaves else "ok", "counted")
        assert 1 <= row["tokens_out"] < 8 if leaves else row["tokens_out"] >= 8
        assert row["cost"] == pytest.approx(cost_of(row["tokens_in"], row["tokens_out"]))
        in_memory, after_restart = spent(server, tmp_path)
        assert row["cost"] == pytest.approx(in_memory) == pytest.approx(after_restart)


def cost_of(tokens_in: int, tokens_out: int) -> float:
    return (tokens_in * PRICE["input"] + tokens_out * PRICE["output"]) / 1e6


@pytest.mark.parametrize("said", [{"include_usage": False}, {}, None, {"x": 1}])
def test_a_client_cannot_switch_its_usage_off(upstream: Upstream, tmp_path: Path, said: Any) -> None:
    config, headers = keyed(upstream, 10.0)
    with running(config, tmp_path) as server:
        reply = server.ask(model=MODEL, headers=headers, stream=True, stream_options=said)
        assert upstream.sent()["stream_options"] == {**(said or {}), "include_usage": True}
        assert b'"usage"' not in reply.content
        row = server.row()
        assert (row["cost"], row["cost_from"]) == (pytest.approx(REAL_COST), "usage")


def test_a_client_that_leaves_before_the_reply_pays_a_guess(tmp_path: Path) -> None:
    with Upstream(latency=3.0) as upstream:
        config, headers = keyed(upstream, 10.0)
        with running(config, tmp_path) as server:
            asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 300}
            with pytest.raises(Exception, match="timed out"):
                server.http.post(f"{server.url}/chat/completions", json=asked, headers=headers, timeout=0.5)
            row = server.row()
            assert (row["status"], row["tokens_out"], row["cost_from"]) == ("cancelled", 300, "counted")
            assert spent(server, tmp_path)[0] == row["cost"] > 0.0


def test_a_failed_attempt_that_was_billed_is_paid_with_the_one_that_served(tmp_path: Path) -> None:
    with Upstream(fault=lambda body: "half") as bad, Upstream() as good:
        config, headers = keyed(bad, 10.0)
        config["providers"]["good"] = {"url": good.url}
        config["models"][0]["also"] = [{"provider": "good"}]
        with running(config, tmp_path) as server:
            reply = server.ask(model=MODEL, headers=headers, max_tokens=100)
            row = server.row()
            assert row["cost"] > REAL_COST
            assert (row["provider"], row["cost_from"]) == ("good", "counted")
            assert float(reply.headers["x-router-cost"]) == pytest.approx(row["cost"])
            assert spent(server, tmp_path) == pytest.approx((row["cost"], row["cost"]))


def test_a_refusal_costs_nothing(upstream: Upstream, tmp_path: Path) -> None:
    upstream.fault = lambda body: "500"
    config, headers = keyed(upstream, 10.0)
    with running(config, tmp_path) as server:
        assert server.ask(model=MODEL, headers=headers).status_code == 502
        assert server.row()["cost"] is None
        assert spent(server, tmp_path) == (0.0, 0.0)


TWICE = [
    b'{"model":"m","messages":[{"role":"user"}],"max_tokens":900000,"max_tokens":5}',
    b'{"model":"m","messages":[{"role":"user"}],"max\\u005ftokens":900000,"max_tokens":5}',
    b'{"model":"m","messages":[{"role":"user"}],"n":9,"\\u006e":1,"max_tokens":5}',
    '{"model":"m","messages":[{"role":"user"}],"max_tokens":5}'.encode("utf-16"),
]


@pytest.mark.parametrize("raw", TWICE)
def test_a_body_that_servers_read_differently_is_written_anew(raw: bytes) -> None:
    body = parse_chat(raw)
    assert (body.most_tokens, body.choices) == (5, 1)
    assert b"900000" not in body.raw
    assert b"9" not in body.raw
    assert body.raw.count(b"max") == 1


def test_a_field_of_a_tool_is_no_field_of_the_request() -> None:
    raw = (
        b'{"model":"m","n":2,"messages":[{"role":"user"}],"tools":[{"function":{"parameters":{"n":1,"max_tokens":2}}}]}'
    )
    body = parse_chat(raw)
    assert (body.raw, body.most_tokens, body.choices) == (raw, None, 2)


@settings(max_examples=200)
@given(
    prices=st.tuples(*[st.floats(0.001, 100.0)] * 2),
    asked=st.none() | st.integers(1, 10**6),
    room=st.floats(1e-6, 10.0),
    size=st.integers(1, 10**6),
    choices=st.integers(1, 9),
)
def test_what_is_clamped_never_costs_more_than_was_granted(
    prices: tuple[float, float], asked: int | None, room: float, size: int, choices: int
) -> None:
    price = Price(*prices)
    bound = bound_of(price, (size // 4, size), asked=asked, choices=choices)
    if room < min(bound.least, bound.most):
        return
    tokens = bound.clamp(room)
    assert tokens is None or tokens >= min(LEAST_TOKENS, bound.tokens) - 1
    out = (bound.tokens if tokens is None else tokens) * choices
    worst = cost(bound.seen(out), Price(0.0, price.output))
    assert worst is not None
    assert bound.input + worst <= min(room, bound.most) * (1 + 1e-9) or math.isclose(room, bound.least)


NUMBERS = (
    None, 0, -1, 1, 5.0, "5", True, 10**40, 10**400, math.inf, math.nan, -math.inf, "abc", [5], {"a": 5}, "128", 2.5,
    "1e3", "inf", "0x10", " 7 ",
)  # fmt: skip
"""What a client may write for a number."""


def _read(value: Any) -> float:
    """The largest number that a lenient provider could read there, 0 for none."""
    try:
        return max(0.0, min(float(value), 1e9))
    except OverflowError:
        return 1e9 if value > 0 else 0.0
    except (TypeError, ValueError):
        return 0.0


@pytest.mark.slow
def test_a_provider_that_reads_every_number_as_the_dearest_one_cannot_bill_more_than_the_budget(
    upstream: Upstream,
) -> None:
    """It writes as much as any limit of the body lets it, in as many choices as any number of it asks for."""

    def bill(body: dict[str, Any]) -> dict[str, int]:
        limit = max(_read(body.get(name)) for name in ("max_tokens", "max_completion_tokens")) or LONGEST_REPLY
        choices = max(1.0, *(_read(body.get(name)) for name in ("n", "best_of")))
        out = int(min(limit, LONGEST_REPLY) * int(choices))
        return {"prompt_tokens": 60, "completion_tokens": out, "total_tokens": 60 + out}

    upstream.usage = bill
    dice = random.Random(17)
    served = 0
    for budget in (0.0004, 0.02, 1.0, 500.0):
        config, headers = keyed(upstream, budget)
        with running(config) as server:
            (account,) = server.gateway.keyring.limited
            for _ in range(60):
                fields = {
                    name: dice.choice(NUMBERS)
                    for name in ("max_tokens", "max_completion_tokens", "n", "best_of") if dice.random() < 0.4
                }  # fmt: skip
                body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], **fields})
                reply = server.http.post(f"{server.url}/chat/completions", content=body, headers=headers)
                served += reply.status_code == 200
                assert asyncio.run(account.spent()) <= budget * (1 + 1e-9), body
    assert served > 40


@pytest.mark.parametrize(
    ("field", "value"),
    [("models", ["o1-pro"]), ("provider", {"order": ["dear"]}), ("plugins", [{"id": "web"}]), ("audio", {"voice": "a"}),
     ("web_search_options", {}), ("fallbacks", ["o1-pro"]), ("tools", [{"type": "openrouter:web_search"}])],
)  # fmt: skip
@pytest.mark.parametrize("limit", [{"budget": 10.0}, {"models": [MODEL]}, {}])
def test_a_key_with_limits_cannot_change_who_serves_or_pay_for_more_than_text(
    upstream: Upstream, field: str, value: Any, limit: dict[str, Any]
) -> None:
    key, digest = new_key()
    keys = [{"name": "team", "sha256": digest, **limit}]
    with running(config_of({"one": upstream.url}, keys=keys)) as server:
        reply = server.ask(model=MODEL, headers={"authorization": f"Bearer {key}"}, **{field: value})
    if limit:
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "field_not_allowed")
        assert field in reply.json()["error"]["message"]
        assert not upstream.bodies
    else:
        assert upstream.sent()[field] == value


@pytest.mark.parametrize(
    ("path", "body"),
    [("chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
     ("responses", {"input": "Hi"}),
     ("messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9})],
)  # fmt: skip
def test_no_request_chooses_a_dearer_tier(upstream: Upstream, path: str, body: dict[str, Any]) -> None:
    raw = json.dumps({"model": MODEL, **body, "temperature": 1.50})
    raw = raw[:-1] + ', "service\\u005ftier": "priority", "service_tier": "priority"}'
    with running(config_of({"one": upstream.url})) as server:
        reply = server.http.post(f"{server.url}/{path}", content=raw)
    assert reply.status_code == 200
    assert "service_tier" in reply.headers["x-router-left-out"]
    assert "service_tier" not in upstream.sent()
    assert b"priority" not in upstream.bodies[-1]
