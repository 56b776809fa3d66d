"""Tables in files that hold several: sheets of a workbook, tables of a SQLite file; and Arrow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib import import_module
from pathlib import Path

import polars as pl

WORKBOOKS, DATABASES, ARROW = (".xlsx", ".xls", ".ods"), (".sqlite", ".db"), (".arrow", ".feather")


def read_tables(path: Path) -> dict[str, pl.DataFrame]:
    """Name -> table of all that hold records, values as texts. Raises ValueError where the file is damaged or empty."""
    tables = _sheets(path) if path.suffix.lower() in WORKBOOKS else _sqlite(path)
    found = {name: frame for name, frame in tables.items() if frame.height}
    if not found:
        raise ValueError(f"{path} must hold records, got {len(tables)} empty tables; write it again")
    return found


def _sheets(path: Path) -> dict[str, pl.DataFrame]:
    try:
        fastexcel = import_module("fastexcel")
    except ImportError as error:
        raise ImportError(f"{path} needs fastexcel; pip install 'llmrouterbench[tables]', or save it as CSV") from error
    try:
        book = fastexcel.read_excel(path)
        return {name: pl.DataFrame(book.load_sheet(name, dtypes="string")) for name in book.sheet_names}
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"{path} must be a workbook, got: {str(error).splitlines()[0]}; save it as CSV") from error


def _sqlite(path: Path) -> dict[str, pl.DataFrame]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
            listed = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
            return {name: _texts(base, name, path) for (name,) in base.execute(listed).fetchall()}
    except sqlite3.Error as error:
        raise ValueError(f"{path} must be a SQLite file, got: {error}; copy it again") from error


def _texts(base: sqlite3.Connection, name: str, path: Path) -> pl.DataFrame:
    """A table as texts."""
    rows = base.execute('SELECT * FROM "{}"'.format(name.replace('"', '""')))
    names = [column[0] for column in rows.description]
    batches = [pl.DataFrame(schema=dict.fromkeys(names, pl.String))]
    while batch := rows.fetchmany(100_000):
        columns = zip(names, zip(*batch, strict=True), strict=True)
        batches.append(
            pl.DataFrame([pl.Series(column, list(map(_text, of)), dtype=pl.String) for column, of in columns])
        )
    return pl.concat(batches)


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)
