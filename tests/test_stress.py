"""The robustness study and its command: everything that the data allow is tried, and the rest has a reason."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from llmrouterbench.benching.bench import bench
from llmrouterbench.reporting.robustness import stress_lines
from llmrouterbench.store import write_outcomes
from llmrouterbench.studies.noise import Noise
from llmrouterbench.studies.robustness import Setup, noisy_queries, trials, without_model
from llmrouterbench.studies.stress import stress
from llmrouterbench.table import Outcomes, Text
from test_robustness import WORDS, three_tasks

SETUP = Setup(router="task_soft:gate=False,pseudo=1.0", seeds=(1, 2), replicates=100)


def with_template() -> Outcomes:
    """Tasks that the prompt tells and the bare query does not."""
    outcomes = three_tasks(40)
    bare = [f"item {i * 31 % 97} {chr(97 + i % 26)}{i}" for i in range(len(outcomes))]
    prompts = [f"{WORDS[task]}: {text}" for task, text in zip(outcomes.dataset.tolist(), bare, strict=True)]
    return replace(outcomes, queries=replace(outcomes.queries, text=Text.of(bare), prompt=Text.of(prompts)))


def test_everything_is_tried_on_data_that_allow_it() -> None:
    found = stress(with_template(), SETUP, noises=[Noise("swap", 0.2)])
    assert found.skipped == {}
    assert {kind: len(rows) for kind, rows in found.kinds.items()} == {
        "left out": 4, "noise": 1, "template": 1, "models": 2, "prices": 4
    }  # fmt: skip
    assert found.kinds["template"][0].difference.high < -0.2
    removed, added = found.kinds["models"]
    assert (removed.what, added.what) == ("adder removed", "adder added")
    assert removed.difference.value == pytest.approx(-added.difference.value)
    assert [one.router for one in found.collapse] == [SETUP.router, "Oracle"]
    lines = stress_lines(found)
    assert any(line.startswith("- maps left out of train: ") for line in lines)
    assert any("cost +" in line or "cost -" in line for line in lines)


def test_what_data_do_not_allow_has_a_reason() -> None:
    outcomes = Outcomes.of(
        [f"question {i} of {i % 7}" for i in range(60)], ["only"], np.eye(2)[np.arange(60) % 2][:, :1]
    )
    found = stress(outcomes, SETUP, noises=[Noise("swap", 0.2)])
    assert set(found.skipped) == {"left out", "template", "models", "prices"}
    assert found.skipped["left out"] == "there is one of the datasets: nothing would be left to train on"
    text = "\n".join(stress_lines(found))
    assert "not tried: no cost is known" in text
    assert "not tried: there is one model" in text


def test_shared_trials_give_what_each_disturbance_gives_alone() -> None:
    outcomes = three_tasks()
    made, noise = trials(outcomes, SETUP), Noise("drop", 0.5)
    assert noisy_queries(outcomes, SETUP, noise, prepared=made) == noisy_queries(outcomes, SETUP, noise)
    assert without_model(outcomes, SETUP, "adder", prepared=made) == without_model(outcomes, SETUP, "adder")


def robustness_cli(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llmrouterbench.cli", "robustness", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_the_command_on_outcomes_and_on_runs(tmp_path: Path) -> None:
    outcomes = three_tasks(30)
    write_outcomes(outcomes, tmp_path / "data")
    few = ("--router", "knn:k=3", "--seeds", "1", "--jobs", "1", "--samples", "20")
    said = robustness_cli(tmp_path / "data", *few, "--price", "adder=3", "--json")
    assert said.returncode == 0, said.stderr
    found = orjson.loads(said.stdout)
    assert found["router"] == "knn:k=3"
    assert [row["what"] for row in found["kinds"]["prices"]] == [
        "new prices, old policy", "new prices, policy fitted again"
    ]  # fmt: skip
    bench(outcomes, tmp_path / "runs", routers=["best_single"], seeds=[1], jobs=1)
    said = robustness_cli(tmp_path / "runs", "--samples", "20")
    assert said.returncode == 0, said.stderr
    assert "- best_single: index" in said.stdout
    assert "serves 100.0 %" in said.stdout
    assert "Runs keep no texts" in said.stdout


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--router", "kn"], 2, "did you mean 'knn'?"),
        (["--seeds", "one"], 2, "--seeds must be whole numbers"),
        (["--price", "adder"], 2, "--price must be MODEL=FACTOR, got 'adder'"),
        (["--domains"], 2, "--domains needs a --setting"),
        (["--model", "add"], 1, "no model named 'add'"),
    ],
)
def test_bad_usage_is_said_in_one_sentence(words: list[str], code: int, sentence: str, tmp_path: Path) -> None:
    write_outcomes(three_tasks(10), tmp_path / "data")
    said = robustness_cli(tmp_path / "data", *words)
    assert said.returncode == code
    assert sentence in " ".join(said.stderr.replace("│", " ").split())
