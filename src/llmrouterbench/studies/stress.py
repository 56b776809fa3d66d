"""One study of one router under every disturbance that the outcomes allow, and what could not be tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from llmrouterbench.benching.deciding import decide
from llmrouterbench.benching.folder import Made, Runs
from llmrouterbench.coverage import need_matrix
from llmrouterbench.metrics import best_single, dataset_means
from llmrouterbench.shown import Shown
from llmrouterbench.studies.collapse import Collapse, routing_collapse
from llmrouterbench.studies.noise import Noise
from llmrouterbench.studies.robustness import (
    Disturbance,
    Setup,
    Trials,
    held_out_dataset,
    noisy_queries,
    repriced,
    trials,
    with_model,
    without_model,
    without_template,
)
from llmrouterbench.table import Outcomes

NOISES = (Noise("swap"), Noise("drop"), Noise("case"), Noise("synonym", 1.0))
"""Typos, lost characters, case; and paraphrase as far as a list of synonyms goes."""
FACTORS = (0.5, 2.0)
VALIDATION = 0.2
Tell = Callable[[str, int, int | None], None]


@dataclass(frozen=True, repr=False)
class Stress(Shown):
    """What a router does under each kind of disturbance.

    kinds     "left out", "noise", "template", "models", "prices" -> the disturbances of that kind
    skipped   kind -> why it could not be tried
    collapse  how the undisturbed router spreads the queries; the last row is the oracle's
    """

    words: ClassVar[str] = "reporting.robustness:stress_lines"

    router: str
    kinds: dict[str, tuple[Disturbance, ...]]
    skipped: dict[str, str]
    collapse: tuple[Collapse, ...]
    simulated: bool


def stress(
    outcomes: Outcomes,
    setup: Setup,
    *,
    models: Sequence[str] | None = None,
    factors: Mapping[str, float] | None = None,
    domains: Mapping[str, str] | None = None,
    noises: Sequence[Noise] = NOISES,
    progress: Tell | None = None,
) -> Stress:
    """Try every disturbance, all on the same splits and embeddings.

    models   those that are removed and added; the best single model when not given
    factors  price factors by model; half and twice the price of the best single model when not given
    domains  dataset -> domain, to leave out whole domains instead of datasets

    Raises ValueError or KeyError for a model that is not there, as the functions of `robustness` do, and ValueError for
    logged data.
    """
    need_matrix(outcomes, "how a router takes a disturbance")
    pool = outcomes.pool
    best = pool.models[best_single(dataset_means(pool.score, pool.dataset, pool.datasets))]
    prices = [factors] if factors else [{best: factor} for factor in FACTORS]
    for model in models or []:
        pool.select([model])
    made = trials(outcomes, setup)

    def left_out() -> list[Disturbance]:
        return list(held_out_dataset(outcomes, setup, domains=domains, prepared=made))

    def changed() -> list[Disturbance]:
        tried = models or [best]
        kinds = (without_model, with_model)
        return [change(outcomes, setup, model, prepared=made) for model in tried for change in kinds]

    steps: dict[str, Callable[[], list[Disturbance]]] = {
        "left out": left_out,
        "noise": lambda: [noisy_queries(outcomes, setup, noise, prepared=made) for noise in noises],
        "template": lambda: [without_template(outcomes, setup, prepared=made)],
        "models": changed,
        "prices": lambda: [row for one in prices for row in repriced(outcomes, setup, one, prepared=made)],
    }
    kinds, skipped = {}, _skipped(outcomes, domains)
    for i, (kind, step) in enumerate(steps.items()):
        if progress:
            progress(kind, i, len(steps))
        if kind not in skipped:
            kinds[kind] = tuple(step())
    return Stress(str(setup.router), kinds, skipped, _collapse(outcomes, made, setup), outcomes.simulated)


def _skipped(outcomes: Outcomes, domains: Mapping[str, str] | None) -> dict[str, str]:
    """What the outcomes do not allow, and why."""
    pool, reasons = outcomes.pool, {}
    groups = {(domains or {}).get(name, name) for name in pool.datasets}
    if len(groups) < 2:
        what = "datasets" if domains is None else "domains"
        reasons["left out"] = f"there is one of the {what}: nothing would be left to train on"
    if list(pool.queries.text) == list(pool.queries.prompt):
        reasons["template"] = "prompts and queries are the same texts: there is no template to remove"
    if len(pool.models) < 2:
        reasons["models"] = "there is one model: no pool is left without it"
    if not np.isfinite(pool.cost).any():
        reasons["prices"] = "no cost is known"
    return reasons


def _collapse(outcomes: Outcomes, made: Trials, setup: Setup) -> tuple[Collapse, ...]:
    """The collapse index of the router, from runs that are never written to disk."""
    label = str(setup.router)
    pool = made[0].pool
    decisions = {
        (label, trial.seed): decide(trial.pool, trial.split, setup.unfitted(), VALIDATION, trial.seed) for trial in made
    }
    splits = {trial.seed: trial.split for trial in made}
    runs = Runs(pool, splits, decisions, Made.of([label], splits))
    return routing_collapse(runs, replicates=setup.replicates)
