"""The files of an official release, one by one: from the tar.gz itself (read once, nothing extracted) or a folder."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, cast

from isal import isal_zlib

MAX_BYTES = 1 << 30
"""A JSON file above this size is refused: the official ones are below 100 MB."""

_BLOCK = 1 << 20
_TAR_BLOCK = 512
_DAMAGE = (EOFError, cast(type[Exception], isal_zlib.IsalError), tarfile.TarError)
_GZIP = 31  # zlib's number for a gzip header and checksum


@dataclass(frozen=True)
class Member:
    """One file of a release.

    name   path inside the release
    read   gives its bytes, in whatever thread has time for it; None where it is no JSON file
    mtime  seconds since 1970
    done   bytes of the source up to its end
    """

    name: str
    read: Callable[[], bytes] | None
    mtime: int
    done: int


class _Hashed:
    """The bytes of a file in pieces, hashed on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sha256 = hashlib.sha256()
        self.done = 0

    def pieces(self) -> Iterator[bytes]:
        """All bytes, a megabyte at a time."""
        with self.path.open("rb") as file:
            while piece := file.read(_BLOCK):
                self.sha256.update(piece)
                self.done += len(piece)
                yield piece


def _unzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unzip a gzip file, which may consist of several, one behind the other, with zeros at the end."""
    unzip = isal_zlib.decompressobj(_GZIP)
    for zipped in pieces:
        while zipped:
            if unzip.eof:
                zipped = zipped.lstrip(b"\0")
                if not zipped:
                    break
                unzip = isal_zlib.decompressobj(_GZIP)
            yield unzip.decompress(zipped, 8 * _BLOCK)
            zipped = unzip.unconsumed_tail or unzip.unused_data
    while piece := unzip.decompress(b"", 8 * _BLOCK):
        yield piece
    if not unzip.eof:
        raise EOFError("the gzip stream has no end")


class _Stream:
    """Pieces as a file that is read once, from front to end: all that tarfile needs.

    The pieces are big, because unzipping lets other threads run and should not ask for its turn again too often.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")
        self._position = 0

    def read(self, size: int) -> bytes:
        """The next bytes: `size`, or fewer at the end."""
        taken = []
        while size > 0 and (self._piece or self._next_piece()):
            taken.append(self._piece[:size])
            self._piece = self._piece[size:]
            size -= len(taken[-1])
        data = b"".join(taken)
        self._position += len(data)
        return data

    def _next_piece(self) -> bool:
        """Go on to the next piece that is not empty."""
        self._piece = memoryview(next((piece for piece in self._pieces if piece), b""))
        return len(self._piece) > 0

    def seek(self, position: int) -> int:
        """Skip forward to a position."""
        while self._position < position and self.read(min(position - self._position, _BLOCK)):
            pass
        if self._position != position:
            raise EOFError(f"it ends at byte {self._position:,} of {position:,}")
        return position

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position


class ReleaseSource:
    """Iterates over the members of a release; `sha256` (of an archive) is known after the last one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sha256: str | None = None
        self.total = path.stat().st_size if path.is_file() else None

    def __iter__(self) -> Iterator[Member]:
        """Members; those of an archive are read one ahead in a thread: unzipping and parsing run side by side."""
        return _one_ahead(self._archive()) if self.path.is_file() else self._folder()

    def _folder(self) -> Iterator[Member]:
        done = 0
        for path in sorted(path for path in self.path.rglob("*") if path.is_file()):
            facts = path.stat()
            name = path.relative_to(self.path).as_posix()
            _check_size(self.path, name, facts.st_size)
            done += facts.st_size
            yield Member(name, path.read_bytes if _is_json(name) else None, int(facts.st_mtime), done)

    def _archive(self) -> Iterator[Member]:
        hashed = _Hashed(self.path)
        zipped = is_gzip(self.path)
        stream = _Stream(_unzipped(hashed.pieces()) if zipped else hashed.pieces())
        with _whole_archive(self.path):
            yield from self._members(stream, hashed)
            if not stream.read(_TAR_BLOCK):
                raise EOFError("the end-of-archive mark is missing")
            while stream.read(_BLOCK):
                pass  # to the end, so that the checksum of the gzip is verified and the hash is complete
        self.sha256 = hashed.sha256.hexdigest()

    def _members(self, stream: _Stream, hashed: _Hashed) -> Iterator[Member]:
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as archive:
            while (entry := archive.next()) is not None:
                _refuse_hostile(self.path, entry)
                if entry.isdir():
                    continue
                data = None
                if _is_json(entry.name):
                    _check_size(self.path, entry.name, entry.size)
                    stream.seek(entry.offset_data)
                    data = stream.read(entry.size)
                if data is not None and len(data) != entry.size:
                    raise EOFError(f"{entry.name} is cut")
                yield Member(entry.name, None if data is None else partial(bytes, data), int(entry.mtime), hashed.done)


def _one_ahead(members: Iterator[Member]) -> Iterator[Member]:
    with ThreadPoolExecutor(1, "release-reader") as pool:
        ahead = pool.submit(next, members, None)
        while (member := ahead.result()) is not None:
            ahead = pool.submit(next, members, None)
            yield member


def is_gzip(path: Path) -> bool:
    """Whether a file begins as a gzip file."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _is_json(name: str) -> bool:
    """Whether a member is a result file; `._x.json` is what macOS adds to archives."""
    return name.endswith(".json") and not PurePosixPath(name).name.startswith("._")


@contextmanager
def _whole_archive(path: Path) -> Iterator[None]:
    """Turn every way in which a tar.gz can be damaged into one sentence."""
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(
            f"{path} must be a whole tar.gz of result files, got one that is cut or damaged ({error});"
            " download it again, nothing was imported"
        ) from error


def _refuse_hostile(path: Path, entry: tarfile.TarInfo) -> None:
    """Refuse what no release holds and what an attacker might try, although nothing is ever extracted."""
    windows = PureWindowsPath(entry.name)
    outside = entry.name.startswith(("/", "\\")) or bool(windows.drive) or ".." in windows.parts
    plain = (entry.isreg() and not entry.issparse()) or entry.isdir()
    if outside or not plain:
        what = "a path that leads outside" if outside else "a link, a device or another special file"
        raise ValueError(
            f"{path} must hold plain files below its own folder, got the member {entry.name!r} ({what});"
            " nothing was imported, get the archive from a source you trust"
        )


def _check_size(path: Path, name: str, size: int) -> None:
    if _is_json(name) and size > MAX_BYTES:
        raise ValueError(
            f"{path}: a result file must be at most {MAX_BYTES:,} bytes, got {size:,} for {name!r};"
            " nothing was imported, remove or split that file"
        )
