"""The bench: decisions on disk, resumed, and nothing of the test part in them."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
import pytest

from llmrouterbench.benching.bench import bench, router_entries
from llmrouterbench.benching.deciding import decide
from llmrouterbench.benching.folder import Decisions, Made, Runs, load_runs, meter
from llmrouterbench.benching.following import PolicyRouter
from llmrouterbench.benching.policies import run
from llmrouterbench.checks.router import planted_table
from llmrouterbench.contracts import Ask
from llmrouterbench.files import read_json, write_json
from llmrouterbench.importers import import_outcomes
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.routers import REGISTRY, make_router
from llmrouterbench.routers.routellm import RouteLLM
from llmrouterbench.simulation.simulate import simulate
from llmrouterbench.splits import load_split, make_split
from llmrouterbench.store import read_replies, write_outcomes
from llmrouterbench.studies.peaks import peaks_on_test
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    return simulate("performance-cost", scale=0.03)


def test_bench_writes_every_decision_and_numbers_follow_from_them(tmp_path: Path, outcomes: Outcomes) -> None:
    runs = bench(outcomes, tmp_path / "r", routers=["best_single", "avengers_pro:k=8"], seeds=[42, 999], jobs=2)
    assert sorted(runs.decisions) == [
        ("avengers_pro:k=8", 42), ("avengers_pro:k=8", 999), ("best_single", 42), ("best_single", 999),
    ]  # fmt: skip
    assert runs.missing == []
    decided = runs.decisions["avengers_pro:k=8", 42]
    score, cost = meter(decided.parts["test"], runs.outcomes, 101)
    rows = decided.parts["test"].rows
    assert rows.tolist() == runs.splits[42].test.tolist()
    choice = decided.parts["test"].model.reshape(101, len(rows))
    np.testing.assert_array_equal(score, runs.outcomes.score[rows, choice])
    np.testing.assert_array_equal(cost, runs.outcomes.cost[rows, choice])
    assert set(decided.parts["validation"].rows) <= set(runs.splits[42].train)
    said = " ".join(leaderboard(runs, samples=20).notes)
    assert "Few training queries to choose an operating point on" in said
    assert "what the methods would give on new data" in said


def test_one_core_writes_a_dial_that_is_a_view_of_another(tmp_path: Path) -> None:
    """A worker of many sends arrays in one piece; in this process they may be views."""
    outcomes = Outcomes.of([f"question {i % 7} {i}" for i in range(40)], ["a", "b"], np.eye(2)[np.arange(40) % 2])
    outcomes = replace(outcomes, cost=np.tile([1.0, 2.0], (40, 1)))
    label = "routellm:epochs=1,dim=4"
    runs = bench(outcomes, tmp_path / "r", routers=[label], seeds=[42], jobs=1)
    assert runs.decisions[label, 42].weights.tolist() == RouteLLM.weights.tolist()
    assert not RouteLLM.weights.flags.c_contiguous


def test_the_random_start_of_a_router_is_that_of_the_split(tmp_path: Path, outcomes: Outcomes) -> None:
    routers = ["avengers:k=4", "avengers:k=4,seed=42", "knn:k=5"]
    runs = bench(outcomes, tmp_path / "r", routers=routers, seeds=[42, 999], jobs=1)

    def starts(runs: Runs) -> list[int]:
        return [runs.decisions[label, seed].facts["settings"]["seed"] for label in routers[:2] for seed in (42, 999)]

    assert starts(runs) == [42, 999, 42, 42]
    assert load_runs(tmp_path / "r").rules.router_seed == "split"
    fixed = bench(outcomes, tmp_path / "f", routers=routers[:2], seeds=[42, 999], jobs=1, router_seed="fixed")
    assert starts(fixed) == [42, 42, 42, 42]
    named = runs.decisions[routers[1], 999].parts["test"].model
    np.testing.assert_array_equal(fixed.decisions[routers[0], 999].parts["test"].model, named)
    with pytest.raises(ValueError, match="same router_seed, got 'split' there and 'fixed' here"):
        bench(outcomes, tmp_path / "r", routers=routers, seeds=[42], jobs=1, router_seed="fixed")
    with pytest.raises(ValueError, match="no router seed named 'splits'; did you mean 'split'"):
        bench(outcomes, tmp_path / "n", routers=routers, seeds=[42], router_seed="splits")


@pytest.mark.slow
def test_policies_are_measured_like_any_router(tmp_path: Path) -> None:
    table, budget = planted_table(1200), 0.0012
    words = [f"best --budget {budget}", "cheapest --min-quality 0.7", "strong-share 0.2 --strong bravo"]
    runs = bench(table, tmp_path / "runs", routers=["knn:k=15", "avengers_pro:k=3"], policies=words, seeds=[1], jobs=1)
    assert len(runs.routers) == 8
    assert f"knn:k=15, best --budget {budget}/query" in runs.routers
    for (label, _), decided in runs.decisions.items():
        if "," not in label:
            continue
        score, cost = (plane[0].mean() for plane in meter(decided.parts["test"], table, 1))
        if "budget" in label:
            assert 0.7 * budget < cost < 1.05 * budget
        if "quality" in label:
            assert 0.67 < score < 0.85
        if "strong" in label:
            assert 0.1 < (decided.parts["test"].model == table.models.index("bravo")).mean() < 0.25
    again = bench(table, tmp_path / "runs", routers=["knn:k=15"], policies=words[:1], seeds=[1], jobs=1)
    assert again.routers == runs.routers


def test_a_policy_needs_a_router_that_decides_first_and_is_given_by_name(tmp_path: Path) -> None:
    assert PolicyRouter("knn:k=5", "best --budget 1").policy == "best --budget 1/query"
    with pytest.raises(ValueError, match="a router that decides before any reply, got 'cascade_routing:mode=reply'"):
        PolicyRouter("cascade_routing:mode=reply", "best")
    with pytest.raises(ValueError, match="no policy named 'bst'"):
        router_entries(["knn"], ["bst"])
    with pytest.raises(ValueError, match="routers must be given by name to follow policies, got 'mine'"):
        bench(planted_table(60), tmp_path / "runs", routers={"mine": make_router("knn")}, policies=["best"])


def test_routers_by_label_are_objects_or_names() -> None:
    mixed = router_entries({"mine": make_router("knn"), "theirs": "knn:k=3"})
    assert [mixed["theirs"].k, list(mixed)] == [3, ["mine", "theirs"]]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"router 'mine' must be .* an object, got the class type"):
        router_entries({"mine": type(type)})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"router 'mine' must be .* an object, got 5"):
        router_entries({"mine": 5})  # type: ignore[dict-item]


def test_a_second_call_fits_nothing_and_more_seeds_extend(tmp_path: Path, outcomes: Outcomes) -> None:
    bench(outcomes, tmp_path / "r", routers=["best_single"], seeds=[42], jobs=1)
    file = tmp_path / "r" / "decisions" / "best_single" / "42.parquet"
    before = file.stat().st_mtime_ns
    runs = bench(outcomes, tmp_path / "r", routers=["best_single", "knn:k=5"], seeds=[42, 7], jobs=1)
    assert file.stat().st_mtime_ns == before
    assert sorted(runs.decisions) == [("best_single", 7), ("best_single", 42), ("knn:k=5", 7), ("knn:k=5", 42)]


def test_other_data_or_protocol_in_the_folder_is_refused(tmp_path: Path, outcomes: Outcomes) -> None:
    bench(outcomes, tmp_path / "r", routers=["best_single"], seeds=[42], jobs=1)
    with pytest.raises(ValueError, match="must hold runs of the same split"):
        bench(outcomes, tmp_path / "r", routers=["best_single"], seeds=[42], split="paper", jobs=1)
    with pytest.raises(ValueError, match="must hold runs of the same data_hash"):
        bench(outcomes.take(np.arange(100)), tmp_path / "r", routers=["best_single"], seeds=[42], jobs=1)


TRAINED = ("mlp", "gbm", "irt", "svm", "cascade_routing", "equirouter")
"""Routers that need no extra, and seconds to be fitted."""


def test_parallel_and_sequential_runs_decide_alike(tmp_path: Path, outcomes: Outcomes) -> None:
    routers = [name for name, entry in REGISTRY.items() if not entry.needs and name not in TRAINED]
    assert len(routers) >= 15
    one, two = (bench(outcomes, tmp_path / str(jobs), routers=routers, seeds=[1], jobs=jobs) for jobs in (1, 2))
    assert sorted(one.decisions) == sorted(two.decisions) == [(name, 1) for name in sorted(routers)]
    for pair, decided in one.decisions.items():
        other = two.decisions[pair]
        assert (decided.weights.tolist(), decided.facts["key"]) == (other.weights.tolist(), other.facts["key"])
        for part, served in decided.parts.items():
            for name, values in vars(served).items():
                np.testing.assert_array_equal(values, getattr(other.parts[part], name), err_msg=f"{pair} {part}")


def test_a_split_from_a_file_is_the_same_for_every_seed(tmp_path: Path, outcomes: Outcomes) -> None:
    """`split` writes it, `bench --split` and `export --split` read it; seeds vary the folds of train alone."""
    write_outcomes(outcomes, tmp_path / "data")

    def command(*words: str) -> None:
        subprocess.run([sys.executable, "-m", "llmrouterbench", *words], cwd=tmp_path, check=True, capture_output=True)

    command("split", "data", "--to", "mine.json", "--seed", "5", "--ratio", "0.5")
    command("export", "data", "--for", "avengers", "--to", "files", "--split", "mine.json")
    options = ["--routers", "best_single,knn:k=5", "--seeds", "1,2", "--jobs", "1"]
    command("bench", "data", "--out", "r", "--split", "mine.json", *options)
    runs, split = load_runs(tmp_path / "r"), load_split(tmp_path / "mine.json", outcomes)
    assert {one.hash for one in runs.splits.values()} == {split.hash}
    assert read_json(tmp_path / "files" / "export.json")["split"]["hash"] == split.hash
    assert (runs.rules.split_kind, runs.rules.split, runs.made.split) == ("file", "mine.json", split.hash)
    checked = [set(runs.decisions["knn:k=5", seed].parts["validation"].rows.tolist()) for seed in (1, 2)]
    assert checked[0] == checked[1] == set(split.train.tolist())
    single = [runs.decisions["best_single", seed].parts["test"].model.tolist() for seed in (1, 2)]
    assert single[0] == single[1], "it has no dial to choose on validation"
    said = "".join((tmp_path / "r" / "report" / "leaderboard.md").read_text())
    assert "Split: mine.json; seeds 1, 2" in said
    assert "seeds vary the validation part alone, so the intervals do not cover the choice of the split" in said

    ids = outcomes.queries.id
    parts = [(ids[row], part) for part in ("train", "test") for row in getattr(split, part)]
    (tmp_path / "same.csv").write_text("\n".join(["id,part", *(f"{id},{part}" for id, part in parts)]))
    before = load_runs(tmp_path / "r").decisions["best_single", 1].facts
    again = bench(
        outcomes, tmp_path / "r", split=str(tmp_path / "same.csv"), routers=["best_single"], seeds=[1, 3], jobs=1
    )
    assert (again.decisions["best_single", 1].facts, again.seeds) == (before, [1, 2]), "the same by another name"
    assert again.decisions["best_single", 3].parts["test"].model.tolist() == single[0]
    (tmp_path / "less.csv").write_text("\n".join(["id,part", *(f"{id},{part}" for id, part in parts[1:])]))
    with pytest.raises(ValueError, match="must hold runs of the same split file, got '.*' there and '.*' here"):
        bench(outcomes, tmp_path / "r", split=str(tmp_path / "less.csv"), routers=["best_single"], seeds=[1], jobs=1)
    with pytest.raises(ValueError, match="must hold runs of the same split, got"):
        bench(outcomes, tmp_path / "r", routers=["best_single"], seeds=[1], jobs=1)
    less = bench(outcomes, tmp_path / "l", split=str(tmp_path / "less.csv"), routers=["best_single"], seeds=[1], jobs=1)
    assert any("1 queries are in neither part" in note for note in leaderboard(less, samples=10).notes)


class Peeping:
    """A router that writes down every query it is shown."""

    def __init__(self) -> None:
        self.shown: set[str] = set()

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def fit(self, train: Outcomes) -> Self:
        self.models_ = train.models
        self.shown |= set(train.queries.id.tolist())
        return self

    def predict(self, queries: Queries) -> Estimate:
        assert not hasattr(queries, "score")
        assert not hasattr(queries, "dataset")
        shape = (len(queries), len(self.models_))
        return Estimate(self.models_, np.zeros(shape), np.zeros(shape))


def test_a_router_is_never_fitted_on_test_queries(outcomes: Outcomes) -> None:
    router = Peeping()
    split = make_split(outcomes, 42)
    decide(outcomes, split, router, 0.2, 42)
    assert router.shown == set(outcomes.queries.id[split.train].tolist())


def test_changing_test_outcomes_changes_no_decision(outcomes: Outcomes) -> None:
    split = make_split(outcomes, 42)
    rng = np.random.default_rng(0)
    embedding = rng.standard_normal((len(outcomes), 8))
    real = outcomes.with_embedding(embedding / np.linalg.norm(embedding, axis=1, keepdims=True))
    score, cost = real.score.copy(), real.cost.copy()
    score[split.test], cost[split.test] = 1.0 - score[split.test], 7.0
    forged = replace(real, score=score, cost=cost)
    for name in ("knn", "avengers_pro", "best_single"):
        one, other = (decide(table, split, make_router(name), 0.2, 42) for table in (real, forged))
        np.testing.assert_array_equal(one.parts["test"].model, other.parts["test"].model)


class Drifting:
    """A router that trains for four epochs, serves model e after epoch e, and keeps epoch 2."""

    weights = np.array([0.0, 1.0])

    def fit(self, train: Outcomes) -> Self:
        return self.fit_watched(train)

    def fit_watched(self, train: Outcomes, watch: Callable[[Any], None] | None = None) -> Self:
        self.models_ = train.models
        for self.epoch_ in range(4):
            if watch is not None:
                watch(self)
        self.epoch_ = 2
        return self

    def predict(self, queries: Queries) -> Estimate:
        score = np.tile(np.arange(len(self.models_)) == self.epoch_, (len(queries), 1)).astype(float)
        return Estimate(self.models_, score, np.zeros(score.shape))

    def decide_sweep(self, queries: Queries, weights: FloatArray) -> IntArray:
        return np.array([np.full(len(queries), self.epoch_ if weight == 0 else 0) for weight in weights])


@pytest.fixture(scope="module")
def four_models() -> Outcomes:
    """Model m of four is right with chance (0.2, 0.4, 0.5, 0.9)[m]."""
    rng = np.random.default_rng(0)
    score = (rng.random((200, 4)) < (0.2, 0.4, 0.5, 0.9)).astype(float)
    texts, names = [f"question number {row} of many" for row in range(200)], ["a", "b"] * 100
    return Outcomes.of(texts, list("wxyz"), score, dataset=names, cost=np.tile([1.0, 2.0, 3.0, 4.0], (200, 1)))


def test_the_papers_protocol_adds_the_peak_on_test_and_changes_nothing_else(
    tmp_path: Path, four_models: Outcomes
) -> None:
    options: dict[str, Any] = {"routers": {"drifting": Drifting(), "best_single": make_router("best_single")}}
    options |= {"seeds": [42, 7], "jobs": 1, "split": "paper"}
    safe = bench(four_models, tmp_path / "safe", **options)
    paper = bench(four_models, tmp_path / "paper", protocol="paper", **options)
    assert paper.rules.split_kind == paper.rules.protocol == "paper"
    for key, decided in paper.decisions.items():
        assert ("checkpoints" in decided.parts) == (key[0] == "drifting")
        for part in ("validation", "test"):
            np.testing.assert_array_equal(decided.parts[part].model, safe.decisions[key].parts[part].model)
    plain, board = (leaderboard(runs, samples=20) for runs in (safe, paper))
    assert [row.peak_on_test for row in plain.rows] == [None] * len(plain.rows)
    by_hand = np.mean([_avg_acc(four_models, paper.splits[seed].test, 3) for seed in (42, 7)])
    assert board["drifting"].peak_on_test == pytest.approx(by_hand)
    assert board["best_single"].peak_on_test == pytest.approx(board["best_single"].avg_acc.value)
    assert board["Oracle"].peak_on_test is None
    stripped = [replace(row, peak_on_test=None) for row in board.rows]
    assert repr(stripped) == repr(list(plain.rows)), "no other number knows of the checkpoints"


def _avg_acc(outcomes: Outcomes, rows: IntArray, model: int) -> float:
    return float(np.mean([outcomes.score[rows[outcomes.dataset[rows] == name], model].mean() for name in ("a", "b")]))


def test_forged_test_scores_change_the_peak_and_no_choice(four_models: Outcomes) -> None:
    split = make_split(four_models, 42, kind="paper")
    score = four_models.score.copy()
    score[split.test] = score[split.test][:, ::-1]
    forged = replace(four_models, score=score)
    one, other = (decide(table, split, Drifting(), 0.2, 42, watched=True) for table in (four_models, forged))
    assert list(one.parts) == ["validation", "test", "checkpoints"]
    for part in one.parts:
        np.testing.assert_array_equal(one.parts[part].model, other.parts[part].model)
    runs = Runs(four_models, {42: split}, {("drifting", 42): one}, Made.of(["drifting"], [42]))
    peaks = [peaks_on_test(runs, table)["drifting"] for table in (four_models, forged)]
    assert peaks == pytest.approx(
        [max(_avg_acc(table, split.test, m) for m in range(4)) for table in (four_models, forged)]
    )


def test_checkpoints_survive_the_disk_and_files_without_them_load(tmp_path: Path, four_models: Outcomes) -> None:
    split = make_split(four_models, 42, kind="paper")
    for watched, points in ((True, 4), (False, None)):
        decide(four_models, split, Drifting(), 0.2, 42, watched=watched).save(tmp_path / "d.parquet")
        back = Decisions.load(tmp_path / "d.parquet")
        assert ("checkpoints" in back.parts) == watched
        if points:
            assert back.points("checkpoints") == points
            assert back.parts["checkpoints"].model.reshape(4, -1).T.tolist() == [[0, 1, 2, 3]] * len(split.test)


def test_a_folder_keeps_its_protocol_and_older_ones_are_safe(tmp_path: Path, four_models: Outcomes) -> None:
    options: dict[str, Any] = {"routers": ["best_single"], "seeds": [42], "jobs": 1, "split": "paper"}
    bench(four_models, tmp_path / "r", **options)
    file, path = tmp_path / "r" / "decisions" / "best_single" / "42.parquet", tmp_path / "r" / "runs.json"
    before = file.stat().st_mtime_ns
    write_json(path, {name: value for name, value in read_json(path).items() if name != "protocol"})
    assert bench(four_models, tmp_path / "r", **options).rules.protocol == "safe"
    assert file.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="must hold runs of the same protocol, got 'safe' there and 'paper' here"):
        bench(four_models, tmp_path / "r", protocol="paper", **options)
    with pytest.raises(ValueError, match="protocol 'paper' has the split 'paper', got 'safe'"):
        bench(four_models, tmp_path / "p", protocol="paper", **{**options, "split": "safe"})
    with pytest.raises(ValueError, match="no protocol named 'papers'; did you mean 'paper'"):
        bench(four_models, tmp_path / "p", protocol="papers", **options)


def test_decisions_of_a_cascade_survive_the_disk(tmp_path: Path) -> None:
    class Both:
        def decide(self, queries: Queries, ask: Ask) -> IntArray | FloatArray:
            for row in range(len(queries)):
                ask(row, 0)
            return np.ones(len(queries), dtype=np.int64)

    from llmrouterbench.benching.folder import Served

    table = Outcomes.of(["a", "b"], ["m", "n"], [[0.0, 1.0], [1.0, 0.5]], cost=[[1.0, 2.0], [3.0, 4.0]])
    paid = run(Both(), table, {(0, 0): "", (1, 0): ""})
    nothing = Served.single(np.zeros(0, np.int64), np.zeros((1, 0), np.int64))
    part = Served.dense(np.arange(2), paid.served, paid.called)
    Decisions("both", 1, np.zeros(1), {"validation": nothing, "test": part}).save(tmp_path / "d.parquet")
    back = Decisions.load(tmp_path / "d.parquet")
    score, cost = meter(back.parts["test"], table, 1)
    assert (score.tolist(), cost.tolist()) == ([[1.0, 0.5]], [[3.0, 7.0]])


@pytest.fixture(scope="module")
def with_replies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored log of two models whose replies mostly sound unsure when they are wrong; the second one costs more."""
    rng = np.random.default_rng(0)
    right = rng.random((120, 2)) < (0.5, 0.8)
    unsure = right == (rng.random((120, 2)) < 0.05)
    lines = [
        orjson.dumps(
            {
                "query": f"question {row} about {'history' if row % 2 else 'algebra'}",
                "dataset": f"d{row % 2}",
                "model": f"m{model}",
                "score": float(right[row, model]),
                "cost": 0.001 * (1 + 3 * model),
                "reply": "" if (row, model) == (7, 0) else "I am not sure" if unsure[row, model] else "It is 7.",
            }
        )
        for row in range(120)
        for model in range(2)
    ]
    folder = tmp_path_factory.mktemp("log")
    (folder / "log.jsonl").write_bytes(b"\n".join(lines))
    import_outcomes(folder / "log.jsonl", folder / "outcomes")
    return folder / "outcomes"


def test_bench_runs_a_cascade_on_stored_replies_and_pays_for_every_call(tmp_path: Path, with_replies: Path) -> None:
    label = "cascade_routing:mode=reply"
    runs = bench(with_replies, tmp_path / "r", routers=[label], seeds=[42], jobs=1)
    decided = runs.decisions[label, 42]
    points = len(decided.weights)
    outcomes, split = Outcomes.load(with_replies), runs.splits[42]
    said = read_replies(with_replies, outcomes)
    assert said[7, 0] == ""
    assert len(said) == 240
    for part in decided.parts.values():
        calls = np.bincount(part.point * len(part.rows) + part.query, weights=part.called, minlength=points)
        assert set(calls.reshape(points, -1).max(axis=1)) >= {1.0, 2.0}
    score, cost = meter(decided.parts["test"], outcomes, points)
    best = outcomes.take(split.train).score.mean(axis=0).argmax()
    assert score.mean(axis=1).max() > outcomes.score[split.test, best].mean() + 0.05
    assert (cost.mean(axis=1).max(), cost.mean(axis=1).min()) == pytest.approx((0.005, 0.001), abs=0.002)


def test_a_cascade_without_stored_replies_is_refused(tmp_path: Path, outcomes: Outcomes, with_replies: Path) -> None:
    write_outcomes(outcomes, tmp_path / "bare")
    with pytest.raises(ValueError, match="reads replies, the outcomes hold none; import the source with --replies"):
        bench(tmp_path / "bare", tmp_path / "r", routers=["cascade_routing:mode=reply"], seeds=[42], jobs=1)
    with pytest.raises(ValueError, match="needs replies to be fitted"):
        make_router("cascade_routing", mode="reply").fit(Outcomes.load(with_replies))


def test_bad_requests(tmp_path: Path, outcomes: Outcomes) -> None:
    with pytest.raises(ValueError, match="no router named 'knm'; did you mean 'knn'"):
        router_entries(["knm"])
    with pytest.raises(ValueError, match="at least one router to fit"):
        router_entries(["random", "oracle"])
    with pytest.raises(FileNotFoundError, match="must be a folder of runs, got"):
        load_runs(tmp_path)


_KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import sklearn.decomposition, sklearn.feature_extraction.text
from llmrouterbench.benching.bench import bench

place, empty = Path(sys.argv[1]), sys.argv[2] == "empty"
options = {"routers": ["best_single", "knn:k=3"], "seeds": [1, 2], "jobs": 1}

def in_a_child(work):  # this process itself starts no threads, which a fork would not survive
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1]

def killed(at):
    def watch(event, arguments, left=[at]):
        changes = event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir") or (
            event == "open" and set(str(arguments[1])) & set("wxa+"))
        if changes and any(isinstance(one, (str, Path)) and str(one).startswith(str(place)) for one in arguments):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)
    bench(sys.argv[3], place / "r", **options)

def goes_on():
    undecided = not list(place.glob("r/decisions/*/*.parquet"))
    if undecided:
        shutil.copytree(place, place.with_name("other"))
        bench(sys.argv[3], place.with_name("other") / "r", **{**options, "seeds": [7]}, validation=0.3)
        shutil.rmtree(place.with_name("other"))
    runs = bench(sys.argv[3], place / "r", **options)
    left = [*place.glob(".*"), *place.rglob(".*.partial-*"), *place.rglob(".*.old-*")]
    assert not left, left
    keys = sorted((*pair, decided.facts["key"]) for pair, decided in runs.decisions.items())
    print(undecided, runs.seeds, keys, flush=True)

at = 1
while True:
    shutil.rmtree(place, ignore_errors=True)
    (place / "r" if empty else place).mkdir(parents=True)
    if in_a_child(lambda: killed(at)) == 0:
        break
    assert in_a_child(goes_on) == 0, f"killed at change {at}"
    at += 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("before", ["nothing", "empty"])
def test_killed_at_any_change_of_the_folder_it_goes_on_and_ends_the_same(
    before: str, tmp_path: Path, outcomes: Outcomes
) -> None:
    """`kill -9` before the first, the second, ... file that is opened, renamed or removed, until it ends by itself."""
    write_outcomes(outcomes.take(np.arange(0, len(outcomes), 5)), tmp_path / "data")
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "place"), before, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) > 15
    assert len({line.partition(" ")[2] for line in lines}) == 1
    assert {line.partition(" ")[0] for line in lines} == {"True", "False"}


def test_a_router_outside_is_replayed_and_never_chosen(tmp_path: Path) -> None:
    from llmrouterbench.reporting.leaderboard import leaderboard

    score = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, np.nan]] * 10)
    table = Outcomes.of(
        [f"question {i} of {i * i}" for i in range(30)], ["m", "n", "openrouter"], score, cost=np.ones((30, 3))
    )
    table = replace(table, outside=("openrouter",))
    runs = bench(table, tmp_path / "r", routers=["best_single", "knn:k=3", "openrouter"], seeds=[1, 2], jobs=1)
    board = leaderboard(runs, samples=50)
    assert board["openrouter"].avg_acc.value == 1.0
    assert board["openrouter"].unmeasured > 0
    assert {row.name for row in board.of_kind("model")} == {"m", "n"}
    assert (runs.decisions["knn:k=3", 1].parts["test"].model < 2).all()
    assert board["Oracle"].avg_acc.value < 1.0  # it may not serve openrouter either
    with pytest.raises(ValueError, match="router 'openrouter' is replayed from stored outcomes"):
        bench(table.pool, tmp_path / "q", routers=["openrouter"], seeds=[1], jobs=1)
    in_pool = bench(replace(table, outside=()), tmp_path / "p", routers=["openrouter", "knn:k=3"], seeds=[1], jobs=1)
    assert in_pool.outcomes.outside == ("openrouter",)  # asked for as a router, it is no model to choose
