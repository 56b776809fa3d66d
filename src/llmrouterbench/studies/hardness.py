"""Hard queries: how many models solve a query, how routers fare on each kind, and which hard ones they miss.

A model solves a query when its score is at least `threshold`; 0.5 counts a tie of a pairwise judge (ArenaHard) as
solved and rounds other fractional scores. Numbers pool all test queries, whatever their dataset, as the paper does.

Source: LLMRouterBench (arXiv 2601.07206), section 4.2.1 and figure 5.
Queries that no model solves are a bin of their own and no recall failures: nobody could be recalled. The paper does not
say so, but its 11.9 % of rare queries fit its oracle only in this reading (`tests/test_hardness.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.replay import ORACLE, Replay, replay
from llmrouterbench.coverage import need_matrix
from llmrouterbench.metrics import known_mean
from llmrouterbench.stats import Interval, Replicates, Sample, bootstrap, interval, sample_means
from llmrouterbench.table import FloatArray, IntArray, Outcomes, StrArray

SOLVED = 0.5
"""Score from which a reply counts as right."""
FEW = 3
"""Most models that solve a rare query: the paper's "at most three experts"."""


def solvers(outcomes: Outcomes, threshold: float = SOLVED) -> IntArray:
    """Number of models (n,) of the pool that solve each query; -1 where none was measured.

    Raises ValueError for a threshold outside (0, 1], and for logged data.

    >>> solvers(Outcomes.of(["q", "r", "s"], ["a", "b"], [[1, 0.5], [0, 0.4], [np.nan, np.nan]])).tolist()
    [2, 0, -1]
    """
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"threshold must be above 0 and at most 1, got {threshold}; 0.5 is usual")
    need_matrix(outcomes, "how many models solve a query")
    score = outcomes.pool.score
    measured = np.isfinite(score)
    solved = (measured & (score >= threshold)).sum(axis=1)
    return np.where(measured.any(axis=1), solved, -1).astype(np.int64)


@dataclass(frozen=True)
class Hardness:
    """Test queries by the number of models that solve them.

    solved_by  (bins,) number of models, those that occur, ascending
    queries    (bins,) test queries, mean over seeds
    accuracy   router -> mean score (bins,) of what it served there; also "Oracle"
    """

    solved_by: tuple[int, ...]
    queries: tuple[float, ...]
    accuracy: dict[str, tuple[Interval, ...]]


def hardness(
    runs: Runs, *, threshold: float = SOLVED, replicates: int = 1000, seed: int = 0, played: Replay | None = None
) -> Hardness:
    """Figure 5: how many models solve each test query, and every router's accuracy on each such bin.

    `played` is the replay of the runs, where there is one already.
    """
    played, solved = played or replay(runs, runs.outcomes), solvers(runs.outcomes, threshold)
    tests = [solved[runs.splits[one].test] for one in runs.seeds]
    bins = sorted({int(count) for test in tests for count in test if count >= 0})
    names = [f"{count:06d}" for count in bins]
    labels = [np.array([f"{count:06d}" for count in test.tolist()]) for test in tests]
    binned = _binned(played, labels, names, replicates, seed)
    queries = tuple(float(np.mean([(test == count).sum() for test in tests])) for count in bins)
    return Hardness(tuple(bins), queries, {name: binned.means(column) for name, column in _columns(played)})


@dataclass(frozen=True)
class RecallFailure:
    """What one router does with the rare queries: those that at least one and at most `few` models solve.

    rare      rare test queries, mean over seeds
    share     rare queries as a share of the test queries
    accuracy  mean score of the router on them
    missed    rare queries whose served reply does not solve them, mean over seeds
    gap       share of the router's gap to the oracle, summed over all test queries, that lies in rare queries
    """

    router: str
    few: int
    rare: float
    share: float
    accuracy: Interval
    missed: float
    gap: Interval


def recall_failures(
    runs: Runs,
    *,
    few: int = FEW,
    threshold: float = SOLVED,
    replicates: int = 1000,
    seed: int = 0,
    played: Replay | None = None,
) -> tuple[RecallFailure, ...]:
    """Model-recall failures of every router, in the order in which routers were asked for."""
    if few < 1:
        raise ValueError(f"few must be at least 1 model, got {few}")
    played, solved = played or replay(runs, runs.outcomes), solvers(runs.outcomes, threshold)
    tests = [solved[runs.splits[one].test] for one in runs.seeds]
    rare = [(test >= 1) & (test <= few) for test in tests]
    labels = [
        np.where(mine, "rare", np.where(test < 0, "unknown", "usual")) for mine, test in zip(rare, tests, strict=True)
    ]
    binned = _binned(played, labels, ["rare", "usual"], replicates, seed)
    sizes = np.array([np.mean([(label == name).sum() for label in labels]) for name in ("rare", "usual")])
    columns = dict(_columns(played))
    found = []
    for router in (name for name in columns if name != ORACLE):
        column = columns[router]
        lost = [sample.score[mine, column] < threshold for sample, mine in zip(played.samples, rare, strict=True)]
        gap = _rare_share(binned, column, columns[ORACLE], sizes)
        missed, total = float(np.mean([part.sum() for part in lost])), float(np.mean([len(test) for test in tests]))
        accuracy = binned.means(column)[0]
        found.append(RecallFailure(router, few, float(sizes[0]), float(sizes[0]) / total, accuracy, missed, gap))
    return tuple(found)


def missed_queries(runs: Runs, router: str, *, few: int = FEW, threshold: float = SOLVED) -> dict[int, IntArray]:
    """Rows of the outcomes of the rare test queries that a router missed, by seed.

    Raises KeyError for a router that is not in the runs.
    """
    played, solved = replay(runs, runs.outcomes), solvers(runs.outcomes, threshold)
    columns = dict(_columns(played))
    if router not in columns:
        raise KeyError(f"no router named {router!r} in these runs; there are {', '.join(columns)}")
    rows = {}
    for seed, sample in zip(runs.seeds, played.samples, strict=True):
        test = runs.splits[seed].test
        rare = (solved[test] >= 1) & (solved[test] <= few)
        rows[seed] = test[rare & (sample.score[:, columns[router]] < threshold)]
    return rows


@dataclass(frozen=True)
class _Binned:
    """Mean scores (k, bins) of all columns in every bin, and their bootstrap draws."""

    acc: FloatArray
    draws: Replicates

    def means(self, column: int) -> tuple[Interval, ...]:
        bins = np.eye(len(self.draws.groups), dtype=np.bool_)
        return tuple(
            self.draws.interval(float(value), self.draws.acc[:, column, i], bins[i])
            for i, value in enumerate(self.acc[column])
        )


def _binned(played: Replay, labels: Sequence[StrArray], bins: list[str], replicates: int, seed: int) -> _Binned:
    """Bins take the place of datasets as strata of the bootstrap; queries outside all bins are left out."""
    samples = []
    for sample, label in zip(played.samples, labels, strict=True):
        keep = np.isin(label, bins)
        samples.append(
            Sample(label[keep], sample.group[keep], sample.score[keep], np.full_like(sample.cost[keep], np.nan))
        )
    means = [sample_means(sample, bins)[0] for sample in samples]
    return _Binned(known_mean(np.array(means), axis=0), bootstrap(samples, bins, replicates=replicates, seed=seed))


def _columns(played: Replay) -> list[tuple[str, int]]:
    """Routers and the oracle, with their columns in the samples."""
    wanted = ("router", "reference")
    return [
        (name, i)
        for i, (kind, name) in enumerate(played.keys)
        if kind in wanted and (kind == "router" or name == ORACLE)
    ]


def _rare_share(binned: _Binned, router: int, oracle: int, sizes: FloatArray) -> Interval:
    """Share of the summed gap (oracle - router) that lies in the first bin; NaN where there is no gap."""
    lost = sizes * (binned.acc[oracle] - binned.acc[router])
    draws = sizes * (binned.draws.acc[:, oracle] - binned.draws.acc[:, router])
    return interval(float(_first_share(lost)), _first_share(draws))


def _first_share(lost: FloatArray) -> FloatArray:
    known = np.where(np.isfinite(lost), lost, 0.0)
    total = known.sum(axis=-1)
    return np.asarray(np.divide(known[..., 0], total, out=np.full(np.shape(total), np.nan), where=total > 0))
