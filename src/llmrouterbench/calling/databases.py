"""Connections to SQLite, Redis and PostgreSQL for what is kept there: what is wrong in one sentence, and patience.

A server that is away may only be starting again: an open connection is made anew, for as long as its owner is patient.
What waiting cannot mend, such as a wrong password, is said at once. No sentence holds an address's password.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")
Rows = tuple[list[tuple[Any, ...]], int]
_BUSY_SECONDS = 60.0
_LONGEST_PAUSE = 1.0
_MAKING = 5_620_471
"""Any number: the advisory lock of those who make tables at the same time."""
_STARTING = ("57P", "08", "53300")
"""SQLSTATEs of a PostgreSQL server that stops, starts, or is full."""


class AwayError(ConnectionError):
    """A server that does not answer, and may do so later."""


def shown(address: str | Path) -> str:
    """An address without the password in it, for messages.

    >>> shown("redis://me:secret@host:6379/0")
    'redis://***@host:6379/0'
    """
    return re.sub(r"(//)[^/@]*@", r"\1***@", str(address)).partition("?")[0]


def _patiently(seconds: float, call: Callable[[], T]) -> T:
    """What a call gives; it is made again where its server is away: once at once, and then until the time is over."""
    until = time.monotonic() + seconds
    pause = 0.0
    while True:
        try:
            return call()
        except AwayError:
            if pause and time.monotonic() >= until:
                raise
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause) or 0.05


class Sqlite:
    """One SQLite file in WAL mode, for any number of threads and processes; `what` it is, for messages."""

    def __init__(self, what: str, path: Path) -> None:
        self.path = path
        self._what = what
        self._lock = Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._failure(error) from error
        try:
            self._prepare()
        except OSError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        """Switch to WAL, which SQLite may refuse without waiting while others switch too."""
        for trial in range(100):
            try:
                self.run("PRAGMA journal_mode = WAL")
                break
            except BlockingIOError:
                if trial == 99:
                    raise
                time.sleep(0.05)
        self.run("PRAGMA synchronous = NORMAL")

    def run(self, sql: str, values: Any = ()) -> Rows:
        """Rows and number of rows changed of one statement, which is its own transaction. Raises OSError."""
        with self._lock:
            try:
                cursor = self._connection.execute(sql, values)
                return cursor.fetchall(), cursor.rowcount
            except sqlite3.Error as error:
                raise self._failure(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _failure(self, error: sqlite3.Error) -> OSError:
        said = f"{self._what} {self.path} must be a SQLite file that can be read and written, got: {error}"
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return BlockingIOError(said)
        if getattr(error, "sqlite_errorname", "") in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            said += "; move it away, and a new one is begun"
        return OSError(said)


class Redis:
    """A Redis server; `server` is its client, for calls within `run`. `seconds`: to connect, and for an answer."""

    def __init__(self, what: str, address: str, *, patience: float, seconds: tuple[float, float] = (10, 60)) -> None:
        try:
            import redis
        except ImportError as error:
            raise ImportError(
                f"{what} at a redis:// address needs redis; pip install 'llmrouterbench[redis]'"
            ) from error
        self._what, self._address = what, shown(address)
        self._redis = redis
        self._patience = 0.0
        connecting, answering = seconds
        self.server: Any = redis.Redis.from_url(address, socket_connect_timeout=connecting, socket_timeout=answering)
        try:
            self.run(self.server.ping)
        except OSError:
            self.server.close()
            raise
        self._patience = patience

    def run(self, call: Callable[[], T]) -> T:
        """What some commands give. Raises ConnectionError."""
        return _patiently(self._patience, lambda: self._once(call))

    def _once(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except self._redis.RedisError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """End the connections."""
        self.server.close()

    def _failure(self, error: Exception) -> ConnectionError:
        kinds = self._redis.exceptions
        said = f"{self._what} {self._address} must be a Redis server that can be read and written, got"
        if isinstance(error, kinds.AuthenticationError | kinds.NoPermissionError):
            return ConnectionError(f"{said} a refusal of its user or password; correct them in the address")
        if "DB index" in str(error):
            return ConnectionError(f"{said} no database of that number; correct the number at the end of the address")
        if isinstance(error, kinds.ConnectionError | kinds.TimeoutError):
            return AwayError(f"{said} no answer; check that it runs and the address")
        return ConnectionError(f"{said} {type(error).__name__}; see its own log")


class Postgres:
    """A PostgreSQL database. `seconds`: to connect, and for an answer."""

    def __init__(
        self, what: str, address: str, table: str, *, patience: float, seconds: tuple[float, float] = (10, 60)
    ) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise ImportError(
                f"{what} at a postgresql:// address needs psycopg; pip install 'llmrouterbench[postgres]'"
            ) from error
        self._what, self._address, self._seconds = what, address, seconds
        self._psycopg = psycopg
        self._patience = 0.0
        self._lock = Lock()
        self._connection = self._connect()
        try:
            self.run("SELECT pg_advisory_lock(%s)", (_MAKING,))
            self.run(table)
            self.run("SELECT pg_advisory_unlock(%s)", (_MAKING,))
        except OSError:
            self._connection.close()
            raise
        self._patience = patience

    def _connect(self) -> Any:
        connecting, answering = self._seconds
        try:
            return self._psycopg.connect(
                self._address, autocommit=True, connect_timeout=int(connecting), tcp_user_timeout=int(1000 * answering)
            )
        except self._psycopg.Error as error:
            raise self._failure(error) from None

    def run(self, sql: str, values: Any = None) -> Rows:
        """Rows and number of rows changed of one statement, which is its own transaction. Raises ConnectionError."""
        with self._lock:
            return _patiently(self._patience, lambda: self._once(sql, values))

    def _once(self, sql: str, values: Any) -> Rows:
        if self._connection.closed:
            self._connection = self._connect()
        try:
            cursor = self._connection.execute(sql, values)
            return (cursor.fetchall() if cursor.description else []), cursor.rowcount
        except self._psycopg.Error as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._connection.close()

    def _failure(self, error: Any) -> ConnectionError:
        """What went wrong, without the words of libpq, which may repeat the address's password."""
        said = f"{self._what} {shown(self._address)} must be a PostgreSQL database that can be read and written, got"
        words, state = str(error), error.sqlstate or ""
        # libpq gives no SQLSTATE of a connection that was refused
        if state.startswith("28") or "authentication failed" in words or "no password supplied" in words:
            return ConnectionError(f"{said} a refusal of its user or password; correct them in the address")
        if state == "42501":
            return ConnectionError(f"{said} a user who may not do that; grant the rights")
        if state == "3D000" or re.search(r'database "[^"]*" does not exist', words):
            return ConnectionError(f"{said} no database of that name; make it, or correct the address")
        if re.search(r'role "[^"]*" does not exist', words):
            return ConnectionError(f"{said} no user of that name; make it, or correct the address")
        if state.startswith(_STARTING) or (not state and isinstance(error, self._psycopg.OperationalError)):
            return AwayError(f"{said} no answer; check that it runs and the address")
        return ConnectionError(f"{said} {type(error).__name__}; see its own log")
