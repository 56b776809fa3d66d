"""Seconds from tokens, the three-objective frontier, and the paper's tau2 example."""

import csv
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.studies.latency import (
    end_to_end,
    frontier,
    latency_points,
    load_serving,
    with_seconds,
)
from llmrouterbench.table import Outcomes

TABLE = """
[[models]]
id = "slow"
first_token_seconds = 1.0
tokens_per_second = 10.0
date = "2026-01-31"
source = "our own load test"
"""


def test_tokens_over_speed_plus_the_first_token() -> None:
    assert end_to_end([0, 500], 0.25, 100.0).tolist() == [0.25, 5.25]


def test_measured_seconds_win_and_missing_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "serving.toml"
    path.write_text(TABLE, encoding="utf-8")
    outcomes = Outcomes.of(
        ["q", "r", "s"],
        ["slow", "other"],
        [[1.0, 1.0], [1.0, 1.0], [np.nan, 1.0]],
        tokens_out=[[100, 100], [200, 200], [300, 300]],
        seconds=[[3.0, np.nan], [np.nan, np.nan], [np.nan, np.nan]],
    )
    filled, unknown = with_seconds(outcomes, load_serving(path))
    np.testing.assert_array_equal(filled.seconds[:, 0], [3.0, 21.0, np.nan])  # no score, no reply, no seconds
    assert np.isnan(filled.seconds[:, 1]).all()
    assert unknown == ("other",)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (TABLE.replace("tokens_per_second", "tokens_per_secnd"), "unknown key 'tokens_per_secnd'; did you mean"),
        (TABLE.replace("10.0", "0.0"), "tokens_per_second above 0"),
        (TABLE.replace('date = "2026-01-31"', ""), r"models\[0\].date is missing"),
        ("[[model]]", "unknown key 'model'; did you mean 'models'"),
        ("=", "must be TOML"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(text: str, match: str, tmp_path: Path) -> None:
    path = tmp_path / "serving.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=match):
        load_serving(path)


def test_no_statistic_is_shipped_without_a_source() -> None:
    table = load_serving()
    assert table.models == {}  # the paper prints none
    assert all(one.date == "2026-01-05" and "2601.07206" in one.source for one in table.reported)


def printed(what: str) -> dict[str, float]:
    """Tables 5 and 6 of the paper: accuracy in percent, or USD, on tau2 by model."""
    text = (resources.files("llmrouterbench") / "data" / f"paper_performance-cost_{what}.csv").read_text()
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["model"]: float(row["tau2"]) for row in rows if row["tau2"]}


def test_the_papers_tau2_example() -> None:
    # section 4.2.2: "Qwen3-Thinking and GLM-4.6 have similar performance and cost but differ notably in latency
    # (262.1s vs. 32.4s)"
    seconds = {one.id: one.seconds for one in load_serving().reported}
    accuracy, cost = printed("accuracy"), printed("cost")
    names = ["qwen3-235b-a22b-thinking-2507", "glm-4.6"]
    score, usd, late = ([table[name] for name in names] for table in (accuracy, cost, seconds))
    assert (late, abs(score[0] - score[1]) < 1.0, abs(usd[0] - usd[1]) < 1.0) == ([262.1, 32.4], True, True)
    assert frontier(score, usd, late).tolist() == [False, True]


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=12))
def test_the_frontier_is_what_brute_force_finds(points: list[tuple[int, int, int]]) -> None:
    def beats(a: tuple[int, int, int], b: tuple[int, int, int]) -> bool:
        return a[0] >= b[0] and a[1] <= b[1] and a[2] <= b[2] and a != b

    expected = [not any(beats(other, one) for other in points) for one in points]
    assert frontier(*zip(*points, strict=True)).tolist() == expected


def test_unknown_coordinates_are_on_no_frontier() -> None:
    assert frontier([1.0, 0.5], [1.0, 1.0], [np.nan, 2.0]).tolist() == [False, True]


def test_points_of_models_are_means_over_datasets() -> None:
    outcomes = Outcomes.of(
        ["q", "r", "s"],
        ["a", "b"],
        [[1, 0], [0, 0], [1, 1]],
        dataset=["x", "x", "y"],
        cost=[[1, 1], [3, 1], [4, 1]],
        seconds=[[1.0, 2.0], [1.0, 2.0], [5.0, np.nan]],
    )
    a, b = latency_points(outcomes, replicates=50)
    assert (a.score.value, a.cost.value, a.seconds.value) == (0.75, 3.0, 3.0)
    assert a.on_frontier
    assert np.isnan(b.seconds.value)  # no seconds on y, where it has a score
    assert not b.on_frontier
