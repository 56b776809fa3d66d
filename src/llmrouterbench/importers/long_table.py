"""A long table: one record per query and model, as CSV, JSON Lines or Parquet. The door for your own logs.

Columns `query`, `model` and `score` (in [0, 1]) are needed; `dataset`, `id` (of the query), `prompt`, `cost` (USD),
`tokens_in`, `tokens_out`, `seconds`, `reply` and, of a log, `propensity` (probability of the model that served) are
read where they are there, and empty means "not measured". Records of one query and model are runs (`run`) of one cell,
and averaged; of a call that failed (`success`, `error`, `status`) nothing is measured; where replies have several
scores (`filter`), one must be named; another `system` prompt makes another query. `ALIASES` lists other names that are
understood. A value that breaks a rule is an error that names the record: the file is the user's own and can be put
right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llmrouterbench.files import sha256_of
from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._cells import note_repeated_prompts
from llmrouterbench.importers._long_rows import (
    averaged_cells,
    filtered,
    keyed,
    number_queries,
    wide_table,
    without_failed,
)
from llmrouterbench.naming import did_you_mean
from llmrouterbench.records import Place, parse_numbers, read_csv, read_lines, read_parquet
from llmrouterbench.store import write_replies
from llmrouterbench.table import PLANES, FloatArray

NEEDED = ("query", "model", "score")
TEXTS = ("query", "model", "dataset", "id", "prompt", "reply", "system", "run", "filter", "success", "error", "status")
ALIASES = {
    "query": ("question",),
    "model": ("llm", "model_name"),
    "dataset": ("dataset_name", "task"),
    "cost": ("cost_usd", "usd"),
    "tokens_in": ("prompt_tokens", "input_tokens"),
    "tokens_out": ("completion_tokens", "output_tokens"),
    "seconds": ("latency",),
    "reply": ("response", "raw_output"),
    "propensity": ("pscore", "action_probability"),
    "system": ("system_prompt",),
    "run": ("epoch", "repeat", "repetition"),
    "filter": ("metric", "scorer", "judge", "grader"),
}
"""Column name -> other names that are understood. The name itself goes first where a file has both."""

_DATASET = "data"
_NUMBERS = (*PLANES, "propensity")
_FACTS = ("run", "filter", "success", "error", "status")
"""Columns of any JSON values, which are read as words."""
_MAY_BE_EMPTY = ("prompt", "reply", "system", *_FACTS)
_BOUNDS = {"score": "between 0 and 1", "propensity": "above 0 and at most 1"}
_BATCH = 10_000
_ZERO_OR_MORE = "a number of 0 or more"
_RULES = {
    "score": "a number between 0 and 1",
    "propensity": "a probability above 0",
    "cost": "a number of USD of 0 or more",
}


def read_long_table(path: Path, options: Options) -> Imported:
    """Read a long table. Raises ValueError with the file and record of the first value that breaks a rule."""
    options.tell("reading", 0, path.stat().st_size)
    raw, word = _read(path)
    columns = _columns(raw.columns, path)
    ignored = [name for name in raw.columns if name not in columns.values() and name != "#"]
    facts = {"sha256": sha256_of(path), "columns_read": columns, "columns_ignored": ignored}
    imported = read_records(raw, columns, Place(path, word, raw["#"]), options, Findings(), facts)
    options.tell("reading", path.stat().st_size, path.stat().st_size)
    return imported


def read_records(
    raw: pl.DataFrame,
    columns: dict[str, str],
    place: Place,
    options: Options,
    findings: Findings,
    facts: Mapping[str, Any],
    files: int = 1,
) -> Imported:
    """The outcomes in records of a long table, which are numbered in the column "#".

    columns   our name of a column -> its name in `raw`
    place     where each record stands
    findings  what was met before; more is added

    Raises ValueError with the place of the first value that breaks a rule.
    """
    path, word = place.path, place.word
    table = keyed(_checked(raw, columns, place), options.key, findings)
    table = without_failed(filtered(_with_system(table), options.filter, path), findings)
    queries = number_queries(table, path, word, findings)
    cells = averaged_cells(table, queries, findings)
    outcomes = wide_table(cells, queries, path, options, findings)
    note_repeated_prompts(outcomes, findings)
    if "reply" in cells.columns and options.replies is not None:
        write_replies(options.replies, 0, cells["row"].to_numpy(), cells["model"].to_list(), cells["reply"])
    return Imported(outcomes, findings, {"files": files, "records": raw.height}, facts)


def _with_system(table: pl.DataFrame) -> pl.DataFrame:
    """The records, with the system prompt in the prompt where the file does not say what was sent."""
    if "system" not in table.columns:
        return table
    system = pl.col("system").fill_null("")
    sent = pl.when(system != "").then(pl.concat_str(system, pl.lit("\n\n"), "query"))
    prompt = pl.coalesce("prompt", sent) if "prompt" in table.columns else sent
    return table.with_columns(system=system, prompt=prompt)


def _read(path: Path) -> tuple[pl.DataFrame, str]:
    """The file with the number of every record in column "#", and the word for what is numbered."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _read_json_lines(path), "line"
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ValueError(f"a long table must be a .csv, .jsonl, .ndjson or .parquet file, got {path}; rename it")
    frame = read_csv(path) if path.suffix.lower() == ".csv" else read_parquet(path)
    return frame.with_row_index("#", offset=1), "record"


def _read_json_lines(path: Path) -> pl.DataFrame:
    lines = read_lines(path)
    batches = []
    while batch := list(islice(lines, _BATCH)):
        keys = dict.fromkeys(key for _, record in batch for key in record)
        number = pl.Series("#", [line for line, _ in batch], dtype=pl.UInt32)
        place = Place(path, "line", number)
        columns = [json_column(key, [record.get(key) for _, record in batch], place) for key in keys if _known(key)]
        ignored = [pl.Series(key, [None] * len(batch), dtype=pl.Null) for key in keys if not _known(key)]
        batches.append(pl.DataFrame([number, *columns, *ignored]))
    if not batches:
        raise ValueError(f"{path} must hold records, got an empty file; write it again")
    return pl.concat(batches, how="diagonal")


def _known(key: str) -> str | None:
    """The column that a name stands for; None where nobody reads it.

    >>> _known("Question"), _known("colour")
    ('query', None)
    """
    key = key.strip().lower()
    names = (name for name in (*TEXTS, *_NUMBERS) if key == name or key in ALIASES.get(name, ()))
    return next(names, None)


def json_column(key: str, values: Sequence[Any], place: Place) -> pl.Series:
    """One column of JSON values, which have types of their own."""
    column = _known(key) or key
    kinds, rule = _kinds(column)
    for record, value in enumerate(values):
        if value is not None and not isinstance(value, kinds):
            raise ValueError(f"{key} must be {rule}, got {str(value)[:60]!r} in {place.of(record)}; write it as one")
    if column in _NUMBERS:
        return pl.Series(key, [None if value is None else _float(value) for value in values], dtype=pl.Float64)
    return pl.Series(key, [None if value is None else _text(value) for value in values], dtype=pl.String)


def _kinds(column: str) -> tuple[tuple[type, ...], str]:
    """The JSON types of a column, and what to call them; JSON's true and false are numbers in Python."""
    if column in _NUMBERS:
        return (int, float), _RULES.get(column, _ZERO_OR_MORE)
    if column in _FACTS:
        return (object,), "anything"
    return ((str, int) if column in ("id", "model", "dataset") else (str,)), "a text"


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1.8e308
        return float("inf")


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no text


def _columns(found: Sequence[str], path: Path) -> dict[str, str]:
    """Column name -> name in the file. Raises ValueError where one that is needed is not there."""
    names = {name.strip().lower(): name for name in reversed(found) if name != "#"}
    columns = {}
    for column in (*TEXTS, *_NUMBERS):
        taken = next((names[name] for name in (column, *ALIASES.get(column, ())) if name in names), None)
        if taken is not None:
            columns[column] = taken
    missing = [column for column in NEEDED if column not in columns]
    if missing:
        unread = [name for name in found if name != "#" and name not in columns.values()]
        hints = (did_you_mean(name, missing) for name in unread)
        hint = next((hint for hint in hints if hint.endswith("?")), f"; add {' and '.join(missing)}")
        got = ", ".join(repr(name) for name in found if name != "#") or "none"
        raise ValueError(f"{path} must have the columns query, model and score, got {got}{hint}")
    return columns


def _checked(raw: pl.DataFrame, columns: dict[str, str], place: Place) -> pl.DataFrame:
    """The columns that are read, under our names, with every value checked."""
    out = [raw["#"]]
    for column, name in columns.items():
        values = raw[name].alias(name)
        if column in _NUMBERS:
            out.append(pl.Series(column, _in_range(column, values, place), nan_to_null=True))
        else:
            out.append(_checked_texts(column, values, place).alias(column))
    table = pl.DataFrame(out)
    return table if "dataset" in columns else table.with_columns(dataset=pl.lit(_DATASET))


def _in_range(column: str, values: pl.Series, place: Place) -> FloatArray:
    rule = _RULES.get(column, _ZERO_OR_MORE)
    numbers = parse_numbers(values, rule, place)
    wrong = (numbers < 0) | (numbers > 1 if column in _BOUNDS else np.isinf(numbers))
    if column == "propensity":
        wrong |= numbers == 0  # what was served had a chance
    if wrong.any():
        first = int(wrong.argmax())
        remedy = "divide by the maximum" if column == "score" and numbers[first] > 0 else "leave it empty if unknown"
        bounds = _BOUNDS.get(column, "0 or more")
        raise ValueError(f"{values.name} must be {bounds}, got {numbers[first]:g} in {place.of(first)}; {remedy}")
    return numbers


def _checked_texts(column: str, values: pl.Series, place: Place) -> pl.Series:
    if column == "error" and values.dtype.is_nested():
        values = values.is_not_null().cast(pl.String).replace("false", None)
    if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object):
        raise ValueError(f"{values.name} must be text, got a column of {values.dtype} in {place.path}; convert it")
    texts = values.cast(pl.String)
    if column in _MAY_BE_EMPTY:
        return texts
    empty = texts.fill_null("").str.strip_chars() == ""
    if empty.any():
        where = place.of(int(empty.arg_max() or 0))
        raise ValueError(f"{values.name} must not be empty, got nothing in {where}; every record needs one")
    return texts
