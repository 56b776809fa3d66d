"""RouteLLM's evaluation files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llmrouterbench.importers import import_outcomes
from llmrouterbench.store import scan_replies
from llmrouterbench.table import Outcomes

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "routellm"


def write(folder: Path, mmlu: str, gsm8k: str | None = None) -> Path:
    (folder / "mmlu" / "responses").mkdir(parents=True)
    (folder / "mmlu" / "responses" / "mmlu_algebra.csv").write_text(mmlu)
    if gsm8k is not None:
        (folder / "gsm8k").mkdir()
        (folder / "gsm8k" / "gsm8k_responses.csv").write_text(gsm8k)
        (folder / "gsm8k" / "train.jsonl").write_text("{}")
    return folder


def test_true_and_false_become_scores_and_the_subject_stays_in_the_id(tmp_path: Path) -> None:
    source = write(
        tmp_path / "rl",
        "prompt,weak/m,strong\nq1,True,False\nq1,False,False\n",
        "prompt,weak/m,strong,weak/m_response,strong_response\nsum?,False,True,3,4\n",
    )
    report = import_outcomes(source, tmp_path / "out")
    outcomes = Outcomes.load(tmp_path / "out")
    assert outcomes.models == ("strong", "weak/m")
    assert outcomes.queries.id.tolist() == ["mmlu/algebra/1", "mmlu/algebra/2", "gsm8k/1"]
    assert outcomes.dataset.tolist() == ["mmlu", "mmlu", "gsm8k"]
    assert outcomes.score.tolist() == [[0, 1], [0, 0], [1, 0]]
    assert np.isnan(outcomes.cost).all(), "no costs in the source: not measured, not free"
    assert sorted(scan_replies(tmp_path / "out").collect().rows()) == [(2, "strong", "4"), (2, "weak/m", "3")]
    assert [(f.kind, f.count, f.example) for f in report.findings] == [
        ("prompt repeated inside a dataset", 1, "mmlu/algebra/2"),
        ("contradictory duplicate", 1, "mmlu/algebra/2"),
    ]
    assert report.source["files_not_read"] == ["gsm8k/train.jsonl"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("prompt,a\nq,maybe\n", r"a must be True or False, got maybe in .*mmlu_algebra.csv record 1"),
        ("prompt,a\nq,0.5\n", r"a must be True or False, got 0.5 in .*mmlu_algebra.csv record 1"),
        ("prompt,a\n,True\n", r"prompt must not be empty, got nothing in .*mmlu_algebra.csv record 1"),
        ("text,a\nq,True\n", r"must have a column prompt and a True/False column per model"),
    ],
)
def test_a_wrong_value_is_one_sentence(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        import_outcomes(write(tmp_path / "rl", table), tmp_path / "out")


def test_a_missing_score_is_masked(tmp_path: Path) -> None:
    report = import_outcomes(write(tmp_path / "rl", "prompt,a,b\nq,True,\n"), tmp_path / "out")
    assert np.isnan(Outcomes.load(tmp_path / "out").score).tolist() == [[False, True]]
    assert [(f.kind, f.count) for f in report.findings] == [("model absent from a dataset", 1)]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real RouteLLM files (shared/data) are not on this machine")
def test_the_real_files_give_15361_queries(tmp_path: Path) -> None:
    report = import_outcomes(SHARED, tmp_path / "out")
    outcomes = Outcomes.load(tmp_path / "out")
    names, sizes = np.unique(outcomes.dataset, return_counts=True)
    assert dict(zip(names.tolist(), sizes.tolist(), strict=True)) == {"gsm8k": 1319, "mmlu": 14042}
    assert outcomes.models == ("gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1")
    assert report.counts["cells_missing"] == 0
    assert scan_replies(tmp_path / "out").collect().height == 2 * 1319
