"""Structured logs: one JSON object a line on standard error, of the server's own events and of uvicorn's."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson


class LogLines:
    """Writes lines; `requests` says whether every request gets one."""

    def __init__(self, stream: BinaryIO | None = None, *, requests: bool = True) -> None:
        self._stream = sys.stderr.buffer if stream is None else stream
        self.requests = requests

    def write(self, facts: Mapping[str, Any]) -> None:
        """One line, with the time."""
        line = {"time": round(time.time(), 3), **facts}
        self._stream.write(orjson.dumps(line, default=str) + b"\n")
        self._stream.flush()

    def say(self, level: str, message: str) -> None:
        """A sentence for the operator."""
        self.write({"event": "message", "level": level, "message": message})


class LinesHandler(logging.Handler):
    """Python's log records as such lines."""

    def __init__(self, lines: LogLines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a traceback goes along."""
        facts = {
            "event": "log",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            facts["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._lines.write(facts)
