"""FrugalGPT: ask models one after the other until a reply is predicted to be good enough."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from llmrouterbench.contracts import Ask
from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._cascades import search, served
from llmrouterbench.routers._finetuned import FineTuned
from llmrouterbench.routers._recipe import PAPER, QUICK, Recipe
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries, Replies

if TYPE_CHECKING:
    from llmrouterbench.routers._encoder import Network, Parts


@dataclass(eq=False)
class FrugalGPT(FineTuned):
    """A cascade: the first model whose predicted probability of being right reaches its threshold serves.

    mode    "reply": the probability comes from query and reply (the original); fit with `replies` and run as a cascade
            with `policies.run`, which pays for every reply read. "query": from the query alone, as in LLMRouterBench;
            an ordinary router that calls one model
    depth   stages at most
    budget  where `decide` stands on the dial

    The dial is the budget: mean USD a query on validation, from the cheapest model's (0) to the dearest's (1). Order
    and thresholds are those of the best cascade within the budget on a validation part of train.

    Source: Chen et al. 2023 (arXiv 2305.05176), section 3 (LLM cascade: scorer, then order and thresholds under a
    budget); query-only variant: LLMRouterBench (arXiv 2601.07206), section B.3.
    Differs: one scorer with an output a model, not one network each; the search keeps the cascades that none beats
    and puts stages in front of them, instead of all orders; thresholds from validation, where LLMRouterBench's code
    takes train; in "query" mode models that are passed over are not called and cost nothing. A model without a known
    cost is in no cascade unless none has one. Estimate.score is the probability, cost the mean in training.
    """

    mode: str = "query"
    depth: int = 3
    budget: float = 1.0

    weights = np.linspace(0.0, 1.0, 41)
    checkpoint_weight = 1.0
    name: ClassVar[str] = "frugalgpt"
    presets: ClassVar[Mapping[str, Recipe]] = {
        "minilm": Recipe(),
        "quick": QUICK,
        "paper": replace(PAPER, batch_size=16, epochs=2, learning_rate=3e-5, warmup=0.03),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in ("query", "reply") or self.depth < 1 or not 0.0 <= self.budget <= 1.0:
            raise ValueError(
                "mode must be 'query' or 'reply', depth at least 1 and budget from 0 to 1,"
                f" got {self.mode!r}, {self.depth} and {self.budget}"
            )

    @property
    def reads_replies(self) -> bool:
        """Whether it is the original, which reads replies."""
        return self.mode == "reply"

    def at(self, weight: float) -> Self:
        """The same fitted cascades at another budget."""
        moved = copy.copy(self)
        moved.budget = weight
        return moved

    def fit(self, train: Outcomes, replies: Replies | None = None) -> Self:
        """Train the scorer, then choose orders and thresholds on validation. Mode "reply" needs the training replies.

        Raises ValueError where they are missing.
        """
        return self._fit(train, replies, None)

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None] | None = None) -> Self:
        """`fit` in mode "query", shown to `watch` after every epoch (see `deciding.TrainsByEpochs`)."""
        return self._fit(train, None, watch)

    def _fit(self, train: Outcomes, replies: Replies | None, watch: Callable[[Any], None] | None) -> Self:
        if self.mode == "reply" and not replies:
            raise ValueError("router 'frugalgpt' in mode 'reply' needs replies to be fitted; call fit(train, replies)")
        known = self.begin(train)
        from llmrouterbench.routers._encoder import load_network
        from llmrouterbench.routers._training import forget

        network = load_network(self.recipe(), self.parts(), self.seed)
        rows, held = self.halves(known)
        held = held if len(held) else rows
        checkpoint = self.checkpoint(known)
        if self.mode == "query":
            self._train_on_queries(network, known, rows, held, watch)
        else:
            self._choose(known, held, self._train_on_replies(network, known, rows, held, replies or {}))
            self.network_ = network
        forget(checkpoint)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Probability of being right (n, m), from the query alone. Raises ValueError in mode "reply"."""
        if self.mode == "reply":
            raise ValueError("router 'frugalgpt' in mode 'reply' reads replies; run it as a cascade with policies.run")
        from llmrouterbench.routers._encoder import tokenise
        from llmrouterbench.routers._heads import probabilities

        network = self.fitted_network()
        chance = probabilities(network, tokenise(network, self.texts(queries)))
        return Estimate(self.models_, self.widen(chance), self.costs(len(queries)))

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        """(w, n) model that the best cascade within each budget stops at."""
        chance = self.predict(queries).score
        return np.array([served(*self._cascade(weight), chance) for weight in weights], dtype=np.int64)

    def decide(self, queries: Queries, ask: Ask) -> IntArray:
        """(n,) model served at this `budget`; in mode "reply" each stage's replies are asked for and read."""
        if self.mode == "query":
            return np.asarray(self.decide_sweep(queries, np.array([self.budget]))[0], dtype=np.int64)
        stages, thresholds = self._cascade(self.budget)
        choice = np.full(len(queries), stages[-1], dtype=np.int64)
        rows, text = np.arange(len(queries)), self.texts(queries)
        for model, threshold in zip(stages[:-1].tolist(), thresholds[:-1].tolist(), strict=True):
            said = [ask(row, model) for row in rows.tolist()]
            output = self.pool_.index(self.models_[model])
            taken = (
                self._read(self.fitted_network(), [text[row] for row in rows.tolist()], said)[:, output] >= threshold
            )
            choice[rows[taken]] = model
            rows = rows[~taken]
        return choice

    def parts(self) -> Parts:
        """One output a measured model."""
        from llmrouterbench.routers._heads import linear_head

        return linear_head(len(self.pool_), self.recipe().dropout)

    def _cascade(self, weight: float) -> tuple[IntArray, FloatArray]:
        """Models, as columns of the training table, and thresholds at one point of the dial."""
        low, high = self.budgets_
        stages, thresholds = self.cascades_.within(low + weight * (high - low) + 1e-12)
        return self.columns()[stages], thresholds

    def _train_on_queries(
        self,
        network: Network,
        known: Outcomes,
        rows: IntArray,
        held: IntArray,
        watch: Callable[[Any], None] | None,
    ) -> None:
        """Train, then choose the cascades by what the network says of the validation rows."""
        from llmrouterbench.routers._encoder import tokenise
        from llmrouterbench.routers._heads import fit_heads, probabilities

        ids = tokenise(network, self.texts(known.queries))

        def settle() -> None:
            self._choose(known, held, probabilities(network, [ids[row] for row in held]))
            self.network_ = network

        show = self.showing(settle, watch)
        fit_heads(network, ids, known.score, (rows, held), self.seed, self.checkpoint(known), show)
        settle()

    def _train_on_replies(
        self, network: Network, known: Outcomes, rows: IntArray, held: IntArray, replies: Replies
    ) -> FloatArray:
        """Train on pairs of query and reply; returns the probabilities (held, m), NaN where no reply is stored."""
        from llmrouterbench.routers._heads import fit_heads, probabilities

        column = {self.models_.index(model): i for i, model in enumerate(self.pool_)}
        cells = sorted((row, column[model]) for row, model in replies if model in column)
        back = self.columns()
        at = np.array(cells, dtype=np.int64)
        text = self.texts(known.queries)
        ids = self._pairs(network, [text[row] for row, _ in cells], [replies[row, int(back[i])] for row, i in cells])
        target = np.full((len(cells), len(self.pool_)), np.nan)
        target[np.arange(len(cells)), at[:, 1]] = known.score[at[:, 0], at[:, 1]]
        halves = (np.flatnonzero(np.isin(at[:, 0], rows)), np.flatnonzero(np.isin(at[:, 0], held)))
        fit_heads(network, ids, target, halves, self.seed, self.checkpoint(known))
        read = probabilities(network, [ids[i] for i in halves[1]])
        chance = np.full(known.score.shape, np.nan)
        chance[at[halves[1], 0], at[halves[1], 1]] = read[np.arange(len(read)), at[halves[1], 1]]
        return chance[held]

    def _choose(self, known: Outcomes, held: IntArray, chance: FloatArray) -> None:
        """Search cascades on the validation rows; a cell that was not measured counts as its model's mean."""
        priced = np.isfinite(known.cost).any(axis=0)
        use = np.flatnonzero(priced) if priced.any() else np.arange(len(known.models))
        mean_score, mean_cost = known_mean(known.score, axis=0), np.nan_to_num(known_mean(known.cost, axis=0))
        score = np.where(np.isfinite(known.score[held]), known.score[held], mean_score)[:, use]
        cost = np.where(np.isfinite(known.cost[held]), known.cost[held], mean_cost)[:, use]
        found = search(chance[:, use], score, cost, self.depth, pays=self.mode == "reply")
        self.cascades_ = replace(found, stage=np.where(found.stage >= 0, use[found.stage], -1))
        self.budgets_ = (float(cost.mean(axis=0).min()), float(cost.mean(axis=0).max()))

    def _read(self, network: Network, text: list[str], said: list[str]) -> FloatArray:
        from llmrouterbench.routers._heads import probabilities

        return probabilities(network, self._pairs(network, text, said))

    def _pairs(self, network: Network, text: list[str], said: list[str]) -> list[list[int]]:
        """Token ids of queries with replies; of each the end is kept where both are too long."""
        from llmrouterbench.routers._encoder import tokenise

        return tokenise(network, [f"{query}\n\n" for query in text], said)
