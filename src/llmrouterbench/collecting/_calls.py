"""Calls of a collection: paced by the rates of an endpoint, and metered attempt by attempt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from llmrouterbench.calling.calls import Answer, CallError, Endpoint, Request
from llmrouterbench.calling.client import Client
from llmrouterbench.calling.prices import Price
from llmrouterbench.calling.retrying import Paid, complete_with_retries
from llmrouterbench.collecting._work import ModelWork
from llmrouterbench.collecting.budget import Budget
from llmrouterbench.collecting.config import CollectConfig
from llmrouterbench.collecting.limits import Rate
from llmrouterbench.collecting.replies_writer import RepliesWriter


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


class PaidCall:
    """One question with its money: a context manager that settles the budget, and notes the call, when it ends.

    most        USD that one attempt costs at most, set aside before it
    ending      whether the run, or its model, ends: nothing more is tried then
    broken_off  whether a further attempt was left out because of that, or for want of room in the budget
    """

    def __init__(self, budget: Budget, most: float, writer: RepliesWriter, ending: Callable[[], bool]) -> None:
        self.broken_off = False
        self._budget, self._most, self._writer, self._ending = budget, most, writer, ending
        self._reserved = 0.0
        self._begun = False
        self._paid: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._begun:
            return
        self._budget.settle(self._reserved, self._reserved if self._paid is None else self._paid)
        if error is None:
            self._writer.call("-", self._reserved)

    async def pay(self, client: Client, endpoint: Endpoint, request: Request, price: Price | None) -> Paid:
        """The answer of the model, with retries. Raises CallError; NoRoomError before the first attempt."""
        if not await self._budget.reserve(self._most):
            raise NoRoomError
        self._begun, self._reserved = True, self._most
        self._writer.call("+", self._most)
        try:
            paid = await complete_with_retries(client, endpoint, request, price=price, on_wait=self._wait)
        except CallError as error:
            self._paid = error.cost
            raise
        self._paid = paid.cost
        return paid

    def _wait(self, error: CallError, seconds: float) -> None:
        """Before another attempt: what the failed one may have cost stays set aside, the next one needs its own."""
        room = not error.billed or self._budget.try_reserve(self._most)
        if room and error.billed:
            self._reserved += self._most
            self._writer.call("~", self._most)
        if self._ending() or not room:
            self.broken_off = True
            raise error


class NoRoomError(Exception):
    """The budget has no room for another call."""
