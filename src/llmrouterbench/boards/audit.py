"""A plain audit of submissions: whether choices know more of the outcomes than texts can tell.

It accuses nobody. Every test prints its statistic, its null, its p, and the smallest leak that it would find in 80 of
100 samples. What is flagged has p below 1 % over the tests of its entry.

A choice that is made of the text alone cannot know by what a score differs from its expectation given the text. We
estimate that expectation for every query by routers that learned from all other outcomes of the board, more than any
entrant has. The mean surplus of the models chosen, over that of all models, is near 0 for an honest entry and the
oracle's gap for one that knows the labels. Somebody may read texts better than we do, so an honest entry is allowed
half of what our own predictor gains, and at least one point.

Who pays for replies before serving learns from them, and the surplus says nothing: such entries are not tested for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llmrouterbench.benching.folder import Decisions
from llmrouterbench.boards.folder import Board
from llmrouterbench.boards.submission import Submission
from llmrouterbench.embedders import make_embedder
from llmrouterbench.metrics import dataset_means, known_mean, oracle_choice
from llmrouterbench.routers import make_router
from llmrouterbench.splits import near_duplicate_groups, validation_folds
from llmrouterbench.table import FloatArray, IntArray, Outcomes

Test = Literal["labels", "copies", "held-out", "version", "twin"]
TESTS: dict[Test, str] = {
    "labels": "surplus of the chosen models over what texts tell",
    "copies": "near-copies choose their own best model, and not each other's",
    "held-out": "surplus on the open test queries minus that on the held-out ones",
    "version": "surplus minus that of the version that it replaces",
    "twin": "share of choices that differ from those of another entry",
}
"""What each statistic is."""
LEVEL = 0.01
"""Chance of an honest entry to be flagged, over all its tests."""
LEAST_SLACK = 0.01
_FOLDS = 5
_PREDICTORS = ("linear", "knn_tuned")
_READS = 0.05
"""Share of queries with a second call above which an entry is one that reads replies."""
_TWIN = 0.005
_FLIPS = 20_000
_POWER = 0.8416212335729143


@dataclass(frozen=True)
class Finding:
    """One test of one entry.

    statistic   as `TESTS` says; a fraction
    null        the most, or of twins the least, that an honest entry may have
    p           of such a statistic or a more extreme one under the null
    detectable  the statistic that would be flagged in 80 of 100 samples
    queries     how many it is made of
    about       the other entry, where there is one
    """

    test: Test
    statistic: float
    null: float
    p: float
    detectable: float
    queries: int
    flagged: bool
    about: str = ""


@dataclass(frozen=True)
class Audit:
    """The findings of every entry, and what they were made with.

    reads_replies  entries that pay for replies before they serve
    oracle         surplus of the oracle: what a full leak would have
    predicted      what the predictor gains over the best single model on the ranked queries
    """

    findings: dict[str, tuple[Finding, ...]]
    reads_replies: tuple[str, ...]
    oracle: float
    predicted: float
    slack: float

    def flagged(self, name: str) -> list[Finding]:
        """What is flagged of an entry."""
        return [one for one in self.findings[name] if one.flagged]


def audit(
    board: Board, full: Outcomes, entries: Mapping[str, Submission], chosen: Mapping[str, Sequence[int]]
) -> Audit:
    """Test every entry at the operating point `chosen` for it in each seed."""
    evidence = _Evidence.of(board, full)
    kept = {name: _Entry.of(evidence, entries[name].decisions, chosen[name]) for name in sorted(entries)}
    replaced = {one.card.replaces for one in entries.values()}
    raw: dict[str, list[Finding]] = {}
    for name, entry in kept.items():
        raw[name] = [] if entry.reads else list(evidence.tests(entry))
        before = entries[name].card.replaces
        if before in kept and not entry.reads and not kept[before].reads:
            raw[name].append(evidence.version(entry, kept[before], before))
    for name, twins in _twins(evidence, {name: one for name, one in kept.items() if name not in replaced}).items():
        raw[name] += twins
    findings = {name: tuple(_judged(one, len(found)) for one in found) for name, found in raw.items()}
    reads = tuple(name for name, one in kept.items() if one.reads)
    return Audit(findings, reads, evidence.oracle, evidence.predicted, evidence.slack)


def _judged(one: Finding, tests: int) -> Finding:
    """Whether a finding is flagged among so many tests of its entry; of twins that is known already."""
    if one.test == "twin":
        return one
    from scipy.special import ndtri

    error = one.detectable  # the tests hand their standard error on here
    quantile = float(-ndtri(LEVEL / tests))
    found = one.null + (quantile + _POWER) * error
    return Finding(one.test, one.statistic, one.null, one.p, found, one.queries, one.p < LEVEL / tests, one.about)


@dataclass(frozen=True)
class _Evidence:
    """What all tests share.

    surplus  (n, m) score minus expectation, minus the mean of that over models; NaN where not measured
    copies   (n,) clusters of near-copies
    ranked   rows by seed that ranks are made of; beside: test rows that they are not made of
    """

    outcomes: Outcomes
    surplus: FloatArray
    copies: IntArray
    ranked: dict[int, IntArray]
    beside: dict[int, IntArray]
    oracle: float
    predicted: float
    slack: float

    @classmethod
    def of(cls, board: Board, full: Outcomes) -> _Evidence:
        pool = full.pool
        copies = near_duplicate_groups(full)
        expected = expectations(full, copies)
        surplus = pool.score - expected
        surplus -= known_mean(surplus, axis=1)[:, None]
        ranked = {seed: board.ranked(seed) for seed in board.splits}
        beside = {seed: np.setdiff1d(board.splits[seed].test, ranked[seed]) for seed in board.splits}
        rows = np.unique(np.concatenate(list(ranked.values())))
        at = np.arange(len(rows))
        best = oracle_choice(pool.score[rows], pool.cost[rows])
        measured = best >= 0
        oracle = float(known_mean(surplus[rows[measured], best[measured]]))
        by_text = np.where(np.isfinite(pool.score), expected, -np.inf)[rows].argmax(axis=1)
        by_model = dataset_means(pool.score[rows], full.dataset[rows], full.datasets)
        single = int(np.nanargmax(known_mean(by_model, axis=0)))
        gain = float(known_mean(pool.score[rows][at, by_text] - pool.score[rows, single]))
        return cls(full, surplus, copies, ranked, beside, oracle, gain, max(LEAST_SLACK, gain / 2.0))

    def tests(self, entry: _Entry) -> list[Finding]:
        """Every test of an entry that needs no other."""
        found = [self._above("labels", entry.surplus, self.slack)]
        copies = self._copies(entry)
        held = self._drop(entry)
        return [one for one in (*found, copies, held) if one is not None]

    def version(self, entry: _Entry, before: _Entry, name: str) -> Finding:
        """Whether what changed since an earlier version follows the labels."""
        return self._above("version", entry.surplus - before.surplus, self.slack, name)

    def _above(self, test: Test, values: FloatArray, null: float, about: str = "") -> Finding:
        mean, error, many = _mean(values, self.copies)
        return Finding(test, mean, null, _upper((mean - null) / error), error, many, False, about)

    def _drop(self, entry: _Entry) -> Finding | None:
        if not any(map(len, self.beside.values())):
            return None
        (shown, error, many), (hidden, other, more) = (
            _mean(values, self.copies) for values in (entry.beside, entry.surplus)
        )
        both = math.hypot(error, other)
        drop = shown - hidden
        return Finding("held-out", drop, LEAST_SLACK, _upper((drop - LEAST_SLACK) / both), both, many + more, False)

    def _copies(self, entry: _Entry) -> Finding | None:
        """Swapping the choices of two near-copies must not matter: the sign of what it costs is a coin."""
        lost: dict[int, list[float]] = {}
        for seed, rows in self.ranked.items():
            choice = entry.choice[seed]
            clusters = self.copies[rows]
            order = np.argsort(clusters, kind="stable")
            ends = np.flatnonzero(np.diff(clusters[order])) + 1
            for part in np.split(order, ends):
                for one, other in zip(part[:-1].tolist(), part[1:].tolist(), strict=True):
                    mine, theirs = choice[one], choice[other]
                    if mine == theirs:
                        continue
                    score = self.outcomes.score
                    a, b = rows[one], rows[other]
                    swap = score[a, mine] + score[b, theirs] - score[a, theirs] - score[b, mine]
                    if np.isfinite(swap):
                        lost.setdefault(int(clusters[one]), []).append(float(swap))
        means = np.array([np.mean(found) for found in lost.values()])
        if len(means) < 8:  # too few signs for the level
            return None
        signs = np.random.default_rng(0).choice((-1.0, 1.0), size=(_FLIPS, len(means)))
        null = (signs * means).mean(axis=1)
        p = (1 + int((null >= means.mean() - 1e-12).sum())) / (1 + _FLIPS)
        return Finding("copies", float(means.mean()), 0.0, p, float(null.std()), len(means), False)


@dataclass(frozen=True)
class _Entry:
    """What one entry chose.

    choice   model (n,) of the ranked rows by seed, the likeliest
    surplus  (n,) of the ranked rows, mean over seeds; NaN elsewhere
    beside   (n,) the same of the other test rows
    reads    whether it pays for replies before it serves
    """

    choice: dict[int, IntArray]
    surplus: FloatArray
    beside: FloatArray
    reads: bool

    @classmethod
    def of(cls, evidence: _Evidence, decisions: Mapping[int, Decisions], chosen: Sequence[int]) -> _Entry:
        n, m = evidence.surplus.shape
        choice: dict[int, IntArray] = {}
        total, beside = np.zeros((2, n)), np.zeros((2, n))
        second = asked = 0
        for (seed, one), point in zip(decisions.items(), chosen, strict=True):
            served, several = _served(one, point, n, m)
            rows = evidence.ranked[seed]
            choice[seed] = served[rows].argmax(axis=1)
            second += int(several[rows].sum())
            asked += len(rows)
            of = np.where(several, 0.0, np.nansum(served * evidence.surplus, axis=1))
            for kept, mine in ((total, rows), (beside, evidence.beside[seed])):
                kept[0, mine] += of[mine]
                kept[1, mine] += 1
        means = [np.divide(sums, many, out=np.full(n, np.nan), where=many > 0) for sums, many in (total, beside)]
        return cls(choice, means[0], means[1], second > _READS * asked)


def _served(one: Decisions, point: int, n: int, m: int) -> tuple[FloatArray, np.typing.NDArray[np.bool_]]:
    """Probabilities (n, m) of a point on the test part, and where (n,) more was called than was served."""
    part = one.parts["test"]
    at = part.point == point
    row = part.rows[part.query[at]]
    served, called = np.zeros((n, m)), np.zeros(n)
    served[row, part.model[at]] = part.served[at]
    np.add.at(called, row, part.called[at])
    return served, called > served.sum(axis=1) + 1e-6


def expectations(full: Outcomes, copies: IntArray) -> FloatArray:
    """Score (n, m) that every model of the pool is expected to have on every query, by what other queries tell."""
    pool = full.pool
    tool = make_embedder("tfidf").fit(list(full.queries.prompt))
    table = pool.with_embedding(tool.embed(list(full.queries.prompt)))
    out = np.zeros(pool.score.shape)
    for fit, rest in validation_folds(table, np.arange(len(table)), 0, _FOLDS, copies):
        train, queries = table.take(fit), table.queries.take(rest)
        found = [make_router(name).fit(train).predict(queries).score for name in _PREDICTORS]
        out[rest] = np.mean(found, axis=0)
    return out


def _mean(values: FloatArray, group: IntArray) -> tuple[float, float, int]:
    """Mean of known values (n,), its standard error over groups, and how many there are."""
    known = np.isfinite(values)
    values, (_, at) = values[known], np.unique(group[known], return_inverse=True)
    if not len(values):
        return math.nan, math.nan, 0
    mean = float(values.mean())
    apart = np.bincount(at, weights=values - mean)
    groups = len(apart)
    error = math.sqrt(float((apart**2).sum()) * groups / max(groups - 1, 1)) / len(values)
    return mean, max(error, 1e-12), len(values)


def _upper(z: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(-z))


def _twins(evidence: _Evidence, entries: Mapping[str, _Entry]) -> dict[str, list[Finding]]:
    """Entries that choose as another does; those that nearly always serve one model are no twins."""
    names = list(entries)
    outcomes = evidence.outcomes
    dataset = np.searchsorted(outcomes.datasets, outcomes.dataset[np.concatenate(list(evidence.ranked.values()))])
    many, n, m = len(outcomes.datasets), len(dataset), evidence.surplus.shape[1]
    choice = np.array([np.concatenate(list(entries[name].choice.values())) for name in names])
    count = [np.bincount(dataset * m + one, minlength=many * m).reshape(many, m) for one in choice]
    share = np.array(count, dtype=np.float64)
    sizes = np.maximum(np.bincount(dataset, minlength=many), 1)
    out: dict[str, list[Finding]] = {}
    level = LEVEL / max(len(names) - 1, 1)
    for i, name in enumerate(names):
        differs = (choice[:i] != choice[i]).mean(axis=1)
        for j in np.flatnonzero(differs <= _TWIN).tolist():
            agreed = (share[i] * share[j]).sum(axis=1) / sizes**2
            expected, spread = float((agreed * sizes).sum()), math.sqrt(float((agreed * (1 - agreed) * sizes).sum()))
            equal = round((1.0 - differs[j]) * n)
            p = _upper((equal - expected) / spread) if spread > 0 else 1.0
            for one, other in ((name, names[j]), (names[j], name)):
                found = Finding("twin", float(differs[j]), 1.0 - expected / n, p, _TWIN, n, p < level, other)
                out.setdefault(one, []).append(found)
    return out
