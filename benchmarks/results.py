"""`make results`: import, bench and report the real data sets of ../shared/data with the commands of the README.

Writes docs/results.md: tables of numbers only, no query text.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "results.md"


@dataclass(frozen=True)
class Job:
    """One table of the page."""

    title: str
    source: str
    setting: str | None
    say: str


JOBS = (
    Job(
        "LLMRouterBench slice, performance",
        "bench-release-slice.tar.gz",
        "performance",
        "A true slice of the official release, four datasets. With so few queries the intervals are the result.",
    ),
    Job(
        "LLMRouterBench slice, performance-cost",
        "bench-release-slice.tar.gz",
        "performance-cost",
        "The same slice with the 13 flagships. It holds MMLU-Pro's test_1000 only, which this setting does not use.",
    ),
    Job("LLMRouter", "llmrouter", None, "Data of ulab-uiuc/LLMRouter: 9 models, 14 tasks, no cost per call."),
    Job("RouterBench", "routerbench/routerbench_zs", None, "RouterBench, 0-shot: 11 models, 3 tasks, USD per call."),
    Job("RouteLLM", "routellm", None, "Data of lm-sys/RouteLLM: GPT-4 and Mixtral on MMLU and GSM8K, no cost."),
)


def cli(*words: str) -> Any:
    """Run one command with --json and give its object."""
    command = [sys.executable, "-m", "llmrouterbench.cli", *words, "--json"]
    return orjson.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def section(job: Job, folder: Path) -> str:
    """Import (once per source), bench and report; the leaderboard as Markdown with one line about the data."""
    store = folder / job.source.replace("/", "-")
    if not store.exists():
        cli("import", str(DATA / job.source), "--to", str(store), "--no-replies")
    chosen = ["--setting", job.setting] if job.setting else []
    facts = cli("info", str(store), *chosen)["overview"]
    runs = folder / f"runs-{job.title.replace(' ', '-')}"
    print(f"{job.title}: {facts['queries']} queries", flush=True)
    cli("bench", str(store), "--out", str(runs), *chosen)
    board = (runs / "report" / "leaderboard.md").read_text(encoding="utf-8")
    counts = (
        f"{facts['queries']:,} queries ({facts['unique_queries']:,} unique), {facts['models']} models,"
        f" {facts['datasets']} datasets, {facts['missing_cells']:,} cells not measured,"
        f" {facts['unknown_costs']:,} without a known cost."
    )
    return f"## {job.title}\n\n{job.say} {counts}\n\n{demoted(board)}"


def demoted(markdown: str) -> str:
    """Markdown with its headings two levels down, without its title and its figure."""
    lines = markdown.splitlines()[2:]
    kept = [line for line in lines if "pareto.png" not in line and line != "## Accuracy and cost"]
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
        raise SystemExit(
            "the real data sets must lie in ../shared/data, got nothing there; see docs/results.md for their sources"
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sections = [section(job, folder) for job in JOBS]
        head = (
            "# Results on real data\n\nWritten by `make results`; do not edit. Embeddings: TF-IDF and SVD."
            " Split: safe, 70/30, the paper's five seeds. Intervals: 95 % paired bootstrap over queries and seeds."
        )
        PAGE.write_text("\n\n".join([head, checks(folder / JOBS[0].source), *sections]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
