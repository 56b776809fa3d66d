"""RouterBench's CSV files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llmrouterbench.importers import import_outcomes
from llmrouterbench.store import scan_replies
from llmrouterbench.table import Outcomes

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "routerbench"

HEADER = ",sample_id,prompt,eval_name,a/x,b,a/x|model_response,a/x|total_cost,b|total_cost,oracle_model_to_route_to\n"


def line(
    sample: str, a: str, b: str, cost: str = "0.5,2", prompt: str = "['What is 1 + 1?']", reply: str = "['2']"
) -> str:
    return f'0,{sample},"{prompt}",sums,{a},{b},"""{reply}""",{cost},b\n'


def test_scores_costs_texts_and_replies_are_read(tmp_path: Path) -> None:
    (tmp_path / "rb").mkdir()
    (tmp_path / "rb" / "sums_test.csv").write_text(HEADER + line("s.1", "1.0", "0.0") + line("s.2", "0.25", "1", "0,3"))
    (tmp_path / "rb" / "sums_train.csv").write_text(HEADER + line("s.3", "0", "1", prompt="plain"))
    report = import_outcomes(tmp_path / "rb", tmp_path / "out")
    outcomes = Outcomes.load(tmp_path / "out")
    assert outcomes.models == ("a/x", "b")
    assert outcomes.queries.id.tolist() == ["s.1", "s.2", "s.3"]
    assert list(outcomes.queries.text) == ["What is 1 + 1?", "What is 1 + 1?", "plain"]
    assert (outcomes.datasets, set(outcomes.subset.tolist())) == (["sums"], {""})
    assert outcomes.score.tolist() == [[1, 0], [0.25, 1], [0, 1]]
    np.testing.assert_array_equal(outcomes.cost, [[0.5, 2], [np.nan, 3], [0.5, 2]])
    assert scan_replies(tmp_path / "out").collect().rows() == [(row, "a/x", "2") for row in range(3)]
    assert [(f.kind, f.count) for f in report.findings] == [
        ("zero cost of a called model", 1),
        ("prompt repeated inside a dataset", 1),
        ("contradictory duplicate", 1),
    ]
    assert report.source["format"] == "routerbench"


def test_of_rows_with_one_id_the_fullest_counts_and_what_is_missing_is_masked(tmp_path: Path) -> None:
    path = tmp_path / "rb.csv"
    path.write_text(
        HEADER + line("s.1", "1.0", "", prompt="p") + line("s.1", "0", "1", "1,1") + line("s.2", "", "1", prompt="q")
    )
    report = import_outcomes(path, tmp_path / "out")
    outcomes = Outcomes.load(tmp_path / "out")
    np.testing.assert_array_equal(outcomes.score, [[0, 1], [np.nan, 1]])
    assert outcomes.cost.tolist() == [[1, 1], [0.5, 2]]
    assert [(f.kind, f.count, f.happened, f.example) for f in report.findings] == [
        ("missing score", 1, "masked", "rb.csv record 3"),
        ("row with an id that stands in another row", 1, "dropped", "rb.csv record 1"),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (line("s.1", "7", "1"), r"a/x must be a number between 0 and 1, got 7 in .*rb.csv record 1"),
        (line("s.1", "yes", "1"), r"a/x must be a number between 0 and 1, got yes in .*rb.csv record 1"),
        (line("s.1", "1", "1", "-1,1"), r"a/x\|total_cost must be a number of USD of 0 or more, got -1 in"),
        (line("", "1", "1"), r"sample_id, prompt, eval_name must not be empty, got nothing in .*rb.csv record 1"),
    ],
)
def test_a_wrong_value_is_one_sentence(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "rb.csv").write_text(HEADER + row)
    with pytest.raises(ValueError, match=message):
        import_outcomes(tmp_path / "rb.csv", tmp_path / "out")


def test_a_printed_list_that_is_a_program_is_not_run(tmp_path: Path) -> None:
    evil = f"[open('{tmp_path / 'pwned'}', 'w')]"
    (tmp_path / "rb.csv").write_text(HEADER + line("s.1", "1", "1", prompt=evil))
    import_outcomes(tmp_path / "rb.csv", tmp_path / "out")
    assert list(Outcomes.load(tmp_path / "out").queries.text) == [evil]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["rb/routerbench_0shot.pkl", "routerbench_0shot.pkl"])
def test_a_program_in_a_pickle_touches_nothing_outside(tmp_path: Path, name: str) -> None:
    """It is opened in the sandbox alone, or, where there is none, not at all."""
    (tmp_path / "rb").mkdir()
    (tmp_path / name).write_bytes(f"cos\nsystem\n(S'touch {tmp_path / 'pwned'}'\ntR.".encode())
    source = tmp_path / name.split("/")[0]
    with pytest.raises(ValueError, match=r"must be a pickle of a table, got|must not be a pickle file"):
        import_outcomes(source, tmp_path / "out")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real RouterBench files (shared/data) are not on this machine")
def test_the_real_files_give_3164_queries(tmp_path: Path) -> None:
    report = import_outcomes(SHARED, tmp_path / "out")
    outcomes = Outcomes.load(tmp_path / "out")
    assert (len(outcomes), len(outcomes.models), outcomes.datasets) == (
        3164,
        11,
        ["arc-challenge", "mbpp", "winogrande"],
    )
    assert {(f.kind, f.count) for f in report.findings} == {
        ("missing score", 14), ("row with an id that stands in another row", 14),
        ("prompt repeated inside a dataset", 2), ("contradictory duplicate", 2),
    }  # fmt: skip
    assert np.isfinite(outcomes.cost).all()
