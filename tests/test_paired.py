"""Columns on the same queries: differences and cost ratios by hand."""

import numpy as np
import pytest

from llmrouterbench.stats import IntervalRule, Sample, pair, sample_of
from llmrouterbench.table import Outcomes


def test_two_datasets_count_alike_and_costs_add_up() -> None:
    outcomes = Outcomes.of(list("abc"), ["m"], np.ones((3, 1)), dataset=["x", "x", "y"])
    score = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    cost = np.array([[1.0, 2.0], [1.0, 2.0], [4.0, 2.0]])
    means = pair([sample_of(outcomes, score, cost)], replicates=200)
    assert means.accuracy(0).value == pytest.approx(0.5)  # (1 + 0) / 2
    assert means.accuracy(1).value == pytest.approx(0.75)  # (0.5 + 1) / 2
    assert means.difference(1, 0).value == pytest.approx(0.25)
    assert means.cost(0).value == pytest.approx(6.0)
    assert means.cost_ratio(1, 0).value == pytest.approx(0.0)


def test_a_column_against_itself_has_no_spread() -> None:
    rng = np.random.default_rng(0)
    score = np.repeat(rng.random((30, 1)), 2, axis=1)
    one = Sample(np.full(30, "x"), np.arange(30), score, score)
    difference, ratio = pair([one]).difference(0, 1), pair([one]).cost_ratio(0, 1)
    assert (difference.low, difference.value, difference.high) == (0.0, 0.0, 0.0)
    assert (ratio.low, ratio.value, ratio.high) == (0.0, 0.0, 0.0)


def test_unknown_costs_stay_unknown() -> None:
    outcomes = Outcomes.of(["a", "b"], ["m"], np.ones((2, 1)))
    means = pair([sample_of(outcomes, np.ones((2, 2)))], replicates=20)
    assert np.isnan(means.cost(0).value)
    assert np.isnan(means.cost_ratio(0, 1).value)


def test_differences_compare_the_datasets_that_both_have() -> None:
    outcomes = Outcomes.of(["a", "b"], ["m"], np.ones((2, 1)), dataset=["x", "y"])
    score = np.array([[1.0, 0.5], [np.nan, 0.0]])
    assert pair([sample_of(outcomes, score)], replicates=20).difference(0, 1).value == pytest.approx(0.5)


@pytest.mark.parametrize("rule", ["t", "percentile"])
def test_many_differences_are_the_single_ones_made_wider_alike(rule: IntervalRule) -> None:
    rng = np.random.default_rng(4)
    score = (rng.random((60, 6)) < 0.6).astype(np.float64)
    score[:, 1] = score[:, 0]
    score[:20, 2], score[20:24, 3], score[:, 4] = np.nan, np.nan, np.nan
    cost = rng.random((60, 6))
    cost[:, 1] = cost[:, 0]
    table = Sample(np.repeat(["a", "b", "c"], 20), np.arange(60), score, cost)
    found = pair([table], replicates=100, rule=rule)
    pairs = [(i, j) for i in range(6) for j in range(i)]
    times = set[float]()
    for both, lead in zip(pairs, found.differences(pairs), strict=True):
        one = found.difference(*both)
        assert np.array_equal([lead.value], [one.value], equal_nan=True)
        if one.high > one.low:
            times |= {round((end - one.value) / (alone - one.value), 6)
                      for end, alone in ((lead.low, one.low), (lead.high, one.high))}  # fmt: skip
        else:
            assert np.array_equal([lead.low, lead.high], [one.low, one.high], equal_nan=True)
    assert all(1.0 < many < 2.0 for many in times)
    assert len(times) <= 3, "one factor a number of datasets"
