"""A limit in USD that concurrent calls share: what a call may cost at most is set aside before it starts."""

from __future__ import annotations

import asyncio


class Budget:
    """USD that may be spent, None: no limit. `spent` is settled, `reserved` is set aside for calls under way."""

    def __init__(self, limit: float | None, spent: float = 0.0) -> None:
        self.limit = limit
        self.spent = spent
        self.reserved = 0.0
        self._under_way = 0
        self._settled = asyncio.Event()

    async def reserve(self, most: float) -> bool:
        """Set `most` USD aside; waits while calls under way may still give some back. False: it is not there.

        >>> budget = Budget(1.0)
        >>> [asyncio.run(budget.reserve(0.7)), budget.settle(0.7, 0.1), asyncio.run(budget.reserve(0.95))]
        [True, None, False]
        """
        while not self.try_reserve(most):
            if not self._under_way:
                return False
            self._settled.clear()
            await self._settled.wait()
        self._under_way += 1
        return True

    def try_reserve(self, most: float) -> bool:
        """Set aside more for a call under way, now or not at all."""
        if self.limit is not None and self.spent + self.reserved + most > self.limit:
            return False
        self.reserved += most
        return True

    def settle(self, reserved: float, spent: float) -> None:
        """End a call: give back what was set aside, count what it cost."""
        self._under_way -= 1
        self.reserved = max(0.0, self.reserved - reserved) if self._under_way else 0.0
        self.spent += spent
        self._settled.set()
