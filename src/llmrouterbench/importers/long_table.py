"""A long table: one record per query and model, in one file of any kind of table or several of a folder.

Columns `query`, `model` and `score` (in [0, 1]) are needed; `dataset`, `id` (of the query), `prompt`, `cost` (USD),
`tokens_in`, `tokens_out`, `seconds`, `reply` and, of a log, `propensity` (probability of the model that served) are
read where they are there, and empty means "not measured". Records of one query and model are runs (`run`) of one cell,
and averaged; of a call that failed (`success`, `error`, `status`) nothing is measured; where replies have several
scores (`filter`), one must be named; another `system` prompt makes another query; a column that is named as `cluster`
tells which queries are not independent. `ALIASES` lists other names that are understood. A query may be a list of
messages. A value that breaks a rule is masked and counted, and an error that names
the record where there are many of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from llmrouterbench.exporters.long_table import MARK
from llmrouterbench.files import sha256_of
from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._bad_rows import BadRows
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
from llmrouterbench.importers._messages import asked, instructed
from llmrouterbench.importers._scale import hint, scaled
from llmrouterbench.importers._sense import note_sense
from llmrouterbench.importers._table_files import ARROW, DATABASES, WORKBOOKS, read_tables
from llmrouterbench.importers._written import NUMBERS as SUMMED
from llmrouterbench.importers._written import TEXTS as WRITTEN
from llmrouterbench.naming import did_you_mean
from llmrouterbench.records import (
    Place,
    no_number,
    numbers_in,
    read_arrow,
    read_csv,
    read_json_file,
    read_lines,
    read_parquet,
    separator_of,
)
from llmrouterbench.store import write_replies
from llmrouterbench.table import PLANES, FloatArray

NEEDED = ("query", "model", "score")
_CLUSTER = "cluster"
"""The column that is read only where it is named: what a column called so holds may be anything."""
TEXTS = ("query", "model", "dataset", "id", "prompt", "reply", "system", "run", "filter", "success", "error", "status")
ALIASES = {
    "query": ("question", "input", "prompt", "messages", "conversation"),
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
_NAMED = (*TEXTS, _CLUSTER, *PLANES, "propensity")
"""The columns that a user can name."""
_NUMBERS = (*PLANES, "propensity", *SUMMED)
_FACTS = ("run", "filter", "success", "error", "status")
"""Columns of any JSON values, which are read as words."""
_MAY_BE_EMPTY = ("prompt", "reply", "system", _CLUSTER, *_FACTS, *WRITTEN)
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
    findings, bad, size = Findings(), BadRows(), 0 if path.is_dir() else path.stat().st_size
    files = [path] if not path.is_dir() else sorted(file for file in path.rglob("*") if file.suffix.lower() in TABLES)
    options.tell("reading", 0, size or len(files))
    tables, ignored, words = list[tuple[pl.DataFrame, dict[str, str], str]](), dict[str, None](), dict[str, None]()
    for number, file in enumerate(files, 1):
        for name, raw, word in _tables(file, options, bad, findings):
            columns = _columns(raw.columns, file, options.columns)
            raw = _with_messages(_with_points(raw, columns, file, words), columns)
            columns |= {"system": "system"} if "system" in raw.columns and "system" not in columns else {}
            ignored |= dict.fromkeys(name for name in raw.columns if name not in columns.values() and name != "#")
            raw = raw.select("#", *dict.fromkeys(columns.values()))
            tables.append((raw, columns, " ".join(filter(None, (_below(file, path), name, word)))))
        options.tell("reading", size or number, size or len(files))
    read = {ours: theirs for _, columns, _ in tables for ours, theirs in columns.items()}
    facts: dict[str, Any] = {"columns_read": read, "columns_ignored": list(ignored)}
    facts |= {"sha256": sha256_of(path)} if not path.is_dir() else {"files": len(files)}
    facts |= {"read_as": list(words)} if words else {}
    if len(tables) == 1:
        raw, columns, at = tables[0]
        place = Place(path, at, raw["#"])
        del raw  # so that it goes when its values are read
        return read_records(tables.pop()[0], columns, place, options, findings, facts, 1, bad)
    below = [
        raw.select(at=pl.concat_str(pl.lit(f"{at} "), "#"), **{ours: pl.col(name) for ours, name in columns.items()})
        for raw, columns, at in tables
    ]
    raw = pl.concat(below, how="diagonal_relaxed").with_row_index("#", offset=1)
    columns = {name: name for name in read}
    return read_records(raw, columns, Place(path, "at", raw["at"]), options, findings, facts, len(files), bad)


def _below(file: Path, folder: Path) -> str:
    return "" if file == folder else str(file.relative_to(folder))


def _tables(path: Path, options: Options, bad: BadRows, findings: Findings) -> Iterator[tuple[str, pl.DataFrame, str]]:
    """Name, records with their numbers in column "#", and the word for what is numbered, of every table of a file.

    Of several tables those with most of the needed columns are read; what they lack is said of them.
    """
    if path.suffix.lower() not in (*WORKBOOKS, *DATABASES):
        raw, word = _read(path, options, bad)
        yield "", raw, word
        return
    found = read_tables(path)
    has = {
        name: len(set(NEEDED) & (_taken(raw.columns, path, {}).keys() | options.columns)) for name, raw in found.items()
    }
    most = max(has.values())
    for name, raw in found.items():
        if has[name] < most:
            findings.add("table without the columns query, model and score", "dropped", f"{path} {name}")
        else:
            yield name if len(found) > 1 else "", raw.with_row_index("#", offset=1), "record"


_DECIMAL = r"^[+-]?(?:0|\d+),(?:\d{1,2}|\d{4,})$|^[+-]?0,\d+$|^[+-]?\d{1,3}(?:\.\d{3})+,\d+$"
"""Numbers whose comma can be no mark of thousands."""


def _with_points(raw: pl.DataFrame, columns: Mapping[str, str], path: Path, words: dict[str, None]) -> pl.DataFrame:
    """The records of a CSV file that does not part fields by commas, with points in the place of decimal commas."""
    if path.suffix.lower() not in (".csv", ".tsv") or (mark := separator_of(path)) == ",":
        return raw
    words[f"fields parted by {mark!r}"] = None
    numbers = [name for column, name in columns.items() if column in _NUMBERS]
    given = pl.concat([raw[name].alias("").str.strip_chars() for name in numbers])
    given = given.filter(given.str.contains(",").fill_null(value=False))
    if not len(given):
        return raw
    if not given.str.contains(_DECIMAL).any():
        raise ValueError(f"cannot tell a decimal comma from a mark of thousands: {path} has {given[0]!r}; use a point")
    words[f"decimal commas in {', '.join(name for name in numbers if raw[name].str.contains(',').any())}"] = None
    pointed = (
        pl.col(name).str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True) for name in numbers
    )
    return raw.with_columns(
        pl.when(pl.col(name).str.contains(",")).then(with_point).otherwise(pl.col(name)).alias(name)
        for name, with_point in zip(numbers, pointed, strict=True)
    )


def _with_messages(raw: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """The records with texts in the place of lists of messages, and their system prompts in a column of their own."""
    name = columns["query"]
    query = raw[name]
    if MARK in columns:
        return raw
    if isinstance(query.dtype, pl.List) and isinstance(query.dtype.inner, pl.Struct):
        values = query.to_list()
    elif query.dtype == pl.String and query.str.contains(r'^\s*\[\s*\{\s*"').any():
        values = [_loaded(text) for text in query]
    else:
        return raw
    said = [value if _is_messages(value) else None for value in values]
    texts = [text if value is None else asked(value) for text, value in zip(values, said, strict=True)]
    if not any(said) or any(isinstance(text, list) for text in texts):
        return raw
    raw = raw.with_columns(pl.Series(name, texts, dtype=pl.String))
    system = list(map(instructed, said))
    return raw if "system" in columns or not any(system) else raw.with_columns(pl.Series("system", system))


def _loaded(text: str | None) -> Any:
    """The messages in a text, else the text."""
    try:
        value = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return text
    return value if _is_messages(value) else text


def _is_messages(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and {"role", "content"} <= one.keys() for one in value)
    )


def read_records(
    raw: pl.DataFrame,
    columns: dict[str, str],
    place: Place,
    options: Options,
    findings: Findings,
    facts: Mapping[str, Any],
    files: int = 1,
    bad: BadRows | None = None,
) -> Imported:
    """The outcomes in records of a long table, which are numbered in the column "#".

    columns   our name of a column -> its name in `raw`
    place     where each record stands
    findings  what was met before; more is added
    bad       what could not be read before; more is added

    Raises ValueError with the place of the first value that breaks a rule, where there are many.
    """
    path, word, bad = place.path, place.word, bad or BadRows()
    options = replace(options, key="id", zero_cost="free") if MARK in columns else options
    table, records = _checked(raw, columns, place, options.scale, bad), raw.height
    del raw
    bad.settle(records, findings)
    table = keyed(table, options.key, findings)
    table = without_failed(filtered(_with_system(table), options.filter, path), findings)
    queries = number_queries(table, path, word, findings)
    cells = averaged_cells(table, queries, findings)
    outcomes = wide_table(cells, queries, path, options, findings)
    note_repeated_prompts(outcomes, findings)
    note_sense(outcomes, findings)
    if "reply" in cells.columns and options.replies is not None:
        write_replies(options.replies, 0, cells["row"].to_numpy(), cells["model"].to_list(), cells["reply"])
    return Imported(outcomes, findings, {"files": files, "records": records}, facts)


def _with_system(table: pl.DataFrame) -> pl.DataFrame:
    """The records, with the system prompt in the prompt where the file does not say what was sent."""
    if "system" not in table.columns:
        return table
    system = pl.col("system").fill_null("")
    sent = pl.when(system != "").then(pl.concat_str(system, pl.lit("\n\n"), "query"))
    prompt = pl.coalesce("prompt", sent) if "prompt" in table.columns else sent
    return table.with_columns(system=system, prompt=prompt)


def _read(path: Path, options: Options, bad: BadRows) -> tuple[pl.DataFrame, str]:
    """The file with the number of every record in column "#", and the word for what is numbered."""
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise ValueError(f"a long table must be a {', '.join(TABLES)} file, got {path}; rename it")
    if suffix == ".json":
        return _read_objects(_objects(path), path, "record", options, bad), "record"
    if suffix in (".jsonl", ".ndjson"):
        return _read_objects(read_lines(path, bad.drop), path, "line", options, bad), "line"
    if suffix == ".parquet" or suffix in ARROW:
        frame = read_parquet(path) if suffix == ".parquet" else read_arrow(path)
    else:
        frame = read_csv(path, bad.drop)
    return frame if "#" in frame.columns else frame.with_row_index("#", offset=1), "record"


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
    lines: Iterator[tuple[int, dict[str, Any]]], path: Path, word: str, options: Options, bad: BadRows
) -> pl.DataFrame:
    batches, seen = list[pl.DataFrame](), dict[str, None]()
    while batch := list(islice(lines, _BATCH)):
        keys = dict.fromkeys(key for _, record in batch for key in record)
        seen |= keys
        column = {name: column for column, name in _taken(list(seen), path, options.columns).items()}
        column |= {name: "words" for name, ours in column.items() if ours == "score" and options.scale}
        number = pl.Series("#", [line for line, _ in batch], dtype=pl.UInt32)
        place = Place(path, word, number)
        read = [json_column(key, [record.get(key) for _, record in batch], place, column[key], bad)
                for key in keys if key in column]  # fmt: skip
        ignored = [pl.Series(key, [None] * len(batch), dtype=pl.Null) for key in keys if key not in column]
        batches.append(pl.DataFrame([number, *read, *ignored]))
    if not batches:
        bad.settle(0, Findings())
        raise ValueError(f"{path} must hold records, got an empty file; write it again")
    return pl.concat(batches, how="diagonal")


def json_column(key: str, values: Sequence[Any], place: Place, column: str, bad: BadRows) -> pl.Series:
    """One column of JSON values, which have types of their own; `column` is what we call it."""
    kinds, rule = _kinds(column)
    wrong = [at for at, value in enumerate(values) if not (value is None or isinstance(value, kinds))]
    if column == "query":
        wrong = [at for at in wrong if not _is_messages(values[at])]
    if wrong:
        shown = str(values[wrong[0]])[:60]
        bad.add(f"{key} must be {rule}, got {shown!r} in {place.of(wrong[0])}; write it as one", len(wrong))
        values = [None if at in set(wrong) else value for at, value in enumerate(values)]
    if column in _NUMBERS:
        return pl.Series(key, [None if value is None else _float(value) for value in values], dtype=pl.Float64)
    return pl.Series(key, [None if value is None else _text(value) for value in values], dtype=pl.String)


def _kinds(column: str) -> tuple[tuple[type, ...], str]:
    """The JSON types of a column, and what to call them; JSON's true and false are numbers in Python."""
    if column in _NUMBERS:
        return (int, float), _RULES.get(column, _ZERO_OR_MORE)
    if column in (*_FACTS, *WRITTEN, "words"):
        return (object,), "anything"
    return ((str, int) if column in ("id", "model", "dataset", _CLUSTER) else (str,)), "a text"


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1.8e308
        return float("inf")


def _text(value: object) -> str:
    value = orjson.dumps(value).decode() if _is_messages(value) else value
    return str(value).encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no text


def _taken(found: Sequence[str], path: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    """Column name -> name in the file, of all that are there. Raises ValueError where one that was named is not."""
    names = {name.strip().lower(): name for name in reversed(found) if name != "#"}
    columns = _chosen(names, path, chosen)
    for column in (*TEXTS, *PLANES, "propensity", *((*WRITTEN, *SUMMED) if MARK in names else ())):
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
    for column, name in chosen.items():
        if column not in _NAMED:
            raise ValueError(
                f"no column is called {column!r}{did_you_mean(column, _NAMED)}; there are {', '.join(_NAMED)}"
            )
        if name.strip().lower() not in names:
            raise ValueError(
                f"{path} must have the column {name!r}, got none{did_you_mean(name, list(names.values()))}"
            )
    return {column: names[name.strip().lower()] for column, name in chosen.items()}


def _checked(raw: pl.DataFrame, columns: dict[str, str], place: Place, scale: str, bad: BadRows) -> pl.DataFrame:
    """The columns that are read, under our names, with every value checked. Records without query or model go."""
    out, whole = [raw["#"]], pl.repeat(value=True, n=raw.height, dtype=pl.Boolean, eager=True)
    for column, name in columns.items():
        values = raw[name].alias(name)
        if column in _NUMBERS:
            numbers = _in_range(column, values, place, scale, bad)
            parts = 1000.0 if name.strip().lower() in _THOUSANDTHS and column == "seconds" else 1.0
            out.append(pl.Series(column, numbers / parts, nan_to_null=True))
        else:
            texts = _checked_texts(column, values, place)
            out.append(texts.alias(column))
            if column not in _MAY_BE_EMPTY:
                whole &= _there(texts, place, bad)
    table = pl.DataFrame(out)
    table = table if whole.all() else table.filter(whole)
    return table if "dataset" in columns else table.with_columns(dataset=pl.lit(_DATASET))


def _in_range(column: str, values: pl.Series, place: Place, scale: str, bad: BadRows) -> FloatArray:
    """Numbers (n,), NaN where nothing stands or what breaks a rule."""
    if column == "score" and scale:
        numbers, wrong = scaled(values, scale)
        if wrong.any():
            first = int(wrong.argmax())
            rule = f"on the scale {scale}, got {values[first]} in {place.of(first)}"
            bad.add(f"{values.name} must be {rule}; correct it or leave it empty", int(wrong.sum()))
        return numbers
    rule = _RULES.get(column, _ZERO_OR_MORE)
    numbers, wrong = numbers_in(values, rule, place)
    if wrong.any():
        said = no_number(values, int(wrong.argmax()), rule, place)
        remedy = hint(values) if column == "score" else ""
        bad.add(said.replace("leave it empty if unknown", remedy) if remedy else said, int(wrong.sum()))
    numbers[wrong] = np.nan
    beyond = (numbers < 0) | (numbers > 1 if column in _BOUNDS else np.isinf(numbers))
    if column == "propensity":
        beyond |= numbers == 0  # what was served had a chance
    if beyond.any():
        first = int(beyond.argmax())
        remedy = hint(values) if column == "score" and numbers[first] > 0 else "leave it empty if unknown"
        bounds = _BOUNDS.get(column, "0 or more")
        said = f"{values.name} must be {bounds}, got {numbers[first]:g} in {place.of(first)}; {remedy}"
        bad.add(said, int(beyond.sum()))
        numbers[beyond] = np.nan
    return numbers


def _checked_texts(column: str, values: pl.Series, place: Place) -> pl.Series:
    if column == "error" and values.dtype.is_nested():
        values = values.is_not_null().cast(pl.String).replace("false", None)
    if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object):
        raise ValueError(f"{values.name} must be text, got a column of {values.dtype} in {place.path}; convert it")
    return values.cast(pl.String)


def _there(texts: pl.Series, place: Place, bad: BadRows) -> pl.Series:
    """Whether (n,) a text is there, where one must be."""
    empty = texts.fill_null("").str.strip_chars() == ""
    if empty.any():
        where = place.of(int(empty.arg_max() or 0))
        said = f"{texts.name} must not be empty, got nothing in {where}; every record needs one"
        bad.add(said, int(empty.sum()), "dropped")
    return ~empty
