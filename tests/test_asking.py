"""The judge as a function: many threads, one account, nothing paid twice, failures as replies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmrouterbench.calling.asking import JudgeStoppedError, ask_once, asker
from llmrouterbench.calling.cache import Cache, open_cache
from llmrouterbench.calling.cache.leases import Leases
from llmrouterbench.calling.calls import Answer, CallError, Endpoint, Request
from llmrouterbench.calling.prices import Price
from llmrouterbench.calling.retrying import Paid
from provider import Provider

CANARY = "sk-canary-judge"
SETTINGS = Request("fake", "judge-model", ({"role": "system", "content": "Answer yes or no."},), temperature=0.0)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(latency=0.01, reply=lambda prompt: f"yes to {prompt}") as running:
        yield running


def endpoint_of(provider: Provider) -> Endpoint:
    return Endpoint("fake", provider.url, key=CANARY)


def test_a_prompt_gets_a_reply(provider: Provider) -> None:
    with asker(endpoint_of(provider), SETTINGS, name="o3-mini") as ask:
        reply = ask("Is it 42?")
    assert (reply.text, reply.status, reply.model, reply.attempts) == ("yes to Is it 42?", "ok", "o3-mini", 1)
    assert reply.tokens_in == provider.books[0].tokens_in
    assert reply.cost == provider.billed == ask.spent > 0
    assert reply.seconds is not None
    assert len(reply.key) == 32
    assert provider.bodies[0]["messages"] == [
        {"role": "system", "content": "Answer yes or no."},
        {"role": "user", "content": "Is it 42?"},
    ]
    assert provider.bodies[0]["temperature"] == 0.0


def test_many_threads_pay_once_for_each_prompt(provider: Provider, tmp_path: Path) -> None:
    with open_cache(tmp_path / "cache.db") as cache, asker(endpoint_of(provider), SETTINGS, cache) as ask:
        with ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(ask, [f"prompt {i % 20}" for i in range(100)]))
        assert [reply.text for reply in replies] == [f"yes to prompt {i % 20}" for i in range(100)]
        assert (ask.calls, ask.cached, ask.failed, ask.unpriced) == (100, 80, 0, 0)
        assert ask.spent == pytest.approx(provider.billed)
    assert set(provider.paid().values()) == {1}
    with open_cache(tmp_path / "cache.db") as cache, asker(endpoint_of(provider), SETTINGS, cache) as ask:
        again = ask("prompt 3")
        assert (ask.spent, ask.cached) == (0.0, 1)
    assert (again.text, again.cost) == (replies[3].text, replies[3].cost)
    assert len(provider.books) == 20
    for path in tmp_path.iterdir():
        assert CANARY.encode() not in path.read_bytes()


def test_two_judges_on_one_cache_pay_once(provider: Provider, tmp_path: Path) -> None:
    with (
        open_cache(tmp_path / "cache.db") as cache,
        asker(endpoint_of(provider), SETTINGS, cache) as one,
        asker(endpoint_of(provider), SETTINGS, cache) as two,
        ThreadPoolExecutor(8) as pool,
    ):
        asked = [pool.submit(ask, f"prompt {i}") for i in range(20) for ask in (one, two)]
        assert all(call.result().status == "ok" for call in asked)
        assert one.spent + two.spent == pytest.approx(provider.billed)
    assert set(provider.paid().values()) == {1}


def test_a_failure_is_a_reply_and_is_not_kept(provider: Provider, tmp_path: Path) -> None:
    provider.script("judge-model", "400", "ok")
    with open_cache(tmp_path / "cache.db") as cache, asker(endpoint_of(provider), SETTINGS, cache) as ask:
        failed = ask("Is it 42?")
        assert (failed.status, failed.text, failed.cost, failed.attempts) == ("failed", "", 0.0, 1)
        assert "status 400" in failed.reason
        assert CANARY not in failed.reason
        assert ask("Is it 42?").status == "ok"
        assert (ask.calls, ask.failed, ask.cached) == (2, 1, 0)


def test_an_answer_can_be_asked_for_past_the_cache_and_takes_its_place(provider: Provider, tmp_path: Path) -> None:
    said = iter(["first", "second"])
    provider.reply = lambda prompt: next(said)
    with open_cache(tmp_path / "cache.db") as cache, asker(endpoint_of(provider), SETTINGS, cache) as ask:
        assert [ask("?").text, ask("?").text, ask.again("?").text, ask("?").text] == [
            "first",
            "first",
            "second",
            "second",
        ]
        assert (ask.calls, ask.cached) == (4, 2)
        assert ask.spent == pytest.approx(provider.billed)


@pytest.mark.parametrize(("fault", "times", "why"), [("401", 1, "key refused"), ("402", 1, "402"), ("404", 1, "404")])
def test_a_dead_judge_is_asked_no_more(provider: Provider, fault: str, times: int, why: str) -> None:
    provider.script("judge-model", *[fault] * times)
    with asker(endpoint_of(provider), SETTINGS, name="o3-mini") as ask:
        for _ in range(3):
            with pytest.raises(JudgeStoppedError, match=f"judge o3-mini stopped: .*{why}"):
                ask("?")
        assert CANARY not in ask.stopped
    assert len(provider.bodies) == times


def test_a_judge_that_has_answered_may_refuse_once(provider: Provider) -> None:
    with asker(endpoint_of(provider), SETTINGS) as ask:
        ask("?")
        provider.script("judge-model", "401", "401", "ok", "401")
        assert [ask("?").status for _ in range(4)] == ["failed", "failed", "ok", "failed"]
        assert not ask.stopped


def test_prices_where_the_provider_says_no_cost(provider: Provider) -> None:
    provider.says_cost = False
    with asker(endpoint_of(provider), SETTINGS, price=Price(1.0, 4.0)) as ask:
        assert ask("Is it 42?").cost == pytest.approx(provider.billed)
    with asker(endpoint_of(provider), SETTINGS) as ask:
        assert ask("Is it 42?").cost is None
        assert (ask.spent, ask.unpriced) == (0.0, 1)


def test_an_empty_reply_is_said_to_be_empty(provider: Provider) -> None:
    provider.script("judge-model", "empty")
    with asker(endpoint_of(provider), SETTINGS) as ask:
        reply = ask("Is it 42?")
    assert (reply.status, reply.text, reply.reason) == ("ok", "", "empty")


def test_an_answer_is_told_of_even_where_the_cache_cannot_keep_it(tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "cache.db")
    kept: list[Paid] = []
    paid = Paid(Answer(text="42"), 0.5, 1)

    async def pay() -> Paid:
        cache.close()
        return paid

    with pytest.raises(OSError, match=r"cache\.db"):
        asyncio.run(ask_once(Leases(cache), "key", SETTINGS, pay, kept.append))
    assert kept == [paid]


def test_a_question_whose_asking_failed_is_free_at_once(tmp_path: Path) -> None:
    async def refuse() -> Paid:
        raise CallError("no", "server")

    async def pay() -> Paid:
        return Paid(Answer(text="42", tokens_in=3), None, 4)

    async def three(cache: Cache) -> list[Paid]:
        with pytest.raises(CallError, match="no"):
            await ask_once(Leases(cache), "key", SETTINGS, refuse)
        return [await ask_once(Leases(cache), "key", SETTINGS, asked) for asked in (pay, refuse)]

    with open_cache(tmp_path / "cache.db") as cache:
        first, again = asyncio.run(three(cache))
    assert (first.attempts, again.attempts) == (4, 0)
    assert (first.answer, first.cost) == (again.answer, again.cost)


def test_after_the_end_there_is_nothing_left(provider: Provider) -> None:
    before = threading.active_count()
    ask = asker(endpoint_of(provider), SETTINGS)
    ask("Is it 42?")
    ask.close()
    ask.close()
    assert threading.active_count() == before
    with pytest.raises(ValueError, match="the judge is closed"):
        ask("Is it 42?")
