"""`make bench`: run every benchmark and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
from importlib import import_module
from pathlib import Path

from benchmarks import collecting, deciding, serving, whole_table
from benchmarks.measure import Row, table
from llmrouterbench.naming import did_you_mean

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
ROWS = (
    "importing", "reloading", "avengers_pro", "whole_table", "collecting", "scoring", "scoring_code", "fitting",
    "serving", "reporting_page",
)  # fmt: skip
"""Modules with a function `rows`."""
TABLES = {
    "deciding": ("Decisions", deciding.table),
    "routers": ("Every router at the paper's scale", whole_table.table),
    "memory": ("Memory of a long collection", collecting.table),
    "load": ("The server under load", serving.table),
}
"""Name -> title and Markdown of a section of its own."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the benchmarks and write docs/benchmarks.md.")
    known = (*ROWS, *TABLES)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(known)}; all and the page when none is given")
    names = parser.parse_args().names
    for name in names:
        if name not in known:
            parser.error(f"no benchmark named {name!r}{did_you_mean(name, known)}")
    chosen = names or known
    rows: list[Row] = []
    for name in (name for name in ROWS if name in chosen):
        print(f"running {name}", flush=True)
        rows += import_module(f"benchmarks.{name}").rows()
    text = table(rows) if rows else ""
    for name, (title, write) in TABLES.items():
        if name in chosen:
            print(f"running {name}", flush=True)
            text += f"\n\n## {title}\n\n{write()}"
    print(text)
    if not names:
        machine = (
            f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
        )
        PAGE.write_text(
            "# Benchmarks\n\nWritten by `make bench`; do not edit. Data are SIMULATED at the paper's full scale."
            f" Seconds belong to one machine ({machine}); the ratio to the reference, timed in the same run, is"
            f" what carries over.\n\n{text}\n"
        )


if __name__ == "__main__":
    main()
