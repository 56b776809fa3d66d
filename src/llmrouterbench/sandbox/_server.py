"""A server in a sandbox, which forks a process for each run, seen from outside; `_inside_server.py` is its inside."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from llmrouterbench.sandbox.session import Session

_SECONDS = 30.0
"""Until a run is there."""


class Server:
    """A server that stands: its session, what is to be undone when it ends, and our end of the socket that it reads."""

    def __init__(self, session: Session, stack: ExitStack, control: socket.socket) -> None:
        self.session, self.control = session, control
        self._stack = stack

    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.session.process.poll() is None

    def close(self) -> None:
        """End it, and with it every process that it forked."""
        self._stack.close()


class Forked:
    """A run's process, as far as a session asks of it what it asks of a `subprocess.Popen`.

    program   descriptor of the text
    stdin     descriptor of its input; None for a pipe
    cpu       seconds of processor time after which the kernel ends a process of it

    Raises OSError where the server does not start it.
    """

    def __init__(self, stack: ExitStack, server: Server, program: int, stdin: int | None, cpu: int) -> None:
        self.returncode: int | None = None
        self._server = server
        with ExitStack() as theirs:
            self.stdin = None
            if stdin is None:
                stdin, self.stdin = _pipe(theirs, stack, "wb")
            (out, self.stdout), (err, self.stderr), (info, self.info) = (_pipe(theirs, stack, "rb") for _ in range(3))
            socket.send_fds(server.control, [str(cpu).encode()], [program, stdin, out, err, info])
        server.control.settimeout(_SECONDS)
        said, fds, _, _ = socket.recv_fds(server.control, 64, 1)
        if not fds:
            raise OSError(f"its server did not start it: {_rest(self.stderr) or said.decode() or 'it ended'}")
        self._pidfd = fds[0]
        stack.callback(os.close, self._pidfd)
        said_of_it = Path(f"/proc/self/fdinfo/{self._pidfd}").read_text()
        self.pid = int(re.findall(r"^Pid:\t(-?\d+)$", said_of_it, re.MULTILINE)[0])  # -1 where it has ended

    def poll(self) -> int | None:
        """Its exit status, as a shell says it; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status. Raises OSError where its server ended before it, subprocess.TimeoutExpired."""
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._server.control, select.POLLIN)
            if not waiting.poll(None if timeout is None else 1000 * timeout):
                raise subprocess.TimeoutExpired("a forked run", timeout or 0.0)
            said = self._server.control.recv(64)
            if not said:
                raise OSError("its server ended")
            status = int(said)
            self.returncode = status if status >= 0 else 128 - status
        return self.returncode

    def terminate(self) -> None:
        """End it, and with it all processes of its namespace."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def kill(self) -> None:
        """End its server too."""
        self._server.session.stop("a run did not end")


def _pipe(theirs: ExitStack, stack: ExitStack, mode: str) -> tuple[int, IO[bytes]]:
    """The end of a new pipe for a server, and the one that we read or write."""
    read, write = os.pipe()
    handed, kept = (read, write) if mode == "wb" else (write, read)
    theirs.callback(os.close, handed)
    return handed, stack.enter_context(open(kept, mode, buffering=0))


def _rest(stderr: IO[bytes]) -> str:
    os.set_blocking(stderr.fileno(), False)
    return (stderr.read(4096) or b"").decode(errors="replace")
