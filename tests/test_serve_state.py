"""One set of books, rates, conversations and breakers for many workers: in SQLite, Redis and PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways import config_of, fitted, running, wait_for
from llmrouterbench.decision_log import DecisionLog
from llmrouterbench.serve import state as state_module
from llmrouterbench.serve.breaker import OPEN, Breaker
from llmrouterbench.serve.config import KeyConfig, parse_serve_config
from llmrouterbench.serve.keys import Account, new_key
from llmrouterbench.serve.ledger import Ledger
from llmrouterbench.serve.refusals import RefusedError
from llmrouterbench.serve.state import State, open_store
from llmrouterbench.serve.state.postgres import PostgresStore
from llmrouterbench.serve.state.redis import RedisStore
from llmrouterbench.serve.state.sqlite import SqliteStore
from llmrouterbench.serve.workers import serve_with_workers
from servers import postgres_server, redis_server
from test_serve_process import serving, wait_until_there
from upstream import Upstream

pytestmark = pytest.mark.slow
STORES = {"sqlite": SqliteStore, "redis": RedisStore, "postgres": PostgresStore}
KEY = KeyConfig(name="team", sha256="0" * 64, budget=1.0, budget_period="ever")


@pytest.fixture(scope="module")
def redis_address() -> Iterator[str]:
    with redis_server() as address:
        yield address


@pytest.fixture(scope="module")
def postgres_address() -> Iterator[str]:
    with postgres_server() as address:
        yield address


@pytest.fixture(params=list(STORES))
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store."""
    if request.param == "sqlite":
        return str(tmp_path / "folder" / "state.sqlite")
    found = str(request.getfixturevalue(f"{request.param}_address"))
    if request.param == "redis":
        import redis

        with redis.Redis.from_url(found) as server:
            server.flushdb()
    else:
        import psycopg

        with psycopg.connect(found, autocommit=True) as server:
            server.execute("DROP TABLE IF EXISTS llmrouterbench_state")
    return found


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("router") / "r"
    fitted().save(folder)
    return folder


# --- the store -------------------------------------------------------------------------------------------------------


def test_a_value_is_replaced_only_where_it_is_what_was_read(address: str) -> None:
    with closing(open_store(address)) as store, closing(open_store(address)) as other:
        assert store.swap("a", None, b"1", None)
        assert not other.swap("a", None, b"2", None)
        assert not other.swap("a", b"0", b"2", None)
        assert other.swap("a", b"1", b"2", None)
        assert store.read(["b", "a"])[0] == [None, b"2"]
        assert not store.swap("a", b"1", None, None)
        assert store.swap("a", b"2", None, None)
        assert other.read(["a"])[0] == [None]
        assert store.swap("none", None, None, None)


def test_what_has_ended_is_gone_and_makes_room(address: str) -> None:
    with closing(open_store(address)) as store:
        assert store.swap("short", None, b"1", 0.05)
        assert store.swap("long", None, b"1", 600.0)
        _, now = store.read(["short"])
        while store.read(["short"])[0] != [None]:
            assert store.read([])[1] < now + 30 if address.startswith("redis") else True
        assert store.swap("short", None, b"2", 0.01), "a new one may begin in its place"
        while store.read(["short"])[0] != [None]:
            pass
        store.sweep()
        assert store.read(["long", "short"])[0] == [b"1", None]


def test_a_state_needs_an_address_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"state must be a path, redis:// or postgresql://, got mysql://"):
        open_store("mysql://host")
    config = config_of({"one": "http://127.0.0.1:9/v1"})
    with pytest.raises(ValueError, match="state must not hold a password"):
        parse_serve_config({**config, "state": "redis://:hunter2@host"})
    with pytest.raises(ValueError, match="must not both be given"):
        parse_serve_config({**config, "state": "a.sqlite", "state_env": "STATE"})
    told = parse_serve_config({**config, "state_env": "STATE"})
    with pytest.raises(ValueError, match="the environment variable STATE must hold the state's address"):
        told.state_address()
    monkeypatch.setenv("STATE", "redis://host")
    assert told.state_address() == "redis://host"


# --- books, rates, breakers ------------------------------------------------------------------------------------------


def test_two_workers_have_one_budget_one_rate_and_one_memory(address: str) -> None:
    async def both() -> None:
        states = [State(open_store(address)) for _ in range(2)]
        config = KEY.model_copy(update={"requests_per_minute": 0.1})
        one, two = (Account(config, state) for state in states)
        grant = await one.reserve(0.7, 0.7)
        assert grant is not None
        with pytest.raises(RefusedError, match="no room left"):
            await two.reserve(0.7, 0.7)
        rest = await two.reserve(0.7, 0.1)
        assert rest is not None
        assert rest.usd == pytest.approx(0.3)
        await two.settle(rest, 0.05)
        await one.settle(grant, 0.5)
        assert await two.spent() == pytest.approx(0.55)
        await one.admit()
        with pytest.raises(RefusedError, match=r"0\.1 requests a minute"):
            await two.admit()
        await states[0].update("conversation:a", lambda *_: ("gpt-5", None), 60.0)
        assert await states[1].read("conversation:a") == "gpt-5"
        for state in states:
            await state.close()

    asyncio.run(both())


def test_what_one_worker_sees_fail_rests_for_all_and_one_call_tries_it(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "_EVERY", 0.02)

    async def until(true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not true():
                await asyncio.sleep(0.01)

    async def both() -> None:
        states = [State(open_store(address)) for _ in range(2)]
        one, two = (Breaker(2, 1.0, state.mirror("breaker:p:m")) for state in states)
        for state in states:
            state.begin()
        one.failed()
        one.failed()
        assert not one.ready()
        await until(lambda: two.state == OPEN)
        assert not two.ready()
        await until(lambda: one.ready() and two.ready())
        assert sorted([await one.begin(), await two.begin()]) == [False, True]
        one.succeeded()
        two.succeeded()
        await until(lambda: not (one.state or two.state))
        assert one.ready()
        assert two.ready()
        for state in states:
            await state.close()

    asyncio.run(both())


def test_a_call_is_settled_once_however_often_it_is_said() -> None:
    async def settle() -> float:
        state = State()
        ledger = Ledger(state)
        grant = await ledger.take("a", 0.0, 1.0, 0.5, 0.5)
        assert grant is not None
        change = ledger._settling("budget:0:a", grant.id, 0.25)
        for _ in range(3):
            await state.update("budget:0:a", change)
        return await ledger.spent("a", 0.0)

    assert asyncio.run(settle()) == 0.25


@settings(max_examples=50, deadline=None)
@given(calls=st.lists(st.tuples(st.floats(0.01, 0.6), st.floats(0, 1), st.booleans()), max_size=12))
def test_spent_and_held_never_exceed_the_limit(calls: list[tuple[float, float, bool]]) -> None:
    """A call costs at most what was taken for it; some are never settled."""

    async def play() -> None:
        ledger = Ledger()
        taken = settled = 0.0
        for most, share, ends in calls:
            grant = await ledger.take("a", 0.0, 1.0, most, most / 2)
            if grant is None:
                continue
            cost = grant.usd * share if ends else grant.usd
            taken += cost
            if ends:
                settled += cost
                await ledger.settle(grant, cost)
        assert taken <= 1.0 + 1e-9
        assert await ledger.spent("a", 0.0) == pytest.approx(settled)

    asyncio.run(play())


def test_a_store_that_lost_its_data_makes_nothing_free(tmp_path: Path) -> None:
    async def play() -> None:
        state = State(open_store(str(tmp_path / "state.sqlite")))
        ledger = Ledger(state)
        for _ in range(2):
            grant = await ledger.take("a", 0.0, 1.0, 0.4, 0.4)
            assert grant is not None
            await ledger.settle(grant, 0.4)
        state._store._file.run("DELETE FROM state")  # type: ignore[union-attr]
        assert await ledger.take("a", 0.0, 1.0, 0.4, 0.4) is None
        await state.close()

    asyncio.run(play())


# --- processes -------------------------------------------------------------------------------------------------------


def keyed(url: str, state: str, **more: Any) -> tuple[dict[str, Any], dict[str, str]]:
    key, digest = new_key()
    keys = [{"name": "team", "sha256": digest, "budget": 1.0, "budget_period": "ever", **more}]
    return config_of({"one": url}, keys=keys, state=state), {"authorization": f"Bearer {key}"}


def books(address: str) -> dict[str, Any]:
    """What the state holds of the key's budget."""

    async def read() -> dict[str, Any]:
        state = State(open_store(address))
        found: dict[str, Any] = await state.read("budget:0:team")
        await state.close()
        return found

    return asyncio.run(read())


@pytest.mark.prove
def test_a_key_of_one_dollar_pays_for_one_call_of_one_dollar(address: str, router: Path, tmp_path: Path) -> None:
    """200 calls at once, three workers, and the one that serves the call is killed: it is paid for once."""
    told = {"prompt_tokens": 0, "completion_tokens": 500_000, "total_tokens": 500_000}
    with Upstream(latency=60.0, usage=lambda body: told) as upstream:
        config, headers = keyed(upstream.url, address)
        more = ("--workers", "3", "--no-request-lines", "--log", str(tmp_path / "log"))
        with serving(router, config, tmp_path, *more) as (process, url), ThreadPoolExecutor(64) as pool:
            wait_until_there(url)
            assert len(workers_of(process.pid)) == 3
            body = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 500_000}

            def ask(_: int) -> int:
                try:
                    return httpx2.post(f"{url}/chat/completions", json=body, headers=headers, timeout=120).status_code
                except httpx2.TransportError:
                    return 0

            asked = [pool.submit(ask, number) for number in range(200)]
            wait_for(lambda: bool(upstream.bodies))
            (serves,) = [one for one in workers_of(process.pid) if talks_to(one, upstream.url)]
            os.kill(serves, signal.SIGKILL)
            statuses = Counter(one.result() for one in asked)
            assert set(statuses) == {0, 429}, statuses
            wait_for(lambda: len(workers_of(process.pid)) == 3)
            assert {ask(0) for _ in range(20)} == {429}
            assert len(upstream.bodies) == 1
        assert (books(address)["spent"], len(books(address)["held"])) == (0.0, 1)
        assert sum(books(address)["held"].values()) == pytest.approx(1.0)


@pytest.mark.prove
def test_the_books_equal_those_of_the_provider(address: str, router: Path, tmp_path: Path) -> None:
    """Calls of three cents at once on a key of one dollar: those it pays for are served, and in the books."""

    def told(body: dict[str, Any]) -> dict[str, int]:
        return {"prompt_tokens": 0, "completion_tokens": body["max_tokens"], "total_tokens": body["max_tokens"]}

    with Upstream(latency=0.05, usage=told) as upstream:
        config, headers = keyed(upstream.url, address)
        more = ("--workers", "3", "--no-request-lines", "--log", str(tmp_path / "log"))
        with serving(router, config, tmp_path, *more) as (process, url), ThreadPoolExecutor(32) as pool:
            wait_until_there(url)
            body = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 14_900}

            def ask(_: int) -> int:
                reply = httpx2.post(f"{url}/chat/completions", json=body, headers=headers, timeout=120)
                return reply.status_code

            statuses = Counter(pool.map(ask, range(200)))
            assert statuses[200] == len(upstream.bodies)
            paid = sum(2e-6 * one["completion_tokens"] for one in upstream.told if one is not None)
            assert 0.95 < paid <= 1.0
            assert set(statuses) == {200, 429}
            page = httpx2.get(f"{url.removesuffix('/v1')}/metrics", timeout=60).text
            counted = sum(float(line.split()[-1]) for line in page.splitlines() if "_requests_total{" in line)
            assert counted == 200, "the metrics are of all workers together"
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        assert books(address)["spent"] == pytest.approx(paid)
        assert not books(address)["held"]
        log = DecisionLog(tmp_path / "log", lambda lost, said: None)
        assert log.spent("team", 0.0) == pytest.approx(paid)


def workers_of(process: int) -> list[int]:
    """The workers of a server."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def talks_to(process: int, url: str) -> bool:
    """Whether a process has a connection to an address of this machine."""
    port = int(url.removesuffix("/v1").rpartition(":")[2])
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in table if row[2].endswith(f":{port:04X}")}
    found = set()
    for one in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            found.add(os.readlink(one))
    return bool(found & sockets)


@pytest.mark.prove
def test_workers_end_with_their_parent(router: Path, tmp_path: Path) -> None:
    with Upstream() as upstream:
        config = config_of({"one": upstream.url})
        with serving(router, config, tmp_path, "--workers", "2") as (process, url):
            wait_until_there(url)
            workers = workers_of(process.pid)
            assert len(workers) == 2
            process.kill()
            wait_for(lambda: not any(Path(f"/proc/{one}/cmdline").exists() for one in workers))


@pytest.mark.prove
def test_a_hangup_changes_router_and_config_and_drops_no_stream(router: Path, tmp_path: Path) -> None:
    with Upstream(pause=0.5) as upstream:
        config = config_of({"one": upstream.url})
        with serving(router, config, tmp_path, "--workers", "2", "--no-request-lines") as (process, url):
            wait_until_there(url)
            pieces: list[bytes] = []
            body = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}], "stream": True}

            def read() -> None:
                with httpx2.stream("POST", f"{url}/chat/completions", json=body, timeout=60) as reply:
                    pieces.extend(reply.iter_raw())

            reading = threading.Thread(target=read)
            reading.start()
            wait_for(lambda: bool(pieces))
            before = set(workers_of(process.pid))
            (tmp_path / "serve.yaml").write_text("models: []")
            process.send_signal(signal.SIGHUP)
            assert process.stderr is not None
            assert b"nothing is changed" in process.stderr.readline()
            assert set(workers_of(process.pid)) == before
            renamed = {**config, "models": [{**config["models"][0], "also": []}, {**config["models"][1]}]}
            (tmp_path / "serve.yaml").write_text(yaml.safe_dump(renamed))
            process.send_signal(signal.SIGHUP)
            assert b"router and config are those of the files" in process.stderr.readline()
            reading.join()
            assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
            wait_for(lambda: not before & set(workers_of(process.pid)))
            models = httpx2.get(f"{url}/models", timeout=60).json()["data"]
            assert [one["id"] for one in models] == ["auto", "gpt-5", "glm-4.6"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


@pytest.mark.prove
def test_a_worker_that_cannot_start_is_one_sentence(router: Path, tmp_path: Path) -> None:
    config = config_of({"one": "http://127.0.0.1:9/v1"}, policy="weight 1 --seconds-weight 1")
    with pytest.raises(AssertionError, match="seconds"), serving(router, config, tmp_path, "--workers", "2"):
        pass
    assert callable(serve_with_workers)


def test_two_servers_on_one_log_need_one_state(tmp_path: Path) -> None:
    def log(state: str) -> DecisionLog:
        return DecisionLog(tmp_path, lambda lost, said: None, state=state)

    for first, second in (("", ""), ("", "a"), ("a", ""), ("a", "b")):
        with log(first), pytest.raises(BlockingIOError, match="must have one server, or several with one state"):
            log(second).__enter__()
    with log("a"), log("a"), log("a"):
        pass
    with log(""):
        pass


# --- without the store -----------------------------------------------------------------------------------------------


@pytest.mark.prove
def test_while_the_store_is_away_nothing_is_free_and_the_rest_is_served() -> None:
    limited, free = new_key(), new_key()
    keys = [
        {"name": "limited", "sha256": limited[1], "budget": 10.0},
        {"name": "free", "sha256": free[1]},
    ]
    with Upstream() as upstream, redis_server() as address:
        import redis

        store = State(open_store(address), tell=lambda level, said: said_by.append(said))
        said_by: list[str] = []
        config = config_of({"one": upstream.url}, keys=keys, conversation={"sticky_seconds": 60.0})
        with running(config, state=store) as server:

            def ask(key: str) -> httpx2.Response:
                return server.ask(headers={"authorization": f"Bearer {key}"})

            assert {ask(limited[0]).status_code, ask(free[0]).status_code} == {200}
            with redis.Redis.from_url(address) as client:
                client.config_set("maxmemory", 1)  # it refuses whatever writes
                refused = ask(limited[0])
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "state_unreachable")
                assert "127.0.0.1" not in refused.text
                assert ask(free[0]).status_code == 200
                assert "keys with limits are refused until it answers" in said_by[0]
                client.config_set("maxmemory", 0)
            wait_for(lambda: ask(limited[0]).status_code == 200)
            assert "the state answers again" in said_by


@pytest.mark.prove
def test_a_call_that_ends_while_the_store_is_away_is_paid_when_it_is_back() -> None:
    key, digest = new_key()
    keys = [{"name": "team", "sha256": digest, "budget": 10.0, "budget_period": "ever"}]
    with Upstream(latency=0.5) as upstream, redis_server() as address:
        import redis

        with (
            running(config_of({"one": upstream.url}, keys=keys), state=State(open_store(address))) as server,
            redis.Redis.from_url(address) as client,
        ):
            replies: list[int] = []
            asking = threading.Thread(
                target=lambda: replies.append(server.ask(headers={"authorization": f"Bearer {key}"}).status_code)
            )
            asking.start()
            wait_for(lambda: bool(upstream.bodies))
            client.config_set("maxmemory", 1)
            asking.join()
            time.sleep(0.2)
            assert books(address)["spent"] == 0.0
            client.config_set("maxmemory", 0)
            wait_for(lambda: not books(address)["held"])
            assert books(address)["spent"] > 0.0
            assert replies == [200]
