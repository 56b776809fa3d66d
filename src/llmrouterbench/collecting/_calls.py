"""Calls of a collection: paced by the rates of an endpoint, and metered attempt by attempt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from llmrouterbench.calling.calls import Answer, CallError, Endpoint, Request
from llmrouterbench.calling.client import Client
from llmrouterbench.collecting._work import ModelWork
from llmrouterbench.collecting.budget import Budget
from llmrouterbench.collecting.config import CollectConfig
from llmrouterbench.collecting.limits import Rate


class PacedClient(Client):
    """The client, with the rates of an endpoint before each attempt and the model's window after it."""

    def __init__(self, config: CollectConfig, models: Sequence[ModelWork]) -> None:
        super().__init__()
        self._rates = {
            name: (Rate(one.requests_per_minute), Rate(one.tokens_per_minute)) for name, one in config.endpoints.items()
        }
        self._models = {(model.endpoint.name, model.config.sent_name): model for model in models}

    async def complete(self, endpoint: Endpoint, request: Request) -> Answer:
        """One attempt when its turn has come. Raises CallError."""
        model = self._models[endpoint.name, request.model]
        requests, tokens = self._rates[endpoint.name]
        expected = model.expected_tokens(request) if tokens.limited else 0.0
        await requests.take(1.0)
        await tokens.take(expected)
        sent_at = time.monotonic()
        try:
            answer = await super().complete(endpoint, request)
        except CallError as error:
            if error.kind == "rate_limit":
                model.window.refused(sent_at, error.retry_after)
            raise
        model.window.accepted()
        if answer.tokens_in is not None and answer.tokens_out is not None:
            tokens.give_back(expected - answer.tokens_in - answer.tokens_out)
        return answer


class BreakOffError(Exception):
    """A call that is not tried again because the run ends or its budget does; `error` is its last attempt."""

    def __init__(self, error: CallError) -> None:
        super().__init__(error.reason)
        self.error = error


class PaidCall:
    """The money of one query while it is tried: a context manager that settles the budget when it ends.

    paid      USD of all attempts, to be set before the end; None is unknown and counts as all that was set aside
    answered  whether there is a reply in the cache
    """

    def __init__(self, budget: Budget, most: float, ending: Callable[[], bool]) -> None:
        self._budget, self._most, self._ending = budget, most, ending
        self._reserved = most
        self.paid: float | None = None
        self.answered = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._budget.settle(self._reserved, self._reserved if self.paid is None else self.paid)

    def waits(self, error: CallError, seconds: float) -> None:
        """Before another attempt: what the failed one may have cost stays set aside, the next one needs its own.

        Raises BreakOffError where the run is ending or the budget has no room.
        """
        room = not error.billed or self._budget.try_reserve(self._most)
        if room and error.billed:
            self._reserved += self._most
        if self._ending() or not room:
            raise BreakOffError(error)


def add_cost(one: float | None, other: float | None) -> float | None:
    """The sum of two costs in USD, None where one is unknown.

    >>> add_cost(0.5, 0.25), add_cost(0.5, None)
    (0.75, None)
    """
    return None if one is None or other is None else one + other
