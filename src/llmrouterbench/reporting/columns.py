"""The leaderboard's numbers, each once: its field in a row, and its column with one cell for every place it is printed.

JSON holds a row as it is; CSV has a column a number, and two more for the ends of an interval. To add a column: a
field of `Row`, an entry of `COLUMNS`, and the number itself in `leaderboard.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from llmrouterbench.numerals import NONE, Number, Show, accuracy, count, number, percent, points, span, usd
from llmrouterbench.stats import UNKNOWN_NUMBER, Interval

RowKind = Literal["router", "reference", "model"]
Group = Literal["main", "validation", "hindsight"]
Medium = Literal["terminal", "markdown", "page"]
GROUPS: dict[Group, str] = {
    "main": "Accuracy and cost, points chosen on unseen training queries",
    "validation": "Trade-offs, points chosen on unseen training queries",
    "hindsight": "Trade-offs in hindsight, points chosen on test as in the paper",
}
EVERYWHERE: tuple[Medium, ...] = ("terminal", "markdown", "page")
WIDE: tuple[Medium, ...] = ("markdown", "page")
PAGE: tuple[Medium, ...] = ("page",)
NOWHERE: tuple[Medium, ...] = ()


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard. Accuracies, gains and gaps are fractions; costs are USD; NaN is "not known".

    A router with several operating points stands at the one chosen on unseen training queries, seed by seed.

    avg_acc              AvgAcc, mean over seeds
    avg_acc_std          standard deviation of AvgAcc over seeds
    difference           AvgAcc minus that of `Leaderboard.baseline`, on the datasets both have
    rank, worst_rank     of a router: 1 and the number of routers that are surely better, and the worst that it can be;
                         None for others
    together             the difference with an interval that holds for all rows at once
    verdict              that in words, or of folders of version 0.1 the difference; "" for the baseline itself
    detectable           smallest true difference that would have been seen in 80 of 100 samples; NaN for the baseline
    gain_r, gain_b       Gain@R and Gain@B; gap_o is Gap@O against the oracle
    recovered            share of the way from Best Single to the oracle
    cost                 all test queries, mean over seeds
    perf_gain            PerfGain against Best Single
    quality_end          AvgAcc at the end of the dial where quality decides; NaN without a dial
    point_error          largest standard error of a lead over its point where it was chosen; NaN without a dial
    half_difference      AvgAcc minus Best Single's at the point that was best there for half of Best Single's cost;
                         None where there is none
    half_save            CostSave of that point on test
    cost_save            CostSave at the cheapest point that reaches Best Single on unseen training queries; None where
                         there is none
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
    kind: RowKind
    avg_acc: Interval
    avg_acc_std: float
    difference: Interval
    rank: int | None
    worst_rank: int | None
    together: Interval
    verdict: str
    detectable: float
    gain_r: Interval
    gain_b: Interval
    gap_o: Interval
    recovered: Interval
    cost: Interval
    perf_gain: Interval
    quality_end: float
    point_error: float
    half_difference: Interval | None
    half_save: Interval | None
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
class Cell:
    """A number as it stands in a table.

    span     its interval, "" where it has none
    mark     what is said behind both
    sort     what a column is sorted by
    classes  how the page shades it
    title    what the page says in full
    """

    text: str
    span: str = ""
    mark: str = ""
    sort: float | str | None = None
    classes: str = ""
    title: str = ""

    @classmethod
    def of(cls, one: Interval | Number, show: Show, none: str = "", ends: Show | None = None, mark: str = "") -> Cell:
        """A number, with its interval where it has one; `none` is said of None, `ends` the form of the ends."""
        if one is None and none:
            return cls(none)
        if not isinstance(one, Interval):
            one = Interval(math.nan if one is None else one, math.nan, math.nan)
        if not math.isfinite(one.value):
            return cls(show(one.value))
        return cls(show(one.value), span(one, ends or show), mark, one.value)

    def line(self, spans: bool = True) -> str:
        """Everything on one line."""
        return f"{self.text} {self.span if spans else ''}".rstrip() + self.mark


@dataclass(frozen=True)
class Column:
    """A number of every row.

    key       its field in `Row`, its key in JSON and CSV
    title     its head; "{baseline}" stands for the name of the baseline
    about     what it means, for the page
    cell      how it is printed
    unit      "%", "points", "USD", or "" where there is none
    needs     "costs": nothing without known costs; "peaks": nothing but under the paper's protocol
    shown     where it stands; files have every column
    interval  whether it has one, and `spans` where that stands beside it
    head      its head in Markdown and the terminal, where that is not the title
    words     whether it is words, not a number
    brief     whether the page shows it before more is asked for
    """

    key: str
    title: str
    about: str
    cell: Callable[[Row], Cell]
    group: Group = "main"
    unit: str = "%"
    needs: Literal["", "costs", "peaks"] = ""
    shown: tuple[Medium, ...] = EVERYWHERE
    spans: tuple[Medium, ...] = EVERYWHERE
    interval: bool = False
    head: str = ""
    words: bool = False
    brief: bool = False

    @property
    def classes(self) -> str:
        """How the page finds it: its group, and whether it is shown on request only."""
        asked = self.group == "hindsight" or self.brief
        return " ".join([self.group, *([] if asked else ["more"]), *(["words"] if self.words else [])])

    def heading(self, medium: Medium, baseline: str) -> str:
        """The head in one medium; percent and points go without saying outside the page."""
        if medium == "page":
            return f"{self.title}{f', {self.unit}' if self.unit else ''}".replace("{baseline}", baseline)
        return (self.head or self.title).replace("{baseline}", baseline)

    def text(self, row: Row, medium: Medium) -> str:
        """The cell on one line."""
        return self.cell(row).line(medium in self.spans)

    def values(self, row: Row) -> dict[str, Any]:
        """The cells of the CSV by head."""
        value = getattr(row, self.key)
        if not self.interval:
            return {self.key: value}
        one = value or UNKNOWN_NUMBER
        return {self.key: one.value, f"{self.key}_low": one.low, f"{self.key}_high": one.high}


def _three_decimals(value: Number) -> str:
    return number(value, 3)


def _difference(row: Row) -> Cell:
    noise = row.verdict.startswith("not distinguishable")
    return Cell.of(row.difference, points, mark=" ~" if noise else "") if row.verdict else Cell("baseline")


def _verdict(row: Row) -> Cell:
    mark = row.verdict.partition(" ")[0]
    return Cell(row.verdict or "the baseline", sort=row.verdict, classes=mark if mark in ("better", "worse") else "")


def _rank(row: Row) -> Cell:
    if row.rank is None or row.worst_rank is None:
        return Cell(NONE)
    return Cell(str(row.rank), "" if row.rank == row.worst_rank else f"to {row.worst_rank}", sort=row.rank)


def _worst_rank(row: Row) -> Cell:
    return Cell.of(row.worst_rank, count, NONE)


def _hindsight_saving(row: Row) -> Cell:
    """None where no point reaches the base; one that reaches it may still have unknown costs."""
    none = math.isnan(row.hindsight_cost_save) and row.hindsight_perf_gain < 0.0
    return Cell.of(None if none else row.hindsight_cost_save, points, NONE)


COLUMNS: tuple[Column, ...] = (
    Column(
        "avg_acc", "AvgAcc", "mean over datasets of the mean score",
        lambda row: Cell.of(row.avg_acc, accuracy, ends=percent), interval=True, head="AvgAcc [95 % CI]", brief=True,
    ),
    Column(
        "avg_acc_std", "std of AvgAcc", "standard deviation over seeds",
        lambda row: Cell.of(row.avg_acc_std, accuracy), shown=NOWHERE,
    ),
    Column(
        "difference", "vs {baseline}", "AvgAcc minus that of the baseline; ~: not distinguishable from it",
        _difference, unit="points", interval=True, brief=True,
    ),
    Column(
        "rank", "rank", "1 and the routers that are surely better, all pairs at once; then the worst rank it can have",
        _rank, unit="", shown=WIDE, brief=True,
    ),
    Column("worst_rank", "worst rank", "with 95 % certainty of all at once", _worst_rank, unit="", shown=NOWHERE),
    Column(
        "together", "vs {baseline}, all rows at once",
        "the same difference; the intervals of all rows hold together in 95 of 100 samples",
        lambda row: Cell.of(row.together, points) if row.verdict else Cell("baseline"),
        unit="points", shown=PAGE, interval=True,
    ),
    Column(
        "verdict", "in words", "what the difference says, over all rows at once",
        _verdict, unit="", shown=PAGE, words=True,
    ),
    Column(
        "detectable", "detectable", "smallest true difference that these queries show in 80 of 100 samples",
        lambda row: Cell.of(None if math.isnan(row.detectable) else row.detectable, percent, NONE),
        unit="points", shown=PAGE,
    ),
    Column(
        "gain_r", "Gain@R", "gain over a random choice",
        lambda row: Cell.of(row.gain_r, points), shown=WIDE, spans=PAGE, interval=True,
    ),
    Column(
        "gain_b", "Gain@B", "gain over Best Single",
        lambda row: Cell.of(row.gain_b, points), shown=WIDE, spans=PAGE, interval=True,
    ),
    Column(
        "gap_o", "Gap@O", "gap to the Oracle; lower is better",
        lambda row: Cell.of(row.gap_o, percent), spans=PAGE, interval=True,
    ),
    Column(
        "recovered", "recovered", "share of the way from Best Single to the Oracle",
        lambda row: Cell.of(row.recovered, percent), shown=WIDE, spans=PAGE, interval=True,
    ),
    Column(
        "cost", "Cost", "all test queries of a seed, mean over seeds; *: some calls have no known cost, see the notes",
        lambda row: Cell.of(row.cost, usd, mark="*" if row.unknown_cost else ""),
        unit="USD", needs="costs", spans=WIDE, interval=True, head="Cost USD", brief=True,
    ),
    Column(
        "perf_gain", "PerfGain", "AvgAcc over that of Best Single, minus 1",
        lambda row: Cell.of(row.perf_gain, points), "validation", interval=True,
    ),
    Column(
        "quality_end", "AvgAcc at weight 0", "at the end of the dial where quality decides; nothing is chosen",
        lambda row: Cell.of(None if math.isnan(row.quality_end) else row.quality_end, accuracy, NONE), "validation",
    ),
    Column(
        "point_error", "error of the choice",
        "largest standard error of another point's lead on the training queries where it was chosen",
        lambda row: Cell.of(None if math.isnan(row.point_error) else row.point_error, percent, NONE), "validation",
        unit="points", shown=NOWHERE,
    ),
    Column(
        "half_difference", "vs Best Single at half its cost",
        "AvgAcc minus that of Best Single on test, at the best point on unseen training queries for half of its cost",
        lambda row: Cell.of(row.half_difference, points, NONE), "validation",
        unit="points", needs="costs", interval=True, head="at half cost",
    ),
    Column(
        "half_save", "CostSave there", "saved on test against Best Single at that point",
        lambda row: Cell.of(row.half_save, points, NONE), "validation", needs="costs", shown=PAGE, interval=True,
    ),
    Column(
        "cost_save", "CostSave", "at the cheapest point that reaches Best Single on unseen training queries",
        lambda row: Cell.of(row.cost_save, points, NONE), "validation", needs="costs", interval=True, brief=True,
    ),
    Column(
        "saver_difference", "AvgAcc there", "AvgAcc of that point minus that of Best Single, on test",
        lambda row: Cell.of(row.saver_difference, points, NONE), "validation",
        unit="points", needs="costs", interval=True, brief=True,
    ),
    Column(
        "saver_seeds", "seeds with such a point", "Best Single serves in the others",
        lambda row: Cell.of(row.saver_seeds, count), "validation", unit="", needs="costs", shown=NOWHERE,
    ),
    Column(
        "hindsight_perf_gain", "PerfGain", "at the best point on test",
        lambda row: Cell.of(row.hindsight_perf_gain, points), "hindsight", shown=WIDE,
    ),
    Column(
        "hindsight_cost_save", "CostSave", "at the cheapest point that reaches it on test",
        _hindsight_saving, "hindsight", needs="costs", shown=WIDE,
    ),
    Column(
        "pareto_dist", "ParetoDist", "mean distance of all operating points to the frontier; lower is better",
        lambda row: Cell.of(row.pareto_dist, _three_decimals), "hindsight", unit="", needs="costs", shown=WIDE,
    ),
    Column(
        "points", "points", "settings of the dial that were tried",
        lambda row: Cell.of(row.points, count), "hindsight", unit="", shown=WIDE,
    ),
    Column(
        "unmeasured", "unmeasured", "test queries, over all seeds, whose served cell has no measured score",
        lambda row: Cell.of(row.unmeasured, count), unit="", shown=NOWHERE,
    ),
    Column(
        "unknown_cost", "calls of unknown cost", "test queries, over all seeds, with a call of no known cost",
        lambda row: Cell.of(row.unknown_cost, count), unit="", needs="costs", shown=NOWHERE,
    ),
    Column(
        "peak_on_test", "peak on test",
        "highest AvgAcc on test over operating points and checkpoints, chosen seed by seed (paper protocol)",
        lambda row: Cell.of(row.peak_on_test, accuracy), "hindsight", needs="peaks",
        head="peak on test (paper protocol)",
    ),
)  # fmt: skip
