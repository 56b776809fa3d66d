"""MODEL-SAT: a language model reads a model's capabilities as one token and the query, and says yes or no."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from llmrouterbench.routers._descriptions import capability_descriptions
from llmrouterbench.routers._finetuned import FineTuned
from llmrouterbench.routers._recipe import PAPER, QUICK, Recipe
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

if TYPE_CHECKING:
    from torch import Tensor, nn

    from llmrouterbench.routers._encoder import Network, Parts

_QUESTION = "Can the model with the capabilities above answer this query correctly? Answer Yes or No."
_SOFT, _QUERY = "<<capabilities>>", "<<query>>"


class _Defaults(NamedTuple):
    language_model: str
    answer: str
    projector_steps: int


_DEFAULTS = {
    "minilm": _Defaults("all-MiniLM-L6-v2", "head", 100),
    "quick": _Defaults("all-MiniLM-L6-v2", "head", 50),
    "paper": _Defaults("Qwen/Qwen2.5-7B-Instruct", "token", 1000),
}


@dataclass(eq=False)
class ModelSAT(FineTuned):
    """Ask a language model, for each query and model, whether that model answers that query.

    A description of the model (its training accuracy on every dataset) goes through the frozen `encoder` and a
    projector into one soft token, which stands before the query. First the projector is trained alone
    (`projector_steps`), then everything.

    language_model   hub name or folder; None: the preset's
    answer           "token": P(Yes) against P(No) of a causal language model's next token, the original.
                     "head": P(yes) from a linear output on an encoder's last state of the soft token
    projector_steps  optimizer steps of the first stage; None: the preset's

    The preset "minilm" is a stand-in that a CPU can train: the first two layers of MiniLM with a "head" play the
    language model, and at most 600 steps are made ("quick": one layer, 24 tokens, 100 steps). Only "paper"
    (gte-Qwen2-7B-instruct and Qwen2.5-7B-Instruct) is the method as published.

    Source: Zhang et al. 2025 (arXiv 2502.17282), section 3; sizes and stages as re-implemented by LLMRouterBench
    (arXiv 2601.07206, section B.3).
    Differs: accuracies on the training datasets instead of MMLU categories; description vectors are standardised over
    the pool and their encoder stays frozen; scores are labels as they are, fractions too; Yes and No are normalised
    against each other; queries are cut to `max_tokens`; weights are chosen on a validation part of train. Models with
    equal accuracies are alike to it. Cost is each model's mean in training.
    """

    language_model: str | None = None
    answer: str | None = None
    projector_steps: int | None = None

    name: ClassVar[str] = "model_sat"
    presets: ClassVar[Mapping[str, Recipe]] = {
        "minilm": Recipe(layers=2, max_tokens=64, epochs=4, max_steps=600, learning_rate=2e-4, patience=1),
        "quick": replace(QUICK, max_tokens=24),
        "paper": replace(
            PAPER, batch_size=32, epochs=5, learning_rate=1e-4, head_learning_rate=1e-4, weight_decay=0.1
        ),
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.answer not in (None, "token", "head") or (self.projector_steps or 0) < 0:
            raise ValueError(
                "answer must be 'token' or 'head' and projector_steps 0 or more,"
                f" got {self.answer!r} and {self.projector_steps}"
            )

    def fit(self, train: Outcomes) -> Self:
        """Describe the models, train the projector, then everything."""
        return self.fit_watched(train)

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None] | None = None) -> Self:
        """`fit`, shown to `watch` after every epoch of the second stage (see `deciding.TrainsByEpochs`)."""
        known = self.begin(train)
        from llmrouterbench.routers._encoder import load_network
        from llmrouterbench.routers._training import forget, train_network

        rows, held = self.halves(known)
        self.description_ = self._describe(known.take(rows))
        network = load_network(self.network_recipe(), self.parts(), self.seed, causal=self.causal())
        prompts = self._prompts(network, self.texts(known.queries))
        pairs, target = _cells(known.score)
        chosen, checked = (np.flatnonzero(np.isin(pairs[:, 0], part)) for part in (rows, held))
        loss, judge = self._losses(network, prompts, pairs, target, checked)
        length = np.array([len(prompts[1][row]) for row in pairs[:, 0]])
        first, second = (self.checkpoint(known, stage) for stage in ("projector", "everything"))
        steps = _DEFAULTS[self.preset].projector_steps if self.projector_steps is None else self.projector_steps
        if steps:
            wanted = _freeze(network)
            alone = replace(network, recipe=replace(network.recipe, max_steps=steps, epochs=steps))
            train_network(alone, chosen, loss, None, self.seed, first, length)
            for weight in wanted:
                weight.requires_grad_(True)
        settle = partial(setattr, self, "network_", network)
        show = self.showing(settle, watch)
        train_network(network, chosen, loss, judge if len(checked) else None, self.seed, second, length, show)
        settle()
        forget(first)
        forget(second)
        return self

    def predict(self, queries: Queries) -> Estimate:
        """P(yes) (n, m); 0 for a model never measured."""
        network = self.fitted_network()
        n, m = len(queries), len(self.pool_)
        prompts = self._prompts(network, self.texts(queries))
        pairs = np.stack([np.repeat(np.arange(n), m), np.tile(np.arange(m), n)], axis=1)
        score = self._chances(network, prompts, pairs).reshape(n, m)
        return Estimate(self.models_, self.widen(score), self.costs(n))

    def causal(self) -> bool:
        """Whether the answer is a token of a causal language model."""
        return (self.answer or _DEFAULTS[self.preset].answer) == "token"

    def network_recipe(self) -> Recipe:
        """The recipe with the language model in the place of the encoder."""
        return replace(self.recipe(), encoder=self.language_model or _DEFAULTS[self.preset].language_model)

    def parts(self) -> Parts:
        """Projector from description vectors to a soft token, and the output where the answer is a "head"."""

        def make(width: int) -> dict[str, nn.Module]:
            from torch import nn

            size = self.description_.shape[1]
            head = {} if self.causal() else {"head": nn.Linear(width, 1)}
            return {
                "projector": nn.Sequential(nn.RMSNorm(size, eps=1e-6), nn.Linear(size, width)),
                "residual": nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)),
                **head,
            }

        return make

    def _describe(self, train: Outcomes) -> FloatArray:
        """Description vectors (measured models, d), each coordinate standardised over the models."""
        from llmrouterbench.routers._encoder import encode, in_batches, load_network, tokenise

        reader = replace(self.recipe(), layers=0, lora_rank=0, recompute=False, max_tokens=512)
        network = load_network(reader, lambda width: {}, self.seed)
        ids = tokenise(network, capability_descriptions(train))
        vectors = in_batches(network, ids, lambda rows: encode(network, [ids[row] for row in rows]))
        spread = vectors.std(axis=0)
        return np.asarray((vectors - vectors.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0))

    def _losses(
        self,
        network: Network,
        prompts: tuple[int, list[list[int]]],
        pairs: IntArray,
        target: FloatArray,
        checked: IntArray,
    ) -> tuple[Callable[[IntArray], Tensor], Callable[[], float]]:
        """Cross-entropy of some training cells, and of the validation cells as they stand."""
        import torch

        from llmrouterbench.routers._heads import cross_entropy

        wanted = torch.tensor(target, dtype=torch.float32, device=network.device)

        def loss(cells: IntArray) -> Tensor:
            return cross_entropy(self._logits(network, prompts, pairs[cells]), wanted[torch.from_numpy(cells)])

        def judge() -> float:
            chance = np.clip(self._chances(network, prompts, pairs[checked]), 1e-6, 1 - 1e-6)
            truth = target[checked]
            return float(-(truth * np.log(chance) + (1 - truth) * np.log(1 - chance)).mean())

        return loss, judge

    def _prompts(self, network: Network, texts: Sequence[str]) -> tuple[int, list[list[int]]]:
        """Place of the soft token, and the token ids of each query with a stand-in at that place."""
        from llmrouterbench.routers._encoder import tokenise

        if not self.causal():
            return 1, [[row[0], row[0], *row[1:]] for row in tokenise(network, texts, free=1)]
        before, between, after = _frame(network.tokenizer)
        free = len(before) + len(between) + len(after) + 1
        queries = tokenise(network, texts, special=False, free=min(free, self.recipe().max_tokens - 1))
        return len(before), [[*before, query[0], *between, *query, *after] for query in queries]

    def _logits(self, network: Network, prompts: tuple[int, list[list[int]]], pairs: IntArray) -> Tensor:
        """Logit (k,) of yes for pairs (k, 2) of query and model."""
        import torch

        from llmrouterbench.routers._encoder import padded, pool

        place, ids = prompts
        tokens, mask = padded(network, [ids[row] for row in pairs[:, 0]])
        modules, model = network.modules, network.modules["encoder"]
        described = torch.tensor(self.description_[pairs[:, 1]], dtype=torch.float32, device=network.device)
        with network.autocast():
            soft = modules["projector"](described)
            soft = soft + modules["residual"](soft)
            words = model.get_input_embeddings()(tokens)
            words = torch.cat([words[:, :place], soft[:, None].to(words.dtype), words[:, place + 1 :]], dim=1)
            body = model.base_model if self.causal() else model
            hidden = body(inputs_embeds=words, attention_mask=mask).last_hidden_state
        if not self.causal():
            by_head: Tensor = modules["head"](hidden[:, place].float())[:, 0]
            return by_head
        yes, no = _answer_ids(network.tokenizer)
        output = model.get_output_embeddings().weight
        by_token: Tensor = pool(hidden, mask, "last") @ (output[yes] - output[no]).float()
        return by_token

    def _chances(self, network: Network, prompts: tuple[int, list[list[int]]], pairs: IntArray) -> FloatArray:
        """P(yes) (k,) of pairs."""
        from llmrouterbench.routers._encoder import in_batches

        if not len(pairs):
            return np.zeros(0)
        ids = [prompts[1][row] for row in pairs[:, 0]]
        return in_batches(network, ids, lambda rows: self._logits(network, prompts, pairs[rows]).sigmoid())


def _cells(score: FloatArray) -> tuple[IntArray, FloatArray]:
    """Pairs (k, 2) of query and model that were measured, and their scores (k,)."""
    pairs = np.argwhere(np.isfinite(score)).astype(np.int64)
    return pairs, score[pairs[:, 0], pairs[:, 1]]


def _frame(tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """Token ids before the soft token, between it and the query, and behind the query, in the model's chat form."""
    text = f"{_SOFT}\nQuery: {_QUERY}\n{_QUESTION}"
    if getattr(tokenizer, "chat_template", None):
        said = [{"role": "user", "content": text}]
        text = str(tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True))
    else:
        text = f"{text}\nAnswer:"
    before, rest = text.split(_SOFT, 1)
    between, after = rest.split(_QUERY, 1)
    ids = [tokenizer(part, add_special_tokens=False)["input_ids"] if part else [] for part in (before, between, after)]
    return ids[0], ids[1], ids[2]


def _answer_ids(tokenizer: Any) -> tuple[int, int]:
    """Tokens of Yes and No. Raises ValueError for a tokenizer that does not tell them apart."""
    yes, no = (tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in ("Yes", "No"))
    if yes == no:
        raise ValueError("language_model must have tokens that tell Yes from No, got one for both; use answer='head'")
    return int(yes), int(no)


def _freeze(network: Network) -> list[Any]:
    """Stop training the language model; returns the weights that were trained."""
    wanted = [weight for weight in network.modules["encoder"].parameters() if weight.requires_grad]
    for weight in wanted:
        weight.requires_grad_(False)
    return wanted
