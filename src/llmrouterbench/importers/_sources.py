"""Where a source lies and how it is packed: a path, standard input or an address; gzip, Zstandard, zip or UTF-16.

Readers see a plain file or folder. What was fetched or unpacked lies in a temporary folder ($TMPDIR) while it is read.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from llmrouterbench.files import say_disk_full
from llmrouterbench.importers._detect import NAMED, TABLES
from llmrouterbench.importers._pickles import unpickled

_PIECE = 1 << 22
_LEFT_FREE = 1 << 30
"""Unpacking stops where the disk has less: a small file can unpack to more than any disk holds."""
_PACKED = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst", b"PK\x03\x04": ".zip"}
_ENCODED = {b"\xff\xfe\x00\x00": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""First bytes of texts that are not UTF-8 and say so."""
_MAGIC = (
    (b"PAR1", ".parquet"), (b"ARROW1", ".arrow"), (b"\xff\xff\xff\xff", ".arrow"), (b"SQLite format 3", ".sqlite"),
    (b"[", ".json"), (b"{", ".jsonl"),
)  # fmt: skip
_WORTH_ANOTHER = frozenset({408, 429, *range(500, 600)})


@dataclass(frozen=True)
class Opened:
    """A source that can be read.

    path      plain file or folder
    shown     what the user calls it, without what an address says of its owner
    original  the file as it came, before it was unpacked
    """

    path: Path
    shown: str
    original: Path

    @property
    def name(self) -> str:
        """The last part of what the user calls it."""
        return PurePosixPath(self.shown).name if "://" in self.shown else self.original.resolve().name

    def said(self, text: str) -> str:
        """A sentence about the plain copy as one about the source."""
        return text.replace(str(self.path), self.shown)


@contextmanager
def opened(source: str | Path, pickles: bool = False) -> Iterator[Opened]:
    """A source, fetched and unpacked where it has to be. Errors raised in the block are said of the source.

    pickles   whether these are opened too, in the sandbox

    Raises FileNotFoundError where nothing is there, ConnectionError and PermissionError of addresses, ValueError where
    it cannot be unpacked, ImportError where an extra is missing.
    """
    with tempfile.TemporaryDirectory(prefix="llmrouterbench-") as folder:
        here, shown = _fetched(str(source), Path(folder) / "fetched")
        plain = _unpacked(here, Path(folder) / "unpacked", shown)
        found = Opened(unpickled(plain, Path(folder) / "unpickled", shown) if pickles else plain, shown, here)
        try:
            yield found
        except Exception as error:
            error.args = tuple(found.said(part) if isinstance(part, str) else part for part in error.args)
            raise


# --- fetching --------------------------------------------------------------------------------------------------------


def is_address(source: str | Path) -> bool:
    """Whether a source is not a path of this machine."""
    return str(source) == "-" or "://" in str(source)


def _fetched(source: str, folder: Path) -> tuple[Path, str]:
    """The path of a source, and what to call it."""
    if not is_address(source):
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"{source} must be a file or folder to import, got nothing there; check the path")
        return path, source
    folder.mkdir()
    if source == "-":
        path = folder / "standard input"
        with path.open("wb") as file:
            _copied(sys.stdin.buffer, file)
        return _named(path), "standard input"
    parts = urlsplit(source)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    ways: dict[str, Callable[[str, str, Path], Path]] = {"http": _web, "https": _web, "s3": _s3, "hf": _hub}
    if parts.scheme not in ways:
        raise ValueError(f"an address must begin with http, https, s3 or hf, got {shown}; download it and import that")
    path = ways[parts.scheme](source, shown, folder)
    return (_named(path) if path.parent == folder else path), shown


def _named(path: Path) -> Path:
    """The file under a name that tells its kind, where its own does not."""
    if path.is_dir() or path.suffix.lower() in (*TABLES, *NAMED, *_PACKED.values()):
        return path
    with path.open("rb") as file:
        head = file.read(4096)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    kind = next((suffix for magic, suffix in _MAGIC if (text if magic in b"[{" else head).startswith(magic)), ".csv")
    if head[:2] in _PACKED or head[:4] in _PACKED:
        return path
    return path.rename(path.with_name(path.name + kind))


def _web(source: str, shown: str, folder: Path) -> Path:
    import httpx2
    import stamina

    parts = urlsplit(source)
    path = folder / (PurePosixPath(unquote(parts.path)).name or parts.hostname or "page")
    try:
        for attempt in stamina.retry_context(_passes, attempts=4, timeout=None):
            with (
                attempt,
                httpx2.stream("GET", source, follow_redirects=True, timeout=60.0) as response,
                path.open("wb") as file,
            ):
                response.raise_for_status()
                for piece in response.iter_bytes(_PIECE):
                    file.write(piece)
    except httpx2.HTTPStatusError as error:
        raise _refused(shown, error.response.status_code) from error
    except (httpx2.RequestError, httpx2.InvalidURL) as error:
        raise ConnectionError(
            f"{shown} cannot be reached ({type(error).__name__}); check address and network"
        ) from error
    return path


def _passes(error: Exception) -> bool:
    import httpx2

    status = getattr(getattr(error, "response", None), "status_code", None)
    return status in _WORTH_ANOTHER or isinstance(error, httpx2.TransportError)


def _refused(shown: str, status: int) -> OSError:
    """The error to raise for a status."""
    if status in (401, 403):
        return PermissionError(f"{shown} must be open to you, got status {status}; check the token or key")
    if status in (404, 410):
        return FileNotFoundError(f"{shown} must be there, got status {status}; check the address")
    return ConnectionError(f"{shown} must be answered, got status {status}; try again later")


def _s3(source: str, shown: str, folder: Path) -> Path:
    """An object, or all below a prefix. Credentials, region and endpoint are found as the AWS tools do."""
    try:
        boto3, errors = import_module("boto3"), import_module("botocore.exceptions")
    except ImportError as error:
        raise ImportError(f"{shown} needs boto3; pip install 'llmrouterbench[s3]'") from error
    parts = urlsplit(source)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    try:
        client = boto3.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        below = [name for name in keys if name.startswith(key.rstrip("/") + "/" if key else "") and name[-1] != "/"]
        if key not in keys and not below:
            raise FileNotFoundError(f"{shown} must be there, got nothing; check bucket and key")
        alone = folder / PurePosixPath(key).name
        for name in [key] if key in keys else below:
            path = alone if name == key else folder / "objects" / name[len(key) :].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, name, str(path))
    except errors.ClientError as error:
        raise _refused(shown, error.response["ResponseMetadata"].get("HTTPStatusCode", 0)) from error
    except errors.BotoCoreError as error:
        raise ConnectionError(f"{shown} cannot be reached: {error}; check credentials, region and endpoint") from error
    return alone if key in keys else folder / "objects"


def _hub(source: str, shown: str, folder: Path) -> Path:
    """A file or folder of a dataset of the Hugging Face hub; it stays in the hub's own cache."""
    try:
        hub, errors = import_module("huggingface_hub"), import_module("huggingface_hub.errors")
    except ImportError as error:
        raise ImportError(f"{shown} needs huggingface_hub; pip install 'llmrouterbench[hub]'") from error
    kind, owner, name, *rest = [*source.removeprefix("hf://").split("/"), "", "", ""]
    repo, _, revision = name.partition("@")
    inside = "/".join(part for part in rest if part)
    if kind != "datasets" or not owner or not repo:
        raise ValueError(f"an address of the hub must be hf://datasets/OWNER/NAME/PATH, got {source}; write it so")
    of = {"repo_id": f"{owner}/{repo}", "repo_type": "dataset", "revision": revision or None}
    of |= {"endpoint": os.environ.get("HF_ENDPOINT") or None}
    try:
        if PurePosixPath(inside).suffix:
            return Path(hub.hf_hub_download(filename=inside, **of))
        whole = hub.snapshot_download(allow_patterns=f"{inside}/**" if inside else None, **of)
    except errors.LocalEntryNotFoundError as error:
        raise ConnectionError(f"{shown} cannot be reached; check network, $HF_ENDPOINT and $HF_HUB_OFFLINE") from error
    except errors.HfHubHTTPError as error:
        raise _refused(shown, error.response.status_code) from error
    except (ValueError, OSError) as error:  # what the hub's client lets through of names, network and offline mode
        raise ConnectionError(
            f"{shown} cannot be reached ({type(error).__name__}); check address and network"
        ) from error
    if not (Path(whole) / inside).is_dir():
        raise FileNotFoundError(f"{shown} must be a folder of the dataset, got nothing there; check the path")
    return Path(whole) / inside


# --- unpacking -------------------------------------------------------------------------------------------------------


def _unpacked(path: Path, folder: Path, shown: str) -> Path:
    """The path of the plain file or folder: the path itself where nothing is packed."""
    if path.is_dir():
        packed = {file for file in path.rglob("*") if file.is_file() and _packing(file)}
        return _unpacked_folder(path, packed, folder, shown) if packed else path
    packing = _packing(path)
    if not packing:
        return path
    folder.mkdir()
    return _unpacked_file(path, packing, folder, shown)


def _unpacked_folder(path: Path, packed: set[Path], folder: Path, shown: str) -> Path:
    """A folder of links to the plain files, with the packed ones unpacked."""
    for file in path.rglob("*"):
        if file.is_file():
            to = folder / path.name / file.relative_to(path)
            to.parent.mkdir(parents=True, exist_ok=True)
            if file in packed:
                _unpacked_file(file, _packing(file), to.parent, f"{shown}/{file.relative_to(path)}")
            else:
                _linked(file.resolve(), to)
    return folder / path.name


def _linked(file: Path, to: Path) -> None:
    try:
        to.symlink_to(file)
    except OSError:  # where links need rights
        shutil.copyfile(file, to)


def _packing(path: Path) -> str:
    """How a file is packed or encoded, by its first bytes; "" where it is not, or is a format of its own."""
    with path.open("rb") as file:
        head = file.read(4)
    packing = next((kinds[part] for kinds in (_PACKED, _ENCODED) for part in (head, head[:2]) if part in kinds), "")
    if packing == ".zip" and path.suffix.lower() in NAMED:
        return ""
    return "" if packing == ".gz" and _is_tar(path) else packing


def _is_tar(path: Path) -> bool:
    """Whether a gzip holds a tar, or is meant to."""
    if path.name.lower().endswith((".tar.gz", ".tgz")):
        return True
    try:
        with import_module("isal.igzip").open(path) as file:
            return bool(file.read(512)[257:262] == b"ustar")
    except (OSError, EOFError, zlib.error):
        return path.suffix.lower() != ".gz"  # damaged: the reader of releases says so


def _unpacked_file(path: Path, packing: str, folder: Path, shown: str) -> Path:
    """What is packed in a file: one file, or a folder where a zip holds several."""
    damaged = (OSError, EOFError, UnicodeError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)
    reader: Any = None
    if packing in (".gz", ".zst"):
        reader = import_module("isal.igzip") if packing == ".gz" else _zstandard(shown)
        damaged += (reader.ZstdError,) if packing == ".zst" else ()
    name = path.name.removesuffix(path.suffix) if path.suffix.lower() == packing else path.name
    try:
        if packing == ".zip":
            return _unzipped(path, folder / name)
        if packing in _ENCODED.values():
            with path.open(encoding=packing, newline="") as text, (folder / name).open("wb") as file:
                _copied(text, file)
            return folder / name
        with reader.open(path) as packed, (folder / name).open("wb") as file:
            _copied(packed, file)
    except damaged as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{shown} must be whole ({packing}), got: {error or 'its end is missing'}") from error
    return _named(folder / name)


def _zstandard(shown: str) -> Any:
    try:
        return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    except ImportError as error:
        raise ImportError(f"{shown} is packed with Zstandard; pip install 'llmrouterbench[tables]'") from error


def _unzipped(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = [one for one in archive.infolist() if not one.is_dir() and not _hidden(one.filename)]
        if not members:
            raise zipfile.BadZipFile("no file in it")
        for member in members:
            to = folder / PurePosixPath(member.filename.replace("\\", "/"))
            if not to.resolve().is_relative_to(folder.resolve()):
                raise zipfile.BadZipFile(f"a member outside of it, {member.filename!r}")
            to.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as packed, to.open("wb") as file:
                _copied(packed, file)
    return _named(to) if len(members) == 1 else folder


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) and part != ".." for part in PurePosixPath(name).parts)


def _copied(packed: Any, file: BinaryIO) -> None:
    """Copy all bytes, while the disk has room."""
    while piece := packed.read(_PIECE):
        piece = piece.encode() if isinstance(piece, str) else piece
        if shutil.disk_usage(os.path.dirname(file.name)).free < _LEFT_FREE:
            raise OSError(f"the disk is nearly full at {Path(file.name).parent}; unpack it elsewhere and import that")
        try:
            file.write(piece)
        except OSError as error:
            raise say_disk_full(error, Path(file.name)) from error
