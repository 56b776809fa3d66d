"""A cache in PostgreSQL, for collectors on several machines (extra postgres)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmrouterbench.calling.cache import PATIENCE, Cache, CacheStats, Record, check_prune, pack, unpack
from llmrouterbench.calling.databases import Postgres, Rows

_TABLE = """
CREATE TABLE IF NOT EXISTS llmrouterbench_cache (
    key text PRIMARY KEY, owner text, until timestamptz, at timestamptz, model text, data bytea
)
"""
_CLAIM = """
INSERT INTO llmrouterbench_cache AS cache (key, owner, until)
VALUES (%(key)s, %(owner)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE cache.data IS NULL
  AND (cache.owner IS NULL OR cache.owner = excluded.owner OR cache.until <= clock_timestamp())
"""
_PUT = """
INSERT INTO llmrouterbench_cache (key, at, model, data) VALUES (%(key)s, clock_timestamp(), %(model)s, %(data)s)
ON CONFLICT (key) DO UPDATE SET at = excluded.at, model = excluded.model, data = excluded.data, owner = NULL
"""
_PRUNE = """
DELETE FROM llmrouterbench_cache WHERE data IS NOT NULL
  AND (%(age)s::float8 IS NULL OR at < clock_timestamp() - make_interval(secs => %(age)s::float8))
  AND (%(model)s::text IS NULL OR model = %(model)s::text)
"""
_PAGE = 256


class PostgresCache(Cache):
    """A cache in the table llmrouterbench_cache of a PostgreSQL database."""

    remote = True

    def __init__(self, address: str) -> None:
        self._database = Postgres("the cache", address, _TABLE, patience=PATIENCE)
        self._corrupt = 0

    def get(self, key: str) -> Record | None:
        """The record under a key."""
        rows, _ = self._run("SELECT data FROM llmrouterbench_cache WHERE key = %s AND data IS NOT NULL", (key,))
        return self._read(key, bytes(rows[0][0])) if rows else None

    def _read(self, key: str, data: bytes) -> Record | None:
        record = unpack(data)
        if record is None:
            self._corrupt += self._run(
                "DELETE FROM llmrouterbench_cache WHERE key = %s AND data = %s", (key, data)
            )[1]  # fmt: skip
        return record

    def put(self, key: str, record: Record) -> None:
        """Keep a record; ends the lease."""
        self._run(_PUT, {"key": key, "model": record["model"], "data": pack(record)})

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Lease a key without a record, by the server's clock."""
        return self._run(_CLAIM, {"key": key, "owner": owner, "seconds": seconds})[1] == 1

    def release(self, key: str, owner: str) -> None:
        """End a lease of one's own."""
        self._run("DELETE FROM llmrouterbench_cache WHERE key = %s AND owner = %s AND data IS NULL", (key, owner))

    def stats(self) -> CacheStats:
        """What the cache holds."""
        rows, _ = self._run(
            "SELECT model, count(*), sum(length(data)) FROM llmrouterbench_cache WHERE data IS NOT NULL"
            " GROUP BY model ORDER BY model"
        )
        models = {str(model): int(count) for model, count, _ in rows}
        return CacheStats(sum(models.values()), sum(int(size) for *_, size in rows), models, self._corrupt)

    def records(self) -> Iterator[tuple[str, Record]]:
        """Every key with its record."""
        last = ""
        while True:
            rows, _ = self._run(
                "SELECT key, data FROM llmrouterbench_cache WHERE key > %s AND data IS NOT NULL ORDER BY key LIMIT %s",
                (last, _PAGE),
            )
            if not rows:
                return
            for key, data in rows:
                record = self._read(key, bytes(data))
                if record is not None:
                    yield key, record
            last = rows[-1][0]

    def prune(self, *, older_than: float | None = None, model: str | None = None) -> int:
        """Remove records."""
        check_prune(older_than, model)
        return self._run(_PRUNE, {"age": older_than, "model": model})[1]

    def close(self) -> None:
        """End the connection."""
        self._database.close()

    def _run(self, sql: str, values: Any = None) -> Rows:
        return self._database.run(sql, values)
