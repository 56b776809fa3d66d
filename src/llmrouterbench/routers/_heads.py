"""An encoder with k probabilities on it: what bert, hybridllm and frugalgpt fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._encoder import Network, Parts, encode, in_batches
from llmrouterbench.routers._training import train_network
from llmrouterbench.table import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import Tensor, nn


def linear_head(outputs: int, dropout: float) -> Parts:
    """A linear layer with `outputs` outputs on the pooled vector."""

    def make(width: int) -> dict[str, nn.Module]:
        from torch import nn

        return {"dropout": nn.Dropout(dropout), "head": nn.Linear(width, outputs)}

    return make


def fit_heads(
    network: Network,
    ids: Sequence[Sequence[int]],
    target: FloatArray,
    halves: tuple[IntArray, IntArray],
    seed: int,
    checkpoint: Path | None,
    watch: Callable[[], None] | None = None,
) -> None:
    """Train on cross-entropy with targets (n, k) in [0, 1], NaN left out; stop where it is least on the second half.

    The head starts from the mean of each target, so that training spends no steps on finding it. `watch` as in
    `train_network`.
    """
    import torch

    rows, held = halves
    wanted = torch.tensor(target, dtype=torch.float32, device=network.device)
    mean = np.clip(np.nan_to_num(known_mean(target[rows], axis=0), nan=0.5), 0.02, 0.98)
    with torch.no_grad():
        network.modules["head"].bias.copy_(torch.tensor(np.log(mean / (1 - mean))))
        network.modules["head"].weight.mul_(0.1)

    def loss(some: IntArray) -> Tensor:
        return cross_entropy(_logits(network, [ids[row] for row in some]), wanted[torch.from_numpy(some)])

    def judge() -> float:
        kept = [ids[row] for row in held]
        logits = in_batches(network, kept, lambda rows: _logits(network, [kept[row] for row in rows]))
        return float(cross_entropy(torch.from_numpy(logits), wanted[torch.from_numpy(held)].cpu().double()))

    length = np.array([len(row) for row in ids])
    train_network(network, rows, loss, judge if len(held) else None, seed, checkpoint, length, watch)


def probabilities(network: Network, ids: Sequence[Sequence[int]]) -> FloatArray:
    """Probabilities (n, k) of texts given as token ids."""
    import torch

    outputs = network.modules["head"].out_features
    if not len(ids):
        return np.zeros((0, outputs))
    return in_batches(network, ids, lambda rows: torch.sigmoid(_logits(network, [ids[row] for row in rows])))


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over entries of `target` that are not NaN."""
    import torch

    known = torch.isfinite(target)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.where(known, target, 0.0).to(logits.dtype), reduction="none"
    )
    return (each * known).sum() / known.sum().clamp(min=1)


def _logits(network: Network, ids: Sequence[Sequence[int]]) -> Tensor:
    logits: Tensor = network.modules["head"](network.modules["dropout"](encode(network, ids)))
    return logits
