"""Curation: worked by hand, against brute force, and on the paper's simulated setting."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmrouterbench.reporting.curation import curation_dict
from llmrouterbench.simulation.simulate import simulate
from llmrouterbench.studies.curation import (
    PoolValue,
    curate,
    curate_within,
    dropped_loss,
    greedy_order,
    marginal_values,
    random_oracle,
    shapley,
    study,
    subset_curves,
)
from llmrouterbench.table import Outcomes
from work import deadline

GUARANTEE = 1.0 - 1.0 / math.e
SCORES = arrays(
    np.float64,
    st.tuples(st.integers(1, 9), st.integers(1, 6)),
    elements=st.one_of(st.sampled_from([0.0, 0.5, 1.0, np.nan]), st.floats(0.0, 1.0)),
).filter(lambda score: bool(np.isfinite(score).any()))


def table(score: np.ndarray, **more: object) -> Outcomes:
    n, m = score.shape
    return Outcomes.of([f"q{i}" for i in range(n)], [f"m{i}" for i in range(m)], score, **more)  # type: ignore[arg-type]


def test_the_complement_beats_the_second_best() -> None:
    # a solves 1 2 3, b solves 1 2, c solves 4: top-2 is {a, b} with 3 of 4, the curated pair {a, c} has all
    score = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=float)
    outcomes = Outcomes.of(list("1234"), ["a", "b", "c"], score)
    assert curate(outcomes, 2) == ("a", "c")
    curated, top, random = subset_curves(outcomes, replicates=50)
    assert [one.value for one in curated.oracle] == [0.75, 1.0, 1.0]
    assert [one.value for one in top.oracle] == [0.75, 0.75, 1.0]
    # pairs: {a, b} 0.75, {a, c} 1, {b, c} 0.75; singles 0.75, 0.5, 0.25
    assert [one.value for one in random.oracle] == pytest.approx([0.5, 2.5 / 3, 1.0])


def test_marginal_values_by_hand() -> None:
    score = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=float)
    values = {one.model: one for one in marginal_values(Outcomes.of(list("1234"), ["a", "b", "c"], score))}
    assert [values[m].dropped.value for m in "abc"] == [0.25, 0.0, 0.25]
    assert [values[m].added.value for m in "abc"] == [0.0, 0.0, 0.25]
    assert [values[m].share.value for m in "abc"] == pytest.approx([0.5, 0.25, 0.25])  # two shared, two alone
    assert not values["b"].needed


@settings(max_examples=150, deadline=None)
@given(SCORES, st.data())
def test_greedy_reaches_its_guarantee(score: np.ndarray, data: st.DataObject) -> None:
    pool = PoolValue.of(table(score))
    size = data.draw(st.integers(1, score.shape[1]))
    greedy = pool.value(greedy_order(pool.score, pool.weight, size))
    best = max(pool.value(subset) for subset in itertools.combinations(range(score.shape[1]), size))
    assert greedy >= GUARANTEE * best - 1e-9


@settings(max_examples=100, deadline=None)
@given(SCORES)
def test_lazy_greedy_takes_a_best_step_each_time(score: np.ndarray) -> None:
    pool = PoolValue.of(table(score))
    order = greedy_order(pool.score, pool.weight, score.shape[1])
    assert sorted(order) == list(range(score.shape[1]))
    for k, chosen in enumerate(order):
        taken = order[:k]
        steps = {i: pool.value([*taken, i]) for i in range(score.shape[1]) if i not in taken}
        assert steps[chosen] == pytest.approx(max(steps.values()), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(SCORES, st.data())
def test_budgeted_greedy_keeps_the_budget_and_its_guarantee(score: np.ndarray, data: st.DataObject) -> None:
    outcomes = table(score)
    price = {m: data.draw(st.floats(0.1, 5.0)) for m in outcomes.models}
    budget = data.draw(st.floats(0.1, 12.0))
    chosen = curate_within(outcomes, budget, price)
    pool = PoolValue.of(outcomes)
    assert sum(price[m] for m in chosen) <= budget + 1e-9
    fits = [
        subset
        for k in range(len(price) + 1)
        for subset in itertools.combinations(range(len(price)), k)
        if sum(price[f"m{i}"] for i in subset) <= budget
    ]
    best = max(pool.value(subset) for subset in fits)
    assert pool.value([outcomes.models.index(m) for m in chosen]) == pytest.approx(best, abs=1e-9)  # all were tried


@settings(max_examples=100, deadline=None)
@given(SCORES)
def test_drop_one_and_shapley_are_consistent_with_the_oracle(score: np.ndarray) -> None:
    pool = PoolValue.of(table(score))
    everything = list(range(score.shape[1]))
    whole = pool.value(everything)
    for i in everything:
        without = pool.value([j for j in everything if j != i])
        assert pool.weight @ dropped_loss(pool.score)[:, i] == pytest.approx(whole - without, abs=1e-9)
    assert pool.weight @ shapley(pool.score).sum(axis=1) == pytest.approx(whole, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(SCORES)
def test_random_subsets_are_the_mean_over_all_subsets(score: np.ndarray) -> None:
    pool = PoolValue.of(table(score))
    m = score.shape[1]
    expected = pool.weight @ random_oracle(pool.score, range(1, m + 1))
    for k in range(1, m + 1):
        mean = np.mean([pool.value(subset) for subset in itertools.combinations(range(m), k)])
        assert expected[k - 1] == pytest.approx(mean, abs=1e-9)


def test_a_cost_weight_prefers_the_cheap_model_that_is_as_good() -> None:
    score = np.array([[1.0, 1.0], [1.0, 0.9]])
    outcomes = Outcomes.of(["q", "r"], ["dear", "cheap"], score, cost=[[1.0, 0.1], [1.0, 0.1]])
    assert curate(outcomes, 1) == ("dear",)
    assert curate(outcomes, 1, cost_weight=1.0) == ("cheap",)
    unpriced = Outcomes.of(["q", "r"], ["dear", "cheap"], score, cost=[[np.nan, 0.1], [1.0, 0.1]])
    assert curate(unpriced, 1, cost_weight=0.01) == ("dear",)  # 0.95 - 0.0055 against 1 - 0.0101: unpriced is not free


def test_cost_aware_greedy_reaches_its_guarantee_above_the_floor() -> None:
    rng = np.random.default_rng(3)
    score, cost = rng.random((40, 7)).round(1), rng.random((40, 7))
    outcomes = table(score, cost=cost)
    utility = score - 0.7 * cost
    for k in (1, 2, 3):
        chosen = [outcomes.models.index(m) for m in curate(outcomes, k, cost_weight=0.7)]
        value = utility[:, chosen].max(axis=1).mean()
        best = max(utility[:, list(s)].max(axis=1).mean() for s in itertools.combinations(range(7), k))
        assert value == pytest.approx(best, abs=1e-9)  # all were tried


def test_equal_gains_go_to_the_model_that_comes_first() -> None:
    score = np.array([[0.3, 0.1 + 0.2, 0.3], [0.3, 0.3, 0.1 + 0.2]])
    pool = PoolValue.of(table(score))
    assert greedy_order(pool.score, pool.weight, 3) == [0, 1, 2]
    assert curate(table(score), 1) == ("m0",)


def test_a_size_is_solved_where_greedy_is_caught() -> None:
    """The broad model comes first for greedy; the two halves cover all."""
    score = np.array([[1.0, 1, 0]] * 3 + [[1, 0, 1]] * 3 + [[0, 1, 0]] * 2 + [[0, 0, 1]] * 2)
    assert set(curate(table(score), 2)) == {"m1", "m2"}
    assert "The best subset of that size" in curation_dict(study(table(score), size=2, samples=20))["guarantee"]
    assert curation_dict(study(table(score), samples=20))["guarantee"].startswith("Greedy keeps at least 63 %")
    nothing = curation_dict(study(table(score), budget=0.5, samples=20))
    assert (nothing["within_budget"], nothing["guarantee_within_budget"]) == ((), None)


def test_what_was_not_measured_covers_nothing_and_is_left_out_where_nobody_was() -> None:
    score = np.array([[1.0, np.nan], [np.nan, 1.0], [np.nan, np.nan]])
    outcomes = table(score)
    assert PoolValue.of(outcomes).value([0]) == 0.5
    assert PoolValue.of(outcomes).value([0, 1]) == 1.0
    assert [one.alone.value for one in marginal_values(outcomes, replicates=20)] == [1.0, 1.0]


@pytest.mark.parametrize("size", [0, 3, -1])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="from 1 to the 2 models"):
        curate(table(np.ones((2, 2))), size)
    with pytest.raises(ValueError, match="from 1 to the 2 models"):
        subset_curves(table(np.ones((2, 2))), [size])


def test_bad_prices_and_weights_are_refused() -> None:
    outcomes = table(np.ones((2, 2)))
    with pytest.raises(ValueError, match="got none for 'm1'; there are m0, m2"):
        curate_within(outcomes, 1.0, {"m0": 1.0, "m2": 1.0})
    with pytest.raises(ValueError, match="above 0"):
        curate_within(outcomes, 1.0, {"m0": 1.0, "m1": 0.0})
    with pytest.raises(ValueError, match="needs known costs"):
        curate(outcomes, 1, cost_weight=0.1)
    with pytest.raises(ValueError, match="at least 0"):
        curate(outcomes, 1, cost_weight=-1.0)
    with pytest.raises(ValueError, match="needs a measured score"):
        curate(table(np.full((2, 2), np.nan)), 1)


def test_nothing_fits_an_empty_budget() -> None:
    assert curate_within(table(np.ones((2, 2))), 0.5, {"m0": 1.0, "m1": 1.0}) == ()


def test_one_model_and_equal_models() -> None:
    assert curate(table(np.ones((3, 1)))) == ("m0",)
    values = marginal_values(table(np.ones((3, 3))), replicates=20)
    assert [one.dropped.value for one in values] == [0.0, 0.0, 0.0]
    assert [one.share.value for one in values] == pytest.approx([1 / 3] * 3)


def test_the_paper_finds_top_k_above_random_with_diminishing_returns() -> None:
    # section 4.2.1, figure 6: checked on the SIMULATED setting, whose accuracies are Table 4's
    curated, top, random = subset_curves(simulate("performance", scale=0.05), replicates=50)
    lines = [np.array([one.value for one in curve.oracle]) for curve in (curated, top, random)]
    assert (lines[1][:10] > lines[2][:10]).all()
    assert (lines[0][:10] >= lines[1][:10] - 1e-9).all()
    steps = np.diff(lines[2])
    assert (np.diff(steps) <= 1e-9).all()  # the expectation over random subsets is concave
    assert len({line[-1].round(9) for line in lines}) == 1


@pytest.mark.slow
def test_five_hundred_models_end() -> None:
    rng = np.random.default_rng(0)
    n, m = 50_000, 500
    solved = rng.random((n, m)) < 0.5 * (0.6 * rng.random((n, 1)) + 0.4 * rng.random((1, m)))
    outcomes = table(solved.astype(float), dataset=[f"d{i % 10}" for i in range(n)])
    with deadline():  # 2 to 5 s on two idle cores
        order = curate(outcomes)
    assert len(set(order)) == m
