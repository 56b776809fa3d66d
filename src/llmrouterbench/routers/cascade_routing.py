"""Cascade routing: after every reply, choose again between serving what there is and calling one more model."""

from __future__ import annotations

import copy
from itertools import combinations
from typing import Self

import numpy as np

from llmrouterbench.contracts import Ask, Router
from llmrouterbench.routers._replies import ReplyJudge, fit_judge
from llmrouterbench.table import BoolArray, Estimate, FloatArray, IntArray, Outcomes, Queries, Replies
from llmrouterbench.worth import by_name, folds_of


class CascadeRouting:
    """Expect the score of every model before its call and after; keep calling while one more reply is worth its price.

    A set of models is worth its expected best score - weight * cost. Before a call a model's score is known up to a
    normal error (what its reply will tell: `surprise_`, learned out of fold), after it up to nothing. At each step the
    best set that holds the models called so far is found; if it holds more, the cheapest of them is called, else the
    called model with the best score serves.

    As a router (`predict`) this is plain routing by the estimates before any call. As a cascade (`decide`, by
    `policies.run`) it pays, reads and chooses again.

    inner      router that makes the estimates before a call
    mode       "reply": it calls, reads and thinks again, and needs replies to be fitted; "query": it only routes
    max_calls  most models called for a query
    weight     where `decide` stands on the dial, in score per USD

    Source: Dekoninck, Baader and Vechev, "A Unified Approach to Routing and Cascading for LLMs" (arXiv 2410.10347),
    section 4. The expected best of several normals is Clark's recursion (Operations Research 9, 1961).
    Differs: one weight of cost for every step, where the paper tunes one a step; the score after a reply comes from
    the reply's text (`_replies`), where the paper also uses the models' log probabilities.
    """

    def __init__(
        self, inner: str = "linear", mode: str = "query", max_calls: int = 2, weight: float = 0.0, seed: int = 42
    ) -> None:
        if mode not in ("query", "reply"):
            raise ValueError(f"mode must be 'query' or 'reply', got {mode!r}")
        if max_calls < 1:
            raise ValueError(f"max_calls must be at least 1, got {max_calls}")
        if weight < 0:
            raise ValueError(f"weight must be at least 0, got {weight:g}")
        self.inner, self.mode, self.max_calls, self.weight, self.seed = inner, mode, max_calls, weight, seed

    @property
    def reads_replies(self) -> bool:
        """Whether it is a cascade, which reads replies."""
        return self.mode == "reply"

    def at(self, weight: float) -> Self:
        """The same fitted cascade at another weight of cost."""
        moved = copy.copy(self)
        moved.weight = weight
        return moved

    def fit(self, train: Outcomes, replies: Replies | None = None) -> Self:
        """Fit the estimates; in mode "reply" also how a reply (to some cells of `train`) changes them.

        Raises ValueError where replies are missing, or are to fewer than two different queries with known scores.
        """
        if self.reads_replies and not replies:
            raise ValueError(
                "router 'cascade_routing' in mode 'reply' needs replies to be fitted; call fit(train, replies)"
            )
        self.models_ = train.models
        self.router_ = self._unfitted().fit(train)
        self.judge_: ReplyJudge | None = None
        self.trust_ = self.surprise_ = np.zeros(len(train.models))
        if self.reads_replies and replies:
            self._fit_judge(train, replies)
        return self

    def _unfitted(self) -> Router:
        from llmrouterbench.routers import make_router

        return make_router(self.inner)

    def _fit_judge(self, train: Outcomes, replies: Replies) -> None:
        """Estimates before and after a reply, both for queries that their fit did not see."""
        cells = [cell for cell in sorted(replies) if np.isfinite(train.score[cell])]
        row, model = np.array(cells, dtype=np.int64).reshape(-1, 2).T
        fold = folds_of(train, 2, self.seed)
        if len(np.unique(fold[row])) < 2:
            raise ValueError(
                f"replies must be to different queries with known scores, got {len(np.unique(row))} of these;"
                " fit without replies to route only"
            )
        text = [replies[cell] for cell in cells]
        before = np.empty(train.score.shape)
        for one in (0, 1):
            held = np.flatnonzero(fold == one)
            rest = self._unfitted().fit(train.take(np.flatnonzero(fold != one)))
            before[held] = rest.predict(train.queries.take(held)).score
        prior, score = before[row, model], train.score[row, model]
        after = np.empty(len(row))
        for one in (0, 1):
            mine = fold[row] == one
            some = [text[i] for i in np.flatnonzero(~mine)]
            judge = fit_judge(some, model[~mine], prior[~mine], score[~mine], len(train.models), self.seed)
            after[mine] = judge([text[i] for i in np.flatnonzero(mine)], model[mine], prior[mine])
        self.judge_ = fit_judge(text, model, prior, score, len(train.models), self.seed)
        self.trust_, self.surprise_ = reply_value(prior, after, score, model, len(train.models))

    def predict(self, queries: Queries) -> Estimate:
        """Estimates (n, m) before any call."""
        return self.router_.predict(queries)

    def decide(self, queries: Queries, ask: Ask) -> IntArray:
        """(n,) model served; asks for replies while another may be worth its price."""
        estimate = self.predict(queries)
        score, price = estimate.score.copy(), self.weight * _filled(estimate.cost)
        if self.judge_ is None:
            return by_name(Estimate(self.models_, score - price, price))
        spread = np.tile(self.surprise_, (len(queries), 1))
        called = np.zeros(score.shape, dtype=np.bool_)
        for _ in range(self.max_calls):
            call = next_call(score, spread, price, called, self.max_calls)
            rows = np.flatnonzero(call >= 0)
            models, prior = call[rows], score[rows, call[rows]]
            text = [ask(row, model) for row, model in zip(rows.tolist(), models.tolist(), strict=True)]
            opinion = self.judge_(text, models, prior)
            score[rows, models] = prior + self.trust_[models] * (opinion - prior)
            spread[rows, models], called[rows, models] = 0.0, True
        return by_name(Estimate(self.models_, np.where(called, score, score.min() - 1.0), price))


def next_call(score: FloatArray, spread: FloatArray, price: FloatArray, called: BoolArray, most: int) -> IntArray:
    """Model (n,) to call next, -1 to stop: the cheapest uncalled member of the most valuable set of up to `most`.

    score, spread, price (n, m): expected score, its standard error, cost in units of score. A smaller set wins a tie.

    >>> score, price = np.array([[0.6, 0.5]]), np.array([[0.0, 0.05]])
    >>> none, one = np.zeros((1, 2), dtype=bool), np.array([[True, False]])
    >>> next_call(score, np.full((1, 2), 0.3), price, none, 2).tolist()
    [0]
    >>> next_call(np.array([[0.2, 0.5]]), np.array([[0.0, 0.3]]), price, one, 2).tolist()
    [1]
    >>> next_call(np.array([[0.9, 0.5]]), np.array([[0.0, 0.3]]), price, one, 2).tolist()
    [-1]
    """
    n, m = score.shape
    best = np.full(n, -np.inf)
    call = np.full(n, -1, dtype=np.int64)
    done = called.sum(axis=1)
    for size in range(1, min(most, m) + 1):
        sets = np.array(list(combinations(range(m), size)), dtype=np.int64)
        value = expected_best(score[:, sets], spread[:, sets]) - price[:, sets].sum(axis=2)
        value = np.where(called[:, sets].sum(axis=2) == done[:, None], value, -np.inf)
        top = value.argmax(axis=1)
        members = sets[top]
        offer = np.where(
            np.take_along_axis(called, members, axis=1), np.inf, np.take_along_axis(price, members, axis=1)
        )
        cheapest = np.take_along_axis(members, offer.argmin(axis=1)[:, None], axis=1)[:, 0]
        better = value[np.arange(n), top] > best + 1e-12
        call = np.where(better, np.where(done == size, -1, cheapest), call)
        best = np.where(better, value[np.arange(n), top], best)
    return call


def expected_best(mean: FloatArray, spread: FloatArray) -> FloatArray:
    """Expected maximum (...) of independent normals (..., k), exact for two (Clark, 1961), by his recursion for more.

    >>> expected_best(np.array([0.0, 0.0]), np.array([1.0, 1.0])).round(4).item()  # 1 / sqrt(pi)
    0.5642
    """
    from scipy.special import ndtr

    best, variance = mean[..., 0], spread[..., 0] ** 2
    for i in range(1, mean.shape[-1]):
        other, its = mean[..., i], spread[..., i] ** 2
        width = np.sqrt(variance + its)
        lead = np.divide(best - other, width, out=np.where(best >= other, np.inf, -np.inf), where=width > 0)
        win, density = ndtr(lead), np.exp(-0.5 * np.minimum(lead**2, 1e3)) / np.sqrt(2.0 * np.pi)
        first = best * win + other * (1.0 - win) + width * density
        second = (best**2 + variance) * win + (other**2 + its) * (1.0 - win) + (best + other) * width * density
        best, variance = first, np.maximum(second - first**2, 0.0)
    return np.asarray(best)


def _filled(cost: FloatArray) -> FloatArray:
    """Costs with the dearest known one of the query where unknown."""
    known = np.isfinite(cost)
    return np.where(known, cost, np.where(known, cost, 0.0).max(axis=1, keepdims=True))


def reply_value(
    prior: FloatArray, after: FloatArray, score: FloatArray, model: IntArray, models: int
) -> tuple[FloatArray, FloatArray]:
    """How far to follow a judge's opinion of each model's replies (m,), and the usual step (m,) when one does.

    The first is the slope, in [0, 1], of score - prior on after - prior over cells (n,): 0 where an opinion says
    nothing that is true. The second is that slope times the root mean square of after - prior.

    >>> trust, step = reply_value(*np.array([[0.5, 0.5], [0.9, 0.1], [0.7, 0.3]]), np.array([0, 0]), 1)
    >>> trust.round(3).tolist(), step.round(3).tolist()
    ([0.5], [0.2])
    """
    change, truth = after - prior, score - prior
    power = np.bincount(model, weights=change**2, minlength=models)
    shared = np.bincount(model, weights=change * truth, minlength=models)
    trust = np.clip(np.divide(shared, power, out=np.zeros(models), where=power > 0), 0.0, 1.0)
    return trust, trust * np.sqrt(power / np.maximum(np.bincount(model, minlength=models), 1))
