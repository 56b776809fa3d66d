"""Files of choices that outside routers wrote: read, and refused with the record that breaks a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llmrouterbench.benching.folder import Part, Runs
from llmrouterbench.naming import did_you_mean
from llmrouterbench.records import Place, parse_numbers, read_csv, read_lines, read_parquet
from llmrouterbench.table import BoolArray, FloatArray, IntArray

RESERVED = ("query", "model", "seed", "point", "part")
ALIASES = {"query_id": "query", "id": "query", "choice": "model", "llm": "model"}
PARTS: tuple[Part, ...] = ("validation", "test")
_TOLERANCE = 1e-6
_BATCH = 50_000


@dataclass(frozen=True)
class ChoicesFile:
    """A file of choices, checked by itself.

    frame    one row a record: #, query (row in the outcomes), seed (null for any), point (0..w-1), part (position in
             `PARTS`)
    record   (k,) record of each model with a share, 0..; a record without any is no choice
    model    (k,) column in the outcomes
    share    (k,) its probability; those of a record sum to 1
    weights  (w,) operating points
    """

    frame: pl.DataFrame
    record: IntArray
    model: IntArray
    share: FloatArray
    weights: FloatArray
    place: Place

    @property
    def seeded(self) -> bool:
        """Whether the file says which seed a choice is for."""
        return self.frame["seed"].null_count() < self.frame.height

    @cached_property
    def chosen(self) -> BoolArray:
        """Whether a record holds a choice (records,)."""
        some = np.zeros(self.frame.height, dtype=np.bool_)
        some[self.record] = True
        return some

    def column(self, name: str) -> IntArray:
        """A column of the frame (records,)."""
        return self.frame[name].to_numpy()


def read_choices(path: Path, runs: Runs) -> ChoicesFile:
    """Read a file of choices and check it by itself. Raises ValueError with the record that breaks a rule."""
    if not path.is_file():
        raise FileNotFoundError(f"choices must be in a file, got nothing at {path}; check the path")
    raw, word = _read(path)
    raw = _named(raw, runs, path)
    place = Place(path, word, raw["#"])
    point, weights = _points(raw, place)
    frame = pl.DataFrame([raw["#"], _queries(raw, runs, place), _seeds(raw, runs, place), point, _parts(raw, place)])
    shares = _models(raw, runs, place) if "model" in raw.columns else _probabilities(raw, runs, place)
    table = ChoicesFile(frame, *shares, weights, place)
    _check_once(table, runs)
    return table


def _read(path: Path) -> tuple[pl.DataFrame, str]:
    """The file with the number of every record in column "#", and the word for what is numbered."""
    kind = path.suffix.lower()
    if kind in (".jsonl", ".ndjson"):
        return _read_json_lines(path), "line"
    if kind not in (".csv", ".parquet"):
        raise ValueError(f"choices must be a .csv, .jsonl, .ndjson or .parquet file, got {path}; rename it")
    frame = read_csv(path) if kind == ".csv" else read_parquet(path)
    return frame.with_row_index("#", offset=1), "record"


def _read_json_lines(path: Path) -> pl.DataFrame:
    lines, batches = read_lines(path), []
    while batch := list(islice(lines, _BATCH)):
        keys = dict.fromkeys(key for _, record in batch for key in record)
        number = pl.Series("#", [line for line, _ in batch], dtype=pl.UInt32)
        place = Place(path, "line", number)
        columns = [_json_column(key, [record.get(key) for _, record in batch], place) for key in keys]
        batches.append(pl.DataFrame([number, *columns]))
    if not batches:
        raise ValueError(f"{path} must hold records, got an empty file; write it again")
    return pl.concat(batches, how="diagonal")


def _json_column(key: str, values: Sequence[Any], place: Place) -> pl.Series:
    """One column as texts; numbers are parsed later, like those of a CSV file."""
    for record, value in enumerate(values):
        if isinstance(value, list | dict):
            raise ValueError(
                f"{key} must be a text or a number, got {str(value)[:60]} in {place.of(record)}; flatten it"
            )
    texts = (None if value is None else str(value).encode("utf-8", "replace").decode() for value in values)
    return pl.Series(key, list(texts), dtype=pl.String)


def _named(raw: pl.DataFrame, runs: Runs, path: Path) -> pl.DataFrame:
    """The columns that are read, under our names. Raises ValueError where one is missing or stands for nothing."""
    models = runs.outcomes.models
    given = [name for name in raw.columns if name != "#"]
    ours = {name: known for name in given if (known := name if name in models else _reserved(name))}
    count = Counter(ours.values())
    got = ", ".join(map(repr, given)) or "none"
    twice = next((name for name in count if count[name] > 1), None)
    if twice:
        raise ValueError(f"{path} must have one column {twice!r}, got {got}; remove one")
    shares = count.keys() & set(models)
    if "query" not in count or ("model" in count) == bool(shares):
        what = "and either a column 'model' or a column of probabilities for each model"
        raise ValueError(f"{path} must have a column 'query' {what}, got {got}; rename or remove columns")
    strange = next((name for name in given if name not in ours), None)
    if strange is not None and shares:
        raise ValueError(f"no model named {strange!r} in these runs{did_you_mean(strange, models)} (column of {path})")
    return raw.select("#", *(pl.col(name).alias(known) for name, known in ours.items()))


def _reserved(name: str) -> str | None:
    """The column that a name stands for.

    >>> _reserved("Query_ID"), _reserved("colour")
    ('query', None)
    """
    key = name.strip().lower()
    return key if key in RESERVED else ALIASES.get(key)


def _texts(raw: pl.DataFrame, name: str, place: Place) -> pl.Series:
    column = raw[name]
    if column.dtype.is_nested() or column.dtype.is_float() or column.dtype in (pl.Binary, pl.Object):
        raise ValueError(f"{name} must be text, got a column of {column.dtype} in {place.path}; convert it")
    return column.cast(pl.String)


def _queries(raw: pl.DataFrame, runs: Runs, place: Place) -> pl.Series:
    """Row in the outcomes of every record's query."""
    ids = runs.outcomes.queries.id.tolist()
    texts = _texts(raw, "query", place)
    rows = texts.replace_strict(pl.Series(ids), pl.Series(range(len(ids))), default=None, return_dtype=pl.Int64)
    if rows.null_count():
        bad = int(rows.is_null().arg_max() or 0)
        shown = texts[bad] or ""
        near = did_you_mean(shown, ids) if len(shown) < 100 else "; use the ids of the outcomes"
        raise ValueError(f"no query with id {shown!r} in these runs, in {place.of(bad)}{near}")
    return rows.alias("query")


def _seeds(raw: pl.DataFrame, runs: Runs, place: Place) -> pl.Series:
    """Seed of every record; null where the file has none."""
    if "seed" not in raw.columns:
        return pl.Series("seed", [None] * raw.height, dtype=pl.Int64)
    rule = f"a seed of these runs ({', '.join(map(str, runs.splits))})"
    values = parse_numbers(raw["seed"], rule, place)
    bad = np.flatnonzero(~np.isin(values, list(runs.splits)))
    if len(bad):
        got = "nothing" if np.isnan(values[bad[0]]) else f"{values[bad[0]]:g}"
        raise ValueError(f"seed must be {rule}, got {got} in {place.of(int(bad[0]))}; run the bench with that seed")
    return pl.Series("seed", values.astype(np.int64))


def _points(raw: pl.DataFrame, place: Place) -> tuple[pl.Series, FloatArray]:
    """Number of every record's operating point, and the points (w,)."""
    if "point" not in raw.columns:
        return pl.Series("point", [0] * raw.height, dtype=pl.Int64), np.zeros(1)
    values = parse_numbers(raw["point"], "a number", place)
    bad = np.flatnonzero(np.isnan(values))
    if len(bad):
        raise ValueError(f"point must be a number, got nothing in {place.of(int(bad[0]))}; leave the column out if one")
    weights, point = np.unique(values, return_inverse=True)
    return pl.Series("point", point.astype(np.int64)), weights


def _parts(raw: pl.DataFrame, place: Place) -> pl.Series:
    """Part of every record, as a position in `PARTS`."""
    if "part" not in raw.columns:
        return pl.Series("part", [1] * raw.height, dtype=pl.Int64)
    texts = _texts(raw, "part", place).str.strip_chars()
    parts = texts.replace_strict(list(PARTS), range(len(PARTS)), default=None, return_dtype=pl.Int64)
    if parts.null_count():
        bad = int(parts.is_null().arg_max() or 0)
        got = repr(texts[bad]) if texts[bad] else "nothing"
        raise ValueError(f"part must be 'test' or 'validation', got {got} in {place.of(bad)}")
    return parts.alias("part")


Shares = tuple[IntArray, IntArray, FloatArray]
"""Record, model and share (k,) of every model that has a share."""


def _models(raw: pl.DataFrame, runs: Runs, place: Place) -> Shares:
    """Shares of choices that name a model; an empty one is no choice."""
    models = runs.outcomes.models
    texts = _texts(raw, "model", place).str.strip_chars()
    column = texts.replace_strict(list(models), range(len(models)), default=-1, return_dtype=pl.Int64).to_numpy()
    named = (texts.fill_null("") != "").to_numpy()
    bad = np.flatnonzero((column < 0) & named)
    if len(bad):
        name, where = texts[int(bad[0])], place.of(int(bad[0]))
        raise ValueError(f"no model named {name!r} in these runs, in {where}{did_you_mean(name, models)}")
    return np.flatnonzero(named), column[named], np.ones(int(named.sum()))


def _probabilities(raw: pl.DataFrame, runs: Runs, place: Place) -> Shares:
    """Shares of choices that are probabilities; a record without any is no choice."""
    models = runs.outcomes.models
    given = [i for i, model in enumerate(models) if model in raw.columns]
    table = np.stack([_checked_probabilities(raw[models[i]], place) for i in given], axis=1)
    none = np.isnan(table).all(axis=1)
    table[none] = 0.0
    sums = table.sum(axis=1)
    bad = np.flatnonzero(~none & ~(np.abs(sums - 1.0) <= _TOLERANCE))
    if len(bad):
        got = "one that is empty" if np.isnan(sums[bad[0]]) else f"a sum of {sums[bad[0]]:.6g}"
        raise ValueError(f"probabilities must sum to 1, got {got} in {place.of(int(bad[0]))}; divide them by their sum")
    record, column = np.nonzero(table)
    return record, np.array(given, dtype=np.int64)[column], table[record, column] / sums[record]


def _checked_probabilities(column: pl.Series, place: Place) -> FloatArray:
    values = parse_numbers(column, "a probability between 0 and 1", place)
    bad = np.flatnonzero((values < 0) | (values > 1))
    if len(bad):
        first = int(bad[0])
        raise ValueError(f"{column.name} must be between 0 and 1, got {values[first]:g} in {place.of(first)}")
    return values


def _check_once(table: ChoicesFile, runs: Runs) -> None:
    """A query has one choice for each seed, part and operating point."""
    key = ["query", "seed", "point", "part"]
    again = table.frame.with_row_index("record").filter(~pl.struct(key).is_first_distinct())
    if again.height:
        second = again.row(0, named=True)
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.lit(second[name])) for name in key)
        first = table.frame.filter(same)["#"][0]
        id = str(runs.outcomes.queries.id[second["query"]])
        where = table.place.of(second["record"])
        raise ValueError(
            f"a query must have one choice, got a second one for {id!r} in {where} (the first is {table.place.word}"
            f" {first}); remove one, or tell them apart by seed, point or part"
        )
