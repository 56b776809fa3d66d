"""What a leaderboard holds: rows, operating points, notes and facts, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from llmrouterbench.shown import shown
from llmrouterbench.stats import Interval

SCHEMA = 1
Kind = Literal["router", "reference", "model"]


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard. Accuracies, gains and gaps are fractions; costs are USD; NaN is "not known".

    A router with several operating points stands at the one with the best AvgAcc on validation, chosen seed by seed.

    avg_acc              AvgAcc, mean over seeds
    avg_acc_std          standard deviation of AvgAcc over seeds
    difference           AvgAcc minus that of `Leaderboard.baseline`, on the datasets both have
    verdict              the difference in words
    gain_r, gain_b       Gain@R and Gain@B; gap_o is Gap@O against the oracle
    recovered            share of the way from Best Single to the oracle
    cost                 all test queries, mean over seeds
    perf_gain            PerfGain against Best Single
    cost_save            CostSave at the cheapest point that reaches Best Single on validation; None where there is none
    saver_difference     AvgAcc of that point minus Best Single's, on test
    saver_seeds          seeds with such a point; Best Single serves in the others
    hindsight_*          the same with the point chosen on the test part, as in the paper
    pareto_dist          mean distance of all operating points to the frontier
    points               number of operating points
    unmeasured           test queries, over all seeds, whose served cell has no measured score
    unknown_cost         test queries, over all seeds, with a call of no known cost
    accuracy, usd        per dataset, in the order of `Leaderboard.datasets`
    peak_on_test         under the paper's protocol, of a router: see `peaks.peaks_on_test`; None elsewhere
    """

    name: str
    kind: Kind
    avg_acc: Interval
    avg_acc_std: float
    difference: Interval
    verdict: str
    gain_r: Interval
    gain_b: Interval
    gap_o: Interval
    recovered: Interval
    cost: Interval
    perf_gain: Interval
    cost_save: Interval | None
    saver_difference: Interval | None
    saver_seeds: int
    hindsight_perf_gain: float
    hindsight_cost_save: float
    pareto_dist: float
    points: int
    unmeasured: int
    unknown_cost: int
    accuracy: tuple[float, ...]
    usd: tuple[float, ...]
    peak_on_test: float | None = None


@dataclass(frozen=True)
class Point:
    """A single model or an operating point of a router on the test part, mean over seeds; `cost` in USD."""

    name: str
    kind: Kind
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

    def __repr__(self) -> str:
        rows = {row.name: {"AvgAcc": row.avg_acc, "cost, USD": row.cost, "verdict": row.verdict} for row in self.rows}
        return shown({self.title + (" (SIMULATED)" if self.simulated else ""): rows})

    @property
    def peaked(self) -> bool:
        """Whether routers have a peak on test, as under the paper's protocol."""
        return any(row.peak_on_test is not None for row in self.rows)

    def of_kind(self, kind: Kind) -> list[Row]:
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
