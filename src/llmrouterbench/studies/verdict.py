"""Which model or router to run, and what accepting a loss of accuracy would save: offers with their intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.offers import Offers, Pick, offers
from llmrouterbench.stats import Interval, IntervalRule, Paired, detectable, judged, pair
from llmrouterbench.studies.swaps import LEAST
from llmrouterbench.table import FloatArray, Outcomes

ASKED = tuple(round(0.005 * i, 3) for i in range(21))
"""Losses that are asked about: 0 to 10 points."""
MUCH = 0.1
"""AvgAcc; where a lead of this size may not be seen, that none was seen says nothing."""
SEEN = 0.005
"""Share of the queries from which a model is said to serve."""
_NO_WORSE = ("better", "noise", "the same")


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


@dataclass(frozen=True)
class Verdict:
    """The offers of a bench, the one for accuracy first, and the best single model of train in most seeds.

    queries  of the test part of a seed
    seen     smallest true lead of the most accurate other way that these queries show in 80 of 100 samples, or the lead
             that a perfect choice can have at most, where that is less
    behind   whether that way is certainly less accurate
    """

    base: str
    seeds: int
    queries: int
    seen: float
    offers: tuple[Offer, ...]
    behind: bool = False

    @property
    def choice(self) -> Offer | None:
        """What to run: what is certainly better, else what is certainly cheaper and not worse, else None."""
        best, free = self.offers[0], self.offers[1]
        if judged(best.difference) == "better":
            return best
        return free if free.cheaper and judged(free.difference) in _NO_WORSE else None

    @property
    def unsettled(self) -> Offer | None:
        """Where nothing is to be run: what saves a twentieth for certain, and loses nothing as far as queries tell."""
        if self.choice is not None or self.behind:
            return None
        saving = (one for one in self.offers[1:] if one.saving.low >= LEAST)
        return next((one for one in saving if judged(one.difference) in _NO_WORSE), None)

    @property
    def priced(self) -> bool:
        """Whether costs are known."""
        return math.isfinite(self.offers[1].usd.value)

    @property
    def told(self) -> bool:
        """Whether these queries tell: of something to run, or that nothing leads by much."""
        return self.choice is not None or self.behind or self.seen <= MUCH

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
    other = len(found.losing)
    made = [_offer(found, i, outcomes.pool.models, paired, tested) for i in range(other)]
    lead = paired.difference(other, other + 1)
    base = Counter(found.base).most_common(1)[0][0]
    seen = float(np.fmin(math.nan if judged(lead) == "the same" else detectable(lead), ceiling(outcomes, base)))
    return Verdict(base, len(found.samples), round(tested), seen, tuple(made), judged(lead) == "worse")


def ceiling(outcomes: Outcomes, base: str) -> float:
    """AvgAcc that a perfect choice can gain on a model at most, with two standard errors; NaN where it is not known.

    At least 3 / n: what n queries show of no gain at all (Hanley, Lippman-Hand, If nothing goes wrong, 1983).
    """
    if not np.isfinite(outcomes.score).all():
        return math.nan
    gain = outcomes.score.max(axis=1) - outcomes.score[:, outcomes.pool.models.index(base)]
    each = [gain[outcomes.dataset == name] for name in outcomes.datasets]
    error = math.sqrt(sum(float(one.var()) / len(one) for one in each)) / len(each)
    return float(np.mean([one.mean() for one in each])) + max(2.0 * error, 3.0 / len(gain))


def _offer(found: Offers, i: int, models: Sequence[str], paired: Paired, tested: float) -> Offer:
    (kind, name), seeds = Counter((pick.kind, pick.name) for pick in found.picks[i]).most_common(1)[0]
    single, bill, by = len(found.losing) + 1, paired.cost(i), 1000.0 / tested
    return Offer(
        losing=found.losing[i],
        kind=kind,
        name=name,
        weight=_weight([pick for pick in found.picks[i] if (pick.kind, pick.name) == (kind, name)]),
        seeds=seeds,
        avg_acc=paired.accuracy(i),
        difference=paired.difference(i, single),
        saving=paired.saving(i, single),
        bill=bill,
        usd=Interval(bill.value * by, bill.low * by, bill.high * by),
        served=_served(models, found.served[i]),
    )


def _weight(picks: Sequence[Pick]) -> float:
    """The middle one of the settings that were picked, one of them."""
    return sorted(pick.weight for pick in picks)[(len(picks) - 1) // 2]


def _served(models: Sequence[str], share: FloatArray) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-share, kind="stable")
    return tuple((models[i], float(share[i])) for i in order if share[i] >= SEEN)
