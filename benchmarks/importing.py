"""Import of a simulated full-size release against reading the same bytes with the standard library."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import Measured, Row, measure

_GZIP_JSON = """
with subprocess.Popen(["gzip", "-dc", {archive!r}], stdout=subprocess.PIPE) as gzip:
    with tarfile.open(fileobj=gzip.stdout, mode="r|") as tar:
        for member in tar:
            if member.isfile():
                json.loads(tar.extractfile(member).read())
"""
_THREE_TIMES = """
for _ in range(3):
    for path in sorted(Path({folder!r}).rglob("*.json")):
        with path.open(encoding="utf-8") as file:
            json.load(file)
"""


def rows() -> list[Row]:
    """Two rows: against one pass of the standard library, and against the three passes of the official loader."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive, unpacked = str(folder / "bench-release.tar.gz"), str(folder / "unpacked")
        measure(
            f"write_release(Path({archive!r}), 0)",
            "from pathlib import Path\nfrom llmrouterbench.release_writer import write_release",
        )
        ours = measure(
            f"import_outcomes({archive!r}, {str(folder / 'outcomes')!r})", "from llmrouterbench import import_outcomes"
        )
        once = measure(_GZIP_JSON.format(archive=archive), "import subprocess, tarfile")
        measure(
            f"subprocess.run(['tar', '-xzf', {archive!r}, '-C', {unpacked!r}], check=True)",
            f"import os, subprocess\nos.mkdir({unpacked!r})",
        )
        thrice: Measured = measure(_THREE_TIMES.format(folder=unpacked), "from pathlib import Path")
        size = Path(archive).stat().st_size / 2**20
    what = f"import of 700 files, 548,059 records ({size:,.0f} MiB of tar.gz), parsed, checked, stored with replies"
    return [
        Row(what, ours, "`gzip -dc`, then `json.loads` of every file, nothing kept", once, "-"),
        Row(
            what,
            ours,
            "every unpacked file parsed three times with `json.load`, as the official loader does",
            thrice,
            "at least 5x, under 2 GB",
        ),
    ]
