"""The leaderboard: every number of a folder of runs, with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
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
from llmrouterbench.coverage import cannot_tell, coverage_of, in_order
from llmrouterbench.estimating.pseudo import says_propensities
from llmrouterbench.metrics import (
    avg_acc,
    best_single,
    cost_save,
    difference,
    excess,
    gain,
    gap,
    known_mean,
    like_for_like,
    oracle_gap_recovered,
    pareto_dist,
    pareto_frontier,
    perf_gain,
    reaches,
    ties_as_wins,
)
from llmrouterbench.naming import did_you_mean
from llmrouterbench.reporting.board import Leaderboard, Point
from llmrouterbench.reporting.columns import Row, RowKind
from llmrouterbench.reporting.notes import notes
from llmrouterbench.stats import (
    UNKNOWN_NUMBER,
    Interval,
    Judgement,
    Paired,
    detectable,
    judged,
    pair,
    sample_means,
    seed_summary,
)
from llmrouterbench.studies.peaks import peaks_on_test
from llmrouterbench.studies.verdict import verdict
from llmrouterbench.table import BoolArray, FloatArray


def leaderboard(
    runs: Runs, *, samples: int = 1000, seed: int = 0, ties_win: bool = False, baseline: str | None = None
) -> Leaderboard:
    """Compute every number from stored decisions, without fitting anything.

    `samples` bootstrap replicates with random `seed`. `ties_win` counts every positive score as 1, the paper's reading
    of ArenaHard's ties in its oracle. `baseline` is the router that differences are against: best_single when not
    given, Best Single where that was not run. A router that lacks a seed is left out and named in the notes.

    Of logged data (one model a query) all is estimated, and oracles are unknown.

    Raises ValueError for a baseline that is no complete router of the runs, and for `ties_win` of logged data.
    """
    if ties_win and runs.judges:
        raise ValueError(cannot_tell("what counts as a win among replies that were not measured"))
    outcomes = replace(runs.outcomes, score=ties_as_wins(runs.outcomes.score)) if ties_win else runs.outcomes
    played = _credible(replay(runs, outcomes))
    base: Key = ("model", outcomes.models[played.base])
    rule = runs.rules.present.intervals or "t"
    paired = pair(played.samples, replicates=samples, seed=seed, rule=rule)
    evidence = _Evidence(played, base, _baseline(runs, baseline) or base, paired)
    points = _points(evidence, outcomes.pool.models)
    peaks = peaks_on_test(runs, outcomes) if runs.rules.protocol == "paper" else {}
    spans = paired.ranks([evidence.at(("router", name)) for name in played.points])
    routers = [
        replace(
            _row(evidence, points, "router", name, ("router", name)),
            peak_on_test=peaks.get(name),
            rank=span[0],
            worst_rank=span[1],
        )
        for name, span in zip(played.points, spans, strict=True)
    ]
    references = [_row(evidence, points, "reference", name, key) for name, key in _references(evidence)]
    models = [_row(evidence, points, "model", name, ("model", name)) for name in outcomes.pool.models]
    rows = (*sorted(routers, key=_rank), *references, *sorted(models, key=_rank))
    board = Leaderboard(
        title=f"Leaderboard: {runs.rules.setting or runs.outcomes.name}",
        rows=rows,
        points=points,
        datasets=played.datasets,
        baseline=evidence.baseline_name,
        base=evidence.base[1],
        priced=bool(np.isfinite(outcomes.cost).any()),
        simulated=bool(outcomes.simulated or runs.made.simulated),
        notes=(),
        facts=_facts(runs, played, samples, seed, ties_win),
        verdict=verdict(runs, outcomes, samples=samples, seed=seed, rule=rule),
    )
    return replace(board, notes=tuple(notes(board, runs)))


def _credible(played: Replay) -> Replay:
    """The same; a reference that missing cells put on the wrong side of what it bounds is not known.

    On average, and on every dataset: neither the mean of the models nor the best of them is above the dataset oracle,
    nor that above the oracle.
    """
    names = (RANDOM, DATASET_ORACLE_PAPER, DATASET_ORACLE, ORACLE)
    acc = known_mean(np.array([sample_means(sample, played.datasets)[0] for sample in played.samples]), axis=0)
    models = acc[[i for i, (kind, _) in enumerate(played.keys) if kind == "model"]]
    references = acc[[played.keys.index(("reference", name)) for name in names]]
    known = _in_order(avg_acc(references), avg_acc(models[best_single(models.T)]))
    for i, best in enumerate(np.fmax.reduce(models)):
        known &= _in_order(references[:, i], best)
    gone = [played.keys.index(("reference", name)) for name, one in zip(names, known, strict=True) if not one]
    if not gone:
        return played
    samples = [replace(sample, score=sample.score.copy()) for sample in played.samples]
    for sample in samples:
        sample.score[:, gone] = np.nan
    return replace(played, samples=tuple(samples))


def _in_order(references: FloatArray, single: FloatArray) -> BoolArray:
    """Which of Random, both Dataset Oracles and the Oracle (4,) can be true beside a single model."""
    random, paper, own, oracle = references.tolist()
    mean, _, by_task, top = in_order(random, float(single), own, oracle)
    found = [mean, in_order(mean, float(single), paper, top)[2], by_task, top]
    return np.isfinite(found) | np.isnan(references)


@dataclass(frozen=True)
class _Evidence:
    """The replayed columns by key; `base` is Best Single, `baseline` what differences are against."""

    played: Replay
    base: Key
    baseline: Key
    paired: Paired

    def at(self, key: Key) -> int:
        """The column of a key."""
        return self.played.keys.index(key)

    def of(self, metric: Callable[..., FloatArray], *keys: Key) -> Interval:
        """A metric of the accuracies of some columns."""
        return self.paired.number(metric, *map(self.at, keys))

    def of_datasets(self, metric: Callable[..., FloatArray], *keys: Key) -> Interval:
        """A metric that divides on every dataset; unknown where a log knows too little of one."""
        known = self.paired.trials is None or all(
            np.isfinite(self.paired.by_dataset(self.at(key))).all() for key in keys
        )
        return self.of(metric, *keys) if known else UNKNOWN_NUMBER

    @cached_property
    def together(self) -> dict[Key, Interval]:
        """AvgAcc minus the baseline's of every row, with intervals that hold for all of them at once."""
        rows = [key for key in self.played.keys if key[0] in ("router", "model", "reference")]
        found = self.paired.differences([(self.at(key), self.at(self.baseline)) for key in rows])
        return dict(zip(rows, found, strict=True))

    @property
    def baseline_name(self) -> str:
        """The name of the row that differences are against."""
        return self.baseline[1] if self.baseline[0] == "router" else "Best Single"


def _rank(row: Row) -> tuple[float, str]:
    return (-row.avg_acc.value if np.isfinite(row.avg_acc.value) else np.inf, row.name)


def _baseline(runs: Runs, name: str | None) -> Key | None:
    routers = complete_routers(runs)
    if name is not None and name not in routers:
        raise ValueError(f"the baseline must be a router of these runs, got {name!r}{did_you_mean(name, routers)}")
    name = name or "best_single"
    return ("router", name) if name in routers else None


def _references(evidence: _Evidence) -> list[tuple[str, Key]]:
    names = (RANDOM, DATASET_ORACLE_PAPER, DATASET_ORACLE, ORACLE)
    rows: list[tuple[str, Key]] = [(name, ("reference", name)) for name in names]
    return [rows[0], ("Best Single", evidence.base), *rows[1:]]


def _row(evidence: _Evidence, points: tuple[Point, ...], kind: RowKind, name: str, key: Key) -> Row:
    random, oracle = ("reference", RANDOM), ("reference", ORACLE)
    paired, column = evidence.paired, evidence.at(key)
    against_baseline = evidence.of(difference, key, evidence.baseline)
    together = evidence.together[key]
    sure = against_baseline if paired.draws.rule == "percentile" else together
    return Row(
        name=name,
        kind=kind,
        rank=None,
        worst_rank=None,
        together=together,
        detectable=math.nan if key == evidence.baseline else detectable(sure),
        avg_acc=paired.accuracy(column),
        avg_acc_std=seed_summary(avg_acc(paired.acc_by_seed[:, column]))[1],
        difference=against_baseline,
        verdict="" if key == evidence.baseline else against(sure, evidence.baseline_name),
        gain_r=evidence.of_datasets(gain, key, random),
        gain_b=evidence.of_datasets(gain, key, evidence.base),
        gap_o=evidence.of(gap, key, oracle),
        recovered=evidence.of(oracle_gap_recovered, key, evidence.base, oracle),
        cost=paired.cost(column),
        perf_gain=evidence.of(excess, key, evidence.base),
        quality_end=_quality_end(evidence.played, key),
        point_error=evidence.played.point_error.get(key[1], math.nan) if key[0] == "router" else math.nan,
        **_billed(evidence, key),
        **_saver(evidence, key),
        **_hindsight(evidence, points, key),
        unmeasured=sum(int((~np.isfinite(s.score[:, column])).sum()) for s in evidence.played.samples),
        unknown_cost=sum(int((~np.isfinite(s.cost[:, column])).sum()) for s in evidence.played.samples),
        accuracy=tuple(paired.by_dataset(column).tolist()),
        usd=tuple(paired.usd[column].tolist()),
    )


_AGAINST: dict[Judgement, str] = {
    "better": "better than",
    "worse": "worse than",
    "noise": "not distinguishable from",
    "the same": "the same as",
    "too few": "too few queries to compare with",
    "not comparable": "not comparable with",
}


def against(one: Interval, baseline: str) -> str:
    """A difference in words.

    >>> against(Interval(0.01, -0.01, 0.02), "best_single")
    'not distinguishable from best_single'
    """
    return f"{_AGAINST[judged(one)]} {baseline}"


def _quality_end(played: Replay, key: Key) -> float:
    """AvgAcc of a router with a dial where cost is ignored."""
    if key[0] != "router" or len(played.points[key[1]].weights) == 1:
        return float("nan")
    return float(avg_acc(played.points[key[1]].acc[played.quality[key[1]]]))


def _billed(evidence: _Evidence, key: Key) -> dict[str, Any]:
    """AvgAcc against Best Single, and CostSave, at the best point for half of its cost."""
    at = ("billed", key[1])
    lead = None if key[0] != "router" else evidence.of(difference, at, evidence.base)
    if lead is None or not np.isfinite(lead.value):
        return {"half_difference": None, "half_save": None}
    return {"half_difference": lead, "half_save": evidence.paired.saving(evidence.at(at), evidence.at(evidence.base))}


def _saver(evidence: _Evidence, key: Key) -> dict[str, Any]:
    """CostSave: of the point chosen on validation, or of the only point if it reaches the base on test."""
    played = evidence.played
    seeds = len(played.samples)
    if key[0] == "router" and len(played.points[key[1]].weights) > 1:
        key, seeds = ("saver", key[1]), played.saver_seeds[key[1]]
    elif not reaches(evidence.of(difference, key, evidence.base).value, 0.0):
        seeds = 0
    if not seeds:
        return {"cost_save": None, "saver_difference": None, "saver_seeds": 0}
    return {
        "cost_save": evidence.paired.saving(evidence.at(key), evidence.at(evidence.base)),
        "saver_difference": evidence.of(difference, key, evidence.base),
        "saver_seeds": seeds,
    }


def _hindsight(evidence: _Evidence, points: tuple[Point, ...], key: Key) -> dict[str, Any]:
    """The paper's numbers: operating points chosen on seed-averaged test numbers, over all of them."""
    paired, base = evidence.paired, evidence.at(evidence.base)
    if key[0] == "router":
        sweep = evidence.played.points[key[1]]
        acc, usd = sweep.acc, sweep.cost
    else:
        acc, usd = paired.acc[[evidence.at(key)]], paired.usd[[evidence.at(key)]]
    mine, theirs = like_for_like(acc, paired.acc[base])
    both = np.isfinite(mine)
    own, bases = np.where(both, usd, 0.0).sum(axis=1), np.where(both, paired.usd[base], 0.0).sum(axis=1)
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


def _points(evidence: _Evidence, models: tuple[str, ...]) -> tuple[Point, ...]:
    """Single models and all operating points that have every dataset and a known cost: the Pareto set."""
    played, paired, found = evidence.played, evidence.paired, []
    for model in models:
        i = evidence.at(("model", model))
        found.append((model, "model", 0, float("nan"), paired.acc[i], paired.usd[i]))
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
        "router_seed": runs.rules.present.router_seed,
        "points": runs.rules.present.points,
        "intervals": runs.rules.present.intervals,
        "seeds": runs.seeds,
        "seeds_left_out": runs.seeds_left_out,
        "source": runs.outcomes.source,
        "data": runs.made.data,
        "queries": len(runs.outcomes),
        "models": list(runs.outcomes.pool.models),
        "test_queries": [len(sample.dataset) for sample in played.samples],
        "samples": samples,
        "bootstrap_seed": seed,
        "ties_win": ties_win,
        "missing": [list(pair) for pair in runs.missing],
        **({"log": _log_facts(runs)} if runs.judges else {}),
    }


def _log_facts(runs: Runs) -> dict[str, Any]:
    """What kind of log it is, and whether it says its propensities."""
    return {**coverage_of(runs.outcomes).to_dict(), "propensities": says_propensities(runs.outcomes)}
