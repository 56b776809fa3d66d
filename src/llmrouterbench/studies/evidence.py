"""From replayed columns to numbers with intervals: the same metric on the seed means and on every bootstrap draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.replay import Key, Replay
from llmrouterbench.metrics import avg_acc, known_mean, like_for_like
from llmrouterbench.stats import Interval, Replicates, bootstrap, interval, sample_means
from llmrouterbench.table import BoolArray, FloatArray


@dataclass(frozen=True)
class Evidence:
    """Columns of the replay as per-dataset numbers: by seed (s, k, d), over seeds (k, d), replicates (b, k, d)."""

    played: Replay
    base: Key
    baseline: Key
    at: dict[Key, int]
    acc_by_seed: FloatArray
    acc: FloatArray
    usd: FloatArray
    draws: Replicates

    def accuracy(self, metric: Callable[..., FloatArray], *keys: Key) -> Interval:
        """A metric of accuracies (..., datasets) of some columns."""
        columns = [self.at[key] for key in keys]
        value = float(metric(*(self.acc[i] for i in columns)))
        return interval(value, np.asarray(metric(*(self.draws.acc[:, i] for i in columns))))

    def measured(self, *keys: Key) -> BoolArray:
        """Datasets (d,) on which all of these columns have an accuracy."""
        return np.asarray(np.isfinite(self.acc[[self.at[key] for key in keys]]).all(axis=0))

    def cost(self, key: Key) -> Interval:
        """USD over the datasets that the column has."""
        i, mine = self.at[key], self.measured(key)
        return interval(_total(self.usd[i], mine), self.draws.cost[:, i][:, mine].sum(axis=1))

    def saving(self, key: Key) -> Interval:
        """1 - cost / cost of the base, over the datasets both have."""
        i, j, both = self.at[key], self.at[self.base], self.measured(key, self.base)
        draws = _saving(self.draws.cost[:, i][:, both].sum(axis=1), self.draws.cost[:, j][:, both].sum(axis=1))
        return interval(float(_saving(_total(self.usd[i], both), _total(self.usd[j], both))), draws)


def _total(usd: FloatArray, measured: BoolArray) -> float:
    """Sum over measured datasets; NaN where there is none or one of them has no known cost."""
    return float(usd[measured].sum()) if measured.any() else float("nan")


def _saving(cost: FloatArray | float, base: FloatArray | float) -> FloatArray:
    a, b = np.asarray(cost, dtype=np.float64), np.asarray(base, dtype=np.float64)
    return np.asarray(1.0 - np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0))


def weigh(played: Replay, base: str, baseline: Key | None, samples: int, seed: int) -> Evidence:
    """Per-dataset numbers and bootstrap replicates of a replay; `base` is a model id, `baseline` None for the same."""
    means = [sample_means(sample, played.datasets) for sample in played.samples]
    acc, usd = (np.array([part[i] for part in means]) for i in range(2))
    return Evidence(
        played=played,
        base=("model", base),
        baseline=baseline or ("model", base),
        at={key: i for i, key in enumerate(played.keys)},
        acc_by_seed=acc,
        acc=known_mean(acc, axis=0),
        usd=known_mean(usd, axis=0),
        draws=bootstrap(played.samples, played.datasets, replicates=samples, seed=seed),
    )


def minus(acc: FloatArray, base: FloatArray) -> FloatArray:
    """AvgAcc minus the base's, on the datasets both have."""
    a, b = like_for_like(acc, base)
    return np.asarray(avg_acc(a) - avg_acc(b))


def excess(acc: FloatArray, base: FloatArray) -> FloatArray:
    """PerfGain of one operating point, over any leading axes."""
    a, b = map(avg_acc, like_for_like(acc, base))
    return np.asarray(np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b > 0)) - 1.0)
