"""A leaderboard as text: Markdown, CSV, JSON, tables for the terminal, and the folder that holds them all."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from llmrouterbench.files import write_bytes, write_json
from llmrouterbench.naming import markdown_safe
from llmrouterbench.numerals import Show, count, percent, usd
from llmrouterbench.reporting import verdict
from llmrouterbench.reporting.columns import GROUPS, Medium, RowKind

if TYPE_CHECKING:
    from llmrouterbench.reporting.board import Leaderboard

NEEDS_MATPLOTLIB = "figure needs matplotlib; pip install 'llmrouterbench[report]'"
_DATASETS_A_TABLE = 8
_SOMETIMES = ("pareto.png", "pareto.svg", "per_dataset_cost.csv")
"""Files that a report has only where costs are known; those of an earlier report must not stay behind."""
_BLOCKS: dict[RowKind, str] = {"router": "Routers", "reference": "References", "model": "Single models"}


def write_report(board: Leaderboard, folder: Path, *, figures: bool = True) -> Leaderboard:
    """Write every file of a report, each atomically; what only an earlier report had does not stay behind.

    Returns the board with a note added where a figure could not be drawn.
    """
    drawn: dict[str, bytes] = {}
    if figures and board.points and find_spec("matplotlib") is None:
        board = replace(board, notes=(*board.notes, f"The Pareto {NEEDS_MATPLOTLIB}."))
    elif figures and board.points:
        try:
            from llmrouterbench.reporting.exhibits.figure08_pareto import pareto_files

            drawn = pareto_files(board)
        except Exception as error:  # a figure must not end a report
            note = f"The Pareto figure was not drawn: {type(error).__name__}: {error}."
            board = replace(board, notes=(*board.notes, note))
    files = {
        **drawn,
        "leaderboard.md": markdown(board, "pareto.png" if drawn else None).encode(),
        "leaderboard.csv": leaderboard_csv(board).encode(),
        "per_dataset_accuracy.csv": per_dataset_csv(board, "accuracy").encode(),
    }
    if board.priced:
        files["per_dataset_cost.csv"] = per_dataset_csv(board, "usd").encode()
    for name in _SOMETIMES:
        if name not in files:
            (folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        write_bytes(folder / name, data)
    write_json(folder / "report.json", board.to_dict())
    return board


def titled(board: Leaderboard, title: str) -> str:
    """A title that says SIMULATED where the data are."""
    return f"{title} (SIMULATED)" if board.simulated else title


Cells = list[list[str]]
"""Rows of a table as text, the header first."""


def _tables(board: Leaderboard, medium: Medium, kinds: Sequence[RowKind]) -> list[tuple[str, Cells]]:
    """The leaderboard's tables by title: every group of columns of the routers, the first one of the others."""
    found = []
    for kind in kinds:
        rows = board.of_kind(kind)
        for group, title in GROUPS.items():
            columns = board.columns(medium, group)
            if rows and columns and (kind == "router" or group == "main"):
                head = [kind.title(), *(column.heading(medium, board.baseline) for column in columns)]
                lines = [[row.name, *(column.text(row, medium) for column in columns)] for row in rows]
                found.append((titled(board, _BLOCKS[kind] if group == "main" else title), [head, *lines]))
    return found


def _dataset_tables(board: Leaderboard) -> list[tuple[str, Cells]]:
    kinds: list[tuple[str, str, Show]] = [("accuracy", "Accuracy by dataset, %", percent)]
    kinds += [("usd", "Test cost by dataset, USD", usd)] if board.priced else []
    found = []
    for what, title, show in kinds:
        for start in range(0, len(board.datasets), _DATASETS_A_TABLE):
            part = slice(start, start + _DATASETS_A_TABLE)
            lines = [[row.name, *map(show, getattr(row, what)[part])] for row in board.rows]
            found.append((titled(board, title), [["Router", *board.datasets[part]], *lines]))
    return found


def _legend(board: Leaderboard) -> str:
    facts = board.facts
    cost = " `*`: some calls have no known cost, see the notes. CostSave is at the cheapest point that reaches Best"
    cost += " Single (`none` where none does); beside it that point's AvgAcc minus Best Single's."
    return (
        f"Percent, mean over {len(facts['seeds'])} seeds; in brackets 95 % {facts['intervals']} intervals of"
        f" {facts['samples']} paired bootstrap draws over queries within datasets and over seeds."
        f" `~`: not distinguishable from {board.baseline}.{cost if board.priced else ''}"
    )


def markdown(board: Leaderboard, figure: str | None = None) -> str:
    """The whole report as Markdown; `figure` is the file name of the Pareto figure, if there is one."""
    parts = [f"# {titled(board, board.title)}", summary(board), *_verdict(board), _legend(board)]
    for title, cells in _tables(board, "markdown", tuple(_BLOCKS)):
        parts += [f"## {title}", _pipe_table(cells)]
    if figure:
        title = titled(board, "Accuracy and cost")
        parts += [f"## {title}", f"![{title}]({figure})"]
    shown = ""
    for title, cells in _dataset_tables(board):
        parts += [] if title == shown else [f"## {title}"]
        parts.append(_pipe_table(cells))
        shown = title
    parts += ["## Notes", "\n".join(f"- {note}" for note in board.notes)]
    parts += ["## How this was made", "\n".join(f"- {line}" for line in provenance(board))]
    return "\n\n".join(parts) + "\n"


def _verdict(board: Leaderboard) -> list[str]:
    """The verdict, its small table, and the commands that run what is in it, as Markdown."""
    if board.verdict is None:
        return []
    parts = [f"## {titled(board, 'Verdict')}", " ".join(map(markdown_safe, verdict.lines(board.verdict)))]
    parts += [_pipe_table(verdict.table(board.verdict)), verdict.LEGEND]
    found = verdict.commands(board.verdict)
    return [*parts, *(["```sh\n" + "\n".join(found) + "\n```"] if found else [])]


def summary(board: Leaderboard) -> str:
    """How much was measured, in one sentence."""
    facts = board.facts
    tested = sorted(set(facts["test_queries"]))
    sizes = count(tested[0]) if len(tested) == 1 else f"{count(tested[0])} to {count(tested[-1])}"
    return (
        f"{count(facts['queries'])} queries, {len(facts['models'])} models, {len(board.datasets)} datasets;"
        f" {sizes} test queries in each of {len(facts['seeds'])} seeds."
    )


def provenance(board: Leaderboard) -> list[str]:
    """Data, split, bootstrap, embedder, versions and routers, one line each."""
    facts = board.facts
    split = facts["split"]
    how = f"{split['kind']}, train share {split['ratio']:g}"
    lines = [
        f"Data: {'SIMULATED, ' if board.simulated else ''}sha256 {facts['data_hash']}",
        *(["Protocol: paper"] if board.peaked else []),
        f"Split: {split.get('file') or how}; seeds {', '.join(map(str, facts['seeds']))};"
        f" validation is {facts['validation_share']:g} of train",
        f"Bootstrap: {facts['samples']} draws, seed {facts['bootstrap_seed']}",
        f"Embedder: {_inline(facts['embedder'])}",
        f"Versions: {_inline(facts['versions'])}",
    ]
    return lines + [f"Router {entry['label']}: {_inline(entry.get('settings', {}))}" for entry in facts["routers"]]


def _inline(facts: dict[str, Any] | None) -> str:
    return ", ".join(f"{key} {value}" for key, value in (facts or {}).items()) or "none"


def _pipe_table(cells: Cells) -> str:
    escaped = [list(map(markdown_safe, line)) for line in cells]
    widths = [max(map(len, column)) for column in zip(*escaped, strict=True)]

    def line(row: list[str]) -> str:
        left, *right = row
        padded = [left.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(right, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (w - 1)}:" for w in widths[1:])]
    return "\n".join([line(escaped[0]), f"| {' | '.join(rule)} |", *map(line, escaped[1:])])


def render(board: Leaderboard, width: int = 80) -> list[Table]:
    """The leaderboard for a terminal of a width, the verdict last; more columns and the single models are in the files.

    A table that is wider goes on in another one below it.
    """
    made = _tables(board, "terminal", ("router", "reference"))
    out = [_rich_table(board, title, part) for title, cells in made for part in _fitting(cells, width)]
    out[-1].caption = escape("\n".join([_legend(board), *board.notes]))
    if board.verdict is not None:
        out.append(_rich_table(board, titled(board, "Verdict"), verdict.table(board.verdict, narrow=True), fold=(1,)))
        out[-1].caption = verdict.LEGEND
    return out


_LEAST_NAME = 12
"""Characters of the first column, where names may be folded."""


def _fitting(cells: Cells, width: int) -> list[Cells]:
    """The same table as several with the first column of each, none wider than this where one column can be."""
    name, *widths = [max(map(len, column)) + 1 for column in zip(*cells, strict=True)]
    parts: list[list[int]] = [[]]
    for i, wide in enumerate(widths, 1):
        if parts[-1] and min(name, _LEAST_NAME) + sum(widths[j - 1] for j in parts[-1]) + wide > width:
            parts.append([])
        parts[-1].append(i)
    return [[[line[0], *(line[i] for i in part)] for line in cells] for part in parts]


def plain_table(title: str) -> Table:
    """An empty table without a frame, for many columns in a narrow terminal."""
    look: dict[str, Any] = {"box": SIMPLE_HEAD, "padding": (0, 1, 0, 0), "pad_edge": False}
    return Table(title=escape(title), title_justify="left", caption_justify="left", **look)


def _rich_table(board: Leaderboard, title: str, cells: Cells, fold: Sequence[int] = (0,)) -> Table:
    """A table of the terminal; the columns in `fold` hold names that may be folded."""
    table = plain_table(f"{board.name}: {title}")
    for i, name in enumerate(cells[0]):
        names = i == 0 or i in fold
        table.add_column(escape(name), justify="left" if names else "right", overflow="fold", no_wrap=i not in fold)
    for line in cells[1:]:
        table.add_row(*map(escape, line))
    return table


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """CSV text; an unknown number is an empty cell."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if isinstance(v, float) and math.isnan(v) else v for key, v in row.items()})
    return out.getvalue()


def leaderboard_csv(board: Leaderboard) -> str:
    """One line a row; accuracies and ratios are fractions, costs USD, and `_low`, `_high` end the 95 % interval."""
    rows = []
    for row in board.rows:
        line: dict[str, Any] = {"name": row.name, "kind": row.kind}
        for column in board.columns():
            line |= column.values(row)
        rows.append({**line, "simulated": board.simulated})
    return _csv(rows)


def per_dataset_csv(board: Leaderboard, what: str) -> str:
    """Router by dataset, means over seeds: `accuracy` as fractions with AvgAcc, or `usd` with the total."""
    last = "AvgAcc" if what == "accuracy" else "Total"
    rows = []
    for row in board.rows:
        values = dict(zip(board.datasets, getattr(row, what), strict=True))
        total = row.avg_acc.value if what == "accuracy" else row.cost.value
        rows.append({"name": row.name, "kind": row.kind, **values, last: total, "simulated": board.simulated})
    return _csv(rows)
