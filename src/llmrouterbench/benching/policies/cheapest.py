"""`cheapest --min-quality 0.8`: a mean score of 0.8 at the least cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.policies.orders import best_first, chosen_first, unknown_as_dearest
from llmrouterbench.benching.policies.policy import SHARE, Belief, Policy, Ranking, Slice, Solved, option
from llmrouterbench.stats import bounds
from llmrouterbench.table import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Cheapest(Policy):
    """The least mean cost at which the mean score is high enough; the best models where it never is.

    min_quality  mean score over queries that what serves reaches, in 95 of 100 slices

    The least cost for a mean is a Lagrangian over queries: each is served by argmax(score - weight * cost), one weight
    for all.
    """

    kind = "cheapest"
    forms = ("cheapest --min-quality 0.8",)
    min_quality: float = option(SHARE)

    @property
    def needs_costs(self) -> bool:
        """Whether it cannot be followed without costs."""
        return True

    def order(self, belief: Belief, solved: Solved) -> Ranking:
        """Models (n, m) by score - setting * cost; or the cheapest good enough first, and which these are."""
        value = belief.value(solved.setting)
        return (
            cheapest_order(belief, value, self.min_quality) if solved.each else (best_first(value, belief.name), None)
        )

    def solve(self, piece: Slice) -> Solved:
        """As near to the cheap end as the mean is reached, from the end where quality decides on."""
        end = super().solve(piece)
        if not piece.sure:
            return end._replace(each=True)

        def worst(solved: Solved) -> float:
            return max(bounds(piece.quality(self, solved), piece.group, most=1.0)[0], 0.0)

        found = piece.furthest(piece.settings, worst, lambda least: least >= self.min_quality)
        return found or end._replace(reached=False, at_worst=worst(end))


def cheapest_order(belief: Belief, value: FloatArray, min_quality: float) -> tuple[IntArray, BoolArray]:
    """Models (n, m): the cheapest good enough first, then the others by value; and whether (n, m) each is good enough.

    Good enough models of the same cost go by value. What version 0.1 did.
    """
    enough = belief.quality >= min_quality
    by_value = best_first(value, belief.name)
    price = np.take_along_axis(unknown_as_dearest(belief.usd), by_value, axis=1)
    cheap = np.take_along_axis(by_value, np.argsort(price, axis=1, kind="stable"), axis=1)
    return chosen_first(cheap, by_value, enough), enough
