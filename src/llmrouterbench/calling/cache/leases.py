"""The cache as one event loop uses it: who holds the lease of a question asks it, nobody else meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from uuid import uuid4

from llmrouterbench.calling.cache import Cache, Record

T = TypeVar("T")

LEASE_SECONDS = 60.0


class Leases:
    """Leases in one cache, renewed as long as they are held; a cache over the network is called in threads.

    owner    who holds them: by the same name they can be taken over after a kill; one of its own where not given
    seconds  that a lease lasts which nobody renews any more
    """

    def __init__(self, cache: Cache, owner: str = "", seconds: float = LEASE_SECONDS) -> None:
        self._cache, self._owner, self._seconds = cache, owner or uuid4().hex, seconds
        self._held: dict[str, bool] = {}
        """Key -> whether its lease is to be released: a record that was put has ended it."""
        self._renewing: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        """A renewal under way would take back a lease that is released meanwhile."""

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[bool]:
        """Hold the lease of a key during the block; False where the record is there or somebody else holds it."""
        if name in self._held:
            yield False
            return
        self._held[name] = False
        try:
            self._held[name] = await self._call(self._cache.claim, name, self._owner, self._seconds)
            if self._held[name] and (self._renewing is None or self._renewing.done()):
                self._renewing = asyncio.create_task(self._renew())
            yield self._held[name]
        finally:
            if self._held.pop(name):
                async with self._one_at_a_time:
                    await self._call(self._cache.release, name, self._owner)

    async def get(self, name: str) -> Record | None:
        """The record under a key."""
        return await self._call(self._cache.get, name)

    async def put(self, name: str, record: Record) -> None:
        """Keep a record; ends the lease."""
        await self._call(self._cache.put, name, record)
        self._held[name] = False

    async def replace(self, name: str, record: Record) -> None:
        """Keep a record in the place of an older one, without a lease."""
        await self._call(self._cache.put, name, record)

    async def _renew(self) -> None:
        """Renew what is held, until nothing is."""
        while self._held:
            await asyncio.sleep(self._seconds / 4)
            for name in list(self._held):
                async with self._one_at_a_time:
                    if self._held.get(name):
                        with suppress(OSError):  # the next put says so
                            await self._call(self._cache.claim, name, self._owner, self._seconds)

    async def _call(self, method: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.to_thread(method, *arguments) if self._cache.remote else method(*arguments)
