"""What the command line prints, and where: tables and JSON to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from llmrouterbench.files import json_bytes
from llmrouterbench.numerals import Show, count

messages = Console(stderr=True)
tables = Console()


def say(text: str) -> None:
    """One message to a person, as it is."""
    messages.print(escape(text), soft_wrap=True, highlight=False)


def show_lines(lines: list[str]) -> None:
    """Plain lines of a result."""
    for line in lines:
        tables.print(escape(line), soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """One JSON object on standard output; NaN becomes null."""
    sys.stdout.buffer.write(json_bytes(value) + b"\n")
    sys.stdout.buffer.flush()


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """A progress bar on standard error; gives a function (what, done, total)."""
    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def tell(what: str, done: int, total: int | None) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield tell


def show_pairs(title: str, pairs: Mapping[str, str | int]) -> None:
    """A table of names and values; whole numbers are counts."""
    table = Table(title=escape(title), show_header=False, title_justify="left")
    for key, value in pairs.items():
        table.add_row(escape(key.replace("_", " ")), escape(value) if isinstance(value, str) else count(value))
    tables.print(table)


_LONG_NAME = 36
"""Characters of a model in a wide table before it is folded."""


def show_matrix(title: str, rows: dict[str, dict[str, float]], show: Show) -> None:
    """A wide table in slices that fit the terminal; a name that is long goes on below itself."""
    cells = {row: {column: show(value) for column, value in values.items()} for row, values in rows.items()}
    name = min(max(map(len, ("model", *cells))), _LONG_NAME) + 4
    slices: list[list[str]] = [[]]
    for column in next(iter(cells.values()), {}):
        wide = [max(map(len, (one, *(values[one] for values in cells.values())))) + 3 for one in (*slices[-1], column)]
        if slices[-1] and name + sum(wide) > tables.width:
            slices.append([])
        slices[-1].append(column)
    for i, part in enumerate(slices if cells else []):
        table = Table(title=escape(f"{title} (continued)" if i else title), title_justify="left")
        table.add_column("model", overflow="fold", max_width=_LONG_NAME)
        for column in part:
            table.add_column(escape(column), justify="right", overflow="fold")
        for row, values in cells.items():
            table.add_row(escape(row), *(values[column] for column in part))
        tables.print(table)


def show_rows(title: str, rows: list[dict[str, Any]], json: bool) -> None:
    """A table with a column a key, or one JSON object."""
    if json:
        print_json({title.lower(): rows})
        return
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*("" if value is None else escape(str(value)) for value in row.values()))
    tables.print(table)
