"""A bench of logged data: routers learn from pseudo-outcomes, which judge them too; what no log tells is unknown."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Runs, judged_path, load_runs
from llmrouterbench.benching.replay import replay
from llmrouterbench.estimating.pseudo import PseudoOutcomes, teaching
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.reporting.report import full_report
from llmrouterbench.stats import Sample, effective_trials, pair
from llmrouterbench.studies.collapse import routing_collapse
from llmrouterbench.studies.hardness import hardness
from llmrouterbench.table import Outcomes
from test_fitting_logs import NAN, specialists


def benched(outcomes: Outcomes, out: Path, routers: str = "best_single,linear", **more: str) -> Runs:
    return bench(outcomes, out, routers=routers.split(","), seeds=[1, 2], jobs=1, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("log") / "runs"
    benched(specialists(600, 3), out)
    return out


@pytest.mark.prove
def test_a_leaderboard_of_a_log_holds_the_truth_and_no_oracle(folder: Path) -> None:
    board = leaderboard(load_runs(folder), samples=200)
    for name, truth in (("linear", 0.95), ("large", 0.75), ("small", 0.70), ("Random", 0.725)):
        assert board[name].avg_acc.low < truth < board[name].avg_acc.high, name
    assert board["linear"].difference.low > 0.1
    assert board["linear"].verdict == "better than best_single"
    assert np.isfinite(board["linear"].cost.value)
    for row in board.rows:
        if "Oracle" in row.name:
            assert np.isnan([row.avg_acc.value, row.cost.value, *row.accuracy]).all(), row.name
        assert np.isnan(row.gap_o.value)
        assert np.isnan(row.recovered.value)
    assert board.notes[0].startswith("Logged data: 600 queries, 2 models")
    assert "whoever chose saw nothing that the query does not show" in board.notes[1]


@pytest.mark.prove
def test_a_report_of_a_log_holds_what_is_knowable(folder: Path, tmp_path: Path) -> None:
    board, made = full_report(folder, tmp_path, samples=50)
    assert board.facts["log"]["kind"] == "logged"
    assert made is not None
    assert {"verdicts", "differences", "heatmap", "figure08_pareto"}.isdisjoint(made.left_out)
    assert "answered by one model" in made.left_out["figure05_hardness"]
    assert "table04_05_accuracy" in made.left_out
    page = (tmp_path / "index.html").read_text()
    assert "Logged data: 600 queries" in page
    assert "no single queries" in page
    assert "draft polite letter" not in page


@pytest.mark.prove
def test_a_bench_of_a_log_goes_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    table = specialists(600, 3)
    benched(table, tmp_path / "runs", "best_single")
    judged_path(tmp_path / "runs", 1).unlink()
    with pytest.raises(ValueError, match="cannot tell which router is best"):
        leaderboard(load_runs(tmp_path / "runs"), samples=5)
    later = benched(table, tmp_path / "runs")
    one, other = (replay(runs, runs.outcomes) for runs in (later, load_runs(folder)))
    assert one.keys == other.keys
    for mine, theirs in zip(one.samples, other.samples, strict=True):
        assert np.array_equal(mine.score, theirs.score, equal_nan=True)
        assert np.array_equal(mine.weight, theirs.weight)  # type: ignore[arg-type]


@pytest.mark.prove
def test_a_damaged_judge_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "runs")
    for content in (b"", b"PK\x03\x04 and more", judged_path(folder, 2).read_bytes()[:-200]):
        judged_path(tmp_path / "runs", 2).write_bytes(content)
        with pytest.raises(ValueError, match="must hold arrays, got a damaged file; delete it and run the bench again"):
            load_runs(tmp_path / "runs")


@pytest.mark.prove
def test_no_router_learns_from_what_judges_it(folder: Path) -> None:
    """Other outcomes of the test queries change no decision."""
    runs, table = load_runs(folder), specialists(600, 3)
    test = runs.splits[1].test
    turned = table.score.copy()
    turned[test] = 1.0 - turned[test]
    again = bench(replace(table, score=turned), folder.parent / "turned", routers=["linear"], seeds=[1], jobs=1)
    mine, theirs = (one.decisions["linear", 1].parts["test"].model for one in (runs, again))
    assert np.array_equal(mine, theirs)


@pytest.mark.prove
def test_a_model_with_few_trials_has_no_number(tmp_path: Path) -> None:
    table = specialists(600, 3)
    score = np.hstack([table.score, np.full((600, 1), NAN)])
    score[:30] = [NAN, NAN, 1.0]
    cost = np.where(np.isfinite(score), 0.001, NAN)
    rare = Outcomes.of(list(table.queries.text), ["large", "small", "rare"], score, cost=cost)
    board = leaderboard(benched(rare, tmp_path / "runs"), samples=50)
    assert np.isnan(board["rare"].avg_acc.value)
    assert np.isfinite(board["large"].avg_acc.value)
    assert any("nothing is said of rare" in note for note in board.notes)


def test_too_short_a_log_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a log must hold 20 effective trials of a model, got"):
        benched(specialists(40), tmp_path / "runs")


@pytest.mark.prove
def test_too_short_a_test_part_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a test part of a log must hold 20 effective trials of a model, got"):
        leaderboard(benched(specialists(80), tmp_path / "short"), samples=5)


@pytest.mark.parametrize("more", [{"protocol": "paper"}, {"routers": "frugalgpt:mode=reply"}])
def test_what_no_log_tells_is_not_benched(more: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot tell .* chosen by somebody"):
        benched(specialists(100), tmp_path / "runs", **more)
    assert not (tmp_path / "runs").exists()


@pytest.mark.prove
def test_what_no_log_tells_is_not_reported(folder: Path) -> None:
    runs = load_runs(folder)
    for ask in (routing_collapse, hardness, lambda runs: leaderboard(runs, ties_win=True)):
        with pytest.raises(ValueError, match="cannot tell"):
            ask(runs)


def test_what_routers_learn_from_is_outcomes_of_a_matrix_and_estimates_of_a_log() -> None:
    table = specialists(200)
    embedded = table.with_embedding(np.eye(200))
    assert teaching(embedded, logged=False) is embedded
    assert isinstance(teaching(embedded, logged=True), PseudoOutcomes)


def test_a_query_of_a_log_counts_for_no_more_than_its_trials() -> None:
    rng = np.random.default_rng(0)
    score, group, dataset = rng.random((200, 2)), np.arange(200), np.full(200, "data")
    weight = np.zeros((200, 2))
    weight[:100, 0], weight[:10, 1] = 2.0, 20.0
    assert effective_trials(weight).tolist() == [100.0, 10.0]
    plain, log = (pair([Sample(dataset, group, score, score, one)]) for one in (None, weight))
    assert log.accuracy(0).value == plain.accuracy(0).value
    assert log.accuracy(0).high - log.accuracy(0).low > plain.accuracy(0).high - plain.accuracy(0).low
    assert log.accuracy(1).high - log.accuracy(1).low > log.accuracy(0).high - log.accuracy(0).low
    assert np.isfinite(log.dataset_accuracy(0, 0).value)
    assert np.isnan(log.dataset_accuracy(1, 0).value), "ten trials are too few for a number"
    assert np.isnan(log.by_dataset(1)).all()


def test_an_estimate_beyond_what_a_score_can_be_is_clipped() -> None:
    score = np.tile([[1.4], [0.9]], (50, 1))
    one = Sample(np.full(100, "data"), np.arange(100), score, score, np.full((100, 1), 1.0))
    assert pair([one]).accuracy(0).value == 1.0
    assert pair([one]).by_dataset(0).tolist() == [1.0]
