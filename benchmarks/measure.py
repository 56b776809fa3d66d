"""Run a piece of Python in a process of its own and read its seconds and peak memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import orjson

_AROUND = """
import json, resource, sys, time
{setup}
started = time.perf_counter()
{code}
seconds = time.perf_counter() - started
scale = 1024 if sys.platform != "darwin" else 1
used = [scale * resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
if sys.platform == "linux":  # where ru_maxrss begins at what the parent had
    with open("/proc/self/status") as status:
        used[0] = 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print("\\n" + json.dumps({{"seconds": seconds, "peak": max(used)}}))
"""


@dataclass(frozen=True)
class Measured:
    """Seconds of the timed part; peak bytes of the whole process (its largest child included)."""

    seconds: float
    peak: int


@dataclass(frozen=True)
class Row:
    """One line of the page: what was done, by us and by the reference, and on which day."""

    what: str
    ours: Measured
    reference: str
    theirs: Measured
    target: str
    day: str = ""


def measure(code: str, setup: str = "", repeat: int = 1) -> Measured:
    """The fastest of `repeat` runs, each in a fresh process; imports and preparation belong into `setup`."""
    runs = []
    for _ in range(repeat):
        script = _AROUND.format(setup=setup, code=code)
        said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        runs.append(Measured(**orjson.loads(said.stdout.strip().splitlines()[-1])))
    return min(runs, key=lambda run: run.seconds)


def table(rows: list[Row]) -> str:
    """Markdown of all rows."""
    lines = ["| what | ours | peak memory | reference | its time | ratio | target | run on |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    lines += [
        f"| {r.what} | {r.ours.seconds:.2f} s | {r.ours.peak / 2**20:,.0f} MiB | {r.reference}"
        f" | {r.theirs.seconds:.2f} s | {r.theirs.seconds / r.ours.seconds:.1f}x | {r.target} | {r.day} |"
        for r in rows
    ]
    return "\n".join(lines)
