"""One run of a collection: workers on every endpoint, and why it stops."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from llmrouterbench.calling.asking import AskedElsewhereError, ask_once, reply_of
from llmrouterbench.calling.cache import Cache, key
from llmrouterbench.calling.cache.leases import Leases
from llmrouterbench.calling.calls import CallError
from llmrouterbench.calling.client import Client
from llmrouterbench.calling.retrying import Paid, stopped_by
from llmrouterbench.collecting._calls import NoRoomError, PacedClient, PaidCall
from llmrouterbench.collecting._work import Job, ModelWork, Progress
from llmrouterbench.collecting.budget import Budget
from llmrouterbench.collecting.config import CollectConfig
from llmrouterbench.collecting.replies_writer import RepliesWriter
from llmrouterbench.shown import Shown

GRACE_SECONDS = 30.0
"""Time for calls under way after the first Ctrl-C."""
TICK_SECONDS = 0.25

Tell = Callable[[Sequence[Progress]], None]


@dataclass(frozen=True, repr=False)
class Summary(Shown):
    """What a run did, model by model. `why` says why it ended early.

    spent      USD of this run's calls; `unpriced` counts replies of unknown cost
    torn       half-written lines of a killed run that were cut off
    in_flight  calls a killed run had under way: asked again, perhaps paid twice
    orphaned   USD that such calls of all runs may have cost; they count on the budget
    """

    models: tuple[Progress, ...]
    spent: float
    unpriced: int
    torn: int
    in_flight: int
    orphaned: float = 0.0
    why: str = ""
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether every query has an ok reply."""
        return all(model.ok == model.queries for model in self.models)


class Run:
    """One run: its workers, and why it stops."""

    def __init__(
        self,
        config: CollectConfig,
        models: Sequence[ModelWork],
        writer: RepliesWriter,
        cache: Cache,
        budget: Budget,
        *,
        tell: Tell | None,
    ) -> None:
        self._config, self._models, self._writer, self._budget = config, models, writer, budget
        self._leases = Leases(cache, writer.owner)
        self._tell = tell or (lambda progress: None)
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
            orphaned=self._writer.orphaned,
            why=self._why,
            interrupted=self._interrupted,
        )

    # --- time and signals

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._show()

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
        """One query: from the cache, from the model within the budget, or later when somebody else is asking it."""
        request = model.request(job.prompted)
        most = model.most(job.prompted)
        name = key(request, model.endpoint.url)

        def record(outcome: Paid | CallError) -> None:
            reply = reply_of(
                outcome, dataset=job.dataset, item=job.prompted.item.id, model=model.config.name, key=name
            )  # fmt: skip
            self._writer.append(reply)
            model.count(reply)

        with PaidCall(self._budget, most, self._writer, lambda: bool(self._why or model.progress.stopped)) as call:
            try:
                asked = partial(call.pay, client, model.endpoint, request, model.price)
                paid = await ask_once(self._leases, name, request, asked, keep=record)
            except AskedElsewhereError:
                model.defer(job)
            except NoRoomError:
                self._stop(
                    f"the budget of ${self._budget.limit:g} has no room for the next call,"
                    f" ${self._budget.spent:.4f} of it is spent"
                )
            except CallError as error:
                if not call.broken_off or error.cost != 0.0:
                    record(error)
                    self._give_up(model, error)
            else:
                if paid.attempts:
                    model.refusals, model.answered = 0, True
                else:
                    await asyncio.sleep(0)  # others get their turn among replies from the cache

    def _give_up(self, model: ModelWork, error: CallError) -> None:
        """Stop what refuses again and again."""
        model.refusals += 1
        scope = stopped_by(error, model.refusals, model.answered)
        for other in self._models if scope else ():
            if other is model or (scope == "endpoint" and other.endpoint.name == model.endpoint.name):
                other.progress.stopped = other.progress.stopped or error.reason


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
