"""One neural network for all LLMs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._linear_models import fit_costs
from llmrouterbench.splits import validation_split
from llmrouterbench.table import Estimate, Outcomes, Queries

Single = NDArray[np.float32]
WHO = "router 'mlp'"
_DECAY, _SQUARE_DECAY, _TINY = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Net:
    """Weights of one hidden layer: (d, h), (h,), (h, m), (m,)."""

    inner: Single
    inner_bias: Single
    outer: Single
    outer_bias: Single

    def parts(self) -> tuple[Single, ...]:
        """The four arrays."""
        return self.inner, self.inner_bias, self.outer, self.outer_bias

    def hidden(self, x: Single) -> Single:
        """Rectified hidden units (n, h)."""
        return np.asarray(np.maximum(x @ self.inner + self.inner_bias, 0.0))

    def chance(self, hidden: Single) -> Single:
        """Probability (n, m) of solving."""
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * (hidden @ self.outer + self.outer_bias))))


class MLPRouter:
    """Predict all models' scores from the embedding with one hidden layer, trained on cross-entropy by Adam.

    Fractional scores are fractional labels, and cells that were not measured count for nothing. The number of epochs
    is the one with the lowest loss on a validation part of train, out of at most `epochs`; the network is then
    trained for as long on all of train.

    hidden    units of the hidden layer
    rate      step size of Adam
    decay     weight decay per step, in units of rate
    patience  epochs without improvement after which the search ends

    Costs are ridge regressions of USD.

    Source: the MLP router of RouterBench (Hu et al. 2024, arXiv 2403.12031); Kingma and Ba 2014
    (arXiv 1412.6980).
    Differs: one network for all models instead of one each; early stopping on a part of train.
    """

    grid = {"hidden": (128, 32), "decay": (0.01, 1.0)}

    def __init__(
        self,
        hidden: int = 128,
        epochs: int = 60,
        batch: int = 128,
        rate: float = 1e-3,
        decay: float = 1e-2,
        patience: int = 5,
        validation: float = 0.2,
        seed: int = 42,
    ) -> None:
        if min(hidden, epochs, batch, patience) < 1 or rate <= 0 or decay < 0:
            raise ValueError(
                "hidden, epochs, batch and patience must be at least 1, rate above 0 and decay at least 0,"
                f" got {hidden}, {epochs}, {batch}, {patience}, {rate} and {decay}"
            )
        self.hidden, self.epochs, self.batch, self.rate = hidden, epochs, batch, rate
        self.decay, self.patience, self.validation, self.seed = decay, patience, validation, seed

    def fit(self, train: Outcomes) -> Self:
        """Choose the number of epochs on validation, then train on everything."""
        return self.fit_watched(train)

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None] | None = None) -> Self:
        """`fit`, shown to `watch` after every epoch on everything (see `deciding.TrainsByEpochs`)."""
        x = train.queries.embedded(WHO)
        y = train.score.astype(np.float32)
        rows, held = validation_split(train, np.arange(len(train)), self.seed, self.validation)
        single = x.astype(np.float32)
        self.models_, self.measured_ = train.models, np.isfinite(train.score).any(axis=0)
        self.epochs_ = self._best_epoch(single[rows], y[rows], single[held], y[held])
        self.cost_ = fit_costs(x, train.cost)
        for epoch, net in enumerate(self._epochs(single, y, self.epochs if watch else self.epochs_), start=1):
            self.net_ = net
            if watch is not None:
                watch(self)
            if epoch == self.epochs_:
                kept = net
        self.net_ = kept
        return self

    def _best_epoch(self, x: Single, y: Single, held_x: Single, held_y: Single) -> int:
        """Number of epochs with the lowest validation loss; 1 where nothing was measured there."""
        losses: list[float] = []
        for net in self._epochs(x, y, self.epochs):
            losses.append(_loss(net.chance(net.hidden(held_x)), held_y))
            if len(losses) - int(np.argmin(losses)) > self.patience:
                break
        return 1 + int(np.argmin(losses))

    def _epochs(self, x: Single, y: Single, epochs: int) -> Iterator[Net]:
        """The network after each epoch of Adam on shuffled batches."""
        rng = np.random.default_rng(self.seed)
        net = _initial(rng, x.shape[1], self.hidden, y)
        first, second = (tuple(np.zeros_like(part) for part in net.parts()) for _ in range(2))
        step = 0
        for _ in range(epochs):
            order = rng.permutation(len(x))
            for start in range(0, len(x), self.batch):
                step += 1
                batch = order[start : start + self.batch]
                slopes = _slopes(net, x[batch], y[batch])
                first = tuple(_DECAY * a + (1 - _DECAY) * s for a, s in zip(first, slopes, strict=True))
                second = tuple(
                    _SQUARE_DECAY * a + (1 - _SQUARE_DECAY) * s**2 for a, s in zip(second, slopes, strict=True)
                )
                net = self._stepped(net, first, second, step)
            yield net

    def _stepped(self, net: Net, first: tuple[Single, ...], second: tuple[Single, ...], step: int) -> Net:
        """One step of Adam with decoupled weight decay."""
        rate = self.rate * np.sqrt(1 - _SQUARE_DECAY**step) / (1 - _DECAY**step)
        keep = 1 - self.rate * self.decay
        parts = zip(net.parts(), first, second, strict=True)
        return Net(*(np.asarray(keep * w - rate * a / (np.sqrt(b) + _TINY), dtype=np.float32) for w, a, b in parts))

    def predict(self, queries: Queries) -> Estimate:
        """Expected outcomes (n, m)."""
        x = queries.embedded(WHO)
        score = self.net_.chance(self.net_.hidden(x.astype(np.float32))).astype(np.float64)
        return Estimate(self.models_, np.where(self.measured_, score, 0.0), self.cost_(x))


def _initial(rng: np.random.Generator, d: int, hidden: int, y: Single) -> Net:
    """Random weights scaled to their fan-in; the last bias starts at each model's mean score."""
    mean = np.clip(np.nan_to_num(known_mean(y.astype(np.float64), axis=0), nan=0.5), 0.01, 0.99)
    return Net(
        (rng.standard_normal((d, hidden)) * np.sqrt(2.0 / d)).astype(np.float32),
        np.zeros(hidden, dtype=np.float32),
        (rng.standard_normal((hidden, y.shape[1])) * np.sqrt(1.0 / hidden)).astype(np.float32),
        np.log(mean / (1.0 - mean)).astype(np.float32),
    )


def _slopes(net: Net, x: Single, y: Single) -> tuple[Single, ...]:
    """Gradient of the mean cross-entropy of the measured cells, in the order of `Net.parts`."""
    hidden = net.hidden(x)
    known = np.isfinite(y)
    error = np.where(known, net.chance(hidden) - np.where(known, y, 0.0), 0.0) / np.float32(len(x))
    back = (error @ net.outer.T) * (hidden > 0)
    slopes = (x.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0))
    return tuple(np.asarray(slope, dtype=np.float32) for slope in slopes)


def _loss(chance: Single, y: Single) -> float:
    """Mean cross-entropy of the measured cells; 0 where there are none."""
    known = np.isfinite(y)
    p, t = np.clip(chance[known], 1e-7, 1 - 1e-7), y[known]
    return float(-(t * np.log(p) + (1 - t) * np.log1p(-p)).mean()) if len(t) else 0.0
