"""A lock that one process holds on a folder, and that the system gives back when the process dies."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

_FAR = 1 << 20
"""The byte that Windows locks: beyond the text, so that others can read who holds the lock."""


class FolderLock:
    """Hold the lock of a file until `release`. Raises BlockingIOError, with the holder, where another process has it.

    The file stays when the holder dies, the lock does not: a stale file stops nobody.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._file)
        except OSError as error:
            os.close(self._file)
            holder = path.read_text(encoding="utf-8").strip() or "another process"
            raise BlockingIOError(
                f"{path.parent} must have one writer, got a second; {holder} is writing: wait for it or stop it"
            ) from error
        os.ftruncate(self._file, 0)
        os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = -1


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, _FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(path: Path) -> str:
    """Who holds the lock, "" where nobody does."""
    if not path.is_file():
        return ""
    try:
        FolderLock(path).release()
    except BlockingIOError:
        return path.read_text(encoding="utf-8").strip()
    return ""
