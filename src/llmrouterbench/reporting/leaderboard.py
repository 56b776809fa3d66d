"""The leaderboard: every number of a folder of runs, with its interval."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from llmrouterbench.benching.folder import Runs, to_record
from llmrouterbench.benching.replay import (
    DATASET_ORACLE,
    DATASET_ORACLE_PAPER,
    ORACLE,
    RANDOM,
    Key,
    Replay,
    complete_routers,
    replay,
)
from llmrouterbench.metrics import (
    avg_acc,
    cost_save,
    gain,
    gap,
    like_for_like,
    oracle_gap_recovered,
    pareto_dist,
    pareto_frontier,
    perf_gain,
    reaches,
    ties_as_wins,
)
from llmrouterbench.naming import did_you_mean
from llmrouterbench.reporting.board import Kind, Leaderboard, Point, Row
from llmrouterbench.reporting.notes import notes
from llmrouterbench.stats import Interval, seed_summary
from llmrouterbench.studies.evidence import Evidence, excess, minus, weigh
from llmrouterbench.studies.peaks import peaks_on_test


def leaderboard(
    runs: Runs, *, samples: int = 1000, seed: int = 0, ties_win: bool = False, baseline: str | None = None
) -> Leaderboard:
    """Compute every number from stored decisions, without fitting anything.

    `samples` bootstrap replicates with random `seed`. `ties_win` counts every positive score as 1, the paper's reading
    of ArenaHard's ties in its oracle. `baseline` is the router that differences are against: best_single when not
    given, Best Single where that was not run. A router that lacks a seed is left out and named in the notes.

    Raises ValueError for a baseline that is no complete router of the runs.
    """
    outcomes = replace(runs.outcomes, score=ties_as_wins(runs.outcomes.score)) if ties_win else runs.outcomes
    played = replay(runs, outcomes)
    evidence = weigh(played, outcomes.models[played.base], _baseline(runs, baseline), samples, seed)
    points = _points(evidence, outcomes.pool.models)
    peaks = peaks_on_test(runs, outcomes) if runs.rules.protocol == "paper" else {}
    routers = [
        replace(_row(evidence, points, "router", name, ("router", name)), peak_on_test=peaks.get(name))
        for name in played.points
    ]
    references = [_row(evidence, points, "reference", name, key) for name, key in _references(evidence)]
    models = [_row(evidence, points, "model", name, ("model", name)) for name in outcomes.pool.models]
    rows = (*sorted(routers, key=_rank), *references, *sorted(models, key=_rank))
    board = Leaderboard(
        title=f"Leaderboard: {runs.rules.setting or 'own data'}",
        rows=rows,
        points=points,
        datasets=played.datasets,
        baseline=evidence.baseline[1] if evidence.baseline[0] == "router" else "Best Single",
        base=evidence.base[1],
        priced=bool(np.isfinite(outcomes.cost).any()),
        simulated=bool(outcomes.simulated or runs.made.simulated),
        notes=(),
        facts=_facts(runs, played, samples, seed, ties_win),
    )
    return replace(board, notes=tuple(notes(board, runs)))


def _rank(row: Row) -> tuple[float, str]:
    return (-row.avg_acc.value if np.isfinite(row.avg_acc.value) else np.inf, row.name)


def _baseline(runs: Runs, name: str | None) -> Key | None:
    routers = complete_routers(runs)
    if name is not None and name not in routers:
        raise ValueError(f"the baseline must be a router of these runs, got {name!r}{did_you_mean(name, routers)}")
    name = name or "best_single"
    return ("router", name) if name in routers else None


def _references(evidence: Evidence) -> list[tuple[str, Key]]:
    names = (RANDOM, DATASET_ORACLE_PAPER, DATASET_ORACLE, ORACLE)
    rows: list[tuple[str, Key]] = [(name, ("reference", name)) for name in names]
    return [rows[0], ("Best Single", evidence.base), *rows[1:]]


def _row(evidence: Evidence, points: tuple[Point, ...], kind: Kind, name: str, key: Key) -> Row:
    random, oracle = ("reference", RANDOM), ("reference", ORACLE)
    column = evidence.at[key]
    difference = evidence.accuracy(minus, key, evidence.baseline)
    label = evidence.baseline[1] if evidence.baseline[0] == "router" else "Best Single"
    return Row(
        name=name,
        kind=kind,
        avg_acc=evidence.accuracy(avg_acc, key),
        avg_acc_std=seed_summary(avg_acc(evidence.acc_by_seed[:, column]))[1],
        difference=difference,
        verdict="" if key == evidence.baseline else verdict(difference, label),
        gain_r=evidence.accuracy(gain, key, random),
        gain_b=evidence.accuracy(gain, key, evidence.base),
        gap_o=evidence.accuracy(gap, key, oracle),
        recovered=evidence.accuracy(oracle_gap_recovered, key, evidence.base, oracle),
        cost=evidence.cost(key),
        perf_gain=evidence.accuracy(excess, key, evidence.base),
        **_saver(evidence, key),
        **_hindsight(evidence, points, key),
        unmeasured=sum(int((~np.isfinite(s.score[:, column])).sum()) for s in evidence.played.samples),
        unknown_cost=sum(int((~np.isfinite(s.cost[:, column])).sum()) for s in evidence.played.samples),
        accuracy=tuple(evidence.acc[column].tolist()),
        usd=tuple(evidence.usd[column].tolist()),
    )


def verdict(difference: Interval, baseline: str) -> str:
    """A difference in words.

    >>> verdict(Interval(0.01, -0.01, 0.02), "best_single")
    'not distinguishable from best_single'
    """
    if not np.isfinite(difference.low):
        return f"not comparable with {baseline}"
    if difference.low == difference.value == difference.high == 0.0:
        return f"the same as {baseline}"
    if difference.low <= 0.0 <= difference.high:
        return f"not distinguishable from {baseline}"
    return f"{'better' if difference.low > 0 else 'worse'} than {baseline}"


def _saver(evidence: Evidence, key: Key) -> dict[str, Any]:
    """CostSave: of the point chosen on validation, or of the only point if it reaches the base on test."""
    played = evidence.played
    seeds = len(played.samples)
    if key[0] == "router" and len(played.points[key[1]].weights) > 1:
        key, seeds = ("saver", key[1]), played.saver_seeds[key[1]]
    elif not reaches(float(evidence.accuracy(minus, key, evidence.base).value), 0.0):
        seeds = 0
    if not seeds:
        return {"cost_save": None, "saver_difference": None, "saver_seeds": 0}
    return {
        "cost_save": evidence.saving(key),
        "saver_difference": evidence.accuracy(minus, key, evidence.base),
        "saver_seeds": seeds,
    }


def _hindsight(evidence: Evidence, points: tuple[Point, ...], key: Key) -> dict[str, Any]:
    """The paper's numbers: operating points chosen on seed-averaged test numbers, over all of them."""
    if key[0] == "router":
        sweep = evidence.played.points[key[1]]
        acc, usd = sweep.acc, sweep.cost
    else:
        acc, usd = evidence.acc[[evidence.at[key]]], evidence.usd[[evidence.at[key]]]
    base = evidence.at[evidence.base]
    mine, theirs = like_for_like(acc, evidence.acc[base])
    both = np.isfinite(mine)
    own, bases = np.where(both, usd, 0.0).sum(axis=1), np.where(both, evidence.usd[base], 0.0).sum(axis=1)
    ratio = np.divide(avg_acc(mine), avg_acc(theirs), out=np.full(len(acc), np.nan), where=avg_acc(theirs) > 0)
    share = np.divide(own, bases, out=np.full(len(acc), np.nan), where=bases > 0)
    placed = [(p.avg_acc, p.cost) for p in points if (p.kind, p.name) == key]
    everything = np.array([(p.avg_acc, p.cost) for p in points]).reshape(-1, 2)
    own_points = np.array(placed).reshape(-1, 2)
    return {
        "hindsight_perf_gain": perf_gain(ratio, 1.0),
        "hindsight_cost_save": cost_save(ratio, share, 1.0, 1.0),
        "pareto_dist": pareto_dist(*own_points.T, *everything.T),
        "points": len(acc),
    }


def _points(evidence: Evidence, models: tuple[str, ...]) -> tuple[Point, ...]:
    """Single models and all operating points that have every dataset and a known cost: the Pareto set."""
    played, found = evidence.played, []
    for model in models:
        i = evidence.at["model", model]
        found.append((model, "model", 0, float("nan"), evidence.acc[i], evidence.usd[i]))
    for router, sweep in played.points.items():
        rows = zip(sweep.weights.tolist(), sweep.acc, sweep.cost, strict=True)
        found += [(router, "router", i, weight, acc, usd) for i, (weight, acc, usd) in enumerate(rows)]
    found = [point for point in found if np.isfinite(point[4]).all() and np.isfinite(point[5]).all()]
    acc, cost = [float(avg_acc(p[4])) for p in found], [float(p[5].sum()) for p in found]
    frontier = pareto_frontier(acc, cost).tolist()
    return tuple(
        Point(name, "router" if kind == "router" else "model", index, weight, acc[i], cost[i], frontier[i])
        for i, (name, kind, index, weight, _, _) in enumerate(found)
    )


def _facts(runs: Runs, played: Replay, samples: int, seed: int, ties_win: bool) -> dict[str, Any]:
    record = to_record(runs.rules, runs.made)
    own = (
        "setting",
        "split",
        "validation_share",
        "embedder",
        "routers",
        "data_hash",
        "versions",
        "protocol",
        "reference",
    )
    return {
        **{name: record[name] for name in own},
        "seeds": runs.seeds,
        "seeds_left_out": runs.seeds_left_out,
        "source": runs.outcomes.source,
        "queries": len(runs.outcomes),
        "models": list(runs.outcomes.pool.models),
        "test_queries": [len(sample.dataset) for sample in played.samples],
        "samples": samples,
        "bootstrap_seed": seed,
        "ties_win": ties_win,
        "missing": [list(pair) for pair in runs.missing],
    }
