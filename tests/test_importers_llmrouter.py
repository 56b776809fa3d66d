"""LLMRouter's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrouterbench.importers import import_outcomes
from llmrouterbench.table import Outcomes

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "llmrouter"


def scored(question: str, **scores: Any) -> dict[str, Any]:
    return {"question": question, "scores": scores}


def write(folder: Path, train: Any, test: Any = (), tasks: dict[str, str] | None = None) -> Path:
    folder.mkdir()
    (folder / "scores_train.json").write_text(json.dumps(train))
    (folder / "scores_test.json").write_text(json.dumps(list(test)))
    tasks = {"p": "math", "q": "code"} if tasks is None else tasks
    lines = [json.dumps({"query": query, "task_name": task}) for query, task in tasks.items()]
    (folder / "query_train.jsonl").write_text("\n".join(lines))
    (folder / "default_llm.json").write_text(json.dumps({"a": {"size": "7B", "input_price": 0.2, "output_price": 0.3}}))
    return folder


def test_scores_are_joined_with_their_task_by_the_text(tmp_path: Path) -> None:
    train = [scored("p", b=1.0, a=0.25), scored("q", a=0)]
    report = import_outcomes(write(tmp_path / "lr", train), tmp_path / "out")
    outcomes = Outcomes.load(tmp_path / "out")
    assert (outcomes.models, outcomes.dataset.tolist()) == (("a", "b"), ["math", "code"])
    np.testing.assert_array_equal(outcomes.score, [[0.25, 1], [0, np.nan]])
    assert np.isnan(outcomes.cost).all()
    assert report.source["prices_usd_per_million_tokens"] == {"a": {"input_price": 0.2, "output_price": 0.3}}
    assert [(f.kind, f.count) for f in report.findings] == [("model absent from a dataset", 1)]


def test_repeated_questions_are_merged_and_contradictions_counted(tmp_path: Path) -> None:
    train = [scored("p", a=1), scored("q", a=0)]
    test = [scored("p", a=1, b=0.5), scored("q", a=1, b=0)]
    report = import_outcomes(write(tmp_path / "lr", train, test), tmp_path / "out")
    assert Outcomes.load(tmp_path / "out").score.tolist() == [[1, 0.5], [0, 0]]
    assert [(f.kind, f.count, f.example) for f in report.findings] == [
        ("repeated question", 1, "scores_test.json record 1"),
        ("contradictory repeated question, the first scores count", 1, "scores_test.json record 2"),
    ]


def test_a_question_without_a_task_is_dropped_and_counted(tmp_path: Path) -> None:
    report = import_outcomes(write(tmp_path / "lr", [scored("p", a=1), scored("x", a=1)]), tmp_path / "out")
    assert len(Outcomes.load(tmp_path / "out")) == 1
    assert [(f.kind, f.count, f.example) for f in report.findings] == [
        ("question without a task in the query files", 1, "question 2")
    ]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([scored("p", a=7)], r"score must be between 0 and 1, got 7 in .*scores_train.json record 1, model 'a'"),
        ([scored("p", a="x")], r"score must be between 0 and 1, got x in"),
        ([{"question": "p"}], r"scores_train.json record 1 must have a text 'question' and an object 'scores'"),
        ({"p": 1}, r"scores_train.json must be a list of questions, got dict"),
        ([], r"must hold scores_train.json or scores_test.json with questions, got none"),
        ([scored("unknown", a=1)], r"must name the task of the scored questions, got none"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, train: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        import_outcomes(write(tmp_path / "lr", train), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("scores_train.json", "[{", r"scores_train.json must be JSON, got: .*is the file cut"),
        (
            "query_train.jsonl",
            '{"query": "p"}',
            r"query_train.jsonl line 1 must have the texts 'query' and 'task_name'",
        ),
        ("default_llm.json", "[]", r"default_llm.json must be an object of models"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, name: str, data: str, message: str) -> None:
    source = write(tmp_path / "lr", [scored("p", a=1)])
    (source / name).write_text(data)
    with pytest.raises(ValueError, match=message):
        import_outcomes(source, tmp_path / "out")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real LLMRouter files (shared/data) are not on this machine")
def test_the_real_files_give_5989_queries_of_14_tasks(tmp_path: Path) -> None:
    report = import_outcomes(SHARED, tmp_path / "out")
    outcomes = Outcomes.load(tmp_path / "out")
    assert (len(outcomes), len(outcomes.models), len(outcomes.datasets)) == (5989, 9, 14)
    assert report.counts["records"] == 5608 + 500
    assert {f.kind: f.count for f in report.findings} == {
        "contradictory repeated question, the first scores count": 50,
        "repeated question": 69,
        "query of two tasks, the first one counts": 6,
    }
    assert len(report.source["prices_usd_per_million_tokens"]) == 14
