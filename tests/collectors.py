"""What other processes do in tests of the cache; a module that a spawned process can import."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any
from uuid import uuid4

from llmrouterbench.calling.cache import Cache, hold_lease, open_cache, record_of, record_or_claim
from llmrouterbench.calling.calls import Answer


def pay_for_all(address: str, count: int, out: Any) -> None:
    """A collector: one call for every query that nobody has paid for."""

    async def collect(cache: Cache) -> list[str]:
        paid = []
        for i in range(count):
            owner = uuid4().hex
            if await record_or_claim(cache, f"k{i}", owner, 30.0, poll=0.005) is None:
                async with hold_lease(cache, f"k{i}", owner, 30.0):
                    await asyncio.sleep(0.002)
                    await asyncio.to_thread(cache.put, f"k{i}", record_of(Answer(text=str(i)), "m", 0.01))
                    paid.append(f"k{i}")
        return paid

    with open_cache(address) as cache:
        out.put(asyncio.run(collect(cache)))


def claim_and_die(address: str) -> None:
    """A collector that is killed while it holds a lease."""
    cache = open_cache(address)
    assert cache.claim("k", "dead", 0.5)
    os.kill(os.getpid(), signal.SIGKILL)
