"""A circuit breaker: a provider that fails again and again rests, so that requests go elsewhere at once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

CLOSED, HALF_OPEN, OPEN = 0, 1, 2
LONGEST_PAUSE = 60.0
"""Seconds that a Retry-After header is obeyed at most."""


class Breaker:
    """Open after `failures` bad calls among the last `2 * failures`; after `rest` seconds one call tries again.

    Source: Nygard, Release It!, 2007 (circuit breaker); the share instead of a run of failures also sees a provider
    that fails every other call.

    >>> now = [0.0]
    >>> breaker = Breaker(failures=2, rest=10.0, clock=lambda: now[0])
    >>> breaker.failed(); breaker.failed(); breaker.ready()
    False
    >>> now[0] = 10.0
    >>> breaker.ready(), breaker.begin(), breaker.ready()
    (True, None, False)
    >>> breaker.succeeded(); breaker.ready()
    True
    """

    def __init__(self, failures: int, rest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = failures
        self._rest = rest
        self._clock = clock
        self._last: deque[bool] = deque(maxlen=2 * failures)
        self._opened: float | None = None
        self._probing = False
        self._paused_until = float("-inf")

    @property
    def state(self) -> int:
        """0 closed, 1 half open, 2 open."""
        if self._opened is None:
            return CLOSED
        return OPEN if self._clock() < self._opened + self._rest else HALF_OPEN

    def ready(self) -> bool:
        """Whether a call may go there now."""
        if self._clock() < self._paused_until:
            return False
        return self.state == CLOSED or (self.state == HALF_OPEN and not self._probing)

    def begin(self) -> None:
        """Note that a call starts; in the half-open state it is the one that tries."""
        if self.state == HALF_OPEN:
            self._probing = True

    def succeeded(self) -> None:
        """Note a good call."""
        self._last.append(True)
        if self._opened is not None:
            self._opened, self._probing = None, False
            self._last.clear()

    def failed(self) -> None:
        """Note a bad call."""
        self._last.append(False)
        self._probing = False
        if self._opened is not None or self._last.count(False) >= self._failures:
            self._opened = self._clock()

    def abandoned(self) -> None:
        """Note a call that says nothing about the provider: its client went away, or it had no place."""
        self._probing = False

    def pause(self, seconds: float) -> None:
        """Obey a provider that asks to wait."""
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, LONGEST_PAUSE))
