"""What a collection has to do: the prompts of every dataset, and for every model which of them lack a reply."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from llmrouterbench.calling.calls import Endpoint, Request, Usage
from llmrouterbench.calling.counting import IMAGE_TOKENS, PREAMBLE_TOKENS
from llmrouterbench.calling.prices import CHARACTERS_PER_TOKEN, GUESSED_TOKENS_OUT, Price, cost, price
from llmrouterbench.collecting.config import CollectConfig, DatasetConfig, PoolModel
from llmrouterbench.collecting.limits import Window
from llmrouterbench.collecting.replies_store import Prompted, Tally, last_lines, reply_lines, tally_lines
from llmrouterbench.replies import Reply
from llmrouterbench.table import IntArray

MISSING, OK, FAILED = 0, 1, 2
DEFER_SECONDS = 0.1
OPEN_END_TOKENS = 32_768
"""Output tokens that a budget sets aside for a model without max_tokens."""


@dataclass
class Progress:
    """Where one model stands: queries, replies that there are, what they cost, what this run spent (USD).

    hits     replies taken from the cache in this run: paid for before
    unpriced replies without a cost
    stopped  why the model was given up, "" where it was not
    """

    model: str
    endpoint: str
    queries: int = 0
    ok: int = 0
    failed: int = 0
    hits: int = 0
    calls: int = 0
    cost: float = 0.0
    spent: float = 0.0
    unpriced: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    in_flight: int = 0
    done_before: int = 0
    seconds: float = 0.0
    stopped: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the model is done at the speed of this run, None where there is no speed yet."""
        done = self.ok + self.failed - self.done_before
        return (self.queries - self.ok - self.failed) * self.seconds / done if done > 0 else None


class Job(NamedTuple):
    """One query for one model."""

    dataset: str
    prompted: Prompted


@dataclass
class ModelWork:
    """One model of the pool with the queries it still has to answer, and how many calls it bears."""

    config: PoolModel
    endpoint: Endpoint
    price: Price | None
    progress: Progress
    window: Window
    todo: Mapping[str, IntArray]
    questions: Mapping[str, Sequence[Prompted]] = field(repr=False)
    retry_failed: bool = True
    refusals: int = 0

    def __post_init__(self) -> None:
        self.answered = self.progress.ok > 0
        self._template = self.config.request()
        self._jobs = self.jobs()
        self._next = next(self._jobs, None)
        self._deferred: deque[tuple[float, Job]] = deque()

    def jobs(self) -> Iterator[Job]:
        """All that is to do: datasets in turn, what failed before comes last."""
        yield from in_turn(self._jobs_of(name, MISSING) for name in self.todo)
        if self.retry_failed:
            yield from in_turn(self._jobs_of(name, FAILED) for name in self.todo)

    def _jobs_of(self, dataset: str, state: int) -> Iterator[Job]:
        prompted = self.questions[dataset]
        return (Job(dataset, prompted[row]) for row in np.flatnonzero(self.todo[dataset] == state).tolist())

    @property
    def finished(self) -> bool:
        """Whether no query is left to start."""
        return bool(self.progress.stopped) or (self._next is None and not self._deferred)

    def ready(self, now: float) -> bool:
        """Whether a query can start now."""
        if self.finished or not self.window.has_room(self.progress.in_flight):
            return False
        return self._next is not None or self._deferred[0][0] <= now

    def take(self) -> Job:
        """The next query; only where `ready`."""
        job, self._next = self._next, next(self._jobs, None)
        return self._deferred.popleft()[1] if job is None else job

    def defer(self, job: Job) -> None:
        """Come back to a query later: somebody else is asking the same."""
        self._deferred.append((time.monotonic() + DEFER_SECONDS, job))

    def request(self, prompted: Prompted) -> Request:
        """The request for one query."""
        return replace(self._template, messages=(*self._template.messages, user_message(prompted)))

    def most(self, prompted: Prompted) -> float:
        """USD that one call costs at most: a token a byte in, max_tokens out. 0 where the price is not known."""
        if self.price is None:
            return 0.0
        images = len(prompted.item.details.get("images") or ())
        tokens_in = (
            len(prompted.prompt.encode()) + len(self.config.system.encode()) + PREAMBLE_TOKENS + IMAGE_TOKENS * images
        )
        tokens_out = self.config.max_tokens or OPEN_END_TOKENS
        dearest = replace(self.price, reasoning=None, output=max(self.price.output, self.price.reasoning or 0.0))
        return cost(Usage(tokens_in, tokens_out), dearest) or 0.0

    def expected_tokens(self, request: Request) -> float:
        """Tokens that a request will use, both ways, from what the model wrote so far."""
        characters = sum(len(str(message["content"])) for message in request.messages)
        return characters / CHARACTERS_PER_TOKEN + self.expected_tokens_out

    @property
    def expected_tokens_out(self) -> float:
        """Output tokens of a reply: the mean so far, else max_tokens, else a guess."""
        if self.progress.ok:
            return self.progress.tokens_out / self.progress.ok
        return self.config.max_tokens or GUESSED_TOKENS_OUT

    def count(self, reply: Reply) -> None:
        """Add a reply of this run to the progress."""
        progress = self.progress
        progress.ok += reply.status == "ok"
        progress.failed += reply.status == "failed"
        progress.hits += reply.attempts == 0
        progress.calls += reply.attempts
        progress.tokens_in += reply.tokens_in or 0
        progress.tokens_out += reply.tokens_out or 0
        progress.cost += reply.cost or 0.0
        progress.spent += (reply.cost or 0.0) if reply.attempts else 0.0
        progress.unpriced += reply.cost is None


def in_turn(streams: Iterable[Iterator[Job]]) -> Iterator[Job]:
    """One of each in turn until all are empty."""
    waiting = deque(streams)
    while waiting:
        stream = waiting.popleft()
        for job in islice(stream, 1):
            yield job
            waiting.append(stream)


def user_message(prompted: Prompted) -> dict[str, Any]:
    """The query; images of an item go before its text as content parts."""
    images = prompted.item.details.get("images") or ()
    parts = [{"type": "image_url", "image_url": {"url": image}} for image in images]
    content: Any = [*parts, {"type": "text", "text": prompted.prompt}] if parts else prompted.prompt
    return {"role": "user", "content": content}


def load_questions(config: DatasetConfig) -> tuple[str, list[Prompted]]:
    """The name of a dataset, and its items with their prompts. Raises ValueError where there is none."""
    from llmrouterbench.datasets import dataset, load

    folder = config.folder
    if config.name.endswith((".yaml", ".yml")):
        from llmrouterbench.datasets.own import own_dataset

        found, folder = own_dataset(config.name), folder or str(Path(config.name).parent)
    else:
        found = dataset(config.name)
    items = load(found, Path(folder) if folder else None, config.subset)[: config.limit]
    if not items:
        raise ValueError(f"dataset {config.name!r} must have items, got none")
    return found.name, [Prompted(item, found.prompt(item)) for item in items]


Questions = Mapping[str, Sequence[Prompted]]
"""Dataset -> its items with their prompts."""


def load_all_questions(config: CollectConfig) -> Questions:
    """The items of every dataset of the config. Raises ValueError where it names none."""
    questions = dict(load_questions(one) for one in config.datasets)
    if not questions:
        raise ValueError("datasets must name at least one dataset, got none")
    return questions


class Entrant(NamedTuple):
    """One model of the pool with where it runs and what it costs; nothing of what it has answered is read yet."""

    config: PoolModel
    endpoint: Endpoint
    price: Price | None


def load_pool(config: CollectConfig, *, key_needed: bool = True) -> list[Entrant]:
    """Every model of the pool. Raises ValueError for a key that is not set."""
    endpoints = {
        name: one.endpoint(name, key_needed=key_needed)
        for name, one in config.endpoints.items()
        if any(model.endpoint == name for model in config.models)
    }
    at = [(model, endpoints[model.endpoint]) for model in config.models]
    return [Entrant(model, endpoint, price(model.sent_name, endpoint, model.price)) for model, endpoint in at]


def load_work(
    entrant: Entrant,
    questions: Questions,
    folder: Path,
    *,
    retry_failed: bool = True,
    changed: Mapping[str, Collection[str]] | None = None,
) -> ModelWork:
    """What a model has to do, by what the folder holds of it now; replies to items that `changed` do not count."""
    without = changed or {}
    lines = {name: reply_lines(folder, name, entrant.config.name, without.get(name, ())) for name in questions}
    todo = {name: _states(lines[name], questions[name]) for name in questions}
    sums = [tally_lines(lines[name], [entry.item.id for entry in asked]) for name, asked in questions.items()]
    return ModelWork(
        config=entrant.config,
        endpoint=entrant.endpoint,
        price=entrant.price,
        progress=_progress(entrant.config, sums, list(todo.values()), retry_failed),
        window=Window(entrant.endpoint.concurrency),
        todo=todo,
        questions=questions,
        retry_failed=retry_failed,
    )


def _states(lines: pl.DataFrame, prompted: Sequence[Prompted]) -> IntArray:
    """Missing, ok or failed (n,) for every item."""
    counted = last_lines(lines)
    last = dict(zip(counted["item"], counted["status"] == "ok", strict=True))
    codes = {None: MISSING, True: OK, False: FAILED}
    return np.array([codes[last.get(entry.item.id)] for entry in prompted], dtype=np.int8)


def _progress(model: PoolModel, sums: Sequence[Tally], states: Sequence[IntArray], retry_failed: bool) -> Progress:
    """Where the model stands; a failed query that is asked again counts as not done."""
    whole = np.concatenate(states)
    ok, failed = int((whole == OK).sum()), 0 if retry_failed else int((whole == FAILED).sum())
    return Progress(
        model=model.name,
        endpoint=model.endpoint,
        queries=len(whole),
        ok=ok,
        failed=failed,
        done_before=ok + failed,
        cost=sum(one.cost for one in sums),
        unpriced=sum(one.unpriced for one in sums),
        tokens_in=sum(one.tokens_in for one in sums),
        tokens_out=sum(one.tokens_out for one in sums),
    )
