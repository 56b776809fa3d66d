"""A circuit breaker: a provider that fails again and again rests, so that requests go elsewhere at once."""

from __future__ import annotations

from typing import Any

from llmrouterbench.serve.state import Mirror

CLOSED, HALF_OPEN, OPEN = 0, 1, 2
LONGEST_PAUSE = 60.0
"""Seconds that a Retry-After header is obeyed at most."""


class Breaker:
    """Open after `failures` bad calls among the last `2 * failures`; after `rest` seconds one call tries again.

    All workers of a server have one: its value is mirrored from their state. It is None while all is well, and else has
    `last` (calls since the first bad one, 0 bad, 1 good), `opened`, `probe` (until when one call is the one that
    tries: no longer than `rest`, as its worker may die) and `pause` (until when the provider asked to wait).

    Source: Nygard, Release It!, 2007 (circuit breaker); the share instead of a run of failures also sees a provider
    that fails every other call.

    >>> import asyncio
    >>> from llmrouterbench.serve.state import State
    >>> now = [0.0]
    >>> breaker = Breaker(failures=2, rest=10.0, mirror=State(clock=lambda: now[0]).mirror("a"))
    >>> breaker.failed(); breaker.failed(); breaker.ready()
    False
    >>> now[0] = 10.0
    >>> breaker.ready(), asyncio.run(breaker.begin()), breaker.ready()
    (True, True, False)
    >>> breaker.succeeded(); breaker.ready()
    True
    """

    def __init__(self, failures: int, rest: float, mirror: Mirror) -> None:
        self._failures = failures
        self._rest = rest
        self._mirror = mirror
        self._tries = False

    @property
    def state(self) -> int:
        """0 closed, 1 half open, 2 open."""
        return self._state(self._mirror.value, self._mirror.now())

    def _state(self, value: Any, now: float) -> int:
        opened = None if value is None else value.get("opened")
        if opened is None or opened > now:  # the clock was set back
            return CLOSED
        return OPEN if now < opened + self._rest else HALF_OPEN

    def ready(self) -> bool:
        """Whether a call may go there now."""
        value = self._mirror.value
        return value is None or self._ready(value, self._mirror.now())

    def _ready(self, value: Any, now: float) -> bool:
        if value is None:
            return True
        if 0.0 < value.get("pause", 0.0) - now <= LONGEST_PAUSE:
            return False
        probed = 0.0 < value.get("probe", 0.0) - now <= self._rest
        return {CLOSED: True, HALF_OPEN: not probed, OPEN: False}[self._state(value, now)]

    async def begin(self) -> bool:
        """Note that a call starts; in the half-open state it is the one that tries. False: another one is, by now."""
        if self._mirror.value is None or self.state != HALF_OPEN or not self.ready():
            return True

        def change(value: Any, now: float) -> tuple[Any, bool]:
            if not self._ready(value, now):
                return value, False
            if self._state(value, now) == HALF_OPEN:
                value = {**value, "probe": now + self._rest}
            return value, True

        self._tries = await self._mirror.ask(change)
        return self._tries

    def succeeded(self) -> None:
        """Note a good call."""
        if self._mirror.value is not None:
            self._tries = False
            self._mirror.change(self._after_good)

    def _after_good(self, value: Any, now: float) -> tuple[Any, None]:
        if value is None:
            return None, None
        paused = {"pause": value["pause"]} if value.get("pause", 0.0) > now else {}
        last = "" if "opened" in value else (value.get("last", "") + "1")[-2 * self._failures :].lstrip("1")
        return {**paused, **({"last": last} if last else {})} or None, None

    def failed(self) -> None:
        """Note a bad call."""

        def change(value: Any, now: float) -> tuple[Any, None]:
            value = _without_probe(value)
            value["last"] = (value.get("last", "") + "0")[-2 * self._failures :]
            if "opened" in value or value["last"].count("0") >= self._failures:
                value["opened"] = now
            return value, None

        self._tries = False
        self._mirror.change(change)

    def abandoned(self) -> None:
        """Note a call that says nothing about the provider: its client went away, or it had no place."""
        if self._tries:
            self._tries = False
            self._mirror.change(lambda value, _: (_without_probe(value) or None, None))

    def pause(self, seconds: float) -> None:
        """Obey a provider that asks to wait."""

        def change(value: Any, now: float) -> tuple[Any, None]:
            value = value or {}
            return {**value, "pause": max(value.get("pause", 0.0), now + min(seconds, LONGEST_PAUSE))}, None

        self._mirror.change(change)


def _without_probe(value: Any) -> dict[str, Any]:
    return {name: known for name, known in (value or {}).items() if name != "probe"}
