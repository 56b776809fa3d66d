"""Settings and operating points chosen without peeking: on a validation part that is cut from train."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmrouterbench.benching.policies import decide_sweep
from llmrouterbench.contracts import Router
from llmrouterbench.estimating.pseudo import Evidence
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


def best_variant(candidates: Sequence[Router], evidence: Evidence, weights: FloatArray) -> tuple[Router, IntArray]:
    """The unfitted router with the best AvgAcc on validation, and the models (w, n) that it chose there unseen.

    Every candidate learns from what the other rows of train teach, is judged on validation, and counts at its best
    operating point. The first one wins a tie, so that defaults and small settings, listed first, are kept unless
    something is better.
    """
    part = evidence.judge
    tried = []
    for router in candidates:
        choice = decide_sweep(copy.deepcopy(router).fit(evidence.learn), part.queries, weights)
        tried.append((_best_avg_acc(part, choice), router, choice))
    _, router, choice = max(tried, key=lambda one: one[0])
    return router, choice


def _best_avg_acc(part: Outcomes, choice: IntArray) -> float:
    served = part.score[np.arange(len(part)), choice].T
    found = avg_acc(dataset_means(served, part.dataset, part.datasets).T)
    return float(np.nanmax(found)) if np.isfinite(found).any() else -np.inf
