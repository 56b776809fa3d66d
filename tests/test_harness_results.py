"""Results of SWE-bench and tau2-bench as their harnesses write them, of several models, become outcomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from llmrouterbench import Outcomes, import_outcomes
from llmrouterbench.datasets import tau2


def report(folder: Path, model: str, **ids: list[str]) -> None:
    kinds = ("submitted_ids", "resolved_ids", "unresolved_ids", "empty_patch_ids", "error_ids", "incomplete_ids")
    said = {"schema_version": 2, **{kind: ids.get(kind.removesuffix("_ids"), []) for kind in kinds}}
    (folder / f"{model}.mine.json").write_text(json.dumps(said))


@pytest.fixture
def swe(tmp_path: Path) -> Path:
    folder = tmp_path / "swe"
    folder.mkdir()
    report(folder, "gpt-4.1", resolved=["a__a-1"], unresolved=["a__a-2"], empty_patch=["b__b-1"])
    report(folder, "ant", resolved=["a__a-1", "a__a-2"], error=["b__b-1"])
    return folder


def test_run_reports_of_swebench_with_the_issues_beside_them(swe: Path, tmp_path: Path) -> None:
    names = ["a__a-1", "a__a-2", "b__b-1", "not asked"]
    texts = pl.DataFrame({"instance_id": names, "problem_statement": [f"issue {name}" for name in names]})
    texts.write_parquet(swe / "test-00000-of-00001.parquet")
    assert import_outcomes(swe, tmp_path / "o").source["format"] == "harnesses"
    outcomes = Outcomes.load(tmp_path / "o")
    assert outcomes.models == ("ant", "gpt-4.1")
    found = dict(zip(outcomes.queries.text, outcomes.score.tolist(), strict=True))
    assert found["issue a__a-1"] == [1, 1]
    assert found["issue a__a-2"] == [1, 0]
    np.testing.assert_array_equal(found["issue b__b-1"], [np.nan, 0])


def test_run_reports_without_issues_say_where_these_are(swe: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold the issues beside the run reports"):
        import_outcomes(swe, tmp_path / "o")
    (swe / "some.jsonl").write_text('{"instance_id": "a__a-1", "problem_statement": "one"}\n')
    with pytest.raises(ValueError, match=r"whose issue is known, got a__a-2"):
        import_outcomes(swe, tmp_path / "o")


def run(task: str, trial: int, reward: float | None, end: str = "user_stop") -> dict[str, Any]:
    said = {"role": "assistant", "content": f"done {trial}", "usage": {"prompt_tokens": 10, "completion_tokens": 2}}
    info = None if reward is None else {"reward": reward}
    return {"task_id": task, "trial": trial, "reward_info": info, "termination_reason": end, "agent_cost": 0.5,
            "duration": 30.0, "messages": [said]}  # fmt: skip


def results(model: str, runs: list[dict[str, Any]], trials: int = 2) -> dict[str, Any]:
    tasks = [{"id": task, "user_scenario": {"instructions": {"reason_for_call": f"You want {task}."}}} for task in "01"]
    info = {"agent_info": {"llm": model}, "environment_info": {"domain_name": "airline"}, "num_trials": trials}
    return {"info": info, "tasks": tasks, "simulations": runs}


def test_results_of_tau2_are_runs_of_a_cell(tmp_path: Path) -> None:
    folder = tmp_path / "tau2"
    folder.mkdir()
    ant = [run("0", 0, 1.0), run("0", 1, 0.0), run("1", 0, 1.0), run("1", 1, None, "infrastructure_error")]
    bee = [run(task, trial, 1.0) for task in "01" for trial in (0, 1)]
    for model, runs in (("ant", ant), ("bee", bee)):
        (folder / f"{model}.json").write_text(json.dumps(results(model, runs)))
    import_outcomes(folder, tmp_path / "o")
    outcomes = Outcomes.load(tmp_path / "o")
    assert list(outcomes.queries.text) == ["You want 0.", "You want 1."]
    assert outcomes.score.tolist() == [[0.5, 1.0], [1.0, 1.0]]
    own = {name: score.value for name, score in tau2.read_report(folder / "ant.json").items()}
    assert list(own.values()) == outcomes.score[:, 0].tolist()
    assert outcomes.tokens_in.tolist() == [[10, 10], [10, 10]]


def test_a_missing_simulation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(results("ant", [run("0", 0, 1.0), run("0", 1, 1.0)])))
    with pytest.raises(ValueError, match=r"must hold 2 simulations of each task, got 0 of '1'"):
        import_outcomes(tmp_path / "results.json", tmp_path / "o")
