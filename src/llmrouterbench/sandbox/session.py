"""A program in its sandbox, seen from outside: what it says, what is said to it, and how long it may go on.

Time is counted while a program works or sleeps, and not while it waits for a core: a machine that is busy with
something else makes nobody's answer wrong.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from math import ceil
from typing import IO, ClassVar, Protocol

from llmrouterbench.sandbox._usage import Usage, usage, waited

BUSY = "the machine was too busy to run it in time"
"""Why a run was stopped that had waited for a core for most of its time: nobody's fault."""

_WATCH_SECONDS = 0.2
_GRACE_SECONDS, _START_SECONDS = 5.0, 30.0
_PATIENCE = 20
"""Times its seconds that a run may take where it waits for a core."""
_COMPLAINTS = 1 << 16
_SIGNALS = 1 << 10
"""Signals that wait, and timers: the kernel's memory."""
_CHUNK = 1 << 16
_HEAD = 8


class Stopped(Exception):  # noqa: N818
    """The program ended, or was stopped: it says nothing more."""


@dataclass(frozen=True)
class Limits:
    """What one run may use, in bytes where it is not a count; `memory` is per process, `total` of all of them.

    message   the longest that a program may say at once
    disk      nothing can be written
    """

    memory: int = 1 << 30
    total: int = 1 << 31
    processes: int = 64
    open_files: int = 128
    file: int = 1 << 24
    output: int = 1 << 25
    disk: ClassVar[int] = 0
    message: int = 1 << 26

    def rlimits(self, seconds: float | None) -> dict[str, int]:
        """Name of the resource limit -> value; without seconds none of time."""
        said = {"nproc": self.processes, "as": self.memory, "fsize": self.file}
        said |= {"nofile": self.open_files, "core": 0, "sigpending": _SIGNALS}
        return said if seconds is None else said | {"cpu": ceil(seconds) + 1}


@dataclass
class _Clock:
    """The seconds a program has; it stands still between its turns."""

    seconds: float
    base: dict[int, Usage]
    turns: float = 0.0  # seconds of the turns before this one
    since: float | None = None
    late: float = 0.0  # what we ourselves had waited for a core when this turn began: not the program's time either
    waits: float = 0.0  # what the program waited

    def start(self) -> None:
        """Its turn begins, unless it is its turn already."""
        if self.since is None:
            self.since, self.late = time.monotonic(), waited()

    def stop(self) -> None:
        """Its turn ends."""
        if self.since is not None:
            self.turns, self.since = self.wall(), None

    def wall(self) -> float:
        """Seconds of its turns so far."""
        return self.turns + (0.0 if self.since is None else time.monotonic() - self.since - (waited() - self.late))

    def left(self) -> float:
        """Seconds that it may still go on, if it neither uses the processor for longer nor waits for it."""
        return self.seconds + self.waits - self.wall()

    def used(self, seen: dict[int, Usage]) -> float:
        """Seconds of processor time since it began; what it waited for a core is noted."""
        none = Usage()
        self.waits = max((u.waited - self.base.get(pid, none).waited for pid, u in seen.items()), default=0.0)
        return sum(u.processor - self.base.get(pid, none).processor for pid, u in seen.items())


class Process(Protocol):
    """What a session asks of a process, be it started (`subprocess.Popen`) or forked by a server."""

    pid: int
    returncode: int | None

    @property
    def stdin(self) -> IO[bytes] | None:
        """Its input, where we write it."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """Its output."""

    @property
    def stderr(self) -> IO[bytes] | None:
        """Its complaints."""

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


class Session:
    """One running sandbox. `info` is the descriptor on which it says that it stands.

    judge   opens the sandbox of the tests, beside this one
    """

    def __init__(self, process: Process, info: int, limits: Limits) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process, self.limits = process, limits
        self.judge: Callable[[], AbstractContextManager[Session]]
        self.stopped, self.standing = "", False
        self.at_rest = True  # it is between two conversations
        self.unread, self.complaints, self._info = bytearray(), bytearray(), bytearray()
        self._unsaid = memoryview(b"")
        self._pidfd: int | None = None
        self._open = {process.stdout.fileno(): "out", process.stderr.fileno(): "err", info: "info"}
        self._feed = None if process.stdin is None else process.stdin.fileno()
        if self._feed is not None:
            os.set_blocking(self._feed, False)
        self.started = time.monotonic()
        self._watch = self.started + _WATCH_SECONDS
        self._clock: _Clock | None = None
        self._seen: dict[int, Usage] = {}

    # --- time ---

    def begin(self, seconds: float) -> None:
        """Give the program so many seconds from here on, or from where its sandbox stands."""
        self._clock = None  # what was used until now is not asked for any more
        if (now := time.monotonic()) > self._watch:
            self._look(now)
        self._clock = _Clock(seconds, self._seen)
        self.go_on()

    def go_on(self) -> None:
        """It is the program's turn."""
        if self._clock is not None and self.standing:
            self._clock.start()
            self._watch = min(self._watch, time.monotonic() + self._clock.left())

    def pause(self) -> None:
        """It is not the program's turn."""
        if self._clock is not None:
            self._clock.stop()

    def _check(self, now: float) -> None:
        """Stop the program at its limits."""
        if self.stopped:
            return
        if not self.standing and now >= self.started + _START_SECONDS:
            self.stop("did not start in time")
        elif now >= self._watch:
            self._look(now)

    def _look(self, now: float) -> None:
        self._watch = now + _WATCH_SECONDS
        self._seen = usage(self.process.pid)
        if sum(each.memory for each in self._seen.values()) > self.limits.total:
            self.stop("memory limit")
        if (clock := self._clock) is not None:
            ready = any(each.ready for each in self._seen.values())  # what it waits now is not counted yet
            if clock.used(self._seen) >= clock.seconds or (clock.left() <= 0 and not ready):
                self.stop("time limit")
            elif clock.wall() >= _PATIENCE * clock.seconds:
                self.stop(BUSY)
            elif (left := clock.left()) > 0 and clock.since is not None:
                self._watch = min(self._watch, now + left)

    def stop(self, reason: str) -> None:
        """End the program for a reason that counts."""
        self.stopped = self.stopped or reason
        self._kill()

    def _kill(self) -> None:
        """Kill the sandbox's first process, with which all others die; else ask the launcher to."""
        with suppress(ProcessLookupError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            else:
                self.process.terminate()

    # --- talk ---

    def stand(self) -> None:
        """Wait until its first process is known. Raises OSError where there is none."""
        while self._pidfd is None:
            if self.stopped or "info" not in self._open.values():
                raise OSError(self.stopped or self.complaints.decode(errors="replace").strip() or "it ended at once")
            _pump(self)

    def say(self, message: bytes) -> None:
        """Send a message; the program's turn begins."""
        self._unsaid = memoryview(bytes(self._unsaid) + len(message).to_bytes(_HEAD, "big") + message)
        self.go_on()

    def hear(self, beside: Sequence[Session] = (), most: int | None = None) -> bytes:
        """The program's next message, at most `most` bytes; its turn ends. Raises Stopped.

        beside   sandboxes that are watched meanwhile
        """
        while (message := self._message(self.limits.message if most is None else most)) is None:
            if not self._open or "out" not in self._open.values():
                raise Stopped(self.stopped or "the program ended")
            _pump(self, beside)
            if self.stopped:
                raise Stopped(self.stopped)
        self.pause()
        return message

    def _message(self, most: int) -> bytes | None:
        if len(self.unread) < _HEAD:
            return None
        length = int.from_bytes(self.unread[:_HEAD], "big")
        if length > most:
            self.stop("output limit")
            raise Stopped(self.stopped)
        if len(self.unread) < _HEAD + length:
            return None
        message = bytes(self.unread[_HEAD : _HEAD + length])
        del self.unread[: _HEAD + length]
        return message

    def follow(self) -> None:
        """Read until all writers are gone, or the program was stopped and its grace is over."""
        end = None
        while self._open:
            _pump(self)
            if len(self.unread) >= self.limits.output:
                self.stop("output limit")
            if self.stopped and time.monotonic() > (end := end or time.monotonic() + _GRACE_SECONDS):
                break
        del self.unread[self.limits.output :]

    def end(self) -> None:
        """Leave nothing of it behind."""
        if self._feed is not None and self.process.stdin is not None:
            self._feed = None
            self.process.stdin.close()
        if self._open:
            self._kill()
        if not _ended(self.process):
            self.stop("time limit")
            if not _ended(self.process):
                self.process.kill()
        self.process.wait()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        for fd, name in self._open.items():
            if name == "err":
                os.set_blocking(fd, False)
                with suppress(BlockingIOError):
                    self._take("err", os.read(fd, _COMPLAINTS))

    # --- pipes ---

    def _pipes(self, heard: bool) -> Iterator[tuple[int, int]]:
        """What to wait for: descriptor and poll's event."""
        yield from ((fd, select.POLLIN) for fd, name in self._open.items() if heard or name != "out")
        if self._unsaid and self._feed is not None:
            yield self._feed, select.POLLOUT

    def _ready(self, fd: int) -> None:
        if fd == self._feed:
            try:
                self._unsaid = self._unsaid[os.write(fd, self._unsaid[:_CHUNK]) :]
            except BrokenPipeError:
                self._unsaid = memoryview(b"")
        elif chunk := os.read(fd, _CHUNK):
            self._take(self._open[fd], chunk)
        else:
            del self._open[fd]

    def _take(self, name: str, chunk: bytes) -> None:
        if name == "out":
            self.unread += chunk
        elif name == "err":
            self.complaints += chunk[: _COMPLAINTS - len(self.complaints)]
        else:
            self._info += chunk
            if not self.standing:  # from here on the program's time counts
                self.standing = True
                self.go_on()
            if self._pidfd is None and (said := _child(self._info)) is not None:
                with suppress(ProcessLookupError):
                    self._pidfd = os.pidfd_open(said)

    def _patience(self, now: float) -> float:
        """Seconds until there is something to check."""
        if self.stopped:
            return _WATCH_SECONDS
        return max(0.0, self._watch - now)


def _pump(heard: Session, beside: Sequence[Session] = ()) -> None:
    """Wait until one of them says something, takes something, or must be checked again."""
    for session in (heard, *beside):  # not afterwards: an answer that lies there was given in time
        session._check(time.monotonic())
    poll, owners = select.poll(), dict[int, Session]()
    for session in (heard, *beside):
        for fd, event in session._pipes(session is heard):
            poll.register(fd, event)
            owners[fd] = session
    now = time.monotonic()
    wait = min(session._patience(now) for session in (heard, *beside))
    for fd, _ in poll.poll(ceil(1000 * wait)):
        owners[fd]._ready(fd)


def _ended(process: Process) -> bool:
    """Whether it ends within the grace."""
    looks = sys.platform == "linux" and isinstance(process, subprocess.Popen)  # again and again, if it is to wait
    if looks and process.poll() is None:
        fd = os.pidfd_open(process.pid)
        with suppress(OSError):
            waiting = select.poll()
            waiting.register(fd, select.POLLIN)
            waiting.poll(1000 * _GRACE_SECONDS)
        os.close(fd)
    with suppress(subprocess.TimeoutExpired):
        process.wait(0 if looks else _GRACE_SECONDS)
    return process.poll() is not None


def _child(info: bytearray) -> int | None:
    """The process id in what bubblewrap wrote so far; the launcher says an empty object and stops its child itself."""
    try:
        said = json.loads(info)
    except ValueError:
        return None
    return int(said["child-pid"]) if "child-pid" in said else None
