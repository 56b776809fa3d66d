"""What every router, model and reference scored and cost on the test queries of every seed, from stored decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from llmrouterbench.benching.folder import Decisions, Part, Runs, Served, meter
from llmrouterbench.coverage import need_matrix
from llmrouterbench.estimating.pseudo import Judge
from llmrouterbench.metrics import (
    avg_acc,
    best_single,
    dataset_means,
    dataset_oracle_choice,
    known_mean,
    like_for_like,
    oracle_choice,
    random_expectation,
    reaches,
)
from llmrouterbench.stats import FEWEST, Sample, effective_trials, sample_means
from llmrouterbench.table import BoolArray, FloatArray, IntArray, Outcomes

Key = tuple[str, str]
"""("router" | "saver" | "billed" | "reference" | "model", name)"""
Column = tuple[FloatArray, FloatArray]
"""Score and cost (n,) on the test queries of one seed."""

BILL = 0.5
"""Share of the base's cost within which the best AvgAcc is looked for."""
RANDOM, ORACLE = "Random", "Oracle"
DATASET_ORACLE, DATASET_ORACLE_PAPER = "Dataset Oracle (per seed)", "Dataset Oracle (seed means)"


@dataclass(frozen=True)
class OperatingPoints:
    """Every setting of one router's dial on the test part, averaged over seeds.

    weights  (w,) settings, averaged over seeds where they follow the data
    acc      (w, datasets) accuracy
    cost     (w, datasets) USD
    """

    weights: FloatArray
    acc: FloatArray
    cost: FloatArray


@dataclass(frozen=True)
class Replay:
    """Columns that the leaderboard compares, one sample a seed.

    datasets     names, in the order of every dataset axis
    keys         what each column of the samples is; ("router", x) stands at the point with the best validation
                 AvgAcc, ("saver", x) at the cheapest point that reaches the base on validation, or at the base itself,
                 ("billed", x) at the point with the best AvgAcc there for at most half of the base's cost; NaN if none
    samples      one a seed
    points       operating points of each router
    saver_seeds  seeds in which a router with a dial had a point that reaches the base on validation
    base         column in the outcomes of the model that gains are measured against
    chosen       operating point of each router that ("router", x) stands at, one a seed
    quality      the one of each router at which quality decides
    point_error  largest standard error of a lead over the chosen point where it was chosen, mean over seeds
    """

    datasets: tuple[str, ...]
    keys: tuple[Key, ...]
    samples: tuple[Sample, ...]
    points: dict[str, OperatingPoints]
    saver_seeds: dict[str, int]
    base: int
    chosen: dict[str, tuple[int, ...]] = field(default_factory=dict)
    quality: dict[str, int] = field(default_factory=dict)
    point_error: dict[str, float] = field(default_factory=dict)


def complete_routers(runs: Runs) -> list[str]:
    """Labels of the routers that have decisions for every seed."""
    lacking = {router for router, _ in runs.missing}
    return [router for router in runs.routers if router not in lacking]


def replay(runs: Runs, outcomes: Outcomes) -> Replay:
    """Meter all stored decisions on `outcomes` (the runs' own, or the same with scores read another way).

    Raises ValueError where decisions and splits do not fit together, and for a log that says not by what it is judged.
    """
    if not set(runs.seeds) <= set(runs.judges):
        need_matrix(runs.outcomes, "which router is best")
    tests = [runs.splits[seed].test for seed in runs.seeds]
    judges = [runs.judges.get(seed) for seed in runs.seeds]
    tables = [outcomes if judge is None else judge.table(outcomes) for judge in judges]
    datasets = sorted({name for rows in tests for name in outcomes.dataset[rows].tolist()})
    by_model = np.array(
        [
            dataset_means(table.pool.score[rows], table.dataset[rows], datasets)
            for table, rows in zip(tables, tests, strict=True)
        ]
    )
    rare = _rare(judges, tests, len(outcomes.pool.models))
    by_model[..., rare] = np.nan
    mean_by_model = known_mean(by_model, axis=0)
    base = _base_model(runs, mean_by_model)
    book = _Book(outcomes, tuple(datasets), base, runs.rules.points != "validation", rare)
    for seed, rows, acc, book.outcomes, book.judge in zip(runs.seeds, tests, by_model, tables, judges, strict=True):
        columns = _models_and_references(book, rows, acc, mean_by_model)
        for label in complete_routers(runs):
            columns |= _router(book, label, runs.decisions[label, seed], rows)
        book.add(rows, columns)
    points = {label: _average(label, parts) for label, parts in book.sweeps.items()}
    chosen = {label: tuple(found) for label, found in book.chosen.items()}
    first = runs.seeds[0]
    quality = {label: _quality(runs.decisions[label, first], avg_acc(sweep.acc)) for label, sweep in points.items()}
    errors = {label: float(known_mean(np.array(found))) for label, found in book.errors.items()}
    return Replay(
        book.datasets, book.keys, tuple(book.samples), points, book.saver_seeds, base, chosen, quality, errors
    )


@dataclass
class _Book:
    """What is written down while the seeds are replayed; outcomes and judge are those of the seed."""

    outcomes: Outcomes
    datasets: tuple[str, ...]
    base: int
    surely: bool
    rare: BoolArray
    judge: Judge | None = None
    weights: dict[Key, FloatArray] = field(default_factory=dict)
    keys: tuple[Key, ...] = ()
    samples: list[Sample] = field(default_factory=list)
    sweeps: dict[str, list[OperatingPoints]] = field(default_factory=dict)
    saver_seeds: dict[str, int] = field(default_factory=dict)
    chosen: dict[str, list[int]] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)

    def add(self, rows: IntArray, columns: dict[Key, Column]) -> None:
        """Close one seed."""
        self.keys = tuple(columns)
        sample = _sample(self.outcomes, rows, list(columns.values()))
        weight = np.stack([self.weights[key] for key in columns], axis=1) if self.judge else None
        self.samples.append(replace(sample, weight=weight))


def _sample(outcomes: Outcomes, rows: IntArray, columns: list[Column]) -> Sample:
    score, cost = (np.stack(plane, axis=1) for plane in zip(*columns, strict=True))
    return Sample(outcomes.dataset[rows], outcomes.together[rows], score, cost)


def _rare(judges: Sequence[Judge | None], tests: Sequence[IntArray], models: int) -> BoolArray:
    """Models (m,) of a log without 20 effective trials in the test part of a seed. Raises ValueError where all are."""
    trials = [effective_trials(judge.weight[rows]) for judge, rows in zip(judges, tests, strict=True) if judge]
    fewest = np.min(trials, axis=0) if trials else np.full(models, np.inf)
    if (fewest < FEWEST).all():
        raise ValueError(
            f"a test part of a log must hold {FEWEST:.0f} effective trials of a model, got {fewest.max():.0f} at most;"
            " collect more requests"
        )
    return np.asarray(fewest < FEWEST)


def _base_model(runs: Runs, acc: FloatArray) -> int:
    """The reference of the setting where the outcomes hold it, else the best model in hindsight; `acc` (d, m)."""
    reference = runs.made.reference
    pool = runs.outcomes.pool.models
    return pool.index(reference) if reference in pool else best_single(acc)


def _models_and_references(book: _Book, rows: IntArray, acc: FloatArray, mean_acc: FloatArray) -> dict[Key, Column]:
    """Columns that need no router. `acc` and `mean_acc` (datasets, models): of this seed, and over all seeds."""
    pool = book.outcomes.pool
    score, cost = (np.where(book.rare, np.nan, plane[rows]) for plane in (pool.score, pool.cost))
    dataset = np.searchsorted(np.array(book.datasets), book.outcomes.dataset[rows])
    columns: dict[Key, Column] = {("model", model): (score[:, i], cost[:, i]) for i, model in enumerate(pool.models)}
    columns["reference", RANDOM] = random_column(score, cost)
    if book.judge:  # the best of estimates is better than the best model: no oracle
        unknown = np.full(len(rows), np.nan)
        columns |= {("reference", name): (unknown, unknown) for name in (DATASET_ORACLE, DATASET_ORACLE_PAPER, ORACLE)}
        weight = book.judge.weight[rows]
        book.weights = dict.fromkeys(columns, np.zeros(len(rows)))
        book.weights |= {("model", model): weight[:, i] for i, model in enumerate(pool.models)}
        book.weights["reference", RANDOM] = weight[:, ~book.rare].mean(axis=1)
        return columns
    columns["reference", DATASET_ORACLE] = _served(score, cost, dataset_oracle_choice(acc)[dataset])
    columns["reference", DATASET_ORACLE_PAPER] = _served(score, cost, dataset_oracle_choice(mean_acc)[dataset])
    columns["reference", ORACLE] = _served(score, cost, oracle_choice(score, cost))
    return columns


def random_column(score: FloatArray, cost: FloatArray) -> Column:
    """Expected score and cost (n,) of a uniformly random choice among the models measured on a query.

    The cost is NaN where any of them has no known cost.

    >>> [part.tolist() for part in random_column(np.array([[1.0, 0.0, np.nan]]), np.array([[2.0, 4.0, np.nan]]))]
    [[0.5], [3.0]]
    """
    measured = np.isfinite(score)
    unknown = (measured & ~np.isfinite(cost)).any(axis=1)
    expected = random_expectation(np.where(measured, cost, np.nan))
    return random_expectation(score), np.where(unknown, np.nan, expected)


def _served(score: FloatArray, cost: FloatArray, choice: IntArray) -> Column:
    """Column of a choice (n,); NaN where it is -1."""
    at = np.arange(len(choice))
    return np.where(choice < 0, np.nan, score[at, choice]), np.where(choice < 0, np.nan, cost[at, choice])


def _router(book: _Book, label: str, decisions: Decisions, rows: IntArray) -> dict[Key, Column]:
    """The two columns of a router in one seed; its operating points go to the book."""
    weights = decisions.weights
    score, cost = metered(decisions, "test", rows, book.outcomes)
    weight = np.zeros_like(score)
    if book.judge:
        weight = metered(decisions, "test", rows, replace(book.outcomes, score=book.judge.weight))[0]
        unknown = (effective_trials(weight.T) < FEWEST) | np.isnan(score).any(axis=1)
        score[unknown], cost[unknown] = np.nan, np.nan
    sample = _sample(book.outcomes, rows, list(zip(score, cost, strict=True)))
    points = OperatingPoints(weights, *sample_means(sample, book.datasets))
    book.sweeps.setdefault(label, []).append(points)
    found = _Chosen(0, 0, None, math.nan) if len(weights) == 1 else _on_validation(book, decisions)
    best, saver, billed = found.best, found.saver, found.billed
    book.chosen.setdefault(label, []).append(best)
    book.errors.setdefault(label, []).append(found.error)
    book.saver_seeds[label] = book.saver_seeds.get(label, 0) + (saver is not None)
    nothing = np.full(len(rows), np.nan)
    base = book.outcomes.score[rows, book.base], book.outcomes.cost[rows, book.base]
    if book.judge:
        book.weights["router", label] = weight[best]
        book.weights["saver", label] = book.judge.weight[rows, book.base] if saver is None else weight[saver]
        book.weights["billed", label] = np.zeros(len(rows)) if billed is None else weight[billed]
    return {
        ("router", label): (score[best], cost[best]),
        ("saver", label): base if saver is None else (score[saver], cost[saver]),
        ("billed", label): (nothing, nothing) if billed is None else (score[billed], cost[billed]),
    }


class _Chosen(NamedTuple):
    """Operating points as in `Replay.keys`, and the largest standard error of a lead over the best one."""

    best: int
    saver: int | None
    billed: int | None
    error: float


def _on_validation(book: _Book, decisions: Decisions) -> _Chosen:
    """The operating points chosen on the validation part of one seed."""
    rows = decisions.parts["validation"].rows
    if not len(rows):
        raise ValueError(
            f"router {decisions.router!r} has {len(decisions.weights)} operating points and needs validation decisions"
            f" to choose one, got none for seed {decisions.seed}; run the bench with a validation share"
        )
    score, cost = metered(decisions, "validation", rows, book.outcomes)
    base = book.outcomes.score[rows, book.base], book.outcomes.cost[rows, book.base]
    sample = _sample(book.outcomes, rows, [*zip(score, cost, strict=True), base])
    acc, usd = sample_means(sample, sorted(set(sample.dataset.tolist())))
    mean, cost_of, bill = avg_acc(acc[:-1]), usd[:-1].sum(axis=1), float(usd[-1].sum())
    if book.surely:
        best, saver = _surely(decisions, sample, mean, cost_of)
    else:
        theirs, mine = like_for_like(acc[-1], acc[:-1])
        best, saver = choose_points(mean, cost_of, reaches(avg_acc(mine), avg_acc(theirs)))
    within = cost_of <= BILL * bill
    billed = choose_points(np.where(within, mean, -np.inf), cost_of, within)[0] if within.any() else None
    return _Chosen(best, saver, billed, float(avg_lead(sample, best)[1][:-1].max()))


def _surely(decisions: Decisions, sample: Sample, acc: FloatArray, cost: FloatArray) -> tuple[int, int | None]:
    """The quality end, unless another point leads it by a standard error; the cheapest that leads the base by one."""
    quality = _quality(decisions, acc)
    lead, error = avg_lead(sample, quality)
    better = lead[:-1] > error[:-1] + 1e-12
    best = choose_points(np.where(better, acc, -np.inf), cost, better)[0] if better.any() else quality
    over, margin = avg_lead(sample, len(acc))
    return best, choose_points(acc, cost, reaches(over[:-1] - margin[:-1], 0.0))[1]


def _quality(decisions: Decisions, acc: FloatArray) -> int:
    """The end of the dial where quality decides; the better one, by AvgAcc (w,), where decisions do not say."""
    return int(decisions.facts.get("quality_point", len(acc) - 1 if acc[-1] > acc[0] else 0))


def avg_lead(sample: Sample, base: int) -> tuple[FloatArray, FloatArray]:
    """AvgAcc of every column (k,) minus that of one of them, where both are measured, and its standard error.

    >>> one = Sample(np.array(["a"] * 4), np.arange(4), np.array([[1.0, 0], [1, 1], [1, 0], [0, 0]]), np.ones((4, 2)))
    >>> [part.round(3).tolist() for part in avg_lead(one, 1)]
    [[0.5, 0.0], [0.289, 0.0]]
    """
    leads = sample.score - sample.score[:, [base]]
    names = sorted(set(sample.dataset.tolist()))
    by_dataset = [leads[sample.dataset == name] for name in names]
    means = np.array([known_mean(part, axis=0) for part in by_dataset])
    count = np.array([np.isfinite(part).sum(axis=0) for part in by_dataset], dtype=np.float64)
    square = np.array([known_mean((part - mean) ** 2, axis=0) for part, mean in zip(by_dataset, means, strict=True)])
    # a dataset of one query tells no spread: it could be anything
    variance = np.where(count > 1, square / np.maximum(count - 1.0, 1.0), np.where(means == 0.0, 0.0, 1.0))
    known = np.isfinite(means)
    error = np.sqrt(np.where(known, variance, 0.0).sum(axis=0)) / np.maximum(known.sum(axis=0), 1)
    return known_mean(means, axis=0), error


def choose_points(acc: FloatArray, cost: FloatArray, reaching: np.typing.NDArray[np.bool_]) -> tuple[int, int | None]:
    """Operating points from validation numbers (w,): the most accurate, and the cheapest one that reaches the base.

    Ties go to the cheaper point, then to the smaller index; an unknown cost is the dearest. None where no point
    with a known cost reaches the base.

    >>> choose_points(np.array([0.6, 0.7, 0.7]), np.array([1.0, 3.0, 2.0]), np.array([False, True, True]))
    (2, 2)
    """
    price = np.where(np.isfinite(cost), cost, np.inf)
    best = int(np.lexsort((price, -np.round(np.where(np.isfinite(acc), acc, -np.inf), 12)))[0])
    candidates = np.flatnonzero(reaching & np.isfinite(cost))
    return best, int(candidates[np.argmin(price[candidates])]) if len(candidates) else None


def metered(decisions: Decisions, name: Part, rows: IntArray, outcomes: Outcomes) -> Column:
    """Score and cost (w, n) of one part, in the order of `rows`; NaN for a query that nothing was served on.

    Raises ValueError where the part is about other queries.
    """
    part, points = decisions.parts[name], decisions.points(name)
    order = np.argsort(part.rows, kind="stable")
    if not np.array_equal(part.rows[order], np.sort(rows)):
        raise ValueError(
            f"decisions of router {decisions.router!r}, seed {decisions.seed}, must be about the {len(rows)} {name}"
            f" queries of the split, got {len(part.rows)} other ones; run the bench again"
        )
    score, cost = meter(part, outcomes, points)
    nothing = ~_any_served(part, points)
    score, cost = np.where(nothing, np.nan, score), np.where(nothing, np.nan, cost)
    back = order[np.searchsorted(part.rows[order], rows)]
    return score[:, back], cost[:, back]


def _any_served(part: Served, points: int) -> np.typing.NDArray[np.bool_]:
    """Whether anything was served (w, n)."""
    served = np.zeros((points, len(part.rows)), dtype=np.bool_)
    used = part.served > 0
    served[part.point[used], part.query[used]] = True
    return served


def _average(label: str, parts: list[OperatingPoints]) -> OperatingPoints:
    """Operating points averaged over seeds."""
    sizes = {len(part.weights) for part in parts}
    if len(sizes) > 1:
        raise ValueError(
            f"router {label!r} must have as many operating points in every seed, got {sorted(sizes)};"
            " give it a dial that does not depend on the data"
        )
    weights, acc, cost = (np.array([getattr(p, name) for p in parts]) for name in ("weights", "acc", "cost"))
    return OperatingPoints(weights.mean(axis=0), known_mean(acc, axis=0), known_mean(cost, axis=0))
