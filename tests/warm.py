"""A Python that has imported the package once and forks a collector in milliseconds, for tests that kill many.

`python tests/warm.py CONFIG` reads commands, a line each: "start" answers the process id of a new
`llmrouterbench collect CONFIG`, "wait" its exit status (-9 for one that was killed), "poll" the same or "running".
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

MODULES = (
    "cli",
    "collecting.collect",
    "collecting.config",
    "calling.connections",
    "calling.cache.sqlite",
    "datasets.own",
)


class Warm:
    """The client of such a Python, in the test's process; a context manager. One collector at a time."""

    def __init__(self, config: Path) -> None:
        command = [sys.executable, __file__, str(config)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )  # fmt: skip

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *error: object) -> None:
        self._parent.communicate()

    def start(self) -> int:
        """Start a collector; its process id."""
        return int(self._ask("start"))

    def running(self) -> bool:
        """Whether the collector is still at work."""
        return self._ask("poll") == "running"

    def wait(self) -> int:
        """Wait for the end of the collector; its exit status."""
        return int(self._ask("wait"))

    def _ask(self, what: str) -> str:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(what + "\n")
        self._parent.stdin.flush()
        return self._parent.stdout.readline().strip()


def _collect(config: str) -> None:
    """The collector, in a process of its own."""
    cli = import_module("llmrouterbench.cli")
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    sys.argv = ["llmrouterbench", "collect", config, "--json"]
    cli.main()


def _serve(config: str) -> None:
    for module in MODULES:
        import_module(f"llmrouterbench.{module}")
    child, status = 0, ""
    for line in sys.stdin:
        what = line.strip()
        if what == "start":
            child, status = os.fork(), ""
            if not child:
                _collect(config)
            print(child, flush=True)
            continue
        if not status:
            pid, code = os.waitpid(child, os.WNOHANG if what == "poll" else 0)
            status = str(os.waitstatus_to_exitcode(code)) if pid else ""
        print(status or "running", flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
