"""How many labelled queries are enough: what cheap routers gain from growing training sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llmrouterbench.routers import make_router, parse_router
from llmrouterbench.splits import Split
from llmrouterbench.stats import Interval, Sample, pair
from llmrouterbench.table import IntArray, Outcomes
from llmrouterbench.worth import quality_choice, train_best_single

LEARNERS = ("task_soft:gate=False", "knn:k=20")
_STEPS = (50, 100, 200, 400, 800, 1600, 3200, 6400)
Choices = dict[tuple[str, int], IntArray]
"""Models (n,) chosen on the test queries of one seed, by learner and number of training queries."""


@dataclass(frozen=True)
class Learning:
    """What one learner gains over the best single model of the full train part.

    size    (k,) training queries
    gain    (k,) AvgAcc minus the best single model's
    enough  the smallest size that gains certainly and keeps at least 90 % of the last gain; None where none does
    """

    router: str
    size: tuple[int, ...]
    gain: tuple[Interval, ...]
    enough: int | None


def sizes(most: int) -> list[int]:
    """Sizes of training sets: doublings from 50, and the whole (6,400 at most).

    >>> sizes(500)
    [50, 100, 200, 500]
    """
    whole = min(most, _STEPS[-1])
    return [*(size for size in _STEPS if size <= 0.75 * whole), whole]


def learned_choices(embedded: Outcomes, split: Split, seed: int, steps: Sequence[int]) -> Choices:
    """Choices of every learner, fitted on the first queries of one random order of train."""
    order = np.random.default_rng(seed).permutation(split.train)
    test, found = embedded.queries.take(split.test), {}
    for size in steps:
        part = embedded.take(np.sort(order[:size]))
        for learner in LEARNERS:
            name, settings = parse_router(learner)
            found[learner, size] = quality_choice(make_router(name, **settings).fit(part), test)
    return found


def learning_curves(
    outcomes: Outcomes, trials: Mapping[int, tuple[Split, Choices]], *, replicates: int = 1000
) -> tuple[Learning, ...]:
    """One curve a learner, from the split and the choices of every seed; sizes that a seed lacks are left out."""
    keys = [key for key in next(iter(trials.values()))[1] if all(key in choices for _, choices in trials.values())]
    samples = []
    for split, choices in trials.values():
        test, rows = outcomes.take(split.test), np.arange(len(split.test))
        single = np.full(len(rows), train_best_single(outcomes.take(split.train)))
        score = np.stack([test.score[rows, choice] for choice in [*(choices[key] for key in keys), single]], axis=1)
        samples.append(Sample(test.dataset, test.together, score, np.full(score.shape, np.nan)))
    means = pair(samples, replicates=replicates)
    gain = {key: means.difference(i, len(keys)) for i, key in enumerate(keys)}
    curves = []
    for learner in LEARNERS:
        steps = sorted(size for name, size in keys if name == learner)
        gains = tuple(gain[learner, size] for size in steps)
        curves.append(Learning(learner, tuple(steps), gains, enough(steps, gains)))
    return tuple(curves)


def enough(steps: Sequence[int], gains: Sequence[Interval]) -> int | None:
    """The smallest size with a certain gain that keeps at least 90 % of the last one's.

    >>> enough([50, 100], [Interval(0.01, -0.01, 0.03), Interval(0.03, 0.01, 0.05)])
    100
    """
    if not gains or not gains[-1].value > 0:
        return None
    pairs = zip(steps, gains, strict=True)
    return next((size for size, gain in pairs if gain.low > 0 and gain.value >= 0.9 * gains[-1].value), None)
