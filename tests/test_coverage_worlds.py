"""What the product states of its numbers is right as often as it says, in worlds whose truth is known.

A small version of `make coverage`: a statement fails where that many wrong ones would be seen once in a thousand times.
"""

import numpy as np
import pytest
from benchmarks.coverage import Cell, bound_cells, interval_cells, promise_cells, table

from llmrouterbench.stats import holm

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
def test_equal_routers_and_models_are_not_called_better(queries: int) -> None:
    assert refused(interval_cells(3, queries, 1, WORLDS, equal=True)) == []


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
    assert lines[2] == f"| kept | here | 80.0 | 95 | 100 | **yes** (p {corrected:.2g}) |"
    assert lines[3].endswith("| 95.0 | 95 | 100 | no |")
