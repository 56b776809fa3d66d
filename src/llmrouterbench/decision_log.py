"""The decision log: one row a request in a SQLite file, feedback beside it, and a reader that gives polars frames.

Rows are written by one thread, some tenths of a second after the reply at most; requests never wait for the disk. No
row holds a key; the text of a query is there only where the server was started with `--log-text`. Rows older than
`keep_days` are removed, and what they cost is remembered by key and day.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson

if TYPE_CHECKING:
    from polars import DataFrame

FILE = "decisions.sqlite"
RUNNING, CANDIDATE = "running", "candidate"
"""The sides of split traffic."""
_LOCK = "serving.lock"
SCHEMA = 3
"""2 added `cost_from` and the table `embeddings`, 3 the table `sides` and what kind a score is; an older log is read,
and grows when it is written."""
_BATCH = 500
_PAUSE_SECONDS = 0.01
"""What the first row waits for others, so that a busy server writes many at once: so much a killed one may forget."""
_DAY = 86_400
_SWEEP_SECONDS = 600.0
_SWEPT = 1000
"""Rows that are removed at once, so that new ones need not wait."""
_MOST = 2**53
_NO_ROW = "no decision with this id was made with this key"


@dataclass(frozen=True)
class Logged:
    """One request as it is stored. None: not known, or does not apply; mappings by model are JSON texts in the file.

    id                 the decision's id, which the client has from the header x-router-decision
    time               seconds since 1970 (UTC) at which the request was there
    key                name of the client key, "-" without keys
    asked              the model as the request named it, such as "auto:best"
    policy             the policy in words, None where a model was named
    query_hash         sha256 of the text that decided; query: the text, only with --log-text
    router_model       what the policy prefers, before exploration, stickiness and shadow
    chosen             which model was to serve; model, provider: who did serve, None where nobody could
    reason             "policy", "exploration", "out of distribution", "nothing meets the policy", "conversation",
                       "shadow" or "named"
    propensity         probability of `chosen`; propensities: of every model that could have been chosen
    estimated_score    of `chosen`; also estimated_cost (USD) and estimated_seconds; scores, costs: of every model
    ood                whether the query is far from the training queries
    shadow             whether the server only watched
    conversation       hash of the conversation's beginning, None for its first turn
    cost               USD of every call that the request led to; tokens_in, tokens_out of the reply that was served
    decision_seconds   time to decide; first_token_seconds of a stream; seconds until the last byte
    status             "ok", "failed" (no provider served), "broken" (cut after the first token), "cancelled" (the
                       client left), "refused" (the request itself was wrong)
    http_status        as the client saw it
    attempts           list of {model, provider, seconds, error}, error "" for the one that served; request_id where
                       the provider told its own
    cost_from          "provider" (its own figure), "usage" (its tokens times the price) or "counted" (tokens that we
                       counted in part, as it did not tell them); None where there is no cost
    """

    id: str
    time: float
    key: str
    asked: str
    policy: str | None
    query_hash: str
    query: str | None
    router_model: str | None
    chosen: str
    model: str | None
    provider: str | None
    reason: str
    propensity: float
    propensities: Mapping[str, float]
    scores: Mapping[str, float]
    costs: Mapping[str, float]
    estimated_score: float | None
    estimated_cost: float | None
    estimated_seconds: float | None
    ood: bool
    shadow: bool
    conversation: str | None
    stream: bool
    status: str
    http_status: int
    cost: float | None
    tokens_in: int | None
    tokens_out: int | None
    decision_seconds: float
    first_token_seconds: float | None
    seconds: float
    attempts: tuple[Mapping[str, Any], ...]
    cost_from: str | None = None


@dataclass(frozen=True)
class LoggedEmbeddings:
    """A request for vectors, which nothing decides: what it cost whom. Columns as those of `Logged`."""

    id: str
    time: float
    key: str
    model: str
    provider: str | None
    status: str
    http_status: int
    tokens_in: int | None
    cost: float | None
    cost_from: str | None
    seconds: float


@dataclass(frozen=True)
class LoggedSide:
    """Which side a decision was on while traffic was split between two routers.

    id           of the decision
    experiment   hash of both routers and the share
    unit         hash of the conversation, which stays on its side
    side         RUNNING or CANDIDATE; probability: of this side
    preferred    what this side's router prefers; other: what the other one's would have preferred
    """

    id: str
    time: float
    experiment: str
    unit: str
    side: str
    probability: float
    preferred: str
    other: str


KINDS = ("score", "thumb", "retry", "judge")
"""What a score is: a quality that was measured, a thumb (1 or 0), whether the user went on (1) or asked again or had
the reply made again (0), what a judge gave."""
Row = Logged | LoggedEmbeddings | LoggedSide
LEFT_OUT = ("named", "conversation")
"""Reasons behind which no probability of the server stands."""
_JSON = ("propensities", "scores", "costs", "attempts")
_SQL = {"str": "TEXT", "float": "REAL", "int": "INTEGER", "bool": "INTEGER"}
_TABLES = ("decisions", "embeddings")
_COLUMNS = tuple(field.name for field in fields(Logged))
_NEW = {"decisions": {"cost_from": "TEXT"}, "feedback": {"kind": "TEXT", "cost": "REAL"}}
"""Columns that older schemas do not have."""


def _columns(row: type) -> str:
    kinds = {field.name: _SQL.get(str(field.type).partition(" ")[0], "TEXT") for field in fields(row)}
    return ", ".join(f"{name} {kind}" for name, kind in kinds.items())


_CREATE = f"""
CREATE TABLE IF NOT EXISTS decisions ({_columns(Logged)}, PRIMARY KEY (id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS embeddings ({_columns(LoggedEmbeddings)}, PRIMARY KEY (id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sides ({_columns(LoggedSide)}, PRIMARY KEY (id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS embeddings_time ON embeddings (time);
CREATE INDEX IF NOT EXISTS decisions_time ON decisions (time);
CREATE TABLE IF NOT EXISTS feedback (decision TEXT, time REAL, key TEXT, score REAL, kind TEXT, cost REAL);
CREATE INDEX IF NOT EXISTS feedback_decision ON feedback (decision);
CREATE TABLE IF NOT EXISTS past (key TEXT, day REAL, cost REAL, PRIMARY KEY (key, day)) WITHOUT ROWID;
"""
_REMEMBER = """
INSERT INTO past SELECT key, CAST(time / 86400 AS INTEGER) * 86400, cost FROM {table}
WHERE id = ? AND cost IS NOT NULL AND key IS NOT NULL
ON CONFLICT (key, day) DO UPDATE SET cost = cost + excluded.cost
"""
"""What a row cost goes to the sum of its key and day, when it is removed."""
_FEEDBACK = "decision, time, key, score, kind, cost"
_SIDE = tuple(field.name for field in fields(LoggedSide))
_SIDES = 3
"""The schema that brought them."""
_INSERTS = {
    kind: f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    for kind, table in ((Logged, "decisions"), (LoggedEmbeddings, "embeddings"), (LoggedSide, "sides"))
    if (names := [field.name for field in fields(kind)])
}


class DecisionLog:
    """The writer; use it as a context manager. `on_loss(rows, sentence)` is told of rows that could not be written.

    While it is open no other one is on the same folder, except writers that name the same `state`: what keys have spent
    would else be counted twice, and each would know the half of it.

    keep_days  whole days (UTC) that rows stay, None: for ever; may be set at any time
    """

    def __init__(self, folder: Path, on_loss: Callable[[int, str], None], *, state: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self._state = state
        self._lock = -1
        self._on_loss = on_loss
        self.keep_days: int | None = None
        self._swept = 0.0
        self._queue: queue.SimpleQueue[Row | _Feedback | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="decision log")
        _open(self.path).close()

    def __enter__(self) -> Self:
        self._lock = _lock(self.path.with_name(_LOCK), self._state)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._lock >= 0:
            os.close(self._lock)

    def add(self, row: Row) -> None:
        """Store a row soon."""
        self._queue.put(row)

    async def add_feedback(
        self, decision: str, time: float, key: str, score: float, kind: str = "score", cost: float | None = None
    ) -> None:
        """Store a score of one of the `KINDS`, and the USD that its judge cost.

        Raises LookupError where this key made no such decision, OSError where it cannot be stored.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.put(_Feedback((decision, time, key, score, kind, cost), loop, done))
        await done

    def spent(self, key: str, since: float) -> float:
        """USD of a key since a time."""
        connection = _open(self.path)
        try:
            sums = (f"(SELECT TOTAL(cost) FROM {table} WHERE key = :key AND time >= :since)" for table in _TABLES)
            past = "(SELECT TOTAL(cost) FROM past WHERE key = :key AND day >= :since)"
            row = connection.execute(f"SELECT {' + '.join([*sums, past])}", {"key": key, "since": since})
            return float(row.fetchone()[0])
        finally:
            connection.close()

    def _write(self) -> None:
        connection = _open(self.path)
        try:
            while (batch := self._batch())[-1:] != [None]:
                self._store(connection, batch)
            self._store(connection, batch[:-1])
        finally:
            connection.close()

    def _batch(self) -> list[Any]:
        """What is waiting, at least one; None ends it."""
        batch: list[Any] = [self._queue.get()]
        if batch[0] is not None:
            sleep(_PAUSE_SECONDS)
        while batch[-1] is not None and len(batch) < _BATCH:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _store(self, connection: sqlite3.Connection, batch: list[Any]) -> None:
        rows = {kind: [_values(one) for one in batch if type(one) is kind] for kind in _INSERTS}
        try:
            with connection:
                for kind, values in rows.items():
                    connection.executemany(_INSERTS[kind], values)
        except sqlite3.Error as error:
            self._on_loss(sum(map(len, rows.values())), f"the decision log must be writable, got {error}: {self.path}")
        for one in batch:
            if isinstance(one, _Feedback):
                one.store(connection)
        self._forget(connection)

    def _forget(self, connection: sqlite3.Connection) -> None:
        """Remove what is too old, a part of it at a time, and keep what it cost whom on which day."""
        if self.keep_days is None or time.monotonic() < self._swept:
            return
        before = (time.time() // _DAY - self.keep_days) * _DAY
        full = False
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for table in _TABLES:
                    old = f"SELECT id FROM {table} WHERE time < ? ORDER BY time LIMIT {_SWEPT}"
                    ids = [id for (id,) in connection.execute(old, (before,))]
                    connection.executemany(_REMEMBER.format(table=table), [(id,) for id in ids])
                    connection.executemany(f"DELETE FROM {table} WHERE id = ?", [(id,) for id in ids])
                    connection.executemany("DELETE FROM feedback WHERE decision = ?", [(id,) for id in ids])
                    connection.executemany("DELETE FROM sides WHERE id = ?", [(id,) for id in ids])
                    full = full or len(ids) == _SWEPT
        except sqlite3.Error as error:
            self._on_loss(0, f"old rows must be removable from the decision log, got {error}: {self.path}")
        self._swept = time.monotonic() + (0.0 if full else _SWEEP_SECONDS)


def _lock(path: Path, state: str) -> int:
    """A file that is locked until it is closed, or this process dies: alone, or with all those of one state.

    Raises BlockingIOError where others hold it, with another state or with none.
    """
    if sys.platform == "win32":
        return -1
    import fcntl

    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(30):  # those who come at the same time hold it alone for a moment
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, state.encode(), 0)
            if state:
                fcntl.flock(file, fcntl.LOCK_SH)
            return file
        if state:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                if os.pread(file, 10_000, 0) == state.encode():
                    return file
                break
        time.sleep(0.01)
    os.close(file)
    raise BlockingIOError(
        f"{path.parent} must have one server, or several with one state, got another one at work there;"
        " choose another --log folder, or give all of them the same `state` in their config"
    )


@dataclass(frozen=True)
class _Feedback:
    """A row of feedback on its way to the writer, and the future of the request that brought it."""

    values: tuple[str, float, str, float, str, float | None]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]

    def store(self, connection: sqlite3.Connection) -> None:
        error: Exception | None = None
        decision, _, key, *_ = self.values
        try:
            with connection:
                known = connection.execute(
                    "SELECT 1 FROM decisions WHERE id = ? AND key = ?", (decision, key)
                ).fetchone()
                if known:
                    connection.execute(f"INSERT INTO feedback ({_FEEDBACK}) VALUES (?, ?, ?, ?, ?, ?)", self.values)
                else:
                    error = LookupError(_NO_ROW)
        except sqlite3.Error as failed:
            error = OSError(f"the decision log must be writable, got {failed}")
        self.loop.call_soon_threadsafe(self._answer, error)

    def _answer(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


def _values(row: Row) -> tuple[Any, ...]:
    return tuple(_plain(name, value) for name, value in vars(row).items())


def _plain(name: str, value: Any) -> Any:
    """A value as SQLite takes it: JSON text, mended text; a count that cannot be true is not known."""
    if name in _JSON:
        return orjson.dumps(value).decode()
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return None if isinstance(value, int) and value >= _MOST else value


def _open(path: Path) -> sqlite3.Connection:
    """A connection to a log of this schema. Raises ValueError for a file that is none or cannot be written."""
    try:
        connection, version = _checked(sqlite3.connect(path, timeout=30.0, check_same_thread=False), path, empty=True)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < SCHEMA:
            connection.execute("BEGIN IMMEDIATE")  # workers that start together grow it once
        for table, columns in _NEW.items() if 0 < version < SCHEMA else ():
            there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            for name, kind in columns.items():
                if name not in there:
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
        connection.executescript(f"{_CREATE}PRAGMA user_version = {SCHEMA};")
    except sqlite3.OperationalError as error:
        raise ValueError(f"{path} must be writable, got {error}; choose another --log folder") from error
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} must be a decision log, got {error}; choose another --log folder") from error
    return connection


def _checked(connection: sqlite3.Connection, path: Path, empty: bool = False) -> tuple[sqlite3.Connection, int]:
    """The connection and its schema, if that is one of ours, or none where it may be empty; closed where it is not."""
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if not (0 if empty else 1) <= version <= SCHEMA:
            raise ValueError(f"{path} must be a decision log of schema {SCHEMA}, got {version}; use a newer version")
    except (sqlite3.Error, ValueError):
        connection.close()
        raise
    return connection, version


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecisionFrames:
    """A log as polars frames; also while a server writes it.

    decisions  one row a request, the columns of `Logged` without the mappings by model
    models     one row a request and model: id, model, propensity (0: could not have been chosen), score and cost as
               estimated
    feedback   the last score of each kind of each decision: id, time, score, kind, cost
    sides      one row a decision on split traffic, the columns of `LoggedSide`
    """

    decisions: DataFrame
    models: DataFrame
    feedback: DataFrame
    sides: DataFrame

    def scored(self, kind: str | None = None) -> DataFrame:
        """The feedback of one kind, see `of_one_kind`."""
        return of_one_kind(self.feedback, kind)


def of_one_kind(feedback: DataFrame, kind: str | None = None) -> DataFrame:
    """Feedback of one kind; None: of the only one there is.

    Raises ValueError where there are several, which are no one number, and for a kind that no score has.
    """
    import polars as pl

    found = sorted(feedback["kind"].unique().to_list())
    if kind is None and len(found) > 1:
        raise ValueError(
            f"feedback must be of one kind, got {', '.join(found)}, which mean different things; name one of them"
        )
    if kind is not None and kind not in found:
        raise ValueError(f"the log must hold feedback of the kind {kind!r}, got {', '.join(found) or 'none at all'}")
    return feedback if kind is None else feedback.filter(pl.col("kind") == kind)


def read_decisions(folder: Path, last: int | None = None) -> DecisionFrames:
    """Read the log of a folder, or only its `last` requests with what belongs to them.

    Raises FileNotFoundError where there is none, ValueError where it is no log.
    """
    connection, version = _reading(_there(folder))
    sides: list[tuple[Any, ...]] = []
    newest = "(SELECT id FROM decisions ORDER BY time DESC, id DESC LIMIT :last)"
    of, ours = ("", "") if last is None else (f" WHERE id IN {newest}", f" WHERE decision IN {newest}")
    told = {} if last is None else {"last": last}
    try:
        rows = connection.execute(
            f"{_select(connection, 'decisions', _COLUMNS)}{of} ORDER BY time, id", told
        ).fetchall()
        scores = _scores(connection, ours, told)
        if version >= _SIDES:
            sides = connection.execute(f"SELECT {', '.join(_SIDE)} FROM sides{of} ORDER BY time, id", told).fetchall()
    finally:
        connection.close()
    return DecisionFrames(_decisions(rows), _models(rows), _feedback(scores), _sides(sides))


def read_sides(folder: Path) -> tuple[DataFrame, DataFrame]:
    """The decisions on split traffic, with their status, model, chosen and cost, and the feedback on them.

    Raises as `read_decisions`.
    """
    import polars as pl

    connection, version = _reading(_there(folder))
    rows: list[tuple[Any, ...]] = []
    scores: list[tuple[Any, ...]] = []
    try:
        if version >= _SIDES:
            names = ", ".join(f"sides.{name}" for name in _SIDE)
            rows = connection.execute(
                f"SELECT {names}, status, model, chosen, cost FROM sides JOIN decisions USING (id)"
                " ORDER BY sides.time, sides.id"
            ).fetchall()
            scores = _scores(connection, " WHERE decision IN (SELECT id FROM sides)", {})
    finally:
        connection.close()
    more = dict.fromkeys(("status", "model", "chosen"), pl.String()) | {"cost": pl.Float64()}
    return pl.DataFrame(rows, schema={**_side_schema(), **more}, orient="row"), _feedback(scores)


def read_traffic(folder: Path, since: float) -> DataFrame:
    """How many requests a log has by hour, status, who served and who was to serve, and what they cost.

    hour  its beginning, seconds since 1970 (UTC); None for all that were before `since`
    cost  USD of those that are `priced`

    Raises as `read_decisions`.
    """
    import polars as pl

    connection, _ = _reading(_there(folder))
    try:
        rows = connection.execute(
            "SELECT CASE WHEN time >= ? THEN CAST(time / 3600 AS INTEGER) * 3600 END, status, model, chosen, COUNT(*),"
            " TOTAL(cost), COUNT(cost) FROM decisions GROUP BY 1, 2, 3, 4",
            (since,),
        ).fetchall()
    finally:
        connection.close()
    text, whole = pl.String(), pl.Int64()
    schema = {"hour": whole, "status": text, "model": text, "chosen": text, "requests": whole}
    return pl.DataFrame(rows, schema={**schema, "cost": pl.Float64(), "priced": whole}, orient="row")


def _there(folder: Path) -> Path:
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} must hold a {FILE}, got none; `llmrouterbench serve --log` makes one")
    return path


def _scores(connection: sqlite3.Connection, of: str, told: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    names = ("decision", "time", "score", "kind", "cost")
    return connection.execute(f"{_select(connection, 'feedback', names)}{of} ORDER BY time, rowid", told).fetchall()


def _select(connection: sqlite3.Connection, table: str, names: Sequence[str]) -> str:
    """A query for columns; NULL for those that an older schema does not have."""
    there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    return f"SELECT {', '.join(name if name in there else f'NULL AS {name}' for name in names)} FROM {table}"


def _reading(path: Path) -> tuple[sqlite3.Connection, int]:
    """A connection that reads only, and the schema. Raises ValueError for a file that is no log, or not a whole one."""
    uri, newest = f"{path.absolute().as_uri()}?mode=ro", path.with_name(f"{path.name}-wal")
    try:
        try:
            return _checked(sqlite3.connect(uri, uri=True, timeout=30.0), path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN:
                raise
            if newest.exists():
                raise ValueError(
                    f"{newest} holds rows that cannot be read on a read-only disk; copy the folder to another place"
                ) from error
            # SQLite wants to write lock files; where it cannot, nobody writes, and it can do without
            return _checked(sqlite3.connect(f"{uri}&immutable=1", uri=True), path)
    except sqlite3.Error as error:
        raise ValueError(f"{path} must be a decision log, got {error}") from error


def _decisions(rows: list[tuple[Any, ...]]) -> DataFrame:
    import polars as pl

    kinds = {"str": pl.String, "float": pl.Float64, "int": pl.Int64, "bool": pl.Boolean}
    schema = {
        field.name: kinds[str(field.type).partition(" ")[0]] for field in fields(Logged) if field.name not in _JSON
    }
    place = {name: _COLUMNS.index(name) for name in schema}
    columns = {name: [row[at] for row in rows] for name, at in place.items()}
    for name in ("ood", "shadow", "stream"):
        columns[name] = [bool(value) for value in columns[name]]
    count = [len(orjson.loads(row[_COLUMNS.index("attempts")])) for row in rows]
    return pl.DataFrame(columns, schema=schema).with_columns(pl.Series("attempts", count, dtype=pl.Int64))


def _models(rows: list[tuple[Any, ...]]) -> DataFrame:
    import polars as pl

    at = {name: _COLUMNS.index(name) for name in ("id", "propensities", "scores", "costs")}
    long = []
    for row in rows:
        propensities, scores, costs = (orjson.loads(row[at[name]]) for name in ("propensities", "scores", "costs"))
        names = dict.fromkeys([*propensities, *scores])
        long += [(row[at["id"]], m, propensities.get(m, 0.0), scores.get(m), costs.get(m)) for m in names]
    schema = {"id": pl.String, "model": pl.String, "propensity": pl.Float64, "score": pl.Float64, "cost": pl.Float64}
    return pl.DataFrame(long, schema=schema, orient="row")


def _feedback(rows: list[tuple[Any, ...]]) -> DataFrame:
    import polars as pl

    schema = {"id": pl.String, "time": pl.Float64, "score": pl.Float64, "kind": pl.String, "cost": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("kind").fill_null(KINDS[0]))
    return frame.unique(["id", "kind"], keep="last", maintain_order=True)


def _sides(rows: list[tuple[Any, ...]]) -> DataFrame:
    import polars as pl

    return pl.DataFrame(rows, schema=_side_schema(), orient="row")


def _side_schema() -> dict[str, Any]:
    import polars as pl

    return {name: pl.Float64() if name in ("time", "probability") else pl.String() for name in _SIDE}
