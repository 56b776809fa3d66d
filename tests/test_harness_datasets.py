"""SWE-bench and tau2-bench: the files that their harnesses read and write."""

import math
from pathlib import Path
from typing import Any

import orjson
import polars
import pytest

from llmrouterbench.checks.dataset import check_dataset, plain_instruments
from llmrouterbench.datasets import dataset
from llmrouterbench.datasets.swebench import patch_of, read_report, write_predictions
from llmrouterbench.datasets.tau2 import DOMAINS, read_replies, read_user_costs
from llmrouterbench.datasets.tau2 import read_report as read_results
from llmrouterbench.replies import Item, Reply

PATCH = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"
ITEMS = [Item(f"tin__rivers-{n}", "It fails.", None, "", {"repo": "tin/rivers", "base_commit": "c"}) for n in range(3)]


def reply(item: str, text: str, model: str = "m", **more: Any) -> Reply:
    return Reply("swe-bench", item, model, text, **more)


def test_swebench_shows_the_issue_with_its_repository(tmp_path: Path) -> None:
    swebench = dataset("swe-bench")
    path = tmp_path / "test.parquet"
    columns = ["repo", "instance_id", "base_commit", "patch", "test_patch", "problem_statement", "hints_text"]
    polars.DataFrame({name: [f"{name} {n} {{x}}" for n in range(2)] for name in columns}).write_parquet(path)
    items = swebench.read(dict.fromkeys(swebench.source.files, path))
    assert [item.id for item in items] == ["instance_id 0 {x}", "instance_id 1 {x}"]
    prompt = swebench.prompt(items[0])
    assert all(part in prompt for part in ("problem_statement 0 {x}", "repo 0", "base_commit 0"))
    assert "hints" not in prompt
    check_dataset(swebench, items)


def test_predictions_are_what_the_harness_reads(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    replies = [
        reply("tin__rivers-0", f"<think>{PATCH}</think>Here:\n```diff\n{PATCH.replace('+b', '+c')}```"),
        reply("tin__rivers-1", "I have no idea. \ud800"),
        reply("tin__rivers-2", "", status="failed", reason="status 500"),
    ]
    assert write_predictions(ITEMS, replies, path) == 2, "a failed call is no empty patch"
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert rows == [
        {"instance_id": "tin__rivers-0", "model_name_or_path": "m", "model_patch": PATCH.replace("+b", "+c")},
        {"instance_id": "tin__rivers-1", "model_name_or_path": "m", "model_patch": ""},
    ]


def test_predictions_are_of_one_model_with_one_reply_an_item(tmp_path: Path) -> None:
    two = [reply("tin__rivers-0", PATCH, "m"), reply("tin__rivers-1", PATCH, "n")]
    with pytest.raises(ValueError, match="of one model, got m, n; write one file a model"):
        write_predictions(ITEMS, two, tmp_path / "p.jsonl")
    again = [reply("tin__rivers-0", PATCH), reply("tin__rivers-0", "other")]
    with pytest.raises(ValueError, match="one reply an item, got two to tin__rivers-0"):
        write_predictions(ITEMS, again, tmp_path / "p.jsonl")
    assert not (tmp_path / "p.jsonl").exists()


def test_a_patch_in_a_reply_of_ten_megabytes_is_found() -> None:
    assert patch_of("word " * 2_000_000 + f"\n```diff\n{PATCH}```") == PATCH
    assert patch_of("```diff\n" * 100_000) == ""


def report(tmp_path: Path, **more: Any) -> Path:
    ids = {"resolved_ids": ["a"], "unresolved_ids": ["b"], "empty_patch_ids": ["c"], "error_ids": ["d"]}
    path = tmp_path / "m.mine.json"
    path.write_bytes(orjson.dumps({"total_instances": 5, "incomplete_ids": ["e"], "schema_version": 2, **ids, **more}))
    return path


def test_a_run_report_becomes_scores(tmp_path: Path) -> None:
    scores = read_report(report(tmp_path))
    assert [scores[name].value for name in "abc"] == [1.0, 0.0, 0.0]
    assert scores["c"].reason == "empty patch"
    assert math.isnan(scores["d"].value), "an error of the harness is no wrong answer"
    assert "harness" in scores["d"].reason
    assert "e" not in scores, "an item that was not run has no score"


def test_an_error_wins_over_a_completed_item(tmp_path: Path) -> None:
    assert math.isnan(read_report(report(tmp_path, error_ids=["b"]))["b"].value)


def test_a_report_that_contradicts_itself_or_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a must have one outcome, got two"):
        read_report(report(tmp_path, unresolved_ids=["a"]))
    for content, got in ((b"[]", "list"), (b'{"x": 1}', "the keys x")):
        (tmp_path / "other.json").write_bytes(content)
        with pytest.raises(ValueError, match=f"a run report of SWE-bench with the key 'resolved_ids', got {got}"):
            read_report(tmp_path / "other.json")
    (tmp_path / "other.json").write_bytes(b"{")
    with pytest.raises(ValueError, match="must be JSON"):
        read_report(tmp_path / "other.json")


def run(task: str, reward: float | None, end: str = "user_stop", **more: Any) -> dict[str, Any]:
    greeting = {"role": "assistant", "content": "Hello?", "usage": None}
    turn = {"role": "assistant", "content": "Done.", "usage": {"prompt_tokens": 100, "completion_tokens": 7}}
    return {
        "id": f"{task}-{reward}-{end}",
        "task_id": task,
        "duration": 2.5,
        "termination_reason": end,
        "agent_cost": 0.25,
        "user_cost": 0.5,
        "reward_info": None if reward is None else {"reward": reward},
        "messages": [greeting, {"role": "user", "content": "Hi"}, turn, {"role": "tool", "content": "{}"}, turn],
        **more,
    }


def results(tmp_path: Path, runs: list[dict[str, Any]], domain: str = "airline", apart: bool = False) -> Path:
    info = {"agent_info": {"llm": "gpt-5"}, "environment_info": {"domain_name": domain}, "num_trials": 1}
    content: dict[str, Any] = {"info": info, "tasks": []}
    path = tmp_path / "results.json"
    if apart:
        (tmp_path / "simulations").mkdir()
        for each in runs:
            (tmp_path / "simulations" / f"{each['id']}.json").write_bytes(orjson.dumps(each))
    else:
        content["simulations"] = runs
    path.write_bytes(orjson.dumps(content))
    return path


@pytest.mark.parametrize("apart", [False, True])
def test_tau2_results_become_scores_costs_and_tokens(tmp_path: Path, apart: bool) -> None:
    path = results(tmp_path, [run("0", 1.0), run("1", 0.0, "max_steps")], apart=apart)
    for where in (path, tmp_path) if apart else (path,):
        assert {name: score.value for name, score in read_results(where).items()} == {
            "airline/0": 1.0,
            "airline/1": 0.0,
        }
    first = read_replies(path)[0]
    assert (first.item, first.model, first.text, first.status) == ("airline/0", "gpt-5", "Done.", "ok")
    assert (first.cost, first.seconds, first.tokens_in, first.tokens_out) == (0.25, 2.5, 200, 14)
    assert read_user_costs(path) == {"airline/0": 0.5, "airline/1": 0.5}, "the simulated user is no model of the pool"


@pytest.mark.parametrize("end", ["infrastructure_error", "context_window_exceeded", "unexpected_error"])
def test_a_tau2_task_that_never_ran_is_not_scored(tmp_path: Path, end: str) -> None:
    path = results(tmp_path, [run("0", 0.0, end)])
    score = read_results(path)["airline/0"]
    assert math.isnan(score.value)
    assert end in score.reason
    assert [(reply.status, reply.reason) for reply in read_replies(path)] == [("failed", end)]


def test_tau2_trials_are_averaged_without_those_that_failed(tmp_path: Path) -> None:
    runs = [run("0", 1.0), run("0", 0.0), run("0", None), run("1", None), run("1", 1.0, user_cost=None)]
    path = results(tmp_path, runs)
    scores = read_results(path)
    assert (scores["airline/0"].value, scores["airline/0"].reason) == (0.5, "1 of 3 trials left out")
    assert scores["airline/1"].value == 1.0
    assert read_user_costs(path) == {"airline/0": 1.5}, "a cost that is unknown is not 0"


def test_tau2_tokens_that_nobody_reported_are_unknown(tmp_path: Path) -> None:
    path = results(tmp_path, [run("0", 1.0, messages=None, agent_cost=None)])
    (found,) = read_replies(path)
    assert (found.tokens_in, found.tokens_out, found.cost, found.text) == (None, None, None, "")


def test_tau2_refuses_what_is_not_its_own(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="airline, retail, telecom, got 'mock'"):
        read_results(results(tmp_path, [], domain="mock"))
    with pytest.raises(ValueError, match=r"the reward of airline/0 must be in \[0, 1\], got 2"):
        read_results(results(tmp_path, [run("0", 2.0)]))
    (tmp_path / "results.json").write_bytes(b'{"simulations": []}')
    with pytest.raises(ValueError, match="with the key 'info', got the keys simulations"):
        read_results(tmp_path / "results.json")


def test_tau2_takes_the_base_tasks_of_three_domains(tmp_path: Path) -> None:
    tau2, files = dataset("tau2"), {}
    for domain, size in zip(DOMAINS, (50, 114, 114), strict=True):
        tasks = [
            {"id": f"[t]{n}", "user_scenario": {"instructions": {"reason_for_call": f"Call {n}"}}} for n in range(200)
        ]
        tasks[0]["user_scenario"] = {"instructions": "Call 0, all in one text"}
        for name, content in (("tasks", tasks), ("split_tasks", {"base": [f"[t]{n}" for n in range(size)]})):
            path = tmp_path / domain / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(orjson.dumps(content))
            files[f"data/tau2/domains/{domain}/{name}.json"] = path
    assert set(files) == set(tau2.source.files)
    items = tau2.read(files)
    assert len(items) == tau2.size == 278
    assert (items[0].id, items[0].query, items[1].query) == ("airline/[t]0", "Call 0, all in one text", "Call 1")
    check_dataset(tau2, items)


def test_a_reply_alone_is_never_scored_by_a_harness_dataset() -> None:
    item = Item("airline/0", "Hello", None, "airline")
    score = dataset("tau2").score(item, "reward: 1", plain_instruments())
    assert math.isnan(score.value)
    assert "harness" in score.reason
