"""The books of client keys: USD spent in a period, and USD set aside for calls under way."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from llmrouterbench.serve.state import Change, State


@dataclass(frozen=True)
class Grant:
    """USD that were set aside for one call of a key, in a period that began then; `id` is the call's own.

    also  the same of its team, which has no more USD
    """

    key: str
    period: float
    usd: float
    id: str
    also: Grant | None = None


class Ledger:
    """The books in a state that others may read and write too: {spent: USD, held: {call: USD}} a key and period.

    What was taken and never settled counts as spent: a call whose worker was killed costs its bound, once.
    """

    def __init__(self, state: State | None = None) -> None:
        self._state = state or State()
        self._seen: dict[str, float] = {}
        """USD spent as last read: a store that lost its data cannot make them less."""

    async def take(self, key: str, period: float, limit: float, most: float, least: float) -> Grant | None:
        """Set `most` USD aside, or what is left of `limit` where that is at least `least`; None: there is less.

        Raises OSError where the books cannot be reached; nothing is then set aside.

        >>> import asyncio
        >>> ledger = Ledger()
        >>> asyncio.run(ledger.know("a", 0.0, 0.25))
        >>> grants = [asyncio.run(ledger.take("a", 0.0, 1.0, 0.5, 0.3)) for _ in range(2)]
        >>> grants[0].usd, grants[1]
        (0.5, None)
        >>> asyncio.run(ledger.settle(grants[0], 0.125)); asyncio.run(ledger.spent("a", 0.0))
        0.375
        """
        call = secrets.token_hex(6)

        def change(books: Any, _: float) -> tuple[Any, float | None]:
            books = self._known(_name(key, period), books)
            held = books["held"]
            if call not in held:  # else it was taken, and the answer was lost
                room = limit - books["spent"] - sum(held.values())
                if room <= 0.0 or min(least, most) > room:
                    return books, None
                held[call] = min(most, room)
            return books, held[call]

        try:
            usd = await self._state.update(_name(key, period), change)
        except BaseException:  # nobody will use it
            self._state.owe(_name(key, period), self._settling(_name(key, period), call, 0.0))
            raise
        return None if usd is None else Grant(key, period, usd, call)

    async def settle(self, grant: Grant, cost: float) -> None:
        """Replace what was set aside by what it cost; later, where the books cannot be reached now."""
        name = _name(grant.key, grant.period)
        spent = await self._state.surely(name, self._settling(name, grant.id, cost))
        if spent is not None:
            self._seen[name] = spent

    async def spent(self, key: str, period: float) -> float:
        """USD settled so far."""
        books = await self._state.read(_name(key, period))
        return 0.0 if books is None else float(books["spent"])

    async def know(self, key: str, period: float, usd: float) -> None:
        """At least so many USD were settled, as a log tells."""
        name = _name(key, period)
        self._seen[name] = max(usd, self._seen.get(name, 0.0))
        await self._state.update(name, lambda books, _: (self._known(name, books), None))

    def _settling(self, name: str, call: str, cost: float) -> Change[float]:
        again = False

        def change(books: Any, _: float) -> tuple[Any, float]:
            nonlocal again
            books = self._known(name, books)
            held = books["held"].pop(call, None) is not None
            if held or not again:  # tried again, and not held: it was settled, and the answer was lost
                books["spent"] += cost
            again = True
            return books, books["spent"]

        return change

    def _known(self, name: str, books: Any) -> Any:
        """The books as the store has them, with no less spent than was seen."""
        books = books or {"spent": 0.0, "held": {}}
        self._seen[name] = books["spent"] = max(books["spent"], self._seen.get(name, 0.0))
        return books


def _name(key: str, period: float) -> str:
    return f"budget:{period:.0f}:{key}"
