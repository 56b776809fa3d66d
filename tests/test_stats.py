"""The paired bootstrap: what a draw is, what it pairs, and how often its interval holds the truth."""

from dataclasses import replace

import numpy as np
import pytest

from llmrouterbench.metrics import gain, gap
from llmrouterbench.stats import (
    Interval,
    Paired,
    Sample,
    bootstrap,
    bounds,
    interval,
    judged,
    pair,
    sample_means,
    seed_summary,
    widened,
)
from llmrouterbench.studies.differences import compare_columns
from llmrouterbench.table import FloatArray
from work import deadline


def one_sample(score: object, cost: object = None, dataset: object = None, group: object = None) -> Sample:
    """A sample from lists; one dataset and no copies unless given."""
    plane = np.array(score, dtype=np.float64)
    n = len(plane)
    return Sample(
        np.full(n, "a") if dataset is None else np.array(dataset, dtype=np.str_),
        np.arange(n) if group is None else np.array(group),
        plane,
        np.ones_like(plane) if cost is None else np.array(cost, dtype=np.float64),
    )


def test_sample_means_by_hand() -> None:
    sample = one_sample([[1, 0], [np.nan, 1], [0, np.nan]], [[1, 2], [3, np.nan], [5, np.nan]], dataset=["a", "a", "b"])
    acc, usd = sample_means(sample, ["a", "b", "c"])
    np.testing.assert_array_equal(acc, [[1.0, 0.0, np.nan], [0.5, np.nan, np.nan]])
    np.testing.assert_array_equal(usd, [[4.0, 5.0, np.nan], [4.0, np.nan, np.nan]])


def test_replicates_scatter_as_theory_says() -> None:
    rng = np.random.default_rng(0)
    sample = one_sample((rng.random((400, 1)) < 0.3).astype(float))
    p = float(sample.score.mean())
    draws = bootstrap([sample], ["a"], replicates=4000).acc[:, 0, 0]
    assert draws.mean() == pytest.approx(p, abs=0.002)
    assert draws.std() == pytest.approx((p * (1 - p) / 400) ** 0.5, rel=0.05)


def test_datasets_are_drawn_apart_and_none_is_ever_empty() -> None:
    sample = one_sample([[0.0]] * 3 + [[1.0]] * 50, dataset=["a"] * 3 + ["b"] * 50)
    draws = bootstrap([sample], ["a", "b"], replicates=200)
    assert (draws.acc[:, 0] == [0.0, 1.0]).all()
    np.testing.assert_allclose(draws.cost[:, 0], [[3.0, 50.0]] * 200)


def test_copies_of_a_query_travel_together() -> None:
    """Two copies that disagree average to one half in every draw; drawn apart they would not."""
    together = one_sample([[1.0], [0.0]] * 10, group=np.repeat(np.arange(10), 2))
    assert (bootstrap([together], ["a"], replicates=50).acc == 0.5).all()
    apart = replace(together, group=np.arange(20))
    assert bootstrap([apart], ["a"], replicates=50).acc.std() > 0


def test_a_query_has_one_weight_in_all_seeds() -> None:
    """Seed two scores the opposite of seed one on the same queries: where both are drawn the mean is one half."""
    first = one_sample((np.arange(30)[:, None] % 3 == 0).astype(float))
    second = replace(first, score=1.0 - first.score)
    draws = bootstrap([first, second], ["a"], replicates=400).acc[:, 0, 0]
    assert np.isclose(draws, 0.5).mean() == pytest.approx(0.5, abs=0.1)


def test_seeds_are_drawn_for_what_they_change() -> None:
    """The variance of the mean of two seeds is half of theirs, and what the split alone changes is drawn once."""
    samples = [one_sample([[value, 1.0]] * 5, [[value, 1.0]] * 5) for value in (0.0, 1.0)]
    draws = bootstrap(samples, ["a"], replicates=4000)
    assert draws.acc[:, 0, 0].var() == pytest.approx(0.25, rel=0.1)
    assert (draws.acc[:, 1] == 1.0).all()
    assert np.isclose(draws.cost[:, 0], 2.5).all(), "bills are about these choices"


def test_resplits_that_share_most_of_train_show_less_than_there_is() -> None:
    """Seeds that test 6 of 12 queries: test over train is 5 / 6 here, from the half that two of them share."""
    right = np.repeat([[0.0], [1.0]], 6, axis=1)
    rows = [np.arange(6), np.arange(1, 7)]
    samples = [
        Sample(np.array(["a"] * 6), group, one[:, None], one[:, None]) for group, one in zip(rows, right, strict=True)
    ]
    shared = replace(samples[1], group=rows[0])
    alone, more = (bootstrap([samples[0], one], ["a"], replicates=4000).acc for one in (shared, samples[1]))
    assert alone.var() == pytest.approx(0.25, rel=0.1)
    queries = bootstrap([samples[0], replace(samples[1], group=rows[1] + 6)], ["a"], replicates=4000).acc.var()
    assert more.var() > alone.var() + queries / 4


def test_identical_routers_differ_by_exactly_zero() -> None:
    rng = np.random.default_rng(1)
    columns = rng.random((137, 5))
    columns[3, :] = np.nan
    both = columns[:, [0, 1, 2, 3, 4, 2]]
    samples = [one_sample(both, both * 0.1), one_sample(both[:90], both[:90] * 0.1)]
    draws = bootstrap(samples, ["a"], replicates=300)
    for plane in (draws.acc, draws.cost):
        difference = plane[:, 2].mean(axis=-1) - plane[:, 5].mean(axis=-1)
        assert interval(0.0, difference) == Interval(0.0, 0.0, 0.0)


def test_differences_are_paired() -> None:
    """A router that is right wherever another is, and on two queries more, is never behind in any draw."""
    rng = np.random.default_rng(2)
    weak = (rng.random(100) < 0.5).astype(float)
    strong = weak.copy()
    strong[np.flatnonzero(weak == 0)[:2]] = 1.0
    draws = bootstrap([one_sample(np.stack([strong, weak], axis=1))], ["a"], rule="percentile", replicates=500).acc[
        :, :, 0
    ]
    assert (draws[:, 0] >= draws[:, 1]).all()
    assert interval(0.02, draws[:, 0] - draws[:, 1]).high < 0.06 < draws[:, 0].std() * 4


def test_unknown_cells_are_left_out_and_never_zero() -> None:
    score = [[1.0, np.nan], [1.0, np.nan], [np.nan, np.nan]]
    draws = bootstrap([one_sample(score, [[2.0, np.nan]] * 3)], ["a"], replicates=300)
    known = np.isfinite(draws.acc[:, 0, 0])
    assert (draws.acc[known, 0, 0] == 1.0).all()
    assert (~known).mean() == pytest.approx((1 / 3) ** 3, abs=0.04), "only the unmeasured query was drawn"
    assert np.isnan(draws.acc[:, 1]).all()
    assert np.isnan(draws.cost[:, 1]).all()
    np.testing.assert_allclose(draws.cost[:, 0], 6.0)


def test_a_dataset_that_a_seed_lacks_does_not_count_for_it() -> None:
    first = one_sample([[1.0], [1.0]], dataset=["a", "b"])
    second = one_sample([[0.0]], dataset=["a"])
    draws = bootstrap([first, second], ["a", "b"], replicates=200).acc[:, 0]
    assert draws[:, 0].mean() == pytest.approx(0.5, abs=0.1)
    assert draws[:, 0].std() > 0.3
    assert (draws[:, 1] == 1.0).all()


def test_same_seed_same_replicates() -> None:
    sample = one_sample(np.random.default_rng(3).random((50, 2)))
    first, again, other = (bootstrap([sample], ["a"], replicates=20, seed=seed).acc for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_draws_do_not_depend_on_which_routers_take_part() -> None:
    plane = np.random.default_rng(4).random((60, 3))
    alone = bootstrap([one_sample(plane[:, :1])], ["a"], replicates=20).acc[:, 0]
    among = bootstrap([one_sample(plane)], ["a"], replicates=20).acc[:, 0]
    np.testing.assert_allclose(alone, among, rtol=1e-12)


def test_bad_input_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match="at least one sample and one replicate, got 0 and 10"):
        bootstrap([], ["a"], replicates=10)
    with pytest.raises(ValueError, match="the same columns"):
        bootstrap([one_sample([[1.0]]), one_sample([[1.0, 0.0]])], ["a"])
    with pytest.raises(ValueError, match=r"with 1 queries, got \(2, 1\)"):
        Sample(np.array(["a"]), np.array([0]), np.ones((2, 1)), np.ones((2, 1)))


def test_interval_without_any_value() -> None:
    got = interval(0.5, np.array([np.nan, np.nan]))
    assert got.value == 0.5
    assert np.isnan([got.low, got.high]).all()
    assert np.isnan(interval(float("nan"), np.ones(3)).low)


def test_seed_summary() -> None:
    mean, std = seed_summary(np.array([0.5]))
    assert mean == 0.5
    assert np.isnan(std)
    assert np.isnan(seed_summary(np.array([np.nan]))).all()
    assert seed_summary(np.array([1.0, 3.0, np.nan])) == (2.0, np.sqrt(2.0))


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_twenty_of_twenty_right_is_not_certainty(right: float) -> None:
    """Wilson's interval of 20 of 20 begins at 83.9 %."""
    one = pair([one_sample([[right]] * 20)]).accuracy(0)
    assert one.value == right
    assert max(abs(one.low - right), abs(one.high - right)) == pytest.approx(0.157, abs=0.001)
    assert 0.0 <= one.low < one.high <= 1.0


def test_a_query_a_dataset_carries_no_interval_and_no_verdict() -> None:
    names = [f"d{i}" for i in range(12)]
    one = pair([one_sample([[1.0, 0.0]] * 12, dataset=names)])
    assert [one.accuracy(0).value, one.difference(0, 1).value] == [1.0, 1.0]
    assert judged(one.difference(0, 1)) == "too few"
    assert not np.isfinite([one.accuracy(0).low, one.cost(0).low, one.saving(0, 1).low]).any()
    compared = compare_columns([one_sample([[1.0, 0.0]] * 12, dataset=names)], ["a", "b"])
    assert compared.says(0, 1) == "not distinguishable"
    same = pair([one_sample([[1.0, 1.0]] * 12, dataset=names)])
    assert judged(same.difference(0, 1)) == "the same"


def test_one_dataset_of_one_query_is_an_unknown_among_others() -> None:
    many = [[1.0, 0.0]] * 60
    without = pair([one_sample(many, dataset=["a"] * 30 + ["b"] * 30)]).difference(0, 1)
    beside = pair([one_sample([*many, [1.0, 0.0]], dataset=["a"] * 30 + ["b"] * 30 + ["c"])]).difference(0, 1)
    assert without.low > 0.9
    assert 0.2 < beside.low < 0.4  # a third of it could be anything


WORLDS = 40
"""Worlds that share a sample: columns of one draw, each pair a world."""


def covered(rng: np.random.Generator, queries: int, datasets: int, rule: str = "t") -> tuple[float, float, float]:
    """How often the interval of an accuracy, and of a difference, holds the truth, and how often a null is "better"."""
    level = rng.beta(4.0, 1.5, size=(datasets, WORLDS))
    changed = 0.3 * rng.random((datasets, WORLDS))
    place = np.repeat(np.arange(datasets), queries)
    base = rng.random((len(place), WORLDS)) < level[place]
    coin = rng.random((len(place), WORLDS)) < level[place]
    other = np.where(rng.random((len(place), WORLDS)) < changed[place], coin, base)
    sample = one_sample(np.hstack([base, other]), dataset=np.array([f"d{i:02}" for i in place]))
    made = pair([sample], replicates=300, seed=int(rng.integers(1 << 30)), rule=rule)  # type: ignore[arg-type]
    single = [made.accuracy(i) for i in range(WORLDS)]
    apart = [made.difference(i, WORLDS + i) for i in range(WORLDS)]
    held = [one.low <= truth <= one.high for one, truth in zip(single, level.mean(axis=0), strict=True)]
    null = [judged(one) in ("noise", "the same") for one in apart]
    return float(np.mean(held)), float(np.mean(null)), float(np.mean([judged(one) == "better" for one in apart]))


@pytest.mark.parametrize(("queries", "datasets"), [(2, 3), (3, 12), (6, 3), (20, 1)])
def test_small_samples_hold_the_truth_where_percentiles_do_not(queries: int, datasets: int) -> None:
    rng = np.random.default_rng(queries)
    found = np.mean([covered(rng, queries, datasets) for _ in range(10)], axis=0)
    assert (found[:2] >= 0.93).all(), found
    assert found[2] <= 0.04, found
    before = np.mean([covered(rng, queries, datasets, "percentile") for _ in range(10)], axis=0)
    assert before[0] < found[0], before


def drawn_world(rng: np.random.Generator) -> tuple[list[Sample], list[str]]:
    """Five overlapping test sets of 150 out of 500 queries; two routers, the second right 6 points more often."""
    dataset = np.repeat(np.array(["a", "b"]), [200, 300])
    luck = rng.random((500, 2)) * 0.4 + rng.random((500, 1)) * 0.6
    right = (luck < _quantile([0.50, 0.56])).astype(np.float64)
    samples = []
    for _ in range(5):
        rows = np.sort(rng.choice(500, 150, replace=False))
        samples.append(Sample(dataset[rows], rows, right[rows], right[rows]))
    return samples, ["a", "b"]


def _quantile(share: list[float]) -> FloatArray:
    """Where the luck of `drawn_world` has these shares below it."""
    rng = np.random.default_rng(99)
    return np.quantile(rng.random(400_000) * 0.4 + rng.random(400_000) * 0.6, share)


@pytest.mark.slow
def test_the_95_percent_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Nominal 95 %; a number that does not depend on the seed gets a slightly wide interval (see the module)."""
    rng = np.random.default_rng(5)
    inside = np.zeros(2)
    trials = 300
    for trial in range(trials):
        samples, names = drawn_world(rng)
        acc = np.mean([sample_means(sample, names)[0] for sample in samples], axis=0).mean(axis=1)
        draws = bootstrap(samples, names, replicates=300, seed=trial).acc.mean(axis=2)
        single = interval(float(acc[0]), draws[:, 0])
        paired = interval(float(acc[1] - acc[0]), draws[:, 1] - draws[:, 0])
        inside += [single.low <= 0.50 <= single.high, paired.low <= 0.06 <= paired.high]
    assert (inside / trials >= 0.92).all(), inside / trials
    assert (inside / trials <= 0.995).all(), inside / trials


@pytest.mark.slow
def test_the_papers_scale_ends() -> None:
    rng = np.random.default_rng(6)
    dataset = np.sort(rng.choice([f"d{i}" for i in range(10)], 12446))
    score = rng.integers(0, 2, (12446, 130)).astype(np.float64)
    samples = []
    for _ in range(5):
        rows = np.sort(rng.choice(12446, 3737, replace=False))
        samples.append(Sample(dataset[rows], rows, score[rows], score[rows]))
    with deadline():
        assert bootstrap(samples, sorted(set(dataset.tolist()))).acc.shape == (1000, 130, 10)


def test_equal_scores_by_luck_are_not_one_column_twice() -> None:
    """Two models that score alike on six queries and cost differently may differ on the next one."""
    score = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]] * 3)
    cost = np.tile([1.0, 2.0, 1.0], (6, 1))
    paired = pair([Sample(np.array(["a"] * 6), np.arange(6), score, cost)])
    assert judged(paired.difference(0, 2)) == "the same"
    lucky = paired.difference(0, 1)
    assert (lucky.value, judged(lucky)) == (0.0, "noise")
    assert lucky.low < -0.3 < 0.3 < lucky.high


def test_bounds_hold_apart_what_is_known_of_the_unseen() -> None:
    bills = np.array([0.0] * 29 + [30.0])
    low, high = bounds(bills, np.arange(30))
    assert -1.0 < low < 1.0
    assert high > 1.0 + 1.5 * 29.0 / 30.0, "one and a half more as dear as the dearest"
    assert bounds(bills[1:], np.arange(29)) == (-np.inf, np.inf), "a tail may not be there"
    assert bounds(np.zeros(30), np.arange(30), most=1.0) == (-0.1, 0.1), "the rule of three"
    assert bounds(np.array([0.5, 0.7]), np.array([4, 4])) == (-np.inf, np.inf), "copies are one"
    assert bounds(np.array([0.5, np.nan]), np.array([4, 5])) == (-np.inf, np.inf)


def test_an_interval_among_many_is_wider() -> None:
    one = Interval(0.1, 0.0, 0.3)
    alone = widened(one, 1)
    assert [alone.low, alone.high] == pytest.approx([0.0, 0.3])
    among = widened(one, 435)
    assert among.low < -0.09
    assert among.high - 0.1 == pytest.approx(2.0 * (0.1 - among.low))


def board(rng: np.random.Generator, chances: list[float], queries: int) -> Paired:
    """Two datasets of as many queries, models of these chances, bills with a tail."""
    shape = (2 * queries, len(chances))
    score, cost = (rng.random(shape) < np.array(chances)).astype(float), rng.lognormal(size=shape)
    return pair([Sample(np.repeat(["a", "b"], queries), np.arange(2 * queries), score, cost)], replicates=400)


def test_all_at_once_is_wider_than_one_by_itself_and_no_wider_than_bonferroni() -> None:
    paired = board(np.random.default_rng(0), [0.5] * 8, 50)
    pairs = [(i, 0) for i in range(1, 8)]
    freedom = paired.draws.freedom()
    for one, both in zip(paired.differences(pairs), pairs, strict=True):
        alone = paired.difference(*both)
        assert alone.value == one.value
        assert widened(alone, 1.2, freedom).high < one.high <= widened(alone, 7, freedom).high
    assert paired.differences(pairs[:1])[0].high == pytest.approx(paired.difference(1, 0).high, rel=0.15)


def test_copies_of_a_column_cost_no_width() -> None:
    paired = board(np.random.default_rng(1), [0.5, 0.6], 50)
    many, alone = paired.differences([(1, 0)] * 20)[0], paired.difference(1, 0)
    assert many.high - many.value == pytest.approx(alone.high - alone.value, rel=0.15), "not that of 20"
    assert paired.differences([(0, 0)]) == [Interval(0.0, 0.0, 0.0)]


def test_columns_that_cannot_be_told_apart_share_a_rank() -> None:
    paired = board(np.random.default_rng(2), [0.9, 0.3, 0.88, 0.32], 300)
    assert paired.ranks([0, 1, 2, 3]) == [(1, 2), (3, 4), (1, 2), (3, 4)]
    assert paired.ranks([3, 0]) == [(2, 2), (1, 1)]
    assert paired.ranks([1]) == [(1, 1)]
    assert board(np.random.default_rng(3), [0.9, 0.3], 1).ranks([0, 1]) == [(1, 2), (1, 2)], "too few queries"


def test_bills_of_few_queries_have_no_interval_and_ratios_may() -> None:
    few, enough = (board(np.random.default_rng(4), [0.5, 0.5], queries) for queries in (14, 15))
    assert np.isnan(few.cost(0).low)
    assert np.isfinite(few.saving(0, 1).low)
    one = enough.cost(0)
    assert 0.0 < one.low < one.value < one.high
    assert one.high - one.value > one.value - one.low, "a long tail has not been seen"
    ratio, saving = enough.cost_ratio(0, 1), enough.saving(0, 1)
    assert (ratio.value, ratio.low, ratio.high) == (-saving.value, -saving.high, -saving.low)
    assert enough.saving(0, 0) == Interval(0.0, 0.0, 0.0)


def test_a_gain_over_nothing_has_no_interval() -> None:
    score = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]] * 5)
    score = np.concatenate([score] * 3)
    for datasets, told in ((["a", "a", "b", "b"] * 15, False), (["a"] * 60, True), (["a", "b"] * 30, True)):
        paired = pair([Sample(np.array(datasets), np.arange(60), score, score)], replicates=50)
        assert np.isfinite(paired.number(gain, 0, 1).value)
        assert np.isfinite(paired.number(gain, 0, 1).low) == told


def test_a_column_that_is_the_oracle_on_these_queries_is_not_the_oracle() -> None:
    right = np.ones((40, 2))
    paired = pair([Sample(np.array(["a"] * 40), np.arange(40), right, right)], replicates=50)
    found = paired.number(gap, 0, 1)
    assert found.value == 0.0
    assert found.high > 0.02
