"""CSV and JSON Lines files that strangers wrote: checked while they stream, refused with the record that is wrong."""

from __future__ import annotations

import codecs
import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from llmrouterbench.table import BoolArray, FloatArray

MAX_LINE = 64 << 20
"""A longer line is refused before it fills the memory."""

Broken = Callable[[int, str], None]
"""Told of a record that cannot be read: its number, and a sentence that names it."""
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


def read_csv(path: Path, broken: Broken | None = None) -> pl.DataFrame:
    """A CSV file as texts; an empty field is null. Raises ValueError where it is no CSV.

    `broken` is told of each record with more fields than the header, which is left out; without it that is an error.
    Column "#" numbers the records where some were left out.
    """
    check_text(path)
    separator = separator_of(path)
    try:
        frame = pl.read_csv(path, infer_schema=False, separator=separator)
    except pl.exceptions.PolarsError as error:
        if broken is not None and (left := _whole_records(path, separator, broken)) is not None:
            return left
        why = _ragged_record(path, separator) or _first_line(error)
        raise ValueError(f"{path} must be CSV with one header line, got: {why}; write it again") from error
    if not frame.height:
        raise ValueError(f"{path} must hold records, got a header only; write it again")
    return frame


def separator_of(path: Path) -> str:
    """What parts the fields of a CSV file: the mark that its header has most often outside quotes; else a comma."""
    with path.open("rb") as file:
        header = file.readline(_PIECE).decode("utf-8-sig", "replace")
    header = re.sub(r'"[^"]*"', "", header)
    return max(",\t;|", key=header.count)


def _whole_records(path: Path, separator: str, broken: Broken) -> pl.DataFrame | None:
    """The records that have no more fields than the header, as texts; None where the quotes of a file do not close."""
    rows, numbers, most = list[list[str | None]](), list[int](), sys.maxsize
    with path.open(encoding="utf-8-sig", newline="") as file:
        csv.field_size_limit(MAX_LINE)
        reader = csv.reader(file, delimiter=separator, strict=True)
        try:
            header = next(reader)
            most = len(header)
            for number, row in enumerate((row for row in reader if row), 1):
                if len(row) > most:
                    broken(number, f"{path} record {number} has {len(row)} fields under a header of {most}")
                else:
                    rows.append([field or None for field in (*row, *[""] * (most - len(row)))])
                    numbers.append(number)
        except (StopIteration, csv.Error):
            return None
    if not rows or len(set(header)) < most or "#" in header:
        return None
    frame = pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String), orient="row")
    return frame.with_columns(pl.Series("#", numbers, dtype=pl.UInt32))


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
    return _read_binary(path, "Parquet", "read_parquet", use_statistics=False)


def read_arrow(path: Path) -> pl.DataFrame:
    """An Arrow file (Feather) or stream as it is. Raises ValueError where it is none."""
    with path.open("rb") as file:
        whole = file.read(6) == b"ARROW1"
    return _read_binary(path, "Arrow", "read_ipc" if whole else "read_ipc_stream")


def _read_binary(path: Path, what: str, reader: str, **options: bool) -> pl.DataFrame:
    """What a reader of polars gives, once another process survived it: some damaged files end the whole process."""
    code = f"import sys, polars; polars.{reader}(sys.argv[1], **{options})"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode < 0:  # an exception is met again, and worded, below
        raise ValueError(f"{path} must be {what}, got a file that the reader does not survive; write it again")
    try:
        frame: pl.DataFrame = getattr(pl, reader)(path, **options)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"{path} must be {what}, got: {_first_line(error)}; write it again") from error
    if not frame.height:
        raise ValueError(f"{path} must hold records, got none; write it again")
    return frame


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".;:")


def read_lines(path: Path, broken: Broken | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of every line of a JSON Lines file; blank lines are passed over.

    `broken` is told of each line that is no JSON object; without it the first one is a ValueError.
    """
    with path.open("rb") as file:
        line = 0
        while data := file.readline(MAX_LINE + 1):
            line += 1
            _check_length(path, line, len(data))
            if line == 1:
                data = data.removeprefix(codecs.BOM_UTF8)
            if not data.strip():
                continue
            try:
                found = _object(data, f"{path} line {line}")
            except ValueError as error:
                if broken is None:
                    raise
                broken(line, str(error))
            else:
                yield line, found


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
    numbers, wrong = numbers_in(column, rule, place)
    if wrong.any():
        raise ValueError(no_number(column, int(wrong.argmax()), rule, place))
    return numbers


def numbers_in(column: pl.Series, rule: str, place: Place) -> tuple[FloatArray, BoolArray]:
    """Numbers (n,) of a column, NaN where there is none, and where (n,) something stands that is no number.

    Raises ValueError where the column can hold no numbers.
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
    return numbers.fill_null(float("nan")).to_numpy(writable=True), wrong.to_numpy()


def no_number(column: pl.Series, record: int, rule: str, place: Place) -> str:
    """The sentence on a value that is no number."""
    return (
        f"{column.name} must be {rule}, got {str(column[record])[:60]} in {place.of(record)}; leave it empty if unknown"
    )
