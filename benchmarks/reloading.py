"""Reloading a store and computing every metric of a setting, against plain Python over the same numbers as CSV."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import Row, measure

_PREPARE = """
from pathlib import Path
import numpy as np
from llmrouterbench import simulate
from llmrouterbench.store import write_outcomes
outcomes = simulate("performance-cost")
"""
_WRITE = """
write_outcomes(outcomes, Path({store!r}))
with open({table!r}, "w") as file:
    for row, (query, dataset) in enumerate(zip(outcomes.queries.id, outcomes.dataset)):
        for column, model in enumerate(outcomes.models):
            if not np.isnan(outcomes.score[row, column]):
                cell = outcomes.score[row, column], outcomes.cost[row, column]
                file.write(f"{{query}},{{dataset}},{{model}},{{cell[0]}},{{cell[1]}}\\n")
"""
_OURS = """
outcomes = Outcomes.load({store!r}, setting="performance-cost")
facts = describe(outcomes, load_setting("performance-cost"))
acc = dataset_means(outcomes.score, outcomes.dataset, outcomes.datasets)
cost = np.array([total_cost(outcomes.cost[:, m], outcomes.dataset, outcomes.datasets) for m in range(13)])
base = acc[:, best_single(acc)]
oracle = outcomes.score[np.arange(len(outcomes)), oracle_choice(outcomes.score, outcomes.cost)]
best = dataset_means(oracle, outcomes.dataset, outcomes.datasets)
chance = dataset_means(random_expectation(outcomes.score), outcomes.dataset, outcomes.datasets)
gain(acc.T, base), gain(acc.T, chance), gap(acc.T, best), oracle_gap_recovered(acc.T, base, best)
mean = avg_acc(acc.T)
pareto_frontier(mean, cost), pareto_dist(mean, cost, mean, cost)
perf_gain(mean, float(avg_acc(base))), cost_save(mean, cost, float(avg_acc(base)), float(cost[best_single(acc)]))
"""
_PLAIN = """
cells = {{}}
with open({table!r}) as file:
    for query, dataset, model, score, cost in csv.reader(file):
        cells.setdefault(dataset, {{}}).setdefault(query, {{}})[model] = float(score), float(cost)
models = sorted({{m for d in cells.values() for q in d.values() for m in q}})
def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")
acc = {{d: {{m: mean(q[m][0] for q in c.values() if m in q) for m in models}} for d, c in cells.items()}}
cost = {{m: sum(q[m][1] for c in cells.values() for q in c.values() if m in q) for m in models}}
oracle = {{d: mean(max(s for s, _ in q.values()) for q in c.values()) for d, c in cells.items()}}
chance = {{d: mean(mean(s for s, _ in q.values()) for q in c.values()) for d, c in cells.items()}}
best = max(models, key=lambda m: mean(a[m] for a in acc.values() if a[m] == a[m]))
for m in models:
    for base in (chance, oracle, {{d: acc[d][best] for d in acc}}):
        mean(acc[d][m] / base[d] - 1 for d in acc if acc[d][m] == acc[d][m])
"""


def rows() -> list[Row]:
    """One row."""
    with tempfile.TemporaryDirectory() as name:
        store, file = str(Path(name) / "store"), str(Path(name) / "cells.csv")
        measure(_WRITE.format(store=store, table=file), _PREPARE)
        setup = (
            "import numpy as np\nfrom llmrouterbench import Outcomes\n"
            "from llmrouterbench.reporting.describe import describe\n"
            "from llmrouterbench.metrics import *\nfrom llmrouterbench.settings import load_setting"
        )
        ours = measure(_OURS.format(store=store), setup, repeat=3)
        theirs = measure(_PLAIN.format(table=file), "import csv", repeat=3)
    what = "load a stored setting (12,446 queries x 13 models) and compute every metric"
    return [
        Row(
            what, ours, "the same cells from CSV with loops, the means and ratios only", theirs, "under 1 s, under 1 GB"
        )
    ]
