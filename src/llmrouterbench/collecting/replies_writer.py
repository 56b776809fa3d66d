"""The one writer of a folder of replies; what the folder looks like is in `replies_store.py`."""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

import orjson

from llmrouterbench.collecting._folder_lock import FolderLock
from llmrouterbench.collecting.replies_store import (
    FORMAT,
    LOCK,
    REPLY_COLUMNS,
    SCHEMA,
    Prompted,
    items_path,
    read_items,
    read_replies_manifest,
    replies_path,
)
from llmrouterbench.files import say_disk_full, write_bytes, write_json
from llmrouterbench.replies import Reply

OPEN_FILES = 64
"""Files of replies that a writer keeps open."""


class RepliesWriter:
    """The one writer of a folder of replies; a context manager that holds the folder's lock.

    torn       lines that a killed writer left half written; they are cut off when the folder is opened
    in_flight  calls that were sent and had not ended when the last writer was killed
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
        self.in_flight = _in_flight(calls.read_bytes() if calls.is_file() else b"")
        self._calls = calls.open("wb", buffering=0)
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

    def write_items(self, dataset: str, prompted: Iterable[Prompted]) -> None:
        """Write the items of a dataset as they are now; those it no longer has are kept, for their replies.

        Raises ValueError when an item that was there has another prompt now.
        """
        path = items_path(self.folder, dataset)
        given = {entry.item.id: entry for entry in prompted}
        before = {entry.item.id: entry for entry in read_items(self.folder, dataset)} if path.is_file() else {}
        for name, entry in before.items():
            if name in given and given[name].prompt != entry.prompt:
                raise ValueError(
                    f"{path}: item {name!r} was collected with another prompt than dataset {dataset!r} has now;"
                    " collect into another folder"
                )
        whole = {**before, **given}
        rows = (orjson.dumps({**vars(entry.item), "prompt": entry.prompt}) + b"\n" for entry in whole.values())
        lines = b"".join(rows)
        if not path.is_file() or path.read_bytes() != lines:
            write_bytes(path, lines)

    def call(self, mark: Literal[b"+", b"-"]) -> None:
        """Note that a call was sent (+) or ended (-)."""
        self._calls.write(mark)

    def append(self, reply: Reply) -> None:
        """Add a reply; when this returns, a kill no longer loses it. A full disk is an OSError."""
        line = orjson.dumps({name: getattr(reply, name) for name in REPLY_COLUMNS}) + b"\n"
        try:
            _write_all(self._file(reply.dataset, reply.model), line)
        except OSError as error:
            raise say_disk_full(error, replies_path(self.folder, reply.dataset, reply.model)) from error

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
            for path in self._touched:
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        finally:
            self._calls.close()
            self._lock.release()


def _in_flight(log: bytes) -> int:
    return log.count(b"+") - log.count(b"-")


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
