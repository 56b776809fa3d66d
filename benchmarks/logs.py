"""`make logs`: real matrices replayed as logs, into docs/logs.md.

Of every query of a log one cell is kept, as a server with an exploration share would have measured it. What `fit` makes
of that is held against what it makes of the whole matrix of the same queries, on later queries that neither has seen.
As many cells at random are the log in which every request explored. `python -m benchmarks.logs N` goes on to N replays
a line, those of 2,000 requests first; what was found is kept in benchmarks/kept/logs.json. The page also shows what its
own commands say of one such log as a CSV.
"""

from __future__ import annotations

import csv
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.pages import put
from benchmarks.production import FOREIGN, SOURCE, cut
from benchmarks.results import ROOT, cli
from llmrouterbench.benching.policies.best import Best
from llmrouterbench.files import read_json, write_json
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import fit
from llmrouterbench.production.promises import promises, served_on_slice
from llmrouterbench.table import FloatArray, Outcomes

PAGE, KEPT = ROOT / "docs" / "logs.md", ROOT / "benchmarks" / "kept" / "logs.json"
MARKS = "<!-- made by `make logs` -->", "<!-- end -->"
WALK_MARKS = "<!-- said to `make logs` -->", "<!-- end -->"
SOURCES = {"RouterBench": SOURCE, "LLMRouter": FOREIGN}
REQUESTS = (500, 2000)
MOST_LINES = 30
"""What the page shows of what a command says."""
EXPLORE = {"30 %": 0.3, "all, at random": 1.0}
"""Share of the requests that explore: any model, each as likely; a model of middling score serves the others."""


def logged(whole: Outcomes, explore: float, rng: np.random.Generator) -> Outcomes:
    """One cell a query, with its propensity."""
    n, m = whole.score.shape
    means: FloatArray = whole.score.mean(axis=0)
    usual = int(means.argsort()[m // 2])
    propensity = np.full(m, explore / m) + (1.0 - explore) * (np.arange(m) == usual)
    kept = np.arange(m) == np.asarray(rng.choice(m, size=n, p=propensity))[:, None]
    planes: dict[str, Any] = {
        name: np.where(kept, getattr(whole, name), np.nan) for name in ("score", "cost", "seconds")
    }
    return replace(whole, **planes, propensity=np.where(kept, propensity, np.nan))


def quality(router: FittedRouter, later: Outcomes) -> float:
    """Mean score of policy best on queries with every cell measured."""
    made = router.route_many(list(later.queries.prompt), "best")
    chosen = np.array([later.models.index(one.model) for one in made])
    return float(later.score[np.arange(len(later)), chosen].mean())


def matrix(whole: Outcomes, later: Outcomes) -> dict[str, Any]:
    """What a router of the whole matrix serves later, and its best single model."""
    fitted = fit(whole)
    best = later.score[:, whole.models.index(fitted.learned.best)].mean()
    return {"matrix": quality(fitted, later), "single": float(best)}


def replay(whole: Outcomes, later: Outcomes, explore: float, seed: int) -> dict[str, Any]:
    """What a router of a log serves later, and what it promised."""
    fitted = fit(logged(whole, explore, np.random.default_rng(seed)))
    promised = promises(fitted, ["best"])[0].quality
    choice, _ = served_on_slice(fitted, Best())
    return {
        "log": quality(fitted, later),
        "router": fitted.facts["router"],
        "promised": [promised.value, promised.low, promised.high],
        "truth": float(whole.score[np.arange(len(whole)), choice].mean()),
    }


def complete(outcomes: Outcomes) -> Outcomes:
    """The queries with every cell measured."""
    return outcomes.take(np.flatnonzero(np.isfinite(outcomes.score).all(axis=1)))


def column(found: list[dict[str, Any]], name: str) -> FloatArray:
    """One number of every replay, in percent."""
    return 100 * np.array([one[name] for one in found], dtype=np.float64)


def line(name: str, found: list[dict[str, Any]], whole: list[dict[str, Any]], anywhere: list[dict[str, Any]]) -> str:
    """The table's line of some replays; each number a mean, the regret with the worst replay.

    whole     what the matrices of the same queries gave; anywhere: what as many cells at random did
    """
    log, truth = column(found, "log"), column(found, "truth")
    best, single = (column(whole, one)[: len(log)] for one in ("matrix", "single"))
    low, high = 100 * np.array([one["promised"][1:] for one in found]).T
    known = np.isfinite(low)
    held = f"{int(((low <= truth) & (truth <= high)).sum())} of {int(known.sum())}"
    regret, both = best - log, min(len(log), len(anywhere))
    behind = f"{(column(anywhere, 'log')[:both] - log[:both]).mean():.1f}" if both else "unknown"
    numbers = f"{log.mean():.1f} | {best.mean():.1f} | {single.mean():.1f} | {regret.mean():.1f} ({regret.max():.1f})"
    width = f"{np.nanmean(high - low) / 2:.1f}" if known.any() else "unknown"
    return f"| {name} | {len(found)} | {numbers} | {behind} | {width} | {held} |"


def write_traffic(log: Outcomes, path: Path) -> None:
    """A log as the CSV that a gateway would write: a line a request."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["query", "model", "score", "cost", "propensity"])
        assert log.propensity is not None
        for i, j in zip(*np.nonzero(np.isfinite(log.score)), strict=True):
            cell = (float(plane[i, j]) for plane in (log.score, log.cost, log.propensity))
            lines.writerow([log.queries.prompt[i], log.models[j], *cell])


def walk(page: str, log: Outcomes, folder: Path) -> str:
    """What the commands in the page's first shell block say of a log."""
    write_traffic(log, folder / "traffic.csv")
    said, env = [], {**os.environ, "COLUMNS": "140", "NO_COLOR": "1"}
    for line in page.split("```sh\n", 1)[1].split("```", 1)[0].splitlines():
        words = [sys.executable, "-m", "llmrouterbench.cli", *shlex.split(line, comments=True)[1:]]
        done = subprocess.run(words, cwd=folder, env=env, check=True, capture_output=True, text=True)
        out = [one.rstrip() for one in done.stdout.splitlines() if one.strip()]
        more = ["..."] if len(out) > MOST_LINES else []
        said += [f"$ {line.partition('  #')[0].rstrip()}", *out[:MOST_LINES], *more, ""]
    return "\n".join(["```text", *said[:-1], "```"])


def write_page(kept: dict[str, list[dict[str, Any]]]) -> None:
    """Put the table between the marks of the page."""
    head = (
        "| data | requests | explored | replays | from the log, % | from the matrix, % | best model, %"
        " | regret, points (worst) | behind random cells, points | promised, ± points | truth inside |"
    )
    table = [head, "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for name, requests, said in product(SOURCES, REQUESTS, EXPLORE):
        whole = f"{name} | {requests:,}"
        found, anywhere = (kept.get(f"{whole} | {one}", []) for one in (said, tuple(EXPLORE)[-1]))
        if found:
            table.append(line(f"{whole} | {said}", found, kept[whole], anywhere))
    put(PAGE, MARKS, "\n".join(table))


def main() -> None:
    """Go on to as many replays a line as asked, and write the table."""
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    kept: dict[str, list[dict[str, Any]]] = read_json(KEPT) if KEPT.is_file() else {}
    with TemporaryDirectory() as folder, threadpool_limits(limits=1):
        cuts = {}
        for name, source in SOURCES.items():
            cli("import", str(source), "--to", f"{folder}/{name}", "--no-replies")
            cuts[name] = cut(complete(Outcomes.load(f"{folder}/{name}")))
        for requests, name, seed in product(reversed(REQUESTS), SOURCES, range(asked)):
            asks, later = cuts[name]
            rows = np.random.default_rng(seed).permutation(len(asks))[:requests]
            asks, key = asks.take(np.sort(rows)), f"{name} | {requests:,}"
            made = kept.setdefault(key, [])
            if len(made) <= seed:
                made.append(matrix(asks, later))
            for said, explore in EXPLORE.items():
                found = kept.setdefault(f"{key} | {said}", [])
                if len(found) <= seed:
                    found.append(replay(asks, later, explore, seed))
                    print(seed, key, said, found[-1], made[seed], flush=True)
                    write_json(KEPT, kept)
        asks, _ = cuts["RouterBench"]
        rows = np.random.default_rng(0).permutation(len(asks))[: REQUESTS[-1]]
        log = logged(asks.take(np.sort(rows)), EXPLORE["30 %"], np.random.default_rng(0))
        put(PAGE, WALK_MARKS, walk(PAGE.read_text(encoding="utf-8"), log, Path(folder)))
    write_page(kept)


if __name__ == "__main__":
    main()
