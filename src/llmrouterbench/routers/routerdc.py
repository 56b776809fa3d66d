"""RouterDC: queries and models as vectors in one space, learned by two contrastive losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._finetuned import FineTuned
from llmrouterbench.routers._recipe import PAPER, QUICK, Recipe
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

if TYPE_CHECKING:
    from torch import Tensor, nn

    from llmrouterbench.routers._encoder import Network, Parts

_START = 0.78
"""Standard deviation of the first model vectors, as in the official code."""


@dataclass(eq=False)
class RouterDC(FineTuned):
    """Pull a query's vector towards the vectors of its `top_k` best models and away from its `last_k` worst, and
    towards queries of its own cluster; serve the model with the most similar vector (cosine / temperature).

    clusters        k-means clusters of the untrained encoder's vectors
    negatives       queries of other clusters per query in the second loss, which counts `cluster_weight`
    official_mask   the official code's first loss as it runs, for comparisons with it: its mask of models that are
                    good enough falls on all queries of a batch alike, so that queries are pulled to models that failed

    Source: Chen et al. 2024 (arXiv 2409.19886), section 3, equations 3-6; top_k = last_k = negatives = 3, temperature
    and cluster weight 1, 1,000 steps of 64 queries at 5e-5 in the paper's preset.
    Differs: all training queries are used (LLMRouterBench's code keeps the first 1,000 a dataset); weights are chosen
    on a validation part of train, not on test; equal scores take their rank by lot and not by column; clusters come
    from the encoder itself without t-SNE. Estimate.score is softmax(cosine / temperature) over models: a preference,
    no expected score. Cost is each model's mean in training.
    """

    temperature: float = 1.0
    top_k: int = 3
    last_k: int = 3
    negatives: int = 3
    clusters: int = 8
    cluster_weight: float = 1.0
    official_mask: bool = False

    name: ClassVar[str] = "routerdc"
    presets: ClassVar[Mapping[str, Recipe]] = {
        "minilm": Recipe(head_learning_rate=2e-2),
        "quick": replace(QUICK, head_learning_rate=2e-2),
        "paper": replace(
            PAPER, max_tokens=512, batch_size=64, epochs=100, max_steps=1000, learning_rate=5e-5,
            head_learning_rate=5e-5, warmup=0.0, dropout=0.0, patience=100,
        ),
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.top_k, self.last_k, self.negatives, self.clusters) < 1 or self.temperature <= 0:
            raise ValueError(
                "top_k, last_k, negatives and clusters must be at least 1 and temperature above 0,"
                f" got {self.top_k}, {self.last_k}, {self.negatives}, {self.clusters} and {self.temperature}"
            )

    def fit(self, train: Outcomes) -> Self:
        """Cluster the training queries and train the encoder together with a vector a model."""
        return self.fit_watched(train)

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None] | None = None) -> Self:
        """`fit`, shown to `watch` after every epoch (see `deciding.TrainsByEpochs`)."""
        known = self.begin(train)
        from llmrouterbench.routers._encoder import load_network, tokenise
        from llmrouterbench.routers._training import forget, train_network

        network = load_network(self.recipe(), self.parts(), self.seed)
        ids = tokenise(network, self.texts(known.queries))
        rows, held = self.halves(known)
        cluster = self._clusters(network, ids)

        def loss(some: IntArray) -> Tensor:
            vectors, similarity = _forward(network, [ids[row] for row in some])
            by_model = model_loss(
                similarity / self.temperature, known.score[some], self.top_k, self.last_k, official=self.official_mask
            )
            by_query = query_loss(vectors, cluster[some], self.negatives)
            return by_model + self.cluster_weight * by_query

        def judge() -> float:
            picks = _similarities(network, [ids[row] for row in held]).argmax(axis=1)
            return 1.0 - float(np.nan_to_num(known_mean(known.score[held, picks])))

        checkpoint = self.checkpoint(known)
        settle = partial(setattr, self, "network_", network)
        show = self.showing(settle, watch)
        train_network(network, rows, loss, judge if len(held) else None, self.seed, checkpoint, watch=show)
        settle()
        forget(checkpoint)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Preference (n, m), the rows of the measured models adding up to 1; 0 for a model never measured."""
        from llmrouterbench.routers._encoder import tokenise

        network = self.fitted_network()
        similarity = _similarities(network, tokenise(network, self.texts(queries)))
        power = np.exp((similarity - similarity.max(axis=1, keepdims=True)) / self.temperature)
        return Estimate(self.models_, self.widen(power / power.sum(axis=1, keepdims=True)), self.costs(len(queries)))

    def parts(self) -> Parts:
        """A vector a measured model."""

        def make(width: int) -> dict[str, nn.Module]:
            from torch import nn

            vectors = nn.Embedding(len(self.pool_), width)
            nn.init.normal_(vectors.weight, std=_START)
            return {"models": vectors}

        return make

    def _clusters(self, network: Network, ids: Sequence[Sequence[int]]) -> IntArray:
        """Cluster (n,) of each training query."""
        from sklearn.cluster import KMeans

        from llmrouterbench.routers._encoder import encode, in_batches

        vectors = in_batches(network, ids, lambda rows: encode(network, [ids[row] for row in rows]))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        k = min(self.clusters, len(np.unique(vectors.round(6), axis=0)))
        return np.asarray(KMeans(k, n_init=10, random_state=self.seed).fit(vectors).labels_, dtype=np.int64)


def model_loss(x: Tensor, score: FloatArray, top_k: int, last_k: int, *, official: bool = False) -> Tensor:
    """Sample-LLM loss: -log of each good model's share against the bad ones, summed over good, averaged over queries.

    x         (n, m) similarity / temperature
    score     (n, m), NaN where not measured: neither good nor bad
    official  as the official code runs: a mask (n, 1) times losses (n,) is (n, n), so that each of the `top_k` places
              counts for every query with the share of queries on which the model there is good; and a model may be
              both good and bad

    Good are the `top_k` best models with a score above 0, bad the `last_k` worst with a score of at most 0.5.
    Source: arXiv 2409.19886, equation 3.
    """
    import torch

    known = torch.tensor(score, device=x.device)
    measured = torch.isfinite(known)
    lot = 1e-9 * torch.rand(known.shape, dtype=torch.float64).to(x.device)
    top, last = min(top_k, x.shape[1]), min(last_k, x.shape[1])
    good = torch.where(measured, known + lot, -torch.inf).topk(top, dim=1).indices
    bad = torch.where(measured, known + lot, torch.inf).topk(last, dim=1, largest=False).indices
    is_good, is_bad = known.gather(1, good) > 0, known.gather(1, bad) <= 0.5
    other = is_bad[:, None, :] & (official | (good[:, :, None] != bad[:, None, :]))
    of_good, of_bad = x.gather(1, good), x.gather(1, bad)[:, None, :].expand(-1, top, -1)
    against = torch.cat([of_good[:, :, None], of_bad.masked_fill(~other, -torch.inf)], dim=2)
    each = against.logsumexp(dim=2) - of_good
    if official:
        return (each * measured.gather(1, good)).mean(dim=0) @ is_good.to(each.dtype).mean(dim=0)
    return (each * is_good).sum() / len(x)


def query_loss(vectors: Tensor, cluster: IntArray, negatives: int) -> Tensor:
    """Sample-sample loss: -log of the share of one query of the same cluster against some of other clusters.

    vectors  (n, d) of one batch, from which partners are drawn
    cluster  (n,)

    A query that has no partner of either kind in the batch adds 0. Source: arXiv 2409.19886, equation 5.
    """
    import torch

    unit = torch.nn.functional.normalize(vectors, dim=1)
    cosine = unit @ unit.T
    label = torch.from_numpy(cluster).to(vectors.device)
    same = label[:, None] == label[None, :]
    other = ~same
    same = same & ~torch.eye(len(label), dtype=torch.bool, device=vectors.device)
    lot = torch.rand(cosine.shape).to(vectors.device)
    friend = torch.where(same, lot, -1.0).argmax(dim=1, keepdim=True)
    strangers = torch.where(other, lot, -1.0).topk(min(negatives, len(label)), dim=1).indices
    of_friend = cosine.gather(1, friend)
    of_strangers = cosine.gather(1, strangers).masked_fill(~other.gather(1, strangers), -torch.inf)
    each = torch.cat([of_friend, of_strangers], dim=1).logsumexp(dim=1) - of_friend[:, 0]
    return (each * (same.any(dim=1) & other.any(dim=1))).sum() / len(vectors)


def _forward(network: Network, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Query vectors (n, d) and their cosine (n, m) with the model vectors."""
    from torch.nn.functional import normalize

    from llmrouterbench.routers._encoder import encode

    vectors = encode(network, ids)
    return vectors, normalize(vectors, dim=1) @ normalize(network.modules["models"].weight, dim=1).T


def _similarities(network: Network, ids: Sequence[Sequence[int]]) -> FloatArray:
    """Cosine (n, m) of queries given as token ids."""
    from llmrouterbench.routers._encoder import in_batches

    if not len(ids):
        return np.zeros((0, network.modules["models"].num_embeddings))
    return in_batches(network, ids, lambda rows: _forward(network, [ids[row] for row in rows])[1])
