"""Metrics against the paper's printed tables, against hand-computed cases, and as properties."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmrouterbench import metrics
from llmrouterbench.metrics import aiq, apgr, arena_score, calls_for, quality_hull
from llmrouterbench.table import FloatArray

PAPER = Path(__file__).resolve().parents[2] / "shared" / "paper"
needs_paper = pytest.mark.skipif(not PAPER.is_dir(), reason="the paper's tables are not beside this checkout")
ROUTERS_12 = ("OpenRouter", "HybridLLM", "FrugalGPT", "RouteLLM", "GraphRouter", "Avengers-Pro")


def read_table(name: str) -> dict[str, list[float]]:
    """Numbers of one CSV by its first column; an empty cell is NaN."""
    with (PAPER / name).open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))[1:]
    return {line[0]: [float(cell) if cell else float("nan") for cell in line[1:]] for line in lines}


def printed(value: float, digits: int) -> str:
    return f"{value + 1e-9:.{digits}f}"


# ---- the paper's own numbers


@needs_paper
def test_figure_4_to_the_printed_digit() -> None:
    table = {name: row[:-1] for name, row in read_table("table11_performance_accuracy_test.csv").items()}
    base, random, oracle = table["Qwen3-8B"], table["Random Router"], table["Oracle"]
    rows = read_table("figure04_performance_metrics.csv")
    assert len(rows) == 6
    for name, (acc, gain_r, gain_b, gap_o) in rows.items():
        mine = table[name]
        assert printed(float(metrics.avg_acc(mine)), 2) == printed(acc, 2), name
        assert printed(100 * float(metrics.gain(mine, random)), 1) == printed(gain_r, 1), name
        assert printed(100 * float(metrics.gain(mine, base)), 1) == printed(gain_b, 1), name
        assert printed(100 * float(metrics.gap(mine, oracle)), 1) == printed(gap_o, 1), name


@needs_paper
@pytest.mark.parametrize(
    "name", ["table11_performance_accuracy_test.csv", "table12_cost_setting_accuracy_test.csv"]
)  # fmt: skip
def test_every_printed_average(name: str) -> None:
    for row, (*cells, average) in read_table(name).items():
        expected = 47.53 if row == "Qwen-Coder" else average  # printed 47.50: the slip its README names
        # Cells and average are both printed with two digits, so they may differ by half a digit each.
        assert float(metrics.avg_acc(cells)) == pytest.approx(expected, abs=0.0101), row


@needs_paper
def test_every_printed_total_cost() -> None:
    dataset = np.array([f"{i:02}" for i in range(10)])
    for row, (*cells, total) in read_table("table13_cost_setting_cost_usd_test.csv").items():
        known = np.isfinite(cells)
        names = dataset[known].tolist()
        mine = metrics.total_cost(np.array(cells)[known], dataset[known], names)
        assert mine == pytest.approx(total, abs=0.0051 * (len(cells) + 1)), row
        if not known.all():
            assert np.isnan(metrics.total_cost(cells, dataset, dataset.tolist())), "an unpriced dataset is not free"


def cost_setting() -> tuple[dict[str, FloatArray], FloatArray, tuple[float, float]]:
    """Printed (AvgAcc, total) of every router's points (points, 2), of everything in the Pareto set, and of GPT-5."""
    acc, cost = (
        read_table(name)
        for name in ("table12_cost_setting_accuracy_test.csv", "table13_cost_setting_cost_usd_test.csv")
    )
    skip = {"Oracle", "Dataset Oracle", "Random Router"}
    everything = {name: (acc[name][-1], cost[name][-1]) for name in acc if name not in skip}
    routers = {
        router: np.array([point for name, point in everything.items() if name.split(" (")[0] == router])
        for router in ROUTERS_12
    }
    return routers, np.array(list(everything.values())), everything["GPT-5"]


@needs_paper
def test_figure_7_perf_gain_and_cost_save() -> None:
    routers, _, (base_acc, base_cost) = cost_setting()
    for name, (perf, save, _) in read_table("figure07_figure08_cost_metrics.csv").items():
        acc, cost = routers[name].T
        assert printed(100 * metrics.perf_gain(acc, base_acc), 1) == printed(perf, 1), name
        mine = 100 * metrics.cost_save(acc, cost, base_acc, base_cost)
        if np.isnan(save):
            assert np.isnan(mine), name
        elif name == "Avengers-Pro":  # the paper's best of 101 points lies between two of the 21 printed ones
            assert 30.0 < mine <= save
        else:
            assert printed(mine, 1) == printed(save, 1), name


@needs_paper
def test_figure_8_pareto_dist_as_far_as_points_are_printed() -> None:
    routers, everything, _ = cost_setting()
    from_printed_points = {
        "HybridLLM": 0.064, "FrugalGPT": 0.153, "RouteLLM": 0.035, "GraphRouter": 0.095, "Avengers-Pro": 0.002,
        "OpenRouter": 0.523,
    }  # fmt: skip
    of_the_paper = read_table("figure07_figure08_cost_metrics.csv")
    for name, expected in from_printed_points.items():
        mine = metrics.pareto_dist(*routers[name].T, *everything.T)
        assert mine == pytest.approx(expected, abs=0.0006), name
        if name != "OpenRouter":  # its nearest points are not printed
            assert mine == pytest.approx(of_the_paper[name][2], abs=0.009), name


@needs_paper
def test_dataset_oracle_of_the_paper_is_the_best_of_seed_means() -> None:
    for name, models in (
        ("table11_performance_accuracy_test.csv", 20),
        ("table12_cost_setting_accuracy_test.csv", 13),
    ):
        rows = read_table(name)
        acc = np.array([row[:-1] for row in list(rows.values())[:models]]).T
        choice = metrics.dataset_oracle_choice(acc)
        assert acc[np.arange(len(acc)), choice].tolist() == rows["Dataset Oracle"][:-1]


@needs_paper
def test_best_single_of_the_paper() -> None:
    rows = read_table("table11_performance_accuracy_test.csv")
    acc = np.array([row[:-1] for row in list(rows.values())[:20]]).T
    assert list(rows)[metrics.best_single(acc)] == "Qwen3-8B"
    rows = read_table("table12_cost_setting_accuracy_test.csv")
    acc = np.array([row[:-1] for row in list(rows.values())[:13]]).T
    assert list(rows)[metrics.best_single(acc)] == "GPT-5"


# ---- by hand


def test_gain_compares_the_datasets_that_both_sides_have() -> None:
    assert float(metrics.gain([0.6, np.nan, 0.9], [0.5, 0.1, np.nan])) == pytest.approx(0.2)
    assert np.isnan(metrics.gain([np.nan], [0.5]))
    assert float(metrics.gain([0.5, 0.3], [0.0, 0.2])) == pytest.approx(0.5), "a base of 0 has no ratio"


def test_share_of_the_oracle_gap() -> None:
    share = metrics.oracle_gap_recovered([0.7, 0.9, np.nan], [0.6, 0.6, 0.1], [0.8, 1.0, 0.2])
    assert float(share) == pytest.approx((0.8 - 0.6) / (0.9 - 0.6))
    assert np.isnan(metrics.oracle_gap_recovered([0.7], [0.8], [0.8]))


def test_metrics_broadcast_over_leading_axes() -> None:
    acc, base = np.array([[0.5, 0.4], [0.2, 0.8]]), np.array([0.4, 0.4])
    for metric in (metrics.gain, metrics.gap):
        assert metric(acc, base).tolist() == [float(metric(row, base)) for row in acc]


def test_cost_save_needs_a_point_that_is_as_good() -> None:
    assert np.isnan(metrics.cost_save([0.5], [1.0], 0.6, 2.0))
    assert np.isnan(metrics.cost_save([0.7], [np.nan], 0.6, 2.0))
    assert metrics.cost_save([0.7, 0.6, 0.9], [1.5, 1.0, 0.1 + 2.9], 0.6, 2.0) == pytest.approx(0.5)
    noise = 0.1 + 0.2  # 0.30000000000000004: the same accuracy, summed in another order
    assert metrics.cost_save([0.3], [1.0], noise, 2.0) == pytest.approx(0.5)


def test_perf_gain_takes_the_best_point() -> None:
    assert metrics.perf_gain([0.5, np.nan, 0.9], 0.6) == pytest.approx(0.5)
    assert np.isnan(metrics.perf_gain([np.nan], 0.6))


def test_pareto_frontier_by_hand() -> None:
    acc = [0.5, 0.7, 0.7, 0.7, 0.9, np.nan, 0.95]
    cost = [1.0, 2.0, 2.0, 3.0, 4.0, 0.0, np.nan]
    assert metrics.pareto_frontier(acc, cost).tolist() == [True, True, True, False, True, False, False]


def test_pareto_dist_by_hand() -> None:
    acc, cost = np.array([0.2, 0.6, 0.4]), np.array([1.0, 5.0, 3.0])  # all on the frontier but nothing dominates
    assert metrics.pareto_dist(acc, cost, acc, cost) == 0.0
    with_one = metrics.pareto_dist([0.3], [4.0], [*acc, 0.3], [*cost, 4.0])
    assert with_one == pytest.approx(0.1 / 0.4 + 1.0 / 4.0)
    assert np.isnan(metrics.pareto_dist([], [], acc, cost))


def test_total_cost_fills_unknown_calls_with_the_mean_of_their_dataset() -> None:
    dataset = np.array(["a", "a", "a", "b"])
    assert metrics.total_cost([1.0, 3.0, np.nan, 10.0], dataset, ["a", "b"]) == 16.0
    assert np.isnan(metrics.total_cost([1.0, 3.0, 2.0, np.nan], dataset, ["a", "b"]))


def test_oracle_serves_the_cheapest_of_the_best() -> None:
    score = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [np.nan, 0.5, np.nan], [np.nan] * 3])
    cost = np.array([[3.0, 2.0, 1.0], [np.nan, 2.0, 3.0], [0.0, np.nan, 0.0], [1.0] * 3])
    assert metrics.oracle_choice(score, cost).tolist() == [1, 1, 1, -1]


def test_best_single_with_a_missing_dataset_is_like_for_like() -> None:
    complete, partial = [0.9, 0.1], [0.8, np.nan]
    assert metrics.best_single(np.array([complete, partial]).T) == 0, "0.8 is less than 0.9 where both are measured"
    assert metrics.best_single(np.array([[0.7, 0.1], partial]).T) == 1
    with pytest.raises(ValueError, match="at least one measured accuracy"):
        metrics.best_single([[np.nan, np.nan]])


def test_ties_count_as_wins_only_when_asked() -> None:
    assert metrics.ties_as_wins(np.array([0.5, 0.0, 1.0])).tolist() == [1.0, 0.0, 1.0]


# ---- properties

TENTHS = st.integers(0, 10).map(lambda i: i / 10)
MAYBE = st.one_of(TENTHS, st.just(float("nan")))


@st.composite
def score_tables(draw: st.DrawFn) -> tuple[FloatArray, FloatArray]:
    """Score and cost (n, m), with holes."""
    shape = (draw(st.integers(1, 8)), draw(st.integers(1, 5)))
    return draw(arrays(np.float64, shape, elements=MAYBE)), draw(arrays(np.float64, shape, elements=MAYBE))


@given(score_tables())
def test_no_choice_beats_the_oracle(table: tuple[FloatArray, FloatArray]) -> None:
    score, cost = table
    choice = metrics.oracle_choice(score, cost)
    rows = np.flatnonzero(choice >= 0)
    best = score[rows, choice[rows]]
    for model in range(score.shape[1]):
        other = score[rows, model]
        assert (best[np.isfinite(other)] >= other[np.isfinite(other)]).all()
        same = (other == best) & np.isfinite(cost[rows, model])
        assert (cost[rows, choice[rows]][same] <= cost[rows, model][same]).all(), "the cheapest among equals"
    assert not np.isfinite(score[choice < 0]).any()


@given(score_tables())
def test_random_lies_between_the_worst_and_the_best(table: tuple[FloatArray, FloatArray]) -> None:
    score, _ = table
    expected = metrics.random_expectation(score)
    for row, value in zip(score, expected, strict=True):
        known = row[np.isfinite(row)]
        if len(known):
            assert known.min() - 1e-12 <= value <= known.max() + 1e-12
        else:
            assert np.isnan(value)


@given(score_tables())
def test_dataset_oracle_is_no_worse_than_any_single_model(table: tuple[FloatArray, FloatArray]) -> None:
    acc = np.nan_to_num(table[0])  # (datasets, models)
    oracle = acc[np.arange(len(acc)), metrics.dataset_oracle_choice(acc)]
    assert (metrics.avg_acc(oracle) >= metrics.avg_acc(acc.T) - 1e-12).all()
    assert metrics.avg_acc(acc.T)[metrics.best_single(acc)] == metrics.avg_acc(acc.T).max()


@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)), elements=TENTHS))
def test_dataset_oracle_per_seed_is_no_worse_than_of_seed_means(acc: FloatArray) -> None:
    per_seed = metrics.dataset_oracle_per_seed(acc)
    assert (per_seed >= acc.mean(axis=0).max(axis=1) - 1e-12).all()


@given(st.lists(st.tuples(MAYBE, MAYBE), min_size=1, max_size=12))
def test_frontier_is_unchanged_by_order_and_by_dominated_points(points: list[tuple[float, float]]) -> None:
    acc, cost = np.array(points).T
    frontier = metrics.pareto_frontier(acc, cost)
    order = np.random.default_rng(len(points)).permutation(len(points))
    assert metrics.pareto_frontier(acc[order], cost[order]).tolist() == frontier[order].tolist()
    for i in range(len(points)):  # the definition, point by point
        known = np.isfinite(acc) & np.isfinite(cost)
        better = known & (acc >= acc[i]) & (cost <= cost[i]) & ((acc > acc[i]) | (cost < cost[i]))
        assert frontier[i] == (known[i] and not better.any())


@given(st.lists(st.tuples(TENTHS, TENTHS), min_size=1, max_size=12))
def test_pareto_dist_is_zero_exactly_on_the_frontier_and_at_most_two(points: list[tuple[float, float]]) -> None:
    acc, cost = np.array(points).T
    frontier = metrics.pareto_frontier(acc, cost)
    assert metrics.pareto_dist(acc[frontier], cost[frontier], acc, cost) == 0.0
    assert 0.0 <= metrics.pareto_dist(acc, cost, acc, cost) <= 2.0
    if not frontier.all():
        assert metrics.pareto_dist(acc[~frontier], cost[~frontier], acc, cost) > 0.0


@given(st.lists(MAYBE, min_size=1, max_size=8))
def test_nothing_gains_over_itself(acc: list[float]) -> None:
    usable = any(np.isfinite(a) and a > 0 for a in acc)
    for metric in (metrics.gain, metrics.gap):
        assert float(metric(acc, acc)) == 0.0 if usable else np.isnan(metric(acc, acc))


@given(st.lists(TENTHS, min_size=1, max_size=8), st.lists(TENTHS, min_size=8, max_size=8))
def test_recovered_share_is_zero_at_the_base_and_one_at_the_oracle(base: list[float], more: list[float]) -> None:
    oracle = np.maximum(base, more[: len(base)])
    for acc, expected in ((base, 0.0), (oracle, 1.0)):
        share = float(metrics.oracle_gap_recovered(acc, base, oracle))
        assert np.isnan(share) or share == pytest.approx(expected)


@pytest.mark.parametrize(
    ("accuracy", "usd", "published"),
    [(66.88, 0.15, 66.89), (68.09, 0.54, 66.66), (66.34, 0.21, 66.12), (73.96, 10.02, 64.32)],
)
def test_routerarenas_score_is_that_of_its_leaderboard(accuracy: float, usd: float, published: float) -> None:
    """Rows of the leaderboard in RouterArena's README of 2025; its costs are rounded to a cent."""
    assert 100 * arena_score(accuracy / 100, usd) == pytest.approx(published, abs=0.02)


def test_a_free_or_unpriced_or_dearest_router_has_the_score_that_its_scale_says() -> None:
    assert math.isnan(arena_score(0.7, 0.0))
    assert math.isnan(arena_score(0.7, math.nan))
    assert arena_score(0.7, 1000.0) == arena_score(0.0, 1.0) == 0.0
    assert arena_score(0.7, 0.001) == arena_score(0.7, 0.0044) == pytest.approx(1.1 * 0.7 / (0.07 + 1.0))


points_of = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.floats(0.0, 1.0, width=32))


@given(points_of)
def test_no_point_is_above_the_hull_and_the_hull_rises_ever_less(points: FloatArray) -> None:
    acc, cost = points.T
    height, place = quality_hull(acc, cost)
    assert (np.diff(height) > 0).all()
    assert (np.diff(place) > 0).all()
    over = cost >= place[0]
    assert (acc[over] <= np.interp(cost[over], place, height) + 1e-9).all()
    slope = np.diff(height) / np.diff(place)
    assert (slope[1:] <= slope[:-1] * (1 + 1e-9)).all()
    assert aiq(acc, cost, 1.0) <= height[-1] * (1 + 1e-9)


def test_a_random_mix_of_two_models_recovers_half_of_the_gap_and_a_part_with_as_many_calls() -> None:
    share = np.linspace(0.0, 1.0, 11)
    acc = 0.4 + 0.3 * share
    assert apgr(acc, share, 0.4, 0.7) == pytest.approx(0.5)
    for part in (0.0, 0.2, 0.5, 0.8, 1.0):
        assert calls_for(part, acc[::-1], share[::-1], 0.4, 0.7) == pytest.approx(part)
    assert math.isnan(calls_for(0.5, acc[:3], share[:3], 0.4, 0.7))
    assert math.isnan(apgr(acc, np.zeros(11), 0.4, 0.7))
    assert math.isnan(apgr(acc, share, 0.4, 0.4))
    assert math.isnan(aiq([np.nan], [1.0], 2.0))
