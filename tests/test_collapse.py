"""Routing collapse, by hand."""

import numpy as np
import pytest

from llmrouterbench.benching.folder import Decisions, Made, Runs, Served
from llmrouterbench.splits import Split
from llmrouterbench.studies.collapse import oracle_shares, routing_collapse
from llmrouterbench.table import Outcomes


def runs_of(
    score: np.ndarray, cost: np.ndarray | None, choices: dict[str, list[int]], *more: dict[str, list[int]]
) -> Runs:
    """What labels chose with seed 1, and with further seeds."""
    n, m = score.shape
    outcomes = Outcomes.of([f"q{i}" for i in range(n)], [f"m{i}" for i in range(m)], score, cost=cost)
    everything, nothing = np.arange(n), np.zeros(0, dtype=np.int64)
    checked = Served.single(nothing, nothing[None])
    decisions = {
        (label, seed): Decisions(
            label, seed, np.zeros(1), {"validation": checked, "test": Served.single(everything, np.array([choice]))}
        )
        for seed, chosen in enumerate([choices, *more], start=1)
        for label, choice in chosen.items()
    }
    seeds = list(range(1, 2 + len(more)))
    splits = {seed: Split(nothing, everything) for seed in seeds}
    return Runs(outcomes, splits, decisions, Made.of(choices, seeds))


SCORE = np.array([[1, 1], [1, 1], [0, 1], [1, 1]], dtype=float)
COST = np.tile([1.0, 5.0], (4, 1))


def test_always_the_dear_model_has_collapsed() -> None:
    dear, wise, oracle = routing_collapse(
        runs_of(SCORE, COST, {"dear": [1, 1, 1, 1], "wise": [0, 0, 1, 0]}), replicates=100
    )
    assert (dear.top_model, dear.top_share.value, dear.evenness.value) == ("m1", 1.0, 0.0)
    assert dear.index.value == pytest.approx(0.75)  # the oracle serves m1 once in four
    assert dear.needless.value == pytest.approx(0.75)
    assert (wise.index.value, wise.needless.value) == (0.0, 0.0)
    assert wise.shares == {"m0": 0.75, "m1": 0.25}
    assert (oracle.router, oracle.index.value, oracle.needless.value) == ("Oracle", 0.0, 0.0)


def test_without_costs_nothing_is_needless_and_ties_are_shared() -> None:
    (even, _) = routing_collapse(runs_of(SCORE, None, {"even": [0, 0, 1, 1]}), replicates=20)
    assert np.isnan(even.needless.value)
    assert even.index.value == pytest.approx(0.125)  # oracle: (0.5 * 3, 0.5 * 3 + 1) / 4
    assert even.evenness.value == pytest.approx(1.0)


def test_shares_stay_shares_where_seeds_disagree() -> None:
    """Intervals over seeds that chose the other way round lie within 0 and 1."""
    runs = runs_of(SCORE, COST, {"torn": [0, 0, 0, 0]}, {"torn": [1, 1, 1, 1]}, {"torn": [1, 1, 1, 0]})
    for one in routing_collapse(runs, replicates=200):
        for ends in (one.top_share, one.evenness, one.index, one.needless):
            assert 0.0 <= ends.low <= ends.high <= 1.0, (one.router, ends)


def test_an_oracle_without_measurements_serves_nobody() -> None:
    shares = oracle_shares(np.array([[np.nan, np.nan], [0.0, np.nan]]), np.full((2, 2), 1.0))
    np.testing.assert_array_equal(shares, [[np.nan, np.nan], [1.0, 0.0]])
