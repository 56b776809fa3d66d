"""`make coverage`: how often what the product states is right, in worlds whose truth is known, into docs/protocol.md.

Every world goes through the functions that `bench` and `fit` call: `stats.pair` and `judged` for intervals and
verdicts, `Policy.solved` and `ranked` for promises. What a cell gave is kept, so that a run that was stopped goes on;
it is made again where the sources that it rests on have changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
from scipy.stats import binom

from benchmarks.house import ROOT
from benchmarks.pages import hash_of, put
from llmrouterbench.benching.policies.policy import Belief, Policy, Slice
from llmrouterbench.files import read_json, write_json
from llmrouterbench.metrics import avg_acc, difference, excess, gain, gap, oracle_gap_recovered
from llmrouterbench.stats import Interval, Paired, Sample, bounds, holm, judged, pair
from llmrouterbench.table import FloatArray, IntArray

PAGE = ROOT / "docs" / "protocol.md"
KEPT = ROOT / "benchmarks" / "kept" / "coverage.json"
RESTS_ON = (
    "benchmarks/coverage.py",
    "src/llmrouterbench/metrics.py",
    "src/llmrouterbench/stats.py",
    "src/llmrouterbench/benching/policies",
)
MARKS = "<!-- made by `make coverage` -->", "<!-- end -->"
WORLDS = 2000
"""Worlds of a cell."""
BATCH = 40
"""Worlds that share the draws of the bootstrap and the places of their test queries."""
MODELS = 4
SIZES = 1, 2, 3, 6, 12, 60, 200, 1000
"""Test queries of a dataset."""
ROUTER, SINGLE, FIXED, OTHER = range(4)
"""Columns: the best model of each dataset on train, the best model on train, and models that nobody chose; the last one
is the oracle."""


@dataclass(frozen=True)
class Cell:
    """How often one statement was right.

    worlds   in which it was made; in `silent` others nothing was stated
    least    how often it must be right
    width    of its interval over that of the values about the truth; None where it has none
    """

    statement: str
    world: str
    right: int
    worlds: int
    least: float = 0.95
    silent: int = 0
    width: float | None = None

    @property
    def p(self) -> float:
        """The chance of as few or fewer right ones, were it right as often as it must be."""
        return float(binom.cdf(self.right, self.worlds, self.least)) if self.worlds else 1.0


@dataclass(frozen=True)
class Bench:
    """Worlds of one size, side by side in the columns of one sample a seed.

    paired   what `pair` makes of them
    columns  of one world
    picks    (seeds, 2, worlds, datasets) models that the router and best_single took
    """

    paired: Paired
    columns: int
    picks: IntArray

    def worlds(self) -> Iterator[Paired]:
        """Each by itself."""
        all_of, draws = self.paired, self.paired.draws
        acc, cost = (np.ascontiguousarray(plane.swapaxes(0, 1)) for plane in (draws.acc, draws.cost))
        for start in range(0, len(all_of.acc), self.columns):
            at = slice(start, start + self.columns)
            apart = tuple(part[:, at] for part in draws.apart)
            mine = replace(draws, acc=acc[at].swapaxes(0, 1), cost=cost[at].swapaxes(0, 1), apart=apart)
            by_seed = all_of.acc_by_seed[:, at]
            yield replace(all_of, acc_by_seed=by_seed, acc=all_of.acc[at], usd=all_of.usd[at], draws=mine)


def benches(
    skill: FloatArray, usd: FloatArray, queries: int, seeds: int, worlds: int, shown: int = 2
) -> Iterator[Bench]:
    """Worlds in batches; `shown` models have columns of their own."""
    for start in range(0, worlds, BATCH):
        rng = np.random.default_rng([start, len(skill), queries, seeds])
        yield _bench(rng, skill, usd, queries, seeds, min(BATCH, worlds - start), shown)


def _bench(
    rng: np.random.Generator, skill: FloatArray, usd: FloatArray, queries: int, seeds: int, worlds: int, shown: int
) -> Bench:
    datasets, size = len(skill), round(queries / 0.3)
    dataset, n = np.repeat(np.arange(datasets), size), datasets * size
    chance = np.clip(skill[dataset][:, None] + 0.2 * rng.normal(size=(n, worlds, 1)), 0.0, 1.0)
    score = (rng.random(chance.shape) < chance).astype(np.float64)
    cost = usd * rng.lognormal(0.0, 1.0, (n, worlds, 1)) * rng.lognormal(0.0, 0.3, chance.shape)
    names, samples, picks = np.array([f"d{i:02}" for i in range(datasets)]), [], list[list[IntArray]]()
    for _ in range(seeds):
        test = np.concatenate([i * size + rng.permutation(size)[:queries] for i in range(datasets)])
        in_train = np.bincount(test, minlength=n) == 0
        mean = np.array([score[in_train & (dataset == i)].mean(axis=0) for i in range(datasets)])
        best, single = mean.argmax(axis=2).T, mean.mean(axis=0).argmax(axis=1)
        chosen = [best, np.tile(single[:, None], datasets)]
        planes = [_columns(plane[test], [one[:, dataset[test]].T for one in chosen], shown) for plane in (score, cost)]
        samples.append(Sample(names[dataset[test]], test, *planes))
        picks.append(chosen)
    return Bench(pair(samples, seed=int(rng.integers(2**31))), shown + 3, np.array(picks))


def _columns(plane: FloatArray, chosen: list[IntArray], shown: int) -> FloatArray:
    """A plane (n, worlds, m) as columns (n, worlds * columns): what was chosen, models, and the best of all."""
    taken = [np.take_along_axis(plane, one[:, :, None], axis=2) for one in chosen]
    found = np.concatenate([*taken, plane[:, :, :shown], plane.max(axis=2, keepdims=True)], axis=2)
    return found.reshape(len(plane), -1)


def _size(datasets: int, queries: int, seeds: int) -> str:
    return f"{datasets} datasets of {queries:,}, {seeds} seed{'s' * (seeds > 1)}"


def interval_cells(datasets: int, queries: int, seeds: int, worlds: int) -> list[Cell]:
    """Intervals of one size of bench."""
    skill = np.random.default_rng([datasets, queries]).uniform(0.3, 0.85, (datasets, MODELS))
    usd = np.array([4.0, 1.0, 2.0, 0.5]) / 1000.0
    about = "on new data" if seeds > 1 else "these choices on new queries"
    stated, picks = list[dict[str, Interval]](), list[IntArray]()
    for bench in benches(skill, usd, queries, seeds, worlds):
        stated += [_headlines(world, about) for world in bench.worlds()]
        picks.append(bench.picks)
    truth = _truth(skill, usd, queries, np.concatenate(picks, axis=2), about)
    world = _size(datasets, queries, seeds)
    return [_covered(name, world, [one[name] for one in stated], truth[name]) for name in truth]


def _headlines(paired: Paired, about: str) -> dict[str, Interval]:
    oracle = len(paired.acc) - 1
    return {
        "AvgAcc of a model": paired.accuracy(FIXED),
        "accuracy of a model on a dataset": paired.dataset_accuracy(FIXED, 0),
        "difference of two models": paired.difference(FIXED, OTHER),
        "cost of a model": paired.cost(FIXED),
        "CostSave of a model": paired.saving(FIXED, OTHER),
        "PerfGain of a model": paired.number(excess, FIXED, OTHER),
        "Gain@B of a model": paired.number(gain, FIXED, OTHER),
        "Gap@O of a model": paired.number(gap, FIXED, oracle),
        "recovered by a model": paired.number(oracle_gap_recovered, FIXED, OTHER, oracle),
        f"AvgAcc of a router, {about}": paired.accuracy(ROUTER),
        "CostSave of a router, these choices on new queries": paired.saving(ROUTER, FIXED),
        f"router minus best_single, {about}": paired.difference(ROUTER, SINGLE),
    }


def _truth(skill: FloatArray, usd: FloatArray, queries: int, picks: IntArray, about: str) -> dict[str, FloatArray]:
    """What every headline should be, in every world."""
    hard = np.random.default_rng(0).normal(size=20_001)
    chance = np.clip(skill[..., None] + 0.2 * hard, 0.0, 1.0)
    truth, oracle = chance.mean(axis=-1), 1.0 - np.prod(1.0 - chance, axis=1).mean(axis=-1)
    routed, single = truth[np.arange(len(truth)), picks].mean(axis=(0, 3))
    paid = usd[picks[:, 0]].mean(axis=(0, 2))
    if len(picks) > 1:  # with one seed the statement is about these choices, else about the method
        routed, single = (np.full(len(one), one.mean()) for one in (routed, single))
    fixed, other = truth[:, 0], truth[:, 1]
    same = {
        "AvgAcc of a model": avg_acc(fixed),
        "accuracy of a model on a dataset": fixed[0],
        "difference of two models": difference(fixed, other),
        "cost of a model": usd[0] * np.exp(0.5 + 0.3**2 / 2.0) * queries * len(skill),
        "CostSave of a model": 1.0 - usd[0] / usd[1],
        "PerfGain of a model": excess(fixed, other),
        "Gain@B of a model": gain(fixed, other),
        "Gap@O of a model": gap(fixed, oracle),
        "recovered by a model": oracle_gap_recovered(fixed, other, oracle),
    }
    return {name: np.full(len(routed), float(one)) for name, one in same.items()} | {
        f"AvgAcc of a router, {about}": routed,
        "CostSave of a router, these choices on new queries": 1.0 - paid / usd[0],
        f"router minus best_single, {about}": routed - single,
    }


def _covered(name: str, world: str, stated: list[Interval], truth: FloatArray) -> Cell:
    value, low, high = np.array([(one.value, one.low, one.high) for one in stated]).T
    said = np.isfinite(low)
    right = int(((low - 1e-12 <= truth) & (truth <= high + 1e-12))[said].sum())
    right_width = float(np.ptp(np.nanpercentile(value - truth, [2.5, 97.5])))
    width = float((high - low)[said].mean()) / right_width if said.any() and right_width else None
    return Cell(name, world, right, int(said.sum()), 0.93, int((~said).sum()), width)


def board_cells(datasets: int, queries: int, seeds: int, worlds: int, models: int = 8) -> list[Cell]:
    """Verdicts over a board of equal models and a router."""
    better = silent = 0
    for bench in benches(np.full((datasets, models), 0.6), np.ones(models), queries, seeds, worlds, models):
        for one in bench.worlds():
            rows = ROUTER, *range(FIXED, FIXED + models)
            found = {judged(lead) for lead in one.differences([(row, SINGLE) for row in rows])}
            better += "better" in found
            silent += found <= {"too few", "the same"}
    made, world = worlds - silent, _size(datasets, queries, seeds)
    return [Cell("of nine equal rows none is called better", world, made - better, made, silent=silent)]


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
    return [
        Cell(f"`{words}` is kept", world, kept[words], counts[words], silent=worlds - counts[words]) for words in kept
    ]


def bound_cells(queries: int, worlds: int) -> list[Cell]:
    """One-sided bounds of the mean of bills with a long tail, and of scores."""
    right = dict.fromkeys(("a bill is at most its bound", "a mean score is at least its bound"), 0)
    for seed in range(worlds):
        rng = np.random.default_rng([seed, queries])
        right["a bill is at most its bound"] += bounds(rng.lognormal(-0.5, 1.0, queries), np.arange(queries))[1] >= 1.0
        score = (rng.random(queries) < 0.9).astype(np.float64)
        right["a mean score is at least its bound"] += bounds(score, np.arange(queries), most=1.0)[0] <= 0.9
    return [Cell(statement, f"{queries} queries", count, worlds) for statement, count in right.items()]


def jobs() -> dict[str, Callable[[int], list[Cell]]]:
    """What makes the cells of every world."""
    sizes = [(d, q, s) for q in SIZES for d in (3, 12) for s in (1, 5)]
    return {
        **{f"bounds of {q} queries": partial(bound_cells, q) for q in (6, 12, 30, 100, 400)},
        **{f"promises, {n}, {tasks}": partial(promise_cells, n, tasks) for n in (100, 400) for tasks in (0, 5)},
        **{f"intervals, {_size(*one)}": partial(interval_cells, *one) for one in sizes},
        **{f"board, {_size(*one)}": partial(board_cells, *one) for one in sizes if one[1] <= 200},
    }


def kept_cells(worlds: int = WORLDS) -> list[Cell]:
    """Every statement in every world; what is kept of as many worlds and the same sources is not made again."""
    sources = hash_of(ROOT, RESTS_ON)
    kept = read_json(KEPT) if KEPT.is_file() else {}
    if kept.get("sources") != sources:
        kept = {"sources": sources, "cells": {}}
    for name, make in jobs().items():
        done = kept["cells"].get(name)
        if not done or done["asked"] < worlds:
            kept["cells"][name] = {"asked": worlds, "found": [asdict(cell) for cell in make(worlds)]}
            write_json(KEPT, kept)
        print(name, flush=True)
    return [Cell(**cell) for name in jobs() for cell in kept["cells"][name]["found"]]


def table(made: list[Cell]) -> str:
    """Markdown: what was stated, where, how often it was right, and whether that is too seldom."""
    adjusted = holm(np.array([cell.p for cell in made]))
    lines = [
        "| what is stated | world | right, % | at least | worlds | nothing stated | width | too seldom |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell, p in sorted(zip(made, adjusted.tolist(), strict=True), key=lambda one: one[0].statement):
        share = f"{100.0 * cell.right / cell.worlds:.1f}" if cell.worlds else "-"
        verdict = f"**yes** (p {p:.2g})" if p < 0.05 else "no"
        width = "-" if cell.width is None else f"{cell.width:.2f}"
        counts = f"{cell.worlds:,} | {cell.silent:,}"
        lines.append(
            f"| {cell.statement} | {cell.world} | {share} | {100.0 * cell.least:g} | {counts} | {width} | {verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Write the table between the marks of the page."""
    found = table(kept_cells(int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS))
    put(PAGE, MARKS, found)


if __name__ == "__main__":
    main()
