"""What the processes of a sandbox have used, as their kernel tells everybody (Linux; nothing is known elsewhere)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

_HELD = 1 << 19
"""Bytes that the kernel may hold for one open file, a socket that nobody reads."""


@dataclass(frozen=True)
class Usage:
    """One process.

    processor   seconds of processor time
    waited      seconds that a thread of it was ready to run and had no core: of the thread that waited most
    ready       whether a thread of it runs or waits for a core right now
    memory      bytes, with what the kernel may hold for each open file: a full socket's
    """

    processor: float = 0.0
    waited: float = 0.0
    ready: bool = False
    memory: int = 0


def usage(root: int) -> dict[int, Usage]:
    """Process id -> usage, of `root` and of every living process below it."""
    if sys.platform != "linux":
        return {}
    known: dict[int, tuple[int, bytes]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            stat = file.read().rpartition(b")")[2]
            known[int(name)] = int(stat.split(None, 2)[1]), stat
    found = {}
    for pid in _below(root, {pid: parent for pid, (parent, _) in known.items()}):
        fields = known[pid][1].split()
        if fields[0] not in (b"Z", b"X"):
            ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
            tasks = list(_tasks(pid))
            found[pid] = Usage(
                processor=ticks / os.sysconf("SC_CLK_TCK"),
                waited=max((waits for waits, _ in tasks), default=0.0),
                ready=any(ready for _, ready in tasks),
                memory=pages * os.sysconf("SC_PAGE_SIZE") + _files(pid) * _HELD,
            )
    return found


def _below(root: int, parents: dict[int, int]) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found = [root] if root in parents else []
    for pid in found:
        found += children.get(pid, [])
    return found


def _tasks(pid: int) -> Iterator[tuple[float, bool]]:
    """Of each thread, what it waited and whether it is ready."""
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat", "rb") as file:
                ready = file.read().rpartition(b")")[2].split(None, 1)[0] == b"R"
            yield waited(f"{pid}/task/{task}"), ready


def _files(pid: int) -> int:
    """How many files it has open; 0 where that is not told."""
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def waited(task: str = "thread-self") -> float:
    """Seconds that a thread was ready to run and had no core; 0 where the kernel does not count them."""
    with suppress(OSError, IndexError, ValueError), open(f"/proc/{task}/schedstat", "rb") as file:
        return int(file.read().split()[1]) / 1e9
    return 0.0
