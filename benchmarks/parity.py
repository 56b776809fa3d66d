"""`make parity`: our routers beside independent derivations of the official rules; writes docs/parity.md.

The derivations are those of the tests (tests/official_*.py, which must be on PYTHONPATH). What is done is kept in
benchmarks/kept/parity, so that a run that was stopped goes on, on another machine too; remove files there to compare
anew.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from llmrouterbench import import_outcomes, make_router, simulate
from llmrouterbench.benching.policies import decide_sweep
from llmrouterbench.embedders import make_embedder
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.files import read_json, write_json
from llmrouterbench.routers._pairs import choose_pair
from llmrouterbench.routers._torch import one_thread
from llmrouterbench.splits import make_split
from llmrouterbench.table import IntArray, Outcomes
from official_avengers import official_picks
from official_neural import official_embedllm, official_graphrouter, official_routellm, ours, points, standard_error

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RUNS = ROOT / "runs" / "parity"
KEPT = ROOT / "benchmarks" / "kept" / "parity"
PAGE = ROOT / "docs" / "parity.md"
TEMPLATE = Path(__file__).with_name("parity_page.md")
MACHINE = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
K = 64
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Table:
    """Outcomes to compare on, and the seeds to split them by."""

    name: str
    load: Callable[[], Outcomes]
    picks: tuple[int, ...]
    trained: tuple[int, ...]


def stored(source: str) -> Outcomes:
    """A real data set of the shared folder, imported once."""
    folder = RUNS / source.replace("/", "-")
    if not folder.exists():
        import_outcomes(DATA / source, folder)
    return Outcomes.load(folder)


TABLES = (
    Table("LLMRouter (real)", partial(stored, "llmrouter"), (42, 999, 2024), (42, 999, 2024)),
    Table("RouterBench (real)", partial(stored, "routerbench/routerbench_zs"), (42, 999), ()),
    Table("performance-cost (SIMULATED)", partial(simulate, "performance-cost"), (42, 999), (42,)),
    Table("performance (SIMULATED)", partial(simulate, "performance"), (42, 999), (42,)),
)


@dataclass(frozen=True)
class Picked:
    """Queries of the test part for which both picked the same model."""

    table: str
    router: str
    seed: int
    same: int
    queries: int


@dataclass(frozen=True)
class Trained:
    """AvgAcc in points of both, and the standard error of theirs."""

    table: str
    router: str
    seed: int
    ours: float
    theirs: float
    error: float


def parts(outcomes: Outcomes, seed: int) -> tuple[Outcomes, Outcomes]:
    """Train and test of the paper's split, with TF-IDF vectors; cells not measured are 0, as in the official code."""
    split = make_split(outcomes, seed, kind="paper")
    vectors, _ = embed_queries(outcomes, make_embedder("tfidf"), split.train, cache=RUNS / "cache")
    pool = outcomes.pool.with_embedding(vectors)
    filled = replace(pool, score=np.nan_to_num(pool.score), cost=np.nan_to_num(pool.cost))
    return filled.take(split.train), filled.take(split.test)


def picks(table: str, train: Outcomes, test: Outcomes, seed: int) -> Iterator[Picked]:
    """Avengers and Avengers-Pro, query by query."""
    for top_k in (1, 3):
        router = make_router("avengers", k=K, seed=seed, top_k=top_k).fit(train)
        mine = decide_sweep(router, test.queries, np.zeros(1))[0]
        theirs = official_picks(train, test, K, seed, None, top_k)
        yield Picked(table, f"avengers, top_k = {top_k}", seed, int((mine == theirs).sum()), len(test))
    if train.cost.any():
        pro = make_router("avengers_pro", k=K, seed=seed).fit(train)
        sweep = decide_sweep(pro, test.queries, np.array(ALPHAS))
        for alpha, mine in zip(ALPHAS, sweep, strict=True):
            theirs = official_picks(train, test, K, seed, alpha, 1)
            yield Picked(table, f"avengers_pro, alpha = {alpha}", seed, int((mine == theirs).sum()), len(test))


def trained(table: str, train: Outcomes, test: Outcomes, seed: int) -> Iterator[Trained]:
    """The three that train on embeddings. Numbers of steps are fixed: nothing is chosen on test."""

    def row(label: str, mine: IntArray, theirs: IntArray) -> Trained:
        return Trained(table, label, seed, points(test, mine), points(test, theirs), standard_error(test, theirs))

    pair = choose_pair(train)
    yield row("routellm", ours("routellm", train, test), official_routellm(train, test, pair, 100, seed))
    embedllm, official = ours("embedllm", train, test), official_embedllm(train, test, 60, seed)
    yield row("embedllm", embedllm, official)
    if (train.score % 1 > 0).any():
        whole = official_embedllm(train, test, 60, seed, truncate=False)
        yield row("embedllm, official loop with fractions kept", embedllm, whole)
    same = {"aggregation": "add", "rate": 3e-4, "epochs": 2000, "patience": 2000}
    theirs = official_graphrouter(train, test, 2000, 1, seed)
    yield row("graphrouter with the official settings", ours("graphrouter", train, test, **same), theirs)
    yield row("graphrouter", ours("graphrouter", train, test), theirs)
    again = official_graphrouter(train, test, 2000, 1, seed + 1)
    yield row("(graphrouter: the official rules from another random start, in the place of ours)", again, theirs)


COMPARISONS: dict[str, Callable[[str, Outcomes, Outcomes, int], Iterator[Picked | Trained]]] = {
    "picks": picks,
    "trained": trained,
}


def steps() -> list[tuple[str, Table, int]]:
    """Kind of comparison, table and seed: real data first, one seed of everything before the next."""
    wanted = [
        (turn, "SIMULATED" in table.name, table.name, kind, seed)
        for table in TABLES
        for kind, seeds in (("picks", table.picks), ("trained", table.trained))
        for turn, seed in enumerate(seeds)
    ]
    tables = {table.name: table for table in TABLES}
    return [(kind, tables[name], seed) for _, _, name, kind, seed in sorted(wanted)]


def kept(kind: str, table: Table, seed: int) -> Path:
    """Where the rows of one comparison are."""
    return KEPT / f"{kind}-{table.name.split()[0]}-{seed}.json"


def compare(kind: str, table: Table, seed: int) -> None:
    """Work out the rows of one comparison and keep them."""
    started = time.perf_counter()
    with one_thread():
        rows = [asdict(row) for row in COMPARISONS[kind](table.name, *parts(table.load(), seed), seed)]
    write_json(kept(kind, table, seed), {"machine": MACHINE, "rows": rows})
    print(f"{kind}: {table.name}, seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)


def picked_lines(rows: list[Picked]) -> list[str]:
    """One line a table and router; seeds together."""
    lines = ["| data | router | seeds | same pick | of |", "|---|---|---:|---:|---:|"]
    for table, router in dict.fromkeys((row.table, row.router) for row in rows):
        mine = [row for row in rows if (row.table, row.router) == (table, router)]
        same, queries = sum(row.same for row in mine), sum(row.queries for row in mine)
        lines.append(f"| {table} | {router} | {len(mine)} | {same:,} | {queries:,} |")
    return lines


def trained_lines(rows: list[Trained]) -> list[str]:
    """One line a table, router and seed."""
    if not rows:
        return [
            "Not compared on this machine yet; `make parity` goes on where it stopped. `tests/test_parity_neural.py`",
            "compares the three on a planted table.",
        ]
    head = "| data | router | seed | ours | official rules | difference | standard error | verdict |"
    lines = [head, "|---|---|---:|---:|---:|---:|---:|---|"]
    for row in sorted(rows, key=lambda row: (row.router, row.table)):
        gap = row.ours - row.theirs
        verdict = "within one" if abs(gap) <= row.error else "above" if gap > 0 else "below"
        numbers = f"{row.ours:.2f} | {row.theirs:.2f} | {gap:+.2f} | {row.error:.2f}"
        lines.append(f"| {row.table} | {row.router} | {row.seed} | {numbers} | {verdict} |")
    return lines


def write_page() -> None:
    """The page of everything that is kept."""
    done = [(kind, read_json(path)) for kind, table, seed in steps() if (path := kept(kind, table, seed)).is_file()]
    picked = [Picked(**row) for kind, found in done if kind == "picks" for row in found["rows"]]
    scored = [Trained(**row) for kind, found in done if kind == "trained" for row in found["rows"]]
    tables = {"picks": "\n".join(picked_lines(picked)), "points": "\n".join(trained_lines(scored))}
    machines = " / ".join(sorted({found["machine"] for _, found in done}))
    text = TEMPLATE.read_text(encoding="utf-8").format(machine=machines, k=K, **tables)
    PAGE.write_text(text, encoding="utf-8")


def main() -> None:
    """Compare what has not been compared; the page is written after each step."""
    for kind, table, seed in steps():
        if not kept(kind, table, seed).is_file() and ("SIMULATED" in table.name or DATA.is_dir()):
            compare(kind, table, seed)
        write_page()


if __name__ == "__main__":
    main()
