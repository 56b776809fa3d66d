"""Is routing worth it here? The verdict of a bench, headroom, models nobody needs, and labelled queries needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np

from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.replay import replay
from llmrouterbench.coverage import coverage_of, need_matrix
from llmrouterbench.embedders.tfidf import TfidfSvd
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.estimating.tables import embedded_log
from llmrouterbench.routers.agreement import lowest_bill
from llmrouterbench.shown import Shown
from llmrouterbench.splits import Split
from llmrouterbench.stats import Interval, pair
from llmrouterbench.studies.headroom import Headroom, Needless, headroom, needless_models
from llmrouterbench.studies.learning import Choices, Learning, learned_choices, learning_curves, sizes
from llmrouterbench.studies.log_advice import LogAdvice, advise_log
from llmrouterbench.studies.swaps import Lacking, lacking_models
from llmrouterbench.studies.verdict import WORTH_GAIN, Action, Offer, Verdict, elsewhere, verdict
from llmrouterbench.table import Outcomes

CANDIDATES = ("task_soft", "gated:router=knn")
"""Routers that are tried."""
SINGLE = "best_single"
SEEDS, QUICK_SEEDS = (42, 999, 2024), (42,)
_POWER = ((1.959964 + 0.841621) / 1.959964) ** 2
"""Queries for a power of 80 %, over those at which the expected interval just excludes 0."""


@dataclass(frozen=True)
class Candidate:
    """A router, and its AvgAcc minus that of the model that is best on train, at the point it is chosen to stand at."""

    router: str
    gain: Interval

    def queries_to_be_sure(self, studied: int) -> float:
        """Queries at which such a gain is certain in 80 of 100 studies; errors fall with sqrt(n). NaN: none."""
        if not self.gain.value >= WORTH_GAIN or not np.isfinite(self.gain.low):
            return float("nan")
        return float(_POWER * studied * ((self.gain.value - self.gain.low) / self.gain.value) ** 2)


@dataclass(frozen=True, repr=False)
class Advice(Shown):
    """Everything `advise` says.

    verdict   that of a bench of these routers on these splits; None where no query could be held out of train
    learning  curves over the number of labelled queries; () when quick
    lacking   models whose missing scores are not missing at random
    seeds     splits that were studied; with one the intervals are widened for the fit that they do not show
    bills     by dataset, what reading cheap replies first costs at least, as a share of the best single model's bill
    """

    words: ClassVar[str] = "reporting.advice:advice_lines"

    verdict: Verdict | None
    headroom: Headroom
    needless: tuple[Needless, ...]
    candidates: tuple[Candidate, ...]
    learning: tuple[Learning, ...]
    queries: int
    simulated: bool
    lacking: tuple[Lacking, ...] = ()
    seeds: int = len(SEEDS)
    bills: Mapping[str, float] = field(default_factory=dict)

    @property
    def action(self) -> Action:
        """What to do."""
        return self.verdict.action if self.verdict else "cannot tell"

    @property
    def router(self) -> str | None:
        """The router to run for it; None where none is."""
        choice = self.verdict.choice if self.verdict else None
        return choice.name if isinstance(choice, Offer) and choice.kind == "router" else None


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
    seeds, replicates = (QUICK_SEEDS, min(replicates, 200)) if quick else (SEEDS, replicates)
    room, jobs = headroom(pool, replicates=replicates), min(jobs, len(seeds))
    with TemporaryDirectory() as name:
        routers, folder = (SINGLE, *CANDIDATES), Path(name)
        runs = bench(pool, folder / "runs", routers=routers, seeds=seeds, jobs=jobs, cache=folder / "cache")
    return Advice(
        verdict(runs, pool, samples=replicates),
        room,
        needless_models(pool, replicates=replicates),
        _candidates(runs, replicates),
        () if quick else _learning(pool, runs.splits, replicates, jobs),
        len(pool),
        outcomes.simulated,
        lacking_models(pool),
        len(seeds),
        lowest_bill(pool),
    )


def _candidates(runs: Runs, replicates: int) -> tuple[Candidate, ...]:
    """What every router gains, as the leaderboard has it; of one split for other splits too."""
    played = replay(runs, runs.outcomes)
    means, column = pair(played.samples, replicates=replicates), played.keys.index
    leads = (means.difference(column(("router", name)), column(("router", SINGLE))) for name in CANDIDATES)
    return tuple(
        Candidate(name, elsewhere(lead, len(runs.seeds))) for name, lead in zip(CANDIDATES, leads, strict=True)
    )


def _learning(pool: Outcomes, splits: Mapping[int, Split], replicates: int, jobs: int) -> tuple[Learning, ...]:
    from joblib import Parallel, delayed

    steps = sizes(min(len(split.train) for split in splits.values()))
    calls = (delayed(_learned)(pool, seed, split, steps) for seed, split in splits.items())
    found = zip(splits.items(), Parallel(n_jobs=jobs)(calls), strict=True)
    return learning_curves(pool, {seed: (split, made) for (seed, split), made in found}, replicates=replicates)


def _learned(pool: Outcomes, seed: int, split: Split, steps: list[int]) -> Choices:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        return learned_choices(pool.with_embedding(embed_queries(pool, TfidfSvd(), split.train)[0]), split, seed, steps)
