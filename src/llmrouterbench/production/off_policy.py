"""What another policy would have scored, from logs of the one that served: IPS, SNIPS and doubly robust estimates.

The logging policy must have chosen at random (an exploration share), and its probabilities must have been logged:
a model that it never could have served says nothing about itself. How much of the target policy lies there is said
beside every estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llmrouterbench.stats import Interval, interval
from llmrouterbench.table import BoolArray, FloatArray, IntArray

_MOST = 10_000
"""Blocks that a bootstrap draws; a log of a million decisions has them of 100 each."""


@dataclass(frozen=True)
class Logged:
    """Logged decisions with feedback, axes (query, model).

    choice      (n,) model that served
    propensity  (n, m) probability with which the logging policy would have served each model; rows add up to 1
    score       (n,) feedback on the reply, NaN where nobody gave any; or another number to average, such as its cost
    """

    choice: IntArray
    propensity: FloatArray
    score: FloatArray

    def __post_init__(self) -> None:
        n, m = self.propensity.shape
        if len(self.choice) != n or len(self.score) != n:
            raise ValueError(
                f"Logged.choice and .score must have a value for each of {n} decisions,"
                f" got {len(self.choice)} and {len(self.score)}"
            )
        if n and (self.choice.min() < 0 or self.choice.max() >= m):
            raise ValueError(f"Logged.choice must be a column of {m} models, got {self.choice.max()}")
        if n and not np.allclose(self.propensity.sum(axis=1), 1.0, atol=1e-6):
            raise ValueError("Logged.propensity must add up to 1 for every decision; log it for every model")
        served = self.propensity[np.arange(n), self.choice]
        if n and served.min() <= 0.0:
            raise ValueError(f"the model that served must have a propensity above 0, got {served.min():g}")

    def scored(self) -> Logged:
        """The decisions with feedback."""
        known = np.isfinite(self.score)
        return Logged(self.choice[known], self.propensity[known], self.score[known])


@dataclass(frozen=True)
class OffPolicy:
    """The value of a target policy, estimated from logs, with 95 % bootstrap intervals over decisions.

    logged             mean feedback of what was served
    ips                inverse propensity scoring: unbiased, wide (Horvitz and Thompson 1952)
    snips              the same, normalised by the sum of weights (Swaminathan and Joachims, NeurIPS 2015)
    doubly_robust      the router's estimate, corrected where feedback contradicts it; right if either the estimates or
                       the propensities are (Dudik, Langford and Li 2011, arXiv 1103.4601)
    decisions, scored  how many were logged, and how many of those have feedback: only these count
    effective          how many evenly weighted decisions the weights are worth
    unsupported        share of the target policy on models that the log could not have served: nothing there is
                       measured; IPS counts it as 0, the other two lean on the rest or on the estimates
    """

    logged: Interval
    ips: Interval
    snips: Interval
    doubly_robust: Interval
    decisions: int
    scored: int
    effective: float
    unsupported: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def evaluate_policy(
    logged: Logged, target: FloatArray, estimate: FloatArray, *, replicates: int = 1000, seed: int = 0
) -> OffPolicy:
    """Estimate the mean score of the policy `target` (n, m), probabilities, given score estimates (n, m) of each model.

    >>> log = Logged(np.array([0, 1]), np.full((2, 2), 0.5), np.array([1.0, 0.0]))
    >>> always_first = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> found = evaluate_policy(log, always_first, np.full((2, 2), 0.5), replicates=10)
    >>> found.ips.value, found.snips.value, found.doubly_robust.value
    (1.0, 1.0, 1.0)

    Raises ValueError where shapes differ, the target's rows do not add up to 1, or no decision has feedback.
    """
    if target.shape != logged.propensity.shape or estimate.shape != target.shape:
        raise ValueError(
            f"target and estimate must be (decisions, models) = {logged.propensity.shape},"
            f" got {target.shape} and {estimate.shape}"
        )
    if not np.allclose(target.sum(axis=1), 1.0, atol=1e-6):
        raise ValueError("target must be probabilities that add up to 1 for every decision")
    return evaluate_policies(logged, [target], estimate, replicates=replicates, seed=seed)[0]


def evaluate_policies(
    logged: Logged, targets: Sequence[FloatArray], estimate: FloatArray, *, replicates: int = 1000, seed: int = 0
) -> list[OffPolicy]:
    """`evaluate_policy` of several targets, on the same draws of decisions."""
    known = np.isfinite(logged.score)
    if not known.any():
        raise ValueError(f"no decision of {len(known)} has feedback; post scores to /v1/feedback first")
    drawn = _draws(int(known.sum()), replicates, seed)
    return [_evaluated(logged, known, target, estimate, drawn) for target in targets]


def _evaluated(
    logged: Logged, known: BoolArray, target: FloatArray, estimate: FloatArray, drawn: FloatArray
) -> OffPolicy:
    part, target = logged.scored(), target[known]
    terms = _terms(part, target, estimate[known])
    weights, rewards = terms[:, 0], terms[:, 1]
    totals = drawn @ _blocks(np.column_stack([terms, part.score]))
    ips, snips, doubly = totals[:, 1] / known.sum(), _ratio(totals[:, 1], totals[:, 0]), totals[:, 2] / known.sum()
    return OffPolicy(
        logged=interval(float(part.score.mean()), totals[:, 3] / known.sum()),
        ips=interval(float(rewards.mean()), ips),
        snips=interval(float(_ratio(rewards.sum(), weights.sum())), snips),
        doubly_robust=interval(float(terms[:, 2].mean()), doubly),
        decisions=len(known),
        scored=int(known.sum()),
        effective=float(_ratio(weights.sum() ** 2, (weights**2).sum())),
        unsupported=float(np.where(part.propensity > 0.0, 0.0, target).sum(axis=1).mean()),
    )


@dataclass(frozen=True)
class Against:
    """What was served against what a target policy would have given, on the same decisions.

    served, target  means a decision; the target's is the doubly robust one, see `OffPolicy`
    difference      served minus target; ratio: that, as a share of the target
    decisions       that count; unsupported: as in `OffPolicy`
    """

    served: float
    target: float
    difference: Interval
    ratio: Interval
    decisions: int
    unsupported: float


def served_against(
    logged: Logged, target: FloatArray, estimate: FloatArray, *, replicates: int = 1000, seed: int = 0
) -> Against | None:
    """Compare what was served with a target policy; None where no decision has the number.

    >>> log = Logged(np.array([0, 1]), np.full((2, 2), 0.5), np.array([0.2, 0.6]))
    >>> found = served_against(log, np.array([[0.0, 1.0]] * 2), np.array([[0.2, 0.6]] * 2), replicates=10)
    >>> round(found.target, 3), round(found.difference.value, 3)
    (0.6, -0.2)
    """
    known = np.isfinite(logged.score)
    if not known.any():
        return None
    part, target = logged.scored(), target[known]
    sums = np.column_stack([_terms(part, target, estimate[known])[:, 2], part.score])
    totals = _draws(int(known.sum()), replicates, seed) @ _blocks(sums)
    gap, (theirs, ours) = totals[:, 1] - totals[:, 0], sums.mean(axis=0)
    return Against(
        served=float(ours),
        target=float(theirs),
        difference=interval(float(ours - theirs), gap / known.sum()),
        ratio=interval(float(_ratio(ours - theirs, theirs)), _ratio(gap, totals[:, 0])),
        decisions=int(known.sum()),
        unsupported=float(np.where(part.propensity > 0.0, 0.0, target).sum(axis=1).mean()),
    )


def _terms(part: Logged, target: FloatArray, estimate: FloatArray) -> FloatArray:
    """(n, 3) importance weight, weighted score, doubly robust term of each decision."""
    rows = np.arange(len(part.choice))
    weight = target[rows, part.choice] / part.propensity[rows, part.choice]
    known = np.where(np.isfinite(estimate), estimate, part.score.mean())
    direct = (target * known).sum(axis=1)
    doubly = direct + weight * (part.score - known[rows, part.choice])
    return np.column_stack([weight, weight * part.score, doubly])


def _draws(n: int, replicates: int, seed: int) -> FloatArray:
    """(replicates, blocks) how often each block of decisions is drawn, as many draws with replacement each."""
    blocks = -(-n // _size(n))
    rng = np.random.default_rng(seed)
    return rng.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=replicates).astype(np.float64)


def _blocks(terms: FloatArray) -> FloatArray:
    """Sums (blocks, k) of terms (n, k) over decisions that follow one another."""
    return np.asarray(np.add.reduceat(terms, np.arange(0, len(terms), _size(len(terms))), axis=0))


def _size(n: int) -> int:
    """Decisions of a block: one each, until there are too many to draw."""
    return -(-n // _MOST)


def _ratio(above: FloatArray | float, below: FloatArray | float) -> FloatArray:
    """A quotient, NaN where nothing is below."""
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    quotient: FloatArray = np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
    return quotient
