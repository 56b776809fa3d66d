"""Import of a simulated full-size release against reading the same bytes with the standard library."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import Measured, Row, measure

_ONCE = "`gzip -dc`, then `json.loads` of every file once, nothing kept"
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
    """The archive against one pass of the standard library; the folder against three, with and without replies.

    The official loader reads an unpacked folder and parses every file three times (skip, group, read).
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive, unpacked = str(folder / "bench-release.tar.gz"), str(folder / "unpacked")
        write = "from pathlib import Path\nfrom llmrouterbench.simulation.release import write_release"
        measure(f"write_release(Path({archive!r}), 0)", write)
        unpack = f"subprocess.run(['tar', '-xzf', {archive!r}, '-C', {unpacked!r}], check=True)"
        measure(unpack, f"import os, subprocess\nos.mkdir({unpacked!r})")
        once = measure(_GZIP_JSON.format(archive=archive), "import subprocess, tarfile", repeat=2)
        thrice = measure(_THREE_TIMES.format(folder=unpacked), "from pathlib import Path", repeat=2)
        packed = _import(archive, folder, replies=True)
        lean, full = (_import(unpacked, folder, replies=replies) for replies in (False, True))
        size = Path(archive).stat().st_size / 2**20
    what = "700 files, 548,059 records, checked and stored"
    three = "every file parsed three times with `json.load`, as the official loader does"
    return [
        Row(f"import of the archive ({size:,.0f} MiB): {what}, with replies", packed, _ONCE, once, "-"),
        Row(f"import of the unpacked folder: {what}, without replies", lean, three, thrice, "at least 5x, under 2 GB"),
        Row(f"import of the unpacked folder: {what}, with replies", full, three, thrice, "at least 5x, under 2 GB"),
    ]


def _import(source: str, folder: Path, replies: bool) -> Measured:
    code = f"import_outcomes({source!r}, {str(folder / 'outcomes')!r}, replies={replies}, overwrite=True)"
    return measure(
        code, "from llmrouterbench import import_outcomes\nfrom llmrouterbench.importers import official", repeat=3
    )
