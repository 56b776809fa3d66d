"""`make formats`: import every file of ../shared/data/formats, and write what came of it into docs/importing.md."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.pages import put
from llmrouterbench.importers import import_outcomes
from llmrouterbench.table import Outcomes

ROOT = Path(__file__).resolve().parents[1]
PAGE, FILES = ROOT / "docs" / "importing.md", ROOT.parent / "shared" / "data" / "formats"
MARKS = "<!-- written by `make formats` -->", "<!-- end of what `make formats` writes -->"
CHOSEN = {"lm-eval": "strict-match,acc_norm", "mixinstruct": "bertscore", "open-llm-leaderboard-v1": "acc_norm"}
"""Where a reply has several scores, the one that counts here."""
APART = ("arena", "fusionbench", "promptfoo", "rewardbench", "routerarena", "routerbench", "routereval", "vllm-sr")
"""Folders whose files are of several kinds."""


def sources() -> Iterator[Path]:
    """Every folder, or its files where they are of several kinds."""
    for folder in sorted(path for path in FILES.iterdir() if path.is_dir()):
        if folder.name not in APART or folder.name == "routerarena":
            yield folder
        if folder.name in APART:
            yield from (
                file for file in sorted(folder.iterdir()) if folder.name != "routerarena" or file.suffix == ".json"
            )


def row(source: Path) -> str:
    """A line of the table."""
    name = source.relative_to(FILES).as_posix()
    chosen = CHOSEN.get(name, "")
    shown = f"{name}{f' (`--filter {chosen}`)' if chosen else ''}".replace("|", "\\|")
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = import_outcomes(source, Path(folder) / "o", filter=chosen)
        except ValueError as refused:
            why = str(refused).replace(str(source), source.name).replace("|", "\\|")
            return f"| {shown} | refused | | | | | {why} |"
        outcomes = Outcomes.load(Path(folder) / "o")
    counts = report.counts
    found = "; ".join(f"{each.kind} ({each.count}, {each.happened})" for each in report.findings) or "-"
    size = f"{counts['queries']} x {counts['models']}"
    planes = [name for name, plane in outcomes.planes().items() if name != "score" and np.isfinite(plane).any()]
    beside = ", ".join(planes) or "-"
    cells = f"{counts['records']} | {size} | {counts['cells_missing']} | {beside}"
    return f"| {shown} | `{report.source['format']}` | {cells} | {found} |"


def main() -> None:
    columns = "records | queries x models | not measured | numbers beside the score"
    lines = [f"| file or folder | format | {columns} | what was masked or merged, or why it is refused |",
             "|---|---|---:|---:|---:|---|---|", *map(row, sources())]  # fmt: skip
    put(PAGE, MARKS, "\n".join(lines))


if __name__ == "__main__":
    main()
