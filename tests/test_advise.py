"""Advice: the three answers on tables made for them, the command, and the real data."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from llmrouterbench import bench, report
from llmrouterbench.importers import import_outcomes
from llmrouterbench.reporting.advice import advice_dict, advice_lines, recommendation, write_advice
from llmrouterbench.reporting.verdict import headline
from llmrouterbench.store import write_outcomes
from llmrouterbench.studies.advise import advise
from llmrouterbench.table import Outcomes

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WORDS = {"sums": "add these numbers please", "verbs": "conjugate this verb", "maps": "which river flows through"}


def tasks(score: dict[str, tuple[float, float]], cost: tuple[float, float] = (1.0, 4.0), n: int = 150) -> Outcomes:
    """Chances of two models, "small" and "large", by task; each task has its own words."""
    rng = np.random.default_rng(0)
    names = [name for name in score for _ in range(n)]
    text = [f"{WORDS[name]} {chr(97 + i % 26)}{i} {i * i + 7}" for i, name in enumerate(names)]
    solved = (rng.random((len(names), 2)) < np.array([score[name] for name in names])).astype(float)
    return Outcomes.of(text, ["small", "large"], solved, dataset=names, cost=np.tile(cost, (len(names), 1)))


def test_one_model_that_is_best_everywhere_and_cheapest_needs_no_router() -> None:
    advice = advise(tasks({"sums": (0.9, 0.3), "verbs": (0.9, 0.3), "maps": (0.9, 0.3)}), quick=True, jobs=1)
    assert advice.action == "do not route"
    assert recommendation(advice).startswith(
        "Do not route: serve small to everyone. Nothing here shows a certain gain of"
    )
    assert advice.router is None
    assert [one.dominated_by for one in advice.needless] == ["small"]


def test_tasks_with_their_own_models_are_worth_a_router() -> None:
    advice = advise(tasks({"sums": (0.9, 0.2), "verbs": (0.2, 0.9), "maps": (0.9, 0.2)}), replicates=200, jobs=1)
    assert (advice.action, advice.router) == ("route for quality", "task_soft")
    assert advice.candidates[0].gain.low > 0.1
    assert advice.headroom.task_share.value > 0.5
    assert advice.learning[0].enough is not None
    lines = advice_lines(advice)
    assert lines[0].startswith("Route with task_soft: +")
    assert any("labelled queries are enough" in line for line in lines)


def test_a_cheap_model_that_is_as_good_on_some_tasks_saves() -> None:
    advice = advise(
        tasks({"sums": (1.0, 1.0), "verbs": (1.0, 1.0), "maps": (0.1, 0.95)}, (1.0, 20.0)), replicates=200, jobs=1
    )
    assert (advice.action, advice.router) == ("route to save", "task_soft")
    assert advice.verdict is not None
    assert advice.verdict.offers[1].saving.value > 0.4  # up to 2/3 of the queries at a twentieth of the price


def test_tasks_that_text_does_not_tell_are_routed_by_task() -> None:
    rng = np.random.default_rng(0)
    names = ["sums", "verbs"] * 200
    solved = (rng.random((400, 2)) < np.array([(0.9, 0.2), (0.2, 0.8)] * 200)).astype(float)
    text = [" ".join(f"w{word}" for word in rng.integers(0, 50, 6)) + f" {i}" for i in range(400)]
    advice = advise(Outcomes.of(text, ["a", "b"], solved, dataset=names), quick=True, jobs=1)
    assert advice.action == "route by task"
    assert advice.verdict is not None
    assert advice.verdict.table is not None
    assert advice.verdict.table.gains


def test_without_costs_or_scores_there_is_no_saving_and_no_crash() -> None:
    outcomes = tasks({"sums": (0.9, 0.2), "verbs": (0.2, 0.9)})
    score = outcomes.score.copy()
    score[::9, 0] = np.nan
    unpriced = Outcomes.of(list(outcomes.queries.text), outcomes.models, score, dataset=outcomes.dataset.tolist())
    advice = advise(unpriced, quick=True, jobs=1)
    assert advice.verdict is not None
    assert not advice.verdict.priced
    worse = Outcomes.of([f"q {i}" for i in range(200)], ["a", "b"], [[1.0, float(i % 5 == 0)] for i in range(200)])
    assert advise(worse, quick=True, jobs=1).action == "do not route"
    with pytest.raises(ValueError, match="needs a measured score"):
        advise(Outcomes.of(["q", "r"], ["a"], [[np.nan], [np.nan]]), quick=True, jobs=1)


@pytest.mark.slow
def test_the_verdict_is_that_of_a_bench_of_the_same_routers_in_every_number(tmp_path: Path) -> None:
    """`advise`, the end of `bench`, its report and its page have one verdict, made once."""
    table = tasks({"sums": (0.9, 0.4), "verbs": (0.3, 0.9), "maps": (0.9, 0.5)}, n=60)
    advice = advise(table, quick=True, jobs=1)
    routers = ["best_single", "task_soft", "gated:router=knn"]
    bench(table, tmp_path / "runs", routers=routers, seeds=[42], jobs=1)
    board = report(tmp_path / "runs", samples=200)
    assert advice.verdict == board.verdict
    assert board.verdict is not None
    said = orjson.loads(orjson.dumps(advice_dict(advice)["verdict"]))
    assert said == orjson.loads(orjson.dumps(board.to_dict()["verdict"]))
    assert (said["action"], said["says"]) == (advice.action, headline(board.verdict))
    assert advice_lines(advice)[0] == headline(board.verdict)


@pytest.mark.slow
@pytest.mark.parametrize("each", [3, 10])
def test_few_queries_cannot_tell_and_say_what_they_would_not_show(each: int) -> None:
    equal = (np.random.default_rng(0).random((12 * each, 3)) < 0.6).astype(float)
    names = [f"task {i % 12}" for i in range(len(equal))]
    advice = advise(Outcomes.of([f"q {i}" for i in range(len(equal))], ["a", "b", "c"], equal, dataset=names), jobs=1)
    assert advice.action == "cannot tell"
    said = advice_lines(advice)
    assert said[0].startswith("Cannot tell whether to route: a lead ")
    assert "need not show" in said[0]


def test_it_says_when_reading_cheap_replies_first_can_pay() -> None:
    table = Outcomes.of(
        [f"q {i}" for i in range(80)],
        ["cheap", "dear"],
        [[i % 2, 1] if i < 40 else [0, 1] for i in range(80)],
        dataset=["some"] * 40 + ["none"] * 40,
        cost=np.tile([1.0, 10.0], (80, 1)),
    )
    said = advice_lines(advise(table, quick=True, replicates=50))
    assert (
        "Reading cheap replies first (agreement): costs at least, of the bill of dear: some 60.0 %;"
        " the cheap calls cost more than they can save on none" in said
    )
    priceless = replace(table, cost=np.full_like(table.cost, np.nan))
    said = advice_lines(advise(priceless, quick=True, replicates=50))
    assert "Reading cheap replies first (agreement) cannot pay: no model costs below 15 % of dear." in said


def test_the_command_prints_one_object(tmp_path: Path) -> None:
    write_outcomes(tasks({"sums": (0.9, 0.2), "verbs": (0.2, 0.9)}), tmp_path / "data")
    words = [sys.executable, "-m", "llmrouterbench.cli", "advise", str(tmp_path / "data"), "--quick"]
    said = orjson.loads(subprocess.run([*words, "--json"], check=True, stdout=subprocess.PIPE).stdout)
    assert said["action"].startswith("route for quality")
    assert {"recommendation", "because", "headroom", "needless", "verdict", "candidates", "learning"} <= set(said)
    text = subprocess.run(words, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    assert text.startswith(said["recommendation"])


def test_the_command_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "llmrouterbench.cli", "advise", str(tmp_path / "nothing")]
    done = subprocess.run(words, capture_output=True, encoding="utf-8")
    assert done.returncode == 1
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.prove
@pytest.mark.parametrize(
    ("source", "setting", "action", "router"),
    [
        ("bench-release-slice.tar.gz", "performance", "cannot tell", None),
        ("bench-release-slice.tar.gz", "performance-cost", "cannot tell", None),
        ("llmrouter", None, "route for quality", "task_soft"),
        ("routerbench/routerbench_zs", None, "cannot tell", None),
        ("routellm", None, "do not route", None),
    ],
)
def test_real_data_get_the_advice_that_docs_results_supports(
    source: str, setting: str | None, action: str, router: str | None, tmp_path: Path
) -> None:
    if not DATA.is_dir():
        pytest.skip("needs the shared data beside the repository")
    import_outcomes(DATA / source, tmp_path / "data", replies=False)
    outcomes = Outcomes.load(tmp_path / "data", setting)
    advice = advise(outcomes)
    assert (advice.action, advice.router) == (action, router)


def test_advice_is_written_with_the_learning_curve(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    advice = advise(tasks({"sums": (0.9, 0.2), "verbs": (0.2, 0.9), "maps": (0.9, 0.2)}), replicates=100, jobs=1)
    write_advice(advice, tmp_path)
    assert (tmp_path / "advice.md").read_text().startswith("Route with task_soft: +")
    assert orjson.loads((tmp_path / "advice.json").read_bytes())["router"] == "task_soft"
    rows = (tmp_path / "learning.csv").read_text().splitlines()
    points = sum(len(curve.size) for curve in advice.learning)
    assert len(rows) == 1 + points + 1, "a header, a line a point, and the level of no gain"
    last = advice.learning[0].gain[-1].value
    assert any(row.split(",")[2] == str(100 * last) for row in rows[1:])
    assert (tmp_path / "learning.png").stat().st_size > 1000
