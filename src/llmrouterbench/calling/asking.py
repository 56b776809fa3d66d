"""A judge model as a plain function: a prompt in, a Reply out; cached, retried and priced like any other model."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from datetime import UTC, datetime
from threading import Thread
from types import TracebackType
from typing import Self
from uuid import uuid4

from llmrouterbench.calling.cache import Cache, answer_of, hold_lease, key, record_of, record_or_claim
from llmrouterbench.calling.calls import Answer, CallError, Endpoint, Request, Usage
from llmrouterbench.calling.client import Client
from llmrouterbench.calling.prices import Price, cost
from llmrouterbench.calling.retrying import complete_with_retries
from llmrouterbench.replies import Reply

_LEASE_SECONDS = 60.0


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

    A failed call is a Reply with status "failed" and a reason, never an exception.
    """
    return Asker(endpoint, settings, cache, name or settings.model, price, attempts)


class Asker:
    """What `asker` gives: one event loop in a thread of its own, and the judge's own account.

    spent     USD paid so far; unpriced: replies whose cost nobody knows
    calls     replies asked for; cached: those that were already paid for; failed: those that failed
    """

    def __init__(
        self, endpoint: Endpoint, settings: Request, cache: Cache | None, name: str, price: Price | None, attempts: int
    ) -> None:
        self.endpoint, self.settings, self.cache = endpoint, settings, cache
        self.name, self.price, self.attempts = name, price, attempts
        self.spent, self.unpriced, self.calls, self.cached, self.failed = 0.0, 0, 0, 0, 0
        self._client = Client()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name=f"judge {name}", daemon=True)
        self._thread.start()

    def __call__(self, prompt: str) -> Reply:
        """The judge's reply to a prompt; waits for it."""
        if self._loop.is_closed():
            raise ValueError("the judge is closed; make a new asker")
        return asyncio.run_coroutine_threadsafe(self._ask(prompt), self._loop).result()

    def close(self) -> None:
        """End the connections and the thread; calls under way in other threads are cancelled."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _shut(self) -> None:
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.__aexit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _ask(self, prompt: str) -> Reply:
        messages = (*self.settings.messages, {"role": "user", "content": prompt})
        request = replace(self.settings, endpoint=self.endpoint.name, messages=messages)
        name = key(request, self.endpoint.url)
        if self.cache is None:
            return (await self._pay(request, name))[1]
        owner = uuid4().hex
        record = await record_or_claim(self.cache, name, owner, _LEASE_SECONDS)
        if record is not None:
            self._count(cached=1)
            return self._reply(answer_of(record), name, cost=record["cost"], at=record["at"])
        async with hold_lease(self.cache, name, owner, _LEASE_SECONDS):
            answer, reply = await self._pay(request, name)
            if answer is not None:
                paid = record_of(answer, request.model, reply.cost)
                await asyncio.to_thread(self.cache.put, name, paid)
        return reply

    async def _pay(self, request: Request, name: str) -> tuple[Answer | None, Reply]:
        """The answer of a call with its retries, None where it failed, and the reply to give."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            answer, attempts, before = await complete_with_retries(
                self._client, self.endpoint, request, attempts=self.attempts, price=self.price
            )
        except CallError as error:
            self._count(error.cost, failed=1)
            return None, Reply(
                "", "", self.name, "", "failed", error.reason, cost=error.cost, attempts=error.attempts, key=name, at=at
            )
        own = cost(answer, self.price)
        whole = None if own is None or before is None else own + before
        self._count(whole)
        return answer, self._reply(answer, name, cost=whole, at=at, attempts=attempts)

    def _reply(self, answer: Answer, name: str, *, cost: float | None, at: str, attempts: int = 1) -> Reply:
        usage = {field.name: getattr(answer, field.name) for field in fields(Usage) if field.name != "provider_cost"}
        return Reply(
            "", "", self.name, answer.text, "ok", answer.reason, **usage, cost=cost, seconds=answer.seconds,
            first_token_seconds=answer.first_token_seconds, attempts=attempts, key=name, at=at,
        )  # fmt: skip

    def _count(self, paid: float | None = 0.0, *, cached: int = 0, failed: int = 0) -> None:
        """Enter one reply in the account; only the loop's thread writes it."""
        self.calls += 1
        self.cached += cached
        self.failed += failed
        self.unpriced += paid is None
        self.spent += paid or 0.0
