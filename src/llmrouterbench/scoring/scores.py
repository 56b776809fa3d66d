"""Scores of many replies: what a scorer needs is opened once, slow scorers run side by side.

A scorer that overruns its time limit, or a judge that cannot be read or stopped, leaves the reply "not scored" with the
reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Literal, Self

from llmrouterbench.calling.asking import JudgeStoppedError
from llmrouterbench.datasets import Dataset, Instruments
from llmrouterbench.naming import did_you_mean
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.sandbox.run import Execution, RunProgram, Talk

Compat = Literal["ours", "official"]
Tell = Callable[[int], None]

_BATCH = 256
_WAKE_SECONDS = 0.5
_JUDGES = 32
"""Judgements asked for at once: they wait for a server, not for a core."""


@dataclass
class Bench:
    """The instruments of scorers, opened when a dataset needs them; a context manager.

    unsafe   run model-written code without a sandbox where there is none
    workers  processes for mathematics and for code; None for the number of cores
    judges   judge model id -> a function that asks it
    """

    unsafe: bool = False
    workers: int | None = None
    judges: Mapping[str, Callable[[str], Reply]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cores = self.workers or os.cpu_count() or 2
        self._stack = ExitStack()
        self._equal: Callable[[str, str], bool] | None = None
        self._run: RunProgram | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def instruments(self, dataset: Dataset) -> Instruments:
        """What the scorer of a dataset may use. Raises RuntimeError where code must run and nothing protects."""
        return Instruments(
            equal=self._open_math() if dataset.kind == "math" else _unavailable_equal,
            run=self._open_sandbox() if dataset.kind == "code" else _unavailable_run,
            ask=self.judges.get(dataset.judge) or partial(_nobody, dataset.judge, tuple(self.judges)),
            again=getattr(self.judges.get(dataset.judge), "again", None),
        )

    def stopped(self, dataset: Dataset) -> str:
        """Why the judge of a dataset answers nobody any more, "" where it does or there is none."""
        judge = self.judges.get(dataset.judge)
        return str(getattr(judge, "stopped", ""))

    def _open_math(self) -> Callable[[str, str], bool]:
        if self._equal is None:
            from llmrouterbench.datasets.equality import MathPool

            self._equal = self._stack.enter_context(MathPool(self.cores)).equal
        return self._equal

    def _open_sandbox(self) -> RunProgram:
        if self._run is None:
            from llmrouterbench.sandbox.run import open_sandbox

            self._run = self._stack.enter_context(open_sandbox(unsafe=self.unsafe, workers=self.cores)).run
        return self._run

    def width(self, dataset: Dataset) -> int:
        """How many replies of a dataset are scored at once."""
        return {"text": 1, "harness": 1, "judge": _JUDGES}.get(dataset.kind, self.cores)


def score_replies(
    dataset: Dataset,
    work: Sequence[tuple[Item, str]],
    bench: Bench,
    compat: Compat = "ours",
    tell: Tell = lambda done: None,
) -> list[Score]:
    """Scores of (item, reply text) pairs, in their order; `tell` hears how many are done.

    An interruption waits for no scorer that is still at work; what those use is closed with the bench and the judges.
    """
    instruments = bench.instruments(dataset)
    scorer = dataset.score if compat == "ours" or dataset.official is None else dataset.official

    def one(pair: tuple[Item, str]) -> Score:
        try:
            return scorer(pair[0], pair[1], instruments)
        except TimeoutError as error:
            return Score(float("nan"), "", str(error) or "the scorer overran its time limit")
        except JudgeStoppedError as error:
            return Score(float("nan"), "", str(error))

    scores: list[Score] = []
    width = bench.width(dataset)
    pool = ThreadPoolExecutor(width, f"score-{dataset.name}")
    try:
        for batch in _batches(work):
            scores += map(one, batch) if width == 1 else _results([pool.submit(one, pair) for pair in batch])
            tell(len(scores))
    finally:
        pool.shutdown(wait=len(scores) == len(work), cancel_futures=True)
    return scores


def _results(futures: Sequence[Future[Score]]) -> list[Score]:
    """Their results, in order, or the first error; wakes up often, so that Ctrl-C is heard whichever thread gets it."""
    pending: Set[Future[Score]] = frozenset(futures)
    while pending:
        done, pending = wait(pending, _WAKE_SECONDS, FIRST_EXCEPTION)
        for future in done:
            future.result()
    return [future.result() for future in futures]


def _batches(work: Sequence[tuple[Item, str]]) -> Iterator[Sequence[tuple[Item, str]]]:
    for start in range(0, len(work), _BATCH):
        yield work[start : start + _BATCH]


def _nobody(judge: str, known: Sequence[str], prompt: str) -> Reply:
    """A failed judgement that says which judge is missing."""
    near = did_you_mean(judge, known) if known else ""
    reason = f"no judge {judge!r} is configured{near}; name it under `judges` in the config and score again"
    return Reply("", "", "", "", "failed", reason)


def _unavailable_equal(one: str, other: str) -> bool:
    raise RuntimeError("only a dataset of kind 'math' may compare mathematics; set its kind")


def _unavailable_run(program: str, stdin: str | Talk, seconds: float, modules: bool = True) -> Execution:
    raise RuntimeError("only a dataset of kind 'code' may run programs; set its kind")
