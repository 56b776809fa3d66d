"""The books of client keys: USD spent in a period, and USD set aside for calls under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Grant:
    """USD that were set aside for one call of a key, in a period that began then."""

    key: str
    period: float
    usd: float


class Ledger(Protocol):
    """Where the books are kept. What was taken and never settled counts as spent."""

    async def take(self, key: str, period: float, limit: float, most: float, least: float) -> Grant | None:
        """Set `most` USD aside, or what is left of `limit` where that is at least `least`; None: there is less."""

    def settle(self, grant: Grant, cost: float) -> None:
        """Replace what was set aside by what it cost."""

    async def spent(self, key: str, period: float) -> float:
        """USD settled so far."""


class MemoryLedger:
    """Books of one process; they begin with what is known to be spent, by key and period."""

    def __init__(self, spent: Mapping[tuple[str, float], float] | None = None) -> None:
        self._spent = dict(spent or {})
        self._reserved: dict[tuple[str, float], float] = {}
        self._under_way: dict[tuple[str, float], int] = {}

    async def take(self, key: str, period: float, limit: float, most: float, least: float) -> Grant | None:
        """Set USD aside.

        >>> import asyncio
        >>> ledger = MemoryLedger({("a", 0.0): 0.25})
        >>> grants = [asyncio.run(ledger.take("a", 0.0, 1.0, 0.5, 0.3)) for _ in range(2)]
        >>> grants[0].usd, grants[1]
        (0.5, None)
        >>> ledger.settle(grants[0], 0.125); asyncio.run(ledger.spent("a", 0.0))
        0.375
        """
        at = key, period
        room = limit - self._spent.get(at, 0.0) - self._reserved.get(at, 0.0)
        if room <= 0.0 or min(least, most) > room:
            return None
        taken = min(most, room)
        self._reserved[at] = self._reserved.get(at, 0.0) + taken
        self._under_way[at] = self._under_way.get(at, 0) + 1
        return Grant(key, period, taken)

    def settle(self, grant: Grant, cost: float) -> None:
        """Replace what was set aside by what it cost."""
        at = grant.key, grant.period
        self._under_way[at] -= 1
        self._reserved[at] = self._reserved[at] - grant.usd if self._under_way[at] else 0.0  # no sum of roundings
        self._spent[at] = self._spent.get(at, 0.0) + cost

    async def spent(self, key: str, period: float) -> float:
        """USD settled so far."""
        return self._spent.get((key, period), 0.0)
