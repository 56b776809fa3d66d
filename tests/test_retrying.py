"""Further attempts: which faults get them, how long the waits are, and what the failed ones cost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.calling.calls import Answer, CallError, Endpoint, Request, Usage
from llmrouterbench.calling.client import Client
from llmrouterbench.calling.prices import Price
from llmrouterbench.calling.retrying import (
    UNREADABLE,
    Paid,
    complete_with_retries,
    failed_cost,
    wait_seconds,
    with_retries,
)
from provider import Provider
from work import record_sleeps

PRICE = Price(input=1.0, output=4.0)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(stall=3.0) as running:
        yield running


def call(
    provider: Provider, model: str, *, stream: bool = False, timeout: float = 20.0, **more: Any
) -> tuple[Answer, int, float | None]:
    """The answer, the attempts it took, and the USD of those that failed before."""

    async def once() -> tuple[Answer, int, float | None]:
        async with Client() as client:
            request = Request("fake", model, ({"role": "user", "content": "six times seven"},), stream=stream)
            endpoint = Endpoint("fake", provider.url, timeout=timeout)
            return await with_retries(lambda: client.complete(endpoint, request), **{"first_wait": 0.01, **more})

    return asyncio.run(once())


@pytest.mark.parametrize("fault", ["429", "500", "503", "error-200"])
def test_refusals_are_tried_again_and_cost_nothing(provider: Provider, fault: str) -> None:
    model = f"again-{fault}"
    provider.script(model, fault, fault)
    answer, attempts, spent = call(provider, model)
    assert (answer.text, attempts, spent) == ("The reply to six times seven", 3, 0.0)


@pytest.mark.parametrize("fault", ["reset", "half", "half-json", "cut"])
def test_replies_that_broke_off_are_tried_again_at_unknown_cost(provider: Provider, fault: str) -> None:
    model = f"broken-{fault}"
    provider.script(model, fault)
    answer, attempts, spent = call(provider, model, stream=fault == "cut")
    assert (answer.reason, attempts, spent) == ("", 2, None)


def test_a_stall_is_tried_again(provider: Provider) -> None:
    provider.script("stalls", "stall")
    answer, attempts, _ = call(provider, "stalls", timeout=0.3)
    assert (answer.reason, attempts) == ("", 2)


def test_the_known_cost_of_a_failed_attempt_is_counted(provider: Provider) -> None:
    provider.script("mid-stream", "stream-error")
    _, attempts, spent = call(provider, "mid-stream", stream=True, price=PRICE)
    bill = next(bill for bill in provider.books if bill.model == "mid-stream")
    assert attempts == 2
    assert spent == pytest.approx(bill.cost)
    assert bill.cost > 0


@pytest.mark.parametrize("fault", ["400", "401", "402", "403", "404", "html", "redirect", "quota"])
def test_what_cannot_succeed_is_asked_once(provider: Provider, fault: str) -> None:
    before = len(provider.books)
    with pytest.raises(CallError) as caught:
        call(provider, f"fault:{fault}")
    assert caught.value.attempts == 1
    assert len(provider.books) == before + 1


@pytest.mark.parametrize("fault", ["half-json", "html"])
def test_what_nobody_can_read_is_not_paid_ten_times(provider: Provider, fault: str) -> None:
    before = len(provider.books)
    with pytest.raises(CallError) as caught:
        call(provider, f"fault:{fault}")
    assert (caught.value.kind, caught.value.cost) == ("bad_reply", None)
    assert caught.value.attempts == len(provider.books) - before == (UNREADABLE if fault == "half-json" else 1)


def test_an_answer_comes_with_the_cost_of_all_its_attempts(provider: Provider) -> None:
    async def once() -> Paid:
        async with Client() as client:
            request = Request("fake", "dear", ({"role": "user", "content": "six"},), stream=True)
            return await complete_with_retries(client, Endpoint("fake", provider.url), request, first_wait=0.01)

    provider.script("dear", "stream-error", "500")
    paid = asyncio.run(once())
    bills = [bill.cost for bill in provider.books if bill.model == "dear"]
    assert (paid.attempts, len(bills)) == (3, 3)
    assert paid.cost == pytest.approx(sum(bills))


def test_ten_attempts_and_no_more(provider: Provider) -> None:
    before = len(provider.books)
    with pytest.raises(CallError, match="status 500") as caught:
        call(provider, "fault:500", first_wait=0.001)
    assert (caught.value.attempts, caught.value.cost, len(provider.books) - before) == (10, 0.0, 10)


def test_the_caller_is_told_before_each_wait(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = record_sleeps(monkeypatch)
    told: list[tuple[str, float]] = []
    provider.script("told", "429:0.2", "500")
    call(provider, "told", on_wait=lambda error, seconds: told.append((error.kind, seconds)))
    assert [kind for kind, _ in told] == ["rate_limit", "server"]
    assert 0.2 <= told[0][1] <= 0.24
    assert {seconds for _, seconds in told} <= set(slept)


def test_a_wait_beyond_patience_ends_the_call(provider: Provider) -> None:
    provider.script("tomorrow", "429:86400")
    with pytest.raises(CallError, match="rate limit") as caught:
        call(provider, "tomorrow")
    assert (caught.value.attempts, caught.value.retry_after) == (1, 86400.0)


def test_no_attempts_is_no_setting(provider: Provider) -> None:
    with pytest.raises(ValueError, match="attempts must be at least 1, got 0"):
        call(provider, "m", attempts=0)


@given(made=st.integers(1, 50), first=st.floats(0.01, 2.0), longest=st.floats(2.0, 120.0))
def test_waits_double_with_jitter_up_to_the_longest(made: int, first: float, longest: float) -> None:
    whole = min(longest, first * 2 ** (made - 1))
    assert 0.5 * whole <= wait_seconds(CallError("", "server"), made, first, longest) <= whole


@given(asked=st.floats(0.0, 1000.0))
def test_waits_are_never_shorter_than_the_server_asks(asked: float) -> None:
    assert asked <= wait_seconds(CallError("", "rate_limit", retry_after=asked), 3, 0.5, 60.0) <= asked * 1.1 + 0.5


@pytest.mark.parametrize(
    ("error", "dollars"),
    [
        (CallError("", "server"), 0.0),
        (CallError("", "timeout", billed=True), None),
        (CallError("", "server", billed=True, usage=Usage(tokens_in=1_000_000, tokens_out=0)), 1.0),
        (CallError("", "server", billed=True, usage=Usage(provider_cost=0.5)), 0.5),
        (CallError("", "server", billed=True, usage=Usage(tokens_in=5)), None),
    ],
)
def test_the_cost_of_a_failed_attempt(error: CallError, dollars: float | None) -> None:
    assert failed_cost(error, PRICE) == dollars
