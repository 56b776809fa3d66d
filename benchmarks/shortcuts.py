"""What the shortcuts for many training queries cost in choices and save in time: cells of neighbours, sampled k-means.

Both sides run on the same SIMULATED queries, just above the number from which the shortcuts are taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from llmrouterbench.benching.policies import decide_sweep
from llmrouterbench.embedders.tfidf import TfidfSvd
from llmrouterbench.routers import _k_means, _neighbours, make_router
from llmrouterbench.settings import load_setting
from llmrouterbench.simulation._text import write_queries
from llmrouterbench.simulation.simulate import paper_target, simulate_cells
from llmrouterbench.table import BoolArray, Outcomes

TRAIN, TEST, FITTED = 60_000, 2_000, 3_000
SETTING = "performance-cost"
ROUTERS = ("knn", "knn_tuned", "avengers")


def table() -> str:
    """Markdown: seconds, and how often the choice for quality and its score are what they are without the shortcut."""
    with threadpool_limits(limits=1):
        train, test = _parts()
        lines = [
            f"{TRAIN:,} training and {TEST:,} test queries, {len(train.models)} models,"
            f" {train.queries.embedded('shortcuts').shape[1]} dimensions (TF-IDF of {FITTED:,} of the texts); processor"
            f" seconds. Of the 100 nearest training queries {100 * _recall(train, test):.2f} % are found.",
            "",
            "| router | fit and decide, s | without the shortcut, s | equal choices | mean score | without |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for name in ROUTERS:
            quick, seconds = _timed(lambda name=name: _choices(name, train, test))  # type: ignore[misc]
            with _whole():
                slow, longer = _timed(lambda name=name: _choices(name, train, test))  # type: ignore[misc]
            score, other = (test.score[np.arange(TEST), choice].mean() for choice in (quick, slow))
            same = 100 * float((quick == slow).mean())
            lines.append(f"| {name} | {seconds:.1f} | {longer:.1f} | {same:.1f} % | {score:.4f} | {other:.4f} |")
    return "\n".join(lines)


def _parts() -> tuple[Outcomes, Outcomes]:
    """Embedded training and test queries."""
    setting, each = load_setting(SETTING), -(-(TRAIN + TEST) // len(load_setting(SETTING).datasets))
    names = [entry.id for entry in setting.datasets]
    queries = {name: write_queries(name, each, 0) for name in names}
    cells = [simulate_cells(queries[name], paper_target(SETTING, name), 0, SETTING, name) for name in names]
    texts = [text for name in names for text in queries[name].text]
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = [texts[row] for row in order]
    table = Outcomes.of(
        shuffled,
        [entry.id for entry in setting.models],
        np.concatenate([one.score for one in cells])[order],
        cost=np.concatenate([one.cost for one in cells])[order],
        dataset=np.repeat(names, each)[order].tolist(),
    )
    embedded = table.with_embedding(TfidfSvd().fit(shuffled[:FITTED]).embed(shuffled))
    return embedded.take(np.arange(TRAIN)), embedded.take(np.arange(TRAIN, TRAIN + TEST))


def _choices(name: str, train: Outcomes, test: Outcomes) -> Any:
    """The choice (n,) for quality."""
    return decide_sweep(make_router(name).fit(train), test.queries, np.zeros(1))[0]


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    return work(), time.process_time() - started


def _recall(train: Outcomes, test: Outcomes) -> float:
    rows, asked = (part.queries.embedded("shortcuts").astype(np.float32) for part in (train, test.take(np.arange(500))))
    every, some = (_marked(rows, asked, cells) for cells in (None, _neighbours.Cells.of(rows)))
    return float((every & some).sum() / every.sum())


def _marked(rows: _neighbours.Single, asked: _neighbours.Single, cells: _neighbours.Cells | None) -> BoolArray:
    found = np.zeros((len(asked), len(rows)), dtype=np.bool_)
    for block, (near,) in _neighbours.near_rows(rows, asked, [100], cells):
        found[block] = near.toarray() > 0
    return found


@contextmanager
def _whole() -> Iterator[None]:
    """No shortcut is taken."""
    kept = _neighbours.WHOLE, _k_means.WHOLE
    _neighbours.WHOLE = _k_means.WHOLE = 10**9
    try:
        yield
    finally:
        _neighbours.WHOLE, _k_means.WHOLE = kept
