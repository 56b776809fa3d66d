"""Is routing worth it here? Headroom, models nobody needs, labelled queries needed, and one recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from llmrouterbench.benching.deciding import decide
from llmrouterbench.benching.folder import Decisions, Made, Part, Runs, Served
from llmrouterbench.benching.replay import replay
from llmrouterbench.embedders.tfidf import TfidfSvd
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.metrics import dataset_means, dataset_oracle_choice
from llmrouterbench.routers import make_router, parse_router
from llmrouterbench.splits import Split, make_split, near_duplicate_groups
from llmrouterbench.stats import Interval
from llmrouterbench.studies.evidence import Evidence, minus, weigh
from llmrouterbench.studies.headroom import Headroom, Needless, headroom, needless_models
from llmrouterbench.studies.learning import Choices, Learning, learned_choices, learning_curves, sizes
from llmrouterbench.table import IntArray, Outcomes
from llmrouterbench.worth import train_best_single

CANDIDATES = ("task_soft", "gated:router=knn")
"""Routers that are tried, in this order; the first that clears the bar is recommended."""
SEEDS, QUICK_SEEDS = (42, 999, 2024), (42,)
SINGLE, BY_TASK = "best_single", "by_task"
WORTH_GAIN, WORTH_SAVING, TOLERANCE = 0.005, 0.05, 0.01
"""AvgAcc and share of the bill that make a router worth its upkeep; AvgAcc that a saving may cost at the low end."""
VALIDATION = 0.2
Action = Literal["do not route", "route by task", "route for quality", "route to save"]


@dataclass(frozen=True)
class Candidate:
    """A way to route, measured on the test splits; trade-offs are chosen on validation.

    gain         AvgAcc minus that of the model that is best on train, at the most accurate setting
    saving       1 - cost / cost of the best single model, at the cheapest setting that reaches it on validation;
                 None where costs are not known or no seed has such a setting
    saving_loss  AvgAcc at that setting minus the best single model's
    """

    router: str
    gain: Interval
    saving: Interval | None
    saving_loss: Interval | None

    @property
    def gains(self) -> bool:
        """Whether quality certainly rises, by an amount worth having."""
        return self.gain.low > 0.0 and self.gain.value >= WORTH_GAIN

    @property
    def saves(self) -> bool:
        """Whether cost certainly falls, by an amount worth having, without a loss of quality beyond the tolerance."""
        if self.saving is None or self.saving_loss is None:
            return False
        return self.saving.low > 0 and self.saving.value >= WORTH_SAVING and self.saving_loss.low >= -TOLERANCE


@dataclass(frozen=True)
class Advice:
    """Everything `advise` says.

    because   the numbers that decide, in sentences
    by_task   a table from the known task (dataset) to the model that is best on it in train: it predicts nothing
    learning  curves over the number of labelled queries; () when quick
    """

    action: Action
    router: str | None
    because: tuple[str, ...]
    headroom: Headroom
    needless: tuple[Needless, ...]
    by_task: Candidate
    candidates: tuple[Candidate, ...]
    learning: tuple[Learning, ...]
    queries: int
    simulated: bool

    @property
    def sentence(self) -> str:
        """The recommendation in plain words."""
        return {
            "do not route": f"Do not route: serve {self.headroom.best} to everyone.",
            "route by task": "Route by task: where you know the task of a query, serve the model that is best on it.",
            "route for quality": f"Route with {self.router}, for quality.",
            "route to save": f"Route with {self.router}, to save cost at equal quality.",
        }[self.action]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"recommendation": self.sentence, **asdict(self)}


def advise(outcomes: Outcomes, *, quick: bool = False, replicates: int = 1000, jobs: int = 2) -> Advice:
    """Study outcomes and recommend; `quick` takes one seed, fewer draws and no learning curve.

    Raises ValueError where nothing was measured or there are too few queries to split.
    """
    pool = outcomes.pool
    seeds = QUICK_SEEDS if quick else SEEDS
    replicates = min(replicates, 200) if quick else replicates
    room = headroom(pool, replicates=replicates)
    grouped = replace(pool, group=near_duplicate_groups(pool))
    trials = _trials(grouped, seeds, quick, jobs)
    evidence = _evidence(grouped, trials, replicates)
    by_task = _candidate(evidence, BY_TASK)
    candidates = tuple(_candidate(evidence, name) for name in CANDIDATES)
    action, router, because = _recommend(evidence, room, by_task, candidates, len(pool))
    learned = {trial.seed: (trial.split, trial.learned) for trial in trials}
    return Advice(
        action,
        router,
        because,
        room,
        needless_models(pool, replicates=replicates),
        by_task,
        candidates,
        () if quick else learning_curves(grouped, learned, replicates=replicates),
        len(pool),
        outcomes.simulated,
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


def _evidence(pool: Outcomes, trials: Sequence[_Trial], replicates: int) -> Evidence:
    """The leaderboard's numbers of the trials: runs that were never written to disk."""
    labels = [SINGLE, BY_TASK, *CANDIDATES]
    splits = {trial.seed: trial.split for trial in trials}
    decisions = {(label, trial.seed): trial.decisions[label] for trial in trials for label in labels}
    played = replay(Runs(pool, splits, decisions, Made.of(labels, splits)), pool)
    return weigh(played, pool.models[played.base], ("router", SINGLE), replicates, 0)


def _candidate(evidence: Evidence, name: str) -> Candidate:
    gain, saver = evidence.accuracy(minus, ("router", name), evidence.baseline), ("saver", name)
    saving = evidence.saving(saver)
    if len(evidence.played.points[name].weights) == 1 or not evidence.played.saver_seeds[name]:
        return Candidate(name, gain, None, None)
    return Candidate(name, gain, saving, evidence.accuracy(minus, saver, evidence.base))


def _recommend(
    evidence: Evidence, room: Headroom, by_task: Candidate, candidates: Sequence[Candidate], queries: int
) -> tuple[Action, str | None, tuple[str, ...]]:
    """The action, the router, and why."""
    facts = [
        f"{room.best} alone has an AvgAcc of {_percent(room.single)}; an oracle would have {_percent(room.oracle)}.",
        *(_gain_fact(one) for one in (by_task, *candidates)),
        *(fact for one in candidates for fact in _saving_fact(one)),
    ]
    gainer = next((one for one in candidates if one.gains), None)
    table_wins = gainer is None or evidence.accuracy(minus, ("router", BY_TASK), ("router", gainer.router)).low > 0
    if by_task.gains and table_wins:
        return "route by task", None, (*facts, "The table by task gains certainly, and no router here does better.")
    if gainer is not None:
        return "route for quality", gainer.router, (*facts, f"{gainer.router} gains certainly on unseen queries.")
    saver = next((one for one in candidates if one.saves), None)
    if saver is not None:
        return "route to save", saver.router, (*facts, f"{saver.router} saves certainly, at equal quality.")
    bar = f"a certain gain of {100 * WORTH_GAIN:g} points or a certain saving of {100 * WORTH_SAVING:g} %"
    no = f"No way to route shows {bar} with no more than a point of quality lost."
    return "do not route", None, (*facts, no, *_open_fact(candidates, queries))


def _gain_fact(one: Candidate) -> str:
    who = "A table by task" if one.router == BY_TASK else one.router
    return f"{who} gains {_points(one.gain)} points over the best single model of train."


def _saving_fact(one: Candidate) -> list[str]:
    if one.saving is None or one.saving_loss is None:
        return []
    saved = f"{100 * one.saving.value:.1f} % [{100 * one.saving.low:.1f}, {100 * one.saving.high:.1f}]"
    return [
        f"{one.router} at equal quality on validation saves {saved}, and AvgAcc moves by {_points(one.saving_loss)}."
    ]


def _open_fact(candidates: Sequence[Candidate], queries: int) -> list[str]:
    """What more data could tell: queries at which a gain of this size would be certain, as errors fall with sqrt(n)."""
    best = max(candidates, key=lambda one: one.gain.value)
    if best.gain.value < WORTH_GAIN or not np.isfinite(best.gain.low):
        return []
    needed = queries * ((best.gain.value - best.gain.low) / best.gain.value) ** 2
    return [
        f"{best.router} may still gain {_points(best.gain)} points; it would take about {_rounded(needed):,} labelled"
        f" queries instead of {queries:,} to make a gain of this size certain."
    ]


def _rounded(number: float) -> int:
    """Up to two digits.

    >>> _rounded(1234.5)
    1300
    """
    unit: int = 10 ** max(0, len(str(int(number))) - 2)
    return int(-(-number // unit)) * unit


def _percent(number: Interval) -> str:
    return f"{100 * number.value:.1f} % [{100 * number.low:.1f}, {100 * number.high:.1f}]"


def _points(number: Interval) -> str:
    return f"{100 * number.value:+.1f} [{100 * number.low:+.1f}, {100 * number.high:+.1f}]"
