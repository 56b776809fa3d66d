"""Rows of the files that datasets come in, with the place of a bad row in the error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

Row = dict[str, Any]


def json_rows(path: Path, fields: tuple[str, ...]) -> Iterator[Row]:
    """Rows of a JSON-lines file or of one JSON list. Raises ValueError for a row without one of the fields."""
    data = path.read_bytes().strip()
    if data.startswith(b"["):
        rows = list(enumerate(_parsed(data, path, 1), 1))
    else:
        rows = [
            (number, _parsed(line, path, number)) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()
        ]
    for number, row in rows:
        yield _checked(row, path, number, fields)


def csv_rows(path: Path, fields: tuple[str, ...]) -> Iterator[Row]:
    """Rows of a CSV file, every value a text. Raises ValueError for a file without one of the columns."""
    import polars as pl

    frame = pl.read_csv(path, infer_schema=False)
    for number, row in enumerate(frame.iter_rows(named=True), 2):
        yield _checked(row, path, number, fields)


def _parsed(data: bytes, path: Path, number: int) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(
            f"{path} line {number} must be JSON, got {data[:60]!r} ({error}); fetch the file again"
        ) from error


def _checked(row: Any, path: Path, number: int, fields: tuple[str, ...]) -> Row:
    missing = [field for field in fields if not isinstance(row, dict) or field not in row]
    if missing:
        raise ValueError(f"{path} record {number} must have the key {missing[0]!r}, got none; is it the pinned file?")
    return row  # type: ignore[no-any-return]
