"""What goes into the page: packed queries, budgets, masks, where texts come from, words."""

import base64
import gzip
import re
import shutil
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Decisions, Made, Runs, Served, load_runs
from llmrouterbench.benching.replay import replay
from llmrouterbench.benching.rules import Rules
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.reporting.page import NAME, write_page
from llmrouterbench.reporting.page.explorer import Explorer, explorer
from llmrouterbench.reporting.page.grids import difference_matrix
from llmrouterbench.reporting.page.masking import LEFT_OUT, NOT_THERE, Texts, texts_of
from llmrouterbench.reporting.page.packing import cost_codes, json_in_html, score_codes
from llmrouterbench.reporting.report import report
from llmrouterbench.reporting.words import sentences, standing
from llmrouterbench.simulation.simulate import simulate
from llmrouterbench.splits import Split
from llmrouterbench.store import write_outcomes
from llmrouterbench.studies.differences import compare_routers
from llmrouterbench.table import Outcomes


def rows_of(*rows: int) -> np.typing.NDArray[np.int64]:
    return np.array(rows, dtype=np.int64)


def runs_of(outcomes: Outcomes, tests: dict[int, list[int]], decided: dict[str, dict[int, Served]]) -> Runs:
    """Runs without a dial, as `load_runs` gives them."""
    decisions = {}
    nothing = Served.single(rows_of(), np.zeros((1, 0), dtype=np.int64))
    for label, parts in decided.items():
        for seed, part in parts.items():
            decisions[label, seed] = Decisions(label, seed, np.zeros(1), {"validation": nothing, "test": part})
    splits = {
        seed: Split(rows_of(*(row for row in range(len(outcomes)) if row not in test)), rows_of(*test), {})
        for seed, test in tests.items()
    }
    made = Made(tuple({"label": label, "settings": {}} for label in decided), tuple(tests))
    return Runs(outcomes, splits, decisions, made, Rules(split="paper"))


@dataclass(frozen=True)
class Read:
    """A packed table, read by the rules of `packing` and nothing else."""

    header: dict[str, Any]
    columns: dict[str, np.typing.NDArray[Any]]

    @classmethod
    def of(cls, text: str) -> "Read":
        data = gzip.decompress(base64.b64decode(text))
        length = int.from_bytes(data[:4], "little")
        header = orjson.loads(data[4 : 4 + length])
        columns = {}
        for name, place in header["columns"].items():
            kind = "<u1" if place["bytes"] == 1 else "<u2"
            assert place["at"] % 4 == 0
            columns[name] = np.frombuffer(data, kind, place["length"], 4 + length + place["at"])
        return cls(header, columns)


def usd_of(codes: np.typing.NDArray[Any]) -> np.typing.NDArray[np.float64]:
    paid = 10 ** ((codes.astype(float) - 1) * 14 / 65533 - 9)
    return np.where(codes == 65535, np.nan, np.where(codes == 0, 0.0, paid))


@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-9, 1e5), st.just(float("nan"))), min_size=1))
def test_costs_survive_their_codes(costs: list[float]) -> None:
    values = np.array(costs)
    np.testing.assert_allclose(usd_of(cost_codes(values)), values, rtol=3e-4)


@given(st.lists(st.one_of(st.floats(0, 1), st.floats(0.499, 0.501)), min_size=1))
def test_scores_survive_their_codes_on_their_side_of_right(scores: list[float]) -> None:
    values = np.array(scores)
    back = score_codes(values) / 250
    assert np.abs(back - values).max() <= 0.004
    assert ((back >= 0.5) == (values >= 0.5)).all()
    assert (score_codes(np.array([0.0, 0.5, 1.0])) / 250).tolist() == [0.0, 0.5, 1.0]


@given(st.text())
def test_json_in_a_script_cannot_end_it(text: str) -> None:
    packed = json_in_html({"name": text, "end": "</script><!--"})
    assert orjson.loads(packed)["name"] == text
    assert not re.search(r"[<>&\u2028\u2029]", packed)


SCORE: list[list[float]] = [[1, 0], [0, 1], [1, 1], [0.5, np.nan]]
COST: list[list[float]] = [[0.1, 0.2], [0.3, np.nan], [0.0, 0.4], [0.5, 0.6]]


def cascade_runs() -> Runs:
    """A single call and a cascade that pays for two calls on its first query, by hand."""
    outcomes = Outcomes.of(["a", "b", "c", "d"], ["small", "large"], SCORE, cost=COST, dataset=["x", "x", "y", "y"])
    single = {7: Served.single(rows_of(1, 2), np.array([[1, 0]])), 8: Served.single(rows_of(2, 3), np.array([[1, 0]]))}
    both = Served.dense(rows_of(2, 3), np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [1.0, 0.0]]))
    cascade = {7: Served.single(rows_of(1, 2), np.array([[0, 0]])), 8: both}
    return runs_of(outcomes, {7: [1, 2], 8: [2, 3]}, {"one": single, "both": cascade})


def packed_of(runs: Runs, texts: Texts = LEFT_OUT, budget: int = 10**6) -> Explorer:
    return explorer(runs, replay(runs, runs.outcomes), texts, budget)


def test_every_choice_score_and_cost_is_on_the_page() -> None:
    read = Read.of(packed_of(cascade_runs()).numbers)
    assert read.header["ids"] == ["1", "2", "3"], "query 0 is tested under no seed"
    assert read.header["routers"] == ["one", "both"]
    assert read.columns["tested"].reshape(2, 3).tolist() == [[1, 1, 0], [0, 1, 1]]
    assert read.columns["score"].reshape(2, 3).tolist() == [[0, 250, 125], [250, 250, 255]]
    np.testing.assert_allclose(usd_of(read.columns["cost"]).reshape(2, 3), np.array(COST)[1:].T, rtol=3e-4)
    assert read.columns["choice0"].reshape(2, 3).tolist() == [[1, 0, 255], [255, 1, 0]]
    assert read.columns["choice1"].reshape(2, 3).tolist() == [[0, 0, 255], [255, 1, 0]]
    assert "cost0" not in read.columns, "the cost of one call is that of the model"
    paid = usd_of(read.columns["cost1"]).reshape(2, 3)
    np.testing.assert_allclose(paid, [[0.3, 0.0, np.nan], [np.nan, 0.4, 0.5]], rtol=3e-4)
    assert read.columns["score1"].reshape(2, 3).tolist() == [[0, 250, 255], [255, 250, 125]]


def test_texts_are_cut_before_queries_are_left_out() -> None:
    rng = np.random.default_rng(0)
    words = [str(number) for number in rng.integers(0, 10**9, 5000)]
    text = [" ".join(rng.choice(words, 600)) for _ in range(60)]
    score = rng.integers(0, 2, (60, 2)).astype(float)
    outcomes = Outcomes.of(text, ["a", "b"], score, dataset=["big"] * 55 + ["small"] * 5)
    runs = runs_of(outcomes, {1: list(range(60))}, {"r": {1: Served.single(np.arange(60), np.zeros((1, 60), int))}})
    whole = packed_of(runs, Texts(text))
    assert (whole.held, whole.tested, whole.clip) == (60, 60, 0)
    assert orjson.loads(gzip.decompress(base64.b64decode(whole.texts))) == text
    cut = packed_of(runs, Texts(text), whole.size // 3)
    assert cut.size <= whole.size // 3
    assert (cut.held, cut.clip) == (60, 1000)
    shown = orjson.loads(gzip.decompress(base64.b64decode(cut.texts)))
    assert shown == [f"{one[:1000]}…" for one in text]
    few = packed_of(runs, Texts(text), 4000)
    assert few.size <= 4000
    assert 2 <= few.held < 60
    read = Read.of(few.numbers)
    assert set(read.header["datasets"]) == {"big", "small"}, "every dataset keeps some"
    shown = orjson.loads(gzip.decompress(base64.b64decode(few.texts)))
    assert all(
        text[int(name)].startswith(said.removesuffix("…")) for name, said in zip(read.header["ids"], shown, strict=True)
    )
    assert packed_of(runs, Texts(text), 4000) == few, "the same sample every time"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and runs side by side, SIMULATED."""
    folder = tmp_path_factory.mktemp("stored")
    write_outcomes(simulate("performance-cost", scale=0.02), folder / "data")
    bench(
        folder / "data", folder / "runs", routers=["best_single", "knn:k=3"], seeds=[1], jobs=1, cache=folder / "cache"
    )
    return folder


def test_masked_texts_never_enter_the_file(stored: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="the page needs jinja2")
    runs = load_runs(stored / "runs")
    texts = texts_of(runs, stored / "runs")
    assert texts.of is not None
    write_page(runs, leaderboard(runs, samples=20), None, tmp_path / NAME, texts=texts, samples=20)
    html = (tmp_path / NAME).read_text(encoding="utf-8")
    held = orjson.loads(gzip.decompress(base64.b64decode(re.findall(r'id="texts">([^<]*)<', html)[0])))
    read = Read.of(re.findall(r'id="numbers">([^<]*)<', html)[0])
    assert read.header["masked"] == ["gpqa", "hle"]
    by_id = dict(zip(runs.outcomes.queries.id.tolist(), texts.of, strict=True))
    datasets = [read.header["datasets"][code] for code in read.columns["dataset"].tolist()]
    assert {"gpqa", "hle"} <= set(datasets)
    for name, dataset, said in zip(read.header["ids"], datasets, held, strict=True):
        assert said == ("" if dataset in ("gpqa", "hle") else by_id[name])
    secret = [text for text, dataset in zip(texts.of, runs.outcomes.dataset, strict=True) if dataset in ("gpqa", "hle")]
    assert not any(text in html for text in secret)


def test_no_text_leaves_every_text_out(stored: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="the page needs jinja2")
    report(stored / "runs", tmp_path, samples=20, figures=False, text=False)
    html = (tmp_path / NAME).read_text(encoding="utf-8")
    assert re.findall(r'id="texts">([^<]*)<', html) == [""]
    assert LEFT_OUT.why in html


def test_texts_are_found_where_the_bench_read_them(stored: Path, tmp_path: Path) -> None:
    shutil.copytree(stored, tmp_path / "moved")
    runs = load_runs(tmp_path / "moved/runs")
    assert runs.made.data == "../data"
    found = texts_of(runs, tmp_path / "moved/runs")
    assert list(found.of or ()) == list(Outcomes.load(stored / "data").queries.text)
    write_outcomes(simulate("performance-cost", 1, scale=0.02), tmp_path / "moved/data", overwrite=True)
    assert texts_of(runs, tmp_path / "moved/runs") == NOT_THERE, "other data lie there now"
    shutil.rmtree(tmp_path / "moved/data")
    assert texts_of(runs, tmp_path / "moved/runs") == NOT_THERE
    assert texts_of(runs, tmp_path / "moved/runs", stored / "data").of is not None
    with pytest.raises(FileNotFoundError, match="must be a folder of outcomes"):
        texts_of(runs, tmp_path / "moved/runs", tmp_path / "nowhere")


def test_other_data_are_refused_with_one_sentence(stored: Path, tmp_path: Path) -> None:
    runs = load_runs(stored / "runs")
    other = Outcomes.load(stored / "data")
    changed = other.score.copy()
    changed[0, 0] = 1.0 - changed[0, 0]
    write_outcomes(replace(other, score=changed), tmp_path / "other")
    with pytest.raises(ValueError, match="must hold the outcomes that the runs were made from"):
        texts_of(runs, stored / "runs", tmp_path / "other")


def test_without_jinja2_the_report_says_what_to_install(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_text("of an earlier report")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    board = report(stored / "runs", tmp_path, samples=20, figures=False)
    sentence = "The page needs jinja2; pip install 'llmrouterbench[report]'."
    assert board.notes[-1] == sentence
    assert sentence in (tmp_path / "leaderboard.md").read_text()
    assert not (tmp_path / NAME).exists()
    runs = load_runs(stored / "runs")
    with pytest.raises(ImportError, match="a page needs jinja2"):
        write_page(runs, board, None, tmp_path / NAME)


def test_the_commands_leave_texts_out_on_request(stored: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="the page needs jinja2")
    from typer.testing import CliRunner

    from llmrouterbench.commands.app import app

    import_module("llmrouterbench.cli")  # every command joins the app
    words = ["bench", str(stored / "data"), "--out", str(tmp_path / "runs"), "--routers", "best_single", "--seeds", "1"]
    env = {"LLMROUTERBENCH_CACHE": str(tmp_path / "cache")}
    done = CliRunner().invoke(app, [*words, "--jobs", "1", "--no-text", "--json"], env=env)
    assert done.exit_code == 0, done.output
    assert LEFT_OUT.why in (tmp_path / "runs/report" / NAME).read_text(encoding="utf-8")
    refused = CliRunner().invoke(app, ["report", str(stored / "data"), "--data", str(stored / "data")])
    assert refused.exit_code == 2
    assert "--data needs a folder of runs" in " ".join(refused.output.replace("│", " ").split())


def test_the_words_follow_the_numbers() -> None:
    runs = cascade_runs()
    board = leaderboard(runs, samples=40)
    compared = compare_routers(runs, replicates=40)
    said = sentences(board, compared)
    assert said[0].startswith(f"Serving one model to everyone: {board.base} (Best Single)")
    assert said[1].startswith(f"{board.rows[0].name} is the most accurate router")
    other = next(row.name for row in board.of_kind("router") if row.name != board.rows[0].name)
    assert (f"not distinguishable from {other}" in " ".join(said)) == (other in compared.tied_with(board.rows[0].name))
    without = replace(board, rows=tuple(row for row in board.rows if row.kind != "router"))
    assert sentences(without, None)[1] == "There is no router with decisions for every seed."


def test_the_matrix_shades_only_what_survives_the_correction() -> None:
    rng = np.random.default_rng(0)
    score = np.column_stack([np.ones(400), np.zeros(400), rng.integers(0, 2, 400)])
    outcomes = Outcomes.of([f"q{i}" for i in range(400)], ["good", "bad", "even"], score)
    rows = np.arange(400)
    decided = {
        name: {1: Served.single(rows, np.full((1, 400), model))}
        for name, model in (("good", 0), ("bad", 1), ("even", 2))
    }
    decided["twin"] = {1: Served.single(rows, np.zeros((1, 400), dtype=np.int64))}
    compared = compare_routers(runs_of(outcomes, {1: rows.tolist()}, decided), replicates=100)
    grid = difference_matrix(compared)
    cell = {(row[0], grid.columns[i]): one for row, line in grid.lines for i, one in enumerate(line)}
    assert cell["good", "bad"].classes == "d5"
    assert cell["bad", "good"].classes == "d-5"
    assert cell["good", "bad"].title.endswith(": better")
    assert cell["good", "twin"].line(spans=False) == "+0.0 ="
    assert cell["good", "twin"].classes == "d0"
    assert cell["good", "good"].classes == "self"
    assert standing(compared, "good") == "better than 2 of 3 others, not distinguishable from twin"
    assert standing(compared, "bad") == "worse than 3 of 3 others"
