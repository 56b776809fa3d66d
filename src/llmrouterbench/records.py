"""CSV and JSON Lines files that strangers wrote: checked while they stream, refused with the record that is wrong."""

from __future__ import annotations

import codecs
import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from llmrouterbench.table import FloatArray

MAX_LINE = 64 << 20
"""A longer line is refused before it fills the memory."""

_PIECE = 1 << 20
_TRUTH = {"true": 1.0, "false": 0.0}


def check_text(path: Path) -> None:
    """Read a file once in pieces: UTF-8, not empty, no line above `MAX_LINE` bytes. Raises ValueError."""
    decoder, line, length, size = codecs.getincrementaldecoder("utf-8")(), 1, 0, 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            first = piece.find(b"\n")
            _check_length(path, line, length + (len(piece) if first < 0 else first))
            length = length + len(piece) if first < 0 else len(piece) - 1 - piece.rfind(b"\n")
            line += piece.count(b"\n")
            _check_utf8(decoder, piece, path, size)
            size += len(piece)
    if not size:
        raise ValueError(f"{path} must hold a table, got an empty file; write it again")
    _check_utf8(decoder, b"", path, size, final=True)


def _check_length(path: Path, line: int, length: int) -> None:
    if length > MAX_LINE:
        raise ValueError(
            f"a line must be at most {MAX_LINE >> 20} MiB long, got more in {path} line {line};"
            " put every record on a line of its own"
        )


def _check_utf8(decoder: codecs.IncrementalDecoder, piece: bytes, path: Path, before: int, final: bool = False) -> None:
    held = len(decoder.getstate()[0])
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} must be UTF-8 text, got byte 0x{error.object[error.start]:02x} at position"
            f" {before - held + error.start:,}; save it as UTF-8"
        ) from error


def read_csv(path: Path) -> pl.DataFrame:
    """A CSV file as texts; an empty field is null. Raises ValueError where it is no CSV.

    Fields are parted by commas; where the header has none, by tabs or semicolons.
    """
    check_text(path)
    separator = _separator(path)
    try:
        frame = pl.read_csv(path, infer_schema=False, separator=separator)
    except pl.exceptions.PolarsError as error:
        why = _ragged_record(path, separator) or _first_line(error)
        raise ValueError(f"{path} must be CSV with one header line, got: {why}; write it again") from error
    if not frame.height:
        raise ValueError(f"{path} must hold records, got a header only; write it again")
    return frame


def _separator(path: Path) -> str:
    with path.open("rb") as file:
        header = file.readline(_PIECE).decode("utf-8-sig", "replace")
    return next((mark for mark in (",", "\t", ";") if mark in header), ",")


def _ragged_record(path: Path, separator: str) -> str | None:
    """The first record with more fields than the header, in words; None where there is none."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=separator)
        try:
            header = len(next(rows))
            record, got = next((n, len(row)) for n, row in enumerate(rows, 1) if len(row) > header)
        except (StopIteration, csv.Error):
            return None
    return f"{got} fields in record {record} under a header of {header}"


def read_parquet(path: Path) -> pl.DataFrame:
    """A Parquet file as it is. Raises ValueError where it is none."""
    _survives_reading(path)
    try:
        frame = pl.read_parquet(path, use_statistics=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"{path} must be Parquet, got: {_first_line(error)}; write it again") from error
    if not frame.height:
        raise ValueError(f"{path} must hold records, got none; write it again")
    return frame


def _survives_reading(path: Path) -> None:
    """Let another process read a Parquet file first: on some damaged ones polars ends the whole process."""
    code = "import sys, polars; polars.read_parquet(sys.argv[1], use_statistics=False)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode < 0:  # an exception is met again, and worded, by the reader here
        raise ValueError(f"{path} must be Parquet, got a file that the reader does not survive; write it again")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".;:")


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of every line of a JSON Lines file; blank lines are passed over."""
    with path.open("rb") as file:
        line = 0
        while data := file.readline(MAX_LINE + 1):
            line += 1
            _check_length(path, line, len(data))
            if line == 1:
                data = data.removeprefix(codecs.BOM_UTF8)
            if data.strip():
                yield line, _object(data, f"{path} line {line}")


def _object(data: bytes, where: str) -> dict[str, Any]:
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = _object_leniently(data, where)
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a JSON object, got {type(value).__name__}; write one object per line")
    return value


def _object_leniently(data: bytes, where: str) -> Any:
    """What orjson refuses: NaN, which Python writes and which has to be named, and broken lines."""
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} must be UTF-8 text, got other bytes at {error.start}; save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} must be JSON, got a broken line ({error}); is the file cut?") from error


def read_json_file(path: Path) -> Any:
    """A whole JSON file. Raises ValueError where it is none."""
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} must be JSON, got: {error}; is the file cut?") from error


@dataclass(frozen=True)
class Place:
    """Where the records of a column stand: a file, the word for its records, and their numbers (n,)."""

    path: Path
    word: str
    number: pl.Series

    def of(self, record: int) -> str:
        """The place of one record, for a sentence."""
        return f"{self.path} {self.word} {self.number[record]}"


def parse_numbers(column: pl.Series, rule: str, place: Place) -> FloatArray:
    """Numbers (n,) of a column of texts, numbers or booleans; null is NaN.

    Raises ValueError that names the first value that is none, `rule` (what it must be) and its record.
    """
    given = column.is_not_null()
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        truth = text.str.to_lowercase().replace_strict(_TRUTH, default=None, return_dtype=pl.Float64)
        numbers = text.cast(pl.Float64, strict=False).zip_with(truth.is_null(), truth)
        given &= text != ""
    elif column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        numbers = column.cast(pl.Float64)
    else:
        raise ValueError(f"{column.name} must be {rule}, got a column of {column.dtype} in {place.path}; convert it")
    wrong = given & ~numbers.is_finite().fill_null(value=False)
    if wrong.any():
        first = int(wrong.arg_max() or 0)
        shown = str(column[first])[:60]
        raise ValueError(f"{column.name} must be {rule}, got {shown} in {place.of(first)}; leave it empty if unknown")
    return numbers.fill_null(float("nan")).to_numpy(writable=True)
