"""One run of a collection: workers on every endpoint, the keys under way, and why it stops."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from llmrouterbench.calling.cache import Cache, answer_of, key, record_of
from llmrouterbench.calling.calls import Answer, CallError, Request
from llmrouterbench.calling.client import Client
from llmrouterbench.calling.prices import cost
from llmrouterbench.calling.retrying import complete_with_retries
from llmrouterbench.collecting._calls import BreakOffError, PacedClient, PaidCall, add_cost
from llmrouterbench.collecting._work import Job, ModelWork, Progress
from llmrouterbench.collecting.budget import Budget
from llmrouterbench.collecting.config import CollectConfig
from llmrouterbench.collecting.replies_writer import RepliesWriter
from llmrouterbench.replies import Reply
from llmrouterbench.shown import Shown

LEASE_SECONDS = 60.0
"""A query that is being asked is nobody else's for so long; renewed while the call runs."""
GRACE_SECONDS = 30.0
"""Time for calls under way after the first Ctrl-C."""
TICK_SECONDS = 0.25

Stop = tuple[Literal["endpoint", "model"], int, int]
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

Tell = Callable[[Sequence[Progress]], None]
T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Summary(Shown):
    """What a run did, model by model. `why` says why it ended early.

    spent      USD of this run's calls; `unpriced` counts replies of unknown cost
    torn       half-written lines of a killed run that were cut off
    in_flight  calls a killed run had under way: asked again, perhaps paid twice
    """

    models: tuple[Progress, ...]
    spent: float
    unpriced: int
    torn: int
    in_flight: int
    why: str = ""
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether every query has an ok reply."""
        return all(model.ok == model.queries for model in self.models)


class Run:
    """One run: workers, the keys under way, and why it stops."""

    def __init__(
        self,
        config: CollectConfig,
        models: Sequence[ModelWork],
        writer: RepliesWriter,
        cache: Cache,
        budget: Budget,
        *,
        remote: bool,
        tell: Tell | None,
    ) -> None:
        self._config, self._models, self._writer, self._cache = config, models, writer, cache
        self._budget, self._remote = budget, remote
        self._tell = tell or (lambda progress: None)
        self._keys: set[str] = set()
        self._changed = {model.endpoint.name: asyncio.Event() for model in models}
        self._why = ""
        self._interrupted = False
        self._started = time.monotonic()
        self._workers: list[asyncio.Task[None]] = []

    async def go(self) -> None:
        """Run until nothing is left to do or something stops it; an error waits for calls under way, then is raised."""
        async with PacedClient(self._config, self._models) as client:
            self._workers = [
                asyncio.create_task(self._work(client, name))
                for name in self._changed
                for _ in range(self._config.endpoints[name].concurrency)
            ]
            ticker = asyncio.create_task(self._tick())
            with _signals(self._interrupt):
                try:
                    await self._finish()
                finally:
                    await _cancel([ticker, *self._workers])
        self._show()

    async def _finish(self) -> None:
        done, under_way = await asyncio.wait(self._workers, return_when=asyncio.FIRST_EXCEPTION)
        errors = [error for task in done if not task.cancelled() and (error := task.exception())]
        if errors:
            self._stop("stopped by an error")
            if under_way:
                await asyncio.wait(under_way, timeout=GRACE_SECONDS)
            raise errors[0]

    def summary(self) -> Summary:
        """What was done."""
        return Summary(
            models=tuple(model.progress for model in self._models),
            spent=sum(model.progress.spent for model in self._models),
            unpriced=sum(model.progress.unpriced for model in self._models),
            torn=self._writer.torn,
            in_flight=self._writer.in_flight,
            why=self._why,
            interrupted=self._interrupted,
        )

    # --- time and signals

    async def _tick(self) -> None:
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._show()
            if time.monotonic() - renewed > LEASE_SECONDS / 4:
                renewed = time.monotonic()
                for name in list(self._keys):
                    await self._cached(self._cache.claim, name, self._writer.owner, LEASE_SECONDS)

    def _show(self) -> None:
        seconds = time.monotonic() - self._started
        for model in self._models:
            model.progress.seconds = seconds
        self._tell([model.progress for model in self._models])

    def _interrupt(self, name: str) -> None:
        """First signal: start nothing new, give calls under way some time. Second: cut them."""
        if self._interrupted:
            self._cut()
            return
        self._interrupted = True
        self._stop(f"stopped by {name}")
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._cut)

    def _stop(self, why: str) -> None:
        self._why = self._why or why
        for event in self._changed.values():
            event.set()

    def _cut(self) -> None:
        for worker in self._workers:
            worker.cancel()

    # --- one query after the other

    async def _work(self, client: Client, endpoint: str) -> None:
        models = [model for model in self._models if model.endpoint.name == endpoint]
        changed = self._changed[endpoint]
        while not self._why and not all(model.finished for model in models):
            now = time.monotonic()
            ready = [model for model in models if model.ready(now)]
            if not ready:
                changed.clear()
                await _wait(changed, TICK_SECONDS / 5)
                continue
            model = min(ready, key=lambda one: one.progress.in_flight)
            model.progress.in_flight += 1
            try:
                await self._answer(client, model, model.take())
            finally:
                model.progress.in_flight -= 1
                changed.set()

    async def _answer(self, client: Client, model: ModelWork, job: Job) -> None:
        """One query: from the cache, from the model, or later when somebody else is asking it."""
        request = model.request(job.prompted)
        name = key(request, model.endpoint.url)
        if name in self._keys:
            model.defer(job)
            return
        self._keys.add(name)
        try:
            if await self._cached(self._cache.claim, name, self._writer.owner, LEASE_SECONDS):
                await self._ask_leased(client, model, job, request, name)
            elif record := await self._cached(self._cache.get, name):
                self._record(model, job, answer_of(record), attempts=0, paid=record["cost"], name=name)
                await asyncio.sleep(0)
            else:
                model.defer(job)
        finally:
            self._keys.discard(name)

    async def _ask_leased(self, client: Client, model: ModelWork, job: Job, request: Request, name: str) -> None:
        """Ask the model; the lease ends with the record in the cache, or is given back without one."""
        recorded = False
        try:
            recorded = await self._ask(client, model, job, request, name)
        finally:
            if not recorded:
                await self._cached(self._cache.release, name, self._writer.owner)

    async def _ask(self, client: Client, model: ModelWork, job: Job, request: Request, name: str) -> bool:
        """Ask the model, with retries, within the budget; whether there is a reply in the cache now."""
        most = model.most(job.prompted)
        if not await self._budget.reserve(most):
            self._stop(
                f"the budget of ${self._budget.limit:g} has no room for the next call,"
                f" ${self._budget.spent:.4f} of it is spent"
            )
            return False
        self._writer.call(b"+")
        with PaidCall(self._budget, most, lambda: bool(self._why or model.progress.stopped)) as call:
            try:
                await self._try(call, client, model, job, request, name)
            except CallError as error:
                call.paid = error.cost
                self._fail(model, job, error, name)
            except BreakOffError as stopped:
                call.paid = stopped.error.cost
                if call.paid != 0.0:
                    self._fail(model, job, stopped.error, name)
        self._writer.call(b"-")
        return call.answered

    async def _try(
        self, call: PaidCall, client: Client, model: ModelWork, job: Job, request: Request, name: str
    ) -> None:
        """All attempts; a reply goes to the cache and to the folder, to the folder even where the cache fails."""
        answer, attempts, before = await complete_with_retries(
            client, model.endpoint, request, price=model.price, on_wait=call.waits
        )
        call.paid = add_cost(cost(answer, model.price), before)
        try:
            await self._cached(self._cache.put, name, record_of(answer, request.model, call.paid))
            call.answered = True
        finally:
            self._record(model, job, answer, attempts=attempts, paid=call.paid, name=name)

    def _record(
        self, model: ModelWork, job: Job, answer: Answer, *, attempts: int, paid: float | None, name: str
    ) -> None:
        """Write a good reply and count it."""
        reply = Reply(
            dataset=job.dataset,
            item=job.prompted.item.id,
            model=model.config.name,
            text=answer.text,
            reason=answer.reason,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            tokens_cached=answer.tokens_cached,
            tokens_reasoning=answer.tokens_reasoning,
            cost=paid,
            seconds=answer.seconds,
            first_token_seconds=answer.first_token_seconds,
            attempts=attempts,
            key=name,
            at=_now(),
        )
        self._writer.append(reply)
        model.count(reply)
        if attempts:
            model.refusals, model.answered = 0, True

    def _fail(self, model: ModelWork, job: Job, error: CallError, name: str) -> None:
        """Write a failed call, and give up what refuses again and again."""
        reply = Reply(
            dataset=job.dataset,
            item=job.prompted.item.id,
            model=model.config.name,
            text="",
            status="failed",
            reason=error.reason,
            cost=error.cost,
            attempts=error.attempts,
            key=name,
            at=_now(),
        )
        self._writer.append(reply)
        model.count(reply)
        scope, before, after = STOPS.get(error.kind, STOP_OTHERWISE)
        model.refusals += 1
        if model.refusals < (after if model.answered else before):
            return
        for other in self._models:
            if other is model or (scope == "endpoint" and other.endpoint.name == model.endpoint.name):
                other.progress.stopped = other.progress.stopped or error.reason

    async def _cached(self, call: Callable[..., T], *arguments: Any) -> T:
        """A call of the cache; one over the network must not hold the others up."""
        return await asyncio.to_thread(call, *arguments) if self._remote else call(*arguments)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but no longer than so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _signals(interrupt: Callable[[str], None]) -> Iterator[None]:
    """Hand Ctrl-C and SIGTERM to `interrupt`, where the system and the thread allow it."""
    caught: list[signal.Signals] = []
    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for name, number in (("Ctrl-C", signal.SIGINT), ("SIGTERM", signal.SIGTERM)):
            try:
                loop.add_signal_handler(number, interrupt, name)
            except NotImplementedError:  # Windows
                continue
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
