"""RouteLLM's matrix factorisation: how likely the strong model beats the weak one, and a threshold on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._linear_models import fit_costs, sigmoid
from llmrouterbench.routers._pairs import choose_pair
from llmrouterbench.routers._torch import (
    cross_entropy,
    keep_best,
    linear_layer,
    masked_cross_entropy,
    need_torch,
    one_thread,
    seeded_generator,
    showing,
    shuffled_batches,
    take_step,
    to_array,
    to_tensor,
)
from llmrouterbench.table import BoolArray, Estimate, FloatArray, IntArray, Outcomes, Queries

WHO = "router 'routellm'"
_NEAR_HALF = 0.5 + np.array([-8, -4, -2, -1, -0.5, 0.5, 1, 2, 4, 8]) / 1000
THRESHOLDS = np.unique(np.concatenate([np.linspace(0.0, 1.0, 101), _NEAR_HALF]))[::-1]
"""Win rates from 1 (always weak) to 0 (always strong), closer together around one half."""


@dataclass(frozen=True)
class Battles:
    """Outcomes on which one of two models did better: query row, winner and loser (column of the pool), each (b,)."""

    row: IntArray
    winner: IntArray
    loser: IntArray

    def take(self, keep: BoolArray) -> Battles:
        """Some of the battles."""
        return Battles(self.row[keep], self.winner[keep], self.loser[keep])


class RouteLLM:
    """Learn from battles how likely the strong model beats the weak one on a query; serve the weak one unless it does.

    The log-odds that i beats j are w . ((P_i - P_j) * W q), with P of unit rows and W a projection of the embedding to
    `dim`. The dial is the threshold t: the strong model is served where its win rate is at least t; `calibrate` finds
    the t for a share of strong calls. With candidates="all" every measured model has its row of P and its battles, and
    the cheapest model that the strong one beats with less than t is served; for two models that is the same rule.

    strong, weak  model ids; None for the paper's GPT-5 and Qwen3-235B or their stand-ins (`_pairs.choose_pair`)
    candidates    "pair", or "all"
    development   share of the queries with a winner that chooses the epoch
    patience      epochs without improvement that end the training

    `predict` reads a win rate p as an expected score gap of (2 p - 1) * mean |gap|; models outside the pool keep their
    training mean. Costs are ridge regressions of USD.

    Source: Ong et al. 2024, "RouteLLM" (arXiv 2406.18665), its matrix factorisation router;
    hyper-parameters of LLMRouterBench (arXiv 2601.07206), section B.3.
    Differs: the projection works at any dimension; the epoch has the lowest cross-entropy on the development part,
    not the highest accuracy, so that win rates stay calibrated and dials comparable between fits; a sweep of
    thresholds instead of 0.5 alone.
    """

    weights = THRESHOLDS
    grid = {"dim": (128, 32)}
    checkpoint_weight = 0.5
    """The paper's threshold: at 0 every checkpoint would be the strong model."""

    def __init__(
        self,
        strong: str | None = None,
        weak: str | None = None,
        candidates: str = "pair",
        dim: int = 128,
        batch: int = 64,
        rate: float = 3e-4,
        decay: float = 1e-5,
        epochs: int = 100,
        patience: int = 20,
        development: float = 0.05,
        seed: int = 42,
    ) -> None:
        if min(dim, batch, epochs, patience) < 1 or rate <= 0 or decay < 0 or not 0 <= development < 1:
            raise ValueError(
                "dim, batch, epochs and patience must be at least 1, rate above 0, decay at least 0 and development in"
                f" [0, 1), got {dim}, {batch}, {epochs}, {patience}, {rate}, {decay} and {development}"
            )
        if candidates not in ("pair", "all"):
            raise ValueError(f"candidates must be 'pair' or 'all', got {candidates!r}")
        self.strong, self.weak, self.candidates, self.dim, self.batch = strong, weak, candidates, dim, batch
        self.rate, self.decay, self.epochs, self.patience = rate, decay, epochs, patience
        self.development, self.seed = development, seed

    def fit(self, train: Outcomes) -> Self:
        """Learn from all battles of the pool. Raises ImportError without torch, ValueError for an unknown model."""
        return self.fit_watched(train)

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None] | None = None) -> Self:
        """`fit`, shown to `watch` after every epoch (see `deciding.TrainsByEpochs`)."""
        need_torch(WHO)
        x = train.queries.embedded(WHO)
        self.models_, self.cost_ = train.models, fit_costs(x, train.cost)
        strong, weak = choose_pair(train, self.strong, self.weak)
        mean = known_mean(train.score, axis=0)
        measured = np.flatnonzero(np.isfinite(mean)).tolist()
        price = np.nan_to_num(known_mean(train.cost, axis=0), nan=np.inf)
        others = sorted((i for i in measured if i != strong), key=lambda i: (float(price[i]), train.models[i]))
        self.pool_ = np.array([strong, *(others if self.candidates == "all" else [weak] if weak != strong else [])])
        self.mean_ = np.nan_to_num(mean, nan=0.0)
        score = train.score[:, self.pool_]
        self.gap_ = np.nan_to_num(known_mean(np.abs(score[:, :, None] - score[:, None, :]), axis=0), nan=0.0)
        self.strength_ = self._train(x, find_battles(score), train.group, watch)
        return self

    def _train(
        self, x: FloatArray, battles: Battles, group: IntArray, watch: Callable[[Any], None] | None
    ) -> FloatArray:
        """Weight (d, pool) of every model's strength on a query; 0 where no battle has a winner."""
        if not len(battles.row):
            return np.zeros((x.shape[1], len(self.pool_)))
        groups = np.unique(group[battles.row])
        chosen = np.random.default_rng(self.seed).permutation(groups)[: int(self.development * len(groups))]
        held = np.isin(group[battles.row], chosen)
        check = battles.take(held)
        won = np.ones(len(check.row))
        with one_thread():
            losses = ((cross_entropy(_lead(x, w, check), won), w) for w in self._epochs(x, battles.take(~held)))
            return keep_best(losses, self.patience, showing(self, "strength_", watch))

    def _epochs(self, x: FloatArray, battles: Battles) -> Iterator[FloatArray]:
        """The weight (d, pool) of strengths after each epoch."""
        import torch

        draw = seeded_generator(self.seed)
        query = to_tensor(x, draw)
        row, winner, loser = (
            torch.tensor(part, device=draw.device) for part in (battles.row, battles.winner, battles.loser)
        )
        vector = torch.randn(len(self.pool_), self.dim, generator=draw, device=draw.device, requires_grad=True)
        project, readout = linear_layer(x.shape[1], self.dim, draw, False), linear_layer(self.dim, 1, draw, False)
        adam = torch.optim.Adam(
            [vector, *project.parameters(), *readout.parameters()], lr=self.rate, weight_decay=self.decay, fused=True
        )
        for _ in range(self.epochs):
            for some in shuffled_batches(len(row), self.batch, draw):
                unit = torch.nn.functional.normalize(vector, dim=1)
                lead = readout((unit[winner[some]] - unit[loser[some]]) * project(query[row[some]]))
                take_step(masked_cross_entropy(lead, torch.ones_like(lead), torch.ones_like(lead)), adam)
            unit = torch.nn.functional.normalize(vector, dim=1)
            yield to_array((unit * readout.weight) @ project.weight).T

    def win_rates(self, queries: Queries) -> FloatArray:
        """(n, others) probability that the strong model beats each other model of the pool, cheapest first."""
        strength = queries.embedded(WHO) @ self.strength_
        return sigmoid(strength[:, :1] - strength[:, 1:])

    def predict(self, queries: Queries) -> Estimate:
        """Expected scores (n, m): the pool's mean level and each model's expected gaps to the others of the pool."""
        x = queries.embedded(WHO)
        strength = x @ self.strength_
        gaps = np.tanh((strength[:, :, None] - strength[:, None, :]) / 2.0) * self.gap_
        score = np.tile(self.mean_, (len(x), 1))
        score[:, self.pool_] = np.clip(self.mean_[self.pool_].mean() + gaps.mean(axis=2), 0.0, 1.0)
        return Estimate(self.models_, score, self.cost_(x))

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) the cheapest model that the strong one beats with less than the threshold; else the strong one."""
        rate = self.win_rates(queries)
        strong = np.ones((len(rate), 1), dtype=np.bool_)
        ladder = np.roll(self.pool_, -1)
        return np.array([ladder[np.hstack([rate < t, strong]).argmax(axis=1)] for t in weights], dtype=np.int64)

    def calibrate(self, queries: Queries, strong_share: float) -> float:
        """The threshold at which the strong model serves this share of queries like these (up to equal win rates).

        Raises ValueError for a share outside [0, 1].
        """
        if not 0.0 <= strong_share <= 1.0:
            raise ValueError(f"strong_share must be between 0 and 1, got {strong_share}")
        rate = np.sort(self.win_rates(queries).min(axis=1, initial=1.0))[::-1]
        count = round(strong_share * len(rate))
        if count in (0, len(rate)):
            return 0.0 if count else 1.0
        return float((rate[count - 1] + rate[count]) / 2.0)


def find_battles(score: FloatArray) -> Battles:
    """Every pair of models with different scores (n, pool) on a query; ties and cells not measured say nothing.

    >>> battles = find_battles(np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 1.0], [np.nan, 1.0]]))
    >>> battles.row.tolist(), battles.winner.tolist(), battles.loser.tolist()
    ([0, 2], [0, 1], [1, 0])
    """
    row, winner, loser = np.nonzero(score[:, :, None] > score[:, None, :])
    return Battles(row, winner, loser)


def _lead(x: FloatArray, strength: FloatArray, battles: Battles) -> FloatArray:
    """Log-odds (b,) that the winner beats the loser."""
    value = x @ strength
    return np.asarray(value[battles.row, battles.winner] - value[battles.row, battles.loser])
