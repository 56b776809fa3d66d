"""Columns on the same queries: means, differences and costs, each with its paired bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmrouterbench.metrics import avg_acc, known_mean
from llmrouterbench.stats import Interval, Replicates, Sample, bootstrap, interval, sample_means
from llmrouterbench.studies.evidence import minus
from llmrouterbench.table import FloatArray, Outcomes


@dataclass(frozen=True)
class Paired:
    """Columns that were measured on the same queries, over seeds, with the same bootstrap draws for all.

    datasets  d names, the strata of the draws
    acc       (k, d) mean score
    usd       (k, d) cost in USD of all queries of a stratum
    draws     bootstrap replicates of both
    """

    datasets: tuple[str, ...]
    acc: FloatArray
    usd: FloatArray
    draws: Replicates

    def accuracy(self, column: int) -> Interval:
        """AvgAcc of a column."""
        return interval(float(avg_acc(self.acc[column])), avg_acc(self.draws.acc[:, column]))

    def difference(self, column: int, base: int) -> Interval:
        """AvgAcc of a column minus that of another, on the datasets both have."""
        value = float(minus(self.acc[column], self.acc[base]))
        return interval(value, minus(self.draws.acc[:, column], self.draws.acc[:, base]))

    def cost(self, column: int) -> Interval:
        """USD of a column over the datasets it has; NaN where one of them has no known cost."""
        mine = np.isfinite(self.acc[column])
        return interval(_total(self.usd[column][mine]), self.draws.cost[:, column][:, mine].sum(axis=1))

    def cost_ratio(self, column: int, base: int) -> Interval:
        """Cost of a column over that of another, minus 1, on the datasets both have; -0.2 is a fifth cheaper."""
        both = np.isfinite(self.acc[[column, base]]).all(axis=0)
        draws = self.draws.cost[:, :, both].sum(axis=2)
        value = _over(np.array(_total(self.usd[column][both])), np.array(_total(self.usd[base][both])))
        return interval(float(value), _over(draws[:, column], draws[:, base]))


def pair(samples: Sequence[Sample], *, replicates: int = 1000, seed: int = 0) -> Paired:
    """Means and bootstrap draws of the columns of one sample a seed.

    >>> one = Sample(np.array(["a"] * 4), np.arange(4), np.array([[1.0, 0], [1, 1], [1, 0], [0, 0]]), np.ones((4, 2)))
    >>> pair([one], replicates=50).difference(0, 1).value
    0.5
    """
    datasets = tuple(sorted({name for sample in samples for name in sample.dataset.tolist()}))
    means = [sample_means(sample, datasets) for sample in samples]
    acc, usd = (known_mean(np.array([part[i] for part in means]), axis=0) for i in range(2))
    return Paired(datasets, acc, usd, bootstrap(samples, datasets, replicates=replicates, seed=seed))


def sample_of(outcomes: Outcomes, score: FloatArray, cost: FloatArray | None = None) -> Sample:
    """The sample of columns (n, k) on all queries of a table; without a cost, cost is unknown."""
    return Sample(outcomes.dataset, outcomes.group, score, np.full(score.shape, np.nan) if cost is None else cost)


def _total(usd: FloatArray) -> float:
    return float(usd.sum()) if len(usd) else float("nan")


def _over(cost: FloatArray, base: FloatArray) -> FloatArray:
    return np.asarray(np.divide(cost, base, out=np.full(np.shape(cost), np.nan), where=base > 0) - 1.0)
