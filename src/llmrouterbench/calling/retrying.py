"""Further attempts at a call: exponential waits with jitter, as long as the server asks, and only where it can help.

Plain code instead of stamina: the waits must reach the caller (`on_wait`), the attempts and their cost must be counted.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from llmrouterbench.calling.calls import Answer, CallError, Endpoint, Request
from llmrouterbench.calling.client import Client
from llmrouterbench.calling.prices import Price, add_cost, cost, price_text

T = TypeVar("T")

UNREADABLE = 2
"""Attempts that may end with a reply that nobody can read (`bad_reply`): each may have been paid for."""

Scope = Literal["endpoint", "model"]
Stop = tuple[Scope, int, int]
STOPS: dict[str, Stop] = {
    "auth": ("endpoint", 1, 3),
    "payment": ("endpoint", 1, 3),
    "connection": ("endpoint", 3, 20),
    "not_found": ("model", 1, 20),
    "bad_request": ("model", 3, 20),
    "bad_reply": ("model", 3, 20),
}
"""Kind of failure -> what it stops, after how many in a row before the model has answered anything, and after it has.

A model that has answered may still refuse a query that is too long or moderated; that query fails and the rest go on.
"""
STOP_OTHERWISE: Stop = ("model", 20, 50)


def stopped_by(error: CallError, refusals: int, answered: bool) -> Scope | None:
    """What a failure stops, the last of so many in a row; None: nothing yet.

    >>> stopped_by(CallError("key refused", "auth"), 1, False), stopped_by(CallError("key refused", "auth"), 1, True)
    ('endpoint', None)
    """
    scope, before, after = STOPS.get(error.kind, STOP_OTHERWISE)
    return scope if refusals >= (after if answered else before) else None


@dataclass(frozen=True)
class Paid:
    """An answer and what it cost.

    cost      USD with the attempts that failed before it, None: unknown
    attempts  calls made, 0 for an answer from the cache
    price     what the cost was made with, as `price_text` writes it; "" where the provider said the cost
    """

    answer: Answer
    cost: float | None
    attempts: int
    price: str = ""


async def complete_with_retries(
    client: Client, endpoint: Endpoint, request: Request, *, price: Price | None = None, **settings: Any
) -> Paid:
    """The answer to one chat completion; `settings` are those of `with_retries`, which raises CallError.

    Source: ten attempts, Li et al. 2026, arXiv 2601.07206, section 4.
    """
    answer, attempts, before = await with_retries(lambda: client.complete(endpoint, request), price=price, **settings)
    asked = price_text(price) if answer.provider_cost is None else ""
    return Paid(answer, add_cost(cost(answer, price), before), attempts, asked)


async def with_retries(
    call: Callable[[], Awaitable[T]],
    *,
    attempts: int = 10,
    price: Price | None = None,
    first_wait: float = 0.5,
    longest_wait: float = 60.0,
    patience: float = 600.0,
    on_wait: Callable[[CallError, float], None] | None = None,
) -> tuple[T, int, float | None]:
    """What a call gives, the attempts it took, and the USD of the attempts that failed before it.

    The USD are None where a failed attempt may have been billed and nobody said how much.

    attempts      calls at most, the first one included
    first_wait    seconds after the first failure (half to all of it, at random); doubled each time up to longest_wait
    patience      a Retry-After of more seconds than this ends the call
    on_wait       told the error and the seconds before each wait; what it raises ends the call

    Raises CallError with `attempts` and `cost` of all its attempts set.
    """
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, got {attempts}")
    spent: float | None = 0.0
    made = unreadable = 0
    while True:
        made += 1
        try:
            return await call(), made, spent
        except CallError as error:
            spent = add_cost(spent, failed_cost(error, price))
            error.attempts, error.cost = made, spent
            unreadable += error.kind == "bad_reply"
            if not error.retryable or made == attempts or unreadable == UNREADABLE:
                raise
            if (error.retry_after or 0.0) > patience:
                raise
            seconds = wait_seconds(error, made, first_wait, longest_wait)
            if on_wait is not None:
                on_wait(error, seconds)
        await asyncio.sleep(seconds)


def wait_seconds(error: CallError, made: int, first_wait: float, longest_wait: float) -> float:
    """Seconds to wait after `made` attempts: what the server asks and a little more, else doubling with jitter."""
    if error.retry_after is not None:
        return error.retry_after * random.uniform(1.0, 1.1) + random.uniform(0.0, first_wait)
    return float(min(longest_wait, first_wait * 2 ** min(made - 1, 60)) * random.uniform(0.5, 1.0))


def failed_cost(error: CallError, price: Price | None) -> float | None:
    """USD of a failed attempt: 0 for a refusal, None where it may have been billed and the amount is not known."""
    known = cost(error.usage, price) if error.usage is not None else None
    return known if known is not None or error.billed else 0.0
