"""Several processes that serve one socket: each is started anew when it dies, and all are stopped together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from llmrouterbench.serve.config import WORKERS, ServeConfig
from llmrouterbench.serve.log_lines import LogLines
from llmrouterbench.serve.running import Load, Serving, address_of, serve

_PAUSE = 1.0
"""Seconds before another worker is started in the place of one that could not start."""
_EVERY = 0.2


@dataclass
class _Worker:
    """A process, and what it says: None when it serves, else why it cannot."""

    process: BaseProcess
    said: Connection

    def failure(self) -> Exception | None:
        """Wait until it serves, which gives None, or why it does not."""
        try:
            error: Exception | None = self.said.recv()
        except EOFError:
            self.process.join()
            return RuntimeError(f"a worker must start, got one that ended with status {self.process.exitcode}")
        return error


class _Crew:
    """The workers, and whether they are to end."""

    def __init__(self, count: int, start: Callable[[], _Worker], lines: LogLines) -> None:
        self._start, self._lines = start, lines
        self.workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self.stopping = self._renewing = False
        self._signals = {one: signal.signal(one, self._stop) for one in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "SIGHUP"):
            self._signals[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._renew)
        for _ in range(count):
            self._add()

    def _stop(self, number: int, _: object) -> None:
        """Hand a signal on; a worker ends at once when it is told by SIGINT while it ends."""
        self.stopping = True
        self._tell(number)

    def _tell(self, number: int) -> None:
        for worker in (*self.workers, *self._leaving):
            if worker.process.is_alive() and worker.process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid, number)

    def watch(self, gone: Callable[[int], None]) -> None:
        """Start a worker in the place of each that dies, until told to stop; `gone` is told whose."""
        while self.workers or self._leaving:
            wait([one.process.sentinel for one in (*self.workers, *self._leaving)], timeout=_EVERY)
            if self.stopping:  # one that was just starting may not have heard it
                self._tell(signal.SIGTERM)
            elif self._renewing:
                self._renew_all()
            for worker in [one for one in self._leaving if not one.process.is_alive()]:
                self._leaving.remove(worker)
                gone(worker.process.pid or 0)
            for worker in [one for one in self.workers if not one.process.is_alive()]:
                self.workers.remove(worker)
                gone(worker.process.pid or 0)
                if not self.stopping:
                    self._lines.say(
                        "error", f"a worker ended with status {worker.process.exitcode}; another is started"
                    )
                    self._replace()

    def _renew(self, *_: object) -> None:
        self._renewing = True

    def _renew_all(self) -> None:
        """Put workers that read the files as they are now in the place of all; those finish what they have begun."""
        self._renewing = False
        for worker in list(self.workers):
            fresh = self._add()
            if (error := fresh.failure()) is not None:
                self.workers.remove(fresh)
                fresh.process.join()
                self._lines.say("error", f"nothing is changed: {error}")
                return
            self.workers.remove(worker)
            self._leaving.append(worker)
            worker.process.terminate()
        self._lines.say("info", "router and config are those of the files")

    def _add(self) -> _Worker:
        fresh = self._start()
        self.workers.append(fresh)
        if self.stopping:  # it came too late for the signal
            fresh.process.terminate()
        return fresh

    def _replace(self) -> None:
        fresh = self._add()
        if (error := fresh.failure()) is not None and not self.stopping:
            self._lines.say("error", f"a worker could not start: {error}")
            time.sleep(_PAUSE)

    def end(self) -> None:
        """End what is left, and give the signals back."""
        for worker in (*self.workers, *self._leaving):
            worker.process.kill()
            worker.process.join()
        for one, handler in self._signals.items():
            signal.signal(one, handler)


def serve_with_workers(
    count: int,
    load: Load,
    config: ServeConfig,
    serving: Serving,
    lines: LogLines,
    listening: socket.socket,
    started: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve with several processes, which have one state, until SIGINT or SIGTERM; `started` is told the address.

    Raises what a worker raised that could not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        state = config.state_address() or str(((serving.log or folder) / "state.sqlite").absolute())
        context = multiprocessing.get_context("spawn")
        plan = replace(serving, state=state, alone=False)

        def start() -> _Worker:
            here, there = context.Pipe(duplex=False)
            work = partial(_work, load, plan, lines.requests, listening, there, folder)
            process = context.Process(target=work)
            process.start()
            there.close()
            return _Worker(process, here)

        listening.listen(2048)
        crew = _Crew(count, start, lines)
        stack.callback(crew.end)
        for worker in crew.workers:
            if (error := worker.failure()) is not None and not crew.stopping:
                raise error
        started(address_of(listening))
        crew.watch(partial(_forget, folder))


def _forget(folder: Path, process: int) -> None:
    """Take what a dead worker had under way out of the metrics; what it counted stays."""
    for path in folder.glob(f"gauge_live*_{process}.db"):
        path.unlink(missing_ok=True)


def _work(
    load: Load, serving: Serving, request_lines: bool, listening: socket.socket, said: Connection, meters: Path
) -> None:
    """One worker: serve until told to stop, or until nobody is there who could tell."""
    os.environ[WORKERS] = str(meters)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    ready = partial(said.send, None)
    try:
        router, config = load()
        serve(router, config, serving, LogLines(requests=request_lines), listening, lambda _: ready())
    except (OSError, ValueError, ImportError) as error:
        with suppress(OSError):
            said.send(error)
