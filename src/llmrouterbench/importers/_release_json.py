"""Bytes of a result file to columns: a fast way for files that are clean, an exact one for all others.

The fast way (polars, no Python object per record) accepts a file only when every record has every field in the right
type. Whatever it turns down is read again record by record, so that each oddity is found and counted. Both give the
same columns for the same file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson
import polars as pl

from llmrouterbench.findings import Findings

NUMBERS = ("index", "score", "cost", "prompt_tokens", "completion_tokens")
TEXTS = ("prompt", "origin_query", "raw_output")

_RECORD = pl.Struct({**dict.fromkeys(NUMBERS, pl.Float64), **dict.fromkeys(TEXTS, pl.String)})
_HEADER: dict[str, pl.DataType] = {
    "model_name": pl.String(),
    "dataset_name": pl.String(),
    "split": pl.String(),
    "demo": pl.Boolean(),
    "simulated": pl.Boolean(),
    "counts": pl.Int64(),
}
_DOCUMENT = pl.Schema({**_HEADER, "records": pl.List(_RECORD)})
_HALF_PAIR = "\0"  # what polars makes of half a surrogate pair, where it does not turn it down


class UnreadableFileError(ValueError):
    """A member that is no result file; the reason is the message."""


def read_result_file(data: bytes, name: str, findings: Findings) -> tuple[dict[str, Any], pl.DataFrame]:
    """The fields of the file, and its records as columns `NUMBERS` and `TEXTS`; null where a record lacks a field.

    Raises UnreadableFileError where it is no result file.
    """
    return _read_clean(data) or _read_any(data, name, findings)


def _read_clean(data: bytes) -> tuple[dict[str, Any], pl.DataFrame] | None:
    """A file without any oddity; None for any other."""
    if data[:1] != b"{":
        return None
    try:
        document = pl.read_json(data, schema=_DOCUMENT)
    except pl.exceptions.PolarsError:
        return None
    records = document["records"][0] if document.height == 1 else None
    if records is None or not len(records) or records.null_count():
        return None
    columns = records.struct.unnest()
    if any(column.null_count() for column in columns) or _has_half_pairs(columns):
        return None
    return {key: document[key][0] for key in _HEADER}, columns


def _has_half_pairs(columns: pl.DataFrame) -> bool:
    """Whether a text may have held half a surrogate pair."""
    return any(columns.select(pl.col(TEXTS).str.contains(_HALF_PAIR, literal=True).any()).row(0))


def _read_any(data: bytes, name: str, findings: Findings) -> tuple[dict[str, Any], pl.DataFrame]:
    document = _decode(data)
    records = document.pop("records", None)
    if not isinstance(records, list):
        raise UnreadableFileError(f"key 'records' must be a list, got {type(records).__name__}")
    objects = [record for record in records if isinstance(record, dict)]
    if len(objects) < len(records):
        bad = next(i for i, record in enumerate(records, 1) if not isinstance(record, dict))
        findings.add("record that is no object", "dropped", f"{name} record {bad}", len(records) - len(objects))
    numbers = [_numbers(key, [record.get(key) for record in objects], name, findings) for key in NUMBERS]
    texts = [pl.Series(key, [_text(record.get(key)) for record in objects], dtype=pl.String) for key in TEXTS]
    return document, pl.DataFrame([*numbers, *texts])


def _decode(data: bytes) -> dict[str, Any]:
    try:
        document: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        document = _decode_leniently(data)  # Python's own JSON writes NaN and half surrogate pairs
    if not isinstance(document, dict):
        raise UnreadableFileError(f"its top level must be an object, got {type(document).__name__}")
    return document


def _decode_leniently(data: bytes) -> Any:
    if not data.strip():
        raise UnreadableFileError("it is empty")
    try:
        return _without_surrogates(json.loads(data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"it is not UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(f"it is not JSON: {error}") from error


def _without_surrogates(value: Any) -> Any:
    """The same JSON value with half surrogate pairs, which no UTF-8 file can hold, replaced by a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def _text(value: Any) -> str | None:
    """Text of a field; lists and objects as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _numbers(key: str, values: Sequence[Any], name: str, findings: Findings) -> pl.Series:
    """A column of numbers; what is none is masked and counted."""
    wrong = [value is not None and not isinstance(value, int | float) for value in values]
    if any(wrong):
        findings.add(f"{key} of the wrong type", "masked", f"{name} record {wrong.index(True) + 1}", sum(wrong))
    numbers = [None if bad or value is None else _float(value) for value, bad in zip(values, wrong, strict=True)]
    return pl.Series(key, numbers, dtype=pl.Float64)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1.8e308
        return float("inf")
