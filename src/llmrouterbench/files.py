"""Files that are either whole or not there: atomic writes, partial folders that a dead process left behind."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
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


def json_bytes(value: Any, option: int = 0) -> bytes:
    """JSON of plain values and arrays, those that are views of others too, with options of orjson. NaN becomes null.

    >>> json_bytes({"weights": np.arange(3.0)[::-1]})
    b'{"weights":[2.0,1.0,0.0]}'
    """
    return orjson.dumps(value, _as_list, option=option | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _as_list(value: Any) -> Any:
    """An array that does not lie in one piece, which orjson refuses, as a list."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"JSON must hold plain values, got a {type(value).__name__}; convert it first")


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, atomically. NaN becomes null."""
    write_bytes(path, json_bytes(value, orjson.OPT_INDENT_2) + b"\n")


def read_json(path: Path) -> Any:
    """Read JSON; a ValueError names the file when it is not JSON."""
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} must be JSON, got an unreadable file ({error}); write it again") from error


class Kind(NamedTuple):
    """What the users of a folder call it, the file that marks it, the command that makes it and those that take it."""

    noun: str
    file: str
    made: str
    taken: str


KINDS = {
    "llmrouterbench/outcomes": Kind("a folder of outcomes", "manifest.json", "import", "bench, advise or fit"),
    "llmrouterbench/replies": Kind("a folder of replies", "manifest.json", "collect", "score"),
    "llmrouterbench/runs": Kind("a folder of runs", "runs.json", "bench", "report"),
    "llmrouterbench/fitted-router": Kind("a fitted router", "manifest.json", "fit", "route, policies or serve"),
    "llmrouterbench/board": Kind("a board", "board.json", "board init", "board submit, check or update"),
    "llmrouterbench/router": Kind("a saved router", "router.json", "", "load_router"),
}
"""The folders that are read again, by the format that their marking file says."""


def read_marked(folder: Path, form: str, *schemas: int) -> dict[str, Any]:
    """What the marking file of a folder says. `form` is one of `KINDS`, its schema one of those given.

    Raises FileNotFoundError where no such folder is, ValueError where it is of another kind or schema; each says what
    lies there and which command takes that, or makes the right one.
    """
    kind = KINDS[form]
    found = _found(folder)
    if found != form:
        known = KINDS.get(found)
        got = f"{known.noun}, for {known.taken}" if known else found
        if not known and folder.is_dir():
            got = f"a folder without a {kind.file} that says so, or one that was never finished"
        remedy = f"make one with `llmrouterbench {kind.made}`" if kind.made else "make one with save_router"
        missing = ValueError if known or (folder / kind.file).is_file() else FileNotFoundError
        raise missing(f"{folder} must be {kind.noun}, got {got}; {remedy}")
    marked: dict[str, Any] = read_json(folder / kind.file)
    if marked.get("schema") not in schemas:
        wanted = " or ".join(map(str, schemas))
        raise ValueError(
            f"{folder} must have schema {wanted}, got {marked.get('schema')!r}; use the llmrouterbench that wrote it"
        )
    return marked


def _found(folder: Path) -> str:
    """The format of a folder, or what lies there instead, in words."""
    if not folder.is_dir():
        return "a file" if folder.exists() else "a link to nothing" if folder.is_symlink() else "nothing there"
    for name in sorted({kind.file for kind in KINDS.values()}):
        if (folder / name).is_file():
            marked = read_json(folder / name)
            return str(marked.get("format", "")) if isinstance(marked, dict) else ""
    return ""


def say_disk_full(error: OSError, path: Path) -> OSError:
    """Turn a full disk into a sentence; other errors pass unchanged."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return OSError(error.errno, f"the disk is full; nothing was changed, free some space and run again: {path}")


_FULL = ("have space left", "free some and run again, what was finished is kept")
_CLOSED = ("be open to this user", "change its rights or choose another place")
_REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EROFS: ("lie on a disk that can be written", "choose another place"),
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EEXIST: ("be a folder", "choose another place"),
    errno.ENOTDIR: ("lie in a folder", "choose another place"),
    errno.EISDIR: ("be a file", "name the file in it"),
    errno.ENOENT: ("be there", "give the path of what exists"),
    errno.ENAMETOOLONG: ("be shorter", "choose a shorter name"),
}
"""Error of the operating system -> what its file must be, and what to do."""


def say_plainly(error: OSError) -> str:
    """An error of the operating system as one sentence with a remedy; one that is a sentence already stays.

    >>> say_plainly(PermissionError(errno.EACCES, "Permission denied", "runs"))
    'runs must be open to this user, got "Permission denied"; change its rights or choose another place'
    """
    if error.errno is None or error.filename is None:
        return str(error.args[1] if len(error.args) > 1 else error)
    if error.errno not in _REMEDIES:
        return str(error)
    must, instead = _REMEDIES[error.errno]
    return f'{error.filename} must {must}, got "{error.strerror}"; {instead}'


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


@contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a partial folder to fill; it takes the name `path` when the block ends well, and is removed when not.

    A folder that is already at `path` stays untouched until then; where `path` is a link, the folder is made where it
    points. Raises FileExistsError when it may not be replaced. A process that dies leaves only a hidden
    `.NAME.partial-PID`, which the next call removes.
    """
    path = path.resolve() if path.is_symlink() else path
    check_free(path, overwrite)
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


def check_free(path: Path, overwrite: bool = False) -> None:
    """Refuse, before any work is done, a place where `new_folder` could not put its folder: FileExistsError."""
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{path} must be a folder or not exist yet, got a file there; choose another place")
    if path.is_dir() and not overwrite and any(path.iterdir()):
        raise FileExistsError(f"{path} must not exist yet, got a folder there; choose another or --overwrite")
    over = next((above for above in path.parents if above.exists()), path)
    if not over.is_dir():
        raise FileExistsError(f"{path} must lie in a folder, got a file at {over}; choose another place")


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
