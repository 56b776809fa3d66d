"""Model-written programs, run where they can harm nothing: bubblewrap first, Landlock next, else not at all.

A program sees no network, no home folder, no environment, no other process, and no place to write to; its time, memory,
processes and output are limited; when `run` returns, nothing of it is left.
"""

from __future__ import annotations
import __future__

import ast
import os
import platform
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from llmrouterbench.sandbox import _landlock
from llmrouterbench.sandbox._bubblewrap import bubblewrap
from llmrouterbench.sandbox._seccomp import refusing
from llmrouterbench.sandbox._server import Forked, Server
from llmrouterbench.sandbox._uids import UIDS_A_PROCESS, free_uid
from llmrouterbench.sandbox.modules import installed, readable
from llmrouterbench.sandbox.programs import PARSING
from llmrouterbench.sandbox.session import Limits as Limits
from llmrouterbench.sandbox.session import Session, Stopped

Kind = Literal["bubblewrap", "landlock", "none"]
Talk = Callable[[Session], None]
"""What speaks with a program over its two pipes until it knows enough."""

_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONSAFEPATH": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_INSIDE, _LAUNCHER = Path(__file__).parent, Path(_landlock.__file__)
_SLOTS = count()  # of all sandboxes of this process: no two runs at a time share a user id
_PAUSES = (0.1, 1.0)
SOLUTION, CASES = ("wire", "values", "peer", "solution"), ("wire", "values", "cases")
"""What programs begin with: see `inside`."""
_LOADED = "bisect collections copy datetime functools heapq itertools math operator random re string typing"
"""What a server imports beforehand."""


@dataclass(frozen=True)
class Execution:
    """What a sandboxed program did: exit status, output, and why it was stopped ("" where it ended by itself)."""

    status: int
    stdout: str
    stderr: str
    seconds: float
    stopped: str = ""


class RunProgram(Protocol):
    """`Sandbox.run`, or a function that hands on to it."""

    def __call__(self, program: str, stdin: str | Talk, seconds: float, modules: bool = True) -> Execution:
        """Run a program; see `Sandbox.run`."""


class Sandbox:
    """Runs programs, at most `workers` at a time; `run` may be called from any number of threads.

    A context manager: within it, the process that reads tests is kept from run to run, and forks for each of them.

    name   "bubblewrap", "landlock", or "none" (limits, but no protection)
    """

    def __init__(self, name: Kind, workers: int = 2, limits: Limits | None = None) -> None:
        if not 1 <= workers <= UIDS_A_PROCESS:
            raise ValueError(f"Sandbox.workers must be 1 to {UIDS_A_PROCESS}, got {workers}")
        self.name = name
        self.limits = limits or Limits()
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._seats: queue.SimpleQueue[int] = queue.SimpleQueue()
        for _ in range(workers):
            slot = next(_SLOTS) % UIDS_A_PROCESS
            self._slots.put(slot)
            self._seats.put(slot)
        self._interpreter, self._roots = interpreter()
        self._filter = refusing(platform.machine(), attributes=name == "landlock")
        self._entered, self._judges = 0, list[_Judge]()
        self._servers = dict[tuple[int, bool], Server]()
        self._serves: bool | None = None if name == "bubblewrap" and self._filter else False

    def __enter__(self) -> Self:
        self._entered += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered -= 1
        while not self._entered and self._judges:
            self._judges.pop().close()
        while not self._entered and self._servers:
            self._servers.popitem()[1].close()

    @property
    def python(self) -> str:
        """Path of the Python that runs the programs."""
        return self._interpreter[0]

    def run(self, program: str, stdin: str | Talk, seconds: float, modules: bool | tuple[str, ...] = True) -> Execution:
        """Run a Python program on its standard input, or let `stdin` speak with it over its input and output.

        seconds   the program's time: processor time of all its processes together, and time that goes by while it
                  works or sleeps; it is stopped where either is over. What it waits for a core is not counted.
        modules   whether it may import more than the standard library: to show the others takes time in every run;
                  names of more than are offered to solutions

        Raises ValueError where seconds is not positive, OSError where the sandbox itself cannot start.
        """
        if not seconds > 0:
            raise ValueError(f"seconds must be positive, got {seconds}")
        for pause in _PAUSES:
            try:
                return self._once(program, stdin, seconds, modules)
            except OSError:  # a busy machine may have no process or no memory left for a moment
                time.sleep(pause)
        return self._once(program, stdin, seconds, modules)

    def _once(
        self, program: str, stdin: str | Talk, seconds: float, modules: bool | tuple[str, ...] = True
    ) -> Execution:
        slot = self._slots.get()
        shown = offered(*(modules if isinstance(modules, tuple) else ())) if modules else {}
        start = _Start(_user(slot), program, seconds, shown)
        try:
            if self._entered and self._serves is not False:
                try:
                    return self._forked((slot, bool(shown)), start, stdin, seconds)
                except OSError:
                    self._serves = self._serves or False
            with ExitStack() as stack:
                return self._execution(self._open(stack, start, _input(stack, stdin)), stdin, seconds)
        finally:
            self._slots.put(slot)

    def _forked(self, place: tuple[int, bool], start: _Start, stdin: str | Talk, seconds: float) -> Execution:
        """A run in a process that the server of its place forks. Raises OSError where that cannot be done."""
        with ExitStack() as keeping, ExitStack() as stack:
            server = self._kept_server(place) or self._new_server(start)
            keeping.callback(server.close)
            text, cpu = _holding(stack, start.text()), self.limits.rlimits(seconds)["cpu"]
            process = Forked(stack, server, text, _input(stack, stdin), cpu)
            session = Session(process, process.info.fileno(), self.limits)
            said = self._execution(session, stdin, seconds)
            self._serves = True
            if self._entered:
                keeping.pop_all()
                self._servers[place] = server
            return said

    def _kept_server(self, place: tuple[int, bool]) -> Server | None:
        server = self._servers.pop(place, None)
        if server is None or server.alive():
            return server
        server.close()
        return None

    def _new_server(self, start: _Start) -> Server:
        limits = self.limits.rlimits(None)
        heads = [inside(*names) for names in (SOLUTION, CASES)]
        settings = {"modules": _LOADED.split(), "heads": heads, "limits": limits, "filter": self._filter}
        with ExitStack() as stack:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.enter_context(ours)
            with theirs:
                program = f"{inside('server')}settings = {settings!r}\nexec(*main(settings))\n"
                session = self._open(stack, replace(start, program=program, seconds=None, serves=True), theirs.fileno())
            stack.callback(session.end)
            session.stand()
            return Server(session, stack.pop_all(), ours)

    def _execution(self, session: Session, stdin: str | Talk, seconds: float) -> Execution:
        session.judge = self._judge
        session.begin(seconds)
        try:
            if callable(stdin):
                _talk(stdin, session)
            else:
                session.follow()
        finally:
            session.end()
        texts = [bytes(said).decode(errors="replace") for said in (session.unread, session.complaints)]
        status = session.process.returncode
        if not session.standing or status is None:
            said = texts[1].strip() or session.stopped or f"exit status {status}"
            raise OSError(f"{self.name} did not start: {said}")
        return Execution(status, texts[0], texts[1], time.monotonic() - session.started, session.stopped)

    @contextmanager
    def _judge(self) -> Iterator[Session]:
        """The process that reads tests, in a sandbox of its own, for one run."""
        judge = self._kept_judge() or self._new_judge()
        try:
            yield judge.session
        finally:
            if self._entered and judge.session.at_rest:
                self._judges.append(judge)
            else:
                judge.close()

    def _kept_judge(self) -> _Judge | None:
        while self._judges:
            with suppress(IndexError):  # another thread took the last one
                judge = self._judges.pop()
                if judge.session.process.poll() is None:
                    return judge
                judge.close()
        return None

    def _new_judge(self) -> _Judge:
        seat = self._seats.get()
        with ExitStack() as stack:
            stack.callback(self._seats.put, seat)
            program = inside("wire", "values", "peer", "judge") + "main()\n"
            session = self._open(stack, _Start(_user(seat, judge=True), program, None, offered()), None)
            stack.callback(session.end)
            return _Judge(session, stack.pop_all())

    def _open(self, stack: ExitStack, start: _Start, stdin: int | None) -> Session:
        """A started sandbox."""
        fds = {"program": _holding(stack, start.text())}
        if self.name == "bubblewrap" and self._filter and not start.serves:
            fds["seccomp"] = _holding(stack, self._filter)
        read, fds["info"] = os.pipe()
        stack.callback(os.close, read)
        command = self._bubblewrap if self.name == "bubblewrap" else self._launcher
        try:
            process = subprocess.Popen(
                command(start, fds),
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
                pass_fds=list(fds.values()),
                stdin=subprocess.PIPE if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        finally:
            os.close(fds["info"])
        return Session(stack.enter_context(process), read, self.limits)

    def _bubblewrap(self, start: _Start, fds: dict[str, int]) -> list[str]:
        uid = start.uid
        drop = [] if uid is None else [_program("setpriv"), f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
        limits = None if start.serves else self.limits.rlimits(start.seconds)
        return [*drop, *bubblewrap(_program("bwrap"), self._interpreter, self._roots, start.modules, limits, fds)]

    def _launcher(self, start: _Start, fds: dict[str, int]) -> list[str]:
        modules = {name: str(path) for name, path in start.modules.items()}
        said = {
            "program": fds["program"],
            "info": fds["info"],
            "uid": start.uid,
            "limits": self.limits.rlimits(start.seconds),
            "lasting": start.seconds is None,
            "guard": self.name == "landlock",
            "roots": ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", *self._roots, *modules.values()],
            "modules": modules,
            "filter": self._filter,
        }
        return [*self._interpreter, "-c", _LAUNCHER.read_text("utf-8"), repr(said)]


@dataclass(frozen=True)
class _Start:
    """What a sandbox is opened for: as which user, what it runs, for how long, and the modules it may import.

    Without `seconds` it may outlive the thread that starts it. One that `serves` may make namespaces.
    """

    uid: int | None
    program: str
    seconds: float | None
    modules: Mapping[str, Path]
    serves: bool = False

    def text(self) -> bytes:
        """The program as it is handed over."""
        return self.program.encode(errors="replace")


@dataclass(frozen=True)
class _Judge:
    """A process that reads tests, and what is to be undone when it ends."""

    session: Session
    stack: ExitStack

    def close(self) -> None:
        """End it."""
        self.stack.close()


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


def _user(slot: int, judge: bool = False) -> int | None:
    """The user id for a run, where we may choose one."""
    return free_uid(slot, judge) if os.geteuid() == 0 else None


def _input(stack: ExitStack, stdin: str | Talk) -> int | None:
    """The descriptor of an input that is known beforehand."""
    return None if callable(stdin) else _holding(stack, stdin.encode(errors="replace"))


def _talk(stdin: Talk, session: Session) -> None:
    with suppress(Stopped):
        stdin(session)


@cache
def interpreter() -> tuple[list[str], list[str]]:
    """The command of a Python that everybody may read, and the folders outside /usr that it needs.

    Not -I: it would ignore PYTHONHASHSEED, and a score that depends on the order of a set would change from run to run.
    But -S: the standard library and what is offered alone, whatever else this machine has installed; a third of the
    start's time besides. And -P: no module is looked for beside the program.
    """
    system, own = "/usr/bin/python3", Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    prefix, options = Path(sys.base_prefix).resolve(), ["-P", "-S", "-s", "-B"]
    ours = _version(system) == sys.version_info[:2]
    if ours or (_version(system) >= (3, 11) and not (readable(own) and readable(prefix))):
        return [system, *options], []
    return [str(own), *options], [] if str(prefix).startswith("/usr/") else [str(prefix)]


@cache
def _version(python: str) -> tuple[int, ...]:
    """The version of a Python, (0,) where there is none."""
    if not Path(python).exists():
        return (0,)
    asked = [python, "-S", "-c", "import sys; print(*sys.version_info[:2])"]
    said = subprocess.run(asked, check=False, capture_output=True, text=True)
    return tuple(map(int, said.stdout.split())) if said.returncode == 0 else (0,)


@cache
def offered(*more: str) -> dict[str, Path]:
    """The modules that programs may import besides the standard library, and where they lie; `more` of them by name."""
    return installed(*more) if _version(interpreter()[0][0]) == sys.version_info[:2] else {}


def _imports(node: ast.stmt, package: str) -> bool:
    return isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == package


def _own_lines(name: str) -> str:
    """The lines of `_inside_NAME.py`, blank where it imports from this package or from the future."""
    source = (_INSIDE / f"_inside_{name}.py").read_text("utf-8")
    with PARSING:
        body = ast.parse(source).body
    imports = [node for node in body if _imports(node, __name__.partition(".")[0]) or _imports(node, "__future__")]
    left_out = {number for node in imports for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return "\n".join("" if at in left_out else line for at, line in enumerate(source.splitlines(), 1))


@cache
def inside(*names: str) -> str:
    """A program made of `_inside_*.py`, compiled by the Python that runs it: to compile takes longer than to start.

    The files' own lines, not `ast.unparse`'s: what a newer Python writes, the older one that compiles may not read.
    """
    text = "\n".join(map(_own_lines, names))
    command = [*interpreter()[0], "-c", _COMPILING, str(__future__.annotations.compiler_flag)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, input=text, env=_ENVIRONMENT)
    return f"import marshal, binascii\nexec(marshal.loads(binascii.a2b_base64({said.stdout.strip()!r})))\n"


_COMPILING = """
import binascii, marshal, sys
code = compile(sys.stdin.read(), "inside.py", "exec", int(sys.argv[1]), dont_inherit=True, optimize=2)
print(binascii.b2a_base64(marshal.dumps(code), newline=False).decode())
"""
"""In base 64: an escaped literal of that size takes several times as long to read."""


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
