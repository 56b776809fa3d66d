"""`cheapest --min-quality 0.8`: the cheapest model that is good enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.policies.orders import best_first, chosen_first, unknown_as_dearest
from llmrouterbench.benching.policies.policy import SHARE, Belief, Policy, Ranking, option
from llmrouterbench.table import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Cheapest(Policy):
    """The cheapest model whose calibrated score is high enough; the best one where none is.

    min_quality  calibrated expected score that a model must reach
    """

    kind = "cheapest"
    forms = ("cheapest --min-quality 0.8",)
    min_quality: float = option(SHARE)

    @property
    def needs_costs(self) -> bool:
        """Whether it cannot be followed without costs."""
        return True

    def order(self, belief: Belief, setting: float) -> Ranking:
        """Models (n, m): the cheapest good enough first, then the others by value; and which are good enough."""
        return cheapest_order(belief, belief.value(setting), self.min_quality)


def cheapest_order(belief: Belief, value: FloatArray, min_quality: float) -> tuple[IntArray, BoolArray]:
    """Models (n, m): the cheapest good enough first, then the others by value; and whether (n, m) each is good enough.

    Good enough models of the same cost go by value.
    """
    enough = belief.quality >= min_quality
    by_value = best_first(value, belief.name)
    price = np.take_along_axis(unknown_as_dearest(belief.usd), by_value, axis=1)
    cheap = np.take_along_axis(by_value, np.argsort(price, axis=1, kind="stable"), axis=1)
    return chosen_first(cheap, by_value, enough), enough
