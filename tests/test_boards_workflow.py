"""The steps of the workflow that checks a pull request of a board, run as they stand in its file."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from board_worlds import put, world
from llmrouterbench.boards.folder import init

WORKFLOW = yaml.safe_load(files("llmrouterbench.boards").joinpath("workflows/board-check.yml").read_text("utf-8"))
STEPS = {step.get("name", ""): step for step in WORKFLOW["jobs"]["check"]["steps"]}


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def step(name: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A step as the shell of a runner runs it."""
    line = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **more})


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A board under git, and its first commit."""
    board = init(tmp_path / "board", world(200), seeds=(1,))
    git(board.folder, "init", "-q")
    git(board.folder, "add", "-A")
    git(board.folder, "commit", "-qm", "a board")
    put(board, "dear", {seed: split.test * 0 for seed, split in board.splits.items()})
    git(board.folder, "add", "-A")
    git(board.folder, "commit", "-qm", "an entry")
    return board.folder, git(board.folder, "rev-parse", "HEAD~1")


@pytest.mark.slow
def test_a_pull_request_may_change_submissions_alone(repository: tuple[Path, str]) -> None:
    folder, base = repository
    assert step("Only submissions change", folder, BASE=base).returncode == 0
    (folder / "board.json").write_text("{}", encoding="utf-8")
    git(folder, "commit", "-qam", "other rules")
    refused = step("Only submissions change", folder, BASE=base)
    assert refused.returncode == 1
    assert refused.stdout.splitlines()[1:] == ["board.json"]
    assert (folder / "said.txt").read_text("utf-8") == refused.stdout, "this is what the comment will say"


@pytest.mark.prove
def test_the_check_says_what_is_wrong_and_fails(repository: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = repository
    command = tmp_path / "llmrouterbench"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m llmrouterbench.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert step("Check", folder, PATH=path).returncode == 0
    stored = folder / "submissions" / "dear" / "decisions" / "1.parquet"
    changed = bytearray(stored.read_bytes())
    changed[len(changed) // 2] ^= 1
    stored.write_bytes(changed)
    wrong = step("Check", folder, PATH=path)
    assert wrong.returncode == 1
    assert "dear" in (folder / "said.txt").read_text("utf-8")
    summary = tmp_path / "summary"
    assert step("Say it", folder, GITHUB_STEP_SUMMARY=str(summary)).returncode == 0
    assert summary.read_text("utf-8").startswith("```text\n")


def test_a_pull_request_of_a_fork_gets_no_secret_and_writes_nothing() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "secrets." not in str(WORKFLOW)
