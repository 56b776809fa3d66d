"""The state of several workers on one machine: a SQLite file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from llmrouterbench.calling.databases import Sqlite
from llmrouterbench.serve.state import Store

_TABLE = "CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value BLOB, until REAL) WITHOUT ROWID"
_BEGIN = """
INSERT INTO state (name, value, until) VALUES (:name, :new, :until)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, until = excluded.until WHERE state.until <= :now
"""
_REPLACE = "UPDATE state SET value = :new, until = :until WHERE name = :name AND value = :old"
_END = "DELETE FROM state WHERE name = :name AND value = :old"


class SqliteStore(Store):
    """Values in the table `state` of a file."""

    def __init__(self, path: Path) -> None:
        self._file = Sqlite("the state", path)
        try:
            self._file.run(_TABLE)
        except OSError:
            self._file.close()
            raise

    def read(self, names: Sequence[str]) -> tuple[list[bytes | None], float]:
        """Values, and the machine's time."""
        now = time.time()
        marks = ", ".join("?" * len(names))
        sql = f"SELECT name, value FROM state WHERE name IN ({marks}) AND (until IS NULL OR until > ?)"
        found: dict[str, bytes] = dict(self._file.run(sql, (*names, now))[0])
        return [found.get(name) for name in names], now

    def swap(self, name: str, old: bytes | None, new: bytes | None, seconds: float | None) -> bool:
        """Replace a value."""
        now = time.time()
        until = None if seconds is None else now + seconds
        sql = _BEGIN if old is None else _END if new is None else _REPLACE
        values = {"name": name, "old": old, "new": new, "until": until, "now": now}
        return new is old is None or self._file.run(sql, values)[1] == 1

    def sweep(self) -> None:
        """Remove what has ended."""
        self._file.run("DELETE FROM state WHERE until <= ?", (time.time(),))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
