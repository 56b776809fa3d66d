"""What a notebook shows of values: tables of HTML with the numbers of the values, and nothing that runs."""

import numpy as np

from llmrouterbench import Estimate, Outcomes
from llmrouterbench.reporting.notebook import of_estimate, of_outcomes

NAN = float("nan")


def test_outcomes_show_their_kind_and_a_row_a_model() -> None:
    """A missing cell is in no mean; what has no cost is unknown; a name is text."""
    outcomes = Outcomes.of(
        ["a", "b", "c", "d"],
        ["small", "<script>"],
        np.array([[1, 1], [0, 1], [0, 1], [1, NAN]]),
        cost=np.array([[0.001, NAN]] * 4),
        dataset=["x", "x", "x", "y"],
    )
    shown = outcomes._repr_html_()
    assert shown == of_outcomes(outcomes)
    assert "<td>small</td><td>4</td><td>2</td><td>66.67</td><td>1.00</td>" in shown
    assert "<td>&lt;script&gt;</td><td>3</td><td>1</td><td>100.00</td><td>unknown</td>" in shown
    assert "7 of 8 cells measured" in shown
    assert "<p>Partial data" in shown
    assert "<script>" not in shown


def test_means_of_a_log_are_called_what_they_are() -> None:
    score = np.where(np.arange(40)[:, None] % 2 == np.arange(2), 1.0, NAN)
    shown = Outcomes.of([str(i) for i in range(40)], ["m", "n"], score)._repr_html_()
    assert "AvgAcc where it served" in shown
    assert "means of models are over different queries" in shown


def test_an_estimate_shows_what_is_expected() -> None:
    shown = of_estimate(Estimate(("m", "n"), np.array([[0.5, 0.25], [0.1, 0.75]]), np.array([[0.001, NAN]] * 2)))
    assert "<td>m</td><td>30.00</td><td>1.00</td><td>1</td>" in shown
    assert "<td>n</td><td>50.00</td><td>unknown</td><td>1</td>" in shown
    assert "0 queries" in Estimate(("m",), np.zeros((0, 1)), np.zeros((0, 1)))._repr_html_()
