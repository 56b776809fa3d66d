"""What a router promises: it estimates; with a dial of its own it decides; as a cascade it pays for replies first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np

from llmrouterbench.table import BoolArray, Estimate, FloatArray, IntArray, Outcomes, Queries, Replies


@runtime_checkable
class Router(Protocol):
    """Estimates the outcome of every model on queries it has not seen. Settings go to the constructor."""

    def fit(self, train: Outcomes) -> Self:
        """Learn from outcomes; returns itself."""
        ...

    def predict(self, queries: Queries) -> Estimate:
        """Expected outcomes (n, m) of new queries."""
        ...


@runtime_checkable
class TradeOffRouter(Router, Protocol):
    """A router with its own trade-off dial, instead of the default `argmax(score - weight * cost)`."""

    @property
    def weights(self) -> FloatArray:
        """(w,) settings of the dial."""
        ...

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) model index chosen at every setting of the dial."""
        ...


class Ask(Protocol):
    """Pays for one reply of one model to one query: replayed offline, live when serving."""

    def __call__(self, row: int, model: int) -> str:
        """The reply's text."""
        ...


@runtime_checkable
class Cascade(Protocol):
    """Decides which model serves each query, and may pay for replies and read them before it does."""

    def decide(self, queries: Queries, ask: Ask) -> IntArray | FloatArray:
        """(n,) index of the model served, or (n, m) probabilities of serving each model."""
        ...


@runtime_checkable
class ReplyReader(Protocol):
    """A router that becomes a cascade: it learns from replies too, and reads them before one serves."""

    @property
    def reads_replies(self) -> bool:
        """Whether it does so with its settings; otherwise it is an ordinary router."""
        ...

    def fit(self, train: Outcomes, replies: Replies | None = None) -> Self:
        """Learn from outcomes and the replies beside them; returns itself."""
        ...

    def at(self, weight: float) -> Cascade:
        """The fitted cascade at one setting of its dial."""
        ...


@runtime_checkable
class AsksAtOnce(ReplyReader, Protocol):
    """A reply reader that asks all whom it wants to read at once, which is how it can serve live; so is `at`."""

    def predict(self, queries: Queries) -> Estimate:
        """Expected outcomes (n, m) before any call."""
        ...

    def asks(self, queries: Queries) -> BoolArray:
        """Which models (n, m) are asked."""
        ...

    def chosen(self, queries: Queries, replies: Replies) -> IntArray:
        """(n,) model served after the replies that came; one that was asked and gave none does not serve."""
        ...


@dataclass(frozen=True)
class Run:
    """One cascade on one table of test outcomes, as the harness metered it.

    models   m model ids
    served   (n, m) probability that the model's reply was served; one 1 per row where nothing is random
    called   (n, m) expected number of calls paid for
    score    (n,) score of what was served; NaN where that cell was not measured
    cost     (n,) USD of every call made; NaN where any of them has no known cost
    seconds  (n,) latency, calls in sequence; NaN where unknown
    """

    models: tuple[str, ...]
    served: FloatArray
    called: FloatArray
    score: FloatArray
    cost: FloatArray
    seconds: FloatArray

    @property
    def choice(self) -> IntArray:
        """(n,) index of the model served (the likeliest one where the choice is random)."""
        return np.asarray(self.served.argmax(axis=1), dtype=np.int64)
