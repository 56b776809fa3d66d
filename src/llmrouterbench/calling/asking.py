"""One question, one reply: from the cache, else from the model with retries; paid for once, priced, and kept.

`ask_once` is the way of everybody who asks; a judge is a plain function on it: a prompt in, a Reply out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from llmrouterbench.calling.apart import Apart
from llmrouterbench.calling.cache import Cache, answer_of, key, record_of
from llmrouterbench.calling.cache.leases import Leases
from llmrouterbench.calling.calls import CallError, Endpoint, Request, Usage
from llmrouterbench.calling.client import Client
from llmrouterbench.calling.prices import Price
from llmrouterbench.calling.retrying import Paid, complete_with_retries, stopped_by
from llmrouterbench.replies import Reply

_POLL_SECONDS = 0.1
_SAID = (*(field.name for field in fields(Usage)), "seconds", "first_token_seconds")


class JudgeStoppedError(ConnectionError):
    """The judge answers nobody any more: one sentence that says why."""


class AskedElsewhereError(Exception):
    """Somebody else is asking the same now: its answer will be in the cache."""


async def ask_once(
    leases: Leases,
    name: str,
    request: Request,
    pay: Callable[[], Awaitable[Paid]],
    keep: Callable[[Paid], None] = lambda paid: None,
) -> Paid:
    """The answer to a request: the one in the cache under the key `name`, else what `pay` brings, kept there.

    keep  told of the answer too, even where the cache cannot be written

    Raises AskedElsewhereError, and what `pay` raises; the question is then free for others.
    """
    async with leases.hold(name) as held:
        if held:
            paid = await pay()
            try:
                await leases.put(name, record_of(paid.answer, request.model, paid.cost, paid.price))
            finally:
                keep(paid)
            return paid
    record = await leases.get(name)
    if record is None:
        raise AskedElsewhereError
    paid = Paid(answer_of(record), record["cost"], 0, record.get("price", ""))
    keep(paid)
    return paid


def reply_of(outcome: Paid | CallError, *, model: str, key: str, dataset: str = "", item: str = "") -> Reply:
    """What became of a question, as it is stored: an answer, or a failed call with its reason."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    paid: dict[str, Any] = {"cost": outcome.cost, "attempts": outcome.attempts}
    if isinstance(outcome, CallError):
        return Reply(dataset, item, model, "", "failed", outcome.reason, **paid, key=key, at=at)
    said = {name: getattr(outcome.answer, name) for name in _SAID} | {
        "served": outcome.answer.model,
        "price": outcome.price,
    }
    text, reason = outcome.answer.text, outcome.answer.reason
    return Reply(dataset, item, model, text, reason=reason, **said, **paid, key=key, at=at)


# --- a judge ---------------------------------------------------------------------------------------------------------


def asker(
    endpoint: Endpoint,
    settings: Request,
    cache: Cache | None = None,
    *,
    name: str = "",
    price: Price | None = None,
    attempts: int = 10,
) -> Asker:
    """A function ask(prompt) -> Reply for many threads at once; close it, or use it as a context manager.

    settings  a Request; its messages, such as a system prompt, come before the prompt
    cache     kept open and left open; None asks every time
    name      the judge's name in Reply.model; the model's id when not given

    A failed call is a Reply with status "failed" and a reason. Where the rules by which a collection stops a model say
    so (key refused, nothing left to pay with, nobody there), this call and all later ones raise JudgeStoppedError.
    """
    return Asker(endpoint, settings, cache, name or settings.model, price, attempts)


class Asker:
    """What `asker` gives: one event loop in a thread of its own, and the judge's own account.

    spent     USD paid so far; unpriced: replies whose cost nobody knows
    calls     replies asked for; cached: those that were already paid for; failed: those that failed
    stopped   why nothing more is asked, "" while it answers
    """

    def __init__(
        self, endpoint: Endpoint, settings: Request, cache: Cache | None, name: str, price: Price | None, attempts: int
    ) -> None:
        self.endpoint, self.settings = endpoint, settings
        self.name, self.price, self.attempts = name, price, attempts
        self.spent, self.unpriced, self.calls, self.cached, self.failed = 0.0, 0, 0, 0, 0
        self.stopped = ""
        self._refusals, self._answered = 0, False
        self._leases = None if cache is None else Leases(cache)
        self._client = Client()
        self.apart = Apart(f"judge {name}")

    def __call__(self, prompt: str) -> Reply:
        """The judge's reply to a prompt; waits for it. Raises JudgeStoppedError."""
        return self._wait_for(prompt, again=False)

    def again(self, prompt: str) -> Reply:
        """Another reply to a prompt, which takes the place of the one in the cache. Raises JudgeStoppedError."""
        return self._wait_for(prompt, again=True)

    def _wait_for(self, prompt: str, again: bool) -> Reply:
        if self.apart.closed:
            raise ValueError("the judge is closed; make a new asker")
        reply = None if self.stopped else self.apart.run(self._ask(prompt, again))
        if reply is None or (self.stopped and reply.status == "failed"):
            raise JudgeStoppedError(f"judge {self.name} stopped: {self.stopped}")
        return reply

    def close(self) -> None:
        """End the connections and the thread; calls under way in other threads are cancelled."""
        self.apart.close(self._client.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _ask(self, prompt: str, again: bool) -> Reply:
        messages = (*self.settings.messages, {"role": "user", "content": prompt})
        request = replace(self.settings, endpoint=self.endpoint.name, messages=messages)
        name = key(request, self.endpoint.url)
        outcome: Paid | CallError
        try:
            outcome = await self._paid(request, name, again)
            spent = outcome.cost if outcome.attempts else 0.0
        except CallError as error:
            outcome, spent = error, error.cost
        self._count(outcome, spent)
        return reply_of(outcome, model=self.name, key=name)

    async def _paid(self, request: Request, name: str, again: bool) -> Paid:
        async def pay_now() -> Paid:
            return await complete_with_retries(
                self._client, self.endpoint, request, price=self.price, attempts=self.attempts
            )  # fmt: skip

        while self._leases is not None and not again:
            try:
                return await ask_once(self._leases, name, request, pay_now)
            except AskedElsewhereError:
                await asyncio.sleep(_POLL_SECONDS)
        paid = await pay_now()
        if self._leases is not None:
            await self._leases.replace(name, record_of(paid.answer, request.model, paid.cost, paid.price))
        return paid

    def _count(self, outcome: Paid | CallError, spent: float | None) -> None:
        """Enter one reply in the account; only the loop's thread writes it."""
        self.calls += 1
        self.failed += isinstance(outcome, CallError)
        self.cached += isinstance(outcome, Paid) and not outcome.attempts
        self.unpriced += spent is None
        self.spent += spent or 0.0
        if isinstance(outcome, CallError):
            self._refusals += 1
            if stopped_by(outcome, self._refusals, self._answered):
                self.stopped = self.stopped or outcome.reason
        elif outcome.attempts:
            self._refusals, self._answered = 0, True
