"""A long table: one record per query and model, as CSV, JSON or Parquet, in one file or several of a folder.

Columns `query`, `model` and `score` (in [0, 1]) are needed; `dataset`, `id` (of the query), `prompt`, `cost` (USD),
`tokens_in`, `tokens_out`, `seconds`, `reply` and, of a log, `propensity` (probability of the model that served) are
read where they are there, and empty means "not measured". Records of one query and model are runs (`run`) of one cell,
and averaged; of a call that failed (`success`, `error`, `status`) nothing is measured; where replies have several
scores (`filter`), one must be named; another `system` prompt makes another query. `ALIASES` lists other names that are
understood. A value that breaks a rule is an error that names the record: the file is the user's own and can be put
right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llmrouterbench.files import sha256_of
from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._cells import note_repeated_prompts
from llmrouterbench.importers._detect import TABLES
from llmrouterbench.importers._long_rows import (
    averaged_cells,
    filtered,
    keyed,
    number_queries,
    wide_table,
    without_failed,
)
from llmrouterbench.naming import did_you_mean
from llmrouterbench.records import Place, parse_numbers, read_csv, read_json_file, read_lines, read_parquet
from llmrouterbench.store import write_replies
from llmrouterbench.table import PLANES, FloatArray

NEEDED = ("query", "model", "score")
TEXTS = ("query", "model", "dataset", "id", "prompt", "reply", "system", "run", "filter", "success", "error", "status")
ALIASES = {
    "query": ("question", "input", "prompt"),
    "model": ("llm", "model_name", "model_id", "selected_model"),
    "score": ("correct", "passed", "accuracy", "acc", "performance", "label"),
    "dataset": ("dataset_name", "task", "task_name", "benchmark"),
    "cost": ("cost_usd", "usd", "total_cost"),
    "tokens_in": ("prompt_tokens", "input_tokens"),
    "tokens_out": ("completion_tokens", "output_tokens"),
    "seconds": ("latency", "latency_seconds", "latency_ms", "duration_ms", "milliseconds"),
    "reply": ("response", "raw_output"),
    "propensity": ("pscore", "action_probability"),
    "system": ("system_prompt",),
    "run": ("epoch", "repeat", "repetition"),
    "filter": ("metric", "scorer", "judge", "grader"),
}
"""Column name -> other names that are understood. The name itself goes first where a file has both."""
_THOUSANDTHS = ("latency_ms", "duration_ms", "milliseconds")
"""Names of a column of seconds that say it holds milliseconds."""

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
    if path.is_dir():
        return _read_folder(path, options)
    options.tell("reading", 0, path.stat().st_size)
    raw, word = _read(path, options.columns)
    columns = _columns(raw.columns, path, options.columns)
    ignored = [name for name in raw.columns if name not in columns.values() and name != "#"]
    facts = {"sha256": sha256_of(path), "columns_read": columns, "columns_ignored": ignored}
    imported = read_records(raw, columns, Place(path, word, raw["#"]), options, Findings(), facts)
    options.tell("reading", path.stat().st_size, path.stat().st_size)
    return imported


def _read_folder(path: Path, options: Options) -> Imported:
    """The tables of a folder, one below the other; each may have columns of its own."""
    tables, read, ignored = list[pl.DataFrame](), dict[str, str](), dict[str, None]()
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in TABLES)
    for file in files:
        raw, word = _read(file, options.columns)
        columns = _columns(raw.columns, file, options.columns)
        ignored |= dict.fromkeys(name for name in raw.columns if name not in columns.values() and name != "#")
        at = pl.concat_str(pl.lit(f"{file.relative_to(path)} {word} "), "#").alias("at")
        tables.append(raw.select(at, **{column: pl.col(name) for column, name in columns.items()}))
        read |= columns
        options.tell("reading", len(tables), len(files))
    raw = pl.concat(tables, how="diagonal_relaxed").with_row_index("#", offset=1)
    facts = {"files": len(files), "columns_read": read, "columns_ignored": list(ignored)}
    return read_records(
        raw, {name: name for name in read}, Place(path, "at", raw["at"]), options, Findings(), facts, len(files)
    )


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


def _read(path: Path, chosen: Mapping[str, str]) -> tuple[pl.DataFrame, str]:
    """The file with the number of every record in column "#", and the word for what is numbered."""
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise ValueError(f"a long table must be a {', '.join(TABLES)} file, got {path}; rename it")
    if suffix == ".json":
        return _read_objects(_objects(path), path, "record", chosen), "record"
    if suffix in (".jsonl", ".ndjson"):
        return _read_objects(read_lines(path), path, "line", chosen), "line"
    frame = read_parquet(path) if suffix == ".parquet" else read_csv(path)
    return frame.with_row_index("#", offset=1), "record"


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a list in a JSON file, numbered."""
    records = read_json_file(path)
    if not isinstance(records, list):
        raise ValueError(f"{path} must be a list of records, got {type(records).__name__}; is it a long table?")
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise ValueError(f"{path} record {number} must be an object, got {type(record).__name__}")
        yield number, record


def _read_objects(
    lines: Iterator[tuple[int, dict[str, Any]]], path: Path, word: str, chosen: Mapping[str, str]
) -> pl.DataFrame:
    batches, seen = list[pl.DataFrame](), dict[str, None]()
    while batch := list(islice(lines, _BATCH)):
        keys = dict.fromkeys(key for _, record in batch for key in record)
        seen |= keys
        column = {name: column for column, name in _taken(list(seen), path, chosen).items()}
        number = pl.Series("#", [line for line, _ in batch], dtype=pl.UInt32)
        place = Place(path, word, number)
        read = [json_column(key, [record.get(key) for _, record in batch], place, column[key])
                for key in keys if key in column]  # fmt: skip
        ignored = [pl.Series(key, [None] * len(batch), dtype=pl.Null) for key in keys if key not in column]
        batches.append(pl.DataFrame([number, *read, *ignored]))
    if not batches:
        raise ValueError(f"{path} must hold records, got an empty file; write it again")
    return pl.concat(batches, how="diagonal")


def json_column(key: str, values: Sequence[Any], place: Place, column: str) -> pl.Series:
    """One column of JSON values, which have types of their own; `column` is what we call it."""
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


def _taken(found: Sequence[str], path: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    """Column name -> name in the file, of all that are there. Raises ValueError where one that was named is not."""
    names = {name.strip().lower(): name for name in reversed(found) if name != "#"}
    columns = _chosen(names, path, chosen)
    for column in (*TEXTS, *_NUMBERS):
        free = (names[name] for name in (column, *ALIASES.get(column, ())) if name in names)
        taken = next((name for name in free if name not in columns.values()), None)
        if column not in columns and taken is not None:
            columns[column] = taken
    return columns


def _columns(found: Sequence[str], path: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    """Column name -> name in the file. Raises ValueError where one that is needed, or was named, is not there."""
    columns = _taken(found, path, chosen)
    missing = [column for column in NEEDED if column not in columns]
    if missing:
        unread = [name for name in found if name != "#" and name not in columns.values()]
        hints = (did_you_mean(name, missing) for name in unread)
        named = f", or name them (--column {missing[0]}={unread[0]!r})" if unread else ""
        hint = next((hint for hint in hints if hint.endswith("?")), f"; add {' and '.join(missing)}{named}")
        got = ", ".join(repr(name) for name in found if name != "#") or "none"
        raise ValueError(f"{path} must have the columns query, model and score, got {got}{hint}")
    return columns


def _chosen(names: Mapping[str, str], path: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    """The columns that the user named."""
    known = (*TEXTS, *_NUMBERS)
    for column, name in chosen.items():
        if column not in known:
            raise ValueError(
                f"no column is called {column!r}{did_you_mean(column, known)}; there are {', '.join(known)}"
            )
        if name.strip().lower() not in names:
            raise ValueError(
                f"{path} must have the column {name!r}, got none{did_you_mean(name, list(names.values()))}"
            )
    return {column: names[name.strip().lower()] for column, name in chosen.items()}


def _checked(raw: pl.DataFrame, columns: dict[str, str], place: Place) -> pl.DataFrame:
    """The columns that are read, under our names, with every value checked."""
    out = [raw["#"]]
    for column, name in columns.items():
        values = raw[name].alias(name)
        if column in _NUMBERS:
            numbers = _in_range(column, values, place)
            parts = 1000.0 if name.strip().lower() in _THOUSANDTHS and column == "seconds" else 1.0
            out.append(pl.Series(column, numbers / parts, nan_to_null=True))
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
