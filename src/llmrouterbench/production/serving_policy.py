"""Serving policies in the words people use, and the order in which a policy tries the models.

    best                           the model with the highest expected score
    best --budget 0.002/query      the best score at a mean cost within a budget in USD
    best --max-seconds 5           only models expected to answer in time; goes with every policy
    cheapest --min-quality 0.8     the cheapest model whose calibrated score is high enough
    weight 250                     argmax(score - weight * cost), weight in score per USD; or a router's own dial
    strong-share 0.3               this share of queries to the strong model, the rest to the best of the others

`--explore 0.05` goes with every policy: this share of queries is served by a random model, and logged so.
All functions are pure and work on arrays with axes (query, model).
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from llmrouterbench.naming import did_you_mean
from llmrouterbench.table import BoolArray, FloatArray, IntArray

KINDS = ("best", "cheapest", "weight", "strong-share")
FORMS = (
    "best", "best --budget 0.002/query", "best --max-seconds 5", "cheapest --min-quality 0.8", "weight 250",
    "strong-share 0.3",
)  # fmt: skip
_OPTIONS = {
    "best": ("--budget", "--max-seconds", "--explore"),
    "cheapest": ("--min-quality", "--max-seconds", "--explore"),
    "weight": ("--max-seconds", "--explore"),
    "strong-share": ("--strong", "--max-seconds", "--explore"),
}
_SHARES = ("--min-quality", "--explore")


@dataclass(frozen=True)
class ServingPolicy:
    """What to optimise when serving.

    kind         "best", "cheapest", "weight" or "strong-share"
    value        the weight, or the share of queries for the strong model; None for the other kinds
    budget       mean USD a query
    min_quality  calibrated expected score that a model must reach
    max_seconds  expected seconds that a model may take
    strong       the strong model; None: the best single one
    explore      share of queries that a random model serves

    >>> str(ServingPolicy.parse("cheapest --min-quality 0.8 --max-seconds 5"))
    'cheapest --min-quality 0.8 --max-seconds 5'
    >>> ServingPolicy.parse("cheepest --min-quality 0.8")
    Traceback (most recent call last):
        ...
    ValueError: no policy named 'cheepest'; did you mean 'cheapest'?
    """

    kind: str = "best"
    value: float | None = None
    budget: float | None = None
    min_quality: float | None = None
    max_seconds: float | None = None
    strong: str | None = None
    explore: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no policy named {self.kind!r}{did_you_mean(self.kind, KINDS)}")
        if (self.value is None) == (self.kind in ("weight", "strong-share")):
            need = "a number behind it" if self.value is None else "no number behind it"
            raise ValueError(f"policy {self.kind!r} must have {need}, such as {_form(self.kind)!r}")
        if self.kind == "cheapest" and self.min_quality is None:
            raise ValueError("policy 'cheapest' must say how good is good enough; write 'cheapest --min-quality 0.8'")
        for field in fields(self)[2:]:
            option = _option(field.name)
            if getattr(self, field.name) not in (None, 0.0) and option not in _OPTIONS[self.kind]:
                raise ValueError(f"policy {self.kind!r} takes {', '.join(_OPTIONS[self.kind])}, got {option}")
        self._check_ranges()

    def _check_ranges(self) -> None:
        shares = {"--min-quality": self.min_quality, "--explore": self.explore}
        if self.kind == "strong-share":
            shares["strong-share"] = self.value
        for name, share in shares.items():
            if share is not None and not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} must be between 0 and 1, got {share:g}")
        if self.value is not None and not 0.0 <= self.value < math.inf:
            raise ValueError(f"weight must be 0 or more, in score per USD, got {self.value:g}")
        for name, amount in (("--budget", self.budget), ("--max-seconds", self.max_seconds)):
            if amount is not None and not 0.0 < amount < math.inf:
                raise ValueError(f"{name} must be above 0, got {amount:g}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The policy that a line of words names. Raises ValueError with a suggestion."""
        words = shlex.split(text)
        if not words:
            raise ValueError(f"a policy must be one of {', '.join(map(repr, FORMS))}, got an empty text")
        kind, rest = words[0], words[1:]
        if kind not in KINDS:
            raise ValueError(f"no policy named {kind!r}{did_you_mean(kind, KINDS)}")
        found: dict[str, float | str] = {}
        if rest and not rest[0].startswith("--"):
            found["value"] = _number(kind, rest.pop(0))
        while rest:
            option, equals, word = rest.pop(0).partition("=")
            if option not in _OPTIONS[kind]:
                raise ValueError(f"policy {kind!r} has no option {option!r}{did_you_mean(option, _OPTIONS[kind])}")
            if not equals and not rest:
                raise ValueError(f"{option} must have a value behind it, got the end of {text!r}")
            word = word if equals else rest.pop(0)
            found[option[2:].replace("-", "_")] = word if option == "--strong" else _number(option, word)
        return cls(kind, **found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        words = [self.kind] if self.value is None else [self.kind, _digits(self.value)]
        for field in fields(self)[2:]:
            value = getattr(self, field.name)
            if value not in (None, 0.0) or (field.name == "min_quality" and value is not None):
                said = shlex.quote(value) if isinstance(value, str) else _digits(value)
                words += [_option(field.name), f"{said}/query" if field.name == "budget" else said]
        return " ".join(words)


def as_policy(policy: ServingPolicy | str) -> ServingPolicy:
    """A policy from itself or from its words."""
    return policy if isinstance(policy, ServingPolicy) else ServingPolicy.parse(policy)


def _form(kind: str) -> str:
    return next(form for form in FORMS if form.startswith(kind))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _digits(value: float) -> str:
    return f"{value:.17g}" if float(f"{value:g}") != value else f"{value:g}"


def _number(name: str, word: str) -> float:
    try:
        value = float(word.removeprefix("$").removesuffix("/query") if name == "--budget" else word)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {word!r}; write it as in {_example(name)!r}") from None
    if math.isnan(value):
        raise ValueError(f"{name} must be a number, got {word!r}; write it as in {_example(name)!r}")
    return value


def _example(name: str) -> str:
    return next((form for form in FORMS if name in form), f"best {name} 0.05")


# --- the order of the models -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Belief:
    """What is expected of m models on n queries.

    name     (m,) rank of each model in plain string order: ties go to the first
    score    (n, m) the router's own estimate: who is better
    cost     (n, m) the router's own estimate in USD, NaN unknown
    quality  (n, m) calibrated score in [0, 1]: how good
    usd      (n, m) calibrated cost, NaN unknown
    seconds  (n, m) NaN unknown
    """

    name: IntArray
    score: FloatArray
    cost: FloatArray
    quality: FloatArray
    usd: FloatArray
    seconds: FloatArray


def unknown_as_dearest(cost: FloatArray) -> FloatArray:
    """Costs (n, m) with an unknown one at the dearest known one of its query: unpriced is not free.

    >>> unknown_as_dearest(np.array([[1.0, np.nan, 3.0]])).tolist()
    [[1.0, 3.0, 3.0]]
    """
    known = np.isfinite(cost)
    if known.all():
        return cost
    dearest = np.where(known, cost, 0.0).max(axis=1, keepdims=True)
    return np.where(known, cost, dearest)


def best_first(value: FloatArray, name: IntArray) -> IntArray:
    """Models (n, m) by falling value, the first in string order on a tie.

    >>> best_first(np.array([[0.2, 0.9, 0.9]]), np.array([0, 2, 1])).tolist()
    [[2, 1, 0]]
    """
    by_name = np.argsort(name)
    return np.asarray(by_name[np.argsort(-value[:, by_name], axis=1, kind="stable")], dtype=np.int64)


def utility(belief: Belief, weight: float) -> FloatArray:
    """(n, m) score - weight * cost, as `policies.best_utility` has it."""
    return belief.score - weight * unknown_as_dearest(belief.cost)


def in_front(order: IntArray, first: BoolArray) -> IntArray:
    """The same order (n, m) with the models of `first` (n, m) before the others.

    >>> in_front(np.array([[2, 0, 1]]), np.array([[False, True, False]])).tolist()
    [[1, 2, 0]]
    """
    back = np.argsort(~np.take_along_axis(first, order, axis=1), axis=1, kind="stable")
    return np.take_along_axis(order, back, axis=1)


def cheapest_order(belief: Belief, value: FloatArray, min_quality: float) -> tuple[IntArray, BoolArray]:
    """Models (n, m): the cheapest good enough first, then the others by value; and whether (n, m) each is good enough.

    Good enough models of the same cost go by value.
    """
    enough = belief.quality >= min_quality
    by_value = best_first(value, belief.name)
    price = np.take_along_axis(unknown_as_dearest(belief.usd), by_value, axis=1)
    cheap = np.take_along_axis(by_value, np.argsort(price, axis=1, kind="stable"), axis=1)
    return _joined(cheap, by_value, enough), enough


def _joined(first: IntArray, then: IntArray, chosen: BoolArray) -> IntArray:
    """The order `first` among the chosen models of each query, then the order `then` among the others."""
    n, m = chosen.shape
    place = np.empty((n, m), dtype=np.int64)
    rows = np.arange(n)[:, None]
    place[rows, then] = np.arange(m) + m
    early = np.empty((n, m), dtype=np.int64)
    early[rows, first] = np.arange(m)
    return np.asarray(np.argsort(np.where(chosen, early, place), axis=1, kind="stable"), dtype=np.int64)


def in_time_first(order: IntArray, seconds: FloatArray, most: float) -> tuple[IntArray, BoolArray]:
    """The order with models that are fast enough first, the others from the fastest on; and which are (n, m).

    A model without a known time is not fast enough: nothing promises that it is.
    """
    fast = seconds <= most
    slow = np.argsort(np.where(np.isfinite(seconds), seconds, np.inf), axis=1, kind="stable")
    return _joined(order, slow, fast), fast


def strong_margin(score: FloatArray, strong: int) -> FloatArray:
    """Lead (n,) of the strong model over the best of the others; infinite where there are no others.

    >>> strong_margin(np.array([[0.5, 0.75], [0.75, 0.25]]), 1).tolist()
    [0.25, -0.5]
    """
    if score.shape[1] == 1:
        return np.full(len(score), np.inf)
    return np.asarray(score[:, strong] - np.delete(score, strong, axis=1).max(axis=1))


def strong_threshold(margin: FloatArray, share: float) -> float:
    """The lead from which on the strong model serves, so that at most this share of queries goes to it.

    Where many queries have one lead, the share that is reached can be smaller. Source: Ong et al., RouteLLM (arXiv
    2406.18665), whose threshold on the win rate is this with two models.

    >>> strong_threshold(np.array([0.4, 0.3, 0.2, 0.1]), 0.5)
    0.3
    >>> strong_threshold(np.array([0.4, 0.3, 0.3, 0.1]), 0.5)
    0.4
    """
    levels = np.unique(margin)
    reached = 1.0 - np.searchsorted(np.sort(margin), levels, side="left") / len(margin)
    allowed = levels[reached <= share + 1e-12]
    return float(allowed[0]) if len(allowed) else math.inf


def strong_order(score: FloatArray, name: IntArray, strong: int, threshold: float) -> IntArray:
    """Models (n, m) by score, the strong one first where its lead reaches the threshold, else behind the next best."""
    order = best_first(score, name)
    serves = strong_margin(score, strong) >= threshold
    is_strong = np.arange(score.shape[1]) == strong
    front = in_front(order, np.broadcast_to(is_strong, score.shape))
    if score.shape[1] == 1:
        return front
    behind = np.concatenate([front[:, 1:2], front[:, :1], front[:, 2:]], axis=1)
    return np.where(serves[:, None], front, behind)


def budget_weight(served_usd: FloatArray, weights: FloatArray, budget: float) -> float | None:
    """The smallest weight at which the mean cost is within the budget, with half a standard error to spare.

    served_usd  (w, n) USD of what is served at each of the weights (w,); NaN unknown, left out
    Returns None where no weight is.

    >>> budget_weight(np.array([[3.0, 3.0], [1.0, 1.0]]), np.array([0.0, 10.0]), 2.0)
    10.0
    """
    known = np.isfinite(served_usd)
    count = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, served_usd, 0.0).sum(axis=1) / count
    spread = np.where(known, (served_usd - mean[:, None]) ** 2, 0.0).sum(axis=1) / np.maximum(count - 1, 1)
    within = (mean + 0.5 * np.sqrt(spread / count) <= budget) & known.any(axis=1)
    found = np.flatnonzero(within)
    return float(weights[found].min()) if len(found) else None
