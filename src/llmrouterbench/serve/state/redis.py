"""The state of servers on several machines: a Redis server (extra redis).

It should keep its data (`appendonly yes`) and evict nothing (`maxmemory-policy noeviction`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmrouterbench.calling.databases import Redis
from llmrouterbench.serve.state import SECONDS, Store

_SWAP = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
elseif ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
_NAME = "llmrouterbench:state:"


class RedisStore(Store):
    """Values as strings; Redis itself removes what has ended."""

    def __init__(self, address: str) -> None:
        self._redis = Redis("the state", address, patience=0.0, seconds=SECONDS)
        self._swap = self._redis.server.register_script(_SWAP)

    def read(self, names: Sequence[str]) -> tuple[list[bytes | None], float]:
        """Values, and the server's time."""

        def ask() -> list[Any]:
            pipe = self._redis.server.pipeline(transaction=False)
            for name in names:
                pipe.get(f"{_NAME}{name}")
            return list(pipe.time().execute())

        *values, (seconds, micros) = self._redis.run(ask)
        return values, seconds + micros / 1e6

    def swap(self, name: str, old: bytes | None, new: bytes | None, seconds: float | None) -> bool:
        """Replace a value."""
        ends = "" if seconds is None else max(1, int(1000 * seconds))
        values = [old or b"", new or b"", ends]
        return bool(self._redis.run(lambda: self._swap(keys=[f"{_NAME}{name}"], args=values)))

    def sweep(self) -> None:
        """Nothing is left to remove."""

    def close(self) -> None:
        """End the connections."""
        self._redis.close()
