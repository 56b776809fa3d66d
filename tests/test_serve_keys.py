"""Client keys: who may ask, how often and for how much; and what never leaves the server."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import orjson
import pytest

from gateways import MODELS, REAL_COST, Running, config_of, running, wait_for
from llmrouterbench.serve.config import KeyConfig
from llmrouterbench.serve.keys import Account, Keyring, hash_key, new_key, period_start
from llmrouterbench.serve.ledger import Grant
from llmrouterbench.serve.refusals import RefusedError
from llmrouterbench.serve.state import State, open_store
from upstream import FAULTS, TELLING, Upstream

FAST = {"timeout": 5.0, "first_token_timeout": 2.0, "idle_timeout": 2.0}
PROVIDER_KEY = "sk-canary-provider-0123456789"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def taken(account: Account, usd: float) -> Grant:
    grant = asyncio.run(account.reserve(usd, usd))
    assert grant is not None
    return grant


def keyed(upstream: Upstream, **limits: Any) -> tuple[dict[str, Any], str]:
    key, digest = new_key()
    return config_of({"one": upstream.url}, keys=[{"name": "team", "sha256": digest, **limits}]), key


def test_only_a_known_key_is_served(upstream: Upstream) -> None:
    config, key = keyed(upstream)
    with running(config) as server:
        assert server.ask(headers=bearer(key)).status_code == 200
        for headers in ({}, bearer("lrb-wrong"), bearer(key[:-1]), {"authorization": f"Basic {key}"}):
            refused = server.ask(headers=headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        for path in ("v1/models", "metrics"):
            from_elsewhere = {"x-forwarded-for": "203.0.113.7"}
            assert server.http.get(f"{server.root}/{path}", headers=from_elsewhere).status_code == 401
            assert server.http.get(f"{server.root}/{path}", headers=bearer(key)).status_code == 200
        assert server.http.get(f"{server.root}/healthz").status_code == 200
        assert [line["key"] for line in server.lines()] == ["team", *["-"] * 4]


def test_a_key_may_not_ask_too_often(upstream: Upstream) -> None:
    config, key = keyed(upstream, requests_per_minute=12.0)
    with running(config) as server:
        statuses = [server.ask(headers=bearer(key)).status_code for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
        refused = server.ask(headers=bearer(key))
        assert 0 < int(refused.headers["retry-after"]) <= 5
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def test_a_budget_is_kept_over_a_restart(upstream: Upstream, tmp_path: Path) -> None:
    config, key = keyed(upstream, budget=REAL_COST, budget_period="ever")
    named = config["models"][0]["name"]
    with running(config, tmp_path) as server:
        replies = [server.ask(model=named, headers=bearer(key)) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 429, 429]
        assert replies[1].json()["error"]["code"] == "insufficient_quota"
        assert replies[1].headers["x-should-retry"] == "false"
        server.frames(3)
    with running(config, tmp_path) as server:
        account = server.gateway.keyring.account(f"Bearer {key}")
        assert asyncio.run(account.spent()) == pytest.approx(REAL_COST)
        assert server.ask(model=named, headers=bearer(key)).status_code == 429


def test_a_key_scores_its_own_decisions_only(upstream: Upstream, tmp_path: Path) -> None:
    mine, digest = new_key()
    other, other_digest = new_key()
    keys = [{"name": "a", "sha256": digest}, {"name": "b", "sha256": other_digest}]
    with running(config_of({"one": upstream.url}, keys=keys), tmp_path) as server:
        decision = server.ask(headers=bearer(mine)).headers["x-router-decision"]
        body = {"decision": decision, "score": 1.0}
        assert server.http.post(f"{server.url}/feedback", json=body, headers=bearer(other)).status_code == 404
        assert server.http.post(f"{server.url}/feedback", json=body, headers=bearer(mine)).status_code == 200


def test_a_key_sees_its_own_numbers_only(upstream: Upstream) -> None:
    made = {name: new_key() for name in ("a", "b", "boss")}
    keys = [{"name": name, "sha256": digest, "admin": name == "boss"} for name, (_, digest) in made.items()]
    with running(config_of({"one": upstream.url}, keys=keys)) as server:
        for name in ("a", "b"):
            assert server.ask(headers=bearer(made[name][0])).status_code == 200

        def page(**headers: str) -> str:
            return server.http.get(f"{server.root}/metrics", headers=headers).text

        own = page(**bearer(made["a"][0]))
        assert 'key="a"' in own
        assert 'key="b"' not in own
        assert "llmrouterbench_attempts" not in own
        for whole in (page(**bearer(made["boss"][0])), page()):
            assert 'key="a"' in whole
            assert 'key="b"' in whole
            assert "llmrouterbench_attempts" in whole
        assert 'key="a"' not in page(**{"x-forwarded-for": "127.0.0.1"}), "a proxy on this machine is not this machine"


def test_no_key_and_no_client_header_goes_where_it_does_not_belong(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider gets its own key alone; nothing that the server says or writes holds a key."""
    monkeypatch.setenv("CANARY_KEY", PROVIDER_KEY)
    config, key = keyed(upstream)
    config["providers"]["one"]["key_env"] = "CANARY_KEY"
    config["embeddings"] = [{"name": "vectors", "provider": "one"}]
    said = []
    with running(config, tmp_path, log_text=True) as server:
        faults = ("", "400", "401", "500", "429", "html", *TELLING)
        for fault in faults:
            upstream.fault = lambda body, fault=fault: fault  # type: ignore[misc]
            headers = {**bearer(key), "cookie": "secret=1", "x-forwarded-host": "elsewhere"}
            said.append(server.ask(headers=headers, stream=fault.endswith("event")))
            assert b"***" in said[-1].content or fault not in TELLING, fault
            body = {"model": "vectors", "input": "Hi"}
            said.append(server.http.post(f"{server.url}/embeddings", json=body, headers=headers))
        said.append(server.ask(headers=bearer("lrb-wrong-canary")))
        said.append(server.http.get(f"{server.root}/metrics", headers=bearer(key)))
        said.append(server.http.get(f"{server.root}/openapi.json"))
        server.frames(len(faults))
        written = server.stream.getvalue()
    upstream.fault = lambda body: ""
    assert upstream.headers[-1]["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert not {"cookie", "x-forwarded-host"} & set(upstream.headers[-1])
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    everything = written + files + b"".join(bytes(str(reply.headers), "utf8") + reply.content for reply in said)
    for secret in (PROVIDER_KEY, key, "lrb-wrong-canary"):
        assert secret[:12].encode() not in everything
        for form in ("\\u%04X", "%%%02x", "%02x"):
            assert "".join(form % ord(one) for one in secret[:12]).encode() not in everything
        assert b64encode(b"me:Bearer " + secret.encode())[20:32] not in everything


@pytest.mark.prove
def test_in_five_hundred_failures_no_key_is_found_anywhere(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults of providers and of clients over all paths: no reply, header, log, metric or file holds a key."""
    monkeypatch.setenv("CANARY_KEY", PROVIDER_KEY)
    mine, digest = new_key()
    state = State(open_store(str(tmp_path / "state.sqlite")))
    keys = [{"name": "team", "sha256": digest, "budget": 1000.0, "requests_per_minute": 1e6}]
    config = config_of({"one": upstream.url}, keys=keys, fallback={"attempts": 2, "failures": 10_000}, provider=FAST)
    config["providers"]["one"]["key_env"] = "CANARY_KEY"
    config["embeddings"] = [{"name": "vectors", "provider": "one", "price": {"input": 1.0, "output": 0.0}}]
    said: list[bytes] = []
    failed = 0

    def note(reply: httpx2.Response) -> None:
        nonlocal failed
        said.append(bytes(str(reply.headers), "utf8") + reply.content)
        failed += reply.status_code >= 400 or b"error" in reply.content

    faults = [fault for fault in (*FAULTS, *TELLING) if not fault.startswith("stall")]
    with running(config, tmp_path / "log", log_text=True, state=state) as server:
        for number in range(8):
            for fault in faults:
                upstream.fault = lambda body, fault=fault: fault  # type: ignore[misc]
                headers = {**bearer(mine), "x-api-key": mine, "cookie": f"key={mine}"}
                note(server.ask(headers=headers, stream=number % 2 == 0, model=("auto", MODELS[0])[number % 3 == 0]))
                body = {"model": "vectors", "input": "Hi"}
                note(server.http.post(f"{server.url}/embeddings", json=body, headers=headers))
        for number in range(12):
            headers = bearer(mine) if number % 2 else bearer(f"{mine}x")
            for path in ("chat/completions", "embeddings", "feedback", "models", mine, f"models?key={mine}"):
                for raw in (b"", mine.encode(), orjson.dumps({"model": mine, "messages": []}), orjson.dumps([mine])):
                    note(server.http.post(f"{server.url}/{path}", content=raw, headers=headers))
            note(server.http.get(f"{server.root}/metrics?key={mine}", headers=bearer(f"{mine}x")))
        upstream.fault = lambda body: ""
        note(server.http.get(f"{server.root}/metrics"))
        wait_for(lambda: server.http.get(f"{server.root}/healthz").status_code == 200)
        written = server.stream.getvalue()
    assert failed >= 500
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for place, text in (("log lines", written), ("files", files), ("replies", b"".join(said))):
        for secret in (PROVIDER_KEY, mine):
            for form in (
                secret,
                "".join(f"\\u{ord(one):04X}" for one in secret),
                "".join(f"%{ord(one):02x}" for one in secret),
                secret.encode().hex(),
                b64encode(b"me:Bearer " + secret.encode()).decode()[20:],
            ):
                assert form[:60].encode() not in text, (place, form[:8])


def test_a_request_cannot_name_a_provider(upstream: Upstream) -> None:
    """Fields and headers that other gateways read do not move a request."""
    with Upstream() as elsewhere, running(config_of({"one": upstream.url})) as server:
        fields = {"api_base": elsewhere.url, "base_url": elsewhere.url, "provider": elsewhere.url}
        headers = {"x-llm-base-url": elsewhere.url, "host": elsewhere.url.split("/")[2]}
        assert server.ask(headers=headers, **fields).status_code == 200
        assert not elsewhere.bodies


def test_the_bucket_of_a_key_fills_with_time() -> None:
    now = [0.0]
    config = KeyConfig(name="a", sha256="0" * 64, requests_per_minute=60.0)
    account = Account(config, State(clock=lambda: now[0]))
    for _ in range(10):
        asyncio.run(account.admit())
    with pytest.raises(RefusedError, match="60 requests a minute"):
        asyncio.run(account.admit())
    now[0] = 1.0
    asyncio.run(account.admit())


def test_a_budget_starts_anew_with_its_period() -> None:
    now = [period_start("day", 1e9)]
    config = KeyConfig(name="a", sha256="0" * 64, budget=1.0, budget_period="day")
    account = Account(config, clock=lambda: now[0])
    asyncio.run(account.settle(taken(account, 0.6), 0.9))
    with pytest.raises(RefusedError, match=r"budget of \$1 a day"):
        taken(account, 0.2)
    late = taken(account, 0.05)
    now[0] += 86400
    asyncio.run(account.settle(late, 5.0))
    assert asyncio.run(account.spent()) == 0.0, "what began in another period is paid there"
    assert taken(account, 0.2).usd == 0.2


def test_requests_under_way_cannot_overspend_together() -> None:
    account = Account(KeyConfig(name="a", sha256="0" * 64, budget=1.0))
    first = taken(account, 0.7)
    with pytest.raises(RefusedError):
        taken(account, 0.7)
    asyncio.run(account.settle(first, 0.1))
    assert taken(account, 0.7).usd == 0.7


def test_a_keyring_without_keys_is_open() -> None:
    assert Keyring([]).account("").name == "-"
    key, digest = new_key()
    assert digest == hash_key(key)
    assert Keyring([KeyConfig(name="a", sha256=digest)]).account(f"bearer {key}").name == "a"


def test_large_and_slow_bodies_are_refused(upstream: Upstream) -> None:
    import socket

    config = config_of({"one": upstream.url}, limits={"body_bytes": 2000, "body_seconds": 0.5})
    with running(config) as server:
        assert server.ask("a" * 3000).status_code == 413

        def pieces() -> Iterator[bytes]:
            yield b"{" + b" " * 1500
            yield b" " * 1500

        assert server.http.post(f"{server.url}/chat/completions", content=pieces()).status_code == 413
        host, port = server.root.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as slow:
            slow.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")
            assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_too_many_requests_at_once_are_refused() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with Upstream(latency=1.0) as slow:
        config = config_of({"one": slow.url}, limits={"requests": 2})
        with running(config) as server, ThreadPoolExecutor(5) as pool:
            statuses = sorted(reply.status_code for reply in pool.map(lambda _: server.ask(), range(5)))
        assert statuses == [200, 200, 503, 503, 503]


def test_keys_hold_for_running(upstream: Upstream) -> None:
    config, key = keyed(upstream)
    with running(config) as server:
        assert isinstance(server, Running)
        models = server.client(key).models
        assert models.list().data[0].id == "auto"
        assert models.retrieve(MODELS[1]).id == MODELS[1]
        with pytest.raises(openai.NotFoundError, match="did you mean 'gpt-5'"):
            models.retrieve("gpt-55")
        assert server.http.get(f"{server.root}/readyz").json() == {"status": "ready"}
