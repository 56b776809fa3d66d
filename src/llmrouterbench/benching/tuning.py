"""Settings and operating points chosen without peeking: on a validation part that is cut from train."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmrouterbench.benching.policies import decide_sweep
from llmrouterbench.contracts import Router
from llmrouterbench.metrics import avg_acc, dataset_means
from llmrouterbench.persist import constructor_settings
from llmrouterbench.table import FloatArray, IntArray, Outcomes


def grid_of(router: Router) -> Mapping[str, Sequence[Any]]:
    """The small grid that a router declares as its class attribute `grid`: setting -> values; empty where none is."""
    grid: Mapping[str, Sequence[Any]] = getattr(type(router), "grid", {})
    return grid


def variants(router: Router) -> list[Router]:
    """Unfitted copies of a router, one a point of its grid; the router itself where it declares none.

    >>> from llmrouterbench.routers import make_router
    >>> sorted(v.k for v in variants(make_router("avengers", seed=7)))
    [16, 32, 64]
    """
    grid = grid_of(router)
    settings = constructor_settings(router) if grid else {}
    found: list[Router] = []
    for values in itertools.product(*grid.values()):
        changed = {**settings, **dict(zip(grid, values, strict=True))}
        found.append(type(router)(**changed) if grid else copy.deepcopy(router))
    return found


@dataclass(frozen=True)
class Trial:
    """A router with one choice of settings, and what it decided on validation without having seen it.

    router   unfitted
    choice   (w, n) models chosen on the validation rows
    avg_acc  validation AvgAcc of the best operating point
    """

    router: Router
    choice: IntArray
    avg_acc: float


def best_trial(
    candidates: Sequence[Router], outcomes: Outcomes, fit: IntArray, validation: IntArray, weights: FloatArray
) -> Trial:
    """Fit every candidate on the fit rows, decide on validation, and keep the one with the best AvgAcc there.

    The first one wins a tie, so that defaults and small settings, listed first, are kept unless something is better.
    """
    part = outcomes.take(validation)
    trials = []
    for router in candidates:
        fitted = copy.deepcopy(router).fit(outcomes.take(fit))
        choice = decide_sweep(fitted, part.queries, weights)
        trials.append(Trial(router, choice, _best_avg_acc(part, choice)))
    return max(trials, key=lambda trial: trial.avg_acc)


def _best_avg_acc(part: Outcomes, choice: IntArray) -> float:
    served = part.score[np.arange(len(part)), choice].T
    found = avg_acc(dataset_means(served, part.dataset, part.datasets).T)
    return float(np.nanmax(found)) if np.isfinite(found).any() else -np.inf
