"""Is routing worth it, what to run, and what accepting a loss of accuracy would save: one verdict for every command."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.offers import Offers, Pick, offers
from llmrouterbench.coverage import coverage_of
from llmrouterbench.stats import UNKNOWN_NUMBER, Interval, IntervalRule, Paired, detectable, judged, pair
from llmrouterbench.studies.swaps import Swap, find_swap
from llmrouterbench.table import FloatArray, Outcomes

ASKED = tuple(round(0.005 * i, 3) for i in range(21))
"""Losses that are asked about: 0 to 10 points."""
MUCH = 0.1
"""AvgAcc; where a lead of this size may not be seen, that none was seen says nothing."""
SEEN = 0.005
"""Share of the queries from which a model is said to serve."""
WORTH_GAIN, WORTH_SAVING, TOLERANCE = 0.005, 0.05, 0.01
"""AvgAcc and share of the bill that are worth a change; AvgAcc that a saving may cost at the low end."""
_ONE_SPLIT = 1.0 / 0.7
"""Variance of a gain on one split over what its test queries show: the fit varies with the other 70 % of them."""
Action = Literal[
    "cannot tell",
    "do not route",
    "swap the model",
    "route by task",
    "route for quality",
    "route for quality and cost",
    "route to save",
]


@dataclass(frozen=True)
class Offer:
    """What would be run where so much AvgAcc may be lost against the best single model of train, and how that did.

    losing      a fraction; None: accuracy alone counts
    name        router or model that most seeds picked, with its operating point (NaN for a model)
    seeds       how many did
    avg_acc     on test
    difference  AvgAcc minus that of the single model
    saving      1 - cost / cost of the single model
    bill        USD of all test queries
    usd         per 1,000 queries
    served      models by the share of the test queries that they answer, the largest first
    """

    losing: float | None
    kind: str
    name: str
    weight: float
    seeds: int
    avg_acc: Interval
    difference: Interval
    saving: Interval
    bill: Interval
    usd: Interval
    served: tuple[tuple[str, float], ...]

    @property
    def cheaper(self) -> bool:
        """Whether it certainly costs less."""
        return self.saving.low > 0.0

    @property
    def gains(self) -> bool:
        """Whether AvgAcc certainly rises, by an amount worth having."""
        return self.difference.low > 0.0 and self.leads

    @property
    def leads(self) -> bool:
        """Whether AvgAcc rises by an amount worth having, surely or not."""
        return self.difference.value >= WORTH_GAIN

    @property
    def pays(self) -> bool:
        """Whether the bill certainly falls, by an amount worth having."""
        return self.cheaper and self.saving.value >= WORTH_SAVING


@dataclass(frozen=True)
class Verdict:
    """The offers of a bench, the one for accuracy first, and the best single model of train in most seeds.

    queries  of the test part of a seed
    seen     smallest true lead of the most accurate other way that these queries show in 80 of 100 samples, or the lead
             that a perfect choice can have at most, where that is less
    behind   whether that way is certainly less accurate
    table    the model that is best on each task in train, where a query's task (dataset) is known: it predicts
             nothing; None of a log
    over     AvgAcc of the table minus that of the offer for accuracy
    swap     a cheaper model for everybody, by all queries; None where there is none, and of a log
    """

    base: str
    seeds: int
    queries: int
    seen: float
    offers: tuple[Offer, ...]
    behind: bool = False
    table: Offer | None = None
    over: Interval = UNKNOWN_NUMBER
    swap: Swap | None = None

    @property
    def decided(self) -> tuple[Action, Offer | Swap | None]:
        """What to do, and what is run for it; None where the single model goes on.

        Quality comes before cost, and a router before a table by task or another model only where it does more.
        """
        best, free = self.offers[:2]
        if self.table and self.table.gains and (not best.gains or self.over.low > 0.0):
            return "route by task", self.table
        if best.gains:
            if best.kind == "model":
                return "swap the model", best
            return ("route for quality and cost" if best.pays else "route for quality"), best
        saves = free.pays and free.difference.low >= -TOLERANCE
        if self.swap and self.swap.sure and not (saves and free.saving.value > self.swap.saving.value):
            return "swap the model", self.swap
        if saves:
            return ("swap the model" if free.kind == "model" else "route to save"), free
        return ("do not route" if self.told and self.unsettled is None else "cannot tell"), None

    @property
    def told(self) -> bool:
        """Whether these queries would show a large lead."""
        return self.behind or self.seen <= MUCH

    @property
    def unsettled(self) -> Offer | None:
        """What may be worth it: it saves surely and loses nothing that these queries show, or gains, not surely."""
        maybe = [one for one in self.offers[1:] if one.saving.low >= WORTH_SAVING and judged(one.difference) != "worse"]
        maybe += [one for one in (self.offers[0], self.table) if one and one.difference.low <= 0.0 and one.leads]
        return next(iter(maybe), None) if not self.behind else None

    @property
    def action(self) -> Action:
        """What to do."""
        return self.decided[0]

    @property
    def choice(self) -> Offer | Swap | None:
        """What is run for it."""
        return self.decided[1]

    @property
    def priced(self) -> bool:
        """Whether costs are known."""
        return math.isfinite(self.offers[1].usd.value)

    def losing(self, loss: float) -> Offer:
        """The offer at a loss."""
        return next(one for one in self.offers if one.losing == loss)


def verdict(
    runs: Runs, outcomes: Outcomes, *, samples: int = 1000, seed: int = 0, rule: IntervalRule = "t"
) -> Verdict | None:
    """Pick and measure every offer; None where nothing was decided on training queries that a router did not see."""
    found = offers(runs, outcomes, ASKED)
    if found is None:
        return None
    paired = pair(found.samples, replicates=samples, seed=seed, rule=rule)
    tested = float(np.mean([len(sample.dataset) for sample in found.samples]))
    asked = len(found.losing)
    *made, table = (_offer(found, i, outcomes.pool.models, paired, tested) for i in range(asked + 1))
    lead = paired.difference(asked + 1, asked + 2)
    base = Counter(found.base).most_common(1)[0][0]
    seen = float(np.fmin(math.nan if judged(lead) == "the same" else detectable(lead), ceiling(outcomes, base)))
    logged = not coverage_of(outcomes.pool).matrix
    return Verdict(
        base,
        len(found.samples),
        round(tested),
        seen,
        tuple(made),
        judged(lead) == "worse",
        None if logged else table,
        elsewhere(paired.difference(asked, 0), len(found.samples)),
        None if logged else find_swap(outcomes, base, replicates=samples, seed=seed),
    )


def ceiling(outcomes: Outcomes, base: str) -> float:
    """AvgAcc that a perfect choice can gain on a model at most, with two standard errors; NaN where it is not known.

    At least 3 / n: what n queries show of no gain at all (Hanley, Lippman-Hand, If nothing goes wrong, 1983).
    """
    score = outcomes.pool.score
    if not np.isfinite(score).all():
        return math.nan
    gain = score.max(axis=1) - score[:, outcomes.pool.models.index(base)]
    each = [gain[outcomes.dataset == name] for name in outcomes.datasets]
    error = math.sqrt(sum(float(one.var()) / len(one) for one in each)) / len(each)
    return float(np.mean([one.mean() for one in each])) + max(2.0 * error, 3.0 / len(gain))


def _offer(found: Offers, i: int, models: Sequence[str], paired: Paired, tested: float) -> Offer:
    (kind, name), seeds = Counter((pick.kind, pick.name) for pick in found.picks[i]).most_common(1)[0]
    losing, bill, by = found.losing, paired.cost(i), 1000.0 / tested
    single, splits = len(losing) + 2, len(found.samples) if kind != "model" else 0
    return Offer(
        losing=losing[i] if i < len(losing) else None,
        kind=kind,
        name=name,
        weight=_weight([pick for pick in found.picks[i] if (pick.kind, pick.name) == (kind, name)]),
        seeds=seeds,
        avg_acc=paired.accuracy(i),
        difference=elsewhere(paired.difference(i, single), splits),
        saving=elsewhere(paired.saving(i, single), splits),
        bill=bill,
        usd=Interval(bill.value * by, bill.low * by, bill.high * by),
        served=_served(models, found.served[i]),
    )


def elsewhere(one: Interval, splits: int) -> Interval:
    """The same interval; of what was fitted on one split for other splits too."""
    wide = math.sqrt(_ONE_SPLIT) if splits == 1 else 1.0
    return Interval(one.value, one.value - wide * (one.value - one.low), one.value + wide * (one.high - one.value))


def _weight(picks: Sequence[Pick]) -> float:
    """The middle one of the settings that were picked, one of them."""
    return sorted(pick.weight for pick in picks)[(len(picks) - 1) // 2]


def _served(models: Sequence[str], share: FloatArray) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-share, kind="stable")
    return tuple((models[i], float(share[i])) for i in order if share[i] >= SEEN)
