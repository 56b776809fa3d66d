"""The command line as a stranger meets it: help, typos, empty folders, JSON, exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmrouterbench.commands.app import GROUPS

COMMAND = [sys.executable, "-m", "llmrouterbench.cli"]


def cli(*words: str, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **({"LLMROUTERBENCH_CACHE": str(cache)} if cache else {})}
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=env, timeout=300)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own log: two models, two datasets, one query that a model never answered."""
    path = tmp_path_factory.mktemp("log") / "log.csv"
    rows = ["query,dataset,model,score,cost"]
    for i in range(60):
        kind = ("sum", "poem")[i % 2]
        rows.append(f"write the {kind} of {i} and {i + 1} please,{kind},small,{int(i % 2 == 0)},0.001")
        if i != 7:
            rows.append(f"write the {kind} of {i} and {i + 1} please,{kind},large,{int(i % 3 > 0)},0.01")
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def store(log: Path) -> Path:
    done = cli("import", str(log), "--to", str(log.parent / "store"))
    assert done.returncode == 0, done.stderr
    return log.parent / "store"


def test_help_lists_the_commands() -> None:
    said = cli("--help")
    assert said.returncode == 0
    for command in ("import", "info", "bench", "report", "simulate", "fetch", "demo", "routers", "split"):
        assert command in said.stdout


def test_every_command_is_in_a_group_and_in_the_order_of_the_work() -> None:
    listed = [name for names in GROUPS.values() for name in names]
    shown = re.findall(r"^\u2502 ([a-z][a-z-]+) ", cli("--help").stdout, flags=re.MULTILINE)
    assert shown == listed


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["bnch"], "Did you mean 'bench'?"),
        (["bench", "{store}", "--out", "{tmp}/r", "--routers", "avenger"], "did you mean 'avengers'?"),
        (["bench", "{store}", "--out", "{tmp}/r", "--split", "papr"], "did you mean 'paper'?"),
        (["bench", "{store}", "--out", "{tmp}/r", "--protocol", "papr"], "did you mean 'paper'?"),
        (["bench", "{store}", "--out", "{tmp}/r", "--protocol", "paper", "--split", "safe"], "leave the split out"),
        (["bench", "{store}", "--out", "{tmp}/r", "--seeds", "x"], "--seeds must be 'paper' or whole numbers, got 'x'"),
        (["bench", "{store}", "--out", "{tmp}/r", "--hold-out", "sums"], "did you mean 'sum'?"),
        (["bench", "{store}", "--out", "{tmp}/r", "--embedder", "tfdf"], "did you mean 'tfidf'?"),
        (["bench", "{store}", "--out", "{tmp}/r", "--setting", "performnce"], "did you mean 'performance'?"),
        (["info", "{store}", "--setting", "cost"], "no setting named 'cost'"),
        (["import", "{log}", "--to", "{tmp}/x", "--format", "offical"], "did you mean 'official'?"),
        (["simulate", "--to", "{tmp}/x", "--setting", "perf"], "no setting named 'perf'"),
        (["simulate"], "say where to write"),
    ],
)
def test_a_typo_is_bad_usage_and_gets_a_suggestion(words, sentence, log, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    said = cli(*(word.format(store=store, tmp=tmp_path, log=log) for word in words))
    assert said.returncode == 2, said.stderr
    assert sentence in " ".join(said.stderr.replace("│", " ").split())
    assert said.stdout == ""


@pytest.mark.parametrize("words", [["info", "{tmp}"], ["bench", "{tmp}", "--out", "{tmp}/r"], ["report", "{tmp}"]])
def test_an_empty_folder_is_failed_work_with_one_sentence(words: list[str], tmp_path: Path) -> None:
    said = cli(*(word.format(tmp=tmp_path) for word in words))
    assert said.returncode == 1
    assert said.stderr.startswith("error: ")
    assert len(said.stderr.strip().splitlines()) == 1
    assert "llmrouterbench" in said.stderr


def test_import_says_what_was_missing(log: Path, tmp_path: Path) -> None:
    said = cli("import", str(log), "--to", str(tmp_path / "o"), "--json")
    report = json.loads(said.stdout)
    assert said.returncode == 0
    assert report["folder"] == str(tmp_path / "o")
    missing = [finding for finding in report["findings"] if "missing" in finding["kind"]]
    assert sum(finding["count"] for finding in missing) == 1


def test_info_prints_tables_and_json(store: Path) -> None:
    shown = cli("info", str(store))
    facts = json.loads(cli("info", str(store), "--json").stdout)
    assert shown.returncode == 0
    assert "small" in shown.stdout
    assert facts["overview"]["instances"] == 119
    assert facts["accuracy"]["small"]["sum"] == 100.0
    assert facts["coverage"]["large"] == {"poem": 29.0, "sum": 30.0}


def test_bench_then_report_from_a_log(store: Path, tmp_path: Path) -> None:
    words = [
        "bench",
        str(store),
        "--out",
        str(tmp_path / "r"),
        "--routers",
        "best_single,avengers:k=4,top_k=2",
        "--seeds",
        "1,2",
    ]
    said = cli(*words, "--jobs", "1", "--json", cache=tmp_path / "cache")
    assert said.returncode == 0, said.stderr
    board = json.loads(said.stdout)
    names = {row["name"] for row in board["rows"]}
    assert {"best_single", "avengers:k=4,top_k=2", "Oracle", "Random"} <= names
    files = {path.name for path in (tmp_path / "r" / "report").iterdir()}
    assert {"leaderboard.md", "leaderboard.csv", "report.json", "pareto.png"} <= files
    again = cli("report", str(tmp_path / "r"), "--to", str(tmp_path / "elsewhere"), "--json")
    assert json.loads(again.stdout)["rows"] == board["rows"]


def test_bench_by_the_papers_protocol(store: Path, tmp_path: Path) -> None:
    words = ["--routers", "best_single,mlp:epochs=3", "--protocol", "paper", "--seeds", "1", "--jobs", "1", "--json"]
    said = cli("bench", str(store), "--out", str(tmp_path / "r"), *words, cache=tmp_path / "cache")
    assert said.returncode == 0, said.stderr
    board = json.loads(said.stdout)
    assert board["facts"]["split"]["kind"] == board["facts"]["protocol"] == "paper"
    peaks = {row["name"]: row["peak_on_test"] for row in board["rows"] if row["kind"] == "router"}
    assert sorted(peaks) == ["best_single", "mlp:epochs=3"]
    assert all(peaks[row["name"]] >= row["avg_acc"]["value"] for row in board["rows"] if row["name"] in peaks)


def test_split_and_listings(store: Path, tmp_path: Path) -> None:
    said = json.loads(cli("split", str(store), "--to", str(tmp_path / "s.json"), "--kind", "paper", "--json").stdout)
    assert (said["train"], said["test"]) == (42, 18)
    assert "avengers_pro" in cli("routers").stdout
    assert json.loads(cli("settings", "--json").stdout)["settings"][1]["reference"] == "gpt-5"


def test_simulated_says_so_everywhere(tmp_path: Path) -> None:
    assert cli("simulate", "--to", str(tmp_path / "s"), "--setting", "performance-cost").returncode == 0
    shown = cli("info", str(tmp_path / "s"), "--setting", "performance-cost").stdout
    titles = [line for line in shown.splitlines() if "Score" in line or "Cost," in line or "Overview" in line]
    assert titles
    assert all("SIMULATED" in title for title in titles)
    assert "GPT-5" in shown


def test_a_share_of_the_simulated_data(tmp_path: Path) -> None:
    made = cli("simulate", "--to", str(tmp_path / "s"), "--scale", "0.01", "--json")
    assert 100 < json.loads(made.stdout)["queries"] < 150  # of 12,446
    for words in (
        ["--to", str(tmp_path / "t"), "--scale", "2"],
        ["--write-release", str(tmp_path / "r"), "--scale", "0.1"],
    ):
        refused = cli("simulate", *words)
        assert refused.returncode == 2
        assert "scale" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.slow
def test_ctrl_c_leaves_a_state_that_goes_on(store: Path, tmp_path: Path) -> None:
    small = ["--setting", "performance-cost", "--scale", "0.2"]
    assert cli("simulate", "--to", str(tmp_path / "s"), *small).returncode == 0
    words = [*COMMAND, "bench", str(tmp_path / "s"), "--out", str(tmp_path / "r"), "--routers", "best_single,knn"]
    env = {**os.environ, "LLMROUTERBENCH_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    while not (tmp_path / "r" / "runs.json").is_file():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again to go on" in errors
    assert cli(*words[len(COMMAND) :], "--json", cache=tmp_path / "cache").returncode == 0
