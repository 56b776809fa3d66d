"""Download the official release: the pinned file, resumed where it was cut, checked to the last byte.

The hub's own client names the address, the headers and the facts of the file. The bytes are streamed here, because
`hf_hub_download` (huggingface_hub 2.4) throws a partial file away when it fails or is stopped.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import httpx2
import stamina

from llmrouterbench.files import say_disk_full

Progress = Callable[[str, int, int], None]
"""Called with ("download" or "verify", bytes so far, bytes in all)."""

_PIECE = 1 << 20
_TRANSIENT = frozenset({408, 429, *range(500, 600)})


@dataclass(frozen=True)
class Bundle:
    """One file of one revision of a Hugging Face dataset, with its size and sha256."""

    repo: str
    revision: str
    file: str
    bytes: int
    sha256: str


OFFICIAL = Bundle(
    repo="NPULH/LLMRouterBench",
    revision="0e5af1b84bf73437a01a1849c0f1d2468baa93fc",
    file="bench-release.tar.gz",
    bytes=1_283_503_080,
    sha256="b79f8cde1a6f029c2efa663a3a3b6f7748defb22341fe59f328cebef6648c8f1",
)
"""The official release: 700 JSON files, 548,059 records."""


def fetch(
    to: Path,
    *,
    bundle: Bundle = OFFICIAL,
    endpoint: str | None = None,
    progress: Progress | None = None,
    attempts: int = 6,
) -> Path:
    """Download a bundle into the folder `to`, unless it is there already, and return the path of the file.

    endpoint  address of the hub; None means $HF_ENDPOINT, else huggingface.co
    attempts  tries in a row without a new byte before giving up

    A download that was cut, by the network or by Ctrl-C, continues where it stopped. Raises ImportError without
    huggingface_hub, ConnectionError where the hub cannot be reached, FileNotFoundError where it lacks the file,
    ValueError when size or sha256 differ (the wrong file is kept as *.bad), OSError when the disk is too small.
    """
    hub = _needs_hub()
    path = to / bundle.file
    if path.exists():
        _check_present(path, bundle, progress)
        return path
    to.mkdir(parents=True, exist_ok=True)
    partial = to / f".{bundle.file}.{bundle.sha256[:12]}.partial"
    _check_space(to, partial, bundle)
    if _size(partial) < bundle.bytes:
        with _explained(bundle):
            url, headers = _locate(hub, bundle, endpoint, attempts)
            _download(url, headers, partial, bundle, progress, attempts)
    _verify(partial, path, bundle, progress)
    partial.replace(path)
    return path


def _needs_hub() -> ModuleType:
    try:
        return import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise ImportError(f"fetch needs huggingface_hub; pip install 'llmrouterbench[hub]', or {_by_hand()}") from error


def _by_hand(bundle: Bundle = OFFICIAL) -> str:
    """How to do without this command."""
    return (
        f"download https://huggingface.co/datasets/{bundle.repo}/resolve/{bundle.revision}/{bundle.file}"
        f" ({bundle.bytes:,} bytes, sha256 {bundle.sha256}) on a machine that can,"
        " and run `llmrouterbench import FILE --to DIR`"
    )


def _check_present(path: Path, bundle: Bundle, progress: Progress | None) -> None:
    size = path.stat().st_size
    if size != bundle.bytes or _sha256(path, progress) != bundle.sha256:
        raise ValueError(
            f"{path} must be the pinned file ({bundle.bytes:,} bytes, sha256 {bundle.sha256}),"
            f" got another of {size:,} bytes; move it away or choose another folder"
        )


def _check_space(to: Path, partial: Path, bundle: Bundle) -> None:
    needed = bundle.bytes - _size(partial)
    free = shutil.disk_usage(to).free
    if free < needed:
        raise OSError(f"{to} must have {needed:,} bytes free for the download, got {free:,}; choose another folder")


@contextmanager
def _explained(bundle: Bundle) -> Iterator[None]:
    """Turn the hub's and the network's errors into one sentence with a way out."""
    errors = import_module("huggingface_hub.errors")
    try:
        yield
    except (errors.HfHubHTTPError, httpx2.HTTPStatusError) as error:
        raise _refusal(error.response.status_code, bundle) from error
    except errors.OfflineModeIsEnabled as error:
        raise ConnectionError(f"$HF_HUB_OFFLINE forbids the download; unset it, or {_by_hand(bundle)}") from error
    except httpx2.RequestError as error:
        raise ConnectionError(
            f"the Hugging Face hub cannot be reached ({type(error).__name__}); run the command again to continue where"
            f" it stopped, or {_by_hand(bundle)}"
        ) from error


def _refusal(status: int, bundle: Bundle) -> OSError:
    """The error to raise for a status of the hub."""
    if status in _TRANSIENT:
        return ConnectionError(
            f"the Hugging Face hub answered status {status}; try again later (what came is kept), or {_by_hand(bundle)}"
        )
    if status in (401, 403):
        return PermissionError(
            f"the Hugging Face hub refused access to {bundle.repo} (status {status}); check $HF_TOKEN, or"
            f" {_by_hand(bundle)}"
        )
    return FileNotFoundError(
        f"the Hugging Face hub must hold {bundle.file} in dataset {bundle.repo} at {bundle.revision[:12]},"
        f" got status {status}; look for a newer llmrouterbench"
    )


def _locate(hub: ModuleType, bundle: Bundle, endpoint: str | None, attempts: int) -> tuple[str, dict[str, str]]:
    """Address and headers of the download, after comparing what the hub says about the file with the bundle."""
    url = hub.hf_hub_url(
        bundle.repo, bundle.file, repo_type="dataset", revision=bundle.revision, endpoint=endpoint
    )  # fmt: skip
    for attempt in stamina.retry_context(_worth_another, attempts=attempts, timeout=None):
        with attempt:
            facts = hub.get_hf_file_metadata(url, endpoint=endpoint)
    size, etag = facts.size, facts.etag or ""
    other_hash = len(etag) == 64 and etag != bundle.sha256  # the etag of a large file is its sha256
    if size not in (None, bundle.bytes) or other_hash:
        raise ValueError(
            f"the hub must offer {bundle.file} with {bundle.bytes:,} bytes and sha256 {bundle.sha256},"
            f" got {size:,} bytes and {etag}; nothing was downloaded, look for a newer llmrouterbench"
        )
    headers = import_module("huggingface_hub.utils").build_hf_headers(library_name="llmrouterbench")
    return url, {**headers, "Accept-Encoding": "identity"}


def _worth_another(error: Exception) -> bool:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status in _TRANSIENT or isinstance(error, httpx2.TransportError)


def _download(
    url: str, headers: dict[str, str], partial: Path, bundle: Bundle, progress: Progress | None, attempts: int
) -> None:
    """Fill the partial file. Only tries that bring no new byte count as failed."""
    with httpx2.Client(headers=headers, follow_redirects=True, timeout=30.0) as client:
        while _size(partial) < bundle.bytes:
            for attempt in stamina.retry_context(_worth_another, attempts=attempts, timeout=None, wait_max=20.0):
                with attempt:
                    _continue(client, url, partial, bundle, progress)


def _continue(client: httpx2.Client, url: str, partial: Path, bundle: Bundle, progress: Progress | None) -> None:
    """Append what one connection brings. Raises a transport error when that is nothing."""
    start = _size(partial)
    try:
        with (
            client.stream("GET", url, headers={"Range": f"bytes={start}-"}) as response,
            partial.open("r+b" if start else "wb") as file,
        ):
            response.raise_for_status()
            file.seek(_first_byte(response, start))
            _copy(response, file, partial, bundle, progress)
    except httpx2.TransportError:
        if _size(partial) <= start:
            raise
    if _size(partial) <= start:
        raise httpx2.RemoteProtocolError(f"the connection brought no byte after {start:,}")


def _first_byte(response: httpx2.Response, start: int) -> int:
    """Where the body of the answer begins in the file: a server may ignore the range and begin at 0."""
    if response.status_code != 206:
        return 0
    if not response.headers.get("content-range", "").startswith(f"bytes {start}-"):
        raise httpx2.RemoteProtocolError(f"the server sent another range than the one from {start:,}")
    return start


def _copy(response: httpx2.Response, file: BinaryIO, partial: Path, bundle: Bundle, progress: Progress | None) -> None:
    """Write the body to the file, and stop when it is larger than it should be."""
    try:
        for piece in response.iter_raw():
            file.write(piece)
            if progress is not None:
                progress("download", min(file.tell(), bundle.bytes), bundle.bytes)
            if file.tell() > bundle.bytes:
                return
    except OSError as error:
        raise say_disk_full(error, partial) from error


def _verify(partial: Path, path: Path, bundle: Bundle, progress: Progress | None) -> None:
    """Check size and sha256; a wrong file is put aside."""
    size = _size(partial)
    found = _sha256(partial, progress) if size == bundle.bytes else "not computed"
    if found != bundle.sha256:
        bad = path.with_name(f"{path.name}.bad")
        partial.replace(bad)
        raise ValueError(
            f"the download must have {bundle.bytes:,} bytes and sha256 {bundle.sha256}, got {size:,} bytes and"
            f" {found}; it is kept as {bad}, run the command again for a fresh one"
        )


def _sha256(path: Path, progress: Progress | None) -> str:
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while piece := file.read(4 * _PIECE):
            digest.update(piece)
            done += len(piece)
            if progress is not None:
                progress("verify", done, total)
    return digest.hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
