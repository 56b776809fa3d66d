"""One training loop for every fine-tuned router: warm-up and decay, accumulation, early stopping, resumable epochs.

Started by `accelerate launch`, each process works on its share of every batch and gradients are averaged over
processes; started alone, it is an ordinary loop. Every process ends with the same weights.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrouterbench.files import new_folder, read_json, write_json
from llmrouterbench.routers._encoder import Network, processes, seeded
from llmrouterbench.routers._recipe import Recipe
from llmrouterbench.table import IntArray

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[[IntArray], "Tensor"]
"""Mean loss of some training rows, with gradients."""
Judge = Callable[[], float]
"""Value of the network as it stands on the validation part; lower is better."""
_CLIP = 1.0


@dataclass
class _Progress:
    """Where a training stands: epochs and optimizer steps done, the best validation value and its epoch."""

    epoch: int = 0
    step: int = 0
    best: float = math.inf
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)


def train_network(
    network: Network,
    rows: IntArray,
    loss: Loss,
    judge: Judge | None,
    seed: int,
    checkpoint: Path | None = None,
    length: IntArray | None = None,
    watch: Callable[[], None] | None = None,
) -> int:
    """Train every weight that wants a gradient on `rows`; returns the epoch whose weights were kept.

    With a `judge` the weights of its best epoch are kept; a single epoch is not judged. `length` (n,) of all rows puts
    rows of like length into one batch, which saves padding. A `checkpoint` folder is written after every epoch and gone
    on from. `watch` is called after every epoch, while the weights stand as that epoch left them; training then goes on
    to the last epoch and starts at the first one, whatever the checkpoint, and keeps the weights that it keeps without
    a watch.
    """
    recipe = network.recipe
    weights = {name: weight for name, weight in network.modules.named_parameters() if weight.requires_grad}
    optimizer = _optimizer(weights, recipe)
    batch = recipe.batch_size * recipe.accumulation
    steps = recipe.epochs * math.ceil(len(rows) / batch)
    steps = min(steps, recipe.max_steps) if recipe.max_steps else steps
    checkpoint = checkpoint if watch is None else None
    progress = _resume(checkpoint, weights, optimizer)
    while progress.epoch < recipe.epochs and progress.step < steps:
        over = _patience_is_over(progress, recipe)
        if over and watch is None:
            break
        _epoch(network, optimizer, progress, steps, rows, loss, seed, length)
        progress.epoch += 1
        only = progress.epoch == 1 and (recipe.epochs == 1 or progress.step >= steps)
        if judge is not None and not over and not only:
            _keep_best(progress, weights, judge())
        _write(checkpoint, progress, weights, optimizer)
        if watch is not None:
            watch()
    for name, best in progress.best_weights.items():
        weights[name].data.copy_(best)
    network.modules.eval()
    return progress.best_epoch if progress.best_weights else progress.epoch


def _epoch(
    network: Network,
    optimizer: Any,
    progress: _Progress,
    steps: int,
    rows: IntArray,
    loss: Loss,
    seed: int,
    length: IntArray | None,
) -> None:
    """One pass over the rows, or what is left of `steps`; its random numbers follow from the seed and the epoch."""
    recipe = network.recipe
    batch, epoch_seed = recipe.batch_size * recipe.accumulation, seed * 1_000 + progress.epoch
    with seeded(epoch_seed):
        order = _order(rows, length, batch, np.random.default_rng(epoch_seed))
        for start in range(0, len(order), batch):
            if progress.step < steps:
                _step(network, optimizer, order[start : start + batch], loss, _factor(progress.step, steps, recipe))
                progress.step += 1


def forget(checkpoint: Path | None) -> None:
    """Remove the checkpoints of a fit that is done."""
    processes().wait_for_everyone()
    if checkpoint is not None and processes().is_main_process:
        shutil.rmtree(checkpoint, ignore_errors=True)


def _step(network: Network, optimizer: Any, rows: IntArray, loss: Loss, factor: float) -> None:
    """One optimizer step on one batch, in `accumulation` passes, of which this process does its share."""
    import torch

    state = processes()
    network.modules.train()
    passes = np.array_split(rows, min(network.recipe.accumulation, len(rows)))
    for part in passes:
        mine = part[state.process_index :: state.num_processes]
        value: Any = loss(mine if len(mine) else part) * (len(part) / len(rows))
        value.backward()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if state.num_processes > 1:
        for weight in weights:
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            torch.distributed.all_reduce(weight.grad)
            weight.grad /= state.num_processes
    torch.nn.utils.clip_grad_norm_(weights, _CLIP)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _optimizer(weights: dict[str, Any], recipe: Recipe) -> Any:
    import torch

    pretrained = [weight for name, weight in weights.items() if name.startswith("encoder.")]
    new = [weight for name, weight in weights.items() if not name.startswith("encoder.")]
    groups = [
        {"params": part, "lr": peak, "peak": peak}
        for part, peak in ((pretrained, recipe.learning_rate), (new, recipe.head_learning_rate))
        if part
    ]
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)


def _factor(step: int, steps: int, recipe: Recipe) -> float:
    """Share of the peak learning rate at a step.

    >>> [round(_factor(step, 10, Recipe(warmup=0.2)), 3) for step in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    warmup = math.ceil(recipe.warmup * steps)
    return (step + 1) / warmup if step < warmup else (steps - step) / max(steps - warmup, 1)


def _order(rows: IntArray, length: IntArray | None, batch: int, rng: np.random.Generator) -> IntArray:
    """The rows in random order; with lengths, sorted within random blocks of 16 batches, and the batches shuffled."""
    order = rng.permutation(rows)
    if length is None:
        return order
    blocks = [order[start : start + 16 * batch] for start in range(0, len(order), 16 * batch)]
    order = np.concatenate([block[np.argsort(length[block], kind="stable")] for block in blocks])
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    return np.concatenate([batches[i] for i in rng.permutation(len(batches))])


def _patience_is_over(progress: _Progress, recipe: Recipe) -> bool:
    return bool(progress.best_weights) and progress.epoch - progress.best_epoch >= recipe.patience


def _keep_best(progress: _Progress, weights: dict[str, Any], value: float) -> None:
    """Copy the weights where the validation value is the best so far."""
    if not progress.best_weights or value < progress.best:
        progress.best, progress.best_epoch = value, progress.epoch
        progress.best_weights = {name: weight.detach().cpu().clone() for name, weight in weights.items()}


def _write(checkpoint: Path | None, progress: _Progress, weights: dict[str, Any], optimizer: Any) -> None:
    """Write a whole new checkpoint, then put it in the old one's place."""
    from safetensors.torch import save_file

    if checkpoint is None or not processes().is_main_process:
        return
    moments = {
        f"{name}/{key}": value.detach().cpu().clone()
        for name, weight in weights.items()
        for key, value in optimizer.state.get(weight, {}).items()
    }
    with new_folder(checkpoint, overwrite=True) as folder:
        save_file({name: weight.detach().cpu().clone() for name, weight in weights.items()}, folder / "now.safetensors")
        save_file(progress.best_weights, folder / "best.safetensors")
        save_file(moments, folder / "optimizer.safetensors")
        said = {"epoch": progress.epoch, "step": progress.step, "best_epoch": progress.best_epoch}
        write_json(folder / "progress.json", {**said, "best": progress.best if progress.best_weights else None})


def _resume(checkpoint: Path | None, weights: dict[str, Any], optimizer: Any) -> _Progress:
    """Progress, weights and optimizer as a checkpoint has them; a fresh start where there is none."""
    from safetensors.torch import load_file

    if checkpoint is None or not (checkpoint / "progress.json").is_file():
        return _Progress()
    said: Any = read_json(checkpoint / "progress.json")
    for name, saved in load_file(checkpoint / "now.safetensors").items():
        weights[name].data.copy_(saved)
    for name, saved in load_file(checkpoint / "optimizer.safetensors").items():
        name, _, key = name.rpartition("/")
        weight = weights[name]
        optimizer.state[weight][key] = saved if key == "step" else saved.to(weight.device)
    best = math.inf if said["best"] is None else float(said["best"])
    return _Progress(said["epoch"], said["step"], best, said["best_epoch"], load_file(checkpoint / "best.safetensors"))
