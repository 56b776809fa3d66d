"""`make bench`: run every benchmark and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

from benchmarks import avengers_pro, deciding, importing, reloading
from benchmarks.measure import Row, table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
ALL = {"importing": importing.rows, "reloading": reloading.rows, "avengers_pro": avengers_pro.rows}


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the benchmarks and write docs/benchmarks.md.")
    parser.add_argument(
        "names", nargs="*", help=f"some of {', '.join(ALL)}, deciding; all and the page when none is given"
    )
    names = parser.parse_args().names
    rows: list[Row] = []
    for name, run in ALL.items():
        if not names or name in names:
            print(f"running {name}", flush=True)
            rows += run()
    text = table(rows) if rows else ""
    if not names or "deciding" in names:
        print("running deciding", flush=True)
        text += f"\n\n## Decisions\n\n{deciding.table()}"
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
