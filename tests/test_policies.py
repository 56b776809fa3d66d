"""The harness pays for what a cascade calls, and knows what was not measured."""

import numpy as np
import pytest

from llmrouterbench.benching.policies import best_utility, default_weights, run
from llmrouterbench.contracts import Ask
from llmrouterbench.table import Estimate, IntArray, Outcomes, Queries


def table() -> Outcomes:
    return Outcomes.of(
        ["a", "b", "c"],
        ["small", "large"],
        [[1.0, 1.0], [0.0, 1.0], [np.nan, 0.5]],
        dataset=["x", "x", "y"],
        cost=[[1.0, 10.0], [2.0, 20.0], [3.0, np.nan]],
        seconds=[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]],
    )


class Cascade:
    """Ask the small model first, and the large one when the reply says so."""

    def decide(self, queries: Queries, ask: Ask) -> IntArray:
        return np.array([1 if ask(row, 0) == "not sure" else 0 for row in range(len(queries))])


def test_a_cascade_pays_for_both_calls() -> None:
    replies = {(0, 0): "yes", (1, 0): "not sure", (2, 0): "yes"}
    paid = run(Cascade(), table(), replies)
    assert paid.choice.tolist() == [0, 1, 0]
    assert paid.called.tolist() == [[1, 0], [1, 1], [1, 0]]
    assert paid.cost.tolist() == [1.0, 22.0, 3.0]
    assert paid.seconds.tolist() == [1.0, 3.0, 1.0]
    assert np.isnan(paid.score[2])  # served, but never measured


def test_a_reply_that_is_not_stored_is_named() -> None:
    with pytest.raises(KeyError, match="no stored reply of 'small' to query '0'"):
        run(Cascade(), table())


class Wrong:
    def __init__(self, said: object) -> None:
        self.said = said

    def decide(self, queries: Queries, ask: Ask) -> IntArray:
        return np.array(self.said)


@pytest.mark.parametrize("said", [[0, 1, 2], [-1, 0, 0], [[0.5, 0.4]] * 3, [[2.0, -1.0]] * 3, [0, 1]])
def test_impossible_decisions_are_refused(said: object) -> None:
    with pytest.raises(ValueError, match="a cascade must"):
        run(Wrong(said), table())


def test_an_unknown_cost_counts_as_the_dearest() -> None:
    estimate = Estimate(("a", "b"), np.array([[0.5, 0.6]]), np.array([[1.0, np.nan]]))
    assert best_utility(estimate, np.array([0.0, 1e-9, 1.0])).tolist() == [[1], [1], [1]]
    dear = Estimate(("a", "b"), np.array([[0.7, 0.6]]), np.array([[1.0, np.nan]]))
    assert best_utility(dear, np.array([100.0])).tolist() == [[0]]


def test_ties_go_to_the_first_name() -> None:
    estimate = Estimate(("zeta", "alpha"), np.array([[0.5, 0.5]]), np.array([[1.0, 1.0]]))
    assert best_utility(estimate, np.zeros(1)).tolist() == [[1]]


def test_the_dial_is_one_point_without_costs() -> None:
    assert default_weights(Outcomes.of(["a"], ["m"], [[1.0]])).tolist() == [0.0]
    weights = default_weights(table())
    assert weights[0] == 0.0
    assert weights[-1] == pytest.approx(100 / np.nanmean(table().cost))
