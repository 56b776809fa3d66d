"""What other processes do in tests of the cache; a module that a spawned process can import."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import Any

from llmrouterbench.calling.asking import AskedElsewhereError, ask_once
from llmrouterbench.calling.cache import Cache, open_cache
from llmrouterbench.calling.cache.leases import Leases
from llmrouterbench.calling.calls import Answer, Request
from llmrouterbench.calling.retrying import Paid


def pay_for_all(address: str, count: int, out: Any) -> None:
    """A collector: one call for every query that nobody has paid for."""

    async def collect(cache: Cache) -> list[str]:
        paid: list[str] = []
        leases = Leases(cache, seconds=30.0)

        async def pay() -> Paid:
            await asyncio.sleep(0.002)
            return Paid(Answer(text="42"), 0.01, 1)

        for i in range(count):
            while True:
                with suppress(AskedElsewhereError):
                    got = await ask_once(leases, f"k{i}", Request("e", "m"), pay)
                    paid += [f"k{i}"] * got.attempts
                    break
                await asyncio.sleep(0.005)
        return paid

    with open_cache(address) as cache:
        out.put(asyncio.run(collect(cache)))


def claim_and_die(address: str) -> None:
    """A collector that is killed while it holds a lease."""
    cache = open_cache(address)
    assert cache.claim("k", "dead", 0.5)
    os.kill(os.getpid(), signal.SIGKILL)
