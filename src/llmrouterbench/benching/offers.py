"""What accepting a loss of accuracy buys: among the models and the operating points of routers, the cheapest one.

A router without a dial is decided on test alone, so there is nothing to pick it by, and it is no candidate.

Chosen seed by seed on training queries that the router did not see, and measured on test: an offer is a method, and its
numbers say what the method would give on new data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from llmrouterbench.benching.folder import Runs, Served
from llmrouterbench.benching.replay import avg_lead, complete_routers, metered
from llmrouterbench.metrics import avg_acc
from llmrouterbench.stats import Sample, sample_means
from llmrouterbench.table import FloatArray, IntArray, Outcomes
from llmrouterbench.worth import train_best_single

SURE = 1.645
"""Standard errors on one side that leave 5 % beyond."""


class Pick(NamedTuple):
    """What would be served: an operating point of a router, or a model (its point is 0, its weight NaN)."""

    kind: str
    name: str
    point: int
    weight: float


@dataclass(frozen=True)
class Offers:
    """What was picked for every offer, and how it did on test beside the best single model of train.

    losing   the loss accepted by each of k offers; None for the first, which is after accuracy alone
    picks    one tuple an offer, one pick a seed
    samples  one a seed: columns (n, k + 2), the last of the best single model, the one before of what is the most
             accurate on train of all that serve something else, whether surely or not
    served   (k, m) share of the test queries that each model answers, mean over seeds
    base     that single model, one id a seed
    """

    losing: tuple[float | None, ...]
    picks: tuple[tuple[Pick, ...], ...]
    samples: tuple[Sample, ...]
    served: FloatArray
    base: tuple[str, ...]


def offers(runs: Runs, outcomes: Outcomes, losing: Sequence[float]) -> Offers | None:
    """Pick and measure all offers; None where no router was decided on training queries that it did not see.

    The first offer is the pick with the highest AvgAcc among those that are above the best single model of train by
    1.645 standard errors there; the others are the cheapest that are not below it by more than the loss, by the same
    margin. The single model itself is always among them, and a router without a dial never.
    """
    found: list[tuple[list[Pick], Sample, FloatArray, str]] = []
    labels = complete_routers(runs)
    for seed in runs.seeds:
        judge = runs.judges.get(seed)
        table = outcomes if judge is None else judge.table(outcomes)
        rows = runs.splits[seed].train
        base = train_best_single(table.take(rows))
        held = _held_out(runs, labels, seed)
        if held is None:
            return None
        picks, validation = _candidates(runs, labels, seed, table, held)
        chosen = [picks[i] for i in _choose(validation, base, losing)]
        found.append((chosen, *_on_test(runs, seed, table, chosen, base), outcomes.models[base]))
    return Offers(
        (None, *losing),
        tuple(zip(*(chosen[:-1] for chosen, *_ in found), strict=True)),
        tuple(sample for _, sample, _, _ in found),
        np.mean([served[:-1] for _, _, served, _ in found], axis=0),
        tuple(base for *_, base in found),
    )


def _held_out(runs: Runs, labels: Sequence[str], seed: int) -> IntArray | None:
    """The training queries that some router was decided on without having seen them."""
    for label in labels:
        if len(rows := runs.decisions[label, seed].parts["validation"].rows):
            return rows
    return None


def _candidates(
    runs: Runs, labels: Sequence[str], seed: int, table: Outcomes, rows: IntArray
) -> tuple[list[Pick], Sample]:
    """Every model, then every operating point of every router that has been decided on these queries."""
    pool = table.pool
    picks = [Pick("model", model, 0, np.nan) for model in pool.models]
    score, cost = [pool.score[rows].T], [pool.cost[rows].T]
    for label in labels:
        decisions = runs.decisions[label, seed]
        if not np.array_equal(np.sort(decisions.parts["validation"].rows), np.sort(rows)):
            continue
        picks += [Pick("router", label, i, float(weight)) for i, weight in enumerate(decisions.weights)]
        for plane, part in zip((score, cost), metered(decisions, "validation", rows, table), strict=True):
            plane.append(part)
    columns = np.concatenate(score).T, np.concatenate(cost).T
    return picks, Sample(table.dataset[rows], table.together[rows], *columns)


def _choose(sample: Sample, base: int, losing: Sequence[float]) -> list[int]:
    """The column of each offer, from numbers on validation, and last that of the most accurate other one."""
    acc, usd = sample_means(sample, sorted(set(sample.dataset.tolist())))
    price = usd.sum(axis=1)
    lead, error = avg_lead(sample, base)
    surely = np.where(np.isfinite(lead), lead - SURE * error, -np.inf)
    surely[base] = 0.0
    above = np.where(surely > 0.0, avg_acc(acc), -np.inf)
    out = [int(above.argmax()) if np.isfinite(above.max()) else base]
    for loss in losing:
        left = np.where((surely >= -loss) & np.isfinite(price), price, np.inf)
        cheapest = int(left.argmin())
        out.append(cheapest if left[cheapest] < price[base] else base)
    others = np.where(np.isfinite(lead) & (error > 0.0), lead, -np.inf)  # without an error it serves the same
    return [*out, int(others.argmax())]


def _on_test(runs: Runs, seed: int, table: Outcomes, picks: list[Pick], base: int) -> tuple[Sample, FloatArray]:
    """Scores and costs of the picks and of the best single model, and the models (k, m) that answered."""
    rows, pool = runs.splits[seed].test, table.pool
    columns, served = [], np.zeros((len(picks), len(pool.models)))
    for i, pick in enumerate(picks):
        if pick.kind == "model":
            at = pool.models.index(pick.name)
            columns.append((pool.score[rows, at], pool.cost[rows, at]))
            served[i, at] = 1.0
        else:
            decisions = runs.decisions[pick.name, seed]
            part = decisions.parts["test"]
            score, cost = metered(decisions, "test", rows, table)
            columns.append((score[pick.point], cost[pick.point]))
            served[i] = _shares(part, pick.point, len(pool.models))
    columns.append((table.score[rows, base], table.cost[rows, base]))
    score, cost = (np.stack(plane, axis=1) for plane in zip(*columns, strict=True))
    return Sample(table.dataset[rows], table.together[rows], score, cost), served


def _shares(part: Served, point: int, models: int) -> FloatArray:
    """Share of the queries (m,) that each model answers at an operating point."""
    here = part.point == point
    total = np.bincount(part.model[here], weights=part.served[here], minlength=models)[:models]
    return np.asarray(total / max(total.sum(), 1.0))
