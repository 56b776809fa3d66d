"""Decisions of every quick router in batch, against scikit-learn k-nearest-neighbour regression on the same queries."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.neighbors import KNeighborsRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from llmrouterbench import make_router, simulate
from llmrouterbench.benching.policies import decide_sweep, weights_of
from llmrouterbench.embedders import make_embedder
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.routers import REGISTRY
from llmrouterbench.splits import make_split
from llmrouterbench.table import Outcomes

NAMES = [name for name, entry in REGISTRY.items() if not entry.needs]


def table() -> str:
    """Markdown: microseconds per query of every router at one operating point, one thread, embedding not counted."""
    outcomes = simulate("performance")
    split = make_split(outcomes, 42, kind="paper")
    with tempfile.TemporaryDirectory() as cache, threadpool_limits(limits=1):
        vectors, _ = embed_queries(outcomes, make_embedder("tfidf"), split.train, cache=Path(cache))
        embedded = outcomes.with_embedding(vectors)
        train, test = embedded.take(split.train), embedded.take(split.test)
        reference, floor = _reference(train, test), _floor(train, test)
        rows = [(name, *_ours(name, train, test)) for name in NAMES]
    lines = [
        f"Reference: scikit-learn KNeighborsRegressor, k = 100, brute force: {1e6 * reference:.0f} µs a query."
        f" {len(train):,} training and {len(test):,} test queries, {len(train.models)} models, {vectors.shape[1]}"
        f" dimensions. Floor of exact neighbours: the float32 products alone take {1e6 * floor:.0f} µs a query,"
        f" {reference / floor:.1f}x.",
        "",
        "| router | fit, s | decision, µs a query | ratio to the reference |",
        "|---|---:|---:|---:|",
    ]
    lines += [f"| {n} | {fit:.2f} | {1e6 * decide:.1f} | {reference / decide:.1f}x |" for n, fit, decide in rows]
    return "\n".join(lines)


def _reference(train: Outcomes, test: Outcomes) -> float:
    fitted = KNeighborsRegressor(n_neighbors=100, algorithm="brute").fit(train.queries.embedding, train.score)
    started = time.perf_counter()
    fitted.predict(test.queries.embedding)
    return (time.perf_counter() - started) / len(test)


def _floor(train: Outcomes, test: Outcomes) -> float:
    """Seconds a query of the similarities alone, 128 queries at a time: the fastest of three passes."""
    rows, asked = (part.queries.embedded("the floor").astype(np.float32) for part in (train, test))
    passes = []
    for _ in range(3):
        started = time.perf_counter()
        for start in range(0, len(asked), 128):
            np.matmul(asked[start : start + 128], rows.T)
        passes.append((time.perf_counter() - started) / len(test))
    return min(passes)


def _ours(name: str, train: Outcomes, test: Outcomes) -> tuple[float, float]:
    """Seconds to fit, and seconds per query: the fastest of three passes."""
    started = time.perf_counter()
    router = make_router(name).fit(train)
    fit = time.perf_counter() - started
    weight = np.asarray(
        weights_of(router, train)[-1:] if name.startswith("avengers") else weights_of(router, train)[:1]
    )
    passes = []
    for _ in range(3):
        started = time.perf_counter()
        decide_sweep(router, test.queries, weight)
        passes.append((time.perf_counter() - started) / len(test))
    return fit, min(passes)
