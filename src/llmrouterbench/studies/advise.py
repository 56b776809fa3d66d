"""Is routing worth it here? Headroom, models nobody needs, labelled queries needed, and one recommendation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from llmrouterbench.benching.deciding import decide
from llmrouterbench.benching.folder import Decisions, Made, Part, Runs, Served
from llmrouterbench.benching.replay import Key, Replay, replay
from llmrouterbench.benching.rules import Rules
from llmrouterbench.coverage import coverage_of, need_matrix
from llmrouterbench.embedders.tfidf import TfidfSvd
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.estimating.tables import embedded_log
from llmrouterbench.metrics import dataset_means, dataset_oracle_choice
from llmrouterbench.routers import make_router, parse_router
from llmrouterbench.routers.agreement import lowest_bill
from llmrouterbench.shown import Shown
from llmrouterbench.splits import Split, make_split, with_near_copies
from llmrouterbench.stats import Interval, Paired, pair
from llmrouterbench.studies.headroom import Headroom, Needless, headroom, needless_models
from llmrouterbench.studies.learning import Choices, Learning, learned_choices, learning_curves, sizes
from llmrouterbench.studies.log_advice import BY_TASK, LogAdvice, advise_log
from llmrouterbench.studies.swaps import Lacking, Swap, find_swap, lacking_models
from llmrouterbench.studies.verdict import MUCH, Verdict, ceiling, verdict
from llmrouterbench.table import IntArray, Outcomes
from llmrouterbench.worth import train_best_single

CANDIDATES = ("task_soft", "gated:router=knn")
"""Routers that are tried, in this order; the first that clears the bar is recommended."""
SEEDS, QUICK_SEEDS = (42, 999, 2024), (42,)
SINGLE = "best_single"
WORTH_GAIN, WORTH_SAVING, TOLERANCE = 0.005, 0.05, 0.01
"""AvgAcc and share of the bill that make a router worth its upkeep; AvgAcc that a saving may cost at the low end."""
VALIDATION = 0.2
_ONE_SPLIT = 1.0 / 0.7
"""Variance of a gain on one split over what its test queries show: the fit varies with the other 70 % of them."""
_POWER = ((1.959964 + 0.841621) / 1.959964) ** 2
"""Queries for a power of 80 %, over those at which the expected interval just excludes 0."""
Action = Literal[
    "cannot tell",
    "do not route",
    "swap the model",
    "route by task",
    "route for quality",
    "route for quality and cost",
    "route to save",
]


@dataclass(frozen=True)
class Candidate:
    """A way to route, measured on the test splits; trade-offs are chosen on validation.

    gain         AvgAcc minus that of the model that is best on train, at the most accurate setting
    saving       1 - cost / cost of the best single model, at the cheapest setting that reaches it on validation;
                 None where costs are not known or no seed has such a setting
    saving_loss  AvgAcc at that setting minus the best single model's
    bill         1 - cost / cost of the best single model at the most accurate setting; None where costs are not known
    """

    router: str
    gain: Interval
    saving: Interval | None
    saving_loss: Interval | None
    bill: Interval | None = None

    @property
    def gains(self) -> bool:
        """Whether quality certainly rises, by an amount worth having."""
        return self.gain.low > 0.0 and self.gain.value >= WORTH_GAIN

    @property
    def may_gain(self) -> bool:
        """Whether quality rises by an amount worth having, but not certainly."""
        return self.gain.low <= 0.0 and self.gain.value >= WORTH_GAIN

    @property
    def pays_twice(self) -> bool:
        """Whether the setting that gains certainly costs less too, by an amount worth having."""
        return self.gains and self.bill is not None and self.bill.low > 0.0 and self.bill.value >= WORTH_SAVING

    def queries_to_be_sure(self, studied: int) -> float:
        """Queries at which such a gain is certain in 80 of 100 studies; errors fall with sqrt(n). NaN: none."""
        if not self.gain.value >= WORTH_GAIN or not np.isfinite(self.gain.low):
            return float("nan")
        return float(_POWER * studied * ((self.gain.value - self.gain.low) / self.gain.value) ** 2)

    @property
    def saves(self) -> bool:
        """Whether cost certainly falls, by an amount worth having, without a loss of quality beyond the tolerance."""
        if self.saving is None or self.saving_loss is None:
            return False
        return self.saving.low > 0 and self.saving.value >= WORTH_SAVING and self.saving_loss.low >= -TOLERANCE


@dataclass(frozen=True, repr=False)
class Advice(Shown):
    """Everything `advise` says.

    by_task   a table from the known task (dataset) to the model that is best on it in train: it predicts nothing
    learning  curves over the number of labelled queries; () when quick
    swap      a cheaper model to serve everybody; None where there is none
    lacking   models whose missing scores are not missing at random
    offers    what losing some accuracy would save, with these routers; None of a log
    seeds     splits that were studied; with one the intervals are widened for the fit that they do not show
    bills     by dataset, what reading cheap replies first costs at least, as a share of the best single model's bill
    """

    words: ClassVar[str] = "reporting.advice:advice_lines"

    action: Action
    router: str | None
    headroom: Headroom
    needless: tuple[Needless, ...]
    by_task: Candidate
    candidates: tuple[Candidate, ...]
    learning: tuple[Learning, ...]
    queries: int
    simulated: bool
    swap: Swap | None = None
    lacking: tuple[Lacking, ...] = ()
    seeds: int = len(SEEDS)
    offers: Verdict | None = None
    bills: Mapping[str, float] = field(default_factory=dict)


def recommend(outcomes: Outcomes, *, quick: bool = False) -> Advice | LogAdvice:
    """The advice that the data allow: a log, and a pool of one model, have advice of their own. Errors as `advise`."""
    pool = outcomes.pool
    if len(pool.models) > 1 and coverage_of(pool).matrix:
        return advise(outcomes, quick=quick)
    return advise_log(embedded_log(pool), CANDIDATES, WORTH_GAIN)


def advise(outcomes: Outcomes, *, quick: bool = False, replicates: int = 1000, jobs: int = 2) -> Advice:
    """Study outcomes and recommend; `quick` takes one seed, fewer draws and no learning curve.

    Raises ValueError for logged data, where nothing was measured, or where there are too few queries to split.
    """
    need_matrix(outcomes, "whether routing is worth it")
    pool = outcomes.pool
    seeds = QUICK_SEEDS if quick else SEEDS
    replicates = min(replicates, 200) if quick else replicates
    room = headroom(pool, replicates=replicates)
    grouped = with_near_copies(pool)
    trials = _trials(grouped, seeds, quick, jobs)
    evidence = _Evidence.of(grouped, trials, replicates)
    by_task = evidence.candidate(BY_TASK)
    candidates = tuple(map(evidence.candidate, CANDIDATES))
    swap = find_swap(pool, replicates=replicates)
    action, router = _recommend(evidence, by_task, candidates, swap)
    offers = verdict(evidence.runs, grouped, samples=replicates)
    told = ceiling(pool, room.best) <= MUCH if offers is None else offers.told and offers.unsettled is None
    if action == "do not route" and (not told or any(one.may_gain for one in (by_task, *candidates))):
        action = "cannot tell"
    learned = {trial.seed: (trial.split, trial.learned) for trial in trials}
    return Advice(
        action,
        router,
        room,
        needless_models(pool, replicates=replicates),
        by_task,
        candidates,
        () if quick else learning_curves(grouped, learned, replicates=replicates),
        len(pool),
        outcomes.simulated,
        swap,
        lacking_models(pool),
        len(seeds),
        offers,
        lowest_bill(pool),
    )


@dataclass(frozen=True)
class _Trial:
    """What one seed gave."""

    seed: int
    split: Split
    decisions: dict[str, Decisions]
    learned: Choices


def _trials(pool: Outcomes, seeds: Sequence[int], quick: bool, jobs: int) -> list[_Trial]:
    from joblib import Parallel, delayed

    # Near-copies share a group here, so that the paper's recipe gives the safe split without searching them again.
    splits = {seed: make_split(pool, seed, kind="paper") for seed in seeds}
    steps = [] if quick else sizes(min(len(split.train) for split in splits.values()))
    calls = (delayed(_trial)(pool, seed, split, steps) for seed, split in splits.items())
    return list(Parallel(n_jobs=min(jobs, len(seeds)))(calls))


def _trial(pool: Outcomes, seed: int, split: Split, steps: Sequence[int]) -> _Trial:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        embedded = pool.with_embedding(embed_queries(pool, TfidfSvd(), split.train)[0])
        decisions = {BY_TASK: _by_task(pool, split, seed)}
        for label in (SINGLE, *CANDIDATES):
            name, settings = parse_router(label)
            decisions[label] = decide(embedded, split, make_router(name, **settings), VALIDATION, seed)
        return _Trial(seed, split, decisions, learned_choices(embedded, split, seed, steps))


def _by_task(pool: Outcomes, split: Split, seed: int) -> Decisions:
    """Serve each dataset, known by name, the model that is best on it in train."""
    train = pool.take(split.train)
    best = dataset_oracle_choice(dataset_means(train.score, train.dataset, pool.datasets))
    best = np.where(best >= 0, best, train_best_single(train))
    choice = best[np.searchsorted(np.array(pool.datasets), pool.dataset[split.test])]
    nothing: IntArray = np.zeros(0, dtype=np.int64)
    parts: dict[Part, Served] = {
        "validation": Served.single(nothing, nothing[None]),
        "test": Served.single(split.test, choice[None]),
    }
    return Decisions(BY_TASK, seed, np.zeros(1), parts)


@dataclass(frozen=True)
class _Evidence:
    """The leaderboard's numbers of the trials: runs that were never written to disk."""

    runs: Runs
    played: Replay
    paired: Paired
    base: Key

    @classmethod
    def of(cls, pool: Outcomes, trials: Sequence[_Trial], replicates: int) -> _Evidence:
        labels = [SINGLE, BY_TASK, *CANDIDATES]
        splits = {trial.seed: trial.split for trial in trials}
        decisions = {(label, trial.seed): trial.decisions[label] for trial in trials for label in labels}
        runs = Runs(pool, splits, decisions, Made.of(labels, splits), Rules(points="validation"))
        played = replay(runs, pool)
        return cls(runs, played, pair(played.samples, replicates=replicates), ("model", pool.models[played.base]))

    def difference(self, key: Key, base: Key) -> Interval:
        """AvgAcc of one column minus another's."""
        return self._of_all(self.paired.difference(self.played.keys.index(key), self.played.keys.index(base)))

    def _of_all(self, one: Interval) -> Interval:
        """The same interval; of one split for other splits too."""
        wide = math.sqrt(_ONE_SPLIT) if len(self.played.samples) == 1 else 1.0
        return Interval(one.value, one.value - wide * (one.value - one.low), one.value + wide * (one.high - one.value))

    def candidate(self, name: str) -> Candidate:
        """A way to route against the best single model of train, and what it saves at equal quality."""
        gain, saver = self.difference(("router", name), ("router", SINGLE)), ("saver", name)
        bill = self._saving(("router", name))
        if len(self.played.points[name].weights) == 1 or not self.played.saver_seeds[name]:
            return Candidate(name, gain, None, None, bill)
        return Candidate(name, gain, self._saving(saver), self.difference(saver, self.base), bill)

    def _saving(self, key: Key) -> Interval | None:
        """CostSave of a column against the best single model; None where a cost is not known."""
        one = self._of_all(self.paired.saving(*map(self.played.keys.index, (key, self.base))))
        return one if math.isfinite(one.value) else None


def _recommend(
    evidence: _Evidence, by_task: Candidate, candidates: Sequence[Candidate], swap: Swap | None
) -> tuple[Action, str | None]:
    """The action and the router: quality before cost, a table by task or another model before a router no better."""
    gainer = next((one for one in candidates if one.gains), None)
    if by_task.gains and (
        gainer is None or evidence.difference(("router", BY_TASK), ("router", gainer.router)).low > 0
    ):
        return "route by task", None
    if gainer is not None:
        return "route for quality and cost" if gainer.pays_twice else "route for quality", gainer.router
    saver = next((one for one in candidates if one.saves), None)
    least = saver.saving.value if saver and saver.saving else 0.0
    if swap and swap.sure and swap.saving.value >= least:
        return "swap the model", None
    return ("route to save", saver.router) if saver else ("do not route", None)
