"""The leaderboard: a worked example, an independent recomputation, and what the report says in hard cases."""

import csv
import html
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from llmrouterbench.benching.folder import FORMAT, SCHEMA, Decisions, Runs, Served, load_runs
from llmrouterbench.benching.replay import avg_lead
from llmrouterbench.files import read_json, write_json
from llmrouterbench.metrics import perf_gain
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.leaderboard import against, leaderboard
from llmrouterbench.reporting.render import leaderboard_csv, markdown, render
from llmrouterbench.reporting.report import report
from llmrouterbench.reporting.verdict import headline
from llmrouterbench.splits import Split, save_split
from llmrouterbench.stats import Interval, Sample
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes

Choice = Sequence[Sequence[int]]
"""Model (points, n) chosen for every query of the table; a part of it becomes the part of a seed."""


def rows_of(*rows: int) -> np.typing.NDArray[np.int64]:
    return np.array(rows, dtype=np.int64)


def decisions_of(label: str, seed: int, choice: Choice, validation: Sequence[int], test: Sequence[int]) -> Decisions:
    table = np.array(choice, dtype=np.int64)
    parts = {
        name: Served.single(rows_of(*rows), table[:, list(rows)])
        for name, rows in (("validation", validation), ("test", test))
    }
    weights = np.arange(len(table), dtype=np.float64)
    return Decisions(label, seed, weights, {"validation": parts["validation"], "test": parts["test"]})


def write_runs(
    folder: Path,
    outcomes: Outcomes,
    tests: Mapping[int, Sequence[int]],
    validation: Mapping[int, Sequence[int]],
    routers: Mapping[str, Choice],
    **facts: Any,
) -> Path:
    """A folder of runs as the bench leaves it: each router has its choices for every query."""
    write_outcomes(outcomes, folder / "outcomes", texts=False)
    for seed, test in tests.items():
        train = [row for row in range(len(outcomes)) if row not in test]
        save_split(Split(rows_of(*train), rows_of(*test), {}), outcomes, folder / "splits" / f"{seed}.json")
        for label, choice in routers.items():
            made = decisions_of(label, seed, choice, validation[seed], test)
            made.save(folder / "decisions" / label / f"{seed}.parquet")
    known = {
        "format": FORMAT, "schema": SCHEMA, "data_hash": outcomes.content_hash, "seeds": list(tests),
        "routers": [{"label": label, "class": "test:Router", "settings": {}} for label in routers],
        "reference": None, "setting": None, "split": {"kind": "paper", "ratio": 0.7, "held_out": []},
        "validation_share": 0.2, "simulated": outcomes.simulated, "versions": {}, "embedder": {},
    }  # fmt: skip
    write_json(folder / "runs.json", known | facts)
    return folder


SMALL, LARGE = 0, 1
SCORE = [[1, 1], [0, 1], [1, 0], [1, 1], [0, 1], [0, 1], [1, 1], [0, 0]]
TESTS = {1: [0, 1, 4, 5], 2: [1, 2, 5, 6]}
VALIDATION = {1: [3, 7], 2: [0, 4]}
DIAL = [[SMALL, LARGE, SMALL, LARGE, LARGE, LARGE, LARGE, LARGE], [SMALL] * 8]


def tiny(score: Any = SCORE, cost: Any = ((1.0, 3.0),) * 8, **more: Any) -> Outcomes:
    """Datasets a and b of four queries each, a small model for one dollar and a large one for three."""
    names = ["a"] * 4 + ["b"] * 4
    return Outcomes.of(
        [f"q{i}" for i in range(len(score))], ["small", "large"], score, dataset=names, cost=cost, **more
    )


@pytest.fixture
def worked(tmp_path: Path) -> Path:
    routers = {"dial": DIAL, "best_single": [[LARGE] * 8]}
    return write_runs(tmp_path / "runs", tiny(), TESTS, VALIDATION, routers)


def board_of(folder: Path, **settings: Any) -> Leaderboard:
    return leaderboard(load_runs(folder), samples=50, **settings)


def test_a_notebook_shows_the_verdict_and_the_routers_and_runs_nothing(worked: Path) -> None:
    router, board = "<img src=x onerror=alert(1)>", board_of(worked)
    board = replace(board, rows=tuple(replace(row, name=router) if row.name == "dial" else row for row in board.rows))
    assert board.verdict is not None
    shown = board._repr_html_()
    assert f"<td>{html.escape(router)}</td>" in shown
    assert router not in shown
    assert html.escape(headline(board.verdict)) in shown
    assert shown.count("<tr>") == 1 + len(board.of_kind("router"))


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-12, nan_ok=True)


def test_worked_example_models_and_references(worked: Path) -> None:
    """Test rows are (q0 q1 | q4 q5) and (q1 q2 | q5 q6); every number below is counted by hand."""
    board = board_of(worked)
    small, large, random, oracle = (board[name] for name in ("small", "large", "Random", "Oracle"))
    assert (small.accuracy, small.avg_acc.value, small.cost.value) == ((0.5, 0.25), 0.375, 4.0)
    assert (large.accuracy, large.avg_acc.value, large.cost.value) == ((0.75, 1.0), 0.875, 12.0)
    assert (random.accuracy, random.cost.value) == ((0.625, 0.625), 8.0)
    # q0 and q6 are solved by both: the small one serves. Seed 1: 1 + 3 + 3 + 3, seed 2: 3 + 1 + 3 + 1.
    assert (oracle.accuracy, oracle.cost.value) == ((1.0, 1.0), 9.0)
    # Seed means: large on both. Per seed: in seed 2 dataset a is a draw, and the first model, small, takes it.
    assert board["Dataset Oracle (seed means)"].cost.value == 12.0
    assert (board["Dataset Oracle (per seed)"].avg_acc.value, board["Dataset Oracle (per seed)"].cost.value) == (
        0.875,
        10.0,
    )
    assert board["Best Single"].avg_acc == large.avg_acc
    assert board.base == "large"
    assert small.cost_save is None, "small is cheaper but worse"


def test_worked_example_router_with_a_dial(worked: Path) -> None:
    """Validation takes point 1 in seed 1 (a draw, cheaper) and point 0 in seed 2; both also reach the base there."""
    row = board_of(worked)["dial"]
    assert row.accuracy == ((0.5 + 1.0) / 2, (0.0 + 1.0) / 2)
    assert row.usd == ((2 + 4) / 2, (2 + 6) / 2)
    assert row.avg_acc.value == near(0.625)
    assert row.avg_acc_std == near(float(np.std([0.25, 1.0], ddof=1)))
    assert row.cost.value == near(7.0)
    assert row.difference.value == near(0.625 - 0.875)
    assert row.gain_r.value == near((0.75 / 0.625 + 0.5 / 0.625) / 2 - 1)
    assert row.gain_b.value == near((0.75 / 0.75 + 0.5 / 1.0) / 2 - 1)
    assert row.gap_o.value == near(1 - (0.75 + 0.5) / 2)
    assert row.recovered.value == near((0.625 - 0.875) / (1 - 0.875))
    assert row.perf_gain.value == near(0.625 / 0.875 - 1)
    assert row.cost_save is not None
    assert row.cost_save.value == near(1 - 7 / 12)
    assert row.saver_difference is not None
    assert row.saver_difference.value == near(-0.25)
    assert (row.saver_seeds, row.points, row.unmeasured, row.unknown_cost) == (2, 2, 0, 0)
    assert row.half_difference is not None
    assert row.half_save is not None
    assert (row.half_difference.value, row.half_save.value) == (near(0.375 - 0.875), near(1 - 4 / 12)), "point 1: small"
    assert row.point_error > 0.03
    assert (board_of(worked)["best_single"].half_difference, board_of(worked)["large"].half_save) == (None, None)


def test_worked_example_hindsight_and_pareto(worked: Path) -> None:
    """On test, point 0 has AvgAcc 1 for 10 dollars and point 1 what small has; the base has 0.875 for 12."""
    board = board_of(worked)
    dial, best = board["dial"], board["best_single"]
    assert dial.hindsight_perf_gain == near(perf_gain([1.0, 0.375], 0.875))
    assert dial.hindsight_cost_save == near(1 - 10 / 12)
    assert dial.pareto_dist == 0.0
    assert best.pareto_dist == near((1.0 - 0.875) / (1.0 - 0.375) + (12 - 10) / (12 - 4))
    assert [(p.name, p.index, p.avg_acc, p.cost) for p in board.points if p.on_frontier] == [
        ("small", 0, 0.375, 4.0), ("dial", 0, 1.0, 10.0), ("dial", 1, 0.375, 4.0),
    ]  # fmt: skip


def test_order_of_rows_and_verdicts(worked: Path) -> None:
    board = board_of(worked)
    assert [row.name for row in board.rows] == [
        "best_single", "dial", "Random", "Best Single", "Dataset Oracle (seed means)", "Dataset Oracle (per seed)",
        "Oracle", "large", "small",
    ]  # fmt: skip
    assert board["best_single"].verdict == ""
    assert board["Best Single"].verdict == "the same as best_single"
    assert board["Best Single"].difference == Interval(0.0, 0.0, 0.0)
    assert board["dial"].verdict == "not distinguishable from best_single"
    assert any("Not distinguishable from best_single" in note and "dial" in note for note in board.notes)
    with pytest.raises(KeyError, match="no row named 'knn'"):
        board["knn"]
    assert against(Interval(0.1, 0.05, 0.2), "x") == "better than x"
    assert against(Interval(-0.1, -0.2, -0.05), "x") == "worse than x"
    assert against(Interval(0.1, float("nan"), float("nan")), "x") == "too few queries to compare with x"
    assert against(Interval(float("nan"), float("nan"), float("nan")), "x") == "not comparable with x"


def test_a_point_is_left_only_for_a_lead_of_a_standard_error() -> None:
    """Forty validation queries; point 0 is quality. One query more is luck, ten more are none."""
    base = np.repeat([1.0, 0.0], 20)
    lucky, better = base.copy(), base.copy()
    lucky[20] = 1.0
    better[20:30] = 1.0
    score = np.stack([base, lucky, better, base], axis=1)
    lead, error = avg_lead(Sample(np.full(40, "a"), np.arange(40), score, score), 0)
    assert (lead > error + 1e-12).tolist() == [False, False, True, False]
    assert lead.tolist() == pytest.approx([0.0, 0.025, 0.25, 0.0])


def test_best_single_in_hindsight_or_the_reference_of_the_setting(worked: Path, tmp_path: Path) -> None:
    facts = json.loads((worked / "runs.json").read_text())
    write_json(worked / "runs.json", facts | {"reference": "small"})
    board = board_of(worked)
    assert board.base == "small"
    assert board["dial"].perf_gain.value == near(0.625 / 0.375 - 1)
    assert "the reference of the setting; the most accurate model on the test part is large" in " ".join(board.notes)
    write_json(worked / "runs.json", facts | {"reference": "gpt-9"})
    board = board_of(worked)
    assert board.base == "large"
    assert "reference gpt-9 is not in these outcomes" in " ".join(board.notes)
    alone = write_runs(tmp_path / "alone", tiny(), TESTS, VALIDATION, {"dial": DIAL})
    board = board_of(alone)
    assert board.baseline == "Best Single"
    assert "best_single was not run" in " ".join(board.notes)


def test_cost_save_serves_best_single_where_no_point_qualifies(tmp_path: Path) -> None:
    """Always small reaches large on validation of seed 1 (a draw) and not of seed 2."""
    routers = {"weak": [[SMALL] * 8, [SMALL] * 8], "never": [[SMALL] * 8, [SMALL] * 8]}
    folder = write_runs(tmp_path / "runs", tiny(), TESTS, VALIDATION, routers)
    board = board_of(folder)
    row = board["weak"]
    assert row.saver_seeds == 1
    assert row.cost_save is not None
    assert row.cost_save.value == near(1 - ((4 + 12) / 2) / 12)
    assert (
        "weak reaches Best Single on unseen training queries in 1 of 2 seeds; Best Single serves in the others."
        in board.notes
    )
    hard = write_runs(tmp_path / "hard", tiny(), TESTS, {1: [4], 2: [4]}, routers)
    board = board_of(hard)
    assert board["weak"].cost_save is None
    assert "none" in markdown(board)


# ---- an independent recomputation


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Three datasets, four models, three seeds, with holes in scores and costs, copies, and a dial of five points."""
    rng = np.random.default_rng(0)
    n, m = 60, 4
    score = rng.integers(0, 3, (n, m)) / 2.0
    score[rng.random((n, m)) < 0.05] = np.nan
    cost = rng.random((n, m))
    cost[rng.random((n, m)) < 0.05] = np.nan
    outcomes = Outcomes.of(
        [f"q{i % 55}" for i in range(n)], [f"m{j}" for j in range(m)], score,
        dataset=[("x", "y", "z")[i % 3] for i in range(n)], cost=cost, simulated=True,
    )  # fmt: skip
    order = {seed: rng.permutation(n) for seed in (42, 999, 7)}
    tests = {seed: sorted(rows[:20].tolist()) for seed, rows in order.items()}
    validation = {seed: sorted(rows[20:35].tolist()) for seed, rows in order.items()}
    routers = {
        "best_single": [[0] * n],
        "twin": [[0] * n],
        "sweep": rng.integers(0, m, (5, n)).tolist(),
    }
    return write_runs(tmp_path / "mixed", outcomes, tests, validation, routers, setting="performance")


def mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def loop_numbers(
    runs: Runs, seed: int, rows: Sequence[int], serve: Mapping[int, int]
) -> tuple[dict[str, float], dict[str, float]]:
    """Accuracy and cost by dataset when `serve[row]` answers, in plain loops."""
    acc, usd = {}, {}
    for name in ("x", "y", "z"):
        mine = [row for row in rows if runs.outcomes.dataset[row] == name]
        acc[name] = mean([float(runs.outcomes.score[row, serve[row]]) for row in mine])
        usd[name] = mean([float(runs.outcomes.cost[row, serve[row]]) for row in mine]) * len(mine)
    return acc, usd


def test_avg_acc_and_cost_of_a_router_recomputed_with_plain_loops(mixed: Path) -> None:
    runs = load_runs(mixed)
    by_seed: list[tuple[dict[str, float], dict[str, float]]] = []
    for seed in runs.seeds:
        decisions = runs.decisions["sweep", seed]
        tried = []
        for point in range(5):
            part = decisions.parts["validation"]
            serve = {
                int(part.rows[q]): int(m)
                for p, q, m in zip(part.point, part.query, part.model, strict=True)
                if p == point
            }
            acc, usd = loop_numbers(runs, seed, list(serve), serve)
            tried.append((-round(mean(list(acc.values())), 12), sum(usd.values()), point))
        chosen = min(tried)[2]
        part = decisions.parts["test"]
        serve = {
            int(part.rows[q]): int(m) for p, q, m in zip(part.point, part.query, part.model, strict=True) if p == chosen
        }
        by_seed.append(loop_numbers(runs, seed, runs.splits[seed].test.tolist(), serve))
    board = leaderboard(runs, samples=20)
    row = board["sweep"]
    for i, name in enumerate(board.datasets):
        assert row.accuracy[i] == near(mean([acc[name] for acc, _ in by_seed]))
        assert row.usd[i] == near(mean([usd[name] for _, usd in by_seed]))
    assert row.avg_acc.value == near(mean([mean([acc[name] for acc, _ in by_seed]) for name in board.datasets]))
    assert row.avg_acc_std == near(float(np.std([mean(list(acc.values())) for acc, _ in by_seed], ddof=1)))
    assert row.unmeasured > 0
    assert row.avg_acc.low < row.avg_acc.value < row.avg_acc.high


def test_equal_decisions_make_equal_rows(mixed: Path) -> None:
    board = board_of(mixed)
    twin, best = board["twin"], board["best_single"]
    assert twin.difference == Interval(0.0, 0.0, 0.0)
    assert twin.verdict == "the same as best_single"
    assert (twin.avg_acc, twin.cost, twin.gain_r) == (best.avg_acc, best.cost, best.gain_r)


def test_same_folder_same_numbers(mixed: Path) -> None:
    first, again = board_of(mixed).to_dict(), board_of(mixed).to_dict()
    assert json.dumps(first) == json.dumps(again)
    assert board_of(mixed, seed=1)["sweep"].avg_acc.low != board_of(mixed)["sweep"].avg_acc.low


def test_no_row_beats_the_oracle(mixed: Path) -> None:
    board = board_of(mixed)
    top = board["Oracle"].avg_acc.value
    assert all(row.avg_acc.value <= top + 1e-12 for row in board.rows)
    assert board["Dataset Oracle (per seed)"].avg_acc.value >= board["Dataset Oracle (seed means)"].avg_acc.value


def test_ties_count_as_wins_when_asked(mixed: Path) -> None:
    plain, wins = board_of(mixed), board_of(mixed, ties_win=True)
    score = load_runs(mixed).outcomes.score
    assert wins["m1"].avg_acc.value > plain["m1"].avg_acc.value
    assert "Every positive score counts as 1 (ties_win)." in wins.notes
    assert wins.facts["data_hash"] == plain.facts["data_hash"]
    assert 0.5 in score, "the stored outcomes stay as they are"


# ---- hard cases


def test_missing_dataset_is_compared_like_for_like(tmp_path: Path) -> None:
    score = [[float(value) for value in row] for row in SCORE]
    for row in range(4, 8):
        score[row][SMALL] = float("nan")
    outcomes = tiny(score)
    folder = write_runs(tmp_path / "runs", outcomes, TESTS, VALIDATION, {"best_single": [[LARGE] * 8]})
    board = board_of(folder)
    small = board["small"]
    assert small.accuracy[0] == 0.5
    assert np.isnan(small.accuracy[1])
    assert small.avg_acc.value == 0.5
    assert small.difference.value == near(0.5 - 0.75), "only dataset a counts"
    assert small.gain_b.value == near(0.5 / 0.75 - 1)
    assert small.cost.value == 2.0
    assert "small has no measured score on b: its AvgAcc and cost are over 1 of 2 datasets" in " ".join(board.notes)
    assert {point.name for point in board.points} == {"large", "best_single"}


def test_costs_that_nobody_knows_have_no_columns(tmp_path: Path) -> None:
    routers = {"dial": DIAL, "best_single": [[LARGE] * 8]}
    folder = write_runs(tmp_path / "runs", tiny(cost=None), TESTS, VALIDATION, routers)
    (folder / "report").mkdir()
    (folder / "report" / "pareto.png").write_bytes(b"of an earlier report")
    board = report(folder, samples=20)
    assert not board.priced
    assert board["dial"].cost_save is None
    assert sorted(path.name for path in (folder / "report").iterdir()) == [
        "index.html", "leaderboard.csv", "leaderboard.md", "per_dataset_accuracy.csv", "report.json",
    ]  # fmt: skip
    text = (folder / "report" / "leaderboard.md").read_text()
    assert "USD" not in text
    assert "CostSave |" not in text
    assert "No cost is known in these outcomes" in text
    assert "cost" not in (folder / "report" / "leaderboard.csv").read_text().splitlines()[0]


def test_unpriced_model_is_not_a_free_model(tmp_path: Path) -> None:
    outcomes = tiny(cost=[[float("nan"), 3.0]] * 8)
    folder = write_runs(tmp_path / "runs", outcomes, TESTS, VALIDATION, {"dial": DIAL, "best_single": [[LARGE] * 8]})
    board = board_of(folder)
    assert np.isnan(board["small"].cost.value)
    assert np.isnan(board["Random"].cost.value)
    assert board["dial"].unknown_cost > 0
    notes = " ".join(board.notes)
    assert "Unpriced, not free: no cost is known on some dataset for small" in notes
    assert f"dial {board['dial'].unknown_cost} of 8 (" in notes
    assert "unknown" in markdown(board)


def test_router_that_lacks_a_seed_is_left_out_and_named(worked: Path) -> None:
    (worked / "decisions" / "dial" / "2.parquet").unlink()
    board = board_of(worked)
    assert "dial" not in {row.name for row in board.rows}
    assert board.facts["missing"] == [["dial", 2]]
    assert any(note.startswith("dial has no decisions for seed 2") for note in board.notes)


def test_decisions_about_other_queries_are_refused(worked: Path) -> None:
    decisions_of("dial", 2, DIAL, [0, 4], [1, 2, 5, 7]).save(worked / "decisions" / "dial" / "2.parquet")
    with pytest.raises(ValueError, match="router 'dial', seed 2, must be about the 4 test queries"):
        board_of(worked)


def test_dial_without_validation_is_refused(worked: Path) -> None:
    decisions_of("dial", 2, DIAL, [], [1, 2, 5, 6]).save(worked / "decisions" / "dial" / "2.parquet")
    with pytest.raises(ValueError, match="router 'dial' has 2 operating points and needs validation decisions"):
        board_of(worked)


def test_dial_with_another_length_in_another_seed_is_refused(worked: Path) -> None:
    decisions_of("dial", 2, [*DIAL, DIAL[0]], [0, 4], [1, 2, 5, 6]).save(worked / "decisions" / "dial" / "2.parquet")
    with pytest.raises(ValueError, match=r"as many operating points in every seed, got \[2, 3\]"):
        board_of(worked)


def test_query_that_nothing_was_served_on_is_missing_not_wrong(worked: Path) -> None:
    made = decisions_of("best_single", 2, [[LARGE] * 8], [0, 4], [1, 2, 5, 6])
    part = made.parts["test"]
    keep = part.query != 1  # q2, which the large model gets wrong
    cut = Served(part.rows, *(getattr(part, name)[keep] for name in ("point", "query", "model", "served", "called")))
    replace(made, parts={**made.parts, "test": cut}).save(worked / "decisions" / "best_single" / "2.parquet")
    row = board_of(worked)["best_single"]
    assert row.accuracy == (1.0, 1.0)
    assert row.unmeasured == 1


def test_probabilities_are_served_in_expectation(worked: Path) -> None:
    """Half small, half large, called both: the mean score, the whole cost."""
    for seed, test in TESTS.items():
        half = np.full((4, 2), 0.5)
        part = Served.dense(rows_of(*test), half, np.ones((4, 2)))
        nothing = Served.single(rows_of(), np.zeros((1, 0), dtype=np.int64))
        made = Decisions("best_single", seed, np.zeros(1), {"validation": nothing, "test": part})
        made.save(worked / "decisions" / "best_single" / f"{seed}.parquet")
    board = board_of(worked)
    assert board["best_single"].accuracy == board["Random"].accuracy
    assert board["best_single"].cost.value == 16.0


def test_notes_on_one_seed_held_out_data_and_cut_texts(tmp_path: Path) -> None:
    split = {"kind": "safe", "ratio": 0.7, "held_out": ["b"]}
    folder = write_runs(
        tmp_path / "runs", tiny(), {1: TESTS[1]}, {1: VALIDATION[1]}, {"best_single": [[SMALL] * 8]},
        split=split, embedder={"name": "minilm", "truncated": 3},
    )  # fmt: skip
    notes = " ".join(board_of(folder).notes)
    assert "There is one seed" in notes
    assert "Held out of train (out of distribution): b." in notes
    assert "The embedder cut 3 texts" in notes


# ---- the report


@pytest.fixture
def written(mixed: Path) -> tuple[Leaderboard, Path]:
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    return report(mixed, mixed / "out", samples=30), mixed / "out"


def test_report_writes_whole_files_only(written: tuple[Leaderboard, Path]) -> None:
    _, folder = written
    assert sorted(path.name for path in folder.iterdir()) == [
        "index.html", "leaderboard.csv", "leaderboard.md", "pareto.png", "pareto.svg", "per_dataset_accuracy.csv",
        "per_dataset_cost.csv", "report.json",
    ]  # fmt: skip
    assert (folder / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (folder / "pareto.svg").read_bytes()


def test_every_table_and_file_of_simulated_data_says_so(written: tuple[Leaderboard, Path]) -> None:
    board, folder = written
    headings = [line for line in (folder / "leaderboard.md").read_text().splitlines() if line.startswith("#")]
    tables = [line for line in headings if line not in ("## Notes", "## How this was made")]
    assert len(tables) > 6
    assert all("SIMULATED" in line for line in tables)
    for name in ("leaderboard.csv", "per_dataset_accuracy.csv", "per_dataset_cost.csv"):
        with (folder / name).open(newline="") as file:
            assert {line["simulated"] for line in csv.DictReader(file)} == {"True"}
    assert json.loads((folder / "report.json").read_text())["simulated"] is True
    assert board.notes[0].startswith("SIMULATED")
    for table in render(board):
        assert "SIMULATED" in str(table.title)


def test_real_data_do_not_say_simulated(worked: Path) -> None:
    board = board_of(worked)
    assert "SIMULATED" not in markdown(board)
    assert not any("SIMULATED" in str(table.title) for table in render(board))


def test_csv_and_json_hold_the_numbers_of_the_board(written: tuple[Leaderboard, Path]) -> None:
    board, folder = written
    with (folder / "leaderboard.csv").open(newline="") as file:
        lines = {(line["kind"], line["name"]): line for line in csv.DictReader(file)}
    row = board["sweep"]
    line = lines["router", "sweep"]
    assert float(line["avg_acc"]) == row.avg_acc.value
    assert (float(line["cost_low"]), float(line["cost_high"])) == (row.cost.low, row.cost.high)
    assert line["verdict"] == row.verdict
    assert len(lines) == len(board.rows)
    raw = json.loads((folder / "report.json").read_text())
    assert raw["format"] == "llmrouterbench/report"
    assert next(r for r in raw["rows"] if r["name"] == "sweep")["avg_acc"]["value"] == row.avg_acc.value
    assert raw["facts"]["data_hash"] == board.facts["data_hash"]
    assert next(p for p in raw["points"] if p["kind"] == "model")["weight"] is None, "NaN is null"


def test_per_dataset_tables_add_up(written: tuple[Leaderboard, Path]) -> None:
    board, folder = written
    for name, last, combine in (("accuracy", "AvgAcc", mean), ("cost", "Total", sum)):
        with (folder / f"per_dataset_{name}.csv").open(newline="") as file:
            for line in csv.DictReader(file):
                cells = [float(line[dataset] or "nan") for dataset in board.datasets]
                assert float(line[last] or "nan") == near(combine(cells)), line["name"]


def test_markdown_shows_percent_and_marks(worked: Path) -> None:
    text = markdown(board_of(worked))
    line = next(line for line in text.splitlines() if line.startswith("| dial"))
    assert "62.50 [" in line
    assert "-25.0 [" in line
    assert "~" in line
    assert "7.00 [" in line
    assert max(len(line) for line in text.splitlines() if line.startswith("|")) < 150


def test_the_peak_has_a_column_under_the_papers_protocol_only(worked: Path) -> None:
    assert "peak" not in markdown(board_of(worked))
    assert "peak_on_test" not in leaderboard_csv(board_of(worked))
    write_json(worked / "runs.json", read_json(worked / "runs.json") | {"protocol": "paper"})
    board = board_of(worked)
    # Point 0 of the dial is right on every test query of both seeds; best_single has one point, and its AvgAcc.
    peaks = {row.name: row.peak_on_test for row in board.rows}
    assert {name: peak for name, peak in peaks.items() if peak is not None} == {"dial": 1.0, "best_single": 0.875}
    assert "| peak on test (paper protocol) |" in markdown(board)
    assert "leaves the checkpoints aside" in " ".join(board.notes)
    lines = {line["name"]: line for line in csv.DictReader(io.StringIO(leaderboard_csv(board)))}
    assert (lines["dial"]["peak_on_test"], lines["Oracle"]["peak_on_test"]) == ("1.0", "")
    assert json.loads(json.dumps(board.to_dict()))["rows"][0]["peak_on_test"] == peaks[board.rows[0].name]


def test_terminal_tables_fit_eighty_characters(mixed: Path) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    for table in render(board_of(mixed)):
        console.print(table)
    text = console.export_text()
    assert "best_single" in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())


def test_board_without_a_complete_router_still_has_its_references(worked: Path) -> None:
    for path in worked.glob("decisions/*/*.parquet"):
        path.unlink()
    board = board_of(worked)
    assert {row.kind for row in board.rows} == {"reference", "model"}
    assert "## References" in markdown(board)
    assert len(render(board)) == 1


def test_board_of_a_bench_that_was_stopped_has_what_is_there(worked: Path) -> None:
    """One router of two is done with the second seed: both stand on the first, and the second is named."""
    whole = board_of(worked)
    (worked / "decisions" / "dial" / "2.parquet").unlink()
    assert {row.name for row in board_of(worked).of_kind("router")} == {"best_single"}, "two decisions are as many"
    (worked / "decisions" / "best_single" / "2.parquet").unlink()
    board = board_of(worked)
    assert {row.name for row in board.of_kind("router")} == {row.name for row in whole.of_kind("router")}
    assert (board.facts["seeds"], board.facts["seeds_left_out"], board.facts["missing"]) == ([1], [2], [])
    assert "The bench was not finished: seed 2 is not reported; run the same bench to go on." in board.notes


def test_report_without_matplotlib_says_what_to_install(worked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    board = report(worked, samples=20)
    sentence = "figure needs matplotlib; pip install 'llmrouterbench[report]'"
    assert sentence in board.notes[-1]
    assert sentence in (worked / "report" / "leaderboard.md").read_text()
    assert not (worked / "report" / "pareto.png").exists()


def test_report_of_no_runs_says_where_runs_come_from(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make one with `llmrouterbench bench`"):
        report(tmp_path)


# ---- the figure


def test_figure_shows_frontier_models_and_routers(written: tuple[Leaderboard, Path]) -> None:
    from llmrouterbench.reporting.exhibits.figure08_pareto import board_picture

    board, _ = written
    figure = board_picture(board).figure
    axes = figure.axes[0]
    assert figure.get_suptitle().startswith("SIMULATED")
    legend = axes.get_legend()
    assert legend is not None
    assert {text.get_text().partition(" (")[0] for text in legend.get_texts()} == {
        "frontier of all points", "best_single", "twin", "sweep",
    }  # fmt: skip
    frontier = sorted((p.cost, 100 * p.avg_acc) for p in board.points if p.on_frontier)
    drawn = np.asarray(axes.lines[0].get_xydata())
    assert {tuple(point) for point in frontier} <= {tuple(point) for point in drawn.tolist()}
    assert axes.get_xscale() == "linear"


@pytest.mark.parametrize(("cost", "scale"), [([1.0, 300.0], "log"), ([0.0, 300.0], "linear"), ([1.0, 3.0], "linear")])
def test_cost_axis_is_logarithmic_only_over_a_wide_span(tmp_path: Path, cost: list[float], scale: str) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    from llmrouterbench.reporting.exhibits.figure08_pareto import board_picture

    routers = {"best_single": [[LARGE] * 8]}
    folder = write_runs(tmp_path / "runs", tiny(cost=[cost] * 8), TESTS, VALIDATION, routers)
    assert board_picture(board_of(folder)).figure.axes[0].get_xscale() == scale


def test_free_models_stand_on_a_logarithmic_axis_too(worked: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    from llmrouterbench.reporting.exhibits.figure08_pareto import board_picture

    board = board_of(worked)
    points = [replace(board.points[0], cost=cost) for cost in (0.0, 1.0, 50.0)]
    assert board_picture(replace(board, points=tuple(points))).figure.axes[0].get_xscale() == "symlog"
    with pytest.raises(ValueError, match="needs points with known costs"):
        board_picture(replace(board, points=()))


def test_figures_are_the_same_bytes_every_time(written: tuple[Leaderboard, Path]) -> None:
    from llmrouterbench.reporting.exhibits.figure08_pareto import pareto_files

    board, folder = written
    assert pareto_files(board)["pareto.svg"] == (folder / "pareto.svg").read_bytes()
