"""Files that are either whole or not there: atomic writes, partial folders that a dead process left behind."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import platformdirs

if TYPE_CHECKING:
    from polars import DataFrame

_WINDOWS_DISK_FULL = "112"


def cache_folder() -> Path:
    """Where vectors and downloads are cached: $LLMROUTERBENCH_CACHE, or the user's cache folder of this platform."""
    chosen = os.environ.get("LLMROUTERBENCH_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("llmrouterbench")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise say_disk_full(error, path) from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, atomically. NaN becomes null."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    write_bytes(path, orjson.dumps(value, option=options) + b"\n")


def read_json(path: Path) -> Any:
    """Read JSON; a ValueError names the file when it is not JSON."""
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} must be JSON, got an unreadable file ({error}); write it again") from error


def say_disk_full(error: OSError, path: Path) -> OSError:
    """Turn a full disk into a sentence; other errors pass unchanged."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return OSError(error.errno, f"the disk is full; nothing was changed, free some space and run again: {path}")


def write_parquet(frame: DataFrame, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a Parquet file. A full disk is an OSError, as everywhere else; polars has an error of its own for it."""
    from polars.exceptions import ComputeError

    try:
        frame.write_parquet(path, compression="zstd", compression_level=1, statistics=False, metadata=metadata)
    except ComputeError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        code = errno.ENOSPC if number[1] == _WINDOWS_DISK_FULL else int(number[1])
        raise OSError(code, os.strerror(code), str(path)) from error


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source_of(thing: Any) -> str:
    """Hex sha256 over the Python files of the package or module that defines a function or a class.

    "" for our own, whose version counts, and where there is no file.

    >>> source_of(source_of), len(source_of(hashlib.sha256)) % 64
    ('', 0)
    """
    name = str(getattr(getattr(thing, "func", thing), "__module__", None) or type(thing).__module__)
    top = sys.modules.get(name.partition(".")[0])
    if top is None or top.__name__ == __name__.partition(".")[0] or not getattr(top, "__file__", None):
        return ""
    file = Path(str(top.__file__))
    files = sorted(file.parent.rglob("*.py")) if hasattr(top, "__path__") else [file]
    return hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()


@contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a partial folder to fill; it takes the name `path` when the block ends well, and is removed when not.

    A folder that is already at `path` stays untouched until then. Raises FileExistsError when it may not be replaced.
    A process that dies leaves only a hidden `.NAME.partial-PID`, which the next call removes.
    """
    if path.exists() and not overwrite and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} must not exist yet, got a file or folder there; choose another or --overwrite")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        yield partial
        _swap(partial, path)
    except OSError as error:
        raise say_disk_full(error, path) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap(partial: Path, path: Path) -> None:
    """Put `partial` in the place of `path`; the old folder goes last."""
    old = path.with_name(f".{path.name}.old-{os.getpid()}")
    if path.exists():
        path.replace(old)
    partial.replace(path)
    shutil.rmtree(old, ignore_errors=True)


def remove_abandoned(path: Path) -> None:
    """Remove partial folders next to `path` whose process is gone; put an old folder back if a swap was cut."""
    for leftover in path.parent.glob(f".{path.name}.*-*"):
        kind, _, pid = leftover.name[len(path.name) + 2 :].rpartition("-")
        if kind not in ("partial", "old") or not pid.isdigit() or _alive(int(pid)):
            continue
        if kind == "old" and not path.exists():
            leftover.replace(path)
        elif leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
