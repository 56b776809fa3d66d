"""Folders of version 0.1.0, made by tests/old/make.py: each still loads, and decides and counts as it did."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from llmrouterbench import FittedRouter, Outcomes, bench, report
from llmrouterbench.benching.folder import load_runs
from llmrouterbench.benching.policies import decide_sweep, weights_of
from llmrouterbench.benching.rules import LATER
from llmrouterbench.chain import collect_missing, run_after_collecting
from llmrouterbench.collecting.config import read_config
from llmrouterbench.collecting.replies_store import read_replies
from llmrouterbench.decision_log import read_decisions
from llmrouterbench.persist import load_router

ARCHIVE = Path(__file__).parent / "old" / "0.1.0.tar.xz"
ROUTERS = ["best_single", "knn:k=5", "task_soft", "avengers_pro:k=4"]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def outcomes(old: Path) -> Outcomes:
    return Outcomes.load(old / "outcomes")


def same(before: Any, after: Any) -> bool:
    """Whether everything that was said is still said, numbers within 1e-9, times aside."""
    if isinstance(before, dict):
        return all(key.endswith(("_s", "_us", "seconds")) or same(value, after[key]) for key, value in before.items())
    if isinstance(before, list):
        return len(before) == len(after) and all(map(same, before, after))
    if isinstance(before, float):
        return bool(np.isclose(before, after, rtol=1e-9, atol=1e-9))
    return bool(before == after)


def test_runs_give_the_same_leaderboard(old: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(old / "runs", tmp_path / "runs")
    board = orjson.loads(orjson.dumps(report(runs, samples=100).to_dict(), option=orjson.OPT_SERIALIZE_NUMPY))
    before = orjson.loads((old / "leaderboard.json").read_bytes())
    assert (before["title"], board["title"]) == ("Leaderboard: own data", "Leaderboard: performance-cost")
    assert same({**before, "title": board["title"]}, board)  # the data's own name is told by now


def test_a_bench_decides_the_same_again(old: Path, outcomes: Outcomes, tmp_path: Path) -> None:
    before = load_runs(old / "runs")
    after = bench(
        outcomes,
        tmp_path / "runs",
        routers=ROUTERS,
        seeds=[42, 999],
        jobs=1,
        router_seed="fixed",
        near_copies="long-texts",
        points="validation",
    )
    assert before.decisions.keys() == after.decisions.keys()
    for key, decisions in before.decisions.items():
        assert np.array_equal(decisions.weights, after.decisions[key].weights)
        for part, served in decisions.parts.items():
            for name, values in vars(served).items():
                assert np.array_equal(values, getattr(after.decisions[key].parts[part], name)), (key, part, name)


def test_runs_take_more_seeds_and_do_nothing_twice(old: Path, outcomes: Outcomes, tmp_path: Path) -> None:
    runs = shutil.copytree(old / "runs", tmp_path / "runs")
    times = {path: path.stat().st_mtime_ns for path in runs.glob("decisions/*/*.parquet")}
    bench(outcomes, runs, routers=ROUTERS, seeds=[42, 999, 7], jobs=1)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    rules = load_runs(runs).rules
    assert [getattr(rules, name) for name in LATER] == [old for old, _ in LATER.values()]  # as in the folder
    assert len(list(runs.glob("decisions/*/7.parquet"))) == len(ROUTERS)


@pytest.mark.parametrize("name", [
    "avengers", "avengers_pro", "best_single", "carrot", "cascade_routing", "equirouter", "gated", "hiershrink", "irt",
    "knn", "knn_guard", "knn_tuned", "linear", "linucb", "mlp", "multiclass", "svm", "task_lookup", "task_soft",
    "uniroute",
])  # fmt: skip
def test_a_saved_router_decides_the_same(name: str, old: Path, outcomes: Outcomes) -> None:
    with np.load(old / "decisions.npz") as kept:
        embedded, chosen = outcomes.with_embedding(kept["vectors"]), kept[name]
    router = load_router(old / "routers" / name)
    assert np.array_equal(decide_sweep(router, embedded.queries, weights_of(router, embedded)), chosen)


def test_every_saved_router_is_tried(old: Path) -> None:
    with np.load(old / "decisions.npz") as kept:
        assert {path.name for path in (old / "routers").iterdir()} == set(kept.files) - {"vectors"}


def test_a_fitted_router_routes_the_same(old: Path, outcomes: Outcomes) -> None:
    fitted = FittedRouter.load(old / "fitted")
    routes = [fitted.route(text) for text in list(outcomes.queries.text)[:20]]
    said = [[one.model, one.reason, one.score, one.cost] for one in routes]
    assert same(orjson.loads((old / "routes.json").read_bytes()), said)


def test_a_decision_log_is_read(old: Path) -> None:
    frames = read_decisions(old / "log")
    assert (len(frames.decisions), len(frames.feedback)) == (12, 12)
    assert set(frames.decisions["status"]) == {"ok"}


def test_a_chain_goes_on_without_paying_again(old: Path, tmp_path: Path) -> None:
    chain = shutil.copytree(old / "chain", tmp_path / "chain")
    config = read_config(chain / "run.yaml")
    assert sum(len(read_replies(Path(config.out), "sums", model.name)) for model in config.models) == 120
    stage, collected = collect_missing(config)
    assert (stage.skipped, collected) == (True, None)  # the providers of then are gone
    stages, _ = run_after_collecting(config, jobs=1)
    assert [one.name for one in stages] == ["score", "bench", "report"]


@pytest.mark.parametrize(
    "words", [["info", "outcomes"], ["report", "runs"], ["policies", "fitted"], ["drift", "log", "--router", "fitted"]]
)
def test_commands_read_old_folders(words: list[str], old: Path) -> None:
    for form in (["--json"], []):
        command = [sys.executable, "-m", "llmrouterbench", *words, *form]
        said = subprocess.run(command, capture_output=True, cwd=old, env={**os.environ, "COLUMNS": "200"})
        assert said.returncode == 0, said.stderr
        if form:
            assert orjson.loads(said.stdout)
        else:
            assert not re.search(rb"(?<![a-z])(nan|inf)(?![a-z])|-0\.0+(?![0-9])", said.stdout.lower())
