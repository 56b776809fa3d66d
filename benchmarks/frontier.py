"""`make frontier`: what reading cheap replies buys within a bill, on real data and twenty seeds, into docs/routers.md.

Every router's operating point for a bill is chosen on all of train, out of fold: the most accurate one that costs no
more than that share of the best single model's bill there. What is compared is what these points do on test. Seeds and
rules were fixed before any number of these seeds was seen. Runs are kept in runs/frontier: what is there is not run
again; `python -m benchmarks.frontier SEEDS` goes on to as many seeds, 0 writes the page of what is whole.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.pages import put
from benchmarks.results import CASCADE, DATA, ROOT, ROUTERS
from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Runs, load_runs
from llmrouterbench.benching.replay import choose_points, metered
from llmrouterbench.importers import import_outcomes
from llmrouterbench.metrics import avg_acc
from llmrouterbench.numerals import interval, percent, points
from llmrouterbench.stats import IntervalRule, Paired, Sample, pair, sample_means
from llmrouterbench.table import FloatArray, StrArray
from llmrouterbench.worth import train_best_single

RUNS, PAGE = ROOT / "runs" / "frontier", ROOT / "docs" / "routers.md"
MARKS = "<!-- made by `make frontier` -->", "<!-- end -->"
SEEDS = range(20_001, 20_021)
"""Used by nothing else here: the margins of `agreement` were chosen on seeds 42 and 7."""
BILLS = (0.3, 0.5, 0.6, 0.7)


def benched(seeds: Sequence[int]) -> Runs:
    """Runs on RouterBench, of which only what is missing is made."""
    if not (RUNS / "data").exists():
        import_outcomes(DATA / "routerbench" / "routerbench_zs", RUNS / "data", replies=True)
    for seed in seeds:
        bench(RUNS / "data", RUNS / "runs", routers=[*ROUTERS, *CASCADE], seeds=[seed], jobs=1)
    return load_runs(RUNS / "runs")


def whole(runs: Runs) -> tuple[list[str], list[int]]:
    """Routers that were decided on the first seed, and the seeds on which all of them were."""
    labels = [label for label in (*ROUTERS, *CASCADE) if (label, SEEDS[0]) in runs.decisions]
    return labels, [seed for seed in SEEDS if all((label, seed) in runs.decisions for label in labels)]


def within(runs: Runs, label: str, seed: int, bill: float) -> tuple[FloatArray, FloatArray]:
    """Score and cost (n,) on test of the point of a router that is best out of fold within a share of the bill.

    The best single model where no point is within it; a router without a dial has one point, whatever it costs.
    """
    table, decisions, split = runs.outcomes, runs.decisions[label, seed], runs.splits[seed]
    base = train_best_single(table.take(split.train))
    score, cost = metered(decisions, "test", split.test, table)
    rows = decisions.parts["validation"].rows
    if not len(rows):
        return score[0], cost[0]
    held = metered(decisions, "validation", rows, table)
    single = table.score[rows, base], table.cost[rows, base]
    columns = (np.vstack([plane, one]).T for plane, one in zip(held, single, strict=True))
    acc, usd = sample_means(Sample(table.dataset[rows], table.group[rows], *columns), _names(table.dataset[rows]))
    mean, spent = avg_acc(acc[:-1]), usd[:-1].sum(axis=1)
    allowed = spent <= bill * float(usd[-1].sum())
    if not allowed.any():
        return table.score[split.test, base], table.cost[split.test, base]
    at = choose_points(np.where(allowed, mean, -np.inf), spent, allowed)[0]
    return score[at], cost[at]


def _names(dataset: StrArray) -> list[str]:
    return sorted(set(dataset.tolist()))


def compared(runs: Runs, labels: Sequence[str], seeds: Sequence[int], bill: float, rule: IntervalRule) -> Paired:
    """Routers within a bill, and last the best single model of train."""
    samples = []
    for seed in seeds:
        table, split = runs.outcomes, runs.splits[seed]
        base = train_best_single(table.take(split.train))
        columns = [within(runs, label, seed, bill) for label in labels]
        columns.append((table.score[split.test, base], table.cost[split.test, base]))
        score, cost = (np.stack(plane, axis=1) for plane in zip(*columns, strict=True))
        samples.append(Sample(table.dataset[split.test], table.group[split.test], score, cost))
    return pair(samples, rule=rule)


def frontier(more: Sequence[int]) -> list[str]:
    """Lines of Markdown: `agreement` within a share of the bill, beside the best of all others there."""
    runs = benched(more)
    labels, seeds = whole(runs)
    labels.remove("best_single")
    mine, single = labels.index("agreement"), len(labels)
    lines = [
        f"RouterBench, {len(runs.outcomes):,} queries, {len(seeds)} seeds, AvgAcc in points, bills in % of the best"
        f" single model's. Of {len(labels) - 1} others ({', '.join(label for label in labels if label != 'agreement')})"
        " it is the one that is best on test.",
        "",
        "| out of fold within | bill | minus best single | best other | its bill | minus best single | agreement minus"
        " it | the narrower interval |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    for bill in BILLS:
        wide, narrow = (compared(runs, labels, seeds, bill, rule) for rule in ("t", "percentile"))
        acc = [avg_acc(wide.acc[i]) for i in range(len(labels))]
        other = max((i for i in range(len(labels)) if i != mine), key=lambda i: (acc[i], -i))
        cells = [
            percent(bill),
            percent(1.0 + wide.cost_ratio(mine, single).value),
            interval(wide.difference(mine, single), lambda x: points(x, 2)),
            labels[other],
            percent(1.0 + wide.cost_ratio(other, single).value),
            interval(wide.difference(other, single), lambda x: points(x, 2)),
            interval(wide.difference(mine, other), lambda x: points(x, 2)),
            interval(narrow.difference(mine, other), lambda x: points(x, 2)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Run what is missing, and write the page."""
    if not DATA.is_dir():
        raise SystemExit("the real data sets must lie in ../shared/data, got nothing there")
    seeds = SEEDS[: int(sys.argv[1])] if sys.argv[1:] else SEEDS
    put(PAGE, MARKS, "\n".join(frontier(seeds)))


if __name__ == "__main__":
    main()
