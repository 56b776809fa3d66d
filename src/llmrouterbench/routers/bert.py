"""A fine-tuned encoder that predicts, for every model, whether it answers correctly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from llmrouterbench.routers._finetuned import FineTuned
from llmrouterbench.routers._recipe import PAPER, QUICK, Recipe
from llmrouterbench.table import Estimate, Outcomes, Queries

if TYPE_CHECKING:
    from llmrouterbench.routers._encoder import Parts


@dataclass(eq=False)
class Bert(FineTuned):
    """Fine-tune an encoder with one linear output a model to predict that model's score on the query.

    Source: the classifier of RouteLLM (Ong et al. 2024, arXiv 2406.18665, section 4.2: BERT with a head on it) with
    the labels of RouterBench (Hu et al. 2024, arXiv 2403.12031, section 4.2: one correctness label a model).
    Differs: one network for all models; fractional scores are labels as they are; outcomes that were not measured
    are left out; MiniLM instead of BERT-base by default. Cost is each model's mean in training.
    """

    name: ClassVar[str] = "bert"
    presets: ClassVar[Mapping[str, Recipe]] = {
        "minilm": Recipe(),
        "quick": QUICK,
        "paper": replace(PAPER, batch_size=16, epochs=3, learning_rate=1e-4),
    }

    def fit(self, train: Outcomes) -> Self:
        """Train the encoder and its heads."""
        return self.fit_watched(train)

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None] | None = None) -> Self:
        """`fit`, shown to `watch` after every epoch (see `deciding.TrainsByEpochs`)."""
        known = self.begin(train)
        from llmrouterbench.routers._encoder import load_network, tokenise
        from llmrouterbench.routers._heads import fit_heads
        from llmrouterbench.routers._training import forget

        network = load_network(self.recipe(), self.parts(), self.seed)
        ids = tokenise(network, self.texts(known.queries))
        checkpoint = self.checkpoint(known)
        settle = partial(setattr, self, "network_", network)
        show = self.showing(settle, watch)
        fit_heads(network, ids, known.score, self.halves(known), self.seed, checkpoint, show)
        settle()
        forget(checkpoint)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """Predicted score (n, m); 0 for a model never measured."""
        from llmrouterbench.routers._encoder import tokenise
        from llmrouterbench.routers._heads import probabilities

        network = self.fitted_network()
        score = probabilities(network, tokenise(network, self.texts(queries)))
        return Estimate(self.models_, self.widen(score), self.costs(len(queries)))

    def parts(self) -> Parts:
        """One output a measured model."""
        from llmrouterbench.routers._heads import linear_head

        return linear_head(len(self.pool_), self.recipe().dropout)
