"""A leaderboard as text: Markdown, CSV, JSON, tables for the terminal, and the folder that holds them all."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from llmrouterbench.files import write_bytes, write_json

if TYPE_CHECKING:
    from llmrouterbench.reporting.board import Kind, Leaderboard, Row
    from llmrouterbench.stats import Interval

PEAK = "peak on test (paper protocol)"
NEEDS_MATPLOTLIB = "figure needs matplotlib; pip install 'llmrouterbench[report]'"
_DATASETS_A_TABLE = 8
_SOMETIMES = ("pareto.png", "pareto.svg", "per_dataset_cost.csv")
"""Files that a report has only where costs are known; those of an earlier report must not stay behind."""
_BLOCKS: tuple[tuple[Kind, str], ...] = (("router", "Routers"), ("reference", "References"), ("model", "Single models"))
Cells = list[list[str]]
"""Rows of a table as text, the header first."""


def write_report(board: Leaderboard, folder: Path, *, figures: bool = True) -> Leaderboard:
    """Write every file of a report, each atomically; what only an earlier report had does not stay behind.

    Returns the board with a note added where a figure could not be drawn.
    """
    drawn: dict[str, bytes] = {}
    if figures and board.points and find_spec("matplotlib") is None:
        board = replace(board, notes=(*board.notes, f"The Pareto {NEEDS_MATPLOTLIB}."))
    elif figures and board.points:
        from llmrouterbench.reporting.figures.pareto import pareto_files

        drawn = pareto_files(board)
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


# Numbers as text: percent with the paper's two digits, USD with cents; "-" where there is no number.


def _percent(value: float, sign: str = "", digits: int = 1) -> str:
    return "-" if math.isnan(value) else f"{round(100 * value, digits) + 0.0:{sign}.{digits}f}"


def _span(number: Interval, show: Callable[[float], str], main: str) -> str:
    return main if math.isnan(number.low) else f"{main} [{show(number.low)}, {show(number.high)}]"


def _accuracy(number: Interval) -> str:
    return _span(number, _percent, _percent(number.value, digits=2))


def _signed(number: Interval | None, none: str = "none") -> str:
    def show(value: float) -> str:
        return _percent(value, "+")

    return none if number is None else _span(number, show, show(number.value))


def _peak(row: Row) -> str:
    return "-" if row.peak_on_test is None else _percent(row.peak_on_test, digits=2)


def _difference(row: Row) -> str:
    mark = " ~" if row.verdict.startswith("not distinguishable") else ""
    return _signed(row.difference) + mark


def _usd(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.2f}" if value >= 1 or value == 0 else f"{value:.3g}"


def _rough_usd(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _cost(row: Row) -> str:
    return _span(row.cost, _rough_usd, _usd(row.cost.value)) + ("*" if row.unknown_cost else "")


# Tables as cells, for Markdown and for the terminal alike.


def _main_cells(board: Leaderboard, rows: Sequence[Row]) -> Cells:
    peaked = rows[0].peak_on_test is not None
    header = [rows[0].kind.title(), "AvgAcc [95 % CI]"] + [PEAK] * peaked
    header += [f"vs {board.baseline}", "Gain@R", "Gain@B", "Gap@O"]
    cells = [[*header, "recovered", *(["Cost USD"] if board.priced else [])]]
    for row in rows:
        ratios = (row.gain_r, row.gain_b)
        cells.append(
            [
                row.name,
                _accuracy(row.avg_acc),
                *([_peak(row)] if peaked else []),
                "-" if not row.verdict else _difference(row),
                *(_percent(ratio.value, "+") for ratio in ratios),
                *(_percent(share.value) for share in (row.gap_o, row.recovered)),
                *([_cost(row)] if board.priced else []),
            ]
        )
    return cells


def _trade_off_cells(board: Leaderboard, rows: Sequence[Row]) -> Cells:
    cells = [["Router", "PerfGain"] + ["CostSave", "AvgAcc there"] * board.priced]
    for row in rows:
        saver = [_signed(row.cost_save), _signed(row.saver_difference, "-")] if board.priced else []
        cells.append([row.name, _signed(row.perf_gain), *saver])
    return cells


def _hindsight_cells(board: Leaderboard, rows: Sequence[Row]) -> Cells:
    cells = [["Router", "points", "PerfGain"] + ["CostSave", "ParetoDist"] * board.priced]
    for row in rows:
        saving = "none" if math.isnan(row.hindsight_cost_save) else _percent(row.hindsight_cost_save, "+")
        dist = "-" if math.isnan(row.pareto_dist) else f"{row.pareto_dist:.3f}"
        tail = [saving, dist] if board.priced else []
        cells.append([row.name, str(row.points), _percent(row.hindsight_perf_gain, "+"), *tail])
    return cells


def _peak_cells(rows: Sequence[Row]) -> Cells:
    return [["Router", "AvgAcc", PEAK], *([row.name, _accuracy(row.avg_acc), _peak(row)] for row in rows)]


def _dataset_cells(board: Leaderboard, what: str, datasets: Sequence[int]) -> Cells:
    show = _percent if what == "accuracy" else _usd
    cells = [["Router", *(board.datasets[i] for i in datasets)]]
    for row in board.rows:
        values = getattr(row, what)
        cells.append([row.name, *("-" if math.isnan(row.accuracy[i]) else show(values[i]) for i in datasets)])
    return cells


def _short_cells(board: Leaderboard, rows: Sequence[Row]) -> Cells:
    """The columns that fit into a terminal of 80 characters."""
    cells = [[rows[0].kind.title(), "AvgAcc", f"vs {board.baseline}", "Gap@O"] + ["USD"] * board.priced]
    for row in rows:
        cost = [_usd(row.cost.value) + ("*" if row.unknown_cost else "")] if board.priced else []
        difference = _difference(row) if row.verdict else "-"
        cells.append([row.name, _accuracy(row.avg_acc), difference, _percent(row.gap_o.value), *cost])
    return cells


def _tables(board: Leaderboard) -> list[tuple[str, Cells]]:
    """The leaderboard's tables, by title; without routers there is no trade-off to show."""
    tables = [(title, _main_cells(board, rows)) for kind, title in _BLOCKS if (rows := board.of_kind(kind))]
    routers = board.of_kind("router")
    if routers:
        tables[1:1] = [
            ("Trade-offs, points chosen on validation", _trade_off_cells(board, routers)),
            ("Trade-offs in hindsight, points chosen on test as in the paper", _hindsight_cells(board, routers)),
        ]
    return [(titled(board, title), cells) for title, cells in tables]


def _dataset_tables(board: Leaderboard) -> list[tuple[str, Cells]]:
    kinds = [("accuracy", "Accuracy by dataset, %")] + [("usd", "Test cost by dataset, USD")] * board.priced
    everything = range(len(board.datasets))
    starts = range(0, len(board.datasets), _DATASETS_A_TABLE)
    return [
        (titled(board, title), _dataset_cells(board, what, everything[start : start + _DATASETS_A_TABLE]))
        for what, title in kinds
        for start in starts
    ]


def _legend(board: Leaderboard) -> str:
    facts = board.facts
    cost = " `*`: some calls have no known cost, see the notes. CostSave is at the cheapest point that reaches Best"
    cost += " Single (`none` where none does); beside it that point's AvgAcc minus Best Single's."
    return (
        f"Percent, mean over {len(facts['seeds'])} seeds; in brackets 95 % percentile intervals of {facts['samples']}"
        " paired bootstrap draws over queries within datasets and over seeds."
        f" `~`: not distinguishable from {board.baseline}.{cost if board.priced else ''}"
    )


def markdown(board: Leaderboard, figure: str | None = None) -> str:
    """The whole report as Markdown; `figure` is the file name of the Pareto figure, if there is one."""
    parts = [f"# {titled(board, board.title)}", summary(board), _legend(board)]
    for title, cells in _tables(board):
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


def summary(board: Leaderboard) -> str:
    """How much was measured, in one sentence."""
    facts = board.facts
    tested = sorted(set(facts["test_queries"]))
    sizes = f"{tested[0]:,}" if len(tested) == 1 else f"{tested[0]:,} to {tested[-1]:,}"
    return (
        f"{facts['queries']:,} queries, {len(facts['models'])} models, {len(board.datasets)} datasets;"
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
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in cells]
    widths = [max(map(len, column)) for column in zip(*escaped, strict=True)]

    def line(row: list[str]) -> str:
        left, *right = row
        padded = [left.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(right, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (w - 1)}:" for w in widths[1:])]
    return "\n".join([line(escaped[0]), f"| {' | '.join(rule)} |", *map(line, escaped[1:])])


def render(board: Leaderboard) -> list[Table]:
    """The leaderboard for the terminal, one table a block; more columns and the single models are in the files."""
    routers, references = board.of_kind("router"), board.of_kind("reference")
    blocks = [("References", _short_cells(board, references))]
    if routers:
        blocks.insert(0, ("Routers", _short_cells(board, routers)))
        blocks.append(("Trade-offs", _trade_off_cells(board, routers)))
    if board.peaked:
        blocks.append(("Peaks", _peak_cells(routers)))
    out = [_rich_table(board, title, cells) for title, cells in blocks]
    out[-1].caption = "\n".join([_legend(board), *board.notes])
    return out


def _rich_table(board: Leaderboard, title: str, cells: Cells) -> Table:
    title = titled(board, f"{board.title.removeprefix('Leaderboard: ')}: {title}")
    look: dict[str, Any] = {"box": SIMPLE_HEAD, "padding": (0, 1, 0, 0), "pad_edge": False}
    table = Table(title=title, title_justify="left", caption_justify="left", **look)
    for i, name in enumerate(cells[0]):
        table.add_column(name, justify="right" if i else "left", overflow="fold", no_wrap=i > 0)
    for line in cells[1:]:
        table.add_row(*line)
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
        for name, value in asdict(row).items():
            if name in line or name in ("accuracy", "usd"):
                continue
            if name in _INTERVALS:
                parts = value or {"value": math.nan, "low": math.nan, "high": math.nan}
                line |= {name: parts["value"], f"{name}_low": parts["low"], f"{name}_high": parts["high"]}
            else:
                line[name] = value
        rows.append({**line, "simulated": board.simulated})
    absent = {key for key in rows[0] if _about_cost(key) and not board.priced}
    absent |= set() if board.peaked else {"peak_on_test"}
    return _csv([{key: value for key, value in row.items() if key not in absent} for row in rows])


_INTERVALS = (
    "avg_acc", "difference", "gain_r", "gain_b", "gap_o", "recovered", "cost", "perf_gain", "cost_save",
    "saver_difference",
)  # fmt: skip


def _about_cost(column: str) -> bool:
    return any(word in column for word in ("cost", "saver", "pareto"))


def per_dataset_csv(board: Leaderboard, what: str) -> str:
    """Router by dataset, means over seeds: `accuracy` as fractions with AvgAcc, or `usd` with the total."""
    last = "AvgAcc" if what == "accuracy" else "Total"
    rows = []
    for row in board.rows:
        values = dict(zip(board.datasets, getattr(row, what), strict=True))
        total = row.avg_acc.value if what == "accuracy" else row.cost.value
        rows.append({"name": row.name, "kind": row.kind, **values, last: total, "simulated": board.simulated})
    return _csv(rows)
