"""`best`, `best --budget 0.002/query`: the highest expected score, at a mean cost within a budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.policies.orders import best_first
from llmrouterbench.benching.policies.policy import AMOUNT, Belief, Policy, Ranking, Slice, Solved, option
from llmrouterbench.metrics import known_mean
from llmrouterbench.stats import bounds
from llmrouterbench.table import FloatArray


@dataclass(frozen=True, kw_only=True)
class Best(Policy):
    """The model with the highest expected score.

    budget  mean USD a query that what serves costs at most, in 95 of 100 slices: as much of it is spent as that allows
    """

    kind = "best"
    forms = ("best", "best --budget 0.002/query", "best --max-seconds 5")
    budget: float | None = option(AMOUNT, None, unit="/query")

    @property
    def needs_costs(self) -> bool:
        """Whether it cannot be followed without costs."""
        return self.budget is not None

    def order(self, belief: Belief, solved: Solved) -> Ranking:
        """Models (n, m) by score - setting * cost."""
        return best_first(belief.value(solved.setting), belief.name), None

    def solve(self, piece: Slice) -> Solved:
        """The end where quality decides; or as near to it as the budget is kept, from the cheap end on."""
        budget = self.budget
        if budget is None:
            return super().solve(piece)
        if not piece.sure:
            plain = Best(max_seconds=self.max_seconds)
            served = np.array([piece.usd(plain, Solved(float(one))) for one in piece.settings])
            place = budget_weight(served, np.arange(len(piece.settings), dtype=np.float64), budget)
            found = None if place is None else Solved(float(piece.settings[int(place)]))
        else:
            found = piece.furthest(
                piece.settings[::-1],
                lambda solved: bounds(piece.usd(self, solved), piece.group)[1],
                lambda worst: worst <= budget,
            )
        if found is None:
            least = float(known_mean(piece.usd(self, Solved(float(piece.settings[-1])))))
            raise ValueError(
                f"--budget must be within reach, got {budget:g} USD/query where the cheapest setting costs"
                f" {least:.3g} on average; raise it"
            )
        return found


def budget_weight(served_usd: FloatArray, weights: FloatArray, budget: float) -> float | None:
    """The smallest weight at which the mean cost is within the budget, with half a standard error to spare.

    served_usd  (w, n) USD of what is served at each of the weights (w,); NaN unknown, left out
    Returns None where no weight is. What version 0.1 did.

    >>> budget_weight(np.array([[3.0, 3.0], [1.0, 1.0]]), np.array([0.0, 10.0]), 2.0)
    10.0
    """
    known = np.isfinite(served_usd)
    count = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, served_usd, 0.0).sum(axis=1) / count
    spread = np.where(known, (served_usd - mean[:, None]) ** 2, 0.0).sum(axis=1) / np.maximum(count - 1, 1)
    within = (mean + 0.5 * np.sqrt(spread / count) <= budget) & known.any(axis=1)
    found = np.flatnonzero(within)
    return float(weights[found].min()) if len(found) else None
