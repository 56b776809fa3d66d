"""Pickles: a program that anybody can have written. They are opened in the sandbox, and only text comes out of it.

What comes out is a file as a stranger could have written it, and is read and checked as such.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from llmrouterbench.importers._detect import PICKLES, TABLES, is_pickle, no_pickle

if TYPE_CHECKING:
    from llmrouterbench.sandbox.session import Session

_PIECE, _SAID = 1 << 20, 200
_SECONDS, _A_SECOND = 60.0, 4 << 20
"""Seconds that every pickle has, and the bytes for which it has one more."""
_MEMORY = 12 << 30
"""Enough for the largest published file, RouterBench's raw table."""
_LEFT_FREE = 1 << 30
_ENDINGS = (b".csv", b".jsonl")


def unpickled(path: Path, folder: Path, shown: str) -> Path:
    """The table in a pickle as a file, or a folder of them for one whose tables are all pickles; else the path.

    Raises ValueError where no sandbox works on this machine, or where a pickle holds no table.
    """
    if path.is_file():
        return _opened(path, folder / path.stem, shown) if is_pickle(path) else path
    files = sorted(file for file in path.rglob("*") if file.is_file())
    pickles = [file for file in files if file.suffix.lower() in PICKLES]
    if not pickles or any(file.suffix.lower() in TABLES for file in files):
        return path
    for file in pickles:
        below = file.relative_to(path)
        _opened(file, folder / path.name / below.with_suffix(""), f"{shown}/{below}")
    return folder / path.name


def _opened(path: Path, to: Path, shown: str) -> Path:
    """The table in one pickle, as a file named `to` and an ending."""
    from llmrouterbench.sandbox.run import Limits, inside, open_sandbox

    try:
        memory = min(_MEMORY, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4)
        sandbox = open_sandbox(workers=1, limits=Limits(memory=memory, total=memory))
    except (OSError, AttributeError) as error:  # Windows has no sysconf either
        raise ValueError(no_pickle(shown, " where no sandbox works (docs/sandbox.md)")) from error
    to.parent.mkdir(parents=True, exist_ok=True)
    table = _Table(path, to)
    program = inside("wire", "pickle") + "main()\n"
    run = sandbox.run(program, table.listen, _SECONDS + path.stat().st_size / _A_SECOND, ("pyarrow",))
    if table.whole:
        return table.file
    why = run.stopped or table.why or (run.stderr.strip().splitlines() or ["it says nothing"])[-1]
    raise ValueError(f"{shown} must be a pickle of a table, got: {_printable(why)}")


class _Table:
    """What is heard of a table, and the file that it is written into."""

    def __init__(self, path: Path, to: Path) -> None:
        self.path, self.file, self.why, self.whole = path, to, "", False

    def listen(self, session: Session) -> None:
        """Send the pickle, and write what comes."""
        with self.path.open("rb") as source:
            messages = _answered(session, source)
            ending = next(messages)
            if ending not in _ENDINGS:
                self.why = ending.removeprefix(b"!").decode(errors="replace")
                return
            self.file = self.file.with_name(self.file.name + ending.decode())
            with self.file.open("wb") as file:
                for message in messages:
                    if message[:1] != b"=":
                        self.whole, self.why = not message, message[1:].decode(errors="replace")
                        return
                    if shutil.disk_usage(self.file.parent).free < _LEFT_FREE:
                        raise OSError(f"the disk is nearly full at {self.file.parent}; set $TMPDIR to another")
                    file.write(message[1:])


def _answered(session: Session, source: BinaryIO) -> Iterator[bytes]:
    """What the program says, but for its questions for the next piece."""
    while True:
        message = session.hear()
        if message == b"?":
            session.say(source.read(_PIECE))
        elif message == b"<":
            source.seek(0)
        else:
            yield message


def _printable(text: str) -> str:
    """A stranger's words in one short line."""
    return "".join(mark if mark.isprintable() else " " for mark in text)[:_SAID]
