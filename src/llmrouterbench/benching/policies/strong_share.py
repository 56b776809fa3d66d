"""`strong-share 0.3`: a share of the queries to the strong model, the rest to the best of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.policies.orders import best_first, in_front
from llmrouterbench.benching.policies.policy import SHARE, Belief, Policy, Ranking, Slice, Solved, option
from llmrouterbench.naming import did_you_mean
from llmrouterbench.stats import bounds
from llmrouterbench.table import FloatArray, IntArray

_LEADS = 256
"""Thresholds that are tried."""


@dataclass(frozen=True, kw_only=True)
class StrongShare(Policy):
    """The strong model where its lead over the best of the others is largest, the best of the others elsewhere.

    value   the most of the queries that the strong model serves, in 95 of 100 slices
    strong  the strong model; None: the best single one

    With two models this is the calibrated threshold of RouteLLM (Ong et al., arXiv 2406.18665).
    """

    kind = "strong-share"
    forms = ("strong-share 0.3",)
    on_dial = False
    value: float = option(SHARE)
    strong: str | None = option(None, None)

    def order(self, belief: Belief, solved: Solved) -> Ranking:
        """Models (n, m) by score, the strong one first where its lead reaches the threshold `setting`."""
        return strong_order(belief.score, belief.name, self._column(belief), solved.setting), None

    def solve(self, piece: Slice) -> Solved:
        """The lead from which on the strong model serves: as low as the share is kept, from the largest on."""
        strong = self._column(piece.belief)
        margin = strong_margin(piece.belief.score, strong)
        if not piece.sure:
            return Solved(strong_threshold(margin, self.value))
        leads = np.unique(margin)[::-1]
        leads = np.append(math.inf, leads[np.unique(np.linspace(0, len(leads) - 1, _LEADS).round().astype(int))])

        def worst(solved: Solved) -> float:
            return min(bounds(piece.chance(self, solved, strong), piece.group, most=1.0)[1], 1.0)

        never = Solved(math.inf)
        found = piece.furthest(leads, worst, lambda most: most <= self.value)
        return found or never._replace(reached=False, at_worst=worst(never))

    def _column(self, belief: Belief) -> int:
        if self.strong is None:
            return belief.single
        if self.strong not in belief.models:
            known = did_you_mean(self.strong, belief.models)
            raise ValueError(f"no model named {self.strong!r} to be the strong one{known}")
        return belief.models.index(self.strong)


def strong_margin(score: FloatArray, strong: int) -> FloatArray:
    """Lead (n,) of the strong model over the best of the others; infinite where there are no others.

    >>> strong_margin(np.array([[0.5, 0.75], [0.75, 0.25]]), 1).tolist()
    [0.25, -0.5]
    """
    if score.shape[1] == 1:
        return np.full(len(score), np.inf)
    return np.asarray(score[:, strong] - np.delete(score, strong, axis=1).max(axis=1))


def strong_threshold(margin: FloatArray, share: float) -> float:
    """The lead from which on the strong model serves, so that at most this share of these queries goes to it.

    Where many queries have one lead, the share that is reached can be smaller. Source: Ong et al., RouteLLM (arXiv
    2406.18665), whose threshold on the win rate is this with two models.

    >>> strong_threshold(np.array([0.4, 0.3, 0.2, 0.1]), 0.5)
    0.3
    >>> strong_threshold(np.array([0.4, 0.3, 0.3, 0.1]), 0.5)
    0.4
    """
    levels = np.unique(margin)
    reached = 1.0 - np.searchsorted(np.sort(margin), levels, side="left") / len(margin)
    allowed = levels[reached <= share + 1e-12]
    return float(allowed[0]) if len(allowed) else math.inf


def strong_order(score: FloatArray, name: IntArray, strong: int, threshold: float) -> IntArray:
    """Models (n, m) by score, the strong one first where its lead reaches the threshold, else behind the next best."""
    order = best_first(score, name)
    serves = strong_margin(score, strong) >= threshold
    is_strong = np.arange(score.shape[1]) == strong
    front = in_front(order, np.broadcast_to(is_strong, score.shape))
    if score.shape[1] == 1:
        return front
    behind = np.concatenate([front[:, 1:2], front[:, :1], front[:, 2:]], axis=1)
    return np.where(serves[:, None], front, behind)
