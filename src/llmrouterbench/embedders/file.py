"""Vectors that somebody computed before, looked up by text."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from llmrouterbench.embedders.vectors import text_hash, unit_rows
from llmrouterbench.files import sha256_of
from llmrouterbench.table import BoolArray, FloatArray

_COLUMNS = "'embedding' and 'text' or 'text_hash' (hex sha256 of the text in UTF-8)"


class PrecomputedVectors:
    """Vectors from a Parquet or .npz file with `embedding` and either `text` or `text_hash`, one entry a text.

    `text_hash` is the hex sha256 of the text in UTF-8; `embedding` is a list column, or an (n, d) array in .npz. Rows
    are scaled to length 1. Raises ValueError for a file of another shape, and for texts that the file does not hold.
    """

    fitted_on_train = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"precomputed vectors must be in a file, got nothing at {self.path}")
        if self.path.suffix not in (".parquet", ".npz"):
            raise ValueError(f"precomputed vectors must be in .parquet or .npz with {_COLUMNS}, got {self.path}")

    @cached_property
    def key(self) -> str:
        """The sha256 of the file."""
        return f"file sha256={sha256_of(self.path)}"

    def fit(self, texts: Sequence[str]) -> Self:
        """Change nothing: the vectors are what they are."""
        return self

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors (n, d) of texts that the file holds."""
        row, vectors = self._loaded
        names = [text_hash(text) for text in texts]
        missing = [name for name in names if name not in row]
        if missing:
            raise ValueError(
                f"{self.path} must hold a vector for every text, got none for {len(missing)} of {len(names)}"
                f" (the first has text_hash {missing[0]}); add them to the file"
            )
        return vectors[np.array([row[name] for name in names], dtype=np.int64)]

    def truncated(self, texts: Sequence[str]) -> BoolArray:
        """All False: what was cut when the vectors were made is not known here."""
        return np.zeros(len(texts), dtype=np.bool_)

    @cached_property
    def _loaded(self) -> tuple[dict[str, int], FloatArray]:
        names, vectors = _read_parquet(self.path) if self.path.suffix == ".parquet" else _read_npz(self.path)
        if vectors.ndim != 2 or len(vectors) != len(names):
            raise ValueError(
                f"{self.path}: embedding must be (texts, dimensions) for {len(names)} texts, got {vectors.shape}"
            )
        row: dict[str, int] = {}
        for i, name in enumerate(names):
            if not np.array_equal(vectors[row.setdefault(name, i)], vectors[i], equal_nan=True):
                raise ValueError(f"{self.path} must hold one vector a text, got rows {row[name]} and {i} for the same")
        return row, unit_rows(vectors, str(self.path))


def _read_parquet(path: Path) -> tuple[list[str], FloatArray]:
    """Text hashes (n,) and vectors (n, d)."""
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} must be a Parquet file, got an unreadable one ({error})") from error
    name = _name_column(path, frame.columns)
    if not isinstance(frame["embedding"].dtype, pl.List | pl.Array) or not frame[name].dtype == pl.String:
        raise ValueError(f"{path}: embedding must be lists of numbers and {name} strings, got {frame.schema}")
    rows = frame["embedding"].cast(pl.List(pl.Float64))
    widths = rows.list.len().unique().to_list()
    if len(widths) != 1 or not widths[0] or frame[name].null_count():
        raise ValueError(f"{path}: embedding must have one width and no entry may be null, got widths {widths}")
    values = rows.explode().fill_null(float("nan")).to_numpy()
    return _hashes(name, frame[name].to_list()), values.reshape(-1, int(widths[0]))


def _read_npz(path: Path) -> tuple[list[str], FloatArray]:
    """Text hashes (n,) and vectors (n, d)."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} must be an .npz file, got something else")
    with np.load(path, allow_pickle=False) as arrays:
        name = _name_column(path, arrays.files)
        try:
            names, vectors = arrays[name], arrays["embedding"]
        except (ValueError, zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"{path} must hold plain arrays, got unreadable ones ({error}); write it again") from error
    if names.dtype.kind != "U" or vectors.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {name} must be strings and embedding numbers, got {names.dtype} and {vectors.dtype}")
    return _hashes(name, names.tolist()), vectors.astype(np.float64)


def _name_column(path: Path, columns: Sequence[str]) -> str:
    for name in ("text_hash", "text"):
        if name in columns and "embedding" in columns:
            return name
    raise ValueError(f"{path} must hold {_COLUMNS}, got {', '.join(columns) or 'nothing'}")


def _hashes(column: str, names: list[str]) -> list[str]:
    return [text_hash(name) for name in names] if column == "text" else [name.lower() for name in names]
