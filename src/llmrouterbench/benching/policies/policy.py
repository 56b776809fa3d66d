"""A policy: words such as `cheapest --min-quality 0.8`, and the order in which it tries the models.

Each kind is a subclass of `Policy` in a file beside this one and is found by itself: how it is written, the fields of
its options, and pure functions on arrays with axes (query, model). A policy serves in production and can be decided in
a bench: it is solved once on queries that the router did not learn from, and then orders the models of any query.

    policy = Policy.parse("cheapest --min-quality 0.8")
    choice = policy.decide(belief, piece)
"""

from __future__ import annotations

import math
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, NamedTuple

import numpy as np

from llmrouterbench.benching.policies.orders import in_time_first, unknown_as_dearest
from llmrouterbench.naming import did_you_mean
from llmrouterbench.table import BoolArray, FloatArray, IntArray


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


@dataclass(frozen=True)
class Slice:
    """Queries that the router did not learn from, on which policies are solved.

    belief    what was expected of them
    paid      (n, m) USD that each call cost; NaN unknown
    settings  (w,) of the dial, from "quality decides" to the cheapest
    """

    belief: Belief
    paid: FloatArray
    settings: FloatArray

    def served_usd(self, policy: Policy, setting: float) -> FloatArray:
        """USD (n,) of what a policy serves at a setting: what was paid where that is known, else what is expected."""
        choice = policy.ranked(self.belief, setting)[0][:, :1]
        paid = np.take_along_axis(self.paid, choice, axis=1)[:, 0]
        return np.where(np.isfinite(paid), paid, np.take_along_axis(self.belief.usd, choice, axis=1)[:, 0])


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
    def order(self, belief: Belief, setting: float) -> Ranking:
        """Models (n, m), best first, at a setting of the dial, reply times aside."""

    def solve(self, piece: Slice) -> float:
        """The setting of the dial that the policy comes to: the end where quality decides, unless a kind says another.

        Raises ValueError where the router or the queries do not allow it.
        """
        return float(piece.settings[0])

    def solved(self, piece: Slice) -> float:
        """The setting of the dial on queries that the router did not learn from.

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

    def ranked(self, belief: Belief, setting: float) -> Ranking:
        """Models (n, m), best first, and which of them (n, m) meet the policy's bounds; None where it has none."""
        order, met = self.order(belief, setting)
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
