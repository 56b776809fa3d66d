"""The cache: what its key covers, and one contract for SQLite, Redis and PostgreSQL on real servers."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from collectors import claim_and_die, pay_for_all
from llmrouterbench.calling.cache import (
    Cache,
    Record,
    answer_of,
    key,
    open_cache,
    pack,
    record_of,
    unpack,
)
from llmrouterbench.calling.cache.leases import Leases
from llmrouterbench.calling.cache.sqlite import SqliteCache
from llmrouterbench.calling.calls import Answer, Request
from llmrouterbench.calling.databases import AwayError
from llmrouterbench.commands.cache import cache as app
from servers import postgres_server, redis_server

URL = "https://api.openai.com/v1"
SPAWN = multiprocessing.get_context("spawn")


# --- the key ---------------------------------------------------------------------------------------------------------

BASE = Request("a", "m", ({"role": "user", "content": "What is 6 times 7?"},))
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
OTHER_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAB"}}


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"messages": ({"role": "user", "content": "What is 6 times 8?"},)},
        {"messages": ({"role": "system", "content": "What is 6 times 7?"},)},
        {"messages": ({"role": "user", "content": [IMAGE]},)},
        {"messages": ({"role": "user", "content": [OTHER_IMAGE]},)},
        {"temperature": 0.3},
        {"temperature": None},
        {"top_p": 0.9},
        {"max_tokens": 100},
        {"max_tokens": 101},
        {"reasoning_effort": "low"},
        {"provider": "novita/fp8"},
        {"provider": {"order": ["novita/fp8"]}},
        {"extra": {"seed": 1}},
        {"extra": {"seed": 2}},
    ],
)
def test_the_key_covers_what_can_change_the_reply(change: dict[str, Any]) -> None:
    changed = replace(BASE, **change)
    assert key(changed, URL) != key(BASE, URL)
    others = [replace(BASE, extra={"seed": 3}), replace(BASE, provider="other")]
    assert key(changed, URL) not in {key(other, URL) for other in others}


def test_the_key_covers_the_address_and_not_the_name() -> None:
    assert key(BASE, URL) != key(BASE, "https://openrouter.ai/api/v1")
    assert key(BASE, URL) != key(BASE, "http://api.openai.com/v1")
    assert key(replace(BASE, endpoint="b", stream=True), URL + "/") == key(BASE, URL)
    assert key(BASE, "https://openrouter.ai/api/v1") == key(BASE, "https://me:sk-canary@openrouter.ai/api/v1?k=sk-x")


def test_the_order_of_fields_is_no_difference() -> None:
    one, two = replace(BASE, extra={"a": 1, "b": 2}), replace(BASE, extra={"b": 2, "a": 1})
    assert key(one, URL) == key(two, URL)


def test_the_key_is_the_same_tomorrow() -> None:
    assert key(BASE, URL) == "18cf7139c537873151d80998e0b88adc", (
        "another key loses everything paid so far: raise SCHEMA knowingly"
    )


# --- records ---------------------------------------------------------------------------------------------------------


@given(text=st.text(), tokens=st.none() | st.integers(0, 10**9), cost=st.none() | st.floats(0, 1e6))
def test_records_come_back_as_they_were(text: str, tokens: int | None, cost: float | None) -> None:
    answer = Answer(text=text.encode(errors="replace").decode(), tokens_in=tokens, seconds=1.5, model="m-2026")
    record = unpack(pack(record_of(answer, "m", cost)))
    assert record is not None
    assert answer_of(record) == answer
    assert record["cost"] == cost


@given(st.binary())
def test_any_other_bytes_are_no_record(data: bytes) -> None:
    assert unpack(data) is None


# --- one contract for every store ------------------------------------------------------------------------------------

Opener = Callable[[], str]


@pytest.fixture(scope="module")
def redis_address() -> Iterator[str]:
    with redis_server() as address:
        yield address


@pytest.fixture(scope="module")
def postgres_address() -> Iterator[str]:
    with postgres_server() as address:
        yield address


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty cache."""
    if request.param == "sqlite":
        return str(tmp_path / "folder" / "cache.db")
    found: str = request.getfixturevalue(f"{request.param}_address")
    if request.param == "redis":
        import redis

        with redis.Redis.from_url(found) as server:
            server.flushdb()
    else:
        import psycopg

        with psycopg.connect(found, autocommit=True) as server:
            server.execute("DROP TABLE IF EXISTS llmrouterbench_cache")
    return found


def record(text: str = "42", model: str = "m") -> Record:
    return record_of(Answer(text=text, tokens_in=5, tokens_out=1), model, 0.001)


def test_what_is_put_is_there(address: str) -> None:
    with open_cache(address) as cache:
        assert cache.get("k") is None
        cache.put("k", record("first"))
        cache.put("k", record("second \u2028 \N{GRINNING FACE} \x00"))
        found = cache.get("k")
    assert found is not None
    assert answer_of(found).text == "second \u2028 \N{GRINNING FACE} \x00"
    with open_cache(address) as again:
        assert again.get("k") == found


def test_a_lease_belongs_to_one_owner(address: str) -> None:
    with open_cache(address) as cache, open_cache(address) as other:
        assert cache.claim("k", "a", 60)
        assert not other.claim("k", "b", 60)
        assert cache.claim("k", "a", 60), "the owner may renew"
        other.release("k", "b")
        assert not other.claim("k", "b", 60), "only the owner may release"
        cache.release("k", "a")
        assert other.claim("k", "b", 60)
        other.put("k", record())
        assert not cache.claim("k", "a", 60), "there is a record"
        other.release("k", "b")
        assert cache.get("k") is not None, "a release removes no record"
        assert cache.stats().records == 1


def test_a_lease_does_not_end_when_the_clock_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    with open_cache(tmp_path / "cache.sqlite") as cache:
        assert cache.claim("k", "a", 60.0)
        monkeypatch.setattr(time, "time", lambda: now + 7200.0)
        assert not cache.claim("k", "b", 60.0)


def test_a_lease_of_another_start_of_the_machine_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_cache(tmp_path / "cache.sqlite") as cache:
        assert cache.claim("k", "a", 60.0)
        monkeypatch.setattr(time, "monotonic", lambda: -1e6)
        assert cache.claim("k", "b", 60.0)


def test_a_lease_ends(address: str) -> None:
    with open_cache(address) as cache:
        assert cache.claim("k", "a", 0.2)
        assert not cache.claim("k", "b", 60)
        time.sleep(0.25)
        assert cache.claim("k", "b", 60)
        assert not cache.claim("k", "a", 60)


def test_statistics_and_export(address: str, tmp_path: Path) -> None:
    with open_cache(address) as cache:
        for i in range(600):
            cache.put(f"k{i:03}", record(str(i), "m" if i % 3 else "n"))
        cache.claim("leased", "a", 60)
        found = cache.stats()
        assert (found.records, found.models, found.corrupt) == (600, {"m": 400, "n": 200}, 0)
        assert found.bytes > 600 * 50
        assert cache.export(tmp_path / "out" / "all.jsonl") == 600
    lines = [orjson.loads(line) for line in (tmp_path / "out" / "all.jsonl").read_bytes().splitlines()]
    assert {line["key"]: line["answer"]["text"] for line in lines} == {f"k{i:03}": str(i) for i in range(600)}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["all.jsonl"]


def test_prune_by_age_and_model(address: str) -> None:
    with open_cache(address) as cache:
        cache.put("old", record(model="m"))
        cache.put("old-n", record(model="n"))
        time.sleep(0.3)
        cache.put("new", record(model="m"))
        with pytest.raises(ValueError, match="neither an age nor a model"):
            cache.prune()
        assert cache.prune(older_than=60) == 0
        assert cache.prune(older_than=0.2, model="m") == 1
        assert [cache.get(name) is None for name in ("old", "old-n", "new")] == [True, False, False]
        assert cache.prune(model="n") == 1
        assert cache.prune(older_than=0) == 1
        assert cache.stats().records == 0


def _damage(address: str, name: str) -> None:
    if address.startswith("redis"):
        import redis

        with redis.Redis.from_url(address) as server:
            assert server.hset(f"llmrouterbench:record:{{{name}}}", "data", b"damaged") == 0
    elif address.startswith("postgresql"):
        import psycopg

        with psycopg.connect(address) as server:
            server.execute("UPDATE llmrouterbench_cache SET data = 'damaged' WHERE key = %s", (name,))
    else:
        with sqlite3.connect(address) as file:
            file.execute("UPDATE cache SET data = 'damaged' WHERE key = ?", (name,))
        file.close()


def test_a_damaged_record_is_absent_and_counted(address: str) -> None:
    with open_cache(address) as cache:
        cache.put("good", record())
        cache.put("bad", record())
        cache.put("worse", record())
        _damage(address, "bad")
        _damage(address, "worse")
        assert cache.get("bad") is None
        assert [name for name, _ in cache.records()] == ["good"]
        found = cache.stats()
        assert (found.records, found.corrupt) == (1, 2)
        assert cache.claim("bad", "a", 60), "it can be paid for again"


def test_nothing_is_pickled_and_no_secret_is_stored(tmp_path: Path) -> None:
    with open_cache(tmp_path / "cache.db") as cache:
        cache.put(key(BASE, "https://me:sk-canary@host/v1"), record())
    for path in tmp_path.iterdir():
        assert b"sk-canary" not in path.read_bytes()
    with sqlite3.connect(tmp_path / "cache.db") as file:
        (data,) = file.execute("SELECT data FROM cache").fetchone()
    file.close()
    assert data[:2] == b"x\x01"  # zlib


# --- many at once ----------------------------------------------------------------------------------------------------


def test_processes_on_one_cache_do_not_pay_twice(address: str) -> None:
    out = SPAWN.Queue()
    crowd = [SPAWN.Process(target=pay_for_all, args=(address, 60, out)) for _ in range(3)]
    for process in crowd:
        process.start()
    paid = [name for _ in crowd for name in out.get(timeout=60)]
    for process in crowd:
        process.join()
        assert process.exitcode == 0
    out.close()
    out.join_thread()
    assert sorted(paid) == sorted(f"k{i}" for i in range(60))


def test_a_dead_owner_holds_a_lease_only_until_it_ends(address: str) -> None:
    process = SPAWN.Process(target=claim_and_die, args=(address,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with open_cache(address) as cache:

        async def wait_for_it() -> None:
            while not await held(Leases(cache), "k"):
                await asyncio.sleep(0.02)

        asyncio.run(wait_for_it())


def test_a_lease_is_renewed_while_the_call_lasts(address: str) -> None:
    async def outlast(cache: Cache) -> None:
        mine = Leases(cache, seconds=2.0)
        async with mine.hold("k") as is_mine:
            assert is_mine
            assert not await held(mine, "k"), "asked twice in one process"
            for _ in range(5):
                await asyncio.sleep(0.6)
                assert not await held(Leases(cache), "k")
        assert await held(Leases(cache), "k"), "released at the end of the block"

    with open_cache(address) as cache:
        asyncio.run(outlast(cache))


async def held(leases: Leases, name: str) -> bool:
    async with leases.hold(name) as is_mine:
        return is_mine


def test_threads_share_one_cache(address: str) -> None:
    with open_cache(address) as cache:
        won: list[int] = []

        def race(mine: int) -> None:
            for i in range(25):
                if cache.claim(f"k{i}", f"owner {mine}", 60):
                    won.append(i)
                    cache.put(f"k{i}", record(str(i)))

        threads = [threading.Thread(target=race, args=(mine,)) for mine in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == list(range(25))
        assert cache.stats().records == 25


def test_a_lost_connection_is_made_anew(postgres_address: str) -> None:
    import psycopg

    with open_cache(postgres_address) as cache:
        cache.put("lost", record())
        with psycopg.connect(postgres_address, autocommit=True) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
        assert cache.get("lost") is not None


@pytest.mark.prove
@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_server_that_starts_again_ends_nothing(kind: str) -> None:
    """It keeps its data; whoever asks meanwhile waits."""
    with (redis_server if kind == "redis" else postgres_server)() as server, open_cache(server) as cache:
        kept = record()
        cache.put("kept", kept)
        server.stop()
        asked = threading.Thread(target=lambda: found.append(cache.get("kept")))
        found: list[Record | None] = []
        asked.start()
        asked.join(1.0)
        assert asked.is_alive(), "nobody can answer yet"
        server.start()
        asked.join(60.0)
        assert found == [kept]
        cache.put("new", record("43"))


@pytest.mark.prove
def test_what_waiting_cannot_mend_is_said_at_once() -> None:
    with postgres_server() as server:
        open_cache(server).close()
        host = server.partition("@")[2]
        with pytest.raises(ConnectionError, match=r"got no database of that name; make it") as caught:
            open_cache(server.replace("/postgres", "/elsewhere"))
        with pytest.raises(ConnectionError, match="got no user of that name"):
            open_cache(f"postgresql://stranger:sk-canary@{host}")
        with pytest.raises(ConnectionError, match="got no answer; check that it runs"):
            open_cache("postgresql://tester@127.0.0.1:9/postgres")
        assert not isinstance(caught.value, AwayError)
        with psycopg_of(server) as admin:
            admin.execute("CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'right'")
            admin.execute("ALTER SYSTEM SET password_encryption = 'scram-sha-256'")
        server.ask_for_passwords()
        with pytest.raises(ConnectionError, match="got a refusal of its user or password") as refused:
            open_cache(f"postgresql://guarded:sk-canary@{host}")
        assert "canary" not in repr(refused.value)
        open_cache(f"postgresql://guarded:right@{host}").close()
    with redis_server() as server:
        import redis

        with pytest.raises(ConnectionError, match="got no database of that number"):
            open_cache(server.replace("/0", "/99"))
        with redis.Redis.from_url(server) as admin:
            admin.config_set("requirepass", "right")
        for address in (server, server.replace("//", "//:sk-canary@")):
            with pytest.raises(ConnectionError, match="got a refusal of its user or password") as refused:
                open_cache(address)
            assert "canary" not in repr(refused.value)
        open_cache(server.replace("//", "//:right@")).close()


def psycopg_of(address: str) -> Any:
    import psycopg

    return psycopg.connect(address, autocommit=True)


# --- addresses and failures ------------------------------------------------------------------------------------------


def test_an_unknown_address_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a path, redis:// or postgresql://, got mysql://"):
        open_cache("mysql://me:secret@host/db")


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_a_server_that_is_not_there_is_said_without_the_password(scheme: str) -> None:
    pytest.importorskip({"redis": "redis", "postgresql": "psycopg"}[scheme])
    with pytest.raises(ConnectionError, match=rf"the cache {scheme}://\*\*\*@127.0.0.1:9/0 must be") as caught:
        open_cache(f"{scheme}://me:sk-canary@127.0.0.1:9/0")
    assert "canary" not in repr(caught.value)


def test_a_file_that_is_no_cache_is_said_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, " * 100)
    with pytest.raises(OSError, match=r"notes\.txt must be a SQLite file.*move it away"):
        open_cache(path)
    assert path.read_text().startswith("these are my notes")


# --- commands --------------------------------------------------------------------------------------------------------


def test_commands(tmp_path: Path) -> None:
    path = str(tmp_path / "cache.db")
    with open_cache(path) as cache:
        cache.put("k1", record("42", "m"))
        cache.put("k2", record("43", "n"))
    runner = CliRunner()
    said = runner.invoke(app, ["stats", path, "--json"])
    assert orjson.loads(said.stdout)["models"] == {"m": 1, "n": 1}
    assert "records" in runner.invoke(app, ["stats", path]).output
    out = tmp_path / "all.jsonl"
    said = runner.invoke(app, ["export", path, "--to", str(out), "--json"])
    assert orjson.loads(said.stdout) == {"file": str(out), "records": 2}
    assert runner.invoke(app, ["prune", path]).exit_code == 2
    said = runner.invoke(app, ["prune", path, "--model", "m", "--json"])
    assert orjson.loads(said.stdout) == {"removed": 1}
    missing = runner.invoke(app, ["stats", str(tmp_path / "none.db")])
    assert isinstance(missing.exception, FileNotFoundError)
    assert not (tmp_path / "none.db").exists()


def test_what_one_cache_exports_another_imports(address: str, tmp_path: Path) -> None:
    with open_cache(tmp_path / "one.sqlite") as one, open_cache(address) as other:
        for i in range(20):
            one.put(f"k{i:02}", record(str(i)))
        other.put("k00", record("mine"))
        one.export(tmp_path / "all.jsonl")
        assert other.load(tmp_path / "all.jsonl") == (19, 1)
        assert other.load(tmp_path / "all.jsonl") == (0, 20)
        assert dict(other.records()) == {**dict(one.records()), "k00": other.get("k00")}
        assert other.get("k00") == record("mine") | {"at": (other.get("k00") or {})["at"]}


@pytest.mark.parametrize("line", [b"nonsense", b"[]", b'{"key": "k", "schema": 9}', b'{"schema": 1}'])
def test_a_file_that_is_no_export_is_refused_before_anything_is_kept(line: bytes, tmp_path: Path) -> None:
    with open_cache(tmp_path / "one.sqlite") as cache:
        cache.put("k", record())
        cache.export(tmp_path / "all.jsonl")
        broken = tmp_path / "broken.jsonl"
        broken.write_bytes((tmp_path / "all.jsonl").read_bytes().replace(b'"k"', b'"l"') + line + b"\n")
        with pytest.raises(ValueError, match="broken.jsonl:2 must be a record of schema 1"):
            cache.load(broken)
        assert [name for name, _ in cache.records()] == ["k"]


def test_a_renewal_under_way_does_not_take_back_what_is_released(tmp_path: Path) -> None:
    leave, asked = threading.Event(), list[str]()

    class Slow(SqliteCache):
        remote = True

        def claim(self, key: str, owner: str, seconds: float) -> bool:
            asked.append(owner)
            if asked.count("mine") > 1:  # a renewal: the block ends before it is answered
                leave.set()
                threading.Event().wait(0.2)
            return super().claim(key, owner, seconds)

    async def end_during_a_renewal(cache: Cache) -> None:
        async with Leases(cache, owner="mine", seconds=0.4).hold("k") as is_mine:
            assert is_mine
            await asyncio.to_thread(leave.wait)
        threading.Event().wait(0.3)
        assert await held(Leases(cache), "k")

    with closing(Slow(tmp_path / "cache.sqlite")) as cache:
        asyncio.run(end_during_a_renewal(cache))
