"""Limits of a provider: requests and tokens a minute, and how many calls at once it bears.

`Rate` spreads calls over time and holds a caller back; `Window` shrinks where a provider answers 429 and grows again
where it does not, so that nobody has to know the limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

Clock = Callable[[], float]

BURST_SECONDS = 1.0
"""A provider that was idle may take the calls of so many seconds at once."""
PAUSE_SECONDS = 1.0
"""Wait after a 429 that names no time."""


class Rate:
    """So many units a minute, spread evenly; None: no limit.

    A call may start while the account is above zero and then takes what it needs, into debt if need be: a call larger
    than the burst goes through, and a minute never holds more than the limit, one burst and one call.
    """

    def __init__(self, per_minute: float | None, clock: Clock = time.monotonic) -> None:
        self._per_second = None if per_minute is None else per_minute / 60.0
        self._burst = 0.0 if self._per_second is None else max(1.0, self._per_second * BURST_SECONDS)
        self._account = self._burst
        self._clock = clock
        self._filled = clock()
        self._turn = asyncio.Lock()

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self._per_second is not None

    async def take(self, units: float) -> None:
        """Wait for a turn, first come first served, and take the units."""
        if self._per_second is None:
            return
        async with self._turn:
            while (seconds := self.seconds_until_free()) > 0:
                await asyncio.sleep(seconds)
            self._account -= units

    def give_back(self, units: float) -> None:
        """Correct an estimate: the call needed so many units fewer (more, where negative)."""
        if self._per_second is not None:
            self._account = min(self._burst, self._account + units)

    def seconds_until_free(self) -> float:
        """Seconds until the next call may start, 0 where it may now."""
        if self._per_second is None:
            return 0.0
        now = self._clock()
        self._account = min(self._burst, self._account + (now - self._filled) * self._per_second)
        self._filled = now
        need = min(1.0, self._burst)
        return max(0.0, (need - self._account) / self._per_second)


class Window:
    """How many calls at once a model bears: halved by a 429, one more after a window of good replies.

    Source: additive increase, multiplicative decrease, as in TCP (Chiu and Jain 1989).
    """

    def __init__(self, largest: int, clock: Clock = time.monotonic) -> None:
        self.size = float(largest)
        self.paused_until = 0.0
        self._largest = largest
        self._clock = clock
        self._cut_at = float("-inf")

    def has_room(self, in_flight: int) -> bool:
        """Whether another call may start now."""
        return in_flight < int(self.size) and self._clock() >= self.paused_until

    def accepted(self) -> None:
        """Note a good reply."""
        self.size = min(float(self._largest), self.size + 1.0 / self.size)

    def refused(self, sent_at: float, retry_after: float | None) -> None:
        """Note a 429 to a call sent at `sent_at`; calls that were under way at the last cut do not cut again."""
        now = self._clock()
        wait = PAUSE_SECONDS if retry_after is None else retry_after
        self.paused_until = max(self.paused_until, now + wait)
        if sent_at > self._cut_at:
            self.size = max(1.0, self.size / 2.0)
            self._cut_at = now
