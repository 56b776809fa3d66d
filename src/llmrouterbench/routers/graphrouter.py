"""GraphRouter: message passing over a graph of tasks, queries and models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from llmrouterbench.routers._graph_network import Layers, Nodes, graph_layers, graph_tensors, llm_end, query_start
from llmrouterbench.routers._linear_models import Affine, fit_costs, sigmoid
from llmrouterbench.routers._query_graph import (
    UTILITIES,
    QueryGraph,
    Vectors,
    best_models,
    build_graph,
    has_signal,
    nearest,
    normalised_costs,
    utilities,
)
from llmrouterbench.routers._torch import (
    cross_entropy,
    keep_best,
    masked_cross_entropy,
    need_torch,
    one_thread,
    seeded_generator,
    showing,
    take_step,
    to_array,
)
from llmrouterbench.splits import validation_split
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

if TYPE_CHECKING:
    import torch

WHO = "router 'graphrouter'"
_CHECK_EVERY = 10
"""Optimiser steps between two looks at the validation part."""


@dataclass(frozen=True)
class Readout:
    """What a trained graph says of a new query, which brings no edges of its own.

    centroid  (t, d) of the tasks
    query     log-odds of being the best model from an embedding (d,) to (m,)
    task      (t, m) what the query's task adds
    """

    centroid: FloatArray
    query: Affine
    task: FloatArray

    def logit(self, embedding: FloatArray) -> FloatArray:
        """Log-odds (n, m) of being the best model."""
        return self.query(embedding) + self.task[nearest(self.centroid, embedding)]


class GraphRouter:
    """Predict which models are best for a query from node features passed along query-model edges.

    A query node starts as [W_t task, W_q query], a model node as W_l description. Two graph convolutions send messages
    from queries to models along the training edges, whose features are utility, normalised cost and score. A model is
    best for a query with probability sigmoid(mean(query start * model end)). Each step hides a part of the edges and
    predicts the labels of the hidden ones. A new query has no edges: it meets the models as the train edges left them,
    so its choice depends on nothing else of the call. Its task is the one with the nearest centroid.

    utility      what "best" means: "pf" score, "bl" 0.5 score - 0.5 cost, "cf" 0.2 score - 0.8 cost
    hidden       half the width of the nodes
    mask         share of the edges hidden at a time; `passes` such draws make one step
    aggregation  how messages meet in a model: "mean", or "add" as in the original
    epochs       most optimiser steps; `patience` steps without a lower validation loss end the training
    llm_vectors, task_vectors  description embeddings by model and by dataset; None for training statistics

    `predict` gives the probability of being best, not an expected score. Costs are ridge regressions of USD.

    Source: Feng, Shen, You 2024, "GraphRouter" (arXiv 2410.03834); hyper-parameters of LLMRouterBench
    (arXiv 2601.07206), section B.3, in `PAPER`.
    Differs: where every model fails at equal utility, nothing is learned (the original calls all of them best); costs
    are normalised and batch statistics taken on train only; the task of a query is predicted, in training too; the
    step to stop at comes from a validation part. Means instead of sums of thousands of messages keep a model's own
    description visible, so that a tenfold step size and 600 single passes suffice; docs/parity.md compares the two.
    The convolution is torch-geometric's GeneralConv, written as products of whole matrices.
    """

    PAPER = {"aggregation": "add", "rate": 3e-4, "passes": 32, "epochs": 10_000, "patience": 10_000}
    """Settings of the paper where they differ from the defaults: `GraphRouter(**GraphRouter.PAPER)`."""
    weights = np.zeros(1)
    grid = {"rate": (3e-3, 1e-2)}

    def __init__(
        self,
        utility: str = "pf",
        hidden: int = 8,
        rate: float = 3e-3,
        decay: float = 1e-4,
        mask: float = 0.5,
        passes: int = 1,
        aggregation: str = "mean",
        epochs: int = 600,
        patience: int = 100,
        validation: float = 0.1,
        seed: int = 42,
        llm_vectors: Vectors | None = None,
        task_vectors: Vectors | None = None,
    ) -> None:
        if utility not in UTILITIES or aggregation not in ("mean", "add"):
            raise ValueError(
                f"utility must be one of {', '.join(UTILITIES)} and aggregation 'mean' or 'add',"
                f" got {utility!r} and {aggregation!r}"
            )
        if min(hidden, passes, epochs, patience) < 1 or rate <= 0 or decay < 0 or not 0 < mask < 1:
            raise ValueError(
                "hidden, passes, epochs and patience must be at least 1, rate above 0, decay at least 0 and mask in"
                f" (0, 1), got {hidden}, {passes}, {epochs}, {patience}, {rate}, {decay} and {mask}"
            )
        self.utility, self.hidden, self.rate, self.decay, self.mask = utility, hidden, rate, decay, mask
        self.passes, self.aggregation, self.epochs, self.patience = passes, aggregation, epochs, patience
        self.validation, self.seed = validation, seed
        self.llm_vectors, self.task_vectors = llm_vectors, task_vectors

    def fit(self, train: Outcomes) -> Self:
        """Train on the graph of train; on a GPU where there is one. Raises ImportError without torch."""
        return self.fit_watched(train)

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None] | None = None) -> Self:
        """`fit`, shown to `watch` every ten steps (see `deciding.TrainsByEpochs`)."""
        need_torch(WHO)
        x = train.queries.embedded(WHO)
        rows, held = validation_split(train, np.arange(len(train)), self.seed, self.validation)
        graph = build_graph(train.take(rows), x[rows], self.utility, self.llm_vectors, self.task_vectors)
        goal = self._goal(train, held)
        self.models_, self.measured_ = train.models, np.isfinite(train.score).any(axis=0)
        self.cost_ = fit_costs(x, train.cost)
        with one_thread():
            losses = ((cross_entropy(readout.logit(x[held]), goal), readout) for readout in self._checks(graph))
            self.readout_ = keep_best(losses, -(-self.patience // _CHECK_EVERY), showing(self, "readout_", watch))
        return self

    def _goal(self, train: Outcomes, rows: IntArray) -> FloatArray:
        """Labels (rows, m) to validate on; NaN where nothing is to be learned."""
        measured = np.isfinite(train.score[rows])
        score = np.where(measured, train.score[rows], 0.0)
        label = best_models(utilities(score, normalised_costs(train)[rows], self.utility), measured)
        return np.where(measured & has_signal(score, label, measured)[:, None], label, np.nan)

    def _checks(self, graph: QueryGraph) -> Iterator[Readout]:
        """What the network says, every few steps of training."""
        import torch

        draw = seeded_generator(self.seed)
        nodes = graph_tensors(graph, draw)
        layers = graph_layers(nodes, self.hidden, draw)
        adam = torch.optim.AdamW(layers.parameters(), lr=self.rate, weight_decay=self.decay, fused=True)
        for epoch in range(1, self.epochs + 1):
            losses = [self._hide_and_predict(layers, nodes, draw) for _ in range(self.passes)]
            take_step(torch.stack(losses).mean(), adam)
            if epoch % _CHECK_EVERY == 0 or epoch == self.epochs:
                yield self._readout(layers, nodes, graph.centroid)

    def _hide_and_predict(self, layers: Layers, nodes: Nodes, draw: torch.Generator) -> torch.Tensor:
        """The loss of the labels on a random part of the edges, predicted from the other edges."""
        import torch

        hidden = (torch.rand(nodes.measured.shape, generator=draw, device=draw.device) < self.mask).float()
        start = query_start(layers, nodes)
        end = llm_end(layers, start, nodes, nodes.measured * (1.0 - hidden), self.aggregation == "mean")
        logit = start @ end.T / start.shape[1]
        return masked_cross_entropy(logit, nodes.label, nodes.measured * hidden * nodes.signal)

    def _readout(self, layers: Layers, nodes: Nodes, centroid: FloatArray) -> Readout:
        """The network with all training edges in view, collapsed: a query meets the models' end states only."""
        import torch

        with torch.no_grad():
            for norm in layers.norms:
                norm.eval()
            end = llm_end(layers, query_start(layers, nodes), nodes, nodes.measured, self.aggregation == "mean")
            for norm in layers.norms:
                norm.train()
            by_task, by_query = (end / end.shape[1]).split(self.hidden, dim=1)  # type: ignore[no-untyped-call]
            return Readout(
                centroid,
                Affine(to_array(by_query @ layers.query.weight).T, to_array(by_query @ layers.query.bias)),
                to_array(layers.task(nodes.task) @ by_task.T),
            )

    def predict(self, queries: Queries) -> Estimate:
        """Probability (n, m) of being the best model; 0 for a model that was never measured."""
        x = queries.embedded(WHO)
        return Estimate(self.models_, np.where(self.measured_, sigmoid(self.readout_.logit(x)), 0.0), self.cost_(x))

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) the model that is most likely the best; the trade-off is in `utility`: every weight gives the same."""
        choice = np.where(self.measured_, self.readout_.logit(queries.embedded(WHO)), -np.inf).argmax(axis=1)
        return np.tile(choice, (len(weights), 1))
