"""`make results`: import, bench and report the real data sets of ../shared/data with the commands of the README.

Writes docs/results.md: tables of numbers only, no query text. Name some tables to make those alone; the others stay as
they stand in the page.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from llmrouterbench.benching.folder import load_runs
from llmrouterbench.benching.tuning import grid_of
from llmrouterbench.naming import did_you_mean
from llmrouterbench.numerals import count, interval, points
from llmrouterbench.reporting import comparison
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.routers import REGISTRY, make_router
from llmrouterbench.studies.moves import compare_runs

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


READERS = ("cascade_routing", "agreement")
"""Routers that are another one without replies."""
ROUTERS = [name for name, entry in REGISTRY.items() if "finetune" not in entry.needs and name not in READERS]
"""Every router that needs no encoder to train."""
TRAINED = [f"{name}:preset=quick" for name, entry in REGISTRY.items() if "finetune" in entry.needs]
"""The routers that train an encoder, as a CPU can."""
CASCADE = ("cascade_routing:mode=reply", "agreement")
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

GRIDDED = [name for name, entry in REGISTRY.items() if not entry.needs and grid_of(make_router(name))]
"""The quick routers that declare a grid."""
TUNED = ("LLMRouter", "RouterBench")
"""Data sets whose test numbers were seen when some defaults were chosen."""
CHECKS = "Checks against the paper"
DEFAULTS = "Defaults against tuned settings"


def cli(*words: str) -> Any:
    """Run one command with --json and give its object."""
    command = [sys.executable, "-m", "llmrouterbench.cli", *words, "--json"]
    return orjson.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def stored(job: Job) -> Path:
    """The imported data set, made once."""
    store = RUNS / job.source.replace("/", "-")
    if not store.exists():
        cli("import", str(DATA / job.source), "--to", str(store))
    return store


def section(job: Job) -> str:
    """Import (once per source), bench and report; the leaderboard as Markdown with one line about the data."""
    store = stored(job)
    chosen = ["--setting", job.setting] if job.setting else []
    facts = cli("info", str(store), *chosen)["overview"]
    runs = RUNS / f"runs-{job.title.replace(' ', '-')}"
    print(f"{job.title}: {facts['queries']} queries", flush=True)
    words = ["--routers", ",".join([*ROUTERS, *job.more]), "--embedder", job.embedder]
    cli("bench", str(store), "--out", str(runs), *chosen, *words)
    board = (runs / "report" / "leaderboard.md").read_text(encoding="utf-8")
    counts = (
        f"{count(facts['queries'])} queries ({count(facts['unique_queries'])} unique), {facts['models']} models,"
        f" {facts['datasets']} datasets, {count(facts['missing_cells'])} cells not measured,"
        f" {count(facts['unknown_costs'])} without a known cost."
    )
    parts = [f"## {job.title}", f"{job.say} {counts}", demoted(board), against_avengers(runs), timings(runs)]
    return "\n\n".join(parts)


def against_avengers(runs: Path) -> str:
    """The difference of the house default to Avengers, paired, in one sentence."""
    board = leaderboard(load_runs(runs), baseline="avengers")
    (row,) = (row for row in board.rows if row.name == "task_soft")
    difference = interval(row.difference, lambda value: points(value, 2))
    return f"task_soft minus avengers, points of AvgAcc: {difference}; {row.verdict}."


def timings(runs: Path) -> str:
    """Seconds to fit and microseconds per decision of every router, medians over seeds."""
    loaded = load_runs(runs)
    lines = ["### Time", "", "| Router | fit, s | decision, µs per query and operating point |", "|---|---:|---:|"]
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
    """Markdown with its headings one level down, without its title and its figure."""
    sections = re.split(r"^(?=## )", markdown, flags=re.MULTILINE)[1:]
    lines = "".join(s for s in sections if not s.startswith(_LEFT_OUT)).splitlines()
    kept = [line for line in lines if "pareto.png" not in line]
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in kept).replace("\n\n\n", "\n\n")


def checks() -> str:
    """The numbers of the slice that must equal the paper's Tables 4, 5 and 6."""
    store = stored(JOBS[0])
    light = cli("info", str(store), "--setting", "performance")
    flagship = cli("info", str(store), "--setting", "performance-cost")
    rows = [
        ("Qwen3-8B on AIME, mean score in % (Table 4: 76.67)", light["accuracy"]["Qwen3-8B"]["AIME"]),
        ("GPT-5 on AIME, mean score in % (Table 5: 88.33)", flagship["accuracy"]["GPT-5"]["AIME"]),
        ("GPT-5 on AIME, USD (Table 6: 4.57)", flagship["cost"]["GPT-5"]["AIME"]),
    ]
    lines = [f"| {what} | {value:.2f} |" for what, value in rows]
    return "\n".join([f"## {CHECKS}", "", "| what | ours |", "|---|---|", *lines])


def defaults() -> str:
    """Every quick router with its defaults, and with settings of its grid chosen on unseen training queries."""
    parts = [
        f"## {DEFAULTS}",
        "Defaults of gbm, carrot, equirouter and irt, and the clusters of task_soft, were chosen while test numbers of"
        " these data were in sight, and task_soft grew out of a probe of them. Old is the default, new is the same"
        " router with settings of its grid chosen on the validation part of train (`bench --tune`), which never saw"
        " test. Where the verdict is not worse, nothing shows that the sight helped that default; a grid holds a few"
        " settings, not all.",
    ]
    for job in (job for job in JOBS if job.title in TUNED):
        store, pair = stored(job), []
        for name, more in (("defaults", []), ("tuned", ["--tune"])):
            print(f"{job.title}, {name}", flush=True)
            runs = RUNS / f"{name}-{job.title}"
            cli("bench", str(store), "--out", str(runs), "--routers", ",".join(GRIDDED), *more)
            pair.append(load_runs(runs))
        moved = comparison.markdown(compare_runs(*pair)).strip()
        parts += [f"### {job.title}", re.sub("^### .*\n\n", "", moved)]
    return "\n\n".join(parts)


TABLES: dict[str, Callable[[], str]] = {
    CHECKS: checks,
    **{job.title: partial(section, job) for job in JOBS},
    DEFAULTS: defaults,
}
"""Title of a section -> what makes it."""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description="Run the routers on real data and write docs/results.md.")
    parser.add_argument("titles", nargs="*", help=f"some of {'; '.join(TABLES)}; all when none is given")
    titles = parser.parse_args().titles
    for title in titles:
        if title not in TABLES:
            parser.error(f"no table named {title!r}{did_you_mean(title, TABLES)}")
    if not DATA.is_dir():
        raise SystemExit("the real data sets must lie in ../shared/data, got nothing there")
    for title in titles or TABLES:
        PAGE.write_text(page({**_standing(), title: TABLES[title]()}), encoding="utf-8")


def _standing() -> dict[str, str]:
    """The sections of the page as it stands."""
    parts = re.split(r"^(?=## )", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE) if PAGE.is_file() else []
    return {part[3:].partition("\n")[0]: part.strip() for part in parts if part.startswith("## ")}


def page(sections: dict[str, str]) -> str:
    """The page out of its sections."""
    head = (
        "# Results on real data\n\nWritten by `make results`; do not edit. Embeddings: TF-IDF and SVD,"
        " where no other is named. Split: safe, 70/30, the paper's five seeds. Intervals: 95 % paired bootstrap"
        " over queries and seeds. Trade-offs are chosen on unseen training queries; settings are defaults, not tuned"
        " (the last table"
        " sets the two side by side). Routers that"
        " train an encoder run with the preset `quick`, a sketch of the method that a CPU trains in a minute (see"
        " [routers.md](routers.md))."
    )
    return "\n\n".join([head, *(sections[title] for title in TABLES if title in sections)]) + "\n"


if __name__ == "__main__":
    main()
