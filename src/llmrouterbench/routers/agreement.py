"""Agreement: ask a few cheap models at once, compare what they say, and pay for a dear one where that is not enough."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np

from llmrouterbench.contracts import Ask
from llmrouterbench.datasets.signatures import kind_of
from llmrouterbench.metrics import dataset_means, known_mean
from llmrouterbench.routers._linear_models import Affine, fit_affine, logistic_loss, sigmoid
from llmrouterbench.routers._said import Said
from llmrouterbench.routers._tasks import Tasks, TaskSettings, fit_labelled, label_tasks
from llmrouterbench.table import BoolArray, Estimate, FloatArray, IntArray, Outcomes, Queries, Replies
from llmrouterbench.worth import by_name, capped, folds_of, train_best_single

WHO = "router 'agreement'"
_STRONG = 3
"""Models that may serve without having been asked: the best single model and those next to it."""
_SURE = 1.0
"""Standard errors by which a set must lead, out of fold, before anybody is asked."""
_DIAL = np.concatenate([[0.0], np.geomspace(1e-3, 1e2, 40)])
"""Weights of cost for which the sets are chosen, in score per mean call."""


@dataclass(frozen=True)
class Panel:
    """One set of models that are asked at once, and the judge of what they say.

    places   (k,) of the pool, who is asked; none in the empty set
    asked    (k,) the same as models
    serving  (c,) models that may serve then
    judge    from features to the log odds that each of `serving` is right; None in the empty set
    """

    places: IntArray
    asked: IntArray
    serving: IntArray
    judge: Affine | None


class Agreement:
    """Ask up to three cheap models, compare the signatures of their replies, serve what is worth its price then.

    The signature of a reply is the answer it gives: an option's letter, a number or a marked answer, how many arguments
    its function takes, else its words; what kind a task has is told from training replies. A judge, one logistic
    regression a model, expects how good each reply is from the query's task, which replies have a signature and which
    signatures agree; that of a model not asked too. Served is the best of score - weight * extra cost.

    Which set each task asks at each weight is what scored best on train out of fold, every call of it paid; the empty
    set is `task_soft`, whose estimate `predict` gives.

    most     models asked at most
    pool     cheap models from which sets are made: the best of those
    share    below this share of the best single model's mean cost
    penalty  ridge penalty of the judges (1 / C of scikit-learn)
    read     read the replies; False: the judge knows the task alone
    compare  compare them; False: the judge knows which have a signature
    folds    parts of train, each judged by what the others taught
    weight   where `decide` stands on the dial, in score per USD

    Source: agreement-based cascading (Kolawole et al. 2024, arXiv 2407.02348), agreement in meaning (arXiv 2509.21837),
    and cascade routing's choice among several models (Dekoninck et al. 2024, arXiv 2410.10347); what a cascade can save
    at most: arXiv 2605.06350. The recipe and the choice of sets out of fold are this project's.
    Differs: agreement is one feature of a judge that knows the task, where 2407.02348 serves whatever a vote above a
    threshold says; models that were not asked are judged too.
    """

    def __init__(
        self,
        most: int = 3,
        pool: int = 4,
        share: float = 0.15,
        penalty: float = 3.3,
        read: bool = True,
        compare: bool = True,
        folds: int = 5,
        weight: float = 0.0,
        seed: int = 42,
    ) -> None:
        if most < 1 or pool < 1 or folds < 2:
            raise ValueError(f"most and pool must be at least 1 and folds at least 2, got {most}, {pool} and {folds}")
        if not 0.0 < share <= 1.0 or penalty <= 0 or weight < 0:
            raise ValueError(
                "share must be above 0 and at most 1, penalty above 0 and weight at least 0,"
                f" got {share:g}, {penalty:g} and {weight:g}"
            )
        self.most, self.pool, self.share, self.penalty = most, pool, share, penalty
        self.read, self.compare, self.folds, self.weight, self.seed = read, compare, folds, weight, seed

    needs_replies = False
    """Without any it is `task_soft`."""

    @property
    def reads_replies(self) -> bool:
        """It does."""
        return True

    def at(self, weight: float) -> Self:
        """The same fitted sets and judges at another weight of cost."""
        moved = copy.copy(self)
        moved.weight = weight
        return moved

    def fit(self, train: Outcomes, replies: Replies | None = None) -> Self:
        """Learn tasks, judges and sets. Nobody is asked where no reply is stored or no model with replies is cheap."""
        from llmrouterbench.routers import router_class

        replies = replies or {}
        self.models_ = train.models
        self.inner_ = router_class("task_soft")(seed=self.seed).fit(train)
        self.tasks_: Tasks = self.inner_.tasks_
        self.unit_ = float(np.nan_to_num(known_mean(train.cost.ravel(), axis=0)))
        best = train_best_single(train)
        ranked = [best, *(model for model in _best_first(train) if model != best)]
        self.pool_ = self._cheap(train, replies, ranked)
        self.strong_ = np.array([model for model in ranked if model not in self.pool_][:_STRONG])
        self.kind_ = ["text"] * len(self.tasks_.name)
        nobody = np.zeros(0, dtype=np.int64)
        self.panels_ = [Panel(nobody, nobody, np.arange(len(train.models)), None)]
        self.plan_ = np.zeros((len(self._dial()), len(self.kind_)), dtype=np.int64)
        if len(self.pool_):
            self._fit_panels(train, self._seen(train, replies, best))
        return self

    def _cheap(self, train: Outcomes, replies: Replies, ranked: Sequence[int]) -> IntArray:
        """The models from which sets are made, best first."""
        cost, answered = known_mean(train.cost, axis=0), {model for _, model in replies}
        most = self.share * cost[ranked[0]]
        cheap = [model for model in ranked[1:] if model in answered and cost[model] < most]
        return np.array(cheap[: self.pool], dtype=np.int64)

    def _seen(self, train: Outcomes, replies: Replies, best: int) -> _Seen:
        """Tasks and scores of train by what the other folds taught, and what the pool said."""
        labels = set(self.tasks_.name) <= set(train.datasets)
        settings = TaskSettings(self.inner_.penalty, self.inner_.pseudo, labels, self.inner_.clusters, self.seed)
        names, label = label_tasks(train, settings, WHO)
        prompts, fold = list(train.queries.prompt), folds_of(train, self.folds, self.seed)
        posterior, score = np.empty((len(train), len(names))), np.empty(train.score.shape)
        for one in np.unique(fold):
            held, rest = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
            tasks = fit_labelled(train.take(rest), names, label[rest], settings, WHO)
            posterior[held] = tasks.posterior(train.queries.take(held), WHO)
            score[held] = posterior[held] @ tasks.score
        if self.inner_.gate and not self.inner_.gain_.positive:
            score = capped(score, best)
        for task in range(len(names)):
            rows = np.flatnonzero(label == task).tolist()
            cells = [(row, model) for row in rows for model in self.pool_.tolist() if (row, model) in replies]
            self.kind_[task] = kind_of([replies[cell] for cell in cells], [prompts[row] for row, _ in cells])
        return _Seen(fold, posterior, score, self._said(train.queries, posterior, replies))

    def _said(self, queries: Queries, posterior: FloatArray, replies: Replies) -> Said:
        kinds = [self.kind_[task] for task in posterior.argmax(axis=1).tolist()]
        return Said.of(replies, queries.prompt, kinds, self.pool_.tolist())

    def _features(self, posterior: FloatArray, said: Said, rows: IntArray, places: IntArray) -> FloatArray:
        """Features (rows, f) of a judge: what is said, once for each task."""
        seen = said.features(rows, places, compare=self.compare) if self.read else np.ones((len(rows), 1))
        return np.asarray((posterior[rows, :, None] * seen[:, None, :]).reshape(len(rows), -1))

    def _fit_panels(self, train: Outcomes, seen: _Seen) -> None:
        """A judge for every set, and the set that did best out of fold for each weight and task."""
        values = [self._value(self.panels_[0], train, seen, seen.score)]
        sizes = range(1, min(self.most, len(self.pool_)) + 1)
        for chosen in (np.array(places) for size in sizes for places in combinations(range(len(self.pool_)), size)):
            panel, score = self._fit_panel(train, seen, chosen)
            self.panels_.append(panel)
            values.append(self._value(panel, train, seen, score))
        members = np.eye(len(self.kind_))[seen.posterior.argmax(axis=1)]
        self.plan_ = _plan(np.stack(values) - values[0], members)

    def _fit_panel(self, train: Outcomes, seen: _Seen, places: IntArray) -> tuple[Panel, FloatArray]:
        """One set with its judge, and what judges of the other folds expect (n, m) of those that may serve."""
        asked = self.pool_[places]
        serving = np.concatenate([asked, self.strong_])
        known = np.flatnonzero(np.isfinite(seen.said.valid[:, places]).all(axis=1))
        features, right = self._features(seen.posterior, seen.said, known, places), train.score[np.ix_(known, serving)]
        fold, score = seen.fold[known], np.full(train.score.shape, np.nan)
        for one in np.unique(fold):
            judge = fit_affine(features[fold != one], right[fold != one], logistic_loss, self.penalty)
            score[np.ix_(known[fold == one], serving)] = sigmoid(judge(features[fold == one]))
        return Panel(places, asked, serving, fit_affine(features, right, logistic_loss, self.penalty)), score

    def _value(self, panel: Panel, train: Outcomes, seen: _Seen, score: FloatArray) -> FloatArray:
        """Score - weight * bill (w, n) of one set on train; NaN where a reply or an outcome is not known."""
        every = np.arange(len(train))
        price = np.where(np.isfinite(train.cost), train.cost, known_mean(train.cost, axis=0))
        paid, expected = price[:, panel.asked].sum(axis=1), seen.posterior @ self.tasks_.cost
        known = np.isfinite(score[:, panel.serving]).all(axis=1)
        values = []
        for weight in self._dial():
            choice = self._serve(panel, score, expected, weight)
            bill = paid + np.where(np.isin(choice, panel.asked), 0.0, price[every, choice])
            value = train.score[every, choice] - (weight * bill if weight else 0.0)
            values.append(np.where(known, value, np.nan))
        return np.array(values)

    def _dial(self) -> FloatArray:
        return _DIAL / self.unit_ if self.unit_ > 0 else _DIAL[:1]

    def _serve(self, panel: Panel, score: FloatArray, cost: FloatArray, weight: float) -> IntArray:
        """Who serves (n,): the best score - weight * what it costs more, of those that may and have a score."""
        known = np.isfinite(cost)
        more = np.where(known, cost, np.where(known, cost, 0.0).max(axis=1, keepdims=True))
        more[:, panel.asked] = 0.0
        may = np.isin(np.arange(score.shape[1]), panel.serving) & np.isfinite(score)
        worth = np.where(may, np.nan_to_num(score) - weight * more, np.inf)
        least = np.where(may.any(axis=1), worth.min(axis=1), 0.0)[:, None]
        return by_name(Estimate(self.models_, np.where(may, worth, least - 1.0), more))

    def predict(self, queries: Queries) -> Estimate:
        """Estimates (n, m) before any call."""
        estimate: Estimate = self.inner_.predict(queries)
        return estimate

    def panels(self, queries: Queries) -> IntArray:
        """Set (n,) of `panels_` that each query asks at this weight."""
        at = np.abs(np.log(np.maximum(self._dial(), 1e-300)) - np.log(max(self.weight, 1e-300))).argmin()
        return np.asarray(self.plan_[at, self.tasks_.posterior(queries, WHO).argmax(axis=1)])

    def decide(self, queries: Queries, ask: Ask) -> IntArray:
        """(n,) model served; asks all models of a query's set."""
        asked = self.asks(queries)
        return self.chosen(queries, {(row, model): ask(row, model) for row, model in np.argwhere(asked).tolist()})

    def asks(self, queries: Queries) -> BoolArray:
        """Which models (n, m) are asked at once."""
        asked = np.zeros((len(queries), len(self.models_)), dtype=np.bool_)
        for row, panel in enumerate(self.panels(queries).tolist()):
            asked[row, self.panels_[panel].asked] = True
        return asked

    def chosen(self, queries: Queries, replies: Replies) -> IntArray:
        """(n,) model served after the replies to what `asks` asked; one that gave none does not serve."""
        which, estimate = self.panels(queries), self.predict(queries)
        posterior = self.tasks_.posterior(queries, WHO)
        said = self._said(queries, posterior, replies)
        choice = np.empty(len(queries), dtype=np.int64)
        for place in np.unique(which):
            panel, rows = self.panels_[place], np.flatnonzero(which == place)
            score, cost = estimate.score[rows], estimate.cost[rows]
            if panel.judge is not None:
                score[:, panel.serving] = sigmoid(panel.judge(self._features(posterior, said, rows, panel.places)))
                score[:, panel.asked] += 0.0 * said.valid[np.ix_(rows, panel.places)]  # NaN where there is no reply
            choice[rows] = self._serve(panel, score, cost, self.weight)
        return choice


@dataclass(frozen=True)
class _Seen:
    """What is known of train out of fold: task posterior (n, t), score (n, m) before any call; what the pool said."""

    fold: IntArray
    posterior: FloatArray
    score: FloatArray
    said: Said


def _plan(lead: FloatArray, members: FloatArray) -> IntArray:
    """The set (w, t) that leads most, of those that lead the empty one by more than `_SURE` standard errors.

    lead     (s, w, n) of each set over the empty one, which is the first; NaN where it is not known
    members  (n, t) which task a query has

    >>> _plan(np.array([[[0.0, 0.0]], [[0.2, 0.3]], [[0.9, -0.5]]]), np.ones((2, 1))).tolist()
    [[1]]
    """
    known, filled = np.isfinite(lead) @ members, np.nan_to_num(lead)
    count = np.maximum(known, 1.0)
    mean = filled @ members / count
    variance = np.maximum((filled**2) @ members / count - mean**2, 0.0)
    sure = mean > _SURE * np.sqrt(variance / count)
    return np.asarray(np.where(sure, mean, 0.0).argmax(axis=0))


def lowest_bill(outcomes: Outcomes, share: float = 0.15, most: int = 3) -> dict[str, float]:
    """What reading cheap replies first costs at least, as a share of the best single model's bill, by dataset.

    As if replies told right from wrong for sure: of the best set of up to `most` models below `share` of the best
    single model's mean cost, all calls are paid, and the best single model's too where none of them is as good as it.
    At 1 or above, the cheap calls cost more than they can save. NaN where no cost is known or no model is that cheap.

    Source: the structural cost of a cascade (arXiv 2605.06350): it pays the cheap model before it can send on.

    >>> bills = lowest_bill(Outcomes.of(["a", "b"], ["cheap", "dear"], [[1, 1], [0, 1]], cost=[[1, 9], [1, 9]]))
    >>> {name: round(bill, 3) for name, bill in bills.items()}  # two cheap calls and one dear, of two dear ones
    {'data': 0.611}
    """
    best, cost = train_best_single(outcomes), known_mean(outcomes.cost, axis=0)
    cheap = [model for model in range(len(outcomes.models)) if model != best and cost[model] < share * cost[best]]
    sets = [np.array(some) for size in range(1, most + 1) for some in combinations(cheap, size)]
    parts = {name: outcomes.take(np.flatnonzero(outcomes.dataset == name)) for name in outcomes.datasets}
    bills = {name: [_bill(part, best, asked) for asked in sets] for name, part in parts.items()}
    return {name: float(np.fmin.reduce(some, initial=np.nan)) for name, some in bills.items()}


def _bill(part: Outcomes, best: int, asked: IntArray) -> float:
    """Bill of asking `asked`, and `best` where none of them is as good, by that of `best`; NaN where not known."""
    shown = np.isfinite(part.score + part.cost)
    known = part.take(np.flatnonzero(shown[:, asked].all(axis=1) & shown[:, best]))
    dear = known.cost[:, best]
    sent_on = (known.score[:, asked] < known.score[:, [best]]).all(axis=1)
    return float((known.cost[:, asked].sum() + dear[sent_on].sum()) / dear.sum()) if dear.sum() > 0 else np.nan


def _best_first(train: Outcomes) -> list[int]:
    """Models by training AvgAcc."""
    accuracy = known_mean(dataset_means(train.score, train.dataset, train.datasets), axis=0)
    order: list[int] = np.argsort(-np.nan_to_num(accuracy, nan=-1.0), kind="stable").tolist()
    return order
