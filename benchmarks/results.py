"""`make results`: import, bench and report the real data sets of ../shared/data with the commands of the README.

Writes docs/results.md: tables of numbers only, no query text.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.routers import REGISTRY
from llmrouterbench.runs import load_runs

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RUNS = ROOT / "runs" / "results"
"""Kept, so that a run that was stopped goes on."""
PAGE = ROOT / "docs" / "results.md"


@dataclass(frozen=True)
class Job:
    """One table of the page."""

    title: str
    source: str
    setting: str | None
    say: str
    embedder: str = "tfidf"
    more: Sequence[str] = ()


ROUTERS = [name for name, entry in REGISTRY.items() if "finetune" not in entry.needs and name != "cascade_routing"]
"""Every router that needs no encoder to train; cascade_routing without replies is its inner router."""
TRAINED = [f"{name}:preset=quick" for name, entry in REGISTRY.items() if "finetune" in entry.needs]
"""The routers that train an encoder, as a CPU can."""
CASCADE = ("cascade_routing:mode=reply",)
"""For data that hold every reply."""
JOBS = (
    Job(
        "LLMRouterBench slice, performance",
        "bench-release-slice.tar.gz",
        "performance",
        "A true slice of the official release, four datasets. With so few queries the intervals are the result.",
        more=TRAINED,
    ),
    Job(
        "LLMRouterBench slice, performance-cost",
        "bench-release-slice.tar.gz",
        "performance-cost",
        "The same slice with the 13 flagships. It holds MMLU-Pro's test_1000 only, which this setting does not use.",
        more=TRAINED,
    ),
    Job(
        "LLMRouter",
        "llmrouter",
        None,
        "Data of ulab-uiuc/LLMRouter: 9 models, 14 tasks, no cost per call.",
        more=TRAINED,
    ),
    Job(
        "RouterBench",
        "routerbench/routerbench_zs",
        None,
        "RouterBench, 0-shot: 11 models, 3 tasks, USD per call, every reply stored.",
        more=(*TRAINED, *CASCADE),
    ),
    Job("LLMRouter, MiniLM", "llmrouter", None, "The same with all-MiniLM-L6-v2 vectors.", "minilm"),
    Job("RouterBench, MiniLM", "routerbench/routerbench_zs", None, "The same with all-MiniLM-L6-v2 vectors.", "minilm"),
    Job(
        "RouteLLM",
        "routellm",
        None,
        "Data of lm-sys/RouteLLM: GPT-4 and Mixtral on MMLU and GSM8K, no cost.",
        more=TRAINED,
    ),
)


def cli(*words: str) -> Any:
    """Run one command with --json and give its object."""
    command = [sys.executable, "-m", "llmrouterbench.cli", *words, "--json"]
    return orjson.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def section(job: Job, folder: Path) -> str:
    """Import (once per source), bench and report; the leaderboard as Markdown with one line about the data."""
    store = folder / job.source.replace("/", "-")
    if not store.exists():
        cli("import", str(DATA / job.source), "--to", str(store))
    chosen = ["--setting", job.setting] if job.setting else []
    facts = cli("info", str(store), *chosen)["overview"]
    runs = folder / f"runs-{job.title.replace(' ', '-')}"
    print(f"{job.title}: {facts['queries']} queries", flush=True)
    words = ["--routers", ",".join([*ROUTERS, *job.more]), "--embedder", job.embedder]
    cli("bench", str(store), "--out", str(runs), *chosen, *words)
    board = (runs / "report" / "leaderboard.md").read_text(encoding="utf-8")
    counts = (
        f"{facts['queries']:,} queries ({facts['unique_queries']:,} unique), {facts['models']} models,"
        f" {facts['datasets']} datasets, {facts['missing_cells']:,} cells not measured,"
        f" {facts['unknown_costs']:,} without a known cost."
    )
    parts = [f"## {job.title}", f"{job.say} {counts}", demoted(board), against_avengers(runs), timings(runs)]
    return "\n\n".join(parts)


def against_avengers(runs: Path) -> str:
    """The difference of the house default to Avengers, paired, in one sentence."""
    board = leaderboard(load_runs(runs), baseline="avengers")
    (row,) = (row for row in board.rows if row.name == "task_soft")
    value, low, high = (100 * getattr(row.difference, key) for key in ("value", "low", "high"))
    return f"task_soft minus avengers, points of AvgAcc: {value:+.2f} [{low:+.2f}, {high:+.2f}]; {row.verdict}."


def timings(runs: Path) -> str:
    """Seconds to fit and microseconds per decision of every router, medians over seeds."""
    loaded = load_runs(runs)
    lines = ["#### Time", "", "| Router | fit, s | decision, µs per query and operating point |", "|---|---:|---:|"]
    for name in loaded.routers:
        done = [loaded.decisions[name, seed] for seed in loaded.seeds]
        fit = statistics.median(one.facts["fit_seconds"] for one in done)
        decide = statistics.median(
            one.facts["decide_seconds"] / (len(one.parts["test"].rows) * len(one.weights)) for one in done
        )
        lines.append(f"| {name} | {fit:.2f} | {1e6 * decide:.1f} |")
    return "\n".join(lines)


_LEFT_OUT = ("## Single models", "## Accuracy", "## Test cost", "## How this was made")


def demoted(markdown: str) -> str:
    """Markdown with its headings two levels down, without its title and its figure."""
    sections = re.split(r"^(?=## )", markdown, flags=re.MULTILINE)[1:]
    lines = "".join(s for s in sections if not s.startswith(_LEFT_OUT)).splitlines()
    kept = [line for line in lines if "pareto.png" not in line]
    return "\n".join(f"##{line}" if line.startswith("#") else line for line in kept).replace("\n\n\n", "\n\n")


def checks(store: Path) -> str:
    """The numbers of the slice that must equal the paper's Tables 4, 5 and 6."""
    light = cli("info", str(store), "--setting", "performance")
    flagship = cli("info", str(store), "--setting", "performance-cost")
    rows = [
        ("Qwen3-8B on AIME, mean score in % (Table 4: 76.67)", light["accuracy"]["Qwen3-8B"]["AIME"]),
        ("GPT-5 on AIME, mean score in % (Table 5: 88.33)", flagship["accuracy"]["GPT-5"]["AIME"]),
        ("GPT-5 on AIME, USD (Table 6: 4.57)", flagship["cost"]["GPT-5"]["AIME"]),
    ]
    lines = [f"| {what} | {value:.2f} |" for what, value in rows]
    return "\n".join(["| check against the paper | ours |", "|---|---|", *lines])


def main() -> None:
    """Write the page."""
    if not DATA.is_dir():
        raise SystemExit("the real data sets must lie in ../shared/data, got nothing there")
    sections = [section(job, RUNS) for job in JOBS]
    head = (
        "# Results on real data\n\nWritten by `make results`; do not edit. Embeddings: TF-IDF and SVD,"
        " where no other is named. Split: safe, 70/30, the paper's five seeds. Intervals: 95 % paired bootstrap"
        " over queries and seeds. Trade-offs are chosen on validation; defaults, no tuning. Routers that"
        " train an encoder run with the preset `quick`, a sketch of the method that a CPU trains in a minute (see"
        " [routers.md](routers.md))."
    )
    page = "\n\n".join([head, checks(RUNS / JOBS[0].source), *sections]) + "\n"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
