"""A folder of runs takes its place when something was decided: what fails leaves nothing, what is stopped goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from failing import Failing, Killed
from llmrouterbench import report
from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Runs, load_runs
from llmrouterbench.files import read_json
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.simulation.simulate import simulate
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes

OTHER_RULES: dict[str, Any] = {"validation": 0.3, "split": "paper", "routers": ["best_single"], "seeds": [7], "jobs": 1}


@pytest.fixture(scope="module")
def table() -> Outcomes:
    return simulate("performance-cost", scale=0.01)


def everything(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def stop_at(what: str, done: int) -> Callable[[str, int, int], None]:
    """Ctrl-C when a piece of work has come so far."""

    def progress(said: str, count: int, of: int) -> None:
        if said.startswith(what) and count == done:
            raise KeyboardInterrupt

    return progress


# --- what fails leaves nothing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"embedder": "tfdif"}, ValueError, "no embedder named 'tfdif'; did you mean 'tfidf'"),
        ({"embedder": "file:gone.npz"}, FileNotFoundError, "precomputed vectors must be in a file"),
        ({"embedder": "file:lacking.npz"}, ValueError, "lacking.npz must hold a vector for every text, got none for"),
        ({"split": "gone.json"}, FileNotFoundError, "a split must be in a file, got none at gone.json"),
        ({"held_out": ("nowhere",)}, ValueError, "no dataset named 'nowhere' to hold out"),
        ({"setting": "performence"}, ValueError, "no setting named 'performence'; did you mean 'performance'"),
        ({"seeds": []}, ValueError, "a bench needs at least one seed, got none"),
        ({"routers": ["knn:k=abc"]}, ValueError, "router 'knn': k must be a whole number, got 'abc'"),
        ({"routers": {"mine": Failing()}}, ValueError, "router 'mine', seed [12]: I cannot learn from this"),
        ({"progress": stop_at("embedding", 0)}, KeyboardInterrupt, None),
        ({"progress": stop_at("routing", 0)}, KeyboardInterrupt, None),
    ],
    ids=str,
)
def test_a_bench_that_fails_first_leaves_nothing_and_blocks_no_other(
    options: dict[str, Any],
    error: type[BaseException],
    sentence: str | None,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    table: Outcomes,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    np.savez("lacking.npz", text=np.array(["one text"]), embedding=np.ones((1, 3)))
    with pytest.raises(error, match=sentence):
        bench(table, tmp_path / "new" / "runs", **{"seeds": [1], "jobs": 1, **options})
    assert list(tmp_path.rglob("*")) == []
    assert bench(table, tmp_path / "new" / "runs", **OTHER_RULES).seeds == [7]
    before = everything(tmp_path)
    failing = {**OTHER_RULES, **options, "seeds": options.get("seeds", [8])}
    with pytest.raises(error):
        bench(table, tmp_path / "new" / "runs", **failing)
    assert everything(tmp_path) == before, "a folder that is there stays what it was"


_STOPPED = """
import os, signal, sys
from llmrouterbench import bench, simulate
from llmrouterbench.embedders.tfidf import TfidfSvd

class Slow(TfidfSvd):
    def embed(self, texts):
        os.kill(os.getpid(), signal.SIGINT)
        return super().embed(texts)

bench(simulate("performance-cost", scale=0.01), sys.argv[1], seeds=[1], jobs=1, embedder=Slow())
"""


def test_ctrl_c_while_the_queries_are_embedded_leaves_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, table: Outcomes
) -> None:
    command = [sys.executable, "-c", _STOPPED, str(tmp_path / "r")]
    fresh = {**os.environ, "LLMROUTERBENCH_CACHE": str(tmp_path_factory.mktemp("cache"))}
    done = subprocess.run(command, capture_output=True, check=False, env=fresh)
    assert b"KeyboardInterrupt" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert bench(table, tmp_path / "r", **OTHER_RULES).seeds == [7]


def test_what_can_be_no_folder_of_runs_is_refused_before_any_work(tmp_path: Path, table: Outcomes) -> None:
    work: list[str] = []
    options = {**OTHER_RULES, "progress": lambda what, done, total: work.append(what)}
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match=r"must be a folder of runs, got a file at .*file; choose another"):
            bench(table, out, **options)
    write_outcomes(table, tmp_path / "data" / "outcomes")  # a name that a folder of runs has, too
    before = everything(tmp_path / "data")
    with pytest.raises(FileExistsError, match="must be new or a folder of runs, got other files there"):
        bench(table, tmp_path / "data", **options)
    assert (everything(tmp_path / "data"), work) == (before, [])


_READ_ONLY = """
import sys
from llmrouterbench import bench
bench(sys.argv[1], sys.argv[2], seeds=[1], routers=["best_single"], jobs=1)
"""


def test_read_only_places(tmp_path: Path, table: Outcomes) -> None:
    """Outcomes may be read-only; where runs go it is said before any work."""
    place = tmp_path / "place"
    write_outcomes(table, place / "data")
    command = [sys.executable, "-c", _READ_ONLY, str(place / "data")]
    locked = [
        "unshare",
        "-m",
        "sh",
        "-c",
        f'mount --bind {place} {place} && mount -o remount,ro,bind {place} && "$@"',
        "-",
    ]
    if subprocess.run([*locked, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no folder can be made read-only here")
    refused = subprocess.run([*locked, *command, str(place / "new" / "runs")], capture_output=True, check=False)
    assert b"must be a folder to write runs to, got" in refused.stderr, refused.stderr
    assert [path.name for path in place.iterdir()] == ["data"]
    subprocess.run([*locked, *command, str(tmp_path / "runs")], check=True)
    assert load_runs(tmp_path / "runs").seeds == [1]


def test_a_mounted_volume_becomes_a_folder_of_runs(tmp_path: Path, table: Outcomes) -> None:
    """It can be neither renamed nor replaced, and nothing can be made beside it."""
    (tmp_path / "place" / "volume").mkdir(parents=True)
    write_outcomes(table, tmp_path / "data")
    place, volume = tmp_path / "place", tmp_path / "place" / "volume"
    mounts = f"mount --bind {place} {place} && mount -o remount,ro,bind {place} && mount -t tmpfs none {volume}"
    inside = ["unshare", "-m", "sh", "-c", f'{mounts} && "$@" && ls {volume}', "-"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    command = [sys.executable, "-c", _READ_ONLY, str(tmp_path / "data"), str(volume)]
    done = subprocess.run([*inside, *command], capture_output=True, check=False)
    assert done.stdout.split() == [b"decisions", b"outcomes", b"runs.json", b"splits"], done.stderr


def test_an_empty_folder_and_a_link_to_one_become_folders_of_runs(tmp_path: Path, table: Outcomes) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    (tmp_path / "dangling").symlink_to(tmp_path / "later")
    for name in ("link", "dangling"):
        assert bench(table, tmp_path / name, **OTHER_RULES).seeds == [7]
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "empty" / "runs.json").is_file()
    assert (tmp_path / "later" / "runs.json").is_file()


@pytest.fixture
def undecided(tmp_path: Path) -> Path:
    """What a first bench of version 0.1.0 left where nothing was decided: rules that blocked the next one."""
    archive = Path(__file__).parent / "old" / "0.1.0.tar.xz"
    with tarfile.open(archive) as whole:
        members = [one for one in whole if one.name.removeprefix("./").startswith("runs/")]
        whole.extractall(tmp_path, members=members, filter="data")
    shutil.rmtree(tmp_path / "runs" / "decisions")
    return tmp_path / "runs"


def test_rules_by_which_nothing_was_decided_bind_nobody(undecided: Path, table: Outcomes) -> None:
    (undecided / "notes.txt").write_text("mine")
    assert load_runs(undecided).seeds == [42, 999]
    runs = bench(table, undecided, **OTHER_RULES)
    assert (runs.routers, runs.seeds, runs.made.data_hash) == (["best_single"], [7], table.content_hash)
    assert (undecided / "notes.txt").read_text() == "mine"


# --- what is stopped goes on -----------------------------------------------------------------------------------------

ROUTERS = ["best_single", "knn:k=3", "avengers:k=4"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, table: Outcomes) -> Runs:
    return bench(table, tmp_path_factory.mktemp("whole") / "r", routers=ROUTERS, seeds=[1, 2, 3], jobs=1)


@pytest.mark.parametrize("done", [1, 2, 3, 4, 5, 7, 8])
def test_a_bench_that_was_stopped_is_reported_and_goes_on(
    done: int, tmp_path: Path, table: Outcomes, whole: Runs
) -> None:
    options: dict[str, Any] = {"routers": ROUTERS, "jobs": 1}
    with pytest.raises(KeyboardInterrupt):
        bench(table, tmp_path / "r", seeds=[1, 2, 3], progress=stop_at("routing", done), **options)
    runs = load_runs(tmp_path / "r")
    assert len(runs.decisions) == done
    board = report(tmp_path / "r", samples=20)
    complete = {row.name for row in board.of_kind("router")}
    expected = {1: (1, 1), 2: (2, 1), 3: (3, 1), 4: (3, 1), 5: (2, 2), 7: (3, 2), 8: (2, 3)}[done]
    assert (len(complete), len(runs.seeds)) == expected
    said = str(board.notes)
    for label, seed in runs.missing:
        assert f"{label} has no decisions for seed {seed}" in said
    assert all(f"{seed}" in said.partition("The bench was not finished: seed")[2] for seed in runs.seeds_left_out)

    fewer = bench(table, tmp_path / "r", seeds=[1], **options)
    assert set(fewer.routers) == set(ROUTERS)
    assert {(router, 1) for router in ROUTERS} <= set(fewer.decisions)
    one = leaderboard(fewer.of_seeds([1]), samples=20)
    assert {row.name: row.avg_acc for row in one.rows} == {
        row.name: row.avg_acc for row in leaderboard(whole.of_seeds([1]), samples=20).rows
    }
    again = bench(table, tmp_path / "r", seeds=[1, 2, 3], **options)
    assert sorted(again.decisions) == sorted(whole.decisions)
    for pair, decided in whole.decisions.items():
        assert again.decisions[pair].facts["key"] == decided.facts["key"]
        for part, served in decided.parts.items():
            np.testing.assert_array_equal(served.model, again.decisions[pair].parts[part].model)
    assert (again.seeds, again.missing, again.seeds_left_out) == ([1, 2, 3], [], [])


def test_what_was_asked_for_and_given_up_is_not_missed(tmp_path: Path, table: Outcomes) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench(table, tmp_path / "r", routers=ROUTERS, seeds=[1, 2, 3], jobs=1, progress=stop_at("routing", 2))
    asked = read_json(tmp_path / "r" / "runs.json")
    assert ([one["label"] for one in asked["routers"]], asked["seeds"]) == (ROUTERS, [1, 2, 3])
    runs = bench(table, tmp_path / "r", routers=ROUTERS[:2], seeds=[1], jobs=1)
    assert (runs.routers, runs.made.seeds, runs.missing) == (ROUTERS[:2], (1,), [])


def test_a_damaged_file_of_decisions_is_decided_again(tmp_path: Path, table: Outcomes) -> None:
    options: dict[str, Any] = {"routers": ROUTERS[:2], "seeds": [1], "jobs": 1}
    bench(table, tmp_path / "r", **options)
    path = tmp_path / "r" / "decisions" / "best_single" / "1.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="must hold decisions, got a damaged file; run the bench again"):
        load_runs(tmp_path / "r")
    assert bench(table, tmp_path / "r", **options).missing == []


def test_nothing_is_written_where_all_is_decided(tmp_path: Path, table: Outcomes) -> None:
    bench(table, tmp_path / "r", **OTHER_RULES)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "r").rglob("*")}
    bench(table, tmp_path / "r", **OTHER_RULES)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "r").rglob("*")} == before


_AT_ONCE = """
import sys
from llmrouterbench import bench, simulate
bench(simulate("performance-cost", scale=0.01), sys.argv[1], routers=[sys.argv[2]], seeds=[1], jobs=1)
"""


@pytest.mark.slow
def test_two_benches_at_once_make_one_folder(tmp_path: Path) -> None:
    routers = ["best_single", "knn:k=3", "task_soft"]
    command = [sys.executable, "-c", _AT_ONCE, str(tmp_path / "r")]
    running = [subprocess.Popen([*command, router]) for router in routers]
    assert [process.wait() for process in running] == [0, 0, 0]
    runs = load_runs(tmp_path / "r")
    assert sorted(runs.decisions) == [(router, 1) for router in sorted(routers)]
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


# --- workers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("error", "raised", "sentence"),
    [
        (ValueError, ValueError, "router 'bad', seed [12]: I cannot learn from this"),
        (ImportError, ImportError, "router 'bad', seed [12]: I cannot learn from this"),
        (ZeroDivisionError, RuntimeError, "router 'bad', seed [12]: ZeroDivisionError: I cannot learn from this"),
    ],
)
def test_a_router_that_raises_names_itself_and_the_seed(
    error: type[Exception], raised: type[Exception], sentence: str, jobs: int, tmp_path: Path, table: Outcomes
) -> None:
    with pytest.raises(raised, match=rf"^{sentence}(\n|$)") as caught:
        bench(table, tmp_path / "r", routers={"bad": Failing(error)}, seeds=[1, 2], jobs=jobs)
    if jobs == 1:
        assert isinstance(caught.value.__cause__, error)
    else:
        assert "in fit" in "".join(getattr(caught.value, "__notes__", [])), "where it was raised, for who mends it"


def test_a_worker_that_dies_is_a_sentence_and_what_is_done_is_kept(tmp_path: Path, table: Outcomes) -> None:
    from llmrouterbench.routers import make_router

    routers = {"good": make_router("best_single"), "bad": Killed()}
    with pytest.raises(ChildProcessError, match=r"a worker of backend 'loky' was lost, .*; what was finished is kept"):
        bench(table, tmp_path / "r", routers=routers, seeds=[1, 2], jobs=2)
    runs = bench(table, tmp_path / "r", routers=["best_single"], seeds=[1, 2], jobs=2)
    assert runs.seeds == [1, 2]
