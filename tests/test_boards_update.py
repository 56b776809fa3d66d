"""Boards computed again: ranks, history, replaced and changed entries, the audit, and the same bytes everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from board_worlds import oracle, put, put_parts, world
from llmrouterbench.benching.folder import Served
from llmrouterbench.boards.audit import Audit, audit, expectations
from llmrouterbench.boards.folder import Board, init
from llmrouterbench.boards.standing import Standing, stand
from llmrouterbench.boards.submission import problem, published_digests, read_submission
from llmrouterbench.boards.update import update
from llmrouterbench.files import read_json
from llmrouterbench.metrics import avg_acc, dataset_means
from llmrouterbench.splits import near_duplicate_groups
from llmrouterbench.table import FloatArray, IntArray, Outcomes

SEEDS = (1, 2)
Chooses = Callable[[IntArray], IntArray]


@pytest.fixture(scope="module")
def table() -> Outcomes:
    return world(900, copies=40)


@pytest.fixture(scope="module")
def expected(table: Outcomes) -> FloatArray:
    return expectations(table, near_duplicate_groups(table))


def chooses(board: Board, how: Chooses) -> dict[int, IntArray]:
    return {seed: how(split.test) for seed, split in board.splits.items()}


def by_text(expected: FloatArray) -> Chooses:
    """An honest router that reads texts as well as our predictor."""
    return lambda rows: expected[rows].argmax(axis=1)


def leaking(table: Outcomes, expected: FloatArray, share: float) -> Chooses:
    """The same with a share of the labels."""
    return lambda rows: np.where(rows % 100 < 100 * share, oracle(table, rows), expected[rows].argmax(axis=1))


def audited(board: Board, full: Outcomes | None = None) -> Audit:
    names = sorted(path.name for path in (board.folder / "submissions").iterdir())
    entries = {name: read_submission(board, name) for name in names}
    return audit(board, full or board.outcomes, entries, {name: [0] * len(board.splits) for name in names})


def flags(found: Audit, name: str) -> set[str]:
    return {one.test for one in found.flagged(name)}


@pytest.fixture(scope="module")
def ranked(table: Outcomes, expected: FloatArray, tmp_path_factory: pytest.TempPathFactory) -> tuple[Standing, Path]:
    """A board with two honest entries, one that was replaced and one that cannot be."""
    board = init(tmp_path_factory.mktemp("ranked") / "board", table, seeds=SEEDS, title="A <small> board")
    put(board, "dear", chooses(board, lambda rows: np.full(len(rows), 3)), code=None)
    put(board, "texts", chooses(board, by_text(expected)), method="<script>alert(1)</script>")
    put(board, "old", chooses(board, lambda rows: rows % 4))
    put(board, "new", chooses(board, lambda rows: rows % 3), replaces="old")
    put(board, "bad", chooses(board, lambda rows: np.full(len(rows), 9)))
    return update(board.folder, samples=200), board.folder


@pytest.mark.slow
def test_numbers_are_those_of_the_outcomes(ranked: tuple[Standing, Path], table: Outcomes) -> None:
    standing, _ = ranked
    rows = standing.numbers.of_kind("router")
    assert {row.name for row in rows} == {"dear", "texts", "new"}
    acc, usd = [], []
    for split in standing.board.splits.values():
        acc.append(float(avg_acc(dataset_means(table.score[split.test, 3], table.dataset[split.test], table.datasets))))
        usd.append(float(table.cost[split.test, 3].sum()))
    assert standing.numbers["dear"].avg_acc.value == pytest.approx(np.mean(acc))
    assert standing.numbers["dear"].cost.value == pytest.approx(np.mean(usd))
    assert standing.refused == {"bad": standing.refused["bad"]}
    assert "choices must be models of the pool" in standing.refused["bad"]
    assert standing.replaced == {"old": "new"}


@pytest.mark.slow
def test_the_site_says_so(ranked: tuple[Standing, Path]) -> None:
    standing, folder = ranked
    site = folder / "site"
    front = (site / "index.html").read_text()
    assert "choices must be models of the pool" in front
    assert "A &lt;small&gt; board" in front
    pages = {name: (site / "entries" / f"{name}.html").read_text() for name in ("dear", "texts", "old", "new")}
    assert "<script>alert" not in "".join(pages.values())
    assert "Replaced by" in pages["old"]
    assert "closed" in pages["dear"]
    for name in pages:
        assert (site / "badges" / f"{name}.svg").read_text().startswith("<svg")
    numbers = read_json(site / "board.json")
    assert numbers["entries"]["dear"]["digest"] == standing.entries["dear"].digest
    assert [row["name"] for row in numbers["leaderboard"]["rows"]] == [row.name for row in standing.numbers.rows]


@pytest.mark.slow
def test_history_grows_where_something_is_new(table: Outcomes, tmp_path: Path) -> None:
    board = init(tmp_path / "board", table, seeds=SEEDS)
    put(board, "one", chooses(board, lambda rows: np.full(len(rows), 0)))
    assert update(board.folder, samples=50).moved == ["one came in at rank 1"]
    assert len(update(board.folder, samples=50).history) == 1, "nothing is new"
    put(board, "two", chooses(board, lambda rows: oracle(table, rows)))
    assert update(board.folder, samples=50).moved == ["two came in at rank 1", "one went from rank 1 to 2"]
    shutil.rmtree(board.folder / "submissions" / "one")
    put(board, "one", chooses(board, lambda rows: oracle(table, rows)))
    assert "must be those that were published, got others" in problem(board, "one", published_digests(board))
    shutil.rmtree(board.folder / "submissions" / "one")
    assert update(board.folder, samples=50).moved == ["one was taken away"]
    put(board, "one", chooses(board, lambda rows: oracle(table, rows)))
    assert "must be those that were published" in problem(board, "one", published_digests(board)), (
        "to take it away first does not help"
    )


def test_a_board_without_a_valid_submission_has_no_numbers(table: Outcomes, tmp_path: Path) -> None:
    board = init(tmp_path / "board", table, seeds=SEEDS)
    with pytest.raises(ValueError, match="must have a valid submission, got none"):
        stand(board)


_RUN = "import sys; from llmrouterbench.boards.update import update; update(sys.argv[1], samples=60)"


@pytest.mark.prove
def test_two_clones_make_the_same_bytes(ranked: tuple[Standing, Path], tmp_path: Path) -> None:
    _, folder = ranked
    made = []
    for name, hashes, threads, language in (("one", "1", "1", "C"), ("two", "77", "4", "de_DE.UTF-8")):
        clone = tmp_path / name / folder.name
        shutil.copytree(folder, clone)
        shutil.rmtree(clone / "site")
        counts = {f"{one}_NUM_THREADS": threads for one in ("OMP", "OPENBLAS", "MKL")}
        more = {"PYTHONHASHSEED": hashes, "LC_ALL": language, "POLARS_MAX_THREADS": threads, "TZ": f"UTC+{threads}"}
        subprocess.run([sys.executable, "-c", _RUN, str(clone)], check=True, env={**os.environ, **counts, **more})
        made.append({p.relative_to(clone).as_posix(): p.read_bytes() for p in sorted(clone.rglob("*")) if p.is_file()})
    assert made[0] == made[1]
    assert "site/index.html" in made[0]


@pytest.mark.slow
def test_leaks_are_flagged_and_honest_entries_are_not(table: Outcomes, expected: FloatArray, tmp_path: Path) -> None:
    board = init(tmp_path / "board", table, seeds=SEEDS)
    put(board, "texts", chooses(board, by_text(expected)))
    put(board, "cheap", chooses(board, lambda rows: np.zeros(len(rows), np.int64)))
    put(board, "by-number", chooses(board, lambda rows: rows % 4))
    put(board, "full", chooses(board, lambda rows: oracle(table, rows)))
    put(board, "noisy", chooses(board, leaking(table, expected, 0.5)))
    put(board, "better", chooses(board, leaking(table, expected, 0.55)), replaces="texts")
    found = audited(board)
    assert flags(found, "texts") == flags(found, "cheap") == flags(found, "by-number") == set()
    assert "labels" in flags(found, "full")
    assert "copies" in flags(found, "full")
    assert "labels" in flags(found, "noisy")
    assert "version" in flags(found, "better")
    for entry in found.findings.values():
        for one in entry:
            assert 0.0 <= one.p <= 1.0
            assert one.detectable > one.null or one.test == "twin"
    assert found.oracle > 0.2


@pytest.mark.slow
def test_the_least_leak_that_is_said_is_the_least_that_is_found(
    table: Outcomes, expected: FloatArray, tmp_path: Path
) -> None:
    board = init(tmp_path / "board", table, seeds=SEEDS)
    for percent in range(0, 100, 10):
        put(board, f"leak-{percent}", chooses(board, leaking(table, expected, percent / 100)))
    found = audited(board)
    for name, entry in found.findings.items():
        for one in entry:
            if one.test == "labels":
                assert (one.statistic > one.detectable) <= ("labels" in flags(found, name)), "found where it is larger"


@pytest.mark.slow
def test_twins_are_flagged_under_any_name(table: Outcomes, tmp_path: Path) -> None:
    board = init(tmp_path / "board", table, seeds=SEEDS)
    rng = np.random.default_rng(3)
    fixed = rng.integers(0, 4, len(table))
    put(board, "one", chooses(board, lambda rows: fixed[rows]))
    put(board, "two", chooses(board, lambda rows: fixed[rows]))
    put(board, "nearly", chooses(board, lambda rows: np.where(rows == rows[0], (fixed[rows] + 1) % 4, fixed[rows])))
    put(board, "other", chooses(board, lambda rows: rng.integers(0, 4, len(rows))))
    put(board, "flat", chooses(board, lambda rows: np.zeros(len(rows), np.int64)))
    put(board, "flat-too", chooses(board, lambda rows: np.zeros(len(rows), np.int64)))
    found = audited(board)
    assert {name for name in found.findings if "twin" in flags(found, name)} == {"one", "two", "nearly"}
    assert {one.about for one in found.flagged("one")} == {"two", "nearly"}


@pytest.mark.slow
def test_who_reads_replies_is_not_tested_for_labels(table: Outcomes, tmp_path: Path) -> None:
    board = init(tmp_path / "board", table, seeds=SEEDS)
    parts = {}
    for seed, split in board.splits.items():
        served, called = np.zeros((2, len(split.test), 4))
        right = table.score[split.test, 0] > 0
        served[np.arange(len(split.test)), np.where(right, 0, 3)] = 1.0
        called[:, 0] = 1.0
        called[~right, 3] = 1.0
        parts[seed] = Served.dense(split.test, served, called)
    put_parts(board, "cascade", parts)
    found = audited(board)
    assert found.reads_replies == ("cascade",)
    assert found.findings["cascade"] == ()


@pytest.mark.slow
def test_a_drop_between_what_is_open_and_what_is_held_out_is_flagged(
    table: Outcomes, expected: FloatArray, tmp_path: Path
) -> None:
    board = init(tmp_path / "board", table, seeds=SEEDS, held_out=0.4)
    known = np.where(np.isfinite(board.outcomes.score), board.outcomes.score, expected)
    put(board, "memory", chooses(board, lambda rows: known[rows].argmax(axis=1)))
    put(board, "texts", chooses(board, by_text(expected)))
    full = board.full(table)
    found = audited(board, full)
    assert flags(found, "memory") == {"held-out", "twin"}
    assert flags(found, "texts") == {"twin"}, "where nothing was to remember both are the same router"
    standing = stand(board, full, samples=50)
    row = standing.numbers["memory"]
    assert row.avg_acc.value < 0.75, "ranks are made of what is held out alone"
