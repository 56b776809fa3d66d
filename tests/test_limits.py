"""Rates hold a minute's limit; windows shrink on 429 and grow again; a budget is shared without being exceeded."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrouterbench.collecting.budget import Budget
from llmrouterbench.collecting.limits import Rate, Window


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(per_minute=st.floats(1, 10_000), sizes=st.lists(st.floats(0.1, 500), min_size=1, max_size=60))
def test_a_minute_never_holds_more_than_the_limit_a_burst_and_a_call(per_minute: float, sizes: list[float]) -> None:
    hand = Hand()
    rate = Rate(per_minute, hand)
    taken: list[tuple[float, float]] = []
    for size in sizes:
        hand.now += rate.seconds_until_free() + 1e-9
        asyncio.run(rate.take(size))
        taken.append((hand.now, size))
    for start, _ in taken:
        within = sum(size for at, size in taken if start <= at <= start + 60)
        assert within <= per_minute + max(1.0, per_minute / 60) + max(sizes) + 1e-6


def test_no_limit_never_waits() -> None:
    rate = Rate(None)
    asyncio.run(rate.take(1e9))
    assert rate.seconds_until_free() == 0
    assert not rate.limited


def test_calls_are_spread_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Hand()
    started: list[float] = []

    async def sleep(seconds: float) -> None:
        hand.now += seconds + 1e-9  # no sleep is too short

    async def take(rate: Rate) -> None:
        await rate.take(1)
        started.append(hand.now)

    async def take_all() -> None:
        rate = Rate(1200, hand)  # 20 a second, 20 at once
        await asyncio.gather(*(take(rate) for _ in range(30)))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(take_all())
    waits = [0.0] * 20 + [0.05 * (one + 1) for one in range(10)]  # one more every twentieth of a second
    assert started == pytest.approx(waits, abs=1e-6)


def test_an_estimate_is_corrected() -> None:
    hand = Hand()
    rate = Rate(60, hand)
    asyncio.run(rate.take(31))
    assert rate.seconds_until_free() == pytest.approx(31)
    rate.give_back(30)
    assert rate.seconds_until_free() == pytest.approx(1)


def test_a_window_halves_once_a_round_trip_and_grows_by_one() -> None:
    hand = Hand()
    window = Window(32, hand)
    hand.now = 1.0
    window.refused(sent_at=0.5, retry_after=None)
    window.refused(sent_at=0.6, retry_after=None)  # was under way at the cut
    assert window.size == 16
    assert not window.has_room(0)
    hand.now = 2.0
    assert window.has_room(15)
    assert not window.has_room(16)
    for _ in range(17):
        window.accepted()
    assert 16.9 < window.size < 17.1


def test_a_window_waits_as_long_as_the_server_asks_and_keeps_one() -> None:
    hand = Hand()
    window = Window(2, hand)
    for second in range(5):
        hand.now = float(second)
        window.refused(sent_at=second - 0.1, retry_after=10.0)
    assert window.size == 1
    hand.now = 13.9
    assert not window.has_room(0)
    hand.now = 14.0
    assert window.has_room(0)
    for _ in range(100):
        window.accepted()
    assert window.size == 2


@settings(deadline=None, max_examples=30)
@given(
    limit=st.floats(0.1, 5.0),
    calls=st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=50),
)
def test_a_budget_is_never_exceeded(limit: float, calls: list[tuple[float, float]]) -> None:
    budget = Budget(limit)

    async def call(most: float, share: float) -> None:
        if await budget.reserve(most):
            await asyncio.sleep(0)
            budget.settle(most, most * share)

    async def all_calls() -> None:
        await asyncio.gather(*(call(most, share) for most, share in calls))

    asyncio.run(all_calls())
    assert budget.spent <= limit + 1e-9
    assert budget.reserved == 0


@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.0, 2.0)), min_size=1, max_size=20), st.randoms())
def test_a_call_that_ends_gives_back_its_own_and_no_more(calls: list[tuple[float, float]], dice: random.Random) -> None:
    async def reserve_all() -> Budget:
        budget = Budget(None)
        for most, _ in calls:
            assert await budget.reserve(most)
        return budget

    budget = asyncio.run(reserve_all())
    under_way = list(calls)
    dice.shuffle(under_way)
    while under_way:
        assert budget.reserved == pytest.approx(sum(most for most, _ in under_way))
        most, paid = under_way.pop()
        before = budget.spent
        budget.settle(most, paid)
        assert budget.spent == before + paid
    assert budget.reserved == 0.0


def test_a_call_waits_for_what_others_may_give_back() -> None:
    async def both() -> list[bool]:
        budget = Budget(1.0)
        assert await budget.reserve(0.9)
        waiting = asyncio.create_task(budget.reserve(0.5))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        budget.settle(0.9, 0.1)
        return [await waiting, budget.try_reserve(0.5)]

    assert asyncio.run(both()) == [True, False]


def test_a_budget_adds_up_what_is_set_aside_and_what_was_spent() -> None:
    async def both() -> None:
        budget = Budget(1.0, spent=0.25)
        assert await budget.reserve(0.25)
        assert await budget.reserve(0.5)  # to the last cent
        assert (budget.spent, budget.reserved) == (0.25, 0.75)
        assert not budget.try_reserve(0.001)
        budget.settle(0.25, 0.125)
        assert (budget.spent, budget.reserved) == (0.375, 0.5)
        assert budget.try_reserve(0.125)
        assert budget.reserved == 0.625
        budget.settle(0.625, 0.25)
        assert (budget.spent, budget.reserved) == (0.625, 0.0)

    asyncio.run(both())


def test_what_is_left_of_rounding_is_not_kept_aside() -> None:
    async def three() -> None:
        budget = Budget(None)
        for _ in range(3):
            assert await budget.reserve(0.1)
        budget.settle(0.2, 0.0)
        budget.settle(0.2, 0.0)
        assert budget.reserved == 0.0  # never below
        budget.settle(0.0, 0.0)
        assert budget.reserved == 0.0

    asyncio.run(three())


def test_without_calls_under_way_nothing_is_waited_for() -> None:
    async def one() -> list[bool]:
        budget = Budget(1.0)
        first = await budget.reserve(1.0)
        budget.settle(1.0, 0.5)
        return [first, await budget.reserve(0.75), await budget.reserve(0.5)]

    assert asyncio.run(one()) == [True, False, True]
