"""Is routing worth it, when each query was answered by one model? Every number is doubly robust, see `estimating`.

Ways to route are fitted without the fold that they are judged on, and so is all that judges them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from llmrouterbench.coverage import Coverage, coverage_of
from llmrouterbench.estimating.pseudo import Pseudo, joined, nuisance, pseudo_outcomes, usable
from llmrouterbench.estimating.tables import enough_queries, values_of_models
from llmrouterbench.estimating.values import Value, difference, overturning_odds, value_of
from llmrouterbench.metrics import dataset_means, dataset_oracle_choice
from llmrouterbench.routers import make_router, parse_router
from llmrouterbench.shown import Shown
from llmrouterbench.stats import UNKNOWN_NUMBER, Interval
from llmrouterbench.table import IntArray, Outcomes
from llmrouterbench.worth import folds_of, quality_choice, train_best_single

FOLDS, SEED = 3, 42
BY_TASK = "by_task"
LogAction = Literal["cannot tell", "do not route", "route by task", "route for quality"]


@dataclass(frozen=True)
class LoggedCandidate:
    """A way to route, and what it gains over the best single model, which is chosen without the fold it serves too."""

    router: str
    value: Value
    gain: Interval


@dataclass(frozen=True, repr=False)
class LogAdvice(Shown):
    """Everything `advise` says of a log.

    models      value of serving each model to everyone, the best first; those without a number last
    lead        AvgAcc of the first minus that of the second; unknown where there are no two
    odds        hidden selection (ratio of odds) that would overturn this, see `overturning_odds`; NaN without a lead
    candidates  a table by task where there are tasks, then routers
    known       whether the log says its propensities
    left_out    queries that do not count: no score, or no propensity of it
    """

    words: ClassVar[str] = "reporting.log_advice:log_advice_lines"

    action: LogAction
    router: str | None
    best: str | None
    models: tuple[Value, ...]
    lead: Interval
    odds: float
    candidates: tuple[LoggedCandidate, ...]
    coverage: Coverage
    known: bool
    queries: int
    left_out: int
    simulated: bool


def advise_log(pool: Outcomes, routers: Sequence[str], worth: float) -> LogAdvice:
    """Study embedded outcomes of a log; `worth` is the AvgAcc that makes a way to route worth its upkeep."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rows = usable(pool)
    part, coverage = pool.take(rows), coverage_of(pool)
    rest: dict[str, Any] = {
        "coverage": coverage,
        "queries": len(rows),
        "left_out": len(pool) - len(rows),
        "simulated": pool.simulated,
    }
    if not enough_queries(part):
        return LogAdvice("cannot tell", None, None, (), UNKNOWN_NUMBER, np.nan, (), known=False, **rest)
    with threadpool_limits(limits=1):  # many small products: waking threads takes longer than they do
        made, choices = _studied(part, routers)
    values = values_of_models(made)
    known = [part.models.index(one.name) for one in values if one.known]
    lead, odds, candidates = UNKNOWN_NUMBER, float("nan"), []
    if len(known) > 1:
        lead = difference(made, *(np.full(len(part), j) for j in known[:2]))
        odds = overturning_odds(made, known[0], known[1])
        single = choices.pop("best_single")
        candidates = [
            LoggedCandidate(name, value_of(name, made, choice), difference(made, choice, single))
            for name, choice in choices.items()
        ]
    action, router = _recommended(candidates, made, choices, worth) if candidates else ("cannot tell", None)
    return LogAdvice(
        action, router, part.models[known[0]] if known else None, tuple(values), lead, odds,
        tuple(candidates), known=made.known, **rest,
    )  # fmt: skip


def _studied(part: Outcomes, routers: Sequence[str]) -> tuple[Pseudo, dict[str, IntArray]]:
    """Pseudo-outcomes of all queries, and whom every way to route serves (n,), fold by fold."""
    fold = folds_of(part, FOLDS, SEED)
    names = ["best_single", *([BY_TASK] if len(part.datasets) > 1 else []), *routers]
    choices = {name: np.zeros(len(part), dtype=np.int64) for name in names}
    judged = []
    for one in range(FOLDS):
        held, rest = np.flatnonzero(fold == one), part.take(np.flatnonzero(fold != one))
        queries = part.take(held)
        judged.append((held, nuisance(rest)(queries)))
        learned = pseudo_outcomes(rest).teaching()
        best = train_best_single(learned)
        for name, choice in choices.items():
            if name == "best_single":
                choice[held] = best
            elif name == BY_TASK:
                choice[held] = _by_task(learned, queries, best)
            else:
                made, settings = parse_router(name)
                choice[held] = quality_choice(make_router(made, **settings).fit(learned), queries.queries)
    return joined(part, judged), choices


def _by_task(learned: Outcomes, held: Outcomes, best: int) -> IntArray:
    """The model that is best on each query's dataset; the best single model where the log does not say."""
    names = learned.datasets
    choice = dataset_oracle_choice(dataset_means(learned.score, learned.dataset, names))
    place = dict(zip(names, np.where(choice >= 0, choice, best).tolist(), strict=True))
    return np.array([place.get(name, best) for name in held.dataset.tolist()], dtype=np.int64)


def _recommended(
    candidates: Sequence[LoggedCandidate], made: Pseudo, choices: dict[str, IntArray], worth: float
) -> tuple[LogAction, str | None]:
    """A table by task before a router that is not certainly better; no routing where nothing certainly gains."""
    gains = {one.router for one in candidates if one.gain.low > 0.0 and one.gain.value >= worth}
    router = next((one.router for one in candidates if one.router in gains and one.router != BY_TASK), None)
    if BY_TASK in gains and (router is None or not difference(made, choices[router], choices[BY_TASK]).low > 0.0):
        return "route by task", None
    return ("route for quality", router) if router else ("do not route", None)
