"""101 trade-offs of Avengers-Pro on five seeds, against one clustering a trade-off as the official sweep does."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import Measured, Row, measure

_SETUP = """
from pathlib import Path
from llmrouterbench import bench, simulate
outcomes = simulate("performance-cost")
cache = Path({cache!r})
"""
_OURS = """
bench(outcomes, {out!r}, routers=["avengers_pro"], split="paper", setting="performance-cost", cache=cache)
"""
_WARM = """
bench(outcomes, {out!r}, routers=["best_single"], split="paper", setting="performance-cost", cache=cache)
"""
_REFIT_SETUP = """
import numpy as np
from llmrouterbench.embedders import make_embedder
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.benching.policies import decide_sweep
from llmrouterbench.routers import make_router
from llmrouterbench.splits import make_split
split = make_split(outcomes, 42, kind="paper")
outcomes = outcomes.with_embedding(embed_queries(outcomes, make_embedder("tfidf"), split.train, cache=cache)[0])
"""
_REFIT = """
for alpha in (0.0, 0.3, 0.6, 1.0):
    router = make_router("avengers_pro").fit(outcomes.take(split.train))
    decide_sweep(router, outcomes.queries.take(split.test), np.array([alpha]))
"""


def rows() -> list[Row]:
    """One row. The reference is timed on one seed and four trade-offs and scaled to 505, which the row says."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        setup = _SETUP.format(cache=str(folder / "cache"))
        measure(_WARM.format(out=str(folder / "warm")), setup)
        ours = measure(_OURS.format(out=str(folder / "runs")), setup)
        four = measure(_REFIT, setup + _REFIT_SETUP)
    theirs = Measured(four.seconds * 505 / 4, four.peak)
    what = "Avengers-Pro: 101 trade-offs x 5 seeds, validation and test, decisions stored (embeddings cached)"
    return [
        Row(
            what,
            ours,
            "one k-means fit per trade-off and seed (4 timed, scaled to 505), test only",
            theirs,
            "under 60 s on 2 cores",
        )
    ]
