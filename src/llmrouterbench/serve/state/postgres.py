"""The state of servers on several machines: a table of a PostgreSQL database (extra postgres)."""

from __future__ import annotations

from collections.abc import Sequence

from llmrouterbench.calling.databases import Postgres
from llmrouterbench.serve.state import SECONDS, Store

_TABLE = """
CREATE TABLE IF NOT EXISTS llmrouterbench_state (name text PRIMARY KEY, value bytea, until timestamptz)
"""
_READ = """
SELECT extract(epoch FROM clock_timestamp())::float8, name, value
FROM (SELECT unnest(%s::text[]) AS asked) AS names
LEFT JOIN llmrouterbench_state ON name = asked AND (until IS NULL OR until > clock_timestamp())
"""
_UNTIL = "clock_timestamp() + make_interval(secs => %(seconds)s::float8)"
_BEGIN = f"""
INSERT INTO llmrouterbench_state AS state (name, value, until) VALUES (%(name)s, %(new)s, {_UNTIL})
ON CONFLICT (name) DO UPDATE SET value = excluded.value, until = excluded.until WHERE state.until <= clock_timestamp()
"""
_REPLACE = (
    f"UPDATE llmrouterbench_state SET value = %(new)s, until = {_UNTIL} WHERE name = %(name)s AND value = %(old)s"
)
_END = "DELETE FROM llmrouterbench_state WHERE name = %(name)s AND value = %(old)s"


class PostgresStore(Store):
    """Values in the table llmrouterbench_state."""

    def __init__(self, address: str) -> None:
        self._database = Postgres("the state", address, _TABLE, patience=0.0, seconds=SECONDS)

    def read(self, names: Sequence[str]) -> tuple[list[bytes | None], float]:
        """Values, and the server's time."""
        rows, _ = self._database.run(_READ, (list(names),))
        found = {name: bytes(value) for _, name, value in rows if name is not None}
        return [found.get(name) for name in names], float(rows[0][0])

    def swap(self, name: str, old: bytes | None, new: bytes | None, seconds: float | None) -> bool:
        """Replace a value."""
        sql = _BEGIN if old is None else _END if new is None else _REPLACE
        values = {"name": name, "old": old, "new": new, "seconds": seconds}
        return new is old is None or self._database.run(sql, values)[1] == 1

    def sweep(self) -> None:
        """Remove what has ended."""
        self._database.run("DELETE FROM llmrouterbench_state WHERE until <= clock_timestamp()")

    def close(self) -> None:
        """End the connection."""
        self._database.close()
