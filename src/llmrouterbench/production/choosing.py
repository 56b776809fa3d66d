"""Which router and which trade-off to serve, chosen inside train: every number here is out of fold.

The mean is over queries, as traffic is billed. Another router must be better by two standard errors, the
cheaper trade-off keep up with the best single model by one, as in the bench.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from llmrouterbench.benching.deciding import replies_to
from llmrouterbench.benching.policies import decide_sweep, default_weights
from llmrouterbench.contracts import AsksAtOnce, Router, TradeOffRouter
from llmrouterbench.coverage import coverage_of
from llmrouterbench.estimating.pseudo import Evidence
from llmrouterbench.metrics import known_mean
from llmrouterbench.numerals import UNKNOWN, percent, points, usd
from llmrouterbench.production.calibration import CLEARLY, mean_and_error
from llmrouterbench.production.reading import served
from llmrouterbench.routers import make_router, parse_router
from llmrouterbench.table import FloatArray, IntArray, Outcomes, Replies
from llmrouterbench.worth import folds_of, train_best_single

CANDIDATES = ("task_soft", "linear", "knn_tuned")
"""Cheap routers that `auto` tries; the first is kept unless another is clearly better."""
FOLDS = 3


@dataclass(frozen=True)
class Trial:
    """What one router serves on train, each fold by a router that did not see it.

    settings  (w,) of the dial, from "quality decides" to the cheapest
    score, cost  (w, n) of what is served; NaN not measured
    """

    spec: str
    settings: FloatArray
    score: FloatArray
    cost: FloatArray

    def without(self, rows: IntArray) -> Trial:
        """The trial on the other queries."""
        return replace(self, score=np.delete(self.score, rows, axis=1), cost=np.delete(self.cost, rows, axis=1))


def router_of(spec: str) -> Router:
    """An unfitted router from its name and settings."""
    name, settings = parse_router(spec)
    return make_router(name, **settings)


def settings_of(router: Router, train: Outcomes) -> FloatArray:
    """Settings of a router's dial, from "quality decides" to the cheapest.

    Those of the default dial have four digits, so that people can write them.
    """
    if isinstance(router, TradeOffRouter):
        return np.asarray(router.weights, dtype=np.float64)[::-1]
    return np.array([float(f"{weight:.4g}") for weight in default_weights(train)])


@dataclass(frozen=True)
class Fold:
    """Rows of train that a router serves, fitted on what the others teach.

    learned_from, said  stored replies to the others and to these rows, for a router that reads them
    """

    held: IntArray
    evidence: Evidence
    learned_from: Replies = field(default_factory=dict)
    said: Replies = field(default_factory=dict)
    _fitted: dict[str, Router] = field(default_factory=dict)

    def router(self, spec: str) -> Router:
        """The router of a spec, fitted once."""
        if spec not in self._fitted:
            self._fitted[spec] = fit_reading(router_of(spec), self.evidence.learn, self.learned_from)
        return self._fitted[spec]


def reader_of(router: Router) -> AsksAtOnce | None:
    """The router where it reads replies, and asks for all at once; None for others."""
    return router if isinstance(router, AsksAtOnce) and router.reads_replies else None


def fit_reading(router: Router, train: Outcomes, replies: Replies) -> Router:
    """The router fitted on outcomes, and on the replies beside them where it reads such."""
    reader = reader_of(router)
    return router.fit(train) if reader is None else reader.fit(train, replies)


def folds_to_serve(train: Outcomes, seed: int, replies: Replies | None = None) -> list[Fold]:
    """Every fold of train; of a log with pseudo-outcomes, for which the other folds teach everything."""
    logged, found = not coverage_of(train).matrix, []
    fold = folds_of(train, FOLDS, seed)
    for one in np.unique(fold).tolist():
        held, rest = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        evidence = Evidence.of(train.take(rest), train.take(held), logged=logged)
        found.append(Fold(held, evidence, replies_to(replies or {}, rest), replies_to(replies or {}, held)))
    return found


def out_of_fold_trial(spec: str, train: Outcomes, folds: Sequence[Fold]) -> Trial:
    """Serve every fold at every setting with a router fitted on the others."""
    settings = settings_of(router_of(spec), train)
    score, cost = np.full((2, len(settings), len(train)), np.nan)
    for one in folds:
        judge, router = one.evidence.judge, one.router(spec)
        if (reader := reader_of(router)) is not None:
            score[:, one.held], cost[:, one.held] = served(reader, judge, one.said, settings)
            continue
        choice, rows = decide_sweep(router, judge.queries, settings), np.arange(len(judge))
        score[:, one.held], cost[:, one.held] = judge.score[rows, choice], judge.cost[rows, choice]
    return Trial(spec, settings, score, cost)


def single_trial(train: Outcomes, folds: Sequence[Fold]) -> Trial:
    """The best single model, found without the fold it serves."""
    score, cost = np.full((2, 1, len(train)), np.nan)
    for one in folds:
        best, judge = train_best_single(one.evidence.learn), one.evidence.judge
        score[0, one.held], cost[0, one.held] = judge.score[:, best], judge.cost[:, best]
    return Trial("best_single", np.zeros(1), score, cost)


@dataclass(frozen=True)
class Chosen:
    """A choice and the sentences that say why.

    by_fold  what would have been chosen without each fold of train: what is promised of a log is measured so, for the
             router that had most luck on a fold would promise its luck; () where nothing was chosen
    """

    name: str
    because: tuple[str, ...]
    by_fold: tuple[str, ...] = ()


def choose_router(trials: Sequence[Trial]) -> Chosen:
    """The first router, unless another serves better at its quality end by two standard errors."""
    best, because = trials[0], []
    for other in trials[1:]:
        mean, error = mean_and_error(other.score[0] - best.score[0])
        wins = mean > CLEARLY * error
        if mean == error == 0.0:
            because.append(f"{other.spec} scores the same as {best.spec} on every query out of fold")
            continue
        says = "better by two standard errors or more" if wins else "not better by two standard errors"
        because.append(f"{other.spec} minus {best.spec} out of fold: {_points(mean, error)}, {says}")
        best = other if wins else best
    return Chosen(best.spec, (*because, f"so the router is {best.spec}"))


def choose_policy(trial: Trial, single: Trial) -> Chosen:
    """The cheapest setting that serves at least as well as the best single model, with one standard error to spare.

    "best" where no setting does, or no cost is known.
    """
    cost = known_mean(trial.cost, axis=1)
    leads = [mean_and_error(score - single.score[0]) for score in trial.score]
    good = np.array([mean >= error for mean, error in leads]) & np.isfinite(cost)
    end = f"at its quality end it serves {_points(*leads[0])} more than the best single model out of fold"
    if not np.isfinite(cost).any():
        return Chosen("best", (end, "no cost is known, so quality decides: policy best"))
    if not good.any():
        return Chosen("best", (end, "no cheaper setting keeps up with that model by a standard error: policy best"))
    place = int(np.argmin(np.where(good, cost, np.inf)))
    if place == 0:
        return Chosen("best", (end, "no setting that keeps up with that model is cheaper: policy best"))
    weight = f"weight {trial.settings[place]:g}"
    because = f"{weight} is the cheapest setting that keeps up with that model by a standard error"
    return Chosen(weight, (end, f"{because}: {_points(*leads[place])}, {usd(cost[place], ' USD')} a query"))


def _points(mean: float, error: float) -> str:
    """A mean and its standard error."""
    if not np.isfinite(mean):
        return f"{UNKNOWN} points"
    return f"{points(mean, 2)} ± {percent(error, 2)} points"


def choose(train: Outcomes, folds: Sequence[Fold], router: str, policy: str | None) -> tuple[Chosen, Chosen]:
    """Router and policy; "auto" and None are chosen, anything else is taken as it is."""
    given = Chosen(policy or "", ("the policy was given",)) if policy else None
    if router != "auto" and given:
        return Chosen(router, ("the router was given",)), given
    trials = [out_of_fold_trial(spec, train, folds) for spec in (CANDIDATES if router == "auto" else (router,))]
    chosen = Chosen(router, ("the router was given",))
    if router == "auto":
        by_fold = (choose_router([trial.without(one.held) for trial in trials]).name for one in folds)
        chosen = replace(choose_router(trials), by_fold=tuple(by_fold))
    trial = next(trial for trial in trials if trial.spec == chosen.name)
    return chosen, given or choose_policy(trial, single_trial(train, folds))
