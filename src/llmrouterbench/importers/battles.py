"""Battles: which of two models' replies to a query somebody preferred. They are no outcomes, since neither has a score.

Layouts: Arena's releases (55k with `winner_model_a`, `_b` and `_tie`; 33k, 100k and 140k with `winner`), RouteLLM's
battles of a judge (either), RewardBench's pairs (`chosen_model`, `rejected_model`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from llmrouterbench.findings import Finding, Findings
from llmrouterbench.importers._bad_rows import BadRows
from llmrouterbench.importers._messages import asked
from llmrouterbench.importers._sources import opened
from llmrouterbench.records import read_csv, read_json_file, read_lines, read_parquet
from llmrouterbench.table import BoolArray, FloatArray, IntArray

_FLAGS = {"winner_model_a": "model_a", "winner_model_b": "model_b", "winner_tie": "tie"}
_RESULT = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5, "bothbad": 0.5, "both_bad": 0.5}
_BAD = ("tie (bothbad)", "bothbad", "both_bad")
_ASKED, _TASKS = ("prompt", "conversation_a", "question_id"), ("task", "subset", "category", "language")
_PAIR = {"model_a": "chosen_model", "model_b": "rejected_model"}


@dataclass(frozen=True)
class Battles:
    """Battles of m models; the arrays have an entry a battle.

    first, second  columns of `models`
    result         1 where the first was preferred, 0 where the second was, 1/2 where neither was
    bad            whether neither was preferred because both were bad
    query          number of what was asked; task: its kind, where the file says it
    """

    models: tuple[str, ...]
    first: IntArray
    second: IntArray
    result: FloatArray
    bad: BoolArray
    query: IntArray
    task: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def read_battles(source: str | Path) -> Battles:
    """Read one file of battles, from a path or an address, packed or not.

    Raises ValueError where it has no battles, or many that name no model or no winner; errors of addresses as of
    `import_outcomes`.
    """
    with opened(source) as found:
        return _battles(_table(found.path), found.path)


def _table(path: Path) -> pl.DataFrame:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return read_parquet(path)
    if suffix in (".csv", ".tsv"):
        return read_csv(path)
    if suffix not in (".json", ".jsonl", ".ndjson"):
        raise ValueError(f"battles must be a CSV, JSON, JSONL or Parquet file, got {path}; convert it")
    rows: list[Any] = read_json_file(path) if suffix == ".json" else [row for _, row in read_lines(path)]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} must be a list of battles, got something else; is it a file of battles?")
    known = (*_PAIR, *_PAIR.values(), *_FLAGS, "winner", *_ASKED, *_TASKS)
    names = [name for name in known if any(name in row for row in rows)]
    return pl.DataFrame({name: pl.Series([_plain(row.get(name)) for row in rows], dtype=pl.String) for name in names})


def _plain(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def _battles(table: pl.DataFrame, path: Path) -> Battles:
    names, columns = dict(zip(_PAIR, _PAIR, strict=True)), set(table.columns)
    if set(_PAIR.values()) <= columns:
        names, won = _PAIR, pl.lit("model_a")
    elif "winner" in columns:
        won = pl.col("winner").cast(pl.String).str.strip_chars().str.to_lowercase()
    else:
        won = pl.coalesce(
            pl.when(pl.col(flag).cast(pl.String).str.to_lowercase().is_in(["1", "1.0", "true"])).then(pl.lit(winner))
            for flag, winner in _FLAGS.items() if flag in columns
        ) if columns & _FLAGS.keys() else pl.lit(None, dtype=pl.String)  # fmt: skip
    if not set(names.values()) <= columns:
        raise ValueError(
            f"{path} must be a file of battles with model_a, model_b and a winner, got the columns"
            f" {', '.join(table.columns[:8])}; outcomes are read by import"
        )
    told = table.select(
        first=pl.col(names["model_a"]).cast(pl.String),
        second=pl.col(names["model_b"]).cast(pl.String),
        won=won,
        task=pl.coalesce(*(pl.col(name).cast(pl.String) for name in _TASKS if name in columns), pl.lit("")),
        query=pl.Series(_questions(table), dtype=pl.String),
    ).with_row_index("#", offset=1)
    return _checked(told, path)


def _questions(table: pl.DataFrame) -> list[str]:
    """What was asked in each battle, as far as it tells battles of one query from those of others."""
    name = next((name for name in _ASKED if name in table.columns), None)
    if name is None:
        return [str(number) for number in range(table.height)]
    values = table[name].to_list()
    return [str(value) if name == "question_id" else _first_turn(value) for value in values]


def _first_turn(value: Any) -> str:
    try:
        value = orjson.loads(value) if isinstance(value, str) and value[:1] == "[" else value
    except orjson.JSONDecodeError:
        return str(value)
    first = value[0] if isinstance(value, list) and value else value
    return asked([first]) if isinstance(first, dict) else str(first)


def _checked(told: pl.DataFrame, path: Path) -> Battles:
    """The battles that name two models and a winner."""
    bad, findings, records = BadRows(), Findings(), told.height
    for wrong, rule in (
        (pl.any_horizontal(pl.col("first", "second").fill_null("").str.strip_chars() == ""), "name two models"),
        (~pl.col("won").fill_null("").is_in(list(_RESULT)), "say who won (model_a, model_b, tie or both_bad)"),
        (pl.col("first") == pl.col("second"), "be of two models"),
    ):
        if (broken := told.filter(wrong)).height:
            row = broken.row(0, named=True)
            where = f"{path} record {row['#']}"
            got = f"{row['first']!r}, {row['second']!r} and the winner {row['won']!r}"
            bad.add(f"a battle must {rule}, got {got} in {where}; leave it out", broken.height, "dropped")
            told = told.filter(~wrong)
    bad.settle(records, findings)
    if not told.height:
        raise ValueError(f"{path} must hold battles, got none; is it a file of battles?")
    models = tuple(sorted({*told["first"], *told["second"]}))
    column = {model: at for at, model in enumerate(models)}
    first, second = (told[name].replace_strict(column, return_dtype=pl.Int64) for name in ("first", "second"))
    return Battles(
        models,
        first.to_numpy(),
        second.to_numpy(),
        told["won"].replace_strict(_RESULT, return_dtype=pl.Float64).to_numpy(),
        told["won"].is_in(_BAD).to_numpy(),
        told["query"].rank("dense").cast(pl.Int64).to_numpy() - 1,
        tuple(told["task"]),
        findings.all(),
    )
