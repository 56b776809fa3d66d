"""The whole table at the paper's scale: every router without an encoder to train, five seeds, both settings.

Outcomes are SIMULATED, TF-IDF embeddings come from the cache. `python -m benchmarks.whole_table` prints it.
The runs lie in the ignored folder runs/whole-table, so that a run that was stopped goes on and its seconds add up;
remove the folder to time anew.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from joblib.externals.loky import get_reusable_executor  # type: ignore[import-untyped]
from sklearn.neighbors import KNeighborsRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.measure import Measured, Row
from benchmarks.measure import table as as_table
from llmrouterbench import bench, simulate
from llmrouterbench.benching.folder import Runs, load_runs
from llmrouterbench.embedders import make_embedder
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.files import read_json, write_json
from llmrouterbench.routers import REGISTRY
from llmrouterbench.settings import PAPER_SEEDS, apply_setting, load_setting
from llmrouterbench.splits import make_split
from llmrouterbench.table import Outcomes

RUNS = Path(__file__).resolve().parents[1] / "runs" / "whole-table"
SETTINGS = ("performance", "performance-cost")
ROUTERS = [name for name, entry in REGISTRY.items() if "finetune" not in entry.needs]
NEIGHBOURS = 100


def rows() -> list[Row]:
    """One row: the table of both settings, and as many k-nearest-neighbour fits of scikit-learn one by one."""
    ours, theirs = Measured(0.0, 0), Measured(0.0, 0)
    for setting in SETTINGS:
        outcomes = apply_setting(simulate(setting), load_setting(setting))
        ours = added(ours, timed_bench(setting, outcomes, ROUTERS, RUNS))
        theirs = added(theirs, _reference(setting, outcomes))
    fits, done = len(SETTINGS) * len(PAPER_SEEDS), len(SETTINGS) * len(PAPER_SEEDS) * len(ROUTERS)
    return [
        Row(
            f"whole table: {len(ROUTERS)} routers x {len(PAPER_SEEDS)} seeds x both settings, every point of the dial"
            " on validation and test, decisions stored (embeddings cached)",
            ours,
            f"scikit-learn KNeighborsRegressor, k = {NEIGHBOURS}: fit and predict test ({fits} timed, scaled to"
            f" {done}), one after another, one thread",
            Measured(theirs.seconds * len(ROUTERS), theirs.peak),
            "under 15 minutes on 2 cores",
        )
    ]


def table() -> str:
    """Markdown: seconds to fit and to decide, of every router in both settings; medians over seeds."""
    return seconds_table(RUNS, ROUTERS)


def seconds_table(folder: Path, routers: Sequence[str]) -> str:
    """The same of what `timed_bench` left in a folder. Raises FileNotFoundError where it left nothing."""
    settings = [setting for setting in SETTINGS if (folder / setting).is_dir()]
    if not settings:
        raise FileNotFoundError(f"{folder} must hold runs of {' or '.join(SETTINGS)}; run the rows of this table first")
    loaded = [load_runs(folder / setting) for setting in settings]
    head = [
        "Seconds of one seed, one thread: fitted on train, then test decided at every point of the dial.",
        "",
        f"| router | {' | '.join(f'{setting}: fit | decide' for setting in settings)} |",
        f"|---|{'---:|---:|' * len(settings)}",
    ]
    cells = {
        name: " | ".join(f"{_median(one, name, 'fit'):.2f} | {_median(one, name, 'decide'):.2f}" for one in loaded)
        for name in routers
    }
    return "\n".join([*head, *(f"| {name} | {cell} |" for name, cell in cells.items())])


def _median(runs: Runs, name: str, what: str) -> float:
    return statistics.median(float(runs.decisions[name, seed].facts[f"{what}_seconds"]) for seed in runs.seeds)


def added(one: Measured, other: Measured) -> Measured:
    return Measured(one.seconds + other.seconds, max(one.peak, other.peak))


def timed_bench(setting: str, outcomes: Outcomes, routers: Sequence[str], folder: Path) -> Measured:
    """Bench what is not done yet in a folder, embeddings from the cache; seconds of all there is."""
    path = folder / f"seconds-{setting}.json"
    _run(setting, outcomes, ["best_single"], RUNS / f"warm-{setting}")
    clock = _Clock(path)
    _run(setting, outcomes, routers, folder / setting, clock)
    if clock.used:
        get_reusable_executor().shutdown(wait=True)
        clock("ended", 1, 1)
    return Measured(**read_json(path))


def _run(setting: str, outcomes: Outcomes, routers: Sequence[str], out: Path, tell: _Clock | None = None) -> None:
    bench(outcomes, out, routers=list(routers), setting=setting, split="paper", cache=RUNS / "cache", progress=tell)


class _Clock:
    """Notes the seconds so far in a file whenever the bench reports; the seconds of an earlier, stopped run count."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before = Measured(**read_json(path)) if path.is_file() else Measured(0.0, 0)
        self.started = time.perf_counter()
        self.used = False

    def __call__(self, what: str, done: int, total: int | None) -> None:
        self.used = True
        seconds = self.before.seconds + time.perf_counter() - self.started
        write_json(self.path, asdict(Measured(seconds, max(self.before.peak, _peak()))))


def _peak() -> int:
    """Peak bytes of this process and of the largest worker that has ended."""
    scale = 1024 if sys.platform != "darwin" else 1
    return scale * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _reference(setting: str, outcomes: Outcomes) -> Measured:
    """Seconds of one fit and one prediction of the test part, for every seed."""
    seconds = 0.0
    for seed in PAPER_SEEDS:
        split = make_split(outcomes, seed, kind="paper")
        vectors, _ = embed_queries(outcomes, make_embedder("tfidf"), split.train, cache=RUNS / "cache")
        score = np.nan_to_num(outcomes.pool.take(split.train).score)  # cells not measured: only the time counts here
        with threadpool_limits(limits=1):
            started = time.perf_counter()
            fitted = KNeighborsRegressor(n_neighbors=NEIGHBOURS, algorithm="brute").fit(vectors[split.train], score)
            fitted.predict(vectors[split.test])
            seconds += time.perf_counter() - started
    return Measured(seconds, _peak())


if __name__ == "__main__":
    sys.stdout.write(f"{as_table(rows())}\n\n{table()}\n")
