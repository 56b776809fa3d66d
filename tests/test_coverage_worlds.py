"""What the product states of its numbers is right as often as it says, in worlds whose truth is known.

A small version of `make coverage`: a statement fails where that many wrong ones would be seen once in a thousand times.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.coverage import Cell, board_cells, bound_cells, interval_cells, promise_cells, table

from llmrouterbench.benching.folder import load_runs
from llmrouterbench.files import read_json
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.stats import Sample, holm, pair
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes

WORLDS = 60


def refused(cells: list[Cell]) -> list[Cell]:
    """The cells that are right too seldom."""
    return [cell for cell in cells if cell.p < 0.001]


@pytest.mark.prove
@pytest.mark.parametrize(("datasets", "queries", "seeds"), [(3, 2, 1), (3, 12, 5), (12, 12, 1), (3, 60, 5)])
def test_intervals_cover_the_truth(datasets: int, queries: int, seeds: int) -> None:
    assert refused(interval_cells(datasets, queries, seeds, WORLDS)) == []


@pytest.mark.prove
@pytest.mark.parametrize("queries", [2, 12, 60])
def test_of_a_board_of_equal_rows_none_is_called_better(queries: int) -> None:
    assert refused(board_cells(3, queries, 1, WORLDS)) == []


@pytest.mark.prove
@pytest.mark.parametrize(("slice_size", "tasks"), [(100, 0), (100, 5), (400, 5)])
def test_policies_keep_what_they_bound(slice_size: int, tasks: int) -> None:
    made = promise_cells(slice_size, tasks, WORLDS)
    assert refused(made) == []
    assert all(cell.worlds > WORLDS / 2 for cell in made), "most bounds must be within reach, or nothing is seen"


@pytest.mark.slow
def test_one_sided_bounds_hold_for_bills_with_a_long_tail() -> None:
    assert refused(bound_cells(100, 400)) == []


def test_a_statement_that_is_wrong_too_often_is_marked() -> None:
    made = [Cell("kept", "here", 80, 100), Cell("kept", "there", 95, 100), Cell("nothing", "nowhere", 0, 0)]
    assert [cell.p < 0.001 for cell in made] == [True, False, False]
    corrected = holm(np.array([cell.p for cell in made]))[0]
    lines = table(made).splitlines()
    assert lines[2] == f"| kept | here | 80.0 | 95 | 100 | 0 | - | **yes** (p {corrected:.2g}) |"
    assert lines[3].endswith("| 95.0 | 95 | 100 | 0 | - | no |")


@pytest.mark.prove
def test_the_command_prints_what_the_worlds_are_judged_by(tmp_path: Path) -> None:
    """A world through `bench` as a user runs it has the intervals that `pair` gives of its own columns."""
    rng = np.random.default_rng(5)
    n, models = 300, ("a", "b", "c")
    score = (rng.random((n, 3)) < np.array([0.7, 0.6, 0.5])).astype(np.float64)
    cost = rng.lognormal(-6.0, 1.0, (n, 1)) * np.array([4.0, 1.0, 2.0])
    text = [f"{i} {' '.join(rng.choice(list('abcdefghij'), 6))}" for i in range(n)]
    world = Outcomes.of(text, models, score, dataset=[f"d{i % 3}" for i in range(n)], cost=cost)
    write_outcomes(world, tmp_path / "data")
    words = ["bench", tmp_path / "data", "--out", tmp_path / "runs", "--routers", "best_single", "--seeds", "1,2"]
    subprocess.run([sys.executable, "-m", "llmrouterbench.cli", *map(str, words)], check=True, capture_output=True)
    board = {row["name"]: row for row in read_json(tmp_path / "runs" / "report" / "report.json")["rows"]}
    runs = load_runs(tmp_path / "runs")
    rows = [runs.splits[seed].test for seed in runs.seeds]
    samples = [Sample(world.dataset[test], world.group[test], score[test], cost[test]) for test in rows]
    paired, base = pair(samples), models.index(leaderboard(runs).base)
    for i, model in enumerate(models):
        for key, one in (("avg_acc", paired.accuracy(i)), ("cost", paired.cost(i))):
            assert list(board[model][key].values()) == pytest.approx([one.value, one.low, one.high], abs=1e-12)
        saved = paired.saving(i, base)
        if board[model]["cost_save"]:
            assert board[model]["cost_save"]["low"] == pytest.approx(saved.low, abs=1e-12)
