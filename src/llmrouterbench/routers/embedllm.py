"""EmbedLLM: one vector per model, one map of queries into the same space, and whether the two agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from llmrouterbench.routers._linear_models import Affine, fit_costs, sigmoid
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
from llmrouterbench.splits import validation_split
from llmrouterbench.table import Estimate, FloatArray, Outcomes, Queries

if TYPE_CHECKING:
    import torch

WHO = "router 'embedllm'"


@dataclass(frozen=True)
class Factors:
    """A factorisation after training.

    vector  (m, dim) one vector per model
    logit   the log-odds of solving, collapsed to one linear map from an embedding (d,) to (m,)
    """

    vector: FloatArray
    logit: Affine


class EmbedLLM:
    """Predict whether model m solves query q from (W1 q + b1) * P_m, the product of a query vector and a model vector.

    Two linear outputs of the product are the logits of "fails" and "solves". Trained with noise on q, used without.
    The factorisation with the lowest cross-entropy on a validation part of train is kept. Costs are ridge regressions
    of USD. The model vectors (`factors_.vector`) are the EmbedLLM embeddings of the pool.

    dim         length of the vectors
    noise       standard deviation, per component, of the Gaussian noise on training embeddings
    batch       (query, model) cells per step
    rate        step size of Adam
    decay       L2 penalty in Adam
    epochs      most passes over train; `patience` epochs without improvement end the search
    validation  share of train that decides when to stop

    Source: Zhuang et al. 2024, "EmbedLLM" (arXiv 2410.02223), its matrix factorisation; hyper-parameters of
    LLMRouterBench (arXiv 2601.07206), section B.3, whose batch is in `PAPER`.
    Differs: the number of epochs comes from a validation part, not from the test part; no noise at test time;
    fractional scores are fractional labels, not truncated to 0; batches are shuffled and hold whole queries, whose
    cells share one draw of noise. Costs are no part of EmbedLLM.
    """

    PAPER = {"batch": 32_768, "patience": 512}
    """Settings of the paper where they differ from the defaults: `EmbedLLM(**EmbedLLM.PAPER)`."""
    grid = {"noise": (0.05, 0.02, 0.1)}

    def __init__(
        self,
        dim: int = 1024,
        noise: float = 0.05,
        batch: int = 2048,
        rate: float = 1e-4,
        decay: float = 1e-5,
        epochs: int = 512,
        patience: int = 5,
        validation: float = 0.1,
        seed: int = 42,
    ) -> None:
        if min(dim, batch, epochs, patience) < 1 or rate <= 0 or min(noise, decay) < 0:
            raise ValueError(
                "dim, batch, epochs and patience must be at least 1, rate above 0, noise and decay at least 0,"
                f" got {dim}, {batch}, {epochs}, {patience}, {rate}, {noise} and {decay}"
            )
        self.dim, self.noise, self.batch, self.rate, self.decay = dim, noise, batch, rate, decay
        self.epochs, self.patience, self.validation, self.seed = epochs, patience, validation, seed

    def fit(self, train: Outcomes) -> Self:
        """Factorise the outcomes by Adam; on a GPU where there is one. Raises ImportError without torch."""
        return self.fit_watched(train)

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None] | None = None) -> Self:
        """`fit`, shown to `watch` after every epoch (see `deciding.TrainsByEpochs`)."""
        need_torch(WHO)
        x = train.queries.embedded(WHO)
        rows, held = validation_split(train, np.arange(len(train)), self.seed, self.validation)
        self.models_, self.measured_ = train.models, np.isfinite(train.score).any(axis=0)
        self.cost_ = fit_costs(x, train.cost)
        epochs = self._epochs(x[rows], train.score[rows])
        with one_thread():
            losses = ((cross_entropy(found.logit(x[held]), train.score[held]), found) for found in epochs)
            self.factors_ = keep_best(losses, self.patience, showing(self, "factors_", watch))
        return self

    def _epochs(self, x: FloatArray, score: FloatArray) -> Iterator[Factors]:
        """The factorisation after each epoch over queries (n, d) and their scores (n, m)."""
        import torch

        draw = seeded_generator(self.seed)
        query, known = to_tensor(x, draw), to_tensor(np.isfinite(score).astype(np.float64), draw)
        target = to_tensor(np.nan_to_num(score), draw)
        vector = torch.randn(score.shape[1], self.dim, generator=draw, device=draw.device, requires_grad=True)
        inner, outer = linear_layer(x.shape[1], self.dim, draw), linear_layer(self.dim, 2, draw)
        adam = torch.optim.Adam(
            [vector, *inner.parameters(), *outer.parameters()], lr=self.rate, weight_decay=self.decay, fused=True
        )
        size = max(1, self.batch // score.shape[1])
        for _ in range(self.epochs):
            for rows in shuffled_batches(len(x), size, draw):
                noise = torch.randn(len(rows), x.shape[1], generator=draw, device=draw.device)
                weight, bias = _readout(vector, outer)
                logit = inner(query[rows] + self.noise * noise) @ weight.T + bias
                take_step(masked_cross_entropy(logit, target[rows], known[rows]), adam)
            yield collapse(vector, inner, outer)

    def predict(self, queries: Queries) -> Estimate:
        """Probability of solving (n, m); 0 for a model that was never measured."""
        x = queries.embedded(WHO)
        return Estimate(self.models_, np.where(self.measured_, sigmoid(self.factors_.logit(x)), 0.0), self.cost_(x))


def _readout(vector: torch.Tensor, outer: torch.nn.Linear) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (m, dim) and bias of logit "solves" minus logit "fails" as a function of the query vector."""
    return vector * (outer.weight[1] - outer.weight[0]), outer.bias[1] - outer.bias[0]


def collapse(vector: torch.Tensor, inner: torch.nn.Linear, outer: torch.nn.Linear) -> Factors:
    """The factorisation as arrays. Without noise its log-odds are linear in the embedding."""
    weight, bias = _readout(vector, outer)
    slope, offset = weight @ inner.weight, weight @ inner.bias + bias
    return Factors(to_array(vector), Affine(to_array(slope).T, to_array(offset)))
