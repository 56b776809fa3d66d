"""What kind of data a table holds, and that nobody answers as if a log were a matrix."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmrouterbench import curate, info, robustness
from llmrouterbench.coverage import Coverage, coverage_of, in_order
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.reporting.report import outcomes_report
from llmrouterbench.studies.headroom import headroom
from llmrouterbench.table import FloatArray, Outcomes
from test_reports_of_anything import holed, runs_of

NAN = float("nan")


def table(score: FloatArray, **rest: Any) -> Outcomes:
    return Outcomes.of([f"q{i}" for i in range(len(score))], list("abcdefgh")[: score.shape[1]], score, **rest)


def logged(n: int = 200, models: int = 3, seed: int = 0) -> Outcomes:
    """One model a query, chosen at random."""
    rng = np.random.default_rng(seed)
    score = np.full((n, models), NAN)
    score[np.arange(n), rng.integers(0, models, n)] = rng.integers(0, 2, n)
    return table(score)


def kind_of(score: FloatArray) -> str:
    return coverage_of(table(score)).kind


def test_the_kinds_of_data() -> None:
    whole = np.ones((100, 3))
    holes, third, log = whole.copy(), whole.copy(), np.full((100, 3), NAN)
    holes[:5, 0] = NAN
    third[33:, 1:] = NAN  # one model everywhere, the others on a third: they share queries
    log[np.arange(100), np.arange(100) % 3] = 1.0
    assert [kind_of(one) for one in (whole, holes, third, log, whole[:, :1])] == [
        "complete", "gaps", "partial", "logged", "complete",
    ]  # fmt: skip
    log[:30] = 1.0
    assert kind_of(log) == "logged", "a log with a probe set that every model answered"


def test_a_log_of_one_model_with_little_exploration_is_a_log() -> None:
    score = np.full((1000, 2), NAN)
    score[:, 0] = 1.0
    score[:30] = [NAN, 1.0]
    assert kind_of(score) == "logged"


def test_queries_without_any_score_are_counted_apart() -> None:
    found = coverage_of(table(np.array([[NAN, NAN], [1.0, 1.0], [0.0, 1.0]])))
    assert found == Coverage("complete", 2, 1, 2, 2.0, 0.0, (2, 2))


def test_models_outside_do_not_count() -> None:
    from dataclasses import replace

    score = np.array([[1.0, NAN], [0.0, NAN]])
    assert coverage_of(replace(table(score), outside=("b",))).kind == "complete"


MATRIX: dict[str, Callable[[Outcomes, Path], Any]] = {
    "curate": lambda outcomes, out: curate(outcomes, samples=5),
    "headroom": lambda outcomes, out: headroom(outcomes, replicates=5),
    "leaderboard": lambda outcomes, out: leaderboard(runs_of(outcomes, 0), samples=5),
    "report": lambda outcomes, out: outcomes_report(outcomes, out, samples=5),
    "robustness": lambda outcomes, out: robustness(outcomes, samples=5),
}


@pytest.mark.parametrize("command", MATRIX)
def test_who_needs_a_matrix_says_so_of_a_log(command: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot tell .* chosen by somebody; this would settle it"):
        MATRIX[command](logged(18), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_info_of_a_log_names_no_best_model() -> None:
    facts = info(logged())
    assert facts["data"]["kind"] == "logged"
    overview = facts["overview"]
    assert overview["best_single"] is None
    assert all(np.isnan(overview[f"{name}_AvgAcc"]) for name in ("best_single", "dataset_oracle", "oracle"))


def ordered(*values: float) -> bool:
    known = [value for value in values if np.isfinite(value)]
    return bool((np.diff(known) >= -1e-9).all())


@settings(max_examples=40)
@given(outcomes=holed(), seed=st.integers(0, 50))
def test_no_oracle_is_below_the_best_single_model(outcomes: Outcomes, seed: int) -> None:
    """On any data: mean of the models <= best single <= dataset oracle <= oracle, or it is said to be unknown."""
    overview = info(outcomes)["overview"]
    assert ordered(*(overview[f"{name}_AvgAcc"] for name in ("best_single", "dataset_oracle", "oracle")))
    assume(coverage_of(outcomes).matrix)
    room = headroom(outcomes, replicates=5)
    assert ordered(room.single.value, room.oracle.value)
    assert not room.gap.value < -1e-9
    rows = {row.name: row.avg_acc.value for row in leaderboard(runs_of(outcomes, seed), samples=5).rows}
    for name in ("Dataset Oracle (per seed)", "Dataset Oracle (seed means)"):
        assert ordered(rows["Random"], rows["Best Single"], rows[name], rows["Oracle"]), rows


@given(st.lists(st.one_of(st.just(NAN), st.floats(0, 1)), min_size=4, max_size=4))
def test_numbers_in_order_are_kept(values: list[float]) -> None:
    kept = in_order(*values)
    assert ordered(*kept)
    if ordered(*values):  # then nothing is in doubt
        assert np.array_equal(kept, values, equal_nan=True)
