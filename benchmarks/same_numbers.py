"""`make same BASE=REV`: two commits in one environment, on real and simulated data; do they decide and count the same?

Each side imports, benches and reports by its own command line, in a folder of its own. Then every decision of every
router must be equal, and every number of the older side's leaderboards within 1e-9.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.results import DATA, ROOT
from llmrouterbench.files import read_json
from llmrouterbench.routers import REGISTRY

_EQUAL = 1e-9
_TIMES = ("fit_seconds", "decide_seconds", "fit_s", "decide_us", "seconds")
"""Keys whose numbers are wall times."""
_HEAVY = ("finetune", "torch", "graph")
ROUTERS = [name for name, entry in REGISTRY.items() if not any(need in entry.needs for need in _HEAVY)]
TORCH = [name for name, entry in REGISTRY.items() if "finetune" not in entry.needs and name not in ROUTERS]
"""Networks small enough for a CPU: one seed each."""

AS_BEFORE = (
    *("--router-seed", "fixed", "--near-copies", "long-texts"),
    *("--points", "validation", "--intervals", "percentile"),
)
"""Rules that changed on purpose, as they were: said to the side that knows them."""


@dataclass(frozen=True)
class Case:
    """One bench on each side."""

    name: str
    source: str = ""
    setting: str | None = None
    more: tuple[str, ...] = ()


CASES = (
    Case("slice-performance", "bench-release-slice.tar.gz", "performance"),
    Case("slice-performance-cost", "bench-release-slice.tar.gz", "performance-cost"),
    Case("llmrouter", "llmrouter"),
    Case("routerbench", "routerbench/routerbench_zs", None, ("cascade_routing:mode=reply",)),
    Case("routellm", "routellm"),
    Case("simulated-performance", "", "performance"),
    Case("simulated-performance-cost", "", "performance-cost"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("base", help="the commit that gave the numbers to keep")
    parser.add_argument("cases", nargs="*", help=f"some of {', '.join(case.name for case in CASES)}; all when none")
    parser.add_argument("--seeds", default="42,999")
    parser.add_argument("--work", type=Path, help="folder to keep, so that a second comparison need not run the base")
    given = parser.parse_args()
    chosen = [case for case in CASES if not given.cases or case.name in given.cases]
    with _folder(given.work) as work, _checkout(given.base, work) as base:
        found = [difference for case in chosen for difference in compare(case, base, work, given.seeds)]
    for line in found:
        print(line)
    print(f"{len(found)} differences in {len(chosen)} benches, apart from times")
    raise SystemExit(bool(found))


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def _checkout(revision: str, work: Path) -> Iterator[Path]:
    """The sources of a commit."""
    folder = work / "checkout"
    subprocess.run(["git", "worktree", "add", "--force", "--detach", str(folder), revision], cwd=ROOT, check=True)
    try:
        yield folder / "src"
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(folder)], cwd=ROOT, check=True)


def compare(case: Case, base: Path, work: Path, seeds: str) -> list[str]:
    """What differs, a line each."""
    print(case.name, flush=True)
    sides = [(work / "base" / case.name, base), (work / "now" / case.name, ROOT / "src")]
    for folder, source in sides:
        if not (folder / "done").is_file() or source == ROOT / "src":
            _bench(case, folder, source, seeds)
            (folder / "done").touch()
    old, new = (folder for folder, _ in sides)
    lines = [*_decisions(old / "runs", new / "runs"), *_numbers(old / "runs", new / "runs")]
    return [f"{case.name}: {line}" for line in lines]


def _bench(case: Case, folder: Path, source: Path, seeds: str) -> None:
    """Import or simulate, then bench, which writes the report, by the command line of one side."""
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    data = folder / "data"
    chosen = ["--setting", case.setting] if case.setting else []
    if case.source:
        _cli(source, "import", str(DATA / case.source), "--to", str(data))
    else:
        _cli(source, "simulate", "--to", str(data), *chosen)
    known = "router_seed" in (source / "llmrouterbench" / "benching" / "rules.py").read_text()
    words = ("bench", str(data), "--out", str(folder / "runs"), *chosen, *(AS_BEFORE if known else ()))
    _cli(source, *words, "--seeds", seeds, "--routers", ",".join([*ROUTERS, *case.more]))
    _cli(source, *words, "--seeds", seeds.split(",")[0], "--routers", ",".join(TORCH))


def _cli(source: Path, *words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-m", "llmrouterbench.cli", *words, "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def _decisions(old: Path, new: Path) -> Iterator[str]:
    """Every stored decision of the base, in the new one."""
    for file in sorted((old / "decisions").rglob("*.parquet")):
        name = file.relative_to(old / "decisions").as_posix()
        other = new / "decisions" / name
        if not other.is_file():
            yield f"{name} is missing"
        elif not _sorted(file).equals(_sorted(other), null_equal=True):
            yield f"{name}: decisions differ"


def _sorted(file: Path) -> pl.DataFrame:
    frame = pl.read_parquet(file)
    return frame.sort(frame.columns)


def _numbers(old: Path, new: Path) -> Iterator[str]:
    """Every number of the base's leaderboard, in the new one."""
    before, after = (read_json(folder / "report" / "report.json") for folder in (old, new))
    yield from _differences(before, after, "")


def _differences(before: Any, after: Any, where: str) -> Iterator[str]:
    if where.rpartition(".")[2] in _TIMES:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield f"{where}.{key} is missing"
            else:
                yield from _differences(value, after[key], f"{where}.{key}")
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield f"{where} has {len(after)} entries, had {len(before)}"
        for number, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from _differences(one, other, f"{where}.{number}")
    elif not _same(before, after):
        yield f"{where} was {before!r}, is {after!r}"


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, bool) or not isinstance(before, int | float):
        return bool(before == after)
    return isinstance(after, int | float) and math.isclose(before, after, rel_tol=_EQUAL, abs_tol=_EQUAL)


if __name__ == "__main__":
    main()
