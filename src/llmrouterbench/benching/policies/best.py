"""`best`, `best --budget 0.002/query`: the highest expected score, at a mean cost within a budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.policies.orders import best_first
from llmrouterbench.benching.policies.policy import AMOUNT, Belief, Policy, Ranking, Slice, option
from llmrouterbench.metrics import known_mean
from llmrouterbench.table import FloatArray


@dataclass(frozen=True, kw_only=True)
class Best(Policy):
    """The model with the highest expected score.

    budget  mean USD a query: the trade-off is solved so that what serves costs no more
    """

    kind = "best"
    forms = ("best", "best --budget 0.002/query", "best --max-seconds 5")
    budget: float | None = option(AMOUNT, None, unit="/query")

    @property
    def needs_costs(self) -> bool:
        """Whether it cannot be followed without costs."""
        return self.budget is not None

    def order(self, belief: Belief, setting: float) -> Ranking:
        """Models (n, m) by score - setting * cost."""
        return best_first(belief.value(setting), belief.name), None

    def solve(self, piece: Slice) -> float:
        """The end where quality decides, or the first setting from there on that is within the budget."""
        if self.budget is None:
            return super().solve(piece)
        served = np.array([piece.served_usd(self, float(setting)) for setting in piece.settings])
        place = budget_weight(served, np.arange(len(piece.settings), dtype=np.float64), self.budget)
        if place is None:
            least = float(np.nanmin(known_mean(served, axis=1)))
            raise ValueError(
                f"--budget must be within reach, got {self.budget:g} USD/query where the cheapest setting costs"
                f" {least:.3g} on average; raise it"
            )
        return float(piece.settings[int(place)])


def budget_weight(served_usd: FloatArray, weights: FloatArray, budget: float) -> float | None:
    """The smallest weight at which the mean cost is within the budget, with half a standard error to spare.

    served_usd  (w, n) USD of what is served at each of the weights (w,); NaN unknown, left out
    Returns None where no weight is.

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
