"""A cache in Redis, for collectors on several machines (extra redis).

The server should keep its data (`appendonly yes`) and evict nothing (`maxmemory-policy noeviction`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from llmrouterbench.calling.cache import PATIENCE, Cache, CacheStats, Record, check_prune, pack, unpack
from llmrouterbench.calling.databases import Redis

_CLAIM = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
"""
_DELETE_IF = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_FORGET_IF = "if redis.call('HGET', KEYS[1], 'data') == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_RECORD, _LEASE = "llmrouterbench:record:", "llmrouterbench:lease:"
_PAGE = 256


def _record(key: str) -> str:
    """The name of a record; the braces put it and its lease on one node of a cluster."""
    return f"{_RECORD}{{{key}}}"


def _lease(key: str) -> str:
    return f"{_LEASE}{{{key}}}"


class RedisCache(Cache):
    """A cache on a Redis server; a record is a hash with data, model and at (Unix time)."""

    remote = True

    def __init__(self, address: str) -> None:
        self._redis = Redis("the cache", address, patience=PATIENCE)
        self._server = self._redis.server
        self._run = self._redis.run
        self._corrupt = 0
        self._claim = self._server.register_script(_CLAIM)
        self._delete_if = self._server.register_script(_DELETE_IF)
        self._forget_if = self._server.register_script(_FORGET_IF)

    def get(self, key: str) -> Record | None:
        """The record under a key."""
        data = self._run(lambda: self._server.hget(_record(key), "data"))
        return None if data is None else self._read(_record(key), data)

    def _read(self, name: str, data: bytes) -> Record | None:
        record = unpack(data)
        if record is None:
            self._corrupt += int(self._run(lambda: self._forget_if(keys=[name], args=[data])))
        return record

    def put(self, key: str, record: Record) -> None:
        """Keep a record; ends the lease."""
        fields = {"data": pack(record), "model": record["model"], "at": time.time()}
        self._run(lambda: self._server.pipeline().hset(_record(key), mapping=fields).delete(_lease(key)).execute())

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Lease a key without a record."""
        names, values = [_record(key), _lease(key)], [owner, max(1, int(seconds * 1000))]
        return bool(self._run(lambda: self._claim(keys=names, args=values)))

    def release(self, key: str, owner: str) -> None:
        """End a lease of one's own."""
        self._run(lambda: self._delete_if(keys=[_lease(key)], args=[owner]))

    def stats(self) -> CacheStats:
        """What the cache holds."""
        models: dict[str, int] = {}
        size = 0
        for names in self._pages():
            for (model,), length in self._asked(
                names, lambda pipe, name: pipe.hmget(name, "model").hstrlen(name, "data")
            ):
                if model is not None:
                    models[model.decode()] = models.get(model.decode(), 0) + 1
                    size += length
        return CacheStats(sum(models.values()), size, dict(sorted(models.items())), self._corrupt)

    def records(self) -> Iterator[tuple[str, Record]]:
        """Every key with its record."""
        for names in self._pages():
            for name, (data,) in zip(
                names, self._asked(names, lambda pipe, name: pipe.hget(name, "data")), strict=True
            ):
                record = None if data is None else self._read(name, data)
                if record is not None:
                    yield name.removeprefix(_RECORD).strip("{}"), record

    def prune(self, *, older_than: float | None = None, model: str | None = None) -> int:
        """Remove records."""
        check_prune(older_than, model)
        before = None if older_than is None else time.time() - older_than
        removed = 0
        for names in self._pages():
            facts = self._asked(names, lambda pipe, name: pipe.hmget(name, "at", "model"))
            gone = [
                name
                for name, ((at, whose),) in zip(names, facts, strict=True)
                if (before is None or float(at or 0) < before) and (model is None or whose == model.encode())
            ]
            if gone:
                removed += int(self._run(partial(self._server.delete, *gone)))
        return removed

    def close(self) -> None:
        """End the connections."""
        self._redis.close()

    def _pages(self) -> Iterator[list[str]]:
        """The names of the records, some at a time, each once."""
        seen: set[str] = set()
        cursor = 0
        while True:
            scan = partial(self._server.scan, cursor, match=f"{_RECORD}*", count=_PAGE)
            cursor, found = self._run(scan)
            names = [name for name in dict.fromkeys(item.decode() for item in found) if name not in seen]
            seen.update(names)
            yield names
            if cursor == 0:
                return

    def _asked(self, names: list[str], ask: Any) -> list[tuple[Any, ...]]:
        """What some commands answer for each name, in one round trip."""

        def answers() -> list[Any]:
            pipe = self._server.pipeline(transaction=False)
            for name in names:
                ask(pipe, name)
            return list(pipe.execute())

        said = self._run(answers)
        width = len(said) // len(names) if names else 1
        return [tuple(said[i : i + width]) for i in range(0, len(said), width)]
