"""Settings, fitted state and files that the routers with a fine-tuned encoder share. Imports no torch by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import orjson

from llmrouterbench.metrics import known_mean
from llmrouterbench.naming import did_you_mean
from llmrouterbench.persist import constructor_settings
from llmrouterbench.routers._recipe import Recipe
from llmrouterbench.splits import validation_split
from llmrouterbench.table import FloatArray, IntArray, Outcomes, Queries

if TYPE_CHECKING:
    from llmrouterbench.routers._encoder import Network, Parts


@dataclass(eq=False)
class FineTuned:
    """What every fine-tuned router is set up with; a setting that is None has the preset's value (see `Recipe`).

    preset       "minilm" trains on a CPU in minutes, "quick" in about one (less of the encoder, less of the data),
                 "paper" has the paper's encoder and needs a large GPU
    text         what is read: "prompt" (as sent to the models) or "query"
    validation   share of train, cut by dataset with copies kept together, on which training is stopped
    checkpoints  folder for a checkpoint after every epoch, from which the same fit goes on; removed when it is done
    """

    preset: str = "minilm"
    encoder: str | None = None
    layers: int | None = None
    pooling: str | None = None
    max_tokens: int | None = None
    truncation: str | None = None
    epochs: int | None = None
    max_steps: int | None = None
    batch_size: int | None = None
    accumulation: int | None = None
    learning_rate: float | None = None
    head_learning_rate: float | None = None
    patience: int | None = None
    lora_rank: int | None = None
    precision: str | None = None
    text: str = "prompt"
    validation: float = 0.15
    checkpoints: str | None = None
    seed: int = 42

    name: ClassVar[str]
    presets: ClassVar[Mapping[str, Recipe]]
    file_attributes: ClassVar[tuple[str, ...]] = ("network_",)

    def __post_init__(self) -> None:
        if self.preset not in self.presets:
            raise ValueError(f"no preset named {self.preset!r}{did_you_mean(self.preset, self.presets)}")
        if self.text not in ("prompt", "query"):
            raise ValueError(f"text must be 'prompt' or 'query', got {self.text!r}")
        if not 0.0 <= self.validation < 1.0:
            raise ValueError(f"validation must be a share from 0 to below 1, got {self.validation}")
        self.recipe()
        self.network_: Network | None = None

    def recipe(self) -> Recipe:
        """The preset with what was set by hand."""
        mine = {field.name: getattr(self, field.name, None) for field in fields(Recipe)}
        return replace(self.presets[self.preset], **{key: value for key, value in mine.items() if value is not None})

    def begin(self, train: Outcomes) -> Outcomes:
        """Remember the pool and its mean costs; returns the measured models' outcomes, in string order of their ids.

        The order makes a fit independent of how the columns stand. Raises ImportError without the libraries and
        ValueError where nothing was measured.
        """
        require(self.name, self.recipe())
        measured = np.asarray(np.isfinite(train.score).any(axis=0))
        if not measured.any():
            raise ValueError(f"router {self.name!r} needs at least one measured score to be fitted, got none")
        self.models_ = train.models
        self.pool_ = tuple(sorted(model for model, known in zip(train.models, measured.tolist(), strict=True) if known))
        self.cost_ = known_mean(train.cost, axis=0)
        return train.select(self.pool_)

    def halves(self, train: Outcomes) -> tuple[IntArray, IntArray]:
        """Rows to train on and rows to validate on; none of the latter where the table is too small to give any."""
        everything = np.arange(len(train))
        if self.validation == 0.0:
            return everything, everything[:0]
        try:
            return validation_split(train, everything, self.seed, self.validation)
        except ValueError:  # too few queries for the share
            return everything, everything[:0]

    def texts(self, queries: Queries) -> Sequence[str]:
        """What is read of each query (n,)."""
        return list(queries.prompt if self.text == "prompt" else queries.text)

    def widen(self, values: FloatArray, missing: float = 0.0) -> FloatArray:
        """Columns (n, measured models) as (n, models) in the order of the training table."""
        out = np.full((len(values), len(self.models_)), missing)
        out[:, self.columns()] = values
        return out

    def columns(self) -> IntArray:
        """Column in the training table of each model of the pool."""
        return np.array([self.models_.index(model) for model in self.pool_], dtype=np.int64)

    def costs(self, n: int) -> FloatArray:
        """Mean training USD (n, models), the same for every query; NaN for a model without a known cost."""
        return np.broadcast_to(self.cost_, (n, len(self.models_)))

    def fitted_network(self) -> Network:
        """The trained network. Raises ValueError before `fit`."""
        if self.network_ is None:
            raise ValueError(f"router {self.name!r} must be fitted before it predicts; call fit(train)")
        return self.network_

    def checkpoint(self, train: Outcomes, part: str = "network") -> Path | None:
        """Where the checkpoints of this fit lie: a folder named after the training data and every setting."""
        if self.checkpoints is None:
            return None
        settings = {key: value for key, value in constructor_settings(self).items() if key != "checkpoints"}
        digest = hashlib.sha256(orjson.dumps([self.name, settings, train.content_hash], option=orjson.OPT_SORT_KEYS))
        for text in self.texts(train.queries):
            digest.update(hashlib.sha256(text.encode()).digest())
        return Path(self.checkpoints) / f"{self.name}-{digest.hexdigest()[:16]}-{part}"

    def showing(self, settle: Callable[[], None], watch: Callable[[Any], None] | None) -> Callable[[], None] | None:
        """For `train_network`: after an epoch, settle all that follows from the network, then show the router."""

        def show() -> None:
            settle()
            if watch is not None:
                watch(self)

        return None if watch is None else show

    def network_recipe(self) -> Recipe:
        """The recipe of the network that is trained."""
        return self.recipe()

    def causal(self) -> bool:
        """Whether the network is a language model with its output layer."""
        return False

    def parts(self) -> Parts:
        """What stands on the encoder; asked for after the other fitted attributes are set."""
        raise NotImplementedError

    def save_files(self, folder: Path) -> None:
        """Write the network's weights, configuration and tokenizer."""
        from llmrouterbench.routers._encoder import save_network

        if self.network_ is not None:
            save_network(self.network_, folder)

    def load_files(self, folder: Path) -> None:
        """Read the network back; the base weights too where only adapters were trained."""
        from llmrouterbench.routers._encoder import read_network

        require(self.name, self.recipe())
        if (folder / "encoder").is_dir():
            self.network_ = read_network(folder, self.network_recipe(), self.parts(), causal=self.causal())


def require(name: str, recipe: Recipe) -> None:
    """Raise ImportError with the remedy where a library that this recipe needs is missing."""
    needed = ["torch", "transformers", "accelerate", "safetensors", *(["peft"] if recipe.lora_rank else [])]
    for library in needed:
        if find_spec(library) is None:
            raise ImportError(f"router {name!r} needs {library}; pip install 'llmrouterbench[finetune]'")
