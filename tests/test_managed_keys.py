"""Keys that are made, changed and revoked while servers go on: what each may do, and who pays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from gateways import MODELS, REAL_COST, Running, config_of, running, wait_for
from llmrouterbench.commands import keys  # noqa: F401
from llmrouterbench.commands.app import app
from llmrouterbench.serve.config import KeyConfig, ServeConfig, TeamConfig, parse_serve_config
from llmrouterbench.serve.keys import Account, hash_key
from llmrouterbench.serve.managed_keys import ManagedKeys, read_managed
from llmrouterbench.serve.refusals import RefusedError
from llmrouterbench.serve.state import State, open_store
from test_serve_state import address, postgres_address, redis_address  # noqa: F401
from upstream import Upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def managed(upstream: Upstream, state: str, **more: Any) -> ServeConfig:
    return parse_serve_config(config_of({"one": upstream.url}, state=state, managed_keys=True, **more))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def said(config: Path, *words: str) -> Any:
    done = CliRunner().invoke(app, ["keys", words[0], *words[1:], "--config", str(config), "--json"])
    assert done.exit_code == 0, done.output
    return orjson.loads(done.stdout)


def test_a_key_is_made_changed_and_revoked_while_the_server_goes_on(upstream: Upstream, tmp_path: Path) -> None:
    chosen = managed(upstream, str(tmp_path / "state.sqlite"))
    file = tmp_path / "serve.yaml"
    file.write_bytes(orjson.dumps(chosen.model_dump()))  # JSON is YAML
    with running(chosen.model_dump(), state=State(open_store(chosen.state))) as server:
        assert server.ask().status_code == 401  # without a key nobody is let in
        key = said(file, "make", "ann", "--model", MODELS[0], "--policy", "best")["key"]

        def status(model: str) -> int:
            return server.ask(model=model, headers=bearer(key)).status_code

        wait_for(lambda: status("auto") == 200)
        assert server.ask(headers=bearer(key)).headers["x-router-model"] == MODELS[0]
        assert status(MODELS[0]) == status("auto:best") == 200
        assert status(MODELS[1]) == status("auto:cheapest --min-quality 0.1") == 403
        listed = server.http.get(f"{server.url}/models", headers=bearer(key)).json()["data"]
        assert [one["id"] for one in listed] == ["auto", MODELS[0]]
        assert said(file, "change", "ann", "--model", "")["models"] == []
        wait_for(lambda: status(MODELS[1]) == 200)
        assert status("auto:weight 3") == 403  # what was not named stays
        (shown,) = said(file, "list")["keys"]
        assert (shown["name"], shown["sha256"]) == ("ann", hash_key(key))
        said(file, "revoke", "ann")
        wait_for(lambda: status("auto") == 401)
    assert key.encode() not in (tmp_path / "state.sqlite").read_bytes()
    plain = CliRunner().invoke(app, ["keys", "list", "--config", str(file)])
    assert plain.exit_code == 0, plain.output


def left(server: Running, key: str) -> int:
    return server.ask(headers=bearer(key)).status_code


def test_a_team_spends_one_budget(upstream: Upstream, tmp_path: Path) -> None:
    chosen = managed(upstream, str(tmp_path / "state.sqlite"))
    tended = ManagedKeys(chosen)
    tended.team("red", 2.5 * REAL_COST, "ever")
    for name in ("ann", "bob"):
        tended.make({"name": name, "sha256": hash_key(name), "team": "red"})
    tended.make({"name": "cat", "sha256": hash_key("cat")})
    log = tmp_path / "log"
    with running(chosen.model_dump(), log, state=State(open_store(chosen.state))) as server:
        asked = [server.ask(headers=bearer(key), max_tokens=100).status_code for key in ("ann", "bob", "ann", "bob")]
        assert asked[:2] == [200, 200]
        assert asked[3] == 429
        refused = server.ask(headers=bearer("ann"), max_tokens=10**6)
        assert "team 'red' has no room left" in refused.json()["error"]["message"]
        assert server.ask(headers=bearer("cat"), max_tokens=100).status_code == 200
        tended.team("red", 1.0, "ever")
        wait_for(lambda: left(server, "ann") == 200)
    with running(chosen.model_dump(), log, state=State(open_store(str(tmp_path / "new.sqlite")))) as server:
        assert left(server, "ann") == 401  # another state, other keys
    again = managed(upstream, str(tmp_path / "new.sqlite"))
    ManagedKeys(again).team("red", 2.5 * REAL_COST, "ever")
    ManagedKeys(again).make({"name": "bob", "sha256": hash_key("bob"), "team": "red"})
    ManagedKeys(again).make({"name": "ann", "sha256": hash_key("ann"), "team": "red"})
    with running(again.model_dump(), log, state=State(open_store(again.state))) as server:
        assert left(server, "bob") == 429  # the log remembers what the team has spent


def test_both_books_are_kept_and_both_hold() -> None:
    team = TeamConfig(name="red", budget=1.0, budget_period="ever")
    state = State()
    ann = Account(KeyConfig(name="ann", sha256="0" * 64, budget=0.5, budget_period="ever"), state, team=team)
    bob = Account(KeyConfig(name="bob", sha256="1" * 64), state, team=team)

    async def work() -> None:
        grant = await ann.reserve(0.75, 0.1)
        assert grant is not None
        assert (grant.usd, grant.also is not None) == (0.5, True)
        rest = await bob.reserve(0.75, 0.1)
        assert rest is not None
        assert rest.usd == 0.5
        await bob.settle(rest, 0.5)
        await ann.settle(grant, 0.25)
        with pytest.raises(RefusedError):
            await bob.reserve(0.3, 0.3)
        assert await ann.spent() == 0.25  # what the team refused was given back
        with pytest.raises(RefusedError):
            await ann.reserve(0.3, 0.3)
        held = await ann.reserve(0.25, 0.25)
        assert held is not None

    asyncio.run(work())


def test_tokens_a_minute_come_back_with_time() -> None:
    now = [1000.0]
    account = Account(KeyConfig(name="a", sha256="0" * 64, tokens_per_minute=600.0), State(clock=lambda: now[0]))
    asyncio.run(account.admit())
    account.use_tokens(900)  # what one call used is known when it has ended
    with pytest.raises(RefusedError) as refused:
        asyncio.run(account.admit())
    assert refused.value.status == 429
    now[0] += 31.0
    asyncio.run(account.admit())


@pytest.mark.slow
def test_tokens_a_minute_of_a_served_key(upstream: Upstream, tmp_path: Path) -> None:
    chosen = managed(upstream, str(tmp_path / "state.sqlite"))
    ManagedKeys(chosen).make({"name": "a", "sha256": hash_key("a"), "tokens_per_minute": 1200.0})
    with running(chosen.model_dump(), state=State(open_store(chosen.state))) as server:
        assert left(server, "a") == 200  # 1,100 tokens
        assert left(server, "a") == 200
        wait_for(lambda: left(server, "a") == 429)


@pytest.mark.slow
def test_keys_lie_in_every_store(upstream: Upstream, address: str) -> None:  # noqa: F811
    tended = ManagedKeys(managed(upstream, address))
    tended.team("red", 5.0, "day")
    tended.make({"name": "ann", "sha256": "a" * 64, "team": "red", "budget": 1.0})
    tended.change("ann", budget=None, tokens_per_minute=100.0)
    ((ann,), (red,)) = ManagedKeys(managed(upstream, address)).all()
    assert (ann.team, ann.budget, ann.tokens_per_minute, red.budget) == ("red", None, 100.0, 5.0)
    tended.revoke("ann")
    assert tended.all()[0] == []


def test_what_cannot_be_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    config = config_of({"one": upstream.url})
    with pytest.raises(ValueError, match="managed_keys needs a state"):
        parse_serve_config({**config, "managed_keys": True})
    with pytest.raises(ValueError, match="managed_keys: true"):
        ManagedKeys(parse_serve_config(config))
    mine = {"name": "mine", "sha256": "b" * 64}
    tended = ManagedKeys(managed(upstream, str(tmp_path / "state.sqlite"), keys=[mine]))
    tended.make({"name": "ann", "sha256": "a" * 64})
    wrong: list[tuple[str, Any]] = [
        ("'ann' is there already", lambda: tended.make({"name": "ann", "sha256": "c" * 64})),
        ("'mine' is there already", lambda: tended.make({"name": "mine", "sha256": "c" * 64})),
        ("no team named 'red'", lambda: tended.change("ann", team="red")),
        ("no model named 'gpt-6'", lambda: tended.change("ann", models=["gpt-6"])),
        ("no key named 'anm'; did you mean 'ann'", lambda: tended.revoke("anm")),
        ("stands in the config", lambda: tended.revoke("mine")),
        ("budget", lambda: tended.change("ann", budget=-1.0)),
        ("budget_period", lambda: tended.team("red", 1.0, "year")),
    ]
    for words, do in wrong:
        with pytest.raises(ValueError, match=words):
            do()
    assert [key.name for key in tended.all()[0]] == ["ann"]
    unpriced = config_of({"one": upstream.url}, state="s.sqlite", managed_keys=True)
    del unpriced["models"][1]["price"]
    unpriced["models"][1]["name"] = "unlisted"
    with pytest.raises(ValueError, match="managed keys may have a budget"):
        parse_serve_config(unpriced).prices()


def test_a_key_of_a_team_that_is_not_there_is_not_let_in(upstream: Upstream, tmp_path: Path) -> None:
    chosen = managed(upstream, str(tmp_path / "state.sqlite"))
    store = open_store(chosen.state)
    ann = KeyConfig(name="ann", sha256=hash_key("ann"), team="gone").model_dump()
    newer = {"name": "new", "sha256": hash_key("new"), "limit_of_tomorrow": 1}
    store.swap("keys", None, orjson.dumps({"keys": {"ann": ann, "new": newer}, "teams": {}}), None)
    store.close()
    with running(chosen.model_dump(), state=State(open_store(chosen.state))) as server:
        assert left(server, "ann") == left(server, "new") == 401
    assert read_managed(None) == ([], [])
