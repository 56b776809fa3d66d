"""A pretrained Hugging Face encoder with a router's own parts on it: load, read texts, pool, save, load again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.embedders.sentence_transformer import MINILM, minilm_folder
from llmrouterbench.routers._recipe import Recipe
from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Parts = Callable[[int], "dict[str, nn.Module]"]
"""Makes the modules that stand on an encoder of a given width."""

_WEIGHTS, _ENCODER = "network.safetensors", "encoder"


@dataclass
class Network:
    """An encoder, its tokenizer and the parts on it, on one device.

    modules    nn.ModuleDict: "encoder" and the parts by name
    tokenizer  the encoder's own
    recipe     how it reads and was trained
    causal     True for a language model with its output layer
    """

    modules: Any
    tokenizer: Any
    recipe: Recipe
    causal: bool = False

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        found: torch.device = next(self.modules.parameters()).device
        return found

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision where the recipe asks for it."""
        import torch

        kind, precision = self.device.type, self.recipe.precision
        wanted = precision == "bf16" or (precision == "auto" and kind == "cuda")
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=wanted)


def load_network(recipe: Recipe, parts: Parts, seed: int, *, causal: bool = False) -> Network:
    """The pretrained encoder of a recipe with new parts on it, on the fastest device there is.

    Raises FileNotFoundError for an encoder that is neither a folder nor a model that the hub gives.
    """
    with seeded(seed):
        tokenizer, model = _pretrained(recipe, causal)
        if recipe.lora_rank:
            _add_adapters(model, recipe.lora_rank)
        elif not recipe.embeddings:
            model.get_input_embeddings().requires_grad_(False)
        if recipe.recompute:
            _recompute(model)
        return _assemble(model, tokenizer, recipe, parts, causal)


def save_network(network: Network, folder: Path) -> None:
    """Write weights (those that were trained, where only adapters were), configuration and tokenizer."""
    from safetensors.torch import save_file

    save_file(_own_weights(network), folder / _WEIGHTS)
    network.modules["encoder"].config.save_pretrained(folder / _ENCODER)
    network.tokenizer.save_pretrained(folder / _ENCODER)


def read_network(folder: Path, recipe: Recipe, parts: Parts, *, causal: bool = False) -> Network:
    """Read what `save_network` wrote. Raises ValueError where the weights belong to another network."""
    from safetensors.torch import load_file

    if recipe.lora_rank:
        network = load_network(recipe, parts, 0, causal=causal)
    else:
        with seeded(0):
            tokenizer, model = _blank(folder / _ENCODER, causal)
            network = _assemble(model, tokenizer, recipe, parts, causal)
    weights = load_file(folder / _WEIGHTS)
    if set(weights) != set(_own_weights(network)):
        raise ValueError(f"{folder / _WEIGHTS} must hold the weights of this router's network; save the router again")
    network.modules.load_state_dict(weights, strict=False)
    return network


def tokenise(
    network: Network, texts: Sequence[str], pairs: Sequence[str] | None = None, *, special: bool = True, free: int = 0
) -> list[list[int]]:
    """Token ids of each text, or of each text and its pair, cut to the recipe's length on its side.

    `special` adds the tokenizer's own marks; `free` positions of the length are left for something else.
    """
    if not len(texts):
        return []
    tokenizer = network.tokenizer
    tokenizer.truncation_side = network.recipe.truncation
    ids: list[list[int]] = tokenizer(
        list(texts),
        None if pairs is None else list(pairs),
        truncation="longest_first",
        max_length=_longest(network) - free,
        add_special_tokens=special,
    )["input_ids"]
    return [row or [_pad_id(tokenizer)] for row in ids]


def encode(network: Network, ids: Sequence[Sequence[int]]) -> Tensor:
    """Pooled vectors (n, width), float32, with gradients where they are on."""
    tokens, mask = padded(network, ids)
    with network.autocast():
        hidden = network.modules["encoder"](input_ids=tokens, attention_mask=mask).last_hidden_state
    return pool(hidden, mask, network.recipe.pooling)


def padded(network: Network, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids (n, tokens), filled up on the right, and the mask (n, tokens) that is 1 where they count."""
    import torch

    longest = max(len(row) for row in ids)
    tokens = np.full((len(ids), longest), _pad_id(network.tokenizer), dtype=np.int64)
    for place, row in zip(tokens, ids, strict=True):
        place[: len(row)] = row
    length = torch.tensor([len(row) for row in ids], device=network.device)
    mask = (torch.arange(longest, device=network.device) < length[:, None]).long()
    return torch.from_numpy(tokens).to(network.device), mask


def pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """One vector (n, width) of the hidden states (n, tokens, width), where `mask` (n, tokens) is 1."""
    import torch

    hidden = hidden.float()
    if pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1) - 1]
    weight = mask[:, :, None].float()
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)


def in_batches(
    network: Network, ids: Sequence[Sequence[int]], values: Callable[[list[int]], Tensor], size: int = 64
) -> FloatArray:
    """`values` (k, width) of every row, without gradients, rows of like length together."""
    import torch

    order = np.argsort([len(row) for row in ids], kind="stable").tolist()
    network.modules.eval()
    with torch.no_grad():
        made = [values(order[start : start + size]).double().cpu().numpy() for start in range(0, len(order), size)]
    out: FloatArray = np.concatenate(made)
    out[order] = out.copy()
    return out


def processes() -> Any:
    """What accelerate says of this process among those of its launcher, with the device that is its own."""
    import torch
    from accelerate import PartialState  # type: ignore[import-untyped]

    return PartialState(cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from a seed, and leave the caller's stream as it was."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def encoder_folder(name: str) -> str:
    """Where transformers finds an encoder: a folder, a hub name, or the checked folder of MiniLM."""
    return str(minilm_folder()) if name == MINILM else name


def _pretrained(recipe: Recipe, causal: bool) -> tuple[Any, Any]:
    """Tokenizer and pretrained model; frozen base weights in bf16 on CUDA, float32 otherwise."""
    import torch
    from transformers import AutoTokenizer

    settings = {"num_hidden_layers": recipe.layers} if recipe.layers else {}
    try:
        source = encoder_folder(recipe.encoder)
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(source)
            model = _model_class(causal).from_pretrained(source, **settings)
    except OSError as error:  # an unknown name, no network, a gated model, a folder without weights
        raise FileNotFoundError(
            f"encoder must be a folder with a Hugging Face model or a name that the hub gives, got {recipe.encoder!r}"
            f" ({type(error).__name__}); download it first and give its folder"
        ) from error
    half = bool(recipe.lora_rank) and torch.cuda.is_available() and recipe.precision != "fp32"
    return tokenizer, model.to(torch.bfloat16 if half else torch.float32)


def _blank(folder: Path, causal: bool) -> tuple[Any, Any]:
    """Tokenizer and a model without its weights, from a saved configuration."""
    from transformers import AutoConfig, AutoTokenizer

    with _quiet():
        config = AutoConfig.from_pretrained(folder)
        return AutoTokenizer.from_pretrained(folder), _model_class(causal).from_config(config)


def _model_class(causal: bool) -> Any:
    import transformers

    return transformers.AutoModelForCausalLM if causal else transformers.AutoModel


def _assemble(model: Any, tokenizer: Any, recipe: Recipe, parts: Parts, causal: bool) -> Network:
    import torch

    modules = torch.nn.ModuleDict({"encoder": model, **parts(model.config.hidden_size)})
    return Network(modules.to(processes().device), tokenizer, recipe, causal)


def _add_adapters(model: Any, rank: int) -> None:
    """Put float32 LoRA adapters on every linear layer but the output layer, and freeze the rest."""
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    output = model.get_output_embeddings()
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not output
    }
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.05, target_modules=sorted(linear))
    inject_adapter_in_model(config, model)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def _recompute(model: Any) -> None:
    """Recompute activations in the backward pass; the method has another name from transformers 5 on."""
    settings = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=settings)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=settings)


def _own_weights(network: Network) -> dict[str, Tensor]:
    """Copies on the CPU of the weights that make the network: all, or adapters and parts."""
    trained = {name for name, weight in network.modules.named_parameters() if weight.requires_grad}
    everything = not network.recipe.lora_rank
    return {
        name: weight.detach().cpu().clone().contiguous()
        for name, weight in network.modules.state_dict().items()
        if everything or name in trained or not name.startswith("encoder.")
    }


def _longest(network: Network) -> int:
    positions = getattr(network.modules["encoder"].config, "max_position_embeddings", network.recipe.max_tokens)
    return int(min(network.recipe.max_tokens, positions))


def _pad_id(tokenizer: Any) -> int:
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from writing bars and loading notes on standard error."""
    logging: Any = import_module("transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
