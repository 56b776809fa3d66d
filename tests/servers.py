"""Real Redis and PostgreSQL servers for tests, each in a folder of its own, on a free port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended at once with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"no server on port {port} after 30 seconds")


class Server(str):
    """The address of a server that runs, can be stopped, and started again on its data."""

    command: list[str]
    port: int
    process: subprocess.Popen[bytes]

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)  # for another process it is an address

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for(self.port, self.process)

    def stop(self) -> None:
        """Stop it in an orderly way."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def ask_for_passwords(self) -> None:
        """Let PostgreSQL ask every user but tester for a password."""
        data = Path(self.command[self.command.index("-D") + 1])
        rules = "host all tester all trust\nhost all all all scram-sha-256\n"
        (data / "pg_hba.conf").write_text(rules, encoding="utf-8")
        self.process.send_signal(signal.SIGHUP)


@contextmanager
def _running(address: str, command: list[str], port: int) -> Iterator[Server]:
    server = Server(address)
    server.command, server.port = command, port
    server.start()
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


@contextmanager
def redis_server() -> Iterator[Server]:
    """The address of a Redis server; skips the test where there is no redis-server."""
    pytest.importorskip("redis", reason="the extra redis is not installed")
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "3600", "1"]
        with _running(f"redis://127.0.0.1:{port}/0", command, port) as server:
            yield server


@contextmanager
def postgres_server() -> Iterator[Server]:
    """The address of a PostgreSQL database; skips the test where there is no PostgreSQL."""
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    programs = _postgres_programs()
    port = free_port()
    folder = Path(tempfile.mkdtemp())
    try:
        as_user = _as_ordinary_user(folder)
        data = folder / "data"
        made = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "tester", "-A", "trust", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder)
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
        command = [*as_user, str(programs / "postgres"), "-D", str(data), *options]
        with _running(f"postgresql://tester@127.0.0.1:{port}/postgres", command, port) as server:
            ready = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
            deadline = time.monotonic() + 60.0  # it takes connections before it takes questions
            while subprocess.run(ready, check=False).returncode and time.monotonic() < deadline:
                time.sleep(0.05)
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_programs() -> Path:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not installed:
        pytest.skip("PostgreSQL is not installed")
    return installed[-1]


def _as_ordinary_user(folder: Path) -> list[str]:
    """The start of a command that PostgreSQL, which refuses to run as root, needs when we are root."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    if setpriv is None:
        pytest.skip("PostgreSQL must not run as root, and setpriv is not installed")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
