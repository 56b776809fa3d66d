"""`weight 250`, `weight 250 --seconds-weight 0.001`: score, cost and seconds weighed against one another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.policies.orders import best_first, unknown_as_dearest
from llmrouterbench.benching.policies.policy import Belief, Policy, Ranking, Rule, Slice, Solved, option

_PER_USD = Rule("0 or more, in score per USD", lambda value: 0.0 <= value < math.inf)
_PER_SECOND = Rule("0 or more, in score per second", lambda value: 0.0 <= value < math.inf)


@dataclass(frozen=True, kw_only=True)
class Weight(Policy):
    """argmax(score - value * cost - seconds_weight * seconds); or a setting of the router's own dial.

    value           score per USD; the setting for a router with a dial of its own
    seconds_weight  score per second: 0.001 gives up a point of score for ten seconds

    Source: LLMRouterBench (arXiv 2601.07206), section 4.2.2 ("performance-cost-latency").
    """

    kind = "weight"
    forms = ("weight 250", "weight 250 --seconds-weight 0.001")
    value: float = option(_PER_USD)
    seconds_weight: float = option(_PER_SECOND, 0.0)

    @property
    def needs_seconds(self) -> bool:
        """Whether it cannot be followed without reply times."""
        return super().needs_seconds or self.seconds_weight > 0.0

    def order(self, belief: Belief, solved: Solved) -> Ranking:
        """Models (n, m) by what they are worth; unknown seconds count as the slowest known ones of the query."""
        value = belief.value(solved.setting)
        if self.seconds_weight:
            value = value - self.seconds_weight * unknown_as_dearest(belief.seconds)
        return best_first(value, belief.name), None

    def solve(self, piece: Slice) -> Solved:
        """The weight itself. Raises ValueError for one beyond the router's own dial, or with seconds beside that."""
        if piece.belief.dial is None:
            return Solved(self.value)
        low, high = float(np.min(piece.settings)), float(np.max(piece.settings))
        if not low <= self.value <= high:
            raise ValueError(f"weight must be from {low:g} to {high:g} on this router's own dial, got {self.value:g}")
        if self.seconds_weight:
            raise ValueError(
                f"--seconds-weight must be 0 for a router with a dial of its own, got {self.seconds_weight:g};"
                " use --max-seconds"
            )
        return Solved(self.value)
