"""What a policy may promise: quality, cost and saving on the calibration slice, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from llmrouterbench.benching.policies.best import Best
from llmrouterbench.benching.policies.cheapest import Cheapest
from llmrouterbench.benching.policies.policy import Policy, as_policy
from llmrouterbench.benching.policies.strong_share import StrongShare
from llmrouterbench.estimating.values import interval_of, within_bounds
from llmrouterbench.metrics import known_mean
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.learned import CalibrationSlice, LoggedSlice
from llmrouterbench.stats import FEWEST, UNKNOWN_NUMBER, Interval, Sample, effective_trials, pair
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def promises(fitted: FittedRouter, policies: Sequence[Policy | str], *, replicates: int = REPLICATES) -> list[Promise]:
    """One promise a policy, all on the same bootstrap draws. Raises ValueError for a policy beyond reach."""
    chosen = [as_policy(policy) for policy in policies]
    served = [served_on_slice(fitted, policy) for policy in chosen]
    single = np.full(len(fitted.learned.piece), fitted.learned.models.index(fitted.learned.best))
    choices = np.array([*(choice for choice, _ in served), single])
    piece, rows = fitted.learned.piece, np.arange(len(fitted.learned.piece))
    score, cost = (plane[rows, choices].T for plane in piece.judged)
    one_stratum = np.full(len(piece), "traffic")
    paired = pair([Sample(one_stratum, piece.group, score, cost)], replicates=replicates)
    return [
        _of_a_log(_promise(fitted, policy, choice, unmet, i, len(chosen), paired, len(piece)), piece, choice, single)
        for i, (policy, (choice, unmet)) in enumerate(zip(chosen, served, strict=True))
    ]


def _promise(
    fitted: FittedRouter, policy: Policy, choice: IntArray, unmet: float, i: int, base: int, paired: Any, n: int
) -> Promise:
    belief = fitted.dial.of_slice()
    ratio, cost = paired.cost_ratio(i, base), paired.cost(i)
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
    columns = [fitted.learned.models.index(model) for model in fitted.models]
    serves = np.isin(order, columns)
    choice = order[np.arange(len(order)), serves.argmax(axis=1)]
    unmet = 0.0 if met is None else float((~met[np.arange(len(order)), choice]).mean())
    far = fitted.dial.far_in_slice()
    return np.where(far, fitted.learned.models.index(fitted.learned.fallback), choice), unmet


def _mean_of(plane: FloatArray, choice: IntArray) -> float:
    return float(known_mean(plane[np.arange(len(choice)), choice]))


def _shares(models: tuple[str, ...], choice: IntArray) -> dict[str, float]:
    count = np.bincount(choice, minlength=len(models))
    order = np.argsort(-count, kind="stable")
    return {models[j]: float(count[j] / len(choice)) for j in order.tolist() if count[j]}


def usual_policies(fitted: FittedRouter) -> list[Policy]:
    """The default policy and one of each kind, at numbers that mean something for this router."""
    learned = fitted.learned
    best = learned.models.index(learned.best)
    found: list[Policy] = [fitted.default_policy, Best()]
    quality = float(np.floor(20 * learned.mean_score[best]) / 20)
    usd = float(known_mean(learned.piece.judged[1][:, best]))
    seconds = learned.seconds[np.isfinite(learned.seconds)]
    if np.isfinite(usd) and usd > 0:
        found += [Cheapest(min_quality=float(f"{q:.2g}")) for q in (quality, quality - 0.1) if q > 0]
        found += [Best(budget=float(f"{usd * part:.2g}")) for part in (0.75, 0.5, 0.25)]
    if len(seconds):
        found.append(Best(max_seconds=float(f"{np.median(seconds):.2g}")))
    if len(learned.models) > 1:
        found.append(StrongShare(value=0.3))
    return [policy for policy in dict.fromkeys(found) if _reachable(fitted, policy)]


def _reachable(fitted: FittedRouter, policy: Policy) -> bool:
    try:
        fitted.check_policy(policy)
    except ValueError:
        return False
    return True
