"""Model-written programs, run where they can harm nothing: bubblewrap first, Landlock next, else not at all.

A program sees no network, no home folder, no environment, no other process; its time, memory, processes, files and
output are limited; when `run` returns, nothing of it is left.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from math import ceil
from pathlib import Path
from typing import Literal

from llmrouterbench.sandbox import _landlock
from llmrouterbench.sandbox._bubblewrap import bubblewrap
from llmrouterbench.sandbox._seccomp import refusing
from llmrouterbench.sandbox._uids import UIDS_A_PROCESS, free_uid

Kind = Literal["bubblewrap", "landlock", "none"]

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"}
_LAUNCHER = Path(_landlock.__file__)
_WATCH_SECONDS = 0.2
_SLOTS = count()  # of all sandboxes of this process: no two runs at a time share a user id
_PAUSES = (0.1, 1.0)
_GRACE_SECONDS, _START_SECONDS = 5.0, 30.0
_STDERR_BYTES = 1 << 16
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Execution:
    """What a sandboxed program did: exit status, output, and why it was stopped ("" where it ended by itself)."""

    status: int
    stdout: str
    stderr: str
    seconds: float
    stopped: str = ""


@dataclass(frozen=True)
class Limits:
    """What one run may use, in bytes where it is not a count; `memory` is per process, `total` of all of them."""

    memory: int = 1 << 30
    total: int = 1 << 31
    processes: int = 64
    open_files: int = 128
    file: int = 1 << 24
    disk: int = 1 << 26
    output: int = 1 << 25

    def rlimits(self, seconds: float) -> dict[str, int]:
        """Name of the resource limit -> value."""
        said = {"nproc": self.processes, "cpu": ceil(seconds) + 1, "as": self.memory, "fsize": self.file}
        return said | {"nofile": self.open_files, "core": 0}


@dataclass
class _Run:
    """One running program, as seen from outside."""

    process: subprocess.Popen[bytes]
    limits: Limits
    seconds: float
    deadline: float
    pidfd: int | None = None
    stopped: str = ""
    kept: dict[str, bytearray] = field(default_factory=lambda: {"out": bytearray(), "err": bytearray()})
    info: bytearray = field(default_factory=bytearray)

    def stop(self, reason: str) -> None:
        """Kill the sandbox's first process, with which all others die; else ask the launcher to."""
        self.stopped = self.stopped or reason
        with suppress(ProcessLookupError):
            if self.pidfd is not None:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            else:
                self.process.terminate()

    def take(self, name: str, chunk: bytes) -> None:
        """Keep what was said, up to the limit."""
        if name == "info":
            if not self.info:  # the sandbox stands: from here on the program's time counts
                self.deadline = time.monotonic() + self.seconds
            self.info += chunk
            if self.pidfd is None and (said := _child(self.info)) is not None:
                with suppress(ProcessLookupError):
                    self.pidfd = os.pidfd_open(said)
            return
        most = self.limits.output if name == "out" else _STDERR_BYTES
        self.kept[name] += chunk[: most - len(self.kept[name])]
        if name == "out" and len(self.kept[name]) >= most:
            self.stop("output limit")


class Sandbox:
    """Runs programs, at most `workers` at a time; `run` may be called from any number of threads.

    name   "bubblewrap", "landlock", or "none" (limits, but no protection)
    """

    def __init__(self, name: Kind, workers: int = 2, limits: Limits | None = None) -> None:
        if not 1 <= workers <= UIDS_A_PROCESS:
            raise ValueError(f"Sandbox.workers must be 1 to {UIDS_A_PROCESS}, got {workers}")
        self.name = name
        self.limits = limits or Limits()
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for _ in range(workers):
            self._slots.put(next(_SLOTS) % UIDS_A_PROCESS)
        self._interpreter, self._roots = _interpreter()
        self._filter = refusing(platform.machine(), attributes=name == "landlock")

    @property
    def python(self) -> str:
        """Path of the Python that runs the programs."""
        return self._interpreter[0]

    def run(self, program: str, stdin: str, seconds: float) -> Execution:
        """Run a Python program on its standard input; it is stopped after `seconds` of wall time.

        Raises ValueError where seconds is not positive, OSError where the sandbox itself cannot start.
        """
        if not seconds > 0:
            raise ValueError(f"seconds must be positive, got {seconds}")
        for pause in _PAUSES:
            try:
                return self._once(program, stdin, seconds)
            except OSError:  # a busy machine may have no process or no memory left for a moment
                time.sleep(pause)
        return self._once(program, stdin, seconds)

    def _once(self, program: str, stdin: str, seconds: float) -> Execution:
        slot = self._slots.get()
        try:
            with ExitStack() as stack:
                return self._execution(stack, slot, program.encode(errors="replace"), stdin, seconds)
        finally:
            self._slots.put(slot)

    def _execution(self, stack: ExitStack, slot: int, program: bytes, stdin: str, seconds: float) -> Execution:
        fds = {"program": _holding(stack, program), "stdin": _holding(stack, stdin.encode(errors="replace"))}
        if self.name == "bubblewrap" and self._filter:
            fds["seccomp"] = _holding(stack, self._filter)
        read, fds["info"] = os.pipe()
        stack.callback(os.close, read)
        started = time.monotonic()
        try:
            process = self._start(slot, fds, seconds)
        finally:
            os.close(fds["info"])
        with process:
            run = _Run(process, self.limits, seconds, started + _START_SECONDS)
            try:
                _follow(run, read)
            finally:
                _end(run)
        texts = {name: bytes(kept).decode(errors="replace") for name, kept in run.kept.items()}
        if not run.info:
            said = texts["err"].strip() or run.stopped or f"exit status {process.returncode}"
            raise OSError(f"{self.name} did not start: {said}")
        return Execution(process.returncode, texts["out"], texts["err"], time.monotonic() - started, run.stopped)

    def _start(self, slot: int, fds: dict[str, int], seconds: float) -> subprocess.Popen[bytes]:
        uid = free_uid(slot) if os.geteuid() == 0 else None
        inside = self._bubblewrap if self.name == "bubblewrap" else self._launcher
        return subprocess.Popen(
            inside(uid, fds, self.limits.rlimits(seconds)),
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            pass_fds=[fd for name, fd in fds.items() if name != "stdin"],
            stdin=fds["stdin"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _bubblewrap(self, uid: int | None, fds: dict[str, int], limits: dict[str, int]) -> list[str]:
        drop = [] if uid is None else [_program("setpriv"), f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
        limits = limits | {"disk": self.limits.disk}
        return [*drop, *bubblewrap(_program("bwrap"), self._interpreter, self._roots, limits, fds)]

    def _launcher(self, uid: int | None, fds: dict[str, int], limits: dict[str, int]) -> list[str]:
        said = {
            "program": fds["program"],
            "info": fds["info"],
            "uid": uid,
            "limits": limits,
            "guard": self.name == "landlock",
            "roots": ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", *self._roots],
            "filter": self._filter.hex(),
        }
        return [*self._interpreter, "-c", _LAUNCHER.read_text("utf-8"), json.dumps(said)]


def open_sandbox(
    unsafe: bool = False, workers: int = 2, limits: Limits | None = None, only: Kind | None = None
) -> Sandbox:
    """The best sandbox this machine has, found by running a program in each.

    unsafe   where there is none, run with limits but without protection (`--unsafe-exec`)
    only     try this one alone

    Raises OSError where none works.
    """
    if sys.platform == "win32":
        raise OSError("model-written code is run on Linux and macOS only, got Windows; score in WSL or a container")
    why = []
    kinds: tuple[Kind, ...] = ("bubblewrap", "landlock", *(("none",) if unsafe else ())) if only is None else (only,)
    for kind in kinds:
        sandbox = Sandbox(kind, workers, limits)
        try:
            said = sandbox._once("print('ready')", "", 20.0)
        except OSError as error:
            why.append(f"{kind}: {error}")
            continue
        if said.stdout == "ready\n":
            return sandbox
        why.append(f"{kind}: {(said.stderr.strip() or said.stopped or f'exit status {said.status}').splitlines()[-1]}")
    raise OSError(
        f"no sandbox works on this machine ({'; '.join(why)}), so model-written code is not run;"
        " install bubblewrap, or say --unsafe-exec to run it unprotected"
    )


@cache
def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found


def _interpreter() -> tuple[list[str], list[str]]:
    """The command of a Python that everybody may read, and the folders outside /usr that it needs.

    Not -I: it would ignore PYTHONHASHSEED, and a score that depends on the order of a set would change from run to run.
    But -S: the standard library alone, whatever else this machine has installed; a third of the start's time besides.
    And -P: no module is looked for beside the program, where a solution may write.
    """
    system, options = "/usr/bin/python3", ["-P", "-S", "-s", "-B"]
    if _current(system):
        return [system, *options], []
    own = str(Path(sys.base_prefix).resolve())
    executable = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    return [executable, *options], [] if own.startswith("/usr/") else [own]


@cache
def _current(python: str) -> bool:
    """Whether this Python is there and as new as ours must be: older ones refuse newer syntax."""
    asked = [python, "-S", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    return Path(python).exists() and subprocess.run(asked, check=False, capture_output=True).returncode == 0


def _holding(stack: ExitStack, content: bytes) -> int:
    """The descriptor of a file without a name, to be read from its start, and on Linux never to be written again."""
    if sys.platform == "linux":
        fd = os.memfd_create("sandbox", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        fd, name = tempfile.mkstemp()
        os.unlink(name)
    stack.callback(os.close, fd)
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return fd


def _child(info: bytearray) -> int | None:
    """The process id in what bubblewrap wrote so far; the launcher says an empty object and stops its child itself."""
    try:
        said = json.loads(info)
    except ValueError:
        return None
    return int(said["child-pid"]) if "child-pid" in said else None


@contextmanager
def _listening(run: _Run, info: int) -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as selector:
        for name, file in (("out", run.process.stdout), ("err", run.process.stderr), ("info", info)):
            assert file is not None
            selector.register(file, selectors.EVENT_READ, name)
        yield selector


def _follow(run: _Run, info: int) -> None:
    """Read until all writers are gone; stop the run at its deadline and at its limits."""
    with _listening(run, info) as selector:
        watch = time.monotonic() + _WATCH_SECONDS
        while selector.get_map():
            now = time.monotonic()
            if now >= run.deadline + _GRACE_SECONDS:
                return
            if now >= run.deadline:
                run.stop("time limit")
            elif now >= watch:
                watch = now + _WATCH_SECONDS
                if _resident(run.process.pid) > run.limits.total:
                    run.stop("memory limit")
            wait = min(run.deadline if not run.stopped else now + _WATCH_SECONDS, watch) - now
            for key, _ in selector.select(max(wait, 0.001)):
                chunk = os.read(key.fd, _CHUNK)
                if chunk:
                    run.take(key.data, chunk)
                else:
                    selector.unregister(key.fileobj)


def _resident(pid: int) -> int:
    """Bytes in memory of all processes below `pid`; 0 where there is no /proc."""
    if sys.platform != "linux":
        return 0
    return sum(_landlock.descendants(pid).values()) * os.sysconf("SC_PAGE_SIZE")


def _end(run: _Run) -> None:
    """Wait for the sandbox's own process; kill it where it does not end."""
    if run.process.poll() is None and run.process.stdout is not None:
        try:
            run.process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            run.stop("time limit")
            run.process.kill()
    if run.pidfd is not None:
        os.close(run.pidfd)
