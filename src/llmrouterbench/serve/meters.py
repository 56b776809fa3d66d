"""What Prometheus reads at /metrics. No label holds a text or a key; the name of a client key is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from llmrouterbench.serve.breaker import Breaker
from llmrouterbench.serve.config import WORKERS
from llmrouterbench.serve.upstream import Upstream

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class Meters:
    """The counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        name = "llmrouterbench"
        self.requests = Counter(
            f"{name}_requests", "Requests by path and how they ended.", ("path", "key", "status"), registry=registry
        )
        self.decisions = Counter(f"{name}_decisions", "Decisions.", ("model", "reason"), registry=registry)
        self.attempts = Counter(
            f"{name}_attempts", "Calls to providers by how they ended.", ("provider", "model", "result"),
            registry=registry,
        )  # fmt: skip
        self.cost = Counter(f"{name}_cost_usd", "USD spent where it is known.", ("model", "key"), registry=registry)
        self.unpriced = Counter(f"{name}_unpriced", "Replies of unknown cost.", ("model",), registry=registry)
        self.tokens = Counter(f"{name}_tokens", "Tokens as billed.", ("model", "direction"), registry=registry)
        self.ood = Counter(f"{name}_out_of_distribution", "Queries far from the training queries.", registry=registry)
        self.feedback = Counter(f"{name}_feedback", "Scores that clients sent.", registry=registry)
        self.lost_rows = Counter(f"{name}_lost_log_rows", "Rows the log could not write.", registry=registry)
        self.in_flight = Gauge(
            f"{name}_requests_in_flight", "Requests under way.", registry=registry, multiprocess_mode="livesum"
        )
        self.breaker = Gauge(
            f"{name}_breaker", "0 closed, 1 half open, 2 open.", ("provider", "model"), registry=registry,
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.calls = Gauge(
            f"{name}_calls_in_flight", "Calls under way.", ("provider",), registry=registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.seconds = Histogram(
            f"{name}_request_seconds", "Until the last byte.", ("path",), buckets=_SECONDS, registry=registry
        )
        self.first_token = Histogram(
            f"{name}_first_token_seconds", "Until a stream's first token.", ("model",), buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.deciding = Histogram(f"{name}_decision_seconds", "To decide.", buckets=_FAST, registry=registry)

    def watch(self, upstreams: Mapping[Upstream, Iterable[str]]) -> None:
        """Show the calls under way of these providers, and the breakers of their models; of no others any more."""
        if self._watched:
            self.breaker.clear()
            self.calls.clear()
            self._watched = []
        for one, models in upstreams.items():
            for model in models:
                self._watched.append((self.breaker.labels(one.name, model), partial(_state, one.breaker(model))))
            self._watched.append((self.calls.labels(one.name), partial(_in_flight, one)))

    def look(self) -> None:
        """Note how those stand who are watched."""
        for gauge, now in self._watched:
            gauge.set(now())

    def page(self, key: str | None = None) -> bytes:
        """The text for Prometheus, of all workers together; of one client key, if given, its own numbers alone."""
        registry = self._all()
        return generate_latest(registry if key is None else _OfKey(registry, key))

    def families(self) -> Iterable[Metric]:
        """The same numbers as values."""
        return self._all().collect()

    def _all(self) -> CollectorRegistry:
        self.look()
        registry = self.registry
        if WORKERS in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry


def _state(breaker: Breaker) -> float:
    return breaker.state


def _in_flight(upstream: Upstream) -> float:
    return upstream.in_flight


@dataclass(frozen=True)
class _OfKey(Collector):
    """The series of one client key."""

    registry: CollectorRegistry
    key: str

    def collect(self) -> Iterator[Metric]:
        """Every metric that has some."""
        for family in self.registry.collect():
            own = Metric(family.name, family.documentation, family.type, family.unit)
            own.samples = [sample for sample in family.samples if sample.labels.get("key") == self.key]
            if own.samples:
                yield own
