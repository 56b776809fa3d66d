"""torch, imported only where a router trains, and what the networks of several routers share.

Everything random comes from a router's own generator: the global random state is neither read nor changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from llmrouterbench.routers._linear_models import Affine
from llmrouterbench.table import FloatArray

if TYPE_CHECKING:
    import torch

State = TypeVar("State")


def need_torch(who: str) -> None:
    """Raises ImportError with the remedy where torch is not installed."""
    if find_spec("torch") is None:
        raise ImportError(f"{who} needs torch; pip install 'llmrouterbench[torch]'")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one CPU thread, and give the others back afterwards.

    Sums do not depend on the machine's number of cores then, and steps of a millisecond do not wait for busy ones.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seeded_generator(seed: int) -> torch.Generator:
    """A random stream on the device to train on: the GPU where there is one."""
    import torch

    return torch.Generator("cuda" if torch.cuda.is_available() else "cpu").manual_seed(seed)


def to_tensor(values: FloatArray, generator: torch.Generator) -> torch.Tensor:
    """The values in single precision on the generator's device."""
    import torch

    return torch.tensor(values, dtype=torch.float32, device=generator.device)


def to_array(values: torch.Tensor) -> FloatArray:
    """A copy of the values as a float64 array."""
    return np.array(values.detach().cpu().numpy(), dtype=np.float64)


def linear_layer(inputs: int, outputs: int, generator: torch.Generator, bias: bool = True) -> torch.nn.Linear:
    """A linear layer with torch's usual start, uniform in +-1 / sqrt(inputs), drawn from the generator."""
    import torch

    layer = torch.nn.Linear(inputs, outputs, bias=bias, device="meta").to_empty(device=generator.device)
    with torch.no_grad():
        for part in layer.parameters():
            part.uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)
    return layer


def shuffled_batches(n: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Rows 0 to n - 1 in random order, `size` at a time."""
    import torch

    order = torch.randperm(n, generator=generator, device=generator.device)
    for start in range(0, n, size):
        yield order[start : start + size]


def masked_cross_entropy(logit: torch.Tensor, target: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of sigmoid(logit) against fractions over the cells that count (1 of 0 and 1); 0 without any.

    With d = logit_1 - logit_0 this equals the cross-entropy of softmax(logit_0, logit_1) against (1 - t, t).
    """
    import torch

    loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, target, counts, reduction="sum")
    return loss / counts.sum().clamp(min=1)


def take_step(loss: torch.Tensor, optimiser: torch.optim.Optimizer) -> None:
    """One step down the gradient of the loss."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def cross_entropy(logit: FloatArray, target: FloatArray) -> float:
    """Mean cross-entropy of sigmoid(logit) against fractions; NaN targets are left out, NaN where nothing is left.

    >>> round(cross_entropy(np.array([0.0, 3.0]), np.array([0.5, np.nan])), 4)
    0.6931
    """
    known = np.isfinite(target)
    z, t = logit[known], target[known]
    return float((np.logaddexp(0.0, z) - t * z).mean()) if len(z) else float("nan")


def affine(layer: torch.nn.Linear) -> Affine:
    """The layer as arrays: weight (inputs, outputs) and bias (outputs,)."""
    return Affine(to_array(layer.weight).T, to_array(layer.bias))


def keep_best(
    states: Iterable[tuple[float, State]], patience: int, watch: Callable[[State], None] | None = None
) -> State:
    """The state with the lowest loss, looking no further than `patience` states behind it.

    Losses of NaN (nothing to validate on) compare with nothing: the last state stands. `watch` is shown every state,
    those behind the end of the search too, and changes nothing about the one that is kept.

    >>> keep_best([(0.9, "a"), (0.5, "b"), (0.6, "c"), (0.7, "d"), (0.1, "e")], patience=2)
    'b'
    >>> keep_best([(float("nan"), "a"), (float("nan"), "b")], patience=1)
    'b'
    """
    kept: list[State] = []
    lowest, since = float("inf"), 0
    for loss, state in states:
        if watch is not None:
            watch(state)
        if kept and since >= patience:  # over; only the watch goes on
            continue
        since += 1
        if not loss >= lowest:
            kept, lowest, since = [state], loss, 0
        elif since >= patience and watch is None:
            break
    return kept[0]


def showing(router: Any, attribute: str, watch: Callable[[Any], None] | None) -> Callable[[Any], None] | None:
    """For `keep_best`: show `watch` the router as it would stand with each state as its attribute."""

    def show(state: Any) -> None:
        setattr(router, attribute, state)
        if watch is not None:
            watch(router)

    return None if watch is None else show
