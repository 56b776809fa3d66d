"""Collections against a real provider on loopback: faults, kills, money, two at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, Self

import orjson
import polars as pl
import pytest
import yaml

from llmrouterbench.collecting.collect import Progress, Summary, collect
from llmrouterbench.collecting.config import CollectConfig, parse_config
from llmrouterbench.collecting.plan import plan
from llmrouterbench.collecting.replies_release import write_replies_release
from llmrouterbench.collecting.replies_store import Prompted, read_items, read_replies
from llmrouterbench.collecting.replies_writer import RepliesWriter
from llmrouterbench.importers import import_outcomes
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.table import Outcomes
from provider import INPUT_PRICE, OUTPUT_PRICE, Provider
from servers import postgres_server, redis_server
from warm import Warm
from work import record_sleeps

CANARY = "sk-canary-0123456789abcdef"
PRICE = {"input": INPUT_PRICE, "output": OUTPUT_PRICE}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(latency=0.005) as running:
        yield running


def questions(n: int, dataset: str = "d") -> dict[str, list[Prompted]]:
    return {dataset: [Prompted(Item(f"{dataset}-{i}", f"query {i}"), f"{dataset} query {i}") for i in range(n)]}


def config(provider: Provider, folder: Path, *models: Any, **more: Any) -> CollectConfig:
    """Models by name, or with their own keys."""
    listed = [model if isinstance(model, dict) else {"name": model} for model in models or ("m",)]
    endpoint = {"url": provider.url, "concurrency": 8, "timeout": 5.0} | more.pop("endpoint", {})
    return parse_config(
        {
            "out": str(folder),
            "endpoints": {"loopback": endpoint},
            "models": [{"endpoint": "loopback", "price": PRICE} | model for model in listed],
            **more,
        }
    )


def cells(folder: Path, model: str = "m", dataset: str = "d") -> dict[str, Reply]:
    return read_replies(folder, dataset, model)


def cost_of(replies: Mapping[str, Reply]) -> float:
    assert all(reply.cost is not None for reply in replies.values())
    return sum(reply.cost or 0.0 for reply in replies.values())


# --- the plain way ---------------------------------------------------------------------------------------------------


def test_every_query_of_every_model_is_asked_once(provider: Provider, tmp_path: Path) -> None:
    asked = questions(20) | questions(10, "e")
    heard: list[list[int]] = []
    done = collect(
        config(provider, tmp_path, "a", "b"), asked, tell=lambda models: heard.append([m.ok for m in models])
    )
    assert done.complete
    assert [(one.queries, one.ok, one.calls) for one in done.models] == [(30, 30, 30), (30, 30, 30)]
    assert set(provider.paid().values()) == {1}
    assert done.spent == pytest.approx(provider.billed)
    replies = cells(tmp_path, "a")
    assert replies["d-3"].text == "The reply to d query 3"
    assert replies["d-3"].tokens_in == 3
    assert replies["d-3"].attempts == 1
    assert [entry.prompt for entry in read_items(tmp_path, "e")] == [entry.prompt for entry in asked["e"]]
    assert heard[-1] == [30, 30]
    again = collect(config(provider, tmp_path, "a", "b"), asked)
    assert again.spent == 0
    assert len(provider.books) == 60


def test_a_folder_of_its_own_with_the_same_cache_costs_nothing(provider: Provider, tmp_path: Path) -> None:
    cache = str(tmp_path / "shared.sqlite")
    first = collect(config(provider, tmp_path / "one", cache=cache), questions(12))
    second = collect(config(provider, tmp_path / "two", cache=cache), questions(12))
    assert (second.spent, second.models[0].hits) == (0.0, 12)
    assert second.models[0].cost == pytest.approx(first.spent)
    assert cost_of(cells(tmp_path / "two")) == pytest.approx(provider.billed)
    assert {reply.attempts for reply in cells(tmp_path / "two").values()} == {0}


def test_the_same_prompt_twice_is_paid_once(provider: Provider, tmp_path: Path) -> None:
    twin = {"d": [Prompted(Item(f"q{i}", "same"), "the same prompt") for i in range(6)]}
    done = collect(config(provider, tmp_path), twin)
    assert done.complete
    assert len(provider.books) == 1
    assert done.spent == pytest.approx(provider.billed)


def test_requests_carry_what_the_config_says(provider: Provider, tmp_path: Path) -> None:
    image = "data:image/png;base64,aGVsbG8="
    seen = {"d": [Prompted(Item("q", "look", details={"images": [image]}), "look")]}
    model = {"name": "m", "api_model": "org/m", "system": "Be brief.", "max_tokens": 7, "extra_body": {"seed": 3}}
    collect(config(provider, tmp_path, model | {"reasoning_effort": "low", "top_p": None}), seen)
    body = provider.bodies[0]
    assert body["model"] == "org/m"
    assert (body["temperature"], body["seed"], body["reasoning_effort"]) == (0.2, 3, "low")
    assert "top_p" not in body
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][1]["content"] == [
        {"type": "image_url", "image_url": {"url": image}},
        {"type": "text", "text": "look"},
    ]


def test_a_slow_model_holds_nobody_up(tmp_path: Path) -> None:
    with Provider(latency=0.4) as slow, Provider(latency=0.0) as quick:
        both = parse_config(
            {
                "out": str(tmp_path),
                "endpoints": {
                    "slow": {"url": slow.url, "concurrency": 2},
                    "quick": {"url": quick.url, "concurrency": 2},
                },
                "models": [{"name": n, "endpoint": n, "price": PRICE} for n in ("slow", "quick")],
            }
        )
        quick_done: list[int] = []
        collect(both, questions(8), tell=lambda models: quick_done.append(models[1].ok))
    assert quick_done[1] == 8  # after half a second, when the slow one has two or four


def test_no_more_calls_at_once_than_the_endpoint_takes(tmp_path: Path) -> None:
    with Provider(latency=0.02) as provider:
        collect(config(provider, tmp_path, "a", "b", endpoint={"concurrency": 3}), questions(15))
        assert provider.most_busy == 3


def test_requests_a_minute_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = record_sleeps(monkeypatch)
    with Provider() as provider:
        collect(config(provider, tmp_path, endpoint={"requests_per_minute": 60}), questions(3))
    assert sum(seconds > 0.5 for seconds in slept) >= 2  # one at once, then one a second


# --- faults ----------------------------------------------------------------------------------------------------------

RETRIED = ("429", "429:0", "429:date:0", "500", "503", "reset", "half", "half-json", "error-200", "error-200-429")


@pytest.mark.parametrize("fault", [*RETRIED, "stall"])
def test_a_fault_that_passes_is_tried_again(fault: str, tmp_path: Path) -> None:
    with Provider(stall=2.0) as provider:
        provider.script("m", fault)
        done = collect(config(provider, tmp_path, endpoint={"timeout": 0.5, "concurrency": 1}), questions(2))
    assert done.complete
    replies = cells(tmp_path)
    assert sorted(reply.attempts for reply in replies.values()) == [1, 2]
    assert {reply.status for reply in replies.values()} == {"ok"}
    if fault.split(":")[0].isdigit():
        assert cost_of(replies) == pytest.approx(provider.billed)
    elif fault in ("reset", "half", "half-json", "stall"):  # may have been billed, and nobody says how much
        assert [reply.cost for reply in replies.values()].count(None) == 1


@pytest.mark.parametrize("fault", ["cut", "stream-error"])
def test_a_broken_stream_is_tried_again(fault: str, provider: Provider, tmp_path: Path) -> None:
    provider.script("m", fault)
    done = collect(config(provider, tmp_path, {"name": "m", "stream": True}), questions(1))
    reply = cells(tmp_path)["d-0"]
    assert (done.complete, reply.attempts, reply.text) == (True, 2, "The reply to d query 0")
    assert reply.first_token_seconds is not None


@pytest.mark.parametrize(
    ("fault", "reason"), [("empty", "empty"), ("content_filter", "content_filter"), ("length", "length")]
)
def test_odd_replies_are_recorded_as_what_they_are(fault: str, reason: str, provider: Provider, tmp_path: Path) -> None:
    provider.script("m", fault)
    assert collect(config(provider, tmp_path), questions(1)).complete
    reply = cells(tmp_path)["d-0"]
    assert (reply.status, reply.reason, reply.attempts) == ("ok", reason, 1)
    assert reply.cost == pytest.approx(provider.billed)


@pytest.mark.parametrize("fault", ["no-usage", "negative"])
def test_unknown_usage_stays_unknown(fault: str, provider: Provider, tmp_path: Path) -> None:
    provider.script("m", fault)
    done = collect(config(provider, tmp_path), questions(1))
    reply = cells(tmp_path)["d-0"]
    assert (reply.tokens_in, reply.tokens_out, reply.cost) == (None, None, None)
    assert done.unpriced == 1
    assert done.models[0].cost == 0


@pytest.mark.parametrize("fault", ["400", "401", "402", "403", "404", "html"])
def test_a_refusing_model_stops_with_one_sentence_and_the_others_go_on(fault: str, tmp_path: Path) -> None:
    with Provider() as bad, Provider() as good:
        both = parse_config(
            {
                "out": str(tmp_path),
                "endpoints": {"bad": {"url": bad.url, "concurrency": 1}, "good": {"url": good.url}},
                "models": [
                    {"name": "bad", "endpoint": "bad", "api_model": f"fault:{fault}", "price": PRICE},
                    {"name": "good", "endpoint": "good", "price": PRICE},
                ],
            }
        )
        done = collect(both, questions(30))
    first, second = done.models
    assert first.stopped.count("\n") == 0
    assert "bad" in first.stopped
    assert first.failed <= 3
    assert len(bad.books) == first.failed
    assert (second.ok, second.stopped) == (30, "")
    assert not done.complete


def test_a_wrong_key_stops_every_model_of_its_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", "wrong")
    with Provider(key="right") as provider:
        endpoint = {"key_env": "LOOPBACK_KEY", "concurrency": 1}
        done = collect(config(provider, tmp_path, "a", "b", endpoint=endpoint), questions(30))
    assert all(one.stopped for one in done.models)
    assert len(provider.bodies) == 1
    assert "wrong" not in done.models[0].stopped


def test_one_query_that_a_good_model_refuses_fails_alone(provider: Provider, tmp_path: Path) -> None:
    provider.script("m", "ok", "400", "ok", "404")
    done = collect(config(provider, tmp_path, endpoint={"concurrency": 1}), questions(10))
    assert (done.models[0].ok, done.models[0].failed, done.models[0].stopped) == (8, 2, "")
    failed = cells(tmp_path)["d-1"]
    assert (failed.status, failed.text, failed.attempts, failed.cost) == ("failed", "", 1, 0.0)
    assert "400" in failed.reason


def test_failed_queries_are_asked_again_only_when_wanted(provider: Provider, tmp_path: Path) -> None:
    provider.script("m", "ok", "400")
    one = config(provider, tmp_path, endpoint={"concurrency": 1})
    assert collect(one, questions(3)).models[0].failed == 1
    kept = collect(one, questions(3), retry_failed=False)
    assert (kept.models[0].failed, len(provider.books)) == (1, 3)
    done = collect(one, questions(3))
    assert done.complete
    assert len(provider.books) == 4
    assert [reply.status for reply in cells(tmp_path).values()] == ["ok"] * 3


# --- money -----------------------------------------------------------------------------------------------------------


def test_the_budget_is_never_exceeded_over_all_runs(provider: Provider, tmp_path: Path) -> None:
    one = config(provider, tmp_path, {"name": "m", "max_tokens": 20})
    asked = questions(200)
    limit = 0.002
    for _ in range(3):
        done = collect(one, asked, budget=limit)
        assert provider.billed <= limit
    assert "budget" in done.why
    assert provider.billed > limit * 0.8
    assert len(cells(tmp_path)) == len(provider.books)
    other = collect(config(provider, tmp_path, {"name": "another", "max_tokens": 20}), asked, budget=limit)
    assert (other.spent, provider.billed <= limit) == (0.0, True)
    assert collect(one, asked, budget=1.0).complete


def test_calls_that_a_kill_left_under_way_count_on_the_budget(provider: Provider, tmp_path: Path) -> None:
    one = config(provider, tmp_path, {"name": "m", "max_tokens": 20})
    asked, limit = questions(200), 0.002
    collect(one, asked, budget=limit / 10)
    (tmp_path / "calls.log").write_bytes(b"+0.000500000;+0.000500000;~0.000250000;-0.000500000;")
    for _ in range(2):  # the second run still knows of it
        done = collect(one, asked, budget=limit)
        assert done.orphaned == pytest.approx(0.00075)
        assert provider.billed <= limit - 0.00075


def test_a_budget_with_faults_that_cost_is_not_exceeded(tmp_path: Path) -> None:
    with Provider() as provider:
        provider.script("m", *random.Random(0).choices(["ok", "half", "500", "cut", "no-usage"], k=300))
        model = {"name": "m", "max_tokens": 20, "stream": False}
        collect(config(provider, tmp_path, model), questions(60), budget=0.001)
        assert provider.billed <= 0.001


def test_a_budget_needs_prices(provider: Provider, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a budget needs the price of every model, got none for mine"):
        collect(config(provider, tmp_path, {"name": "mine", "price": None}), questions(1), budget=1.0)


def test_the_plan_counts_what_is_left_and_what_it_costs(provider: Provider, tmp_path: Path) -> None:
    folder = own_dataset(tmp_path, 10)
    one = config(provider, tmp_path / "out", {"name": "m", "max_tokens": 100}, datasets=[{"name": str(folder)}])
    row = plan(one)[0]
    assert (row.queries, row.there, row.cached, row.to_ask, row.basis) == (10, 0, 0, 10, "max_tokens")
    assert row.tokens_out == 1000
    assert row.cost == pytest.approx((row.tokens_in * INPUT_PRICE + 1000 * OUTPUT_PRICE) / 1e6)
    assert not provider.books
    collect(one, {"own": _prompted(folder)[:4]})
    row = plan(one)[0]
    assert (row.there, row.to_ask, row.basis) == (4, 6, "collected")
    unpriced = config(provider, tmp_path / "new", {"name": "mine", "price": None}, datasets=[{"name": str(folder)}])
    assert plan(unpriced)[0].cost is None


# --- two collectors, kills, signals ----------------------------------------------------------------------------------


def own_dataset(folder: Path, n: int) -> Path:
    rows = [{"question": f"own query {i}", "answer": str(i)} for i in range(n)]
    (folder / "own.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    described = {
        "name": "own",
        "file": "own.jsonl",
        "columns": {"query": "question", "target": "answer"},
        "prompt": "{query}",
        "scorer": "exact",
    }
    (folder / "own.yaml").write_text(yaml.safe_dump(described))
    return folder / "own.yaml"


def _prompted(path: Path) -> list[Prompted]:
    from llmrouterbench.collecting._work import load_questions
    from llmrouterbench.collecting.config import DatasetConfig

    return load_questions(DatasetConfig(name=str(path)))[1]


def write_config(provider: Provider, folder: Path, n: int, **more: Any) -> Path:
    own_dataset(folder, n)
    endpoint = {"url": provider.url, "concurrency": 20} | more.pop("endpoint", {})
    raw = {
        "out": "out",
        "endpoints": {"loopback": endpoint},
        "models": [{"name": "m", "endpoint": "loopback", "price": PRICE}],
        "datasets": [{"name": "own.yaml"}],
        **more,
    }
    (folder / "collect.yaml").write_text(yaml.safe_dump(raw))
    return folder / "collect.yaml"


def start(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "llmrouterbench.cli", "collect", *map(str, arguments)]
    environment = {**os.environ, **(env or {})}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def finish(process: subprocess.Popen[bytes], code: int = 0) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err.decode()
    return orjson.loads(out) if out else {}


Starter = Callable[[Path], AbstractContextManager["Collector"]]


class Collector(Protocol):
    """A collector in a process of its own that can be started again and again."""

    def start(self) -> int:
        """Start it; its process id."""

    def running(self) -> bool:
        """Whether it is at work."""

    def wait(self) -> int:
        """Wait for its end; its exit status."""


class Cold:
    """A new Python every time, as a user starts it."""

    def __init__(self, config: Path) -> None:
        self.config = config

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.poll() is not None

    def start(self) -> int:
        self.process = start(self.config, "--json")
        return self.process.pid

    def running(self) -> bool:
        return self.process.poll() is None

    def wait(self) -> int:
        self.process.communicate()
        return self.process.returncode


def kill(collector: Collector, provider: Provider, rng: random.Random, step: int) -> None:
    """Kill a collector when the provider has heard so many requests more, or now and then while it starts up."""
    process = collector.start()
    if rng.random() < 0.1:
        time.sleep(rng.random() * 0.8)
    else:
        until = len(provider.bodies) + rng.randrange(step)
        latest = time.monotonic() + 30.0
        while len(provider.bodies) <= until and time.monotonic() < latest and collector.running():
            time.sleep(0.002)
        time.sleep(rng.random() * 0.01)
    if collector.running():
        os.kill(process, signal.SIGKILL)
    assert collector.wait() in (-signal.SIGKILL, 0)
    time.sleep(0.03)  # what is still in the sockets reaches the provider


def kill_and_resume(folder: Path, starter: Starter, queries: int, kills: int, seed: int) -> tuple[int, int]:
    """Kill a collection so many times at random moments; returns calls in flight at the kills and double payments."""
    rng, path = random.Random(seed), folder / "collect.yaml"
    with Provider(latency=0.02) as provider, starter(path) as collector:
        write_config(provider, folder, queries)
        out, journal = folder / "out", folder / "out" / "calls.log"
        in_flight, may_be_twice = 0, Counter[str]()
        for _ in range(kills):
            kill(collector, provider, rng, int(1.6 * queries / kills) + 1)
            if journal.is_file():
                in_flight += journal.read_bytes().count(b"+") - journal.read_bytes().count(b"-")
            asked = {body["messages"][-1]["content"] for body in provider.bodies}
            may_be_twice.update(asked - {f"own query {int(item[4:]) - 1}" for item in cells(out, dataset="own")})
        done = finish(start(path, "--json"))
        assert done["complete"]
        lines = (out / "replies" / "own" / "m.jsonl").read_bytes().splitlines()
        assert sorted(orjson.loads(line)["item"] for line in lines) == sorted(f"own-{i + 1}" for i in range(queries))
        paid = Counter({prompt: n for (_, prompt), n in provider.paid().items()})
        assert len(paid) == queries
        assert not Counter({prompt: n - 1 for prompt, n in paid.items()}) - may_be_twice
        twice = paid.total() - queries
        assert twice <= in_flight
        once = {bill.prompt: bill.cost for bill in provider.books}
        assert cost_of(cells(out, dataset="own")) == pytest.approx(sum(once.values()))
        lost = sum((n - 1) * once[prompt] for prompt, n in paid.items())
        assert cost_of(cells(out, dataset="own")) + lost == pytest.approx(provider.billed)
    return in_flight, twice


def test_killed_a_few_times_nothing_is_lost_and_nothing_paid_twice(tmp_path: Path) -> None:
    in_flight, twice = kill_and_resume(tmp_path, Cold, queries=300, kills=5, seed=1)
    print(f"5 kills: {in_flight} calls in flight, {twice} paid twice")


@pytest.mark.slow
def test_killed_at_a_hundred_moments_nothing_is_lost_and_nothing_paid_twice(tmp_path: Path) -> None:
    in_flight, twice = kill_and_resume(tmp_path, Warm, queries=2000, kills=100, seed=2)
    print(f"100 kills: {in_flight} calls in flight, {twice} paid twice")


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "shared.sqlite")
        return
    with redis_server() if request.param == "redis" else postgres_server() as running:
        yield running


def test_two_collectors_on_one_cache_pay_once(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARED_CACHE", address)
    with Provider(latency=0.01) as provider:
        done: dict[str, Summary] = {}

        def run(name: str) -> None:
            done[name] = collect(config(provider, tmp_path / name, cache_env="SHARED_CACHE"), questions(150))

        threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(one.complete for one in done.values())
        assert set(provider.paid().values()) == {1}
        assert len(provider.books) == 150
        assert sum(one.spent for one in done.values()) == pytest.approx(provider.billed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_what_was_under_way(number: signal.Signals, tmp_path: Path) -> None:
    with Provider(latency=0.3) as provider:
        path = write_config(provider, tmp_path, 90)
        process = start(path, "--json")
        while len(provider.books) < 30:
            time.sleep(0.01)
        process.send_signal(number)
        facts = finish(process, code=130)
        assert facts["interrupted"]
        assert len(cells(tmp_path / "out", dataset="own")) == len(provider.books) < 90
        resumed = start("resume", tmp_path / "out", "--json")
        assert finish(resumed)["complete"]
        assert set(provider.paid().values()) == {1}


def test_a_second_ctrl_c_cuts_what_was_under_way_and_the_next_run_says_so(tmp_path: Path) -> None:
    with Provider(latency=20.0) as provider:
        path = write_config(provider, tmp_path, 200)
        process = start(path, "--json")
        while len(provider.bodies) < 20:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert finish(process, code=130)["models"][0]["ok"] == 0
        provider.latency = 0.0
        resumed = finish(start("resume", tmp_path / "out", "--json"))
        assert (resumed["complete"], resumed["in_flight"]) == (True, 20)
        assert resumed["orphaned"] > 0.0


def test_an_error_of_the_disk_lets_calls_under_way_be_recorded(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullOnce(RepliesWriter):
        """A writer whose disk is full for one reply."""

        full = True

        def append(self, reply: Reply) -> None:
            if FullOnce.full:
                FullOnce.full = False
                raise OSError(28, "the disk is full")
            super().append(reply)

    monkeypatch.setattr("llmrouterbench.collecting.collect.RepliesWriter", FullOnce)
    with pytest.raises(OSError, match="the disk is full"):
        collect(config(provider, tmp_path), questions(30))
    assert len(cells(tmp_path)) == len(provider.books) - 1 < 29
    done = collect(config(provider, tmp_path), questions(30))
    assert done.complete
    assert set(provider.paid().values()) == {1}


# --- the command -----------------------------------------------------------------------------------------------------


def test_status_says_what_there_is(tmp_path: Path) -> None:
    with Provider() as provider:
        provider.script("m", "ok", "400")
        path = write_config(provider, tmp_path, 5, endpoint={"concurrency": 1})
        finish(start(path, "--json"), code=1)
        facts = finish(start("status", tmp_path / "out", "--json"))
    cell = facts["cells"][0]
    assert (cell["items"], cell["ok"], cell["failed"], cell["missing"]) == (5, 4, 1, 0)
    assert facts["writer"] == ""
    assert cell["cost"] == pytest.approx(provider.billed)


def test_a_mistyped_command_is_no_config(tmp_path: Path) -> None:
    _, err = start("statu", tmp_path).communicate()
    assert b"No such command 'statu'" in err
    _, err = start(tmp_path / "none.yaml").communicate()
    assert b"none.yaml must be the YAML file of a collection" in b" ".join(err.split())
    _, err = start(tmp_path).communicate()
    assert b"must be the YAML file of a collection, got a folder" in b" ".join(err.split())


def test_a_dry_run_asks_nothing_and_prints_dollars(tmp_path: Path) -> None:
    with Provider() as provider:
        path = write_config(provider, tmp_path, 5)
        facts = finish(start("--dry-run", path, "--json"))
        text = start(path, "--dry-run").communicate()
        assert not provider.bodies
    assert facts["plan"][0]["to_ask"] == 5
    assert facts["cost"] > 0
    assert b"about $0.02" in text[1]


def test_no_secret_comes_out_anywhere(tmp_path: Path) -> None:
    with Provider(key=CANARY) as provider:
        provider.script("m", "ok", "400", "500", "429:0", "half", "403")
        path = write_config(provider, tmp_path, 12, endpoint={"key_env": "LOOPBACK_KEY", "concurrency": 1})
        said = [start(*args, env={"LOOPBACK_KEY": CANARY}).communicate() for args in ((path,), (path, "--dry-run"))]
        said += [start(path, env={"LOOPBACK_KEY": CANARY + "x"}).communicate()]
        said += [start("status", tmp_path / "out").communicate()]
    assert any(header["authorization"] == f"Bearer {CANARY}" for header in provider.headers)
    everything = b"".join(b"".join(pair) for pair in said)
    everything += b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"scripted status" in everything
    assert CANARY.encode() not in everything


def test_the_one_cent_example_runs_and_stays_under_one_cent(tmp_path: Path) -> None:
    examples = Path(__file__).resolve().parents[1] / "examples"
    for name in ("capitals.yaml", "capitals.csv", "collect-one-cent.yaml"):
        (tmp_path / name).write_text((examples / name).read_text())
    with Provider(key=CANARY) as provider:
        path = tmp_path / "collect-one-cent.yaml"
        text = path.read_text().replace("https://openrouter.ai/api/v1", provider.url).replace("../runs", "runs")
        path.write_text(text)
        planned = finish(start(path, "--dry-run", "--json"))
        done = finish(start(path, "--json", env={"OPENROUTER_API_KEY": CANARY}))
    assert planned["cost"] < 0.01
    assert done["complete"]
    assert len(provider.books) == 5
    assert 0 < done["spent"] < 0.01


def test_a_missing_key_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    with Provider() as provider:
        path = write_config(provider, tmp_path, 2, endpoint={"key_env": "NO_SUCH_KEY"})
        process = start(path)
        _, err = process.communicate()
        assert process.returncode == 1
        assert b"the environment variable NO_SUCH_KEY must hold its key" in err
        assert not provider.bodies


# --- the official format ---------------------------------------------------------------------------------------------


def test_the_release_is_read_back_by_our_importer(provider: Provider, tmp_path: Path) -> None:
    provider.script("org/m", "ok", "400")
    asked = {"aime": [Prompted(Item(f"q{i}", f"query {i}", "7", "hybrid"), f"Q: query {i}") for i in range(4)]}
    collect(config(provider, tmp_path / "out", "org/m", endpoint={"concurrency": 1}), asked)
    scores = {"q0": Score(1.0, "7"), "q2": Score(0.0, "8")}
    counts = write_replies_release(tmp_path / "out", tmp_path / "release", scores=lambda dataset, model: scores)
    assert counts == {"files": 1, "records": 4, "failed": 1, "unscored": 1}
    import_outcomes(tmp_path / "release", tmp_path / "outcomes")
    outcomes = Outcomes.load(tmp_path / "outcomes")
    assert outcomes.models == ("org/m",)
    assert outcomes.dataset.tolist() == ["aime"] * 4
    assert set(outcomes.subset.tolist()) == {"hybrid"}
    assert outcomes.score[:, 0].tolist()[0] == 1.0
    assert [bool(x) for x in outcomes.score[:, 0] != outcomes.score[:, 0]] == [False, True, False, True]
    replies = cells(tmp_path / "out", "org/m", "aime")
    assert outcomes.cost[0, 0] == pytest.approx(replies["q0"].cost)
    assert list(outcomes.queries.prompt) == [f"Q: query {i}" for i in range(4)]


def test_the_release_command_takes_the_scores_along(tmp_path: Path) -> None:
    from llmrouterbench.collecting.replies_release import scores_in

    with Provider() as provider:
        path = write_config(provider, tmp_path, 3)
        facts = finish(start(path, "--write-release", tmp_path / "unscored", "--json"))
    assert facts["release"]["unscored"] == 3
    finish(start("release", tmp_path / "out", "--to", tmp_path / "again", "--json"))
    files = list((tmp_path / "again").rglob("*.json"))
    assert [file.parent.relative_to(tmp_path / "again").as_posix() for file in files] == ["own/test/m"]
    columns = {"dataset": "own", "model": "m", "item": "own-1", "score": 0.5, "answer": None, "reason": None}
    look_up = scores_in(pl.DataFrame([columns]))
    assert look_up("own", "m") == {"own-1": Score(0.5)}
    assert look_up("own", "other") == {}


def test_time_left_is_known_once_there_is_a_speed() -> None:
    assert Progress("m", "e", queries=10).seconds_left is None
    assert Progress("m", "e", queries=10, ok=6, done_before=1, seconds=10.0).seconds_left == pytest.approx(8.0)
