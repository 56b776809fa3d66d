"""The verdict of a bench: which model or router to run, and what accepting a loss of accuracy would save."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.offers import Offers, Pick, offers
from llmrouterbench.numerals import count, interval, number, percent, points, usd
from llmrouterbench.stats import Interval, IntervalRule, Paired, judged, pair
from llmrouterbench.table import FloatArray, Outcomes

SHOWN = (0.0, 0.01, 0.02, 0.05)
"""Losses in the small table."""
ASKED = tuple(round(0.005 * i, 3) for i in range(21))
"""Losses of the slider on the page: 0 to 10 points."""
_SEEN = 0.005
LEGEND = (
    "Of all routers, operating points and models: the cheapest that loses no more AvgAcc, in points, against the best"
    " single model of train, surely (95 %, one-sided) on training queries that the router did not see, and the best one"
    " there; chosen seed by seed, measured on test."
)


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
    def title(self) -> str:
        """The router with its operating point, or the model."""
        return self.name if math.isnan(self.weight) else f"{self.name}, weight {number(self.weight, 3)}"

    def command(self, data: str = "DATA") -> str:
        """The command that fits it on a folder of outcomes; "" for a model, which needs no router."""
        if self.kind == "model":
            return ""
        policy = f" --policy {shlex.quote(f'weight {self.weight:.4g}')}" if self.weight > 0.0 else ""
        return f"llmrouterbench fit {shlex.quote(data)} --router {shlex.quote(self.name)}{policy} --to router"


@dataclass(frozen=True)
class Verdict:
    """The offers of a bench, the one for accuracy first, and the best single model of train in most seeds.

    queries  of the test part of a seed
    """

    base: str
    seeds: int
    queries: int
    offers: tuple[Offer, ...]

    @property
    def choice(self) -> Offer | None:
        """What to run: what is certainly better, else what is certainly cheaper and not worse, else None."""
        best, free = self.offers[0], self.offers[1]
        if judged(best.difference) == "better":
            return best
        return free if free.cheaper and judged(free.difference) in ("better", "noise", "the same") else None

    @property
    def priced(self) -> bool:
        """Whether costs are known."""
        return math.isfinite(self.offers[1].usd.value)

    @property
    def told(self) -> bool:
        """Whether these queries can tell anything of what was picked."""
        return all(judged(one.difference) not in ("too few", "not comparable") for one in self.offers[:2])

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
    made = [_offer(found, i, outcomes.pool.models, paired, tested) for i in range(len(found.losing))]
    base = Counter(found.base).most_common(1)[0][0]
    return Verdict(base, len(found.samples), round(tested), tuple(made))


def _offer(found: Offers, i: int, models: Sequence[str], paired: Paired, tested: float) -> Offer:
    (kind, name), seeds = Counter((pick.kind, pick.name) for pick in found.picks[i]).most_common(1)[0]
    single, bill, by = len(found.losing), paired.cost(i), 1000.0 / tested
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
    return tuple((models[i], float(share[i])) for i in order if share[i] >= _SEEN)


def headline(found: Verdict) -> str:
    """The verdict in one sentence."""
    base, choice = found.base, found.choice
    if not found.told:
        return (
            f"Cannot tell: {count(found.queries)} test queries are too few to compare a router with {base}; more"
            " queries would settle it."
        )
    if choice is None:
        return f"Serve {base} to everyone: nothing here is certainly better, or as good and certainly cheaper."
    moved = interval(choice.difference, points, " points")
    if choice is found.offers[0]:
        verb = f"Route with {choice.name}" if choice.kind == "router" else f"Serve {choice.name} to everyone"
        return f"{verb}: {moved} against {base}, the best single model{_at_cost(choice)}."
    saved = interval(choice.saving, percent, " %")
    if choice.kind == "router":
        return f"Route with {choice.name} to save {saved} of the cost of {base}; AvgAcc moves by {moved}."
    return f"Serve {choice.name} instead of {base}: it saves {saved}; AvgAcc moves by {moved}."


def _at_cost(offer: Offer) -> str:
    if not math.isfinite(offer.saving.value):
        return ""
    more = offer.saving.value < 0
    return f", for {percent(abs(offer.saving.value))} % {'more' if more else 'less'} money"


def bargain(found: Verdict) -> str:
    """What the smallest loss in the table buys that certainly saves more than no loss does; "" where none does."""
    if not found.told:
        return ""
    free = max(0.0, found.offers[1].saving.value) if found.choice is found.offers[1] else 0.0
    one = next((one for one in map(found.losing, SHOWN[1:]) if one.cheaper and one.saving.low > free), None)
    if one is None:
        return "Accepting to lose up to 5 points certainly saves no more." if found.priced else ""
    saved, moved = interval(one.saving, percent, " %"), interval(one.difference, points, " points")
    return f"Who accepts losing up to {loss_in_words(one)} saves {saved} with {one.name}; measured: {moved}."


def loss_in_words(offer: Offer) -> str:
    """The loss of an offer in points."""
    lost = offer.losing or 0.0
    return f"{100 * lost:g} point{'' if lost == 0.01 else 's'}"


def lines(found: Verdict) -> list[str]:
    """The verdict in words: what to run, and what a loss would save."""
    return [one for one in (headline(found), bargain(found)) if one]


def folded(found: Verdict) -> list[tuple[str, Offer]]:
    """The offers of the small table by the points that may be lost; neighbours that are the same offer are one."""
    out: list[tuple[str, Offer]] = [("best", found.offers[0])]
    for loss in SHOWN if found.priced else ():
        one, (words, last) = found.losing(loss), out[-1]
        if last.losing is not None and (last.title, last.difference, last.usd) == (one.title, one.difference, one.usd):
            out[-1] = (f"{words.split(' to ')[0]} to {100 * loss:.0f}", one)
        else:
            out.append((f"{100 * loss:.0f}", one))
    return out


def table(found: Verdict, *, narrow: bool = False) -> list[list[str]]:
    """The price of accuracy as cells, the header first; `narrow` leaves out who serves."""
    priced = ["saves, %", "USD/1,000"] if found.priced else []
    head = ["may lose", "run", "AvgAcc, points", *priced, *([] if narrow else ["who serves"])]
    out = [head]
    for words, one in folded(found):
        some = "" if one.seeds == found.seeds else f" ({one.seeds} of {found.seeds} seeds)"
        same = one.name == found.base and not some
        row = [words, one.title + some, "baseline" if same else interval(one.difference, points)]
        row += ["" if same else interval(one.saving, percent), usd(one.usd.value)] if found.priced else []
        out.append(row + ([] if narrow else [serving(one)]))
    return out


def serving(offer: Offer, most: int = 3) -> str:
    """Which models answer, the largest shares first."""
    parts = [f"{name} {percent(share, 0)} %" for name, share in offer.served[:most]]
    rest = 1.0 - sum(share for _, share in offer.served[:most])
    return ", ".join([*parts, *([f"others {percent(rest, 0)} %"] if rest >= _SEEN else [])])


def commands(found: Verdict, data: str = "DATA") -> list[str]:
    """How to run every router of the small table."""
    return list(dict.fromkeys(said for _, one in folded(found) if (said := one.command(data))))
