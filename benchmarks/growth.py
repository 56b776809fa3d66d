"""What each main command takes at 10,000, 100,000 and 1,000,000 SIMULATED queries x 10 models, and how it grows.

python -m benchmarks.growth complete 100000 bench ...   some commands of one size, all of them where none is named

A command needs those before it. What each run took is kept in benchmarks/kept/growth_runs.json; data and results lie in
$GROWTH (a temporary folder when not set), so that hours can be made in pieces.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread

import numpy as np
import polars as pl

from llmrouterbench.files import read_json, write_json
from llmrouterbench.metrics import known_mean
from llmrouterbench.settings import load_setting
from llmrouterbench.simulation._text import write_queries
from llmrouterbench.simulation.simulate import paper_target, simulate_cells

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "kept" / "growth_runs.json"
SETTING, MODELS = "performance-cost", 10
KINDS, SIZES = ("complete", "logged"), (10_000, 100_000, 1_000_000)
EXPLORE = 0.5
"""Share of the requests of a log that explore: any model, each as likely; one of middling score serves the others."""
COMMANDS = {
    "import": "import {at}/table.parquet --to {at}/outcomes --overwrite",
    "info": "info {at}/outcomes",
    "advise": "advise {at}/outcomes",
    "bench": "bench {at}/outcomes --out {at}/runs --seeds 42",
    "report": "report {at}/runs --to {at}/report",
    "fit": "fit {at}/outcomes --to {at}/router --overwrite",
}
"""`bench` writes the report, too."""


@dataclass(frozen=True)
class Run:
    """One command at one size: processor seconds and peak bytes, of it and its workers together."""

    kind: str
    queries: int
    command: str
    seconds: float
    peak: int


def table() -> str:
    """Markdown, after every command at every size."""
    KEPT.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            for queries in SIZES:
                run(Path(folder), kind, queries, list(COMMANDS))
    return text(kept())


def run(folder: Path, kind: str, queries: int, commands: Sequence[str]) -> None:
    """Make the data where they are not there yet, run commands on them and keep what they took."""
    at = folder / f"{kind}-{queries}"
    if not (at / "table.parquet").is_file():
        at.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "benchmarks.growth", "--write", kind, str(queries), str(at)], check=True)
    for command in commands:
        for old in ("cache", *(["runs"] if command == "bench" else [])):
            shutil.rmtree(at / old, ignore_errors=True)  # nothing is found done
        seconds, peak = _took([sys.executable, "-m", "llmrouterbench", *COMMANDS[command].format(at=at).split()], at)
        done = Run(kind, queries, command, seconds, peak)
        runs = {(one.kind, one.queries, one.command): one for one in [*kept(), done]}
        write_json(KEPT, [asdict(one) for _, one in sorted(runs.items())])
        print(f"{kind} {queries:,} {command}: {seconds:.1f} s, {peak / 2**20:,.0f} MiB", flush=True)


def kept() -> list[Run]:
    """What was run."""
    return [Run(**one) for one in read_json(KEPT)] if KEPT.is_file() else []


def write_table(kind: str, queries: int, at: Path) -> None:
    """A long table of simulated outcomes in Parquet, a row a reply."""
    names = sorted(entry.id for entry in load_setting(SETTING).datasets)
    sizes = np.full(len(names), queries // len(names)) + (np.arange(len(names)) < queries % len(names))
    models = [entry.id for entry in load_setting(SETTING).models][:MODELS]
    pl.concat(
        _long(name, int(size), models, kind == "logged") for name, size in zip(names, sizes, strict=True)
    ).write_parquet(at / "table.parquet")


def _long(dataset: str, queries: int, models: Sequence[str], logged: bool) -> pl.DataFrame:
    some = write_queries(dataset, queries, 0)
    cells = simulate_cells(some, paper_target(SETTING, dataset), 0, SETTING, dataset)
    score = cells.score[:, : len(models)]
    kept, propensity = np.isfinite(score), np.ones(len(models))
    if logged:
        has = kept.any(axis=0)
        usual = np.argsort(known_mean(score, axis=0))[int(has.sum()) // 2]  # those without scores come last
        propensity = EXPLORE * has / has.sum() + (1.0 - EXPLORE) * (np.arange(len(models)) == usual)
        served = np.random.default_rng(0).choice(len(models), size=queries, p=propensity)
        kept = np.arange(len(models)) == served[:, None]
    row, column = np.nonzero(kept)
    texts = pl.Series(list(some.text)), pl.Series(models)
    frame = pl.DataFrame({
        "id": pl.Series([f"{dataset}/{i}" for i in range(queries)]).gather(row),
        "query": texts[0].gather(row),
        "model": texts[1].gather(column),
        "score": score[row, column],
        "cost": cells.cost[row, column],
    })  # fmt: skip
    frame = frame.with_columns(dataset=pl.lit(dataset))
    return frame.with_columns(propensity=propensity[column]) if logged else frame


def _took(command: Sequence[str], at: Path) -> tuple[float, int]:
    """Processor seconds and peak bytes of a command and its workers."""
    environment = {**os.environ, "LLMROUTERBENCH_CACHE": str(at / "cache")}
    before, done, peak = os.times(), Event(), [0]
    with (at / "said.txt").open("a") as said:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=said, stderr=said)
        watch = Thread(target=_watch, args=(process.pid, done, peak))
        watch.start()
        code = process.wait()
    done.set()
    watch.join()
    after = os.times()
    if code:
        raise RuntimeError(f"{' '.join(command)} must end well, got {code}; see {at / 'said.txt'}")
    return sum(after[2:4]) - sum(before[2:4]), peak[0]


def _watch(root: int, done: Event, peak: list[int]) -> None:
    """Ten times a second the memory of a process and all below it, shared pages counted once."""
    while not done.wait(0.1):
        peak[0] = max(peak[0], sum(map(_resident, _family(root))))


def _family(root: int) -> Iterator[int]:
    yield root
    for task in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            below = task.read_text().split()
        except OSError:
            continue
        for child in below:
            yield from _family(int(child))


def _resident(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def text(runs: Sequence[Run]) -> str:
    """Markdown: a row a command, the exponent of growth between neighbouring sizes."""
    took = {(one.kind, one.command, one.queries): one for one in runs}
    sizes = [size for size in SIZES if any(one.queries == size for one in runs)]
    head = " | ".join(f"{size:,}: s | GiB" + (" | grows as" if i else "") for i, size in enumerate(sizes))
    lines = [
        f"{MODELS} models, one seed, the default routers; processor seconds, and memory of a command with its workers."
        f" `bench` writes the report too. Logged: one model a query, {100 * EXPLORE:.0f} % of them at random.",
        "",
        f"| data | command | {head} |",
        "|---|---|" + "---:|" * (3 * len(sizes) - 1),
    ]
    wanted = [(kind, command) for kind in KINDS for command in COMMANDS]
    for kind, command in wanted:
        if any((kind, command, size) in took for size in sizes):
            cells, last = list[str](), None
            for i, size in enumerate(sizes):
                now = took.get((kind, command, size))
                cells += [f"{now.seconds:,.1f}", f"{now.peak / 2**30:.2f}"] if now else ["-", "-"]
                cells += [_exponent(last, now)] if i else []
                last = now
            lines.append(f"| {kind} | {command} | {' | '.join(cells)} |")
    if len(took) < len(wanted) * len(SIZES):
        said = f"{', '.join(COMMANDS)} of {', '.join(f'{size:,}' for size in SIZES)} queries, {' and '.join(KINDS)}"
        lines += ["", f"What of {said}, is not in the table was not run here yet."]
    return "\n".join(lines)


def _exponent(less: Run | None, more: Run | None) -> str:
    if less is None or more is None:
        return "-"
    return f"n^{math.log(more.seconds / less.seconds) / math.log(more.queries / less.queries):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Run some commands of one size, and write docs/benchmarks.md.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("queries", type=int)
    parser.add_argument("commands", nargs="*", choices=[[], *COMMANDS])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(os.environ.get("GROWTH", folder)), asked.kind, asked.queries, asked.commands or list(COMMANDS))
    from benchmarks.__main__ import keep

    keep("growth", {"text": text(kept())})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write_table(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
