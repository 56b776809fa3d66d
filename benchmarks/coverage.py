"""`make coverage`: how often what the product states is right, in worlds whose truth is known, into docs/protocol.md.

Every world goes through the functions that `bench` and `fit` call: `stats.pair` and `judged` for intervals and
verdicts, `Policy.solved` and `ranked` for promises.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from benchmarks.house import ROOT
from llmrouterbench.benching.policies.policy import Belief, Policy, Slice
from llmrouterbench.metrics import avg_acc
from llmrouterbench.stats import Interval, Sample, bounds, holm, judged, pair
from llmrouterbench.table import FloatArray, IntArray

PAGE = ROOT / "docs" / "protocol.md"
MARKS = "<!-- made by `make coverage` -->", "<!-- end -->"
WORLDS = 150
"""Worlds of a cell."""
MODELS = 4
SIZES = ((3, 2), (3, 12), (3, 60), (3, 200), (12, 2), (12, 12), (12, 60))
"""Datasets, and test queries of each."""
ROUTER, SINGLE, FIXED, OTHER = range(4)
"""Columns: the best model of each dataset on train, the best model on train, and two that nobody chose."""


@dataclass(frozen=True)
class Cell:
    """How often one statement was right.

    nominal  how often it should be
    """

    statement: str
    world: str
    right: int
    worlds: int
    nominal: float = 0.95

    @property
    def p(self) -> float:
        """The chance of as few or fewer right ones, were the nominal true."""
        return float(binom.cdf(self.right, self.worlds, self.nominal)) if self.worlds else 1.0


def covers(one: Interval, truth: float) -> bool:
    """Whether an interval holds the truth; where there is none, nothing is stated."""
    return not np.isfinite(one.low) or one.low - 1e-12 <= truth <= one.high + 1e-12


def interval_cells(datasets: int, queries: int, seeds: int, worlds: int, *, equal: bool = False) -> list[Cell]:
    """Intervals and verdicts of one size of bench."""
    skill = np.random.default_rng([datasets, queries]).uniform(0.3, 0.85, (datasets, MODELS))
    if equal:
        skill[:] = 0.6
    hard = np.random.default_rng(0).normal(size=4001)
    truth = np.clip(skill[..., None] + 0.2 * hard, 0.0, 1.0).mean(axis=-1)
    usd = np.array([4.0, 1.0, 2.0, 0.5]) / 1000.0
    made = [
        _bench(np.random.default_rng([seed, datasets, queries]), skill, usd, queries, seeds) for seed in range(worlds)
    ]
    picked = np.array([[truth[np.arange(datasets), choice].mean() for choice in picks] for _, picks in made])
    if seeds > 1:  # with one seed the statement is about these choices, else about the method
        picked[:] = np.tile(picked.reshape(-1, 2).mean(axis=0), seeds)
    fixed = avg_acc(truth[:, [0, 1]].T)
    about = "on new data" if seeds > 1 else "these choices on new queries"
    right = dict.fromkeys(_stated(equal, about), 0)
    for (samples, _), (routed, single) in zip(made, picked[:, :2].tolist(), strict=True):
        got = pair(samples)
        if equal:
            right["a router is not better than an equal one"] += judged(got.difference(ROUTER, SINGLE)) != "better"
            right["a model is not better than an equal one"] += judged(got.difference(FIXED, OTHER)) != "better"
            continue
        right["AvgAcc of a model"] += covers(got.accuracy(FIXED), fixed[0])
        right["difference of two models"] += covers(got.difference(FIXED, OTHER), fixed[0] - fixed[1])
        right["CostSave of a model"] += covers(got.saving(FIXED, OTHER), 1.0 - usd[0] / usd[1])
        right[f"AvgAcc of a router, {about}"] += covers(got.accuracy(ROUTER), routed)
        right[f"router minus best_single, {about}"] += covers(got.difference(ROUTER, SINGLE), routed - single)
    world = f"{datasets} datasets of {queries}, {seeds} seed{'s' * (seeds > 1)}"
    return [Cell(statement, world, count, worlds, 0.975 if equal else 0.95) for statement, count in right.items()]


def _stated(equal: bool, about: str) -> tuple[str, ...]:
    if equal:
        return "a router is not better than an equal one", "a model is not better than an equal one"
    return (
        "AvgAcc of a model",
        "difference of two models",
        "CostSave of a model",
        f"AvgAcc of a router, {about}",
        f"router minus best_single, {about}",
    )


def _bench(
    rng: np.random.Generator, skill: FloatArray, usd: FloatArray, queries: int, seeds: int
) -> tuple[list[Sample], list[IntArray]]:
    """Test samples of every seed, and the models (datasets,) that each of both methods took in each."""
    datasets, size = len(skill), round(queries / 0.3)
    dataset = np.repeat(np.arange(datasets), size)
    chance = np.clip(skill[dataset] + 0.2 * rng.normal(size=(len(dataset), 1)), 0.0, 1.0)
    score = (rng.random(chance.shape) < chance).astype(np.float64)
    cost = usd * rng.lognormal(0.0, 1.0, (len(dataset), 1)) * rng.lognormal(0.0, 0.3, chance.shape)
    names, samples, picks = np.array([f"d{i:02}" for i in range(datasets)]), [], list[IntArray]()
    for _ in range(seeds):
        test = np.concatenate([i * size + rng.permutation(size)[:queries] for i in range(datasets)])
        train = np.setdiff1d(np.arange(len(dataset)), test)
        mean = np.array([score[train][dataset[train] == i].mean(axis=0) for i in range(datasets)])
        chosen = mean.argmax(axis=1), np.full(datasets, int(mean.mean(axis=0).argmax()))
        columns = np.stack([*(one[dataset[test]] for one in chosen), np.zeros(len(test)), np.ones(len(test))], axis=1)
        rows = test[:, None], columns.astype(np.int64)
        samples.append(Sample(names[dataset[test]], test, score[rows], cost[rows]))
        picks += chosen
    return samples, picks


@dataclass(frozen=True)
class Traffic:
    """Queries of a world: chance and estimate (n, m) of a right reply, USD paid and expected (n, m)."""

    chance: FloatArray
    estimate: FloatArray
    paid: FloatArray
    expected: FloatArray

    def belief(self, rows: slice, single: int) -> Belief:
        """What a router believes of some of them."""
        estimate, expected = self.estimate[rows], self.expected[rows]
        names, n = np.arange(estimate.shape[1]), len(estimate)
        seconds, coin = np.full(estimate.shape, np.nan), np.random.default_rng(1).random(n)
        quality = np.clip(estimate, 0.0, 1.0)
        return Belief(tuple("abcd"), names, single, estimate, expected, quality, expected, seconds, coin)


def traffic(rng: np.random.Generator, n: int, tasks: int) -> Traffic:
    """Traffic of a few tasks that a router tells apart, or (0) of queries that differ one by one; bills have a tail."""
    length = rng.lognormal(0.0, 1.0, (n, 1))
    if tasks:
        skill, task = rng.uniform(0.2, 0.95, (tasks, MODELS)), rng.integers(0, tasks, n)
        chance = estimate = skill[task]
        usd = np.sort(rng.lognormal(-7.0, 1.2, MODELS)) * np.exp(0.5)
        expected = np.broadcast_to(usd, chance.shape)
        length = length / np.exp(0.5)
    else:
        able = np.sort(rng.normal(0.8, 0.8, MODELS))
        chance = 1.0 / (1.0 + np.exp(-(able - rng.normal(size=(n, 1)) + 0.5 * rng.normal(size=(n, MODELS)))))
        estimate = chance + 0.15 * rng.normal(size=chance.shape)
        expected, length = np.exp(-8.0 + 1.2 * able) * length, np.ones((n, 1))
    noise = rng.lognormal(-0.125, 0.5, chance.shape)
    return Traffic(chance, estimate, expected * length * noise, expected)


def promise_cells(slice_size: int, tasks: int, worlds: int, later: int = 10_000) -> list[Cell]:
    """How often a policy that was solved on a slice keeps its bound on later queries."""
    kept = dict.fromkeys(("best --budget", "cheapest --min-quality", "strong-share"), 0)
    counts = dict.fromkeys(kept, 0)
    for seed in range(worlds):
        rng = np.random.default_rng([seed, slice_size, tasks])
        made, here, then = traffic(rng, slice_size + later, tasks), slice(slice_size), slice(slice_size, None)
        score = (rng.random(made.chance[here].shape) < made.chance[here]).astype(np.float64)
        single = int(score.mean(axis=0).argmax())
        settings = np.append(0.0, np.geomspace(1e-3, 1e2, 40)) / made.paid[here].mean()
        piece = Slice(made.belief(here, single), score, made.paid[here], settings, np.arange(slice_size))
        dearest, best = made.expected.mean(axis=0).max(), made.chance.mean(axis=0).max()
        asked = {
            "best --budget": dearest * rng.uniform(0.1, 0.9),
            "cheapest --min-quality": best * rng.uniform(0.6, 1.0),
            "strong-share": rng.uniform(0.02, 0.8),
        }
        for words, number in asked.items():
            policy = Policy.parse(f"{words} {number:.6g}")
            try:
                solved = policy.solved(piece)
            except ValueError:
                continue
            if not solved.reached:
                continue
            belief = made.belief(then, single)
            choice, rows = policy.ranked(belief, solved)[0][:, 0], np.arange(later)
            counts[words] += 1
            kept[words] += {
                "best --budget": made.expected[then][rows, choice].mean() <= number,
                "cheapest --min-quality": made.chance[then][rows, choice].mean() >= number,
                "strong-share": (choice == single).mean() <= number,
            }[words]
    world = f"slice of {slice_size}, {f'{tasks} tasks' if tasks else 'every query its own'}"
    return [Cell(f"`{words}` is kept", world, kept[words], counts[words]) for words in kept]


def bound_cells(queries: int, worlds: int) -> list[Cell]:
    """One-sided bounds of the mean of bills with a long tail, and of scores."""
    right = dict.fromkeys(("a bill is at most its bound", "a mean score is at least its bound"), 0)
    for seed in range(worlds):
        rng = np.random.default_rng([seed, queries])
        right["a bill is at most its bound"] += bounds(rng.lognormal(-0.5, 1.0, queries), np.arange(queries))[1] >= 1.0
        score = (rng.random(queries) < 0.9).astype(np.float64)
        right["a mean score is at least its bound"] += bounds(score, np.arange(queries), most=1.0)[0] <= 0.9
    return [Cell(statement, f"{queries} queries", count, worlds) for statement, count in right.items()]


def cells(worlds: int = WORLDS) -> Iterator[list[Cell]]:
    """Every statement in every world."""
    for datasets, queries in SIZES:
        for seeds in (1, 5):
            yield interval_cells(datasets, queries, seeds, worlds)
            if queries in (12, 60):
                yield interval_cells(datasets, queries, seeds, worlds, equal=True)
    for slice_size in (100, 400):
        for tasks in (0, 5):
            yield promise_cells(slice_size, tasks, worlds)
    for queries in (30, 100, 400):
        yield bound_cells(queries, 10 * worlds)


def table(made: list[Cell]) -> str:
    """Markdown: what was stated, where, how often it was right, and whether that is too seldom."""
    adjusted = holm(np.array([cell.p for cell in made]))
    lines = ["| what is stated | world | right, % | should be | worlds | too seldom |", "|---|---|---|---|---|---|"]
    for cell, p in sorted(zip(made, adjusted.tolist(), strict=True), key=lambda one: one[0].statement):
        share = f"{100.0 * cell.right / cell.worlds:.1f}" if cell.worlds else "-"
        verdict = f"**yes** (p {p:.2g})" if p < 0.05 else "no"
        nominal = f"{100.0 * cell.nominal:g}"
        lines.append(f"| {cell.statement} | {cell.world} | {share} | {nominal} | {cell.worlds:,} | {verdict} |")
    return "\n".join(lines)


def main() -> None:
    """Write the table between the marks of the page."""
    found: list[Cell] = []
    for some in cells(int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS):
        found += some
        print(
            *(f"{cell.statement}; {cell.world}: {cell.right} of {cell.worlds}" for cell in some), sep="\n", flush=True
        )
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    PAGE.write_text(
        f"{before}{MARKS[0]}\n\n{table(found)}\n\n{MARKS[1]}{rest.partition(MARKS[1])[2]}", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
