"""Work instead of seconds: a deadline in processor time for what might never end; a record of every wait."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest


@contextmanager
def deadline(seconds: float = 60.0) -> Iterator[None]:
    """Fail what never ends. It counts this process's own work, so that a busy machine fails nothing."""

    def over(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"it was still at work after {seconds:g} seconds of processor time")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def record_sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of every `asyncio.sleep` and `time.sleep` from now on, in any thread."""
    slept: list[float] = []
    sleep, block = asyncio.sleep, time.sleep

    async def asleep(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds)

    def blocked(seconds: float) -> None:
        slept.append(seconds)
        block(seconds)

    monkeypatch.setattr(asyncio, "sleep", asleep)
    monkeypatch.setattr(time, "sleep", blocked)
    return slept
