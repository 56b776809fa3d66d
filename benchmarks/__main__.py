"""`make bench`: run every benchmark and write docs/benchmarks.md.

What each benchmark gave is kept in benchmarks/kept, with its day and machine, so that the page always holds the last
run of each: name some to run those alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import collecting, deciding, fine_tuned, growth, proxies, serving, shortcuts, whole_table
from benchmarks.measure import Measured, Row, table
from llmrouterbench.files import read_json, write_json
from llmrouterbench.naming import did_you_mean

ROOT = Path(__file__).resolve().parents[1]
PAGE, KEPT = ROOT / "docs" / "benchmarks.md", ROOT / "benchmarks" / "kept"
ROWS = (
    "importing", "reloading", "avengers_pro", "whole_table", "fine_tuned:performance", "fine_tuned:performance-cost",
    "collecting", "scoring", "scoring_code", "fitting", "serving", "reporting_page",
)  # fmt: skip
"""Modules with a function `rows`, and what it takes."""
TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "deciding": ("Decisions", deciding.table),
    "routers": ("Every router at the paper's scale", whole_table.table),
    "growth": ("How the main commands grow", growth.table),
    "shortcuts": ("Shortcuts for many training queries", shortcuts.table),
    "trained": ("Every fine-tuned router at the paper's scale", fine_tuned.table),
    "memory": ("Memory of a long collection", collecting.table),
    "load": ("The server under load", serving.table),
    "proxies:1": ("Beside the LiteLLM proxy, one worker", partial(proxies.table, 1)),
    "proxies:2": ("Beside the LiteLLM proxy, two workers", partial(proxies.table, 2)),
    "health": ("A server that is asked for much at once", proxies.health_table),
}
"""Name -> title and Markdown of a section of its own."""
SHARED = ("serving", "load")
"""Two views of one study."""


def main() -> None:
    known = (*ROWS, *TABLES)
    parser = argparse.ArgumentParser(description="Run the benchmarks and write docs/benchmarks.md.")
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(known)}; all when none is given")
    names = parser.parse_args().names
    for name in names:
        if name not in known:
            parser.error(f"no benchmark named {name!r}{did_you_mean(name, known)}")
    if len(names) != 1 and set(names) != set(SHARED):
        for group in _groups(names or known):  # a process each: peak memory is a process's
            subprocess.run([sys.executable, "-m", "benchmarks", *group], check=True, cwd=ROOT)
        return
    for name in names:
        print(f"running {name}", flush=True)
        keep(name, _measured(name))


def keep(name: str, measured: dict[str, Any]) -> None:
    """Keep what a benchmark gave, with its day and machine, and write the page anew."""
    write_json(_kept(name), {**measured, "day": date.today().isoformat(), "machine": _machine()})
    PAGE.write_text(page(), encoding="utf-8")


def _groups(names: Sequence[str]) -> list[list[str]]:
    """Names that run in one process: those that share what they measured, the others alone."""
    shared = [name for name in SHARED if name in names]
    return [[name] for name in names if name not in SHARED] + ([shared] if shared else [])


def _measured(name: str) -> dict[str, Any]:
    if name in ROWS:
        module, *given = name.split(":")
        return {"rows": [asdict(row) for row in import_module(f"benchmarks.{module}").rows(*given)]}
    return {"text": TABLES[name][1]()}


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def page() -> str:
    """The page out of everything that was kept; what was never run on this machine is named."""
    kept = {name: read_json(_kept(name)) for name in (*ROWS, *TABLES) if _kept(name).is_file()}
    machines = sorted({f"{one['machine']}; {one['day']}" for one in kept.values()})
    rows = [_row(raw, kept[name]["day"]) for name in ROWS if name in kept for raw in kept[name]["rows"]]
    parts = [
        "# Benchmarks",
        "Written by `make bench`; do not edit. Data are SIMULATED at the paper's full scale. Seconds belong to the"
        f" machine of their day ({' / '.join(machines)}); the ratio to the reference, timed in the same"
        " run, is what carries over.",
        table(rows),
        *(_section(name, kept[name]) for name in TABLES if name in kept),
    ]
    if missing := [name for name in (*ROWS, *TABLES) if name not in kept]:
        parts.append(f"Not run here yet: {', '.join(missing)}.")
    return "\n\n".join(parts) + "\n"


def _kept(name: str) -> Path:
    return KEPT / f"{name.replace(':', '-')}.json"


def _section(name: str, kept: dict[str, Any]) -> str:
    return f"## {TABLES[name][0]}\n\nRun on {kept['day']}.\n\n{kept['text']}"


def _row(raw: dict[str, Any], day: str) -> Row:
    ours, theirs = Measured(**raw["ours"]), Measured(**raw["theirs"])
    return Row(raw["what"], ours, raw["reference"], theirs, raw["target"], day)


if __name__ == "__main__":
    main()
