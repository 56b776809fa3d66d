"""What the processes of a sandbox have used, as their kernel tells everybody (Linux; nothing is known elsewhere)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """One process: seconds of processor time, seconds its thread that waited most was kept waiting, bytes in memory."""

    processor: float
    waited: float
    memory: int


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
            found[pid] = Usage(
                ticks / os.sysconf("SC_CLK_TCK"), max(_waits(pid), default=0.0), pages * os.sysconf("SC_PAGE_SIZE")
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


def _waits(pid: int) -> Iterator[float]:
    """Of each thread, what `waited` says."""
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            yield waited(f"{pid}/task/{task}")


def waited(task: str = "thread-self") -> float:
    """Seconds that a thread was ready to run and had no core; 0 where the kernel does not count them."""
    with suppress(OSError, IndexError, ValueError), open(f"/proc/{task}/schedstat", "rb") as file:
        return int(file.read().split()[1]) / 1e9
    return 0.0
