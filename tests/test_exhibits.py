"""Reports as a user meets them: every file, in words, of runs and of outcomes; and what bad input says."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

pytest.importorskip("matplotlib", reason="figures need matplotlib")

from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Decisions, Made, Runs, Served, load_runs
from llmrouterbench.benching.replay import replay
from llmrouterbench.metrics import avg_acc
from llmrouterbench.reporting import exhibits as package
from llmrouterbench.reporting.catalogue import markdown, write_exhibits
from llmrouterbench.reporting.exhibits import Exhibit, Exhibits, all_exhibits, exhibits
from llmrouterbench.reporting.exhibits._material import LAST
from llmrouterbench.reporting.figures.picture import Picture
from llmrouterbench.reporting.report import full_report, outcomes_report, report
from llmrouterbench.simulation.simulate import simulate
from llmrouterbench.splits import Split
from llmrouterbench.store import write_outcomes
from llmrouterbench.studies.latency import Serving, ServingTable
from llmrouterbench.table import Outcomes

SAMPLES = 40
ROUTERS = ["best_single", "knn:k=5", "avengers_pro:k=8"]


def report_cli(*words: str | Path | int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llmrouterbench.cli", "report", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def spoken(said: subprocess.CompletedProcess[str]) -> str:
    return " ".join(said.stderr.replace("│", " ").split())


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bench on simulated data of the paper's second setting."""
    folder = tmp_path_factory.mktemp("exhibits")
    outcomes = simulate("performance-cost", scale=0.02)
    write_outcomes(outcomes, folder / "data")
    options: dict[str, Any] = {"routers": ROUTERS, "setting": "performance-cost", "split": "paper", "jobs": 1}
    for name, seeds in (("runs", (1, 2)), ("other", (2, 3))):
        bench(outcomes, folder / name, seeds=seeds, **options)
    bench(outcomes, folder / "again", seeds=(1, 2), text="query", **options)
    return folder / "runs"


@pytest.fixture(scope="module")
def made(runs_folder: Path) -> tuple[Exhibits, Path]:
    _, found = full_report(
        runs_folder, samples=SAMPLES, embedders={"tfidf": runs_folder, "again": runs_folder.parent / "again"}
    )
    assert found is not None
    return found, runs_folder / "report"


# ---- runs


def test_every_table_and_figure_of_the_paper_is_there(made: tuple[Exhibits, Path]) -> None:
    found, folder = made
    assert set(found.tables) | set(found.pictures) | set(found.left_out) == set(all_exhibits())
    assert set(found.left_out) == {"figure09_latency", "latency"}, "simulated data have no seconds"
    for name, table in found.tables.items():
        read = pl.read_csv(folder / "tables" / f"{name}.csv", infer_schema_length=None)
        assert read.columns == table.columns
        assert len(read) == len(table) > 0
        assert read["simulated"].all(), f"{name} must say that its data are simulated"
    for name in found.pictures:
        for ending in ("png", "svg", "csv"):
            assert (folder / "figures" / f"{name}.{ending}").stat().st_size > 100
    assert (folder / "leaderboard.md").is_file()


def test_the_list_shows_figures_links_tables_and_says_what_is_missing(made: tuple[Exhibits, Path]) -> None:
    _, folder = made
    text = (folder / "exhibits.md").read_text()
    assert text.startswith("# Tables and figures: performance-cost (SIMULATED)")
    assert "- knn:k=5: " in text
    assert "Figure 9: accuracy, cost and latency: needs models with known costs and seconds" in text
    for target in [part.split(")")[0] for part in text.split("](")[1:]]:
        assert (folder / target).is_file(), target


def test_numbers_of_the_tables_are_those_of_the_leaderboard(made: tuple[Exhibits, Path], runs_folder: Path) -> None:
    found, folder = made
    board = json.loads((folder / "report.json").read_text())
    of_board = {row["name"]: row for row in board["rows"] if row["kind"] == "router"}
    table = found.tables["table11_12_test_accuracy"].filter(pl.col("kind") == "router")
    figure = {row["name"]: row for row in found.pictures["figure04_metrics"].data.iter_rows(named=True)}
    assert set(table["name"]) == set(of_board) == set(ROUTERS)
    for row in table.iter_rows(named=True):
        assert row["AvgAcc"] == pytest.approx(100 * of_board[row["name"]]["avg_acc"]["value"])
        assert figure[row["name"]]["avg_acc_percent"] == pytest.approx(row["AvgAcc"])
        assert figure[row["name"]]["avg_acc_percent_low"] == pytest.approx(row["AvgAcc_low"])
    costs = found.tables["table13_test_cost"].filter(pl.col("kind") == "router")
    for row in costs.iter_rows(named=True):
        assert row["Total"] == pytest.approx(of_board[row["name"]]["cost"]["value"])
    shares = found.pictures["figure10_distribution"].data.drop("router", "simulated")
    assert shares.sum_horizontal().to_list() == pytest.approx([100.0] * len(ROUTERS))


def test_the_curves_of_other_benchmarks_follow_from_the_points(made: tuple[Exhibits, Path], runs_folder: Path) -> None:
    table = {row["router"]: row for row in made[0].tables["curves"].iter_rows(named=True)}
    played = replay(runs := load_runs(runs_folder), runs.outcomes)
    assert set(table) == set(ROUTERS)
    for router, row in table.items():
        acc = 100 * avg_acc(played.points[router].acc)
        assert row["aiq_percent"] is None if len(acc) == 1 else 0.0 < row["aiq_percent"] <= acc.max() + 1e-9
        assert 0.0 < row["arena_score_percent"] < 100.0
        assert "apgr_percent" not in row, "a gap is one between two models"
    two = simulate("performance-cost", scale=0.05)
    pair_of = two.select(list(two.models[:2]))
    bench(pair_of, runs_folder.parent / "two", routers=["knn:k=5"], seeds=(1,), jobs=1)
    (line,) = exhibits(load_runs(runs_folder.parent / "two"), samples=SAMPLES).tables["curves"].iter_rows(named=True)
    assert {"apgr_percent", "cpt_20_percent", "cpt_50_percent", "cpt_80_percent"} <= set(line)
    known = [one for one in (line[f"cpt_{part}_percent"] for part in (20, 50, 80)) if one is not None]
    assert all(0.0 <= one <= 100.0 for one in known)
    assert known == sorted(known)


def test_table_10_has_a_line_an_embedder(made: tuple[Exhibits, Path]) -> None:
    table = made[0].tables["table10_embedders"]
    assert table["embedder"].to_list() == ["tfidf", "again"]
    assert {"knn:k=5", "knn:k=5_low", "knn:k=5_high"} <= set(table.columns)


def test_every_pair_has_a_verdict_and_a_corrected_p_value(made: tuple[Exhibits, Path]) -> None:
    pairs = made[0].tables["differences"]
    assert len(pairs) == len(ROUTERS) * (len(ROUTERS) - 1) // 2
    assert (pairs["p_holm"] >= pairs["p"]).all()
    for row in pairs.iter_rows(named=True):
        assert (row["verdict"] == "not distinguishable") == (row["p_holm"] >= 0.05)
    said = made[0].tables["verdicts"]["verdict"].to_list()
    assert all(("not distinguishable from" in one) or ("than" in one) for one in said)


# ---- outcomes, and what an earlier report left behind


def test_outcomes_alone_give_what_needs_no_router(runs_folder: Path, tmp_path: Path) -> None:
    said = report_cli(runs_folder.parent / "data", "--to", tmp_path, "--samples", 30, "--json")
    assert said.returncode == 0, said.stderr
    found = orjson.loads(said.stdout)["exhibits"]
    assert {"table02_overview", "table04_05_accuracy", "table06_cost", "subsets", "marginal_values"} <= set(
        found["tables"]
    )
    assert {"figure03_domains", "figure06_subsets", "heatmap"} == set(found["figures"])
    assert found["left_out"]["figure08_pareto"] == "needs runs for operating points of routers; make them with bench"
    assert not (tmp_path / "leaderboard.md").exists()


def test_a_serving_table_gives_figure_9(runs_folder: Path) -> None:
    outcomes = load_runs(runs_folder).outcomes
    serving = ServingTable(
        {name: Serving(name, 0.5, 10.0 + i, "2026-01-31", "test") for i, name in enumerate(outcomes.models)}
    )
    found = exhibits(outcomes, serving=serving, samples=SAMPLES)
    table, model = found.tables["latency"], outcomes.models[3]
    row = table.row(by_predicate=pl.col("model") == model, named=True)
    seconds = 0.5 + outcomes.tokens_out[:, 3] / 13.0
    by_dataset = [np.nanmean(seconds[outcomes.dataset == name]) for name in outcomes.datasets]
    assert row["seconds"] == pytest.approx(np.mean(by_dataset))
    assert "figure09_latency" in found.pictures


def test_files_of_an_earlier_source_do_not_stay_behind(made: tuple[Exhibits, Path], tmp_path: Path) -> None:
    write_exhibits(made[0], tmp_path)
    assert (tmp_path / "figures" / "figure08_pareto.png").exists()
    bare = Outcomes.of(list("abcdef"), ["m", "n"], np.eye(2)[[0, 1, 0, 1, 0, 1]])
    found = outcomes_report(bare, tmp_path, samples=20)
    assert found is not None
    assert not (tmp_path / "figures" / "figure08_pareto.png").exists()
    assert not (tmp_path / "tables" / "table13_test_cost.csv").exists()
    assert found.left_out["table06_cost"] == "needs known costs, and there are none"


# ---- comparing


def test_compare_prints_markdown_for_a_pull_request(runs_folder: Path, tmp_path: Path) -> None:
    said = report_cli("--compare", runs_folder, runs_folder.parent / "other", "--samples", 50, "--to", tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("### Routers: new against old (SIMULATED data)")
    assert "Nothing moved beyond noise (3 routers compared)." in said.stdout
    assert "- 1 seeds;" in said.stdout, "only seed 2 is in both"
    assert (tmp_path / "comparison.md").read_text() == said.stdout
    assert json.loads((tmp_path / "comparison.json").read_text())["seeds"] == [2]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "give a folder of runs or of outcomes, or --compare OLD NEW, and not both"),
        (["{runs}", "--compare", "{runs}", "{runs}"], "and not both"),
        (["{runs}", "--embedders", "minilm"], "--embedders must be NAME=RUNS, got 'minilm'"),
        (["{runs}", "--setting", "performance"], "--setting needs a folder of outcomes"),
        (["{data}", "--baseline", "knn"], "--baseline needs a folder of runs"),
    ],
)
def test_bad_usage_is_said_in_one_sentence(words: list[str], sentence: str, runs_folder: Path) -> None:
    filled = [word.format(runs=runs_folder, data=runs_folder.parent / "data") for word in words]
    said = report_cli(*filled)
    assert said.returncode == 2
    assert sentence in spoken(said)


# ---- bad input


def test_embedders_of_other_data_are_refused(runs_folder: Path, tmp_path: Path) -> None:
    outcomes = simulate("performance-cost", seed=1, scale=0.02)
    bench(outcomes, tmp_path / "foreign", routers=["best_single"], seeds=[1], split="paper", jobs=1)
    said = report_cli(runs_folder, "--to", tmp_path / "r", "--samples", 20, "--embedders", f"x={runs_folder}",
                      "--embedders", f"y={tmp_path / 'foreign'}")  # fmt: skip
    assert said.returncode == 1
    assert said.stderr.startswith("error: an embedding ablation must compare runs of the same data, got 2 data hashes")
    assert len(said.stderr.strip().splitlines()) == 1
    other = runs_folder.parent / "other"
    with pytest.raises(ValueError, match=r"same seeds, got \[1, 2\] under x and \[2, 3\] under y; run the bench"):
        full_report(runs_folder, tmp_path / "r", samples=SAMPLES, embedders={"x": runs_folder, "y": other})
    said = report_cli("--compare", runs_folder, tmp_path / "foreign", "--samples", 20)
    assert said.returncode == 1
    assert said.stderr.startswith("error: runs must be of the same data to be compared, got hashes")


def test_a_router_that_lacks_a_seed_is_left_out_and_named(runs_folder: Path) -> None:
    runs = load_runs(runs_folder)
    kept = {key: value for key, value in runs.decisions.items() if key != ("knn:k=5", 2)}
    found = exhibits(replace(runs, decisions=kept), samples=SAMPLES)
    assert "knn:k=5" not in found.pictures["figure04_metrics"].data["name"].to_list()
    assert "knn:k=5" not in found.tables["verdicts"]["router"].to_list()
    none = exhibits(replace(runs, decisions={}), samples=SAMPLES)
    assert none.left_out["figure04_metrics"] == "needs a router with decisions for every seed, and there is none"
    assert none.left_out["verdicts"] == "needs two routers with decisions for every seed"
    assert "figure08_pareto" in none.pictures, "single models still stand in it"


def runs_of(outcomes: Outcomes, choices: dict[str, np.ndarray]) -> Runs:
    """Runs of one seed in which every query is tested and each router serves what is given."""
    everything, nothing = np.arange(len(outcomes)), np.zeros(0, dtype=np.int64)
    decisions = {
        (label, 1): Decisions(
            label, 1, np.zeros(1),
            {"validation": Served.single(nothing, nothing[None]), "test": Served.single(everything, choice[None])},
        )
        for label, choice in choices.items()
    }  # fmt: skip
    return Runs(outcomes, {1: Split(nothing, everything)}, decisions, Made.of(choices, [1]))


def whole(found: Exhibits) -> None:
    """Everything is made or has a reason, and every table holds the rows that it must."""
    assert set(found.tables) | set(found.pictures) | set(found.left_out) | {"table10_embedders"} == set(all_exhibits())
    assert all(len(table) for table in found.tables.values())
    assert not any(reason.startswith("failed") for reason in found.left_out.values()), found.left_out
    assert not any("nan" in table.write_csv().lower().split(",") for table in found.tables.values())


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_all_scores_equal(value: float) -> None:
    n = 24
    outcomes = Outcomes.of(
        [f"q{i}" for i in range(n)], ["a", "b", "c"], np.full((n, 3), value), dataset=["x", "y"] * (n // 2),
        cost=np.full((n, 3), 0.01),
    )  # fmt: skip
    found = exhibits(runs_of(outcomes, {"one": np.zeros(n, dtype=np.int64), "two": np.arange(n) % 3}), samples=SAMPLES)
    whole(found)
    assert found.tables["differences"]["verdict"].to_list() == ["not distinguishable"]
    assert found.tables["differences"]["p_holm"].to_list() == [1.0]
    assert all("not distinguishable from" in one for one in found.verdicts)


def test_a_dataset_with_one_query() -> None:
    score = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    outcomes = Outcomes.of(["p", "q", "r"], ["a", "b"], score, dataset=["lone", "two", "two"], cost=np.ones((3, 2)))
    found = exhibits(
        runs_of(outcomes, {"first": np.zeros(3, dtype=np.int64), "best": np.array([0, 1, 0])}), samples=SAMPLES
    )
    whole(found)
    row = found.tables["table11_12_test_accuracy"].row(by_predicate=pl.col("name") == "first", named=True)
    assert (row["lone"], row["two"], row["AvgAcc"]) == (100.0, 50.0, 75.0)


def test_hostile_names_survive_in_every_file(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", "name", "نموذج", "\u202egnp.lmth", "a|b`c"]
    n = 30
    rng = np.random.default_rng(0)
    outcomes = Outcomes.of(
        [f"q{i}" for i in range(n)], names, (rng.random((n, 5)) < 0.5).astype(float),
        dataset=[["kind", "model", "AvgAcc", "router", "name"][i % 5] for i in range(n)], cost=rng.random((n, 5)),
    )  # fmt: skip
    choices = {name: rng.integers(0, 5, n) for name in [*names, "best_single"]}
    found = exhibits(runs_of(outcomes, choices), samples=SAMPLES)
    whole(found)
    write_exhibits(found, tmp_path)
    text = (tmp_path / "exhibits.md").read_text()
    assert "<script" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text
    table = found.tables["table04_05_accuracy"]
    assert table["model"].to_list() == names, "a dataset named model must not hide the models"
    assert table.columns == ["model", "AvgAcc (2)", "kind", "model (2)", "name", "router", "AvgAcc"]
    with (tmp_path / "tables" / "verdicts.csv").open(newline="", encoding="utf-8") as file:
        assert {row["router"] for row in csv.DictReader(file)} == set(choices)


@pytest.mark.slow
def test_five_hundred_models() -> None:
    n, m = 40, 500
    rng = np.random.default_rng(0)
    outcomes = Outcomes.of(
        [f"q{i}" for i in range(n)], [f"model-{i:03d}" for i in range(m)], (rng.random((n, m)) < 0.5).astype(float),
        cost=rng.random((n, m)),
    )  # fmt: skip
    found = exhibits(
        runs_of(outcomes, {"any": rng.integers(0, m, n), "first": np.zeros(n, dtype=np.int64)}), samples=20
    )
    whole(found)
    assert len(found.tables["table04_05_accuracy"]) == len(found.tables["marginal_values"]) == m
    assert "Drawn: 40 of 507 rows" in " ".join(found.pictures["heatmap"].notes)


def test_without_matplotlib_the_leaderboard_stands_and_the_remedy_is_said(
    runs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    board, found = full_report(runs_folder, tmp_path, samples=20)
    assert found is None
    assert any("pip install 'llmrouterbench[report]'" in note for note in board.notes)
    assert (tmp_path / "leaderboard.md").is_file()


def test_the_list_of_nothing_but_reasons_is_still_a_page() -> None:
    text = markdown(Exhibits({}, {}, {"latency": "needs seconds"}, "own data", titles={"latency": "Seconds"}))
    assert "- Seconds: needs seconds" in text
    assert "## Tables" not in text


ROOT = Path(__file__).resolve().parents[1]


def test_the_committed_figures_of_real_data_are_small_and_all_shown() -> None:
    page = (ROOT / "docs" / "real-data.md").read_text(encoding="utf-8")
    figures = sorted(set((ROOT / "docs" / "figures").glob("*.png")) - {ROOT / "docs" / "figures" / "page.png"})
    assert figures
    for figure in figures:
        assert figure.stat().st_size < 100_000, figure.name
        assert f"(figures/{figure.name})" in page
    assert page.count("](figures/") == len(figures)


# ---- what an exhibit may do to a report


def broken(_: object) -> pl.DataFrame:
    raise KeyError("no such router")


def undrawable(_: object) -> Picture:
    from matplotlib.figure import Figure

    return Picture(Figure(layout="constrained"), pl.DataFrame({"x": [object()]}, schema={"x": pl.Object}))


def test_an_exhibit_that_fails_is_left_out_with_its_reason_and_the_rest_is_there(
    runs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files beside those of the package: found by themselves, and none of them can end a report."""
    (tmp_path / "added.py").write_text(
        "import polars as pl\nfrom llmrouterbench.reporting.exhibits import Exhibit\n"
        "EXHIBIT = Exhibit('One file more', table=lambda material: pl.DataFrame({'n': [len(material.outcomes)]}))\n"
    )
    (tmp_path / "mistyped.py").write_text("EXIBIT = None\n")
    (tmp_path / "unreadable.py").write_text("import a_library_that_nobody_has\n")
    monkeypatch.setattr("llmrouterbench.reporting.exhibits.__path__", [*package.__path__, str(tmp_path)])
    all_exhibits.cache_clear()
    wanted = all_exhibits()
    monkeypatch.undo()
    all_exhibits.cache_clear()
    quick = ("table11_12_test_accuracy", "figure04_metrics")
    wanted = {name: one for name, one in wanted.items() if one.place == LAST or name in quick}
    wanted |= {
        "raises": Exhibit("A table that raises", table=broken),
        "asks": Exhibit("A need that raises", (lambda material: material.no_such_thing,), table=broken),  # type: ignore[attr-defined]
        "forgets": Exhibit(
            "No table, but runs", table=lambda material: pl.DataFrame({"n": [len(material.runs.seeds)]})
        ),
        "nested": Exhibit("A table that no CSV can hold", table=lambda material: pl.DataFrame({"n": [[1, 2]]})),
        "dict": Exhibit("No table at all", table=lambda material: {"n": 1}),  # type: ignore[arg-type,return-value]
        "undrawable": Exhibit("A picture that cannot be stored", picture=undrawable),
    }
    found = write_exhibits(exhibits(load_runs(runs_folder), samples=10, wanted=wanted), tmp_path / "report")
    assert set(found.tables) == {"added", "forgets", quick[0]}
    assert set(found.pictures) == {quick[1]}
    assert found.left_out["raises"] == "failed with KeyError: 'no such router'"
    assert found.left_out["asks"].startswith("failed with AttributeError: ")
    assert found.left_out["mistyped"].startswith("failed with AttributeError: ")
    assert found.left_out["unreadable"] == (
        "failed with ModuleNotFoundError: No module named 'a_library_that_nobody_has'"
    )
    assert all(found.left_out[name].startswith("failed with ") for name in ("undrawable", "nested", "dict"))
    text = (tmp_path / "report" / "exhibits.md").read_text()
    assert "- [One file more](tables/added.csv)" in text
    assert "- A table that raises: failed with KeyError: 'no such router'" in text
    alone = exhibits(load_runs(runs_folder).outcomes, samples=10, wanted={"forgets": wanted["forgets"]})
    assert "this exhibit must have runs, got outcomes alone" in alone.left_out["forgets"]


def test_the_exhibits_of_the_package_are_whole_and_each_has_its_place() -> None:
    found = all_exhibits()
    assert all(one.table or one.picture for one in found.values())
    places = [one.place for one in found.values()]
    assert places == sorted(set(places)), "two at one place"
    assert list(found)[:2] == ["table02_overview", "table04_05_accuracy"]
    assert len({one.title for one in found.values()}) == len(found)


@pytest.mark.parametrize(
    ("gone", "said", "routers"),
    [
        (["*/2"], "The bench was not finished: seed 2 is not reported; run the same bench to go on.", ROUTERS),
        (["knn*/2", "avengers*/*"], "knn:k=5 has no decisions for seed 2 and is left out", ["best_single"]),
        (["knn*/*"], "knn:k=5 has no decisions for seed 1, 2 and is left out", ["avengers_pro:k=8", "best_single"]),
        (["*/*"], "knn:k=5 has no decisions for seed 1, 2 and is left out", []),
    ],
)
def test_a_bench_that_was_interrupted_is_reported_with_what_is_missing(
    gone: list[str], said: str, routers: list[str], runs_folder: Path, tmp_path: Path
) -> None:
    runs = shutil.copytree(runs_folder, tmp_path / "runs", ignore=shutil.ignore_patterns("report"))
    for file in [file for one in gone for file in runs.glob(f"decisions/{one}.parquet")]:
        file.unlink()
    done = report_cli(runs, "--samples", 20)
    assert done.returncode == 0, done.stderr
    assert said in " ".join(done.stdout.split())
    board = json.loads((runs / "report" / "report.json").read_text())
    assert sorted(row["name"] for row in board["rows"] if row["kind"] == "router") == sorted(routers)
    assert ("needs two routers with decisions for every seed" in done.stderr) == (len(routers) < 2)
    for name in ("leaderboard.md", "leaderboard.csv", "index.html", "exhibits.md"):
        assert (runs / "report" / name).stat().st_size > 500
    assert "failed with" not in (runs / "report" / "exhibits.md").read_text()


def test_the_seeds_that_most_can_be_compared_on_are_reported(runs_folder: Path, tmp_path: Path) -> None:
    """Three routers with one seed say more than one router with two."""
    runs = shutil.copytree(runs_folder, tmp_path / "runs", ignore=shutil.ignore_patterns("report"))
    for router in ("knn*", "avengers*"):
        next(runs.glob(f"decisions/{router}/2.parquet")).unlink()
    board = report(runs, samples=10, figures=False)
    assert [row.name for row in board.of_kind("router")] == sorted(ROUTERS, key=lambda n: -board[n].avg_acc.value)
    assert board.facts["seeds"] == [1]
