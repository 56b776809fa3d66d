"""A policy: words such as `cheapest --min-quality 0.8`, and the order in which it tries the models.

Each kind is a subclass of `Policy` in a file beside this one and is found by itself: how it is written, the fields of
its options, and pure functions on arrays with axes (query, model). A policy serves in production and can be decided in
a bench: it is solved once on queries that the router did not learn from, and then orders the models of any query.

    policy = Policy.parse("cheapest --min-quality 0.8")
    choice = policy.decide(belief, piece)
"""

from __future__ import annotations

import hashlib
import math
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache, cached_property
from importlib import import_module
from itertools import takewhile
from pkgutil import iter_modules
from typing import Any, ClassVar, NamedTuple

import numpy as np

from llmrouterbench.benching.policies.orders import in_time_first, unknown_as_dearest
from llmrouterbench.metrics import known_mean
from llmrouterbench.naming import did_you_mean
from llmrouterbench.table import BoolArray, FloatArray, IntArray

_SHARES = tuple(np.arange(0.05, 1.0, 0.05).round(2).tolist())


def coins(names: Sequence[str]) -> FloatArray:
    """A number (n,) in [0, 1) for each name of a query, such as its text or the hash of that.

    >>> coins(["What is 6 times 7?", "What is 6 times 8?"]).round(3).tolist()
    [0.221, 0.431]
    """
    digests = (hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() for name in names)
    return np.array([int.from_bytes(digest[:6], "big") / 2**48 for digest in digests], dtype=np.float64)


@dataclass(frozen=True)
class Belief:
    """What is expected of m models on n queries.

    models   m ids
    name     (m,) rank of each model in plain string order: ties go to the first
    single   column of the best single model of train
    score    (n, m) the router's own estimate: who is better
    cost     (n, m) the router's own estimate in USD, NaN unknown
    quality  (n, m) calibrated score in [0, 1]: how good
    usd      (n, m) calibrated cost, NaN unknown
    seconds  (n, m) NaN unknown
    coin     (n,) in [0, 1), the same whenever the query comes: which of two settings it has where a policy mixes them
    dial     for a router with a dial of its own: the model (n,) that it decides on at a setting
    """

    models: tuple[str, ...]
    name: IntArray
    single: int
    score: FloatArray
    cost: FloatArray
    quality: FloatArray
    usd: FloatArray
    seconds: FloatArray
    coin: FloatArray
    dial: Callable[[float], IntArray] | None = None

    def value(self, setting: float) -> FloatArray:
        """What is maximised (n, m) at a setting of the dial: score - setting * cost, as `best_utility` has it.

        A dial of the router's own lifts the model that it decides on above all others.
        """
        if self.dial is None:
            return self.score - setting * unknown_as_dearest(self.cost)
        value = np.array(self.score)
        value[np.arange(len(value)), self.dial(setting)] = np.inf
        return value


class Solved(NamedTuple):
    """What a policy came to on a slice.

    setting   of the dial
    other     one beyond it, which a share of the queries has
    share     this share
    reached   whether its bound can be promised; where not, no model meets it
    at_worst  the 95 % bound of what is bounded: USD a query, mean score or share; NaN where nothing is
    each      whether the bound is asked of every query's belief instead, as folders of version 0.1 have it
    """

    setting: float
    other: float = math.nan
    share: float = 0.0
    reached: bool = True
    at_worst: float = math.nan
    each: bool = False


@dataclass(frozen=True)
class Slice:
    """Queries that the router did not learn from, on which policies are solved.

    belief    what was expected of them
    score     (n, m) what each reply scored; NaN not measured
    paid      (n, m) USD that each call cost; NaN unknown
    settings  (w,) of the dial, from "quality decides" to the cheapest
    group     (n,) copies of a query share a number
    serving   (m,) which models serve; None: all
    fallback  (n,) who serves whatever a policy says; -1: the policy decides. None: everywhere
    sure      whether a bound is promised: kept in at least 95 of 100 slices; otherwise as in version 0.1
    asked     for a router that reads replies: which models (n, m) it asks first at a setting of the dial
    """

    belief: Belief
    score: FloatArray
    paid: FloatArray
    settings: FloatArray
    group: IntArray
    serving: BoolArray | None = None
    fallback: IntArray | None = None
    sure: bool = True
    asked: Callable[[float], BoolArray] | None = None

    def served(self, policy: Policy, solved: Solved) -> IntArray:
        """Model (n,) that serves each query under a policy, exploration aside."""
        order, rows = policy.ranked(self.belief, solved)[0], np.arange(len(self.score))
        choice = order[:, 0] if self.serving is None else order[rows, self.serving[order].argmax(axis=1)]
        return choice if self.fallback is None else np.where(self.fallback >= 0, self.fallback, choice)

    def quality(self, policy: Policy, solved: Solved) -> FloatArray:
        """Score (n,) of what a policy serves: what was measured, else what is expected."""
        return self.under(policy, solved, np.where(np.isfinite(self.score), self.score, self.belief.quality))

    def usd(self, policy: Policy, solved: Solved) -> FloatArray:
        """USD (n,) of what a policy serves: what was paid where that is known, else what is expected."""
        return self.bill(policy, solved, np.where(np.isfinite(self.paid), self.paid, self.belief.usd))

    def bill(self, policy: Policy, solved: Solved, paid: FloatArray) -> FloatArray:
        """USD (n,) of all calls under a policy, where a call costs `paid` (n, m)."""
        asked = self.asked
        if asked is None or not policy.on_dial:
            return self.under(policy, solved, paid)
        return self.under(policy, solved, paid, lambda setting: with_asked(paid, asked(setting)))

    def chance(self, policy: Policy, solved: Solved, model: int) -> FloatArray:
        """Chance (n,) with which a model serves each query."""
        is_model = (np.arange(self.score.shape[1]) == model).astype(np.float64)
        return self.under(policy, solved, np.broadcast_to(is_model, self.score.shape))

    def under(
        self,
        policy: Policy,
        solved: Solved,
        plane: FloatArray,
        at: Callable[[float], FloatArray] | None = None,
    ) -> FloatArray:
        """Cells (n,) of a plane (n, m) that a policy gets: mixed as its settings are, its exploration too.

        at  the plane at a setting, for what the policy serves; None: the same everywhere
        """
        if solved.share:
            one, other = (
                self.under(policy, solved._replace(setting=setting, share=0.0), plane, at)
                for setting in (solved.setting, solved.other)
            )
            return (1.0 - solved.share) * one + solved.share * other
        served = plane if at is None else at(solved.setting)
        got = served[np.arange(len(plane)), self.served(policy, solved)]
        if not policy.explore:
            return got
        other = known_mean(plane if self.serving is None else plane[:, self.serving], axis=1)
        explored = (1.0 - policy.explore) * got + policy.explore * other
        return explored if self.fallback is None else np.where(self.fallback >= 0, got, explored)

    def furthest(
        self, settings: FloatArray, worst: Callable[[Solved], float], keeps: Callable[[float], bool]
    ) -> Solved | None:
        """As far as a bound is kept, from the safest of some settings on; None where not even there.

        worst  95 % bound of what is served

        The first setting that does not keep it has as large a share of the queries as keeps it. Because nothing beyond
        is tried, the chance that what is found breaks the bound is at most 5 %. Source: fixed sequence testing,
        Angelopoulos et al., Learn then Test (arXiv 2110.01052).
        """
        last: Solved | None = None
        for setting in settings.tolist():
            whole = _judged(Solved(setting), worst)
            if keeps(whole.at_worst):
                last = whole
            elif last is None:
                return None
            else:
                mixed = (_judged(Solved(last.setting, setting, share), worst) for share in _SHARES)
                return [last, *takewhile(lambda one: keeps(one.at_worst), mixed)][-1]
        return last


def _judged(tried: Solved, worst: Callable[[Solved], float]) -> Solved:
    return tried._replace(at_worst=worst(tried))


def with_asked(paid: FloatArray, asked: BoolArray) -> FloatArray:
    """USD (n, m) of serving each model where those that are `asked` (n, m) are paid too.

    >>> with_asked(np.array([[1.0, 2.0, 9.0]]), np.array([[True, True, False]])).tolist()
    [[3.0, 3.0, 12.0]]
    """
    first = np.where(asked, paid, 0.0).sum(axis=1, keepdims=True)
    return np.asarray(first + np.where(asked, 0.0, paid))


class Rule(NamedTuple):
    """What the number of an option must be, in words and as a test."""

    said: str
    holds: Callable[[float], bool]


SHARE = Rule("between 0 and 1", lambda value: 0.0 <= value <= 1.0)
AMOUNT = Rule("above 0", lambda value: 0.0 < value < math.inf)


def option(rule: Rule | None = None, default: Any = MISSING, unit: str = "") -> Any:
    """The field of an option, `--min-quality` for min_quality; without a rule it is a text.

    A field named `value` is the number behind the kind. `unit` may stand behind the number, such as "/query".
    """
    return field(default=default, metadata={"rule": rule, "unit": unit})


Ranking = tuple[IntArray, BoolArray | None]
"""Models (n, m), best first, and which of them (n, m) meet the policy's bounds; None where it has none."""


@dataclass(frozen=True, kw_only=True)
class Policy(ABC):
    """What to optimise when serving.

    max_seconds  expected seconds that a model may take
    explore      share of queries that a random model serves

    >>> str(Policy.parse("cheapest --min-quality 0.8 --max-seconds 5"))
    'cheapest --min-quality 0.8 --max-seconds 5'
    >>> Policy.parse("cheepest --min-quality 0.8")
    Traceback (most recent call last):
        ...
    ValueError: no policy named 'cheepest'; did you mean 'cheapest'?
    """

    kind: ClassVar[str]
    forms: ClassVar[tuple[str, ...]]
    """Examples of the words, the plainest first."""
    on_dial: ClassVar[bool] = True
    """Whether what it comes to is a setting of the router's dial, at which a router that reads replies asks."""

    max_seconds: float | None = option(AMOUNT, None)
    explore: float = option(SHARE, 0.0)

    def __post_init__(self) -> None:
        for one in fields(self):
            value, rule = getattr(self, one.name), one.metadata["rule"]
            if rule is not None and value is not None and not rule.holds(value):
                raise ValueError(f"{_name(type(self), one)} must be {rule.said}, got {value:g}")

    @property
    def needs_costs(self) -> bool:
        """Whether it cannot be followed without costs."""
        return False

    @property
    def needs_seconds(self) -> bool:
        """Whether it cannot be followed without reply times."""
        return self.max_seconds is not None

    @abstractmethod
    def order(self, belief: Belief, solved: Solved) -> Ranking:
        """Models (n, m), best first, at a setting of the dial, reply times aside."""

    def solve(self, piece: Slice) -> Solved:
        """What the policy comes to: the end of the dial where quality decides, unless a kind says another.

        Raises ValueError where the router or the queries do not allow it.
        """
        return Solved(float(piece.settings[0]))

    def solved(self, piece: Slice) -> Solved:
        """What the policy comes to on queries that the router did not learn from.

        Raises ValueError where there are no costs or times to follow the policy by, or nothing is within its bounds.
        """
        for needs, plane, what, column in (
            (self.needs_costs, piece.belief.usd, "costs", "a cost"),
            (self.needs_seconds, piece.belief.seconds, "reply times", "seconds"),
        ):
            if needs and not np.isfinite(plane).any():
                raise ValueError(
                    f"policy {str(self)!r} needs {what}, and the outcomes held none; fit on outcomes with {column}"
                )
        return self.solve(piece)

    def ranked(self, belief: Belief, solved: Solved) -> Ranking:
        """Models (n, m), best first, and which of them (n, m) meet the policy's bounds; None where it has none."""
        order, met = self.order(belief, solved)
        if solved.share:
            other, _ = self.order(belief, solved._replace(setting=solved.other))
            order = np.where((belief.coin < solved.share)[:, None], other, order)
        if not solved.reached:
            met = np.zeros(order.shape, dtype=np.bool_)
        if self.max_seconds is None:
            return order, met
        order, fast = in_time_first(order, belief.seconds, self.max_seconds)
        return order, fast if met is None else met & fast

    def decide(self, belief: Belief, piece: Slice) -> IntArray:
        """Model (n,) that serves each query, solved on `piece`; exploration aside."""
        return self.ranked(belief, self.solved(piece))[0][:, 0]

    @staticmethod
    def parse(text: str) -> Policy:
        """The policy that a line of words names. Raises ValueError with a suggestion."""
        try:
            kind, *rest = shlex.split(text)
        except ValueError:  # no word at all, or a quote that does not end
            raise ValueError(f"a policy must be one of {', '.join(map(repr, forms()))}, got {text!r}") from None
        if kind not in kinds():
            raise ValueError(f"no policy named {kind!r}{did_you_mean(kind, kinds())}")
        cls = kinds()[kind]
        found = _parsed(cls, rest, text)
        for one in fields(cls):
            if one.default is MISSING and one.name not in found:
                need = "a number behind it" if one.name == "value" else _name(cls, one)
                raise ValueError(f"policy {kind!r} must have {need}, got none; write {cls.forms[0]!r}")
        return cls(**found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self._said

    @cached_property
    def _said(self) -> str:
        return " ".join([self.kind, *(word for one in _in_order(type(self)) for word in self._words(one))])

    def _words(self, one: Field[Any]) -> list[str]:
        value = getattr(self, one.name)
        if value == one.default:
            return []
        said = shlex.quote(value) if isinstance(value, str) else f"{_digits(value)}{one.metadata['unit']}"
        return [said] if one.name == "value" else [_name(type(self), one), said]


@cache
def kinds() -> dict[str, type[Policy]]:
    """Every kind of policy by name: the files of this package."""
    package = import_module(__name__.rpartition(".")[0])
    for found in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(found.name)
    return {cls.kind: cls for cls in Policy.__subclasses__()}


def forms() -> list[str]:
    """An example of every way to write a policy."""
    return [form for cls in kinds().values() for form in cls.forms]


def as_policy(policy: Policy | str) -> Policy:
    """A policy from itself or from its words."""
    return policy if isinstance(policy, Policy) else Policy.parse(policy)


def _name(cls: type[Policy], one: Field[Any]) -> str:
    """How the words call a field: the kind itself for the number behind it."""
    return cls.kind if one.name == "value" else f"--{one.name.replace('_', '-')}"


def _in_order(cls: type[Policy]) -> list[Field[Any]]:
    """The fields as they are written: the number, bounds, names, exploration."""
    own = [one for one in fields(cls) if one.name not in ("max_seconds", "explore")]
    common = {one.name: one for one in fields(Policy)}
    bounds = sorted((one for one in own if one.metadata["rule"] is not None), key=lambda one: one.name != "value")
    names = [one for one in own if one.metadata["rule"] is None]
    return [*bounds, common["max_seconds"], *names, common["explore"]]


def _parsed(cls: type[Policy], words: list[str], text: str) -> dict[str, float | str]:
    """Fields by name from the words behind the kind."""
    options = {_name(cls, one): one for one in fields(cls)}
    number, found = options.pop(cls.kind, None), dict[str, float | str]()
    if words and not words[0].startswith("--"):
        if number is None:
            raise ValueError(f"policy {cls.kind!r} must have no number behind it, such as {cls.forms[0]!r}")
        found["value"] = _number(cls, number, words.pop(0))
    while words:
        word, equals, value = words.pop(0).partition("=")
        if word not in options:
            raise ValueError(f"policy {cls.kind!r} has no option {word!r}{did_you_mean(word, options)}")
        if not equals and not words:
            raise ValueError(f"{word} must have a value behind it, got the end of {text!r}")
        one, value = options[word], value if equals else words.pop(0)
        found[one.name] = value if one.metadata["rule"] is None else _number(cls, one, value)
    return found


def _digits(value: float) -> str:
    return f"{value:.17g}" if float(f"{value:g}") != value else f"{value:g}"


def _number(cls: type[Policy], one: Field[Any], word: str) -> float:
    name, unit = _name(cls, one), one.metadata["unit"]
    try:
        value = float(word.removeprefix("$").removesuffix(unit) if unit else word)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        example = next((form for form in cls.forms if name in form), f"{cls.forms[0]} {name} 0.05")
        raise ValueError(f"{name} must be a number, got {word!r}; write it as in {example!r}")
    return value
