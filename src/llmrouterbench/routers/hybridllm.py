"""HybridLLM: the small model where it is predicted to do as well as the large one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from llmrouterbench.metrics import avg_acc, best_single, dataset_means, known_mean
from llmrouterbench.naming import did_you_mean
from llmrouterbench.routers._finetuned import FineTuned
from llmrouterbench.routers._recipe import PAPER, QUICK, Recipe
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

if TYPE_CHECKING:
    from llmrouterbench.routers._encoder import Parts

STRONG, WEAK = "gpt-5", "qwen3-235b-a22b-2507"
"""The pair of LLMRouterBench (arXiv 2601.07206, section B.3)."""
_LABELS = ("det", "prob", "trans")


@dataclass(eq=False)
class HybridLLM(FineTuned):
    """Predict from the query alone whether a cheap model does as well as the strong one; ask the strong one if not.

    label       "det": the cheap reply scored at least as high. "prob": the share of pairs of replies for which it
                did, where copies of a query give several replies (with one reply it is the same as "det").
                "trans": as "prob", but `t` below the strong score is enough, t chosen to spread the labels most
    strong      model id; None: gpt-5 where the pool has it, else the best single model in training
    weak        model id; None: qwen3-235b-a22b-2507 where the pool has it, else the cheaper model (any model, where
                none is) that complements the strong one best in training
    candidates  "pair", or "all": every other model is a cheap one, and the cheapest that is good enough serves

    The dial is the share of validation queries that go to the strong model, 0 to 1 in 101 steps: it sets the
    threshold on the predicted probability.

    Source: Ding et al. 2024 (arXiv 2404.14618), section 3: equations 1-3 are the three labels, 3.3 the choice of t.
    Differs: the score of the benchmark stands for BART score; one stored reply a model unless queries repeat; MiniLM
    instead of DeBERTa-v3-large by default; a sweep of thresholds, where LLMRouterBench's code has the argmax alone;
    "all" is ours. Estimate.score of a cheap model mixes its means over adequate and inadequate training replies by
    the predicted probability; other models have their mean, as has cost.
    """

    label: str = "det"
    strong: str | None = None
    weak: str | None = None
    candidates: str = "pair"

    weights = np.linspace(0.0, 1.0, 101)
    checkpoint_weight = 0.5
    name: ClassVar[str] = "hybridllm"
    presets: ClassVar[Mapping[str, Recipe]] = {
        "minilm": Recipe(),
        "quick": QUICK,
        "paper": replace(
            PAPER, max_tokens=512, batch_size=8, accumulation=8, epochs=5, learning_rate=1e-5, weight_decay=0.1,
            warmup=0.05, dropout=0.05,
        ),
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label not in _LABELS or self.candidates not in ("pair", "all"):
            raise ValueError(
                f"label must be one of {', '.join(_LABELS)} and candidates 'pair' or 'all',"
                f" got {self.label!r} and {self.candidates!r}"
            )

    def fit(self, train: Outcomes) -> Self:
        """Choose the models and train the encoder to tell where a cheap one is enough."""
        return self.fit_watched(train)

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None] | None = None) -> Self:
        """`fit`, shown to `watch` after every epoch (see `deciding.TrainsByEpochs`)."""
        known = self.begin(train)
        strong, cheap = self._models(known)
        self.strong_, self.cheap_ = known.models[strong], tuple(known.models[i] for i in cheap)
        self.mean_ = np.nan_to_num(known_mean(known.score, axis=0))
        label = labels(known.score[:, cheap], known.score[:, strong], known.group, self.label)
        self.adequate_ = np.array([_split_means(*pair) for pair in zip(known.score[:, cheap].T, label.T, strict=True)])
        measured = np.flatnonzero(np.isfinite(label).any(axis=1))
        self.thresholds_ = np.zeros(len(self.weights))
        self.network_ = None
        if len(measured):
            self._train(known.take(measured), label[measured], watch)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Expected score (n, m)."""
        score = np.tile(self.mean_, (len(queries), 1))
        if self.network_ is not None:
            column = [self.pool_.index(model) for model in self.cheap_]
            chance = self._chance(queries)
            score[:, column] = chance * self.adequate_[:, 0] + (1 - chance) * self.adequate_[:, 1]
        return Estimate(self.models_, self.widen(score), self.costs(len(queries)))

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) the cheapest model whose probability reaches the threshold of each share, else the strong one."""
        strong = self.models_.index(self.strong_)
        picks = np.full((len(weights), len(queries)), strong, dtype=np.int64)
        if self.network_ is None:
            return picks
        column = np.array([self.models_.index(model) for model in self.cheap_], dtype=np.int64)
        enough = self._chance(queries)[None] >= np.interp(weights, self.weights, self.thresholds_)[:, None, None]
        return np.where(enough.any(axis=2), column[enough.argmax(axis=2)], picks)

    def parts(self) -> Parts:
        """One output a cheap model."""
        from llmrouterbench.routers._heads import linear_head

        return linear_head(len(self.cheap_), self.recipe().dropout)

    def _train(self, known: Outcomes, label: FloatArray, watch: Callable[[Any], None] | None) -> None:
        from llmrouterbench.routers._encoder import load_network, tokenise
        from llmrouterbench.routers._heads import fit_heads, probabilities
        from llmrouterbench.routers._training import forget

        network = load_network(self.recipe(), self.parts(), self.seed)
        ids = tokenise(network, self.texts(known.queries))
        rows, held = self.halves(known)
        checkpoint = self.checkpoint(known)

        def settle() -> None:
            chance = probabilities(network, [ids[row] for row in (held if len(held) else rows)])
            self.thresholds_ = np.quantile(chance.max(axis=1), self.weights)
            self.thresholds_[0], self.thresholds_[-1] = 0.0, 1.1  # nobody and everybody, whatever the query
            self.network_ = network

        fit_heads(network, ids, label, (rows, held), self.seed, checkpoint, self.showing(settle, watch))
        settle()
        forget(checkpoint)

    def _chance(self, queries: Queries) -> FloatArray:
        """Probability (n, cheap models) of doing as well as the strong model."""
        from llmrouterbench.routers._encoder import tokenise
        from llmrouterbench.routers._heads import probabilities

        network = self.fitted_network()
        return probabilities(network, tokenise(network, self.texts(queries)))

    def _models(self, known: Outcomes) -> tuple[int, IntArray]:
        """Column of the strong model, and of the cheap ones from cheap to dear."""
        acc = dataset_means(known.score, known.dataset, known.datasets)
        strong = self._named("strong", self.strong, STRONG, known.models)
        strong = best_single(acc) if strong is None else strong
        cost = np.nan_to_num(known_mean(known.cost, axis=0), nan=np.inf)
        others = np.array([i for i in range(len(known.models)) if i != strong], dtype=np.int64)
        if self.candidates == "all" or not len(others):
            return strong, others[np.argsort(cost[others], kind="stable")]
        weak = self._named("weak", self.weak, WEAK, known.models)
        if weak == strong:
            raise ValueError(f"weak and strong must be two models, got {known.models[strong]!r} for both")
        if weak is None:
            cheaper = others[cost[others] < cost[strong]]
            pool = cheaper if len(cheaper) else others
            together = np.fmax(known.score[:, pool], known.score[:, [strong]])
            weak = int(pool[np.nanargmax(avg_acc(dataset_means(together, known.dataset, known.datasets).T))])
        return strong, np.array([weak], dtype=np.int64)

    def _named(self, what: str, wanted: str | None, usual: str, models: tuple[str, ...]) -> int | None:
        """Column of the model asked for, or of the usual one where the pool has it."""
        if wanted is not None and wanted not in models:
            raise ValueError(f"{what} must be a measured model, got {wanted!r}{did_you_mean(wanted, models)}")
        name = usual if wanted is None else wanted
        return models.index(name) if name in models else None


def labels(cheap: FloatArray, strong: FloatArray, group: IntArray, kind: str) -> FloatArray:
    """Labels (n, k): 1 where each of k cheap models (n, k) does as well as the strong one (n,); NaN: not measured.

    Copies of a query (equal `group`) are samples of its replies for "prob" and "trans".
    Source: arXiv 2404.14618, equations 1-3.

    >>> labels(np.array([[0.5], [1.0]]), np.array([1.0, 1.0]), np.arange(2), "det").ravel().tolist()
    [0.0, 1.0]
    """
    if kind == "det":
        return _as_good(cheap, strong, 0.0)
    if kind == "prob":
        return _shares(cheap, strong, group, 0.0)
    relaxed = np.full(cheap.shape, np.nan)
    for column in range(cheap.shape[1]):
        gaps = np.unique(strong - cheap[:, column])
        steps = [0.0, *gaps[np.isfinite(gaps) & (gaps > 0)].tolist()]
        steps = steps if len(steps) <= 51 else np.linspace(0.0, steps[-1], 51).tolist()
        tried = [_shares(cheap[:, [column]], strong, group, t)[:, 0] for t in steps]
        relaxed[:, column] = max(tried, key=_spread)
    return relaxed


def _as_good(cheap: FloatArray, strong: FloatArray, t: float) -> FloatArray:
    known = np.isfinite(cheap) & np.isfinite(strong)[:, None]
    return np.where(known, cheap >= strong[:, None] - t, np.nan)


def _shares(cheap: FloatArray, strong: FloatArray, group: IntArray, t: float) -> FloatArray:
    """Share of pairs of replies to the same query in which the cheap one is at most t worse."""
    out = _as_good(cheap, strong, t)
    numbers, count = np.unique(group, return_counts=True)
    for number in numbers[count > 1]:
        rows = np.flatnonzero(group == number)
        every = np.array([_as_good(cheap[rows], np.full(len(rows), value), t) for value in strong[rows]])
        out[rows] = known_mean(known_mean(every, axis=0), axis=0)
    return out


def _spread(label: FloatArray) -> float:
    """Mean |difference| over all pairs of labels. Source: arXiv 2404.14618, equation 3.

    >>> _spread(np.array([0.0, 1.0, 1.0, 0.0]))
    0.5
    """
    known = np.sort(label[np.isfinite(label)])
    n = len(known)
    if n == 0:
        return 0.0
    return float(2.0 * ((2 * np.arange(1, n + 1) - n - 1) * known).sum() / n**2)


def _split_means(score: FloatArray, label: FloatArray) -> tuple[float, float]:
    """Mean score of a model weighted by its label, and by the rest of it; the plain mean where one has no weight."""
    known = np.isfinite(score) & np.isfinite(label)
    if not known.any():
        mean = float(np.nan_to_num(known_mean(score)))
        return mean, mean
    score, label = score[known], label[known]
    good, rest = label.sum(), (1 - label).sum()
    plain = float(score.mean())
    return (
        float((score * label).sum() / good) if good > 0 else plain,
        float((score * (1 - label)).sum() / rest) if rest > 0 else plain,
    )
