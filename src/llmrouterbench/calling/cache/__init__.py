"""The cache: what was paid for once is never paid for again. SQLite by default, Redis or PostgreSQL by address.

A record is JSON (compressed, no pickle) under a key that covers everything that can change the reply. A lease keeps two
collectors from paying for the same query: who gets it asks the model, the others wait for the record.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import orjson

from llmrouterbench.calling.calls import Answer, Request
from llmrouterbench.calling.wire import encode_json, request_body
from llmrouterbench.files import say_disk_full

SCHEMA = 1
"""Raised when the meaning of a key or a record changes; older records are then not found."""

Record = dict[str, Any]
"""JSON with the keys schema, model, at (UTC, ISO 8601), cost (USD or null), price (as text, absent in older ones) and
answer (the fields of Answer)."""

PATIENCE = 300.0
"""Seconds that a cache waits for a server which was there and is away: it may be starting again."""

_NOT_IN_KEY = ("stream", "stream_options", "usage")


# --- keys and records ------------------------------------------------------------------------------------------------


def key(request: Request, url: str) -> str:
    """Hex digest (32 characters) of everything that can change the reply of the server at `url`; no secret is in it.

    Address, model, messages with the bytes of their images, decoding settings, provider pin, extra body and schema.
    How the reply travels (stream) and how usage is told are no part of it, nor is the endpoint's name in the config.

    >>> key(Request("a", "m"), "http://localhost:1/v1/") == key(Request("b", "m", stream=True), "http://LOCALHOST:1/v1")
    True
    >>> key(Request("a", "m"), "http://localhost:1/v1") == key(Request("a", "m", top_p=0.9), "http://localhost:1/v1")
    False
    """
    body = request_body(request, url)
    for name in _NOT_IN_KEY:
        body.pop(name, None)
    whole = {"schema": SCHEMA, "url": _plain(url), "body": body}
    return hashlib.blake2b(encode_json(whole, sorted_keys=True), digest_size=16).hexdigest()


def _plain(url: str) -> str:
    """An address without user, query, capitals in the host, or a slash at its end."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{parts.scheme.lower()}://{host}{parts.path.rstrip('/')}" if host else ""


def record_of(answer: Answer, model: str, cost: float | None, price: str = "") -> Record:
    """What is kept of an answer; `model` is the id that was asked for, `cost` and `price` are those of a `Paid`."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"schema": SCHEMA, "model": model, "at": at, "cost": cost, "price": price, "answer": dict(vars(answer))}


def answer_of(record: Record) -> Answer:
    """The answer in a record."""
    known = {field.name for field in fields(Answer)}
    return Answer(**{name: value for name, value in record["answer"].items() if name in known})


def pack(record: Record) -> bytes:
    """A record as compressed JSON."""
    return zlib.compress(orjson.dumps(record), 1)


def unpack(data: bytes) -> Record | None:
    """The record in some bytes, None where they are not one (damaged, or of another schema).

    >>> unpack(pack({"schema": 1, "model": "m", "at": "", "answer": {"text": "42"}}))["answer"]
    {'text': '42'}
    >>> unpack(b"damaged") is None
    True
    """
    try:
        record = orjson.loads(zlib.decompress(data))
    except (zlib.error, orjson.JSONDecodeError):
        return None
    if not isinstance(record, Mapping) or record.get("schema") != SCHEMA:
        return None
    if not isinstance(record.get("answer"), Mapping) or not isinstance(record["answer"].get("text"), str):
        return None
    return dict(record)


# --- the contract ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CacheStats:
    """What a cache holds: records, compressed bytes, records by model; and the damaged ones that this object met."""

    records: int
    bytes: int
    models: dict[str, int]
    corrupt: int


class Cache(Protocol):
    """Records under keys, safe with many threads and processes; a damaged record counts as absent and is removed.

    Every method raises OSError where the store cannot be read or written. `leases.py` is how a question uses it.

    remote  whether a call goes over the network and may take long
    """

    remote: bool = False

    def get(self, key: str) -> Record | None:
        """The record under a key."""

    def put(self, key: str, record: Record) -> None:
        """Keep a record, in place of an older one; ends the lease."""

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Lease a key without a record; False where another owner has it or a record is there. The owner may renew."""

    def release(self, key: str, owner: str) -> None:
        """End a lease of one's own without a record."""

    def stats(self) -> CacheStats:
        """What the cache holds."""

    def records(self) -> Iterator[tuple[str, Record]]:
        """Every key with its record."""

    def prune(self, *, older_than: float | None = None, model: str | None = None) -> int:
        """Remove records older than some seconds, of one model, or both at once; how many went."""

    def close(self) -> None:
        """End the connection."""

    def export(self, path: Path) -> int:
        """Write every record as a line of JSON (key first), whole or not at all; how many."""
        count = 0
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                for name, record in self.records():
                    file.write(orjson.dumps({"key": name, **record}) + b"\n")
                    count += 1
            partial.replace(path)
        except OSError as error:
            raise say_disk_full(error, path) from error
        finally:
            partial.unlink(missing_ok=True)
        return count

    def load(self, path: Path) -> tuple[int, int]:
        """Keep the records of a file that `export` wrote where their keys are new; how many are, and how many are not.

        Raises ValueError for a line that is no record, before anything is kept.
        """
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                _record_in(line, path, number)
            file.seek(0)
            came = stayed = 0
            for number, line in enumerate(file, 1):
                name, record = _record_in(line, path, number)
                if self.get(name) is None:
                    self.put(name, record)
                    came += 1
                else:
                    stayed += 1
        return came, stayed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _record_in(line: bytes, path: Path, number: int) -> tuple[str, Record]:
    """A key and its record as a line of a file. Raises ValueError."""
    try:
        record = orjson.loads(line)
        name = record.pop("key")
        whole = unpack(pack(record))
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        name, whole = "", None
    if whole is None or not isinstance(name, str) or not isinstance(whole.get("model"), str):
        said = line[:60].decode("utf-8", "replace").strip()
        what = f"a record of schema {SCHEMA} as `cache export` writes it"
        raise ValueError(f"{path}:{number} must be {what}, got {said!r}")
    return name, whole


def open_cache(address: str | Path) -> Cache:
    """The cache at an address: redis://HOST, postgresql://HOST/DATABASE, or the path of a SQLite file.

    Raises ValueError for another scheme, ConnectionError where no server answers, ImportError without the extra.
    """
    text = str(address)
    scheme = text.partition("://")[0] if "://" in text else ""
    if scheme in ("redis", "rediss", "unix"):
        from llmrouterbench.calling.cache.redis import RedisCache

        return RedisCache(text)
    if scheme in ("postgresql", "postgres"):
        from llmrouterbench.calling.cache.postgres import PostgresCache

        return PostgresCache(text)
    if scheme:
        raise ValueError(f"a cache must be a path, redis:// or postgresql://, got {scheme}://")
    from llmrouterbench.calling.cache.sqlite import SqliteCache

    return SqliteCache(Path(text))


def check_prune(older_than: float | None, model: str | None) -> None:
    """Refuse a prune that would remove everything by an oversight."""
    if older_than is None and model is None:
        raise ValueError("prune must be told what to remove, got neither an age nor a model")
