"""The one writer of a folder of replies; what the folder looks like is in `replies_store.py`."""

from __future__ import annotations

import os
import re
import uuid
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self
from urllib.parse import unquote

import orjson
import polars as pl

from llmrouterbench.collecting._folder_lock import FolderLock
from llmrouterbench.collecting.replies_store import (
    FORMAT,
    LOCK,
    REPLY_COLUMNS,
    SCHEMA,
    TAKEN_BACK,
    Edits,
    Prompted,
    edits,
    item_line,
    items_path,
    last_lines,
    left_path,
    read_item_lines,
    read_replies_manifest,
    replies_path,
    reply_lines,
    stored_datasets,
)
from llmrouterbench.files import say_disk_full, write_bytes, write_json
from llmrouterbench.replies import Reply

_MARKS = (b"=", b"+", b"~", b"-")
OPEN_FILES = 64
"""Files of replies that a writer keeps open."""


class RepliesWriter:
    """The one writer of a folder of replies; a context manager that holds the folder's lock.

    torn       lines that a killed writer left half written; they are cut off when the folder is opened
    in_flight  calls that were sent and had not ended when the last writer was killed
    orphaned   USD that such calls of all writers may have cost
    owner      a name that stays the folder's own, for leases in a cache

    Raises BlockingIOError where another process is writing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(folder / LOCK)
        self._open: OrderedDict[tuple[str, str], IO[bytes]] = OrderedDict()
        self._touched: set[Path] = set()
        self.torn = sum(_cut_torn_line(path) for path in sorted(folder.glob("replies/*/*.jsonl")))
        calls = folder / "calls.log"
        self.in_flight, self.orphaned = _under_way(calls.read_bytes() if calls.is_file() else b"")
        write_bytes(calls, f"={self.orphaned:.9f};".encode() if self.orphaned else b"")
        self._calls = calls.open("ab", buffering=0)
        self.owner = _owner(folder / "owner")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write_manifest(self, config: Mapping[str, Any], config_hash: str, models: Mapping[str, str]) -> None:
        """Write the manifest: the config, its hash, and model -> fingerprint of what its replies depend on.

        Models that the folder has and the config does not name stay. Raises ValueError for a model that was collected
        with other settings.
        """
        path = self.folder / "manifest.json"
        before = read_replies_manifest(self.folder)["models"] if path.is_file() else {}
        for name, fingerprint in models.items():
            if before.get(name, fingerprint) != fingerprint:
                raise ValueError(
                    f"{self.folder} holds replies of model {name!r} that were collected with other settings;"
                    " give the model another name, or collect into another folder"
                )
        manifest = {
            "format": FORMAT,
            "schema": SCHEMA,
            "config_hash": config_hash,
            "models": {**before, **models},
            "source": {"kind": "collected"},
            "config": dict(config),
        }
        write_json(path, manifest)

    def write_questions(self, questions: Mapping[str, Sequence[Prompted]]) -> None:
        """Make the items of every dataset those that are asked now.

        Replies to a question that is asked otherwise now are taken back; items and datasets that are no longer asked
        leave the folder's items, and their replies stay.
        """
        for dataset in dict.fromkeys((*questions, *stored_datasets(self.folder))):
            asked = questions.get(dataset, ())
            changed = edits(self.folder, dataset, asked)
            if changed:
                self._write_items(dataset, asked, changed)

    def _write_items(self, dataset: str, asked: Sequence[Prompted], changed: Edits) -> None:
        """Replies first, then items that leave, then those that stay: a kill leaves no reply to another question."""
        path, left = items_path(self.folder, dataset), left_path(self.folder, dataset)
        self._take_back(dataset, changed.otherwise)
        if changed.left:
            self._write(left, (*read_item_lines(left), *read_item_lines(path)))
        if asked:
            self._write(path, asked)
        else:
            path.unlink()

    def _write(self, path: Path, items: Iterable[Prompted]) -> None:
        """One line an item; of two with the same id the later one."""
        write_bytes(path, b"".join(map(item_line, {entry.item.id: entry for entry in items}.values())))

    def _take_back(self, dataset: str, items: Collection[str]) -> None:
        """Append to every model's replies that those to these items no longer count."""
        for path in sorted(replies_path(self.folder, dataset, "").parent.glob("*.jsonl")) if items else ():
            model = unquote(path.stem)
            last = last_lines(reply_lines(self.folder, dataset, model))
            for item in last.filter(pl.col("item").is_in(list(items)))["item"]:
                self.append(Reply(dataset, item, model, "", "failed", TAKEN_BACK, cost=0.0, attempts=0))
        self._sync()

    def call(self, mark: Literal["+", "~", "-"], usd: float) -> None:
        """Note that a call was sent (+) or ended (-), and what it may cost; or that it may cost more by so much (~)."""
        self._calls.write(f"{mark}{usd:.9f};".encode())

    def append(self, reply: Reply) -> None:
        """Add a reply; when this returns, a kill no longer loses it. A full disk is an OSError."""
        try:
            _write_all(self._file(reply.dataset, reply.model), _line(reply))
        except OSError as error:
            raise say_disk_full(error, replies_path(self.folder, reply.dataset, reply.model)) from error

    def rewrite(self, dataset: str, model: str, replies: Iterable[Reply]) -> None:
        """Put other lines in the place of all of a model on a dataset, at once; before anything is appended."""
        write_bytes(replies_path(self.folder, dataset, model), b"".join(map(_line, replies)))

    def _file(self, dataset: str, model: str) -> IO[bytes]:
        """The file, open for appending; the one that was used longest ago is closed when there are too many."""
        if (dataset, model) in self._open:
            self._open.move_to_end((dataset, model))
            return self._open[dataset, model]
        path = replies_path(self.folder, dataset, model)
        path.parent.mkdir(parents=True, exist_ok=True)
        if len(self._open) >= OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        self._touched.add(path)
        self._open[dataset, model] = path.open("ab", buffering=0)
        return self._open[dataset, model]

    def close(self) -> None:
        """Bring what was written to the disk and give up the lock."""
        try:
            for file in self._open.values():
                file.close()
            self._sync()
        finally:
            self._calls.close()
            self._lock.release()

    def _sync(self) -> None:
        """Bring appended replies to the disk."""
        for path in self._touched:
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def _under_way(log: bytes) -> tuple[int, float]:
    """Calls that were sent and did not end, and USD that they, and those of writers before, may have cost.

    >>> _under_way(b"=0.500000000;+0.250000000;+0.250000000;~0.250000000;-0.250000000;+0.1")
    (2, 1.0)
    """
    dollars = {mark: sum(float(usd) for usd in re.findall(rb"%b([0-9.]+);" % re.escape(mark), log)) for mark in _MARKS}
    may_cost = max(0.0, dollars[b"="] + dollars[b"+"] + dollars[b"~"] - dollars[b"-"])
    return log.count(b"+") - log.count(b"-"), round(may_cost, 9)


def _line(reply: Reply) -> bytes:
    return orjson.dumps({name: getattr(reply, name) for name in REPLY_COLUMNS}) + b"\n"


def _owner(path: Path) -> str:
    """A name for the folder, made once."""
    if not path.is_file():
        write_bytes(path, uuid.uuid4().hex.encode())
    return path.read_text(encoding="ascii")


def _write_all(file: IO[bytes], data: bytes) -> None:
    """Write every byte; a raw file may take fewer at once, as on a disk that is nearly full."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _cut_torn_line(path: Path) -> int:
    """Cut off what a killed process left after the last whole line; 1 where there was something."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end, step = size, 1 << 16
        while end > 0:
            start = max(0, end - step)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            file.truncate(end)
        return int(end < size)
