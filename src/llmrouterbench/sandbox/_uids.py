"""User ids for sandboxed programs where we are root: each run has one that nobody else has."""

from __future__ import annotations

import os
from pathlib import Path

UIDS_A_PROCESS = 1024
"""Runs that one process may have at a time."""


def free_uid(slot: int, judge: bool = False) -> int | None:
    """A user id of its own for each slot of each process, and another one for the slot's judge.

    None in a user namespace that has no other than root.

    Containers without rights of their own map 65,536 ids: there, those that systemd leaves to services are taken.
    """
    for first, groups, size in ((200_001, 100_000, UIDS_A_PROCESS), (61_184, 64, 32)):
        uid = first + os.getpid() % groups * size + slot % size + judge * groups * size
        if _mapped(uid):
            return uid
    return None


def _mapped(uid: int) -> bool:
    try:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
    except FileNotFoundError:  # no Linux, no namespaces
        return True
    ranges = [tuple(map(int, line.split())) for line in lines]
    return any(inside <= uid < inside + length for inside, _, length in ranges)
