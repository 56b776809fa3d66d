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
from math import ceil
from pathlib import Path
from typing import IO, Literal

from llmrouterbench.datasets import Execution, _landlock
from llmrouterbench.datasets._bubblewrap import bubblewrap
from llmrouterbench.datasets._seccomp import refusing

Kind = Literal["bubblewrap", "landlock", "none"]

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"}
_FIRST_UID, _UIDS_A_PROCESS = 200_001, 64
_WATCH_SECONDS = 0.2
_GRACE_SECONDS = 5.0
_STDERR_BYTES = 1 << 16
_CHUNK = 1 << 16


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
        if not 1 <= workers <= _UIDS_A_PROCESS:
            raise ValueError(f"Sandbox.workers must be 1 to {_UIDS_A_PROCESS}, got {workers}")
        self.name = name
        self.limits = limits or Limits()
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(workers):
            self._slots.put(slot)
        self._interpreter, self._roots = _interpreter()
        self._filter = refusing(platform.machine(), attributes=name == "landlock")

    def run(self, program: str, stdin: str, seconds: float) -> Execution:
        """Run a Python program on its standard input; it is stopped after `seconds` of wall time.

        Raises ValueError where seconds is not positive, OSError where the sandbox itself cannot start.
        """
        if not seconds > 0:
            raise ValueError(f"seconds must be positive, got {seconds}")
        slot = self._slots.get()
        try:
            with ExitStack() as stack:
                return self._execution(stack, slot, program.encode(errors="replace"), stdin, seconds)
        finally:
            self._slots.put(slot)

    def _execution(self, stack: ExitStack, slot: int, program: bytes, stdin: str, seconds: float) -> Execution:
        files = {"program": _holding(stack, program), "stdin": _holding(stack, stdin.encode(errors="replace"))}
        if self.name == "bubblewrap" and self._filter:
            files["seccomp"] = _holding(stack, self._filter)
        fds = {name: file.fileno() for name, file in files.items()}
        read, fds["info"] = os.pipe()
        stack.callback(os.close, read)
        started = time.monotonic()
        try:
            process = self._start(slot, fds, seconds)
        finally:
            os.close(fds["info"])
        with process:
            run = _Run(process, self.limits)
            try:
                _follow(run, read, started + seconds)
            finally:
                _end(run)
        if not run.info:
            said = bytes(run.kept["err"]).decode(errors="replace").strip()
            raise OSError(f"{self.name} did not start: {said or f'exit status {process.returncode}'}")
        texts = {name: bytes(kept).decode(errors="replace") for name, kept in run.kept.items()}
        taken = time.monotonic() - started
        return Execution(process.returncode, texts["out"], texts["err"], taken, run.stopped)

    def _start(self, slot: int, fds: dict[str, int], seconds: float) -> subprocess.Popen[bytes]:
        uid = _FIRST_UID + os.getpid() % 100_000 * _UIDS_A_PROCESS + slot if os.geteuid() == 0 else None
        rlimits = self.limits.rlimits(seconds)
        pipes = {"stdin": fds["stdin"], "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        if self.name == "bubblewrap":
            limits = rlimits | {"disk": self.limits.disk}
            command = bubblewrap(_bwrap(), self._interpreter, self._roots, limits, fds)
            drop = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
            passed = [fd for name, fd in fds.items() if name != "stdin"]
        else:
            said = {"program": fds["program"], "uid": uid, "limits": rlimits, "guard": self.name == "landlock"}
            said |= {"roots": ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", *self._roots]}
            said |= {"filter": self._filter.hex(), "info": fds["info"]}
            command, drop, passed = (
                [*self._interpreter, _landlock.__file__, json.dumps(said)],
                {},
                [fds["program"], fds["info"]],
            )
        return subprocess.Popen(
            command, env=_ENVIRONMENT, cwd="/", start_new_session=True, pass_fds=passed, **pipes, **drop
        )


def open_sandbox(
    unsafe: bool = False, workers: int = 2, limits: Limits | None = None, only: Kind | None = None
) -> Sandbox:
    """The best sandbox this machine has, found by running a program in each.

    unsafe   where there is none, run with limits but without protection (`--unsafe-exec`)
    only     try this one alone

    Raises OSError where none works.
    """
    why = []
    kinds: tuple[Kind, ...] = ("bubblewrap", "landlock", *(("none",) if unsafe else ())) if only is None else (only,)
    for kind in kinds:
        sandbox = Sandbox(kind, workers, limits)
        try:
            said = sandbox.run("print('ready')", "", 20.0)
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


def _bwrap() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise FileNotFoundError("bwrap is not installed")
    return found


def _interpreter() -> tuple[list[str], list[str]]:
    """The command of a Python that everybody may read, and the folders outside /usr that it needs.

    Not -I: it would ignore PYTHONHASHSEED, and a score that depends on the order of a set would change from run to run.
    """
    system = Path("/usr/bin/python3")
    if system.exists():
        return [str(system), "-s", "-B"], []
    own = str(Path(sys.base_prefix).resolve())
    executable = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    return [executable, "-s", "-B"], [] if own.startswith("/usr/") else [own]


def _holding(stack: ExitStack, content: bytes) -> IO[bytes]:
    """An open file without a name."""
    file = stack.enter_context(tempfile.TemporaryFile())
    file.write(content)
    file.seek(0)
    return file


def _child(info: bytearray) -> int | None:
    """The process id in what bubblewrap wrote so far; the launcher writes an empty object and stops its child itself."""
    try:
        return json.loads(info).get("child-pid")
    except ValueError:
        return None


@contextmanager
def _listening(run: _Run, info: int) -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as selector:
        for name, file in (("out", run.process.stdout), ("err", run.process.stderr), ("info", info)):
            assert file is not None
            selector.register(file, selectors.EVENT_READ, name)
        yield selector


def _follow(run: _Run, info: int, deadline: float) -> None:
    """Read until all writers are gone; stop the run at its deadline and at its limits."""
    with _listening(run, info) as selector:
        watch = time.monotonic() + _WATCH_SECONDS
        while selector.get_map():
            now = time.monotonic()
            if now >= deadline + _GRACE_SECONDS:
                return
            if now >= deadline:
                run.stop("time limit")
            elif now >= watch:
                watch = now + _WATCH_SECONDS
                if _resident(run.process.pid) > run.limits.total:
                    run.stop("memory limit")
            wait = min(deadline if not run.stopped else now + _WATCH_SECONDS, watch) - now
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
