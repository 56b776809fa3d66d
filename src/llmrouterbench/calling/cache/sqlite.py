"""The default cache: one SQLite file in WAL mode, for any number of processes on one machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmrouterbench.calling.cache import Cache, CacheStats, Record, check_prune, pack, unpack
from llmrouterbench.calling.databases import Rows, Sqlite

_TABLE = """
CREATE TABLE IF NOT EXISTS cache (
    key TEXT PRIMARY KEY, owner TEXT, until REAL, at REAL, model TEXT, data BLOB
)
"""
_CLAIM = """
INSERT INTO cache (key, owner, until) VALUES (:key, :owner, :until)
ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE cache.data IS NULL AND (cache.owner IS NULL OR cache.owner = excluded.owner
    OR cache.until NOT BETWEEN :now AND :now + :longest)
"""
_PUT = """
INSERT INTO cache (key, at, model, data) VALUES (:key, :at, :model, :data)
ON CONFLICT (key) DO UPDATE SET at = excluded.at, model = excluded.model, data = excluded.data, owner = NULL
"""
_LONGEST = 3600.0
"""Seconds that a lease lasts at most."""
_PAGE = 256


class SqliteCache(Cache):
    """A cache in one file. A record is safe from the death of the process once `put` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._corrupt = 0
        self._file = Sqlite("the cache", path)
        try:
            self._run(_TABLE)
        except OSError:
            self._file.close()
            raise

    def get(self, key: str) -> Record | None:
        """The record under a key."""
        rows = self._run("SELECT data FROM cache WHERE key = ? AND data IS NOT NULL", (key,))[0]
        return self._read(key, rows[0][0]) if rows else None

    def _read(self, key: str, data: Any) -> Record | None:
        record = unpack(data) if isinstance(data, bytes) else None
        if record is None:
            self._corrupt += self._run("DELETE FROM cache WHERE key = ? AND data IS ?", (key, data))[1]
        return record

    def put(self, key: str, record: Record) -> None:
        """Keep a record; ends the lease."""
        values = {"key": key, "at": time.time(), "model": record["model"], "data": pack(record)}
        self._run(_PUT, values)

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Lease a key without a record: by the machine's monotonic clock, which nobody sets.

        It begins anew when the machine does: what ends later than any lease can was made before that.
        """
        now = time.monotonic()
        values = {"key": key, "owner": owner, "until": now + seconds, "now": now, "longest": max(seconds, _LONGEST)}
        return self._run(_CLAIM, values)[1] == 1

    def release(self, key: str, owner: str) -> None:
        """End a lease of one's own."""
        self._run("DELETE FROM cache WHERE key = ? AND owner = ? AND data IS NULL", (key, owner))

    def stats(self) -> CacheStats:
        """What the cache holds."""
        rows = self._run(
            "SELECT model, count(*), sum(length(data)) FROM cache WHERE data IS NOT NULL GROUP BY model ORDER BY model"
        )[0]
        models = {str(model): int(count) for model, count, _ in rows}
        return CacheStats(sum(models.values()), sum(int(size) for *_, size in rows), models, self._corrupt)

    def records(self) -> Iterator[tuple[str, Record]]:
        """Every key with its record, read in pages so that writers are not held up."""
        last = ""
        while True:
            rows = self._run(
                "SELECT key, data FROM cache WHERE key > ? AND data IS NOT NULL ORDER BY key LIMIT ?", (last, _PAGE)
            )[0]
            if not rows:
                return
            for key, data in rows:
                record = self._read(key, data)
                if record is not None:
                    yield key, record
            last = rows[-1][0]

    def prune(self, *, older_than: float | None = None, model: str | None = None) -> int:
        """Remove records; their space goes back to the disk unless others are at work, who then use it again."""
        check_prune(older_than, model)
        before = None if older_than is None else time.time() - older_than
        removed = self._run(
            "DELETE FROM cache WHERE data IS NOT NULL AND (:before IS NULL OR at < :before)"
            " AND (:model IS NULL OR model = :model)",
            {"before": before, "model": model},
        )[1]
        if removed:
            with suppress(BlockingIOError):
                self._run("VACUUM")
        return removed

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _run(self, sql: str, values: Any = ()) -> Rows:
        return self._file.run(sql, values)
