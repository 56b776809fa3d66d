"""The summary of the decision log: made by a process of its own while somebody looks, kept beside the log."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

LEAST_SECONDS, RESTING = 10.0, 20.0
"""Between two summaries lie so many seconds, and so many times what one took."""
_LONGEST = 900.0
_MODULE = "llmrouterbench.production.log_summary"
FILE = "live-page.json"


class Summary:
    """The newest summary of a log, and the making of the next one.

    reading  whether one is being made; trouble: why the last one could not be, "" where it could
    """

    def __init__(self, log: Path | None, router: Path | None = None) -> None:
        self._log, self._router = log, router
        self._made: dict[str, Any] | None = None
        self._seen = 0.0
        self._task: asyncio.Task[None] | None = None
        self.trouble = ""

    @property
    def reading(self) -> bool:
        """Whether the log is being read now."""
        return self._task is not None and not self._task.done()

    async def latest(self) -> dict[str, Any] | None:
        """The newest one, None where there is none yet; asking for it has the next one made when it is time."""
        if self._log is None:
            return None
        await asyncio.to_thread(self._look)
        age = time.time() - (self._made["made"] if self._made else 0.0)
        rest = max(LEAST_SECONDS, RESTING * self._made["took"]) if self._made else 0.0
        if not self.reading and not 0.0 <= age < rest:
            self._task = asyncio.create_task(self._make())
        return self._made

    def _look(self) -> None:
        """Read the file where it is another one."""
        assert self._log is not None
        path = self._log / FILE
        with suppress(OSError, ValueError):
            changed = path.stat().st_mtime
            if changed != self._seen:
                self._made, self._seen = orjson.loads(path.read_bytes()), changed

    async def _make(self) -> None:
        router = [] if self._router is None else [str(self._router)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULE, str(self._log), *router,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, said = await asyncio.wait_for(process.communicate(), _LONGEST)
            last = said.decode(errors="replace").strip().rpartition("\n")[2]
            self.trouble = "" if process.returncode == 0 else f"the log could not be read: {last[:300]}"
        except TimeoutError:
            self.trouble = f"reading the log took longer than {_LONGEST:g} seconds"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def close(self) -> None:
        """End what is being made."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
