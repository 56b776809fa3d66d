"""The learning curve on a table where a few queries tell it all, and where none can."""

import numpy as np
import pytest

from llmrouterbench.splits import make_split
from llmrouterbench.stats import Interval
from llmrouterbench.studies.learning import enough, learned_choices, learning_curves, sizes
from llmrouterbench.table import Outcomes


def clusters(n: int, seed: int, informative: bool) -> Outcomes:
    """Two directions in the plane; each has its own model, or both have none."""
    rng = np.random.default_rng(seed)
    task = rng.integers(0, 2, n)
    score = np.eye(2)[task] if informative else (rng.random((n, 2)) < 0.5).astype(float)
    embedding = np.eye(2)[task] + 0.05 * rng.standard_normal((n, 2))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    names = [f"task {t}" for t in task.tolist()]
    return Outcomes.of([f"q{i}" for i in range(n)], ["a", "b"], score, dataset=names, embedding=embedding)


@pytest.mark.parametrize("informative", [True, False])
def test_few_queries_are_enough_where_there_is_something_to_learn(informative: bool) -> None:
    outcomes = clusters(400, 0, informative)
    trials = {}
    for seed in (1, 2):
        split = make_split(outcomes, seed, kind="paper")
        trials[seed] = (split, learned_choices(outcomes, split, seed, sizes(len(split.train))))
    soft, near = learning_curves(outcomes, trials, replicates=200)
    assert soft.size == near.size == (50, 100, 200, len(trials[1][0].train))
    if informative:
        assert (soft.enough, near.enough) == (50, 50)
        assert soft.gain[0].value == pytest.approx(0.5, abs=0.01)
    else:
        assert (soft.enough, near.enough) == (None, None)


def test_sizes_double_up_to_the_whole() -> None:
    assert sizes(40) == [40]
    assert sizes(100_000)[-1] == 6400


def test_enough_needs_certainty_and_most_of_the_gain() -> None:
    sure, half, unsure = Interval(0.04, 0.02, 0.06), Interval(0.02, 0.01, 0.03), Interval(0.05, -0.01, 0.1)
    assert enough([50, 100, 200], [half, unsure, sure]) == 200
    assert enough([50], [unsure]) is None
    assert enough([], []) is None
