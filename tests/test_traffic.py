"""Logs of gateways are logged data: who answered, at which cost, and what it was worth where somebody said so."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrouterbench import Outcomes, import_outcomes


def litellm(text: str, model: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    said = {"choices": [{"message": {"role": "assistant", "content": f"{model} on {text}"}}]}
    return {
        "request_id": f"r-{text}-{model}",
        "call_type": "acompletion",
        "spend": 0.002,
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "startTime": "2026-01-01T00:00:00Z",
        "endTime": "2026-01-01T00:00:02.5Z",
        "model": model,
        "messages": messages,
        "response": said,
        "cache_hit": "False",
        "status": "success",
        **more,
    }


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            names = list(dict.fromkeys(name for row in rows for name in row))
            table = csv.DictWriter(file, names)
            table.writeheader()
            for row in rows:
                table.writerow({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()})
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json"])
def test_litellm_with_scores_that_were_added(ending: str, tmp_path: Path) -> None:
    inside = {"messages": {}, "proxy_server_request": {"messages": [{"role": "user", "content": "in the request"}]}}
    rows = [
        litellm("a?", "ant", score=1),
        litellm("a?", "bee", score=0.25, request_duration_ms=1500),
        litellm("b?", "ant", cache_hit="True", spend=0),
        litellm("c?", "bee", status="failure", spend=0, score=None),
        litellm("", "ant", messages={}),
        litellm("", "ant", score=0, **inside),
    ]
    report = import_outcomes(written(tmp_path / f"spend.{ending}", rows), tmp_path / "o", format="auto")
    outcomes = Outcomes.load(tmp_path / "o")
    assert report.source["format"] == "traffic"
    assert {one.kind: one.count for one in report.findings if one.kind != "missing record"} == {
        "request whose text was not kept": 1,
        "failed call, not measured": 1,
        "null score": 1,
    }
    assert list(outcomes.queries.text) == ["a?", "b?", "c?", "in the request"]
    assert next(iter(outcomes.queries.prompt)) == "Be brief.\n\na?"
    np.testing.assert_array_equal(outcomes.score[:, 0], [1, np.nan, np.nan, 0])
    np.testing.assert_array_equal(outcomes.score[0], [1, 0.25])
    np.testing.assert_array_equal(outcomes.cost[:2], [[0.002, 0.002], [np.nan, np.nan]])
    np.testing.assert_array_equal(outcomes.seconds[:2], [[2.5, 1.5], [np.nan, np.nan]])


def test_a_replay_is_scored_by_the_source_that_counts(tmp_path: Path) -> None:
    def row(user: float, judge: float) -> dict[str, Any]:
        said = [{"source": "user", "score": user}, {"source": "judge", "score": judge}]
        of = {"request_id": f"q{user}", "decision": "math", "selected_model": "ant", "category": "math"}
        return {**of, "prompt": f"{user}?", "outcomes": said, "actual_cost": 1.5, "currency": "EUR", "duration_ms": 900}

    path = written(tmp_path / "replay.jsonl", [row(1, 0.5), row(0, 0.25)])
    with pytest.raises(ValueError, match=r"cannot tell which score counts: .*'user', 'judge'"):
        import_outcomes(path, tmp_path / "o")
    import_outcomes(path, tmp_path / "o", filter="judge")
    outcomes = Outcomes.load(tmp_path / "o")
    assert outcomes.score.tolist() == [[0.5], [0.25]]
    assert np.isnan(outcomes.cost).all(), "euros are no dollars"
    assert outcomes.datasets == ["math"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([litellm("a?", "ant"), litellm("b?", "bee")], "must hold scores of some requests, got none in 2"),
        ([litellm("", "ant", messages={}, score=1)], "must hold texts of requests, got none in 1"),
        ([litellm("a?", "ant", score="good")], "score must be a number between 0 and 1, got 'good'"),
        ([litellm("a?", "ant", score=1), {"request_body": "{}"}], "must hold requests of one gateway"),
        ([litellm("a?", "ant", score=7)], "score must be between 0 and 1, got 7"),
    ],
    ids=["no scores", "no texts", "a word", "two gateways", "a scale"],
)
def test_what_a_log_lacks_is_said(rows: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\w") as error:
        import_outcomes(written(tmp_path / "spend.jsonl", rows), tmp_path / "o")
    assert said in str(error.value)
    assert not (tmp_path / "o").exists()
