"""The replies of a release on their way to the disk: a few files' replies in one part, written while others are read.

Queries are numbered by slot until all files are known, and by row of the table then.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from llmrouterbench.files import write_parquet
from llmrouterbench.store import part_path, write_replies
from llmrouterbench.table import IntArray

_PART_BYTES = 16 << 20
"""Size of the texts of a part: a part a file costs more time for its head and its file than for its texts."""


@dataclass(frozen=True)
class _Taken:
    """The replies (n,) of one result file to the queries of slot (n,)."""

    model: str
    slot: IntArray
    reply: pl.Series


@dataclass
class _Part:
    """A part that is closed: its slots, and the files (model, slot) in it that turned out not to count."""

    slot: IntArray
    dropped: list[tuple[str, IntArray]] = field(default_factory=list)


@dataclass
class ReplyParts:
    """Parts of the replies below `folder`, written by the threads of `pool`."""

    folder: Path
    pool: Executor
    _open: list[_Taken] = field(default_factory=list)
    _parts: list[_Part] = field(default_factory=list)
    _writes: list[Future[None]] = field(default_factory=list)

    def add(self, model: str, slot: IntArray, reply: pl.Series) -> int:
        """Take the replies of a file; returns the number of the part that will hold them.

        Raises what the writing of an earlier part raised.
        """
        self._open.append(_Taken(model, slot, reply))
        part = len(self._parts)
        if sum(taken.reply.estimated_size() for taken in self._open) >= _PART_BYTES:
            self._close_part()
        return part

    def drop(self, part: int, model: str, slot: IntArray) -> None:
        """Take back the replies of a file."""
        if part == len(self._parts):
            self._open = [taken for taken in self._open if taken.model != model or taken.slot is not slot]
        else:
            self._parts[part].dropped.append((model, slot))

    def _close_part(self) -> None:
        number, taken, self._open = len(self._parts), self._open, []
        self._parts.append(_Part(np.concatenate([file.slot for file in taken])))
        ended = [write for write in self._writes if write.done()]
        self._writes = [write for write in self._writes if write not in ended]
        for write in ended:
            write.result()
        self._writes.append(self.pool.submit(_write, self.folder, number, taken))

    def finish(self, row: IntArray) -> None:
        """Write the rest, and give every reply the row of its slot. Raises what the writing of a part raised."""
        if self._open:
            self._close_part()
        for write in self._writes:
            write.result()
        for number, part in enumerate(self._parts):
            path = part_path(self.folder, number)
            if path.is_file() and (part.dropped or not np.array_equal(row[part.slot], part.slot)):
                _rewrite(path, part, row)


def _write(folder: Path, number: int, taken: list[_Taken]) -> None:
    model = pl.concat([pl.repeat(file.model, len(file.slot), dtype=pl.String, eager=True) for file in taken])
    reply = pl.concat([file.reply for file in taken])
    write_replies(folder, number, np.concatenate([file.slot for file in taken]), model, reply)


def _rewrite(path: Path, part: _Part, row: IntArray) -> None:
    """Leave out what was dropped, and put row numbers in the place of slot numbers."""
    frame = pl.read_parquet(path)
    for model, slot in part.dropped:
        gone = pl.Series(slot.astype(np.uint32)).implode()
        frame = frame.filter(~((pl.col("model") == model) & pl.col("query").is_in(gone)))
    path.unlink()
    if frame.height:
        write_parquet(frame.with_columns(query=pl.Series(row[frame["query"].to_numpy()].astype(np.uint32))), path)
