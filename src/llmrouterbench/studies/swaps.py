"""Whether another model than the best single one should serve everybody; and what failures that are not random hide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.metrics import avg_acc, best_single, dataset_means, known_mean
from llmrouterbench.stats import Interval, pair, sample_of, widened
from llmrouterbench.table import FloatArray, Outcomes

TOLERANCE, FAR_TOLERANCE = 0.01, 0.04
"""AvgAcc that a swap may cost at the low end of its interval; where the bill falls to a tenth."""
FAR, LEAST = 0.9, 0.05
"""Savings: of a bill that falls to a tenth, and that are worth a swap at all."""
_FEWEST, _SURE = 10, 3.0


@dataclass(frozen=True)
class Swap:
    """A cheaper model to serve everybody instead of another; intervals are corrected for looking at all.

    sure        whether it certainly loses no more than is tolerated for what it saves
    difference  AvgAcc minus that of the other model
    saving      1 - cost / cost of that model
    """

    model: str
    instead_of: str
    sure: bool
    difference: Interval
    saving: Interval


def find_swap(outcomes: Outcomes, base: str | None = None, *, replicates: int = 1000, seed: int = 0) -> Swap | None:
    """The swap that saves the most among the sure ones, else among those that may be; None where there is none.

    `base` is what is swapped, the best single model where it is not said. A swap may be where a tenth of the bill gets
    an AvgAcc that is not distinguishable.
    """
    pool = outcomes.pool
    paired = pair([sample_of(pool, pool.score, pool.cost)], replicates=replicates, seed=seed)
    if not np.isfinite(avg_acc(paired.acc)).any():
        return None
    best, found = best_single(paired.acc.T) if base is None else pool.models.index(base), list[Swap]()
    for one in range(len(pool.models)):
        lost = widened(paired.difference(one, best), len(pool.models) - 1)
        saved = widened(paired.saving(one, best), len(pool.models) - 1)
        if one == best or not saved.low >= LEAST or not np.isfinite(lost.low):
            continue
        sure = lost.low >= -(FAR_TOLERANCE if saved.low >= FAR else TOLERANCE)
        if sure or (saved.low >= FAR and lost.high >= 0.0):
            found.append(Swap(pool.models[one], pool.models[best], sure, lost, saved))
    return max(found, key=lambda swap: (swap.sure, swap.saving.value), default=None)


@dataclass(frozen=True)
class Lacking:
    """A model whose missing scores are not missing at random.

    queries  without a score of it
    easier   mean score of the other models there, minus theirs on the other queries of the dataset
    measured  its AvgAcc on what was measured
    bounds   its AvgAcc if all that is missing were wrong, and if all were right
    """

    model: str
    queries: int
    easier: float
    measured: float
    bounds: tuple[float, float]


def lacking_models(outcomes: Outcomes) -> tuple[Lacking, ...]:
    """Models without scores on queries that the others find certainly easier, or harder, than those it has."""
    pool, found = outcomes.pool, []
    for j, model in enumerate(pool.models):
        others = (
            known_mean(np.delete(pool.score, j, axis=1), axis=1) if len(pool.models) > 1 else np.full(len(pool), np.nan)
        )
        gone = ~np.isfinite(pool.score[:, j])
        for name in pool.datasets:
            mine = pool.dataset == name
            others[mine] -= known_mean(others[mine & ~gone])
        there, here = (others[rows & np.isfinite(others)] for rows in (gone, ~gone))
        if len(there) < _FEWEST or len(here) < _FEWEST:
            continue
        easier, error = (
            float(there.mean()),
            float(np.hypot(*(part.std(ddof=1) / np.sqrt(len(part)) for part in (there, here)))),
        )
        if abs(easier) > _SURE * error:
            measured, wrong, right = (
                _avg_acc(pool, np.where(gone, one, pool.score[:, j])) for one in (np.nan, 0.0, 1.0)
            )
            found.append(Lacking(model, int(gone.sum()), easier, measured, (wrong, right)))
    return tuple(found)


def _avg_acc(pool: Outcomes, score: FloatArray) -> float:
    """AvgAcc of scores (n,)."""
    return float(avg_acc(dataset_means(score, pool.dataset, pool.datasets)))
