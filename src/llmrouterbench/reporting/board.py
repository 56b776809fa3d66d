"""What a leaderboard holds: rows, operating points, notes and facts, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from llmrouterbench.reporting.columns import COLUMNS, Column, Group, Medium, Row, RowKind
from llmrouterbench.reporting.notebook import html
from llmrouterbench.reporting.verdict import lines
from llmrouterbench.shown import shown
from llmrouterbench.studies.verdict import Verdict

SCHEMA = 1


@dataclass(frozen=True)
class Point:
    """A single model or an operating point of a router on the test part, mean over seeds; `cost` in USD."""

    name: str
    kind: RowKind
    index: int
    weight: float
    avg_acc: float
    cost: float
    on_frontier: bool


@dataclass(frozen=True)
class Leaderboard:
    """Rows (routers by AvgAcc, then references, then single models), the points of the Pareto figure, and facts.

    baseline   what `Row.difference` is against: the `best_single` router where it was run, else Best Single
    base       model id behind Best Single
    priced     False where no cost is known at all
    simulated  True when no real model produced the numbers
    notes      sentences that a reader of the numbers must know
    facts      settings, versions, seeds, data hash
    verdict    what to run and what a loss of accuracy would save; None where no router was decided on unseen queries
    """

    title: str
    rows: tuple[Row, ...]
    points: tuple[Point, ...]
    datasets: tuple[str, ...]
    baseline: str
    base: str
    priced: bool
    simulated: bool
    notes: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict | None = None

    def __repr__(self) -> str:
        rows = {row.name: {"AvgAcc": row.avg_acc, "cost, USD": row.cost, "verdict": row.verdict} for row in self.rows}
        return shown({self.title + (" (SIMULATED)" if self.simulated else ""): rows})

    def _repr_html_(self) -> str:
        """How a notebook shows it: the verdict, and the routers with the columns that come first on the page."""
        columns = [column for column in self.columns("page") if column.brief]
        heads = ["Router", *(column.heading("page", self.baseline) for column in columns)]
        rows = [[row.name, *(column.text(row, "page") for column in columns)] for row in self.of_kind("router")]
        title = self.title + (" (SIMULATED)" if self.simulated else "")
        return html(title, lines(self.verdict) if self.verdict else [], heads, rows)

    @property
    def name(self) -> str:
        """What the data are called."""
        return self.title.removeprefix("Leaderboard: ")

    @property
    def peaked(self) -> bool:
        """Whether routers have a peak on test, as under the paper's protocol."""
        return any(row.peak_on_test is not None for row in self.rows)

    def columns(self, medium: Medium | None = None, group: Group | None = None) -> list[Column]:
        """The columns that these numbers allow, in a medium (all for files) and of a group."""
        has = {"": True, "costs": self.priced, "peaks": self.peaked}
        return [
            column
            for column in COLUMNS
            if has[column.needs] and (medium is None or medium in column.shown) and group in (None, column.group)
        ]

    def of_kind(self, kind: RowKind) -> list[Row]:
        """The rows of one block."""
        return [row for row in self.rows if row.kind == kind]

    def __getitem__(self, name: str) -> Row:
        """The first row of that name. Raises KeyError."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row named {name!r} in the leaderboard; there are {', '.join(r.name for r in self.rows)}")

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {"format": "llmrouterbench/report", "schema": SCHEMA, **asdict(self)}
