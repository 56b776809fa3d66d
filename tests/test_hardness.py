"""Query hardness and recall failures, by hand on runs of six queries."""

import numpy as np
import pytest

from llmrouterbench.benching.folder import Decisions, Made, Runs, Served
from llmrouterbench.simulation.simulate import simulate
from llmrouterbench.splits import Split
from llmrouterbench.studies.hardness import hardness, missed_queries, recall_failures, solvers
from llmrouterbench.table import Outcomes

SCORE = np.array(
    [
        [0, 0, 0, 0, 0],  # nobody
        [1, 0, 0, 0, 0],  # one
        [0, 0, 1, 0, 0],  # one
        [1, 1, 1, 0, 0],  # three
        [1, 1, 1, 1, 0],  # four
        [1, 1, 1, 1, 1],  # all
    ],
    dtype=float,
)


def runs_of(score: np.ndarray, choices: dict[str, list[int]]) -> Runs:
    """Runs of one seed in which every query is tested; each router serves the models given."""
    n, m = score.shape
    outcomes = Outcomes.of([f"q{i}" for i in range(n)], [f"m{i}" for i in range(m)], score)
    everything, nothing = np.arange(n), np.zeros(0, dtype=np.int64)
    checked = Served.single(nothing, nothing[None])
    decisions = {
        (label, 1): Decisions(
            label, 1, np.zeros(1), {"validation": checked, "test": Served.single(everything, np.array([choice]))}
        )
        for label, choice in choices.items()
    }
    return Runs(outcomes, {1: Split(nothing, everything)}, decisions, Made.of(choices, [1]))


def test_bins_hold_the_queries_by_how_many_models_solve_them() -> None:
    found = hardness(runs_of(SCORE, {"first": [0] * 6, "last": [4] * 6}), replicates=50)
    assert found.solved_by == (0, 1, 3, 4, 5)
    assert found.queries == (1.0, 2.0, 1.0, 1.0, 1.0)
    assert [one.value for one in found.accuracy["first"]] == [0.0, 0.5, 1.0, 1.0, 1.0]
    assert [one.value for one in found.accuracy["last"]] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert [one.value for one in found.accuracy["Oracle"]] == [0.0, 1.0, 1.0, 1.0, 1.0]


def test_rare_queries_exclude_those_that_nobody_solves() -> None:
    runs = runs_of(SCORE, {"first": [0] * 6, "last": [4] * 6})
    first, last = recall_failures(runs, replicates=50)
    assert (first.router, first.rare, first.share, first.missed) == ("first", 3.0, 0.5, 1.0)
    assert first.accuracy.value == pytest.approx(2 / 3)
    assert first.gap.value == pytest.approx(1.0)  # its one miss
    assert last.missed == 3.0
    assert last.gap.value == pytest.approx(3 / 4)  # 4 misses, 3 of them rare
    assert missed_queries(runs, "first")[1].tolist() == [2]


def test_a_perfect_router_has_no_gap_to_share() -> None:
    only = recall_failures(runs_of(SCORE, {"perfect": [0, 0, 2, 0, 0, 0]}), replicates=50)[0]
    assert only.missed == 0.0
    assert np.isnan(only.gap.value)


def test_fractional_scores_solve_from_the_threshold_on() -> None:
    outcomes = Outcomes.of(["q"], ["a", "b", "c"], [[0.49, 0.5, np.nan]])
    assert solvers(outcomes).tolist() == [1]
    assert solvers(outcomes, threshold=0.4).tolist() == [2]
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        solvers(outcomes, threshold=0.0)


def test_unmeasured_queries_are_in_no_bin() -> None:
    score = SCORE.copy()
    score[5] = np.nan
    found = hardness(runs_of(score, {"first": [0] * 6}), replicates=20)
    assert sum(found.queries) == 5.0


def test_names_and_numbers_are_checked() -> None:
    runs = runs_of(SCORE, {"first": [0] * 6})
    with pytest.raises(KeyError, match="no router named 'frist'"):
        missed_queries(runs, "frist")
    with pytest.raises(ValueError, match="at least 1"):
        recall_failures(runs, few=0)


def test_rare_queries_are_as_many_as_in_the_paper_when_unsolved_ones_are_not_counted() -> None:
    # Section 4.2.1: "at most three experts answer correctly (410 queries, 11.9% of the test set)". On the SIMULATED
    # setting, whose accuracies and oracle are the paper's, 1 to 3 solvers make about that share, 0 to 3 twice as much.
    solved = solvers(simulate("performance"))
    assert 0.10 < ((solved >= 1) & (solved <= 3)).mean() < 0.14
    assert (solved <= 3).mean() > 0.2
