"""A fitted router on disk: one folder without pickle, in which every byte is checked before anything is used.

manifest.json      what it is: models, data, versions, how it was fitted, sha256 of every other file
manifest.sha256    sha256 of manifest.json, in the form that `sha256sum -c` reads
router/            the router (persist.py)
embedder/          the embedder: what it learned, or the name and the key of a pretrained one
learned.json, learned.npz  calibration, policies, novelty, the calibration slice

`llmrouterbench fit` draws reliability.svg, .png and .csv beside them; nothing reads these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from llmrouterbench.contracts import Router
from llmrouterbench.embedders import Embedder, make_embedder
from llmrouterbench.embedders.tfidf import TfidfSvd
from llmrouterbench.files import new_folder, read_json, read_marked, sha256_of, write_bytes, write_json
from llmrouterbench.persist import from_plain, load_router, save_router, to_plain
from llmrouterbench.production.learned import Learned

FORMAT = "llmrouterbench/fitted-router"
SCHEMA = 1
_REMEDY = "copy the folder again or make it with `llmrouterbench fit`"


def write_fitted(
    folder: Path,
    router: Router,
    embedder: Embedder,
    learned: Learned,
    facts: dict[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Store everything. `facts` holds the embedder's spec and what is to be known about the fit."""
    with new_folder(folder, overwrite) as partial:
        save_router(router, partial / "router")
        _write_embedder(embedder, facts["embedder"], partial / "embedder")
        state, arrays = to_plain(learned, "learned")
        write_json(partial / "learned.json", state)
        np.savez(partial / "learned.npz", **arrays)  # type: ignore[arg-type]
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        digests = {path.relative_to(partial).as_posix(): sha256_of(path) for path in files}
        write_json(partial / "manifest.json", {"format": FORMAT, "schema": SCHEMA, **facts, "files": digests})
        write_bytes(partial / "manifest.sha256", _checksum(partial / "manifest.json"))


def read_fitted(folder: Path) -> tuple[Router, Embedder, Learned, dict[str, Any]]:
    """Router, embedder, what was learned, and the manifest.

    Raises FileNotFoundError where there is none, ValueError where a byte was changed or the version is another.
    """
    manifest = checked_manifest(folder)
    router = load_router(folder / "router")
    embedder = _read_embedder(folder / "embedder")
    with np.load(folder / "learned.npz", allow_pickle=False) as arrays:
        learned = from_plain(read_json(folder / "learned.json"), {name: arrays[name] for name in arrays.files})
    return router, embedder, learned, manifest


def checked_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, after checking the sha256 of every file it names."""
    manifest = read_marked(folder, FORMAT, SCHEMA)
    path, checksum = folder / "manifest.json", folder / "manifest.sha256"
    if not checksum.is_file() or checksum.read_bytes() != _checksum(path):
        raise ValueError(f"{path} must have the sha256 that manifest.sha256 says, got another; {_REMEDY}")
    for name, digest in manifest["files"].items():
        file = folder / name
        if not file.is_file() or sha256_of(file) != digest:
            raise ValueError(f"{file} must be the file that was fitted, got another or none; {_REMEDY}")
    return manifest


def _checksum(path: Path) -> bytes:
    return f"{sha256_of(path)}  {path.name}\n".encode()


def check_embedder_serves(spec: str) -> None:
    """Raises ValueError for an embedder that cannot embed a query that nobody has asked before, or cannot be stored."""
    ours = "take tfidf, minilm, st:MODEL or endpoint:URL#MODEL"
    if spec.startswith("file:"):
        raise ValueError(f"an embedder must embed new queries to serve, got {spec!r}; {ours}")
    if (made := make_embedder(spec)).fitted_on_train and not isinstance(made, TfidfSvd):
        raise ValueError(f"an embedder that learns from train must be tfidf to be stored, got {spec!r}; {ours}")


def _write_embedder(embedder: Embedder, spec: str, folder: Path) -> None:
    folder.mkdir()
    if isinstance(embedder, TfidfSvd):
        embedder.save_files(folder)
    write_json(folder / "embedder.json", {"spec": spec, "key": embedder.key})


def _read_embedder(folder: Path) -> Embedder:
    """The embedder; a pretrained one must be the one that was fitted with."""
    saved = read_json(folder / "embedder.json")
    if (folder / "tfidf.json").is_file():
        return TfidfSvd.load_files(folder)
    embedder = make_embedder(saved["spec"])
    if embedder.key != saved["key"]:
        raise ValueError(
            f"embedder {saved['spec']!r} must be the one the router was fitted with, got other weights; fit again"
        )
    return embedder
