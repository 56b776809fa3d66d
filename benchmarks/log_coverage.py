"""`make log-coverage`: how often intervals of values from a log hold the truth, in SIMULATED worlds, into docs/logs.md.

Every world goes through the functions that `info`, `advise` and `evaluate-logs` call. `python -m
benchmarks.log_coverage N` goes on to N worlds a line, in batches that are kept in benchmarks/kept/log_coverage.json;
all are made again where the sources that they rest on have changed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import numpy as np
from scipy.stats import binom
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.house import ROOT
from benchmarks.pages import hash_of, put
from llmrouterbench.estimating.pseudo import pseudo_outcomes
from llmrouterbench.estimating.values import difference, value_of
from llmrouterbench.files import read_json, write_json
from llmrouterbench.stats import Interval, holm
from llmrouterbench.table import FloatArray, IntArray, Outcomes

PAGE, KEPT = ROOT / "docs" / "logs.md", ROOT / "benchmarks" / "kept" / "log_coverage.json"
MARKS = "<!-- made by `make log-coverage` -->", "<!-- end -->"
RESTS_ON = "benchmarks/log_coverage.py", "src/llmrouterbench/estimating", "src/llmrouterbench/routers/_linear_models.py"
WORLDS, BATCH = 2000, 50
NAN = float("nan")
SMOOTH = np.array([0.5, 0.6])
HARD = np.array([0.725, 0.5])
"""What two models score on every query, in the worlds of `smooth` and of `hard`."""


class World(Protocol):
    """A log of two models, from its seed."""

    def __call__(self, seed: int, n: int, *, known: bool, copies: int = 1) -> Outcomes:
        """With n queries, each `copies` times; whether propensities are `known`."""
        ...


def smooth_chances(x: FloatArray) -> FloatArray:
    """Chance (n, 2) that each of two models is right; no linear function of x (n, 2)."""
    return np.column_stack([1 / (1 + np.exp(-1.5 * x[:, 0])), np.where(x[:, 1] > 0, 0.75, 0.45)])


def smooth(seed: int, n: int, *, known: bool, copies: int = 1) -> Outcomes:
    """Models chosen by what the query shows, both often."""
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.normal(size=(n // copies, 2)), copies, axis=0)
    first = 0.1 + 0.8 / (1 + np.exp(-x[:, 0]))
    return _logged(rng, x, smooth_chances(x), first, copies, known=known)


def hard(seed: int, n: int, *, known: bool, copies: int = 1) -> Outcomes:
    """Hard queries went to the large model with 90 %, easy ones to the small one; texts of a kind are alike."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n // copies)
    words = rng.random((n // copies, 19)).argsort(axis=1) < 4
    x = np.repeat(np.hstack([np.eye(2)[kind], 0.3 * words]), copies, axis=0)
    chance = np.where(x[:, [1]] > 0, [0.5, 0.1], [0.95, 0.9])
    return _logged(rng, x, chance, np.where(x[:, 1] > 0, 0.9, 0.1), copies, known=known)


def _logged(
    rng: np.random.Generator, x: FloatArray, chance: FloatArray, first: FloatArray, copies: int, *, known: bool
) -> Outcomes:
    """Of each query the score of one model, the first with probability `first` (n,); copies have the same scores."""
    n = len(x)
    model: IntArray = (rng.random(n) > first).astype(np.int64)
    right = np.repeat(rng.random((n // copies, 2)), copies, axis=0) < chance
    score = np.where(np.arange(2) == model[:, None], right, NAN)
    table = Outcomes.of([f"q{i // copies}" for i in range(n)], ["a", "b"], score, embedding=x)
    ids = replace(table.queries, id=np.array([str(i) for i in range(n)]))
    return replace(table, queries=ids, propensity=np.column_stack([first, 1 - first]) if known else None)


@dataclass(frozen=True)
class Line:
    """Logs of one kind and size, and how often an interval must hold the truth (2,) of the models."""

    world: World
    truth: FloatArray
    n: int
    known: bool
    copies: int
    least: float

    @property
    def name(self) -> str:
        """What the page calls it."""
        kind = "chosen by the query" if self.world is smooth else "hard queries to the large model"
        copies = f", each {self.copies} times" if self.copies > 1 else ""
        return f"{kind} | {self.n:,}{copies} | {'known' if self.known else 'estimated'}"


LINES = [
    Line(world, truth, n, known, copies, least)
    for world, truth in ((smooth, SMOOTH), (hard, HARD))
    for n, known, copies, least in (
        (120, True, 1, 0.93),
        (400, True, 1, 0.93),
        (1500, True, 1, 0.93),
        (400, False, 1, 0.90),
        (1500, False, 1, 0.90),
        (400, True, 4, 0.92),
    )
    if n >= 400 or world is smooth  # of 120 the large model has some 20 effective trials
]
NAMES = "first model", "second model", "their difference"


@dataclass(frozen=True)
class Found:
    """Intervals of one number in some worlds.

    right    hold the truth; of `stated`; `silent` worlds had no number
    half, value, square  sums: half widths, values, squares of values
    """

    right: int = 0
    stated: int = 0
    silent: int = 0
    half: float = 0.0
    value: float = 0.0
    square: float = 0.0

    def __add__(self, other: Found) -> Found:
        return Found(*(one + two for one, two in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    @classmethod
    def of(cls, made: Interval, truth: float) -> Found:
        """One world."""
        if not np.isfinite(made.value):
            return cls(silent=1)
        return cls(int(made.low <= truth <= made.high), 1, 0, (made.high - made.low) / 2, made.value, made.value**2)

    @property
    def width(self) -> float:
        """Mean half width over that of an interval that knew how the values scatter; NaN for fewer than two."""
        if self.stated < 2:
            return NAN
        variance = (self.square - self.value**2 / self.stated) / (self.stated - 1)
        return float(self.half / self.stated / (1.96 * np.sqrt(variance)))

    def too_seldom(self, least: float) -> float:
        """The chance of as few or fewer right ones, were it right in `least` of all."""
        return float(binom.cdf(self.right, self.stated, least)) if self.stated else 1.0


def stated(table: Outcomes) -> list[Interval]:
    """Values of both models, and their difference."""
    made = pseudo_outcomes(table)
    first, second = (np.full(len(table), j) for j in range(2))
    return [*(value_of("", made, one).score for one in (first, second)), difference(made, first, second)]


def worlds(line: Line, seeds: Iterable[int]) -> list[Found]:
    """What is found of both models and their difference."""
    truth, found = [*line.truth, line.truth[0] - line.truth[1]], [Found()] * len(NAMES)
    for seed in seeds:
        made = stated(line.world(seed, line.n, known=line.known, copies=line.copies))
        found = [one + Found.of(*pair) for one, pair in zip(found, zip(made, truth, strict=True), strict=True)]
    return found


def kept_worlds(asked: int) -> dict[str, list[Found]]:
    """Every line with as many worlds as asked or more; what is kept of the same sources is not made again."""
    sources = hash_of(ROOT, RESTS_ON)
    kept = read_json(KEPT) if KEPT.is_file() else {}
    if kept.get("sources") != sources:
        kept = {"sources": sources, "lines": {}}
    lines = {name: [Found(**one) for one in found] for name, found in kept["lines"].items()}
    for start in range(0, asked, BATCH):
        for line in LINES:
            before = lines.setdefault(line.name, [Found()] * len(NAMES))
            if before[0].stated + before[0].silent > start:
                continue
            made = worlds(line, range(start, start + BATCH))
            lines[line.name] = [one + two for one, two in zip(before, made, strict=True)]
            write_json(KEPT, {**kept, "lines": {name: list(map(asdict, found)) for name, found in lines.items()}})
        print(start + BATCH, flush=True)
    return lines


def table(found: dict[str, list[Found]]) -> str:
    """Markdown: how often each interval held the truth, and whether that is too seldom."""
    known = [line for line in LINES if line.name in found]
    cells = [(line, name, one) for line in known for name, one in zip(NAMES, found[line.name], strict=True)]
    adjusted = holm(np.array([one.too_seldom(line.least) for line, _, one in cells]))
    lines = [
        "| SIMULATED log | requests | propensities | value of | holds the truth, % | at least | worlds | no number"
        " | width | too seldom |",
        "|---|---:|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for (line, name, one), p in zip(cells, adjusted.tolist(), strict=True):
        share = f"{100 * one.right / one.stated:.1f}" if one.stated else "-"
        verdict = f"**yes** (p {p:.2g})" if p < 0.05 else "no"
        count = one.stated + one.silent
        lines.append(
            f"| {line.name} | {name} | {share} | {100 * line.least:g} | {count:,} | {one.silent:,} | {one.width:.2f}"
            f" | {verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Go on to as many worlds a line as asked, and write the table between the marks of the page."""
    with threadpool_limits(limits=1):
        made = table(kept_worlds(int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS))
    put(PAGE, MARKS, made)


if __name__ == "__main__":
    main()
