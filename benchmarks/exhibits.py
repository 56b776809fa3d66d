"""`make exhibits`: tables and figures of the real data sets of ../shared/data, with a few quick routers.

Writes docs/real-data.md and docs/figures/*.png: numbers and pictures only, no query text.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.results import DATA, ROOT, RUNS, cli
from llmrouterbench.files import read_json, write_json
from llmrouterbench.naming import markdown_safe
from llmrouterbench.numerals import UNKNOWN, interval, number
from llmrouterbench.reporting.exhibits import all_exhibits
from llmrouterbench.stats import Interval

PAGE = ROOT / "docs" / "real-data.md"
FIGURES = ROOT / "docs" / "figures"
ROUTERS = ("best_single", "knn", "task_soft", "gated:router=knn", "avengers", "avengers_pro", "linear")
PIXELS, COLOURS = 800, 160
"""Width and number of colours of a committed picture: about 40 kB each, 100 kB at most."""


@dataclass(frozen=True)
class Job:
    """One section of the page; `figures` are the stems of the pictures that it shows."""

    title: str
    source: str
    setting: str | None
    figures: tuple[str, ...]


_ALL = ("figure04_metrics", "figure05_hardness", "figure06_subsets", "figure10_distribution", "differences", "heatmap")
_COSTS = ("figure07_savings", "figure08_pareto")
JOBS = (
    Job("RouterBench", "routerbench/routerbench_zs", None, (*_ALL, *_COSTS)),
    Job("LLMRouter", "llmrouter", None, _ALL),
    Job("RouteLLM", "routellm", None, ("figure04_metrics", "differences", "heatmap")),
    Job(
        "LLMRouterBench slice, performance",
        "bench-release-slice.tar.gz",
        "performance",
        ("figure04_metrics", "figure06_subsets"),
    ),
    Job(
        "LLMRouterBench slice, performance-cost",
        "bench-release-slice.tar.gz",
        "performance-cost",
        ("figure03_domains", "figure06_subsets", "figure08_pareto"),
    ),
)


def section(job: Job) -> str:
    """Import, bench and report where that is not done yet; then the section of one data set."""
    store, name = RUNS / job.source.replace("/", "-"), job.title.lower().replace(",", "").replace(" ", "-")
    runs = RUNS / f"exhibits-{name}"
    if not store.exists():
        cli("import", str(DATA / job.source), "--to", str(store))
    chosen = ["--setting", job.setting] if job.setting else []
    print(job.title, flush=True)
    cli("bench", str(store), "--out", str(runs), *chosen, "--routers", ",".join(ROUTERS))
    made = cli("report", str(runs))["exhibits"]
    report = runs / "report"
    parts = [f"## {job.title}", _bullets(made["verdicts"]), "Is routing worth it here?", _advice(runs, store, chosen)]
    for stem in (stem for stem in job.figures if stem in made["figures"]):
        file = FIGURES / f"{name}-{stem}.png"
        file.write_bytes(small_png(report / "figures" / f"{stem}.png"))
        parts.append(f"![{job.title}: {all_exhibits()[stem].title}](figures/{file.name})")
    for stem, columns in _TABLES.items():
        if stem in made["tables"]:
            parts += [
                f"### {all_exhibits()[stem].title}",
                pipe_table(pl.read_csv(report / "tables" / f"{stem}.csv"), columns),
            ]
    return "\n\n".join(parts)


_TABLES = {
    "recall_failures": ("rare_queries", "accuracy_there_percent", "missed_queries", "share_of_gap_percent"),
    "collapse": ("top_model", "top_share_percent", "evenness", "collapse_index", "needless_percent"),
    "marginal_values": ("alone_percent", "add_one_percent", "drop_one_percent", "shapley_percent"),
}
"""Tables of the page and their columns beside the first one."""


def _advice(runs: Path, store: Path, chosen: Sequence[str]) -> str:
    """The advice in sentences; kept beside the runs, since it takes a while."""
    file = runs / "advice.json"
    if not file.exists():
        write_json(file, cli("advise", str(store), *chosen))
    advice = read_json(file)
    return _bullets([advice["recommendation"], *advice["because"]])


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_safe(line)}" for line in lines)


def small_png(path: Path) -> bytes:
    """A picture made narrower and stored with few colours."""
    from PIL import Image

    with Image.open(path) as picture:
        height = round(picture.height * PIXELS / picture.width)
        narrow = picture.convert("RGB").resize((PIXELS, height), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        few = narrow.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(out, format="PNG", optimize=True)
    return out.getvalue()


def pipe_table(frame: pl.DataFrame, columns: Sequence[str]) -> str:
    """A Markdown table of the first column and some others, each with its interval where it has one."""
    first = frame.columns[0]
    names = [column for column in columns if column in frame.columns]
    head = [first, *(name.replace("_percent", ", %").replace("_", " ") for name in names)]
    lines = [f"| {' | '.join(head)} |", f"|:--|{'--:|' * len(names)}"]
    for row in frame.iter_rows(named=True):
        cells = [markdown_safe(row[first]), *(_cell(row, name) for name in names)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: dict[str, Any], name: str) -> str:
    value, low, high = row[name], row.get(f"{name}_low"), row.get(f"{name}_high")
    if value is None or isinstance(value, str):
        return UNKNOWN if value is None else markdown_safe(value)
    digits = 1 if name.endswith("percent") or name.endswith("queries") else 2
    ends = [math.nan if end is None else end for end in (low, high)]
    return interval(Interval(value, *ends), lambda one: number(one, digits))


def main() -> None:
    """Write the page and its pictures."""
    if not DATA.is_dir():
        raise SystemExit("the real data sets must lie in ../shared/data, got nothing there")
    FIGURES.mkdir(parents=True, exist_ok=True)
    head = (
        "# Tables and figures of real data\n\nWritten by `make exhibits`; do not edit. Seven quick routers with"
        " defaults, TF-IDF, the safe split, the paper's five seeds; trade-offs chosen on unseen training"
        " queries; 95 % paired"
        " bootstrap intervals over queries and seeds. What each table and figure is: [report.md](report.md); every"
        " router: [results.md](results.md)."
    )
    PAGE.write_text("\n\n".join([head, *map(section, JOBS)]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
