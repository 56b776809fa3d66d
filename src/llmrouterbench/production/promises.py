"""What a policy may promise: quality, cost and saving on the calibration slice, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from llmrouterbench.benching.policies.best import Best
from llmrouterbench.benching.policies.cheapest import Cheapest
from llmrouterbench.benching.policies.policy import Policy, Solved, as_policy
from llmrouterbench.benching.policies.strong_share import StrongShare
from llmrouterbench.estimating.values import interval_of, within_bounds
from llmrouterbench.metrics import known_mean
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.learned import CalibrationSlice, LoggedSlice
from llmrouterbench.stats import FEWEST, UNKNOWN_NUMBER, Interval, Paired, Sample, effective_trials, pair
from llmrouterbench.table import FloatArray, IntArray

REPLICATES = 1000


@dataclass(frozen=True)
class Promise:
    """A policy on the calibration slice: means over its queries, as traffic of the same kind would get them.

    quality   mean score
    lead      quality minus that of the best single model
    cost      USD a query
    saving    1 - cost / cost of the best single model
    expected  mean calibrated score of what serves, each from a map that did not see the query
    seconds   mean expected seconds; NaN unknown
    share     part of the queries that each model serves, the largest first
    novel     part of the queries out of distribution, which the fallback serves
    unmet     part of the queries for which no model meets the policy
    at_worst  the 95 % bound of what the policy keeps: USD a query of --budget, mean score of --min-quality, share of
              strong-share; NaN for others
    """

    policy: str
    quality: Interval
    lead: Interval
    cost: Interval
    saving: Interval
    expected: float
    seconds: float
    share: dict[str, float]
    novel: float
    unmet: float
    at_worst: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def promises(fitted: FittedRouter, policies: Sequence[Policy | str], *, replicates: int = REPLICATES) -> list[Promise]:
    """One promise a policy, all on the same bootstrap draws. Raises ValueError for a policy beyond reach."""
    chosen, piece = [as_policy(policy) for policy in policies], fitted.dial.piece
    solved = [fitted.dial.solved(policy) for policy in chosen]
    single = np.full(len(piece.score), fitted.learned.models.index(fitted.learned.best))
    at = np.arange(len(single)), single
    score, cost = (
        np.column_stack([*(of(*one, plane) for one in zip(chosen, solved, strict=True)), plane[at]])
        for of, plane in ((piece.under, piece.score), (piece.bill, piece.paid))
    )
    paired = pair([Sample(np.full(len(single), "traffic"), piece.group, score, cost)], replicates=replicates)
    return [
        _of_a_log(
            _promise(fitted, one, bound, i, paired), fitted.learned.piece, served_on_slice(fitted, one)[0], single
        )
        for i, (one, bound) in enumerate(zip(chosen, solved, strict=True))
    ]


def _promise(fitted: FittedRouter, policy: Policy, solved: Solved, i: int, paired: Paired) -> Promise:
    """The promise of column i; the last one is the best single model."""
    belief, base = fitted.dial.piece.belief, len(paired.acc) - 1
    ratio, cost = paired.cost_ratio(i, base), paired.cost(i)
    choice, unmet = served_on_slice(fitted, policy)
    n = len(choice)
    return Promise(
        policy=str(policy),
        quality=paired.accuracy(i),
        lead=paired.difference(i, base),
        cost=Interval(cost.value / n, cost.low / n, cost.high / n),
        saving=Interval(-ratio.value, -ratio.high, -ratio.low),
        expected=_mean_of(belief.quality, choice),
        seconds=_mean_of(belief.seconds, choice),
        share=_shares(fitted.learned.models, choice),
        novel=float(fitted.dial.far_in_slice()[fitted.learned.piece.fresh].mean()),
        unmet=unmet,
        at_worst=solved.at_worst,
    )


def _of_a_log(made: Promise, piece: CalibrationSlice, choice: IntArray, single: IntArray) -> Promise:
    """The same where the slice is a matrix; of a log no quality below 20 effective trials, and honest ones above."""
    if not isinstance(piece, LoggedSlice):
        return made
    traffic, rows, differ = np.full(len(piece), "traffic"), np.arange(len(piece)), choice != single
    trials, usual = (float(effective_trials(piece.weight[rows, one])) for one in (choice, single))
    value, base = (piece.value_score[rows, one] for one in (choice, single))
    lead = quality = UNKNOWN_NUMBER
    if trials >= FEWEST and np.isfinite(value).all():
        quality = within_bounds(interval_of(value, traffic, piece.group, trials))
    if not differ.any():
        lead = Interval(0.0, 0.0, 0.0)
    elif min(trials, usual) >= FEWEST and np.isfinite(value - base).all():
        lead = interval_of(value - base, traffic, piece.group, min(trials, usual), float(differ.mean()))
    return replace(made, quality=quality, lead=lead)


def served_on_slice(fitted: FittedRouter, policy: Policy) -> tuple[IntArray, float]:
    """Model (n,) that serves each query of the slice, and the part of them for which none meets the policy."""
    order, met = fitted.dial.order_of_slice(policy)
    rows, learned = np.arange(len(order)), fitted.learned
    choice = order[rows, np.isin(order, [learned.models.index(model) for model in fitted.models]).argmax(axis=1)]
    unmet = 0.0 if met is None else float((~met[rows, choice]).mean())
    return np.where(fitted.dial.far_in_slice(), learned.models.index(learned.fallback), choice), unmet


def serves_alone(fitted: FittedRouter) -> str | None:
    """The model that serves every query of the slice under the default policy, which is no routing; else None."""
    share = _shares(fitted.learned.models, served_on_slice(fitted, fitted.default_policy)[0])
    return next(iter(share)) if len(share) == 1 else None


def _mean_of(plane: FloatArray, choice: IntArray) -> float:
    return float(known_mean(plane[np.arange(len(choice)), choice]))


def _shares(models: tuple[str, ...], choice: IntArray) -> dict[str, float]:
    count = np.bincount(choice, minlength=len(models))
    order = np.argsort(-count, kind="stable")
    return {models[j]: float(count[j] / len(choice)) for j in order.tolist() if count[j]}


def usual_promises(fitted: FittedRouter) -> list[Promise]:
    """Promises of the usual policies, the dearest first, without those that another equals or beats.

    What counts is quality, cost and time; the default policy stays.
    """
    made = promises(fitted, usual_policies(fitted))
    own = made[0]
    kept = [one for one in made if one is own or not any(_beats(other, one) for other in made)]
    distinct = {tuple(np.nan_to_num([one.quality.value, one.cost.value, one.seconds])): one for one in reversed(kept)}
    return sorted(distinct.values(), key=lambda one: (-np.nan_to_num(one.cost.value, nan=np.inf), -one.quality.value))


def _beats(one: Promise, other: Promise) -> bool:
    """Whether a promise is nowhere worse than another and somewhere better; what is not known is as good as any."""
    better = one.quality.value - other.quality.value, other.cost.value - one.cost.value, other.seconds - one.seconds
    known = [lead for lead in better if np.isfinite(lead)]
    return min(known, default=0.0) >= 0.0 and max(known, default=0.0) > 0.0


def usual_policies(fitted: FittedRouter) -> list[Policy]:
    """The default policy and one of each kind, at numbers that mean something for this router."""
    learned = fitted.learned
    best = learned.models.index(learned.best)
    found: list[Policy] = [fitted.default_policy, Best()]
    quality = float(np.floor(20 * learned.mean_score[best]) / 20)
    usd = float(known_mean(learned.piece.judged[1][:, best]))
    seconds = learned.seconds[np.isfinite(learned.seconds)]
    if np.isfinite(usd) and usd > 0:
        found += [Cheapest(min_quality=float(f"{q:.2g}")) for q in (quality, quality - 0.05, quality - 0.1) if q > 0]
        found += [Best(budget=float(f"{usd * part:.2g}")) for part in (0.75, 0.5, 0.25)]
    if len(seconds):
        found.append(Best(max_seconds=float(f"{np.median(seconds):.2g}")))
    if len(learned.models) > 1:
        found.append(StrongShare(value=0.3))
    return [policy for policy in dict.fromkeys(found) if _reachable(fitted, policy)]


def _reachable(fitted: FittedRouter, policy: Policy) -> bool:
    try:
        return fitted.dial.solved(policy).reached
    except ValueError:
        return False
