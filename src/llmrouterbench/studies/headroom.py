"""How much a perfect router could gain: task type, label noise, and models that nobody needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.coverage import in_order, need_matrix
from llmrouterbench.metrics import (
    avg_acc,
    best_single,
    dataset_oracle_choice,
    known_mean,
    oracle_choice,
    oracle_gap_recovered,
)
from llmrouterbench.stats import UNKNOWN_NUMBER, Interval, Paired, pair, sample_of, widened
from llmrouterbench.studies.curation import PoolValue, marginal_values
from llmrouterbench.table import FloatArray, IntArray, Outcomes

FEWEST_REPEATS = 30
"""Prompts that were answered more than once, below which label noise is not estimated."""
NEGLIGIBLE = 0.001
"""Oracle AvgAcc that a redundant model adds at most, at the upper end of its interval: a tenth of a point."""


@dataclass(frozen=True)
class Headroom:
    """The room between Best Single and the oracle, in AvgAcc, in hindsight on all queries.

    single          AvgAcc of `best`, the model with the highest AvgAcc
    oracle          AvgAcc of serving the best model of each query
    gap             oracle - single
    task_share      share of the gap that the dataset oracle (best model of each dataset) recovers; NaN for one dataset
    noise_share     share of the gap that is luck of single replies, which no router can gain; None: not measurable
    repeats         prompts that were answered more than once
    """

    best: str
    single: Interval
    oracle: Interval
    gap: Interval
    task_share: Interval
    noise_share: Interval | None
    repeats: int


def headroom(outcomes: Outcomes, *, replicates: int = 1000, seed: int = 0) -> Headroom:
    """Best single model, oracle, and what explains the gap. Raises ValueError where nothing was measured, or for a log.

    Where missing cells put the oracle below the best single model, it is not known.
    """
    need_matrix(outcomes, "what an oracle would gain")
    pool = PoolValue.of(outcomes).outcomes
    acc = PoolValue.of(pool).accuracy
    best, oracle = best_single(acc), oracle_choice(pool.score, pool.cost)
    by_dataset = dataset_oracle_choice(acc)[np.searchsorted(np.array(pool.datasets), pool.dataset)]
    rows = np.arange(len(pool))
    columns = np.stack([pool.score[:, best], pool.score[rows, oracle], pool.score[rows, by_dataset]], axis=1)
    means = pair([sample_of(pool, columns)], replicates=replicates, seed=seed)
    noise, repeats = noise_share(pool, best, replicates=replicates, seed=seed)
    single_dataset = len(pool.datasets) == 1
    share = UNKNOWN_NUMBER if single_dataset else _recovered(means, 2, 0, 1)
    values = means.accuracy(0).value, means.accuracy(2).value, means.accuracy(1).value
    oracle_is_known = np.isfinite(in_order(np.nan, *values)[3])
    room = (means.accuracy(1), means.difference(1, 0)) if oracle_is_known else (UNKNOWN_NUMBER, UNKNOWN_NUMBER)
    return Headroom(pool.models[best], means.accuracy(0), *room, share, noise, repeats)


def _recovered(means: Paired, column: int, base: int, oracle: int) -> Interval:
    return means.number(oracle_gap_recovered, column, base, oracle)


def noise_share(outcomes: Outcomes, best: int, *, replicates: int = 1000, seed: int = 0) -> tuple[Interval | None, int]:
    """Share of the oracle gap that is luck of single replies, and the number of prompts answered more than once.

    The oracle sees replies; a router could at best know each model's chance on each query, and gain the rest. What that
    is lies between two numbers that repeated replies give: models chosen on half of the replies to a prompt and scored
    on the other half, both ways round (half of them tells too little: the share is at most this), and models chosen on
    all replies and scored on the same ones (too lucky: it is at least that). The interval reaches from the lower end of
    the one to the upper end of the other. The value is the middle of the two: near a tie of two models, what a wrong
    choice loses and what luck adds weigh the same.

    The prompts are queries whose cells are means of several runs, or else rows with the same prompt. Ties go to the
    model that is better on the other prompts. Copies with the same scores and the same tokens or seconds
    are one answer exported twice, and do not count; nor do the copies of a dataset in which no score or cost differs.
    None with fewer than 30 prompts.
    """
    rows, runs = _answered_again(outcomes, best)
    if len(rows) < FEWEST_REPEATS:
        return None, len(rows)
    first, second = (np.array([known_mean(part, 0) for part in half]) for half in zip(*map(_halves, runs), strict=True))
    both = np.isfinite(first) & np.isfinite(second)
    first, second = np.where(both, first, np.nan), np.where(both, second, np.nan)
    together = np.where(both, np.array([known_mean(run, 0) for run in runs]), np.nan)
    columns = [
        together[:, best],
        (_served_again(first, second) + _served_again(second, first)) / 2.0,
        np.nanmax(together, axis=1),
        np.array(
            [np.nanmax(np.where(known, run, np.nan), axis=1).mean() for run, known in zip(runs, both, strict=True)]
        ),
    ]
    part = outcomes.take(rows)
    means = pair([sample_of(part, np.stack(columns, axis=1))], replicates=replicates, seed=seed)
    blind, lucky = (_recovered(means, column, 0, 3) for column in (1, 2))
    ends = 1.0 - (blind.value + lucky.value) / 2.0, 1.0 - lucky.high, 1.0 - blind.low
    return Interval(*(float(np.clip(end, 0.0, 1.0)) for end in ends)), len(rows)


def _halves(run: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The first and the second half of the replies (r, m) to a prompt; of an odd number the last one is left out."""
    half = len(run) // 2
    return run[:half], run[half : 2 * half]


def _answered_again(outcomes: Outcomes, best: int) -> tuple[IntArray, list[FloatArray]]:
    """A row of each prompt that was answered several times, and the scores (replies, m) of all its answers."""
    if outcomes.runs is not None:
        both = np.stack(two_runs(outcomes), axis=1)
        rows = np.flatnonzero(np.isfinite(both[:, 0, best]))
        return rows, list(both[rows])
    repeats = _repeats(outcomes)
    return np.array([rows[0] for rows in repeats], dtype=np.int64), [outcomes.score[rows] for rows in repeats]


def two_runs(outcomes: Outcomes, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Scores (n, m) of two of the runs of every cell, drawn again from their mean and spread; NaN where there is one.

    Scores of 0 and 1 are drawn as they were, from the hits; others from the normal distribution of two draws without
    replacement.

    >>> from dataclasses import replace
    >>> whole = Outcomes.of(["q"], ["a", "b"], [[1.0, 0.5]])
    >>> both = two_runs(replace(whole, runs=np.full((1, 2), 2.0), spread=np.array([[0.0, 0.5**0.5]])))
    >>> (both[0] + both[1]).tolist()
    [[2.0, 1.0]]
    """
    if outcomes.runs is None or outcomes.spread is None:
        raise ValueError("two runs need cells of several runs, got none in these outcomes; import them with their runs")
    rng, mean, runs = np.random.default_rng(seed), outcomes.score, np.where(outcomes.runs > 1, outcomes.runs, np.nan)
    variance = outcomes.spread**2
    hit = rng.random(mean.shape) < mean
    again = rng.random(mean.shape) < (mean * runs - hit) / (runs - 1.0)
    moved = np.sqrt(variance * (runs - 1.0) / runs) * rng.standard_normal(mean.shape)
    other = np.sqrt(np.maximum(variance * (runs - 2.0) / (runs - 1.0), 0.0)) * rng.standard_normal(mean.shape)
    drawn = (hit, mean + moved), (again, mean - moved / (runs - 1.0) + other)
    counted = np.isclose(variance, runs / (runs - 1.0) * mean * (1.0 - mean))
    first, second = (np.where(np.isfinite(runs), np.where(counted, *one), np.nan) for one in drawn)
    return first, second


def _repeats(outcomes: Outcomes) -> list[list[int]]:
    """Rows of the answers to each prompt that was asked again, with a model measured in all of them."""
    order = np.argsort(outcomes.group, kind="stable")
    group = outcomes.group[order]
    start = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    found: list[list[int]] = []
    differing: set[str] = set()
    for at in start[np.diff(np.append(start, len(group))) > 1].tolist():
        first, *others = order[at : np.searchsorted(group, group[at], side="right")].tolist()
        kept = [first]
        for row in others:
            if all(_asked_again(outcomes, one, row) for one in kept) and _shared(outcomes, [*kept, row]):
                kept.append(row)
        if len(kept) > 1:
            found.append(kept)
            if any(not _same(plane, first, row) for plane in (outcomes.score, outcomes.cost) for row in kept[1:]):
                differing.add(str(outcomes.dataset[first]))
    return [rows for rows in found if str(outcomes.dataset[rows[0]]) in differing]


def _shared(outcomes: Outcomes, rows: list[int]) -> bool:
    return bool(np.isfinite(outcomes.score[rows]).all(axis=0).any())


def _asked_again(outcomes: Outcomes, row: int, other: int) -> bool:
    """Whether two copies of a prompt have a model in common and no usage that shows them to be one answer."""
    common = np.isfinite(outcomes.score[[row, other]]).all(axis=0)
    usage = (outcomes.tokens_out, outcomes.seconds)
    told = any(np.isfinite(plane[[row, other]]).all(axis=0).any() for plane in usage)
    return bool(common.any()) and not (told and all(_same(plane, row, other) for plane in (outcomes.score, *usage)))


def _same(plane: FloatArray, row: int, other: int) -> bool:
    """Whether two rows agree wherever both are measured."""
    both = np.isfinite(plane[[row, other]]).all(axis=0)
    return bool((plane[row, both] == plane[other, both]).all())


def _served_again(chosen_on: FloatArray, scored_on: FloatArray) -> FloatArray:
    """Score (n,) on some answers of the models that were best on others; ties by the mean of the other prompts."""
    known = np.isfinite(chosen_on)
    total, count = np.where(known, chosen_on, 0.0), known.astype(np.float64)
    prior = (total.sum(axis=0) - total) / np.maximum(count.sum(axis=0) - count, 1.0)
    best = chosen_on == np.nanmax(chosen_on, axis=1, keepdims=True)
    return np.asarray(scored_on[np.arange(len(best)), np.where(best, prior, -np.inf).argmax(axis=1)])


@dataclass(frozen=True)
class Needless:
    """A model to think about dropping.

    redundant     the oracle certainly loses next to nothing without it: no router needs it
    dominated_by  a model that is certainly no worse and no dearer: alone nobody would choose this one, though a router
                  may still use it where it is not redundant; "" where there is none
    dropped       what the oracle's AvgAcc loses without it
    """

    model: str
    redundant: bool
    dominated_by: str
    dropped: Interval


def needless_models(
    outcomes: Outcomes, *, replicates: int = 1000, seed: int = 0, negligible: float = NEGLIGIBLE
) -> tuple[Needless, ...]:
    """Models that are redundant for the oracle or dominated in AvgAcc and cost, each judged with all others kept.

    The best single model is never redundant. Two models that copy each other are both redundant: drop one and look
    again. Where no query shows a loss, 3 / queries bounds it, so that small tables call nothing redundant.

    Source: Hanley, Lippman-Hand, If nothing goes wrong, is everything all right?, 1983 (rule of three).
    """
    pool = outcomes.pool
    values = marginal_values(pool, replicates=replicates, seed=seed)
    dominator = _dominators(pool, replicates, seed)
    unseen = 3.0 / len(pool)
    found = []
    for rank, value in enumerate(values):
        redundant = rank > 0 and max(value.dropped.high, unseen) <= negligible
        by = dominator.get(value.model, "")
        if redundant or by:
            found.append(Needless(value.model, redundant, by, value.dropped))
    return tuple(found)


def _dominators(pool: Outcomes, replicates: int, seed: int) -> dict[str, str]:
    """The most accurate model of those that dominate another, where intervals corrected for all pairs agree."""
    means = pair([sample_of(pool, pool.score, pool.cost)], replicates=replicates, seed=seed)
    acc, usd = np.nan_to_num(avg_acc(means.acc), nan=-np.inf), means.usd.sum(axis=1)
    complete = np.isfinite(means.acc).all(axis=1) & np.isfinite(usd)
    pairs = len(usd) * (len(usd) - 1) // 2
    found = {}
    for i in np.flatnonzero(complete).tolist():
        better = complete & (acc >= acc[i]) & (usd <= usd[i]) & ((acc > acc[i]) | (usd < usd[i]))
        if better.any():
            j = int(np.argmax(np.where(better, acc, -np.inf)))
            lead, ratio = (widened(one, pairs) for one in (means.difference(j, i), means.cost_ratio(j, i)))
            if lead.low >= 0 and ratio.high <= 0:
                found[pool.models[i]] = pool.models[j]
    return found
