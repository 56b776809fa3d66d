"""Choices of outside routers: judged like our own, and refused with the record that is wrong."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.cluster import KMeans

from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Runs, load_runs, meter
from llmrouterbench.benching.outside import judge_choices
from llmrouterbench.exporters import export_inputs
from llmrouterbench.files import read_json
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.table import FloatArray, Outcomes

MODELS = ("ant", "bee", "cat")
SEEDS = (1, 2)


def texts_and_vectors(queries: int) -> tuple[list[str], FloatArray]:
    rng = np.random.default_rng(5)
    centre = np.eye(4)[rng.integers(0, 4, queries)]
    vectors = centre + 0.2 * rng.standard_normal((queries, 4))
    texts = [f"question {i}" for i in range(queries)]
    texts[7], vectors[7] = texts[3], vectors[3]  # a copy
    texts[40], vectors[40] = texts[41], vectors[41]
    return texts, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_table(queries: int = 60) -> Outcomes:
    rng = np.random.default_rng(6)
    texts, vectors = texts_and_vectors(queries)
    skill = rng.random((4, len(MODELS)))
    score = (rng.random((queries, len(MODELS))) < (vectors.clip(0) @ skill)).astype(float)
    score[5, 1] = 0.5
    names = ["odd" if i < queries // 2 else "even" for i in range(queries)]
    cost = rng.random((queries, len(MODELS))) + np.array([0.1, 1.0, 5.0])
    return Outcomes.of(texts, MODELS, score, dataset=names, cost=cost)


@pytest.fixture(scope="module")
def table() -> Outcomes:
    return make_table()


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> str:
    texts, vectors = texts_and_vectors(60)
    path = tmp_path_factory.mktemp("vectors") / "vectors.parquet"
    pl.DataFrame({"text": texts, "embedding": vectors.tolist()}).write_parquet(path)
    return f"file:{path}"


@pytest.fixture
def folder(tmp_path: Path, table: Outcomes, embedder: str) -> Path:
    options: dict[str, Any] = {"embedder": embedder, "jobs": 1, "cache": tmp_path / "cache"}
    bench(table, tmp_path / "runs", routers=["avengers:k=4"], seeds=SEEDS, split="paper", **options)
    return tmp_path / "runs"


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    frame = pl.DataFrame(records, infer_schema_length=None)
    if path.suffix == ".csv":
        frame.write_csv(path)
    elif path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        path.write_text("\n".join(json.dumps(record) for record in records))
    return path


def picks(runs: Runs, model: str = "bee", seeds: tuple[int, ...] = SEEDS) -> list[dict[str, Any]]:
    """One model for every test query."""
    ids = runs.outcomes.queries.id
    return [{"query": str(id), "seed": s, "model": model} for s in seeds for id in ids[runs.splits[s].test]]


# --- the round trip --------------------------------------------------------------------------------------------------


def plain_avengers(folder: Path, vector: dict[str, FloatArray], k: int, seed: int) -> list[str]:
    """Avengers in plain loops, from an export alone: the model of every line of test.jsonl."""

    def unit(line: Any) -> FloatArray:
        values: FloatArray = vector[line["query"]] / np.linalg.norm(vector[line["query"]])
        return values

    train, test = (
        [json.loads(line) for line in (folder / f"{part}.jsonl").read_text().splitlines()] for part in ("train", "test")
    )
    kmeans = KMeans(n_clusters=k, random_state=seed, n_init=10).fit(np.array([unit(line) for line in train]))
    best = []
    for cluster in range(k):
        members = [line["records"] for line, label in zip(train, kmeans.labels_, strict=True) if label == cluster]
        mean = {model: sum(records[model] for records in members) / len(members) for model in members[0]}
        best.append(min(mean, key=lambda model: (-mean[model], model)))
    return [best[int(np.argmin([1 - unit(line) @ centre for centre in kmeans.cluster_centers_]))] for line in test]


def test_an_outside_avengers_that_reads_only_the_export_ties_with_ours(
    tmp_path: Path, table: Outcomes, folder: Path
) -> None:
    texts, vectors = texts_and_vectors(60)
    vector = dict(zip(texts, vectors, strict=True))
    runs = load_runs(folder)
    parts = []
    for seed in SEEDS:
        export = tmp_path / f"export-{seed}"
        export_inputs(table, runs.splits[seed], "avengers", export, seed=seed)
        chosen = plain_avengers(export, vector, k=4, seed=42)
        lines = pl.DataFrame({"item": range(len(chosen)), "model": chosen})
        queries = pl.read_csv(export / "queries.csv", schema_overrides={"query": pl.String})
        joined = queries.filter(part="test").join(lines, on="item", maintain_order="left")
        parts.append(joined.select("query", "model", seed=pl.lit(seed)))
    pl.concat(parts).write_csv(tmp_path / "picks.csv")
    board = leaderboard(judge_choices(tmp_path / "picks.csv", folder, "theirs"), samples=20)
    ours, theirs = board["avengers:k=4"], board["theirs"]
    assert theirs.kind == "router"
    assert theirs.avg_acc.value == ours.avg_acc.value
    assert (theirs.accuracy, theirs.usd, theirs.unmeasured) == (ours.accuracy, ours.usd, 0)
    judged = load_runs(folder)
    for seed in SEEDS:
        one, other = (judged.decisions[name, seed].parts["test"] for name in ("theirs", "avengers:k=4"))
        assert dict(zip(one.rows[one.query], one.model, strict=True)) == dict(
            zip(other.rows[other.query], other.model, strict=True)
        )
    assert len({model for one in judged.decisions.values() for model in one.parts["test"].model.tolist()}) > 1


# --- forms of a file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_one_model_for_all_is_that_model(tmp_path: Path, folder: Path, suffix: str) -> None:
    records = picks(load_runs(folder))
    board = leaderboard(judge_choices(write(tmp_path / f"picks{suffix}", records), folder, "bees"), samples=20)
    assert board["bees"].avg_acc == board["bee"].avg_acc
    assert board["bees"].cost == board["bee"].cost
    entry = read_json(folder / "runs.json")["routers"][-1]
    assert entry == {"label": "bees", "class": "outside", "settings": {"outside_choices": [f"picks{suffix}"]}}
    assert entry in board.facts["routers"]


def test_a_file_without_seeds_serves_every_seed_that_it_covers(tmp_path: Path, folder: Path) -> None:
    runs = load_runs(folder)
    ids = runs.outcomes.queries.id
    everything = [{"query": str(id), "model": "cat"} for id in ids]  # train queries too: they are not judged
    judged = judge_choices(write(tmp_path / "all.csv", everything), folder, "cats")
    assert [seed for label, seed in judged.decisions if label == "cats"] == list(SEEDS)
    some = [{"query": str(id), "model": "cat"} for id in ids[runs.splits[2].test]]
    judged = judge_choices(write(tmp_path / "some.csv", some), folder, "later cats")
    assert ("later cats", 1) in judged.missing
    assert judged.decisions["later cats", 2].parts["test"].rows.tolist() == runs.splits[2].test.tolist()


def test_seeds_can_come_one_by_one_and_are_not_replaced_unasked(tmp_path: Path, folder: Path) -> None:
    runs = load_runs(folder)
    first, second = (write(tmp_path / f"{seed}.csv", picks(runs, seeds=(seed,))) for seed in SEEDS)
    assert ("bees", 2) in judge_choices(first, folder, "bees").missing
    judged = judge_choices(second, folder, "bees")
    assert judged.missing == []
    assert judged.made.routers[-1]["settings"] == {"outside_choices": ["1.csv", "2.csv"]}
    changed = write(tmp_path / "changed.csv", picks(runs, "ant", (2,)))
    with pytest.raises(FileExistsError, match="must have no decisions for seed 2 yet"):
        judge_choices(changed, folder, "bees")
    judged = judge_choices(changed, folder, "bees", overwrite=True)
    assert set(judged.decisions["bees", 2].parts["test"].model.tolist()) == {0}
    assert set(judged.decisions["bees", 1].parts["test"].model.tolist()) == {1}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_probabilities_give_the_expectation(tmp_path: Path, folder: Path, suffix: str) -> None:
    runs = load_runs(folder)
    records = [{"query": r["query"], "seed": r["seed"], "ant": 0.25, "cat": 0.75} for r in picks(runs)]
    judged = judge_choices(write(tmp_path / f"p{suffix}", records), folder, "dice")
    part = judged.decisions["dice", 1].parts["test"]
    score, cost = meter(part, runs.outcomes, 1)
    np.testing.assert_allclose(score[0], runs.outcomes.score[part.rows] @ [0.25, 0.0, 0.75])
    np.testing.assert_allclose(cost[0], runs.outcomes.cost[part.rows] @ [0.25, 0.0, 0.75])


def dial(runs: Runs, validation: bool = True) -> list[dict[str, Any]]:
    """Three operating points, one for each model; validation queries are the first ten of train."""
    records = []
    for seed in SEEDS:
        parts = {"test": runs.splits[seed].test, "validation": runs.splits[seed].train[:10]}
        for part, rows in parts.items():
            for point, model in ((0.0, "ant"), (0.5, "bee"), (1.0, "cat")):
                ids = runs.outcomes.queries.id[rows].tolist() if validation or part == "test" else []
                records += [{"query": q, "seed": seed, "part": part, "point": point, "model": model} for q in ids]
    return records


def test_operating_points_are_chosen_on_validation(tmp_path: Path, folder: Path) -> None:
    runs = load_runs(folder)
    judged = judge_choices(write(tmp_path / "dial.csv", dial(runs)), folder, "dial")
    board = leaderboard(judged, samples=20)
    assert board["dial"].points == 3
    points = [(point.weight, point.avg_acc) for point in board.points if point.name == "dial"]
    assert [weight for weight, _ in points] == [0.0, 0.5, 1.0]
    np.testing.assert_allclose([acc for _, acc in points], [board[model].avg_acc.value for model in MODELS])
    by_seed = []
    for seed in SEEDS:
        rows = judged.decisions["dial", seed].parts["validation"].rows
        assert rows.tolist() == runs.splits[seed].train[:10].tolist()
        score, names = runs.outcomes.score[rows], runs.outcomes.dataset[rows]
        best = np.mean([score[names == name].mean(axis=0) for name in sorted(set(names.tolist()))], axis=0).argmax()
        test = runs.splits[seed].test
        score, names = runs.outcomes.score[test], runs.outcomes.dataset[test]
        by_seed.append(np.mean([score[names == name, best].mean() for name in ("even", "odd")]))
    assert board["dial"].avg_acc.value == pytest.approx(np.mean(by_seed))


def test_points_without_validation_choices_are_refused(tmp_path: Path, folder: Path) -> None:
    runs = load_runs(folder)
    path = write(tmp_path / "dial.csv", dial(runs, validation=False))
    with pytest.raises(ValueError, match=r"must have choices on validation queries .* 3 operating points, got none"):
        judge_choices(path, folder, "dial")
    short = [r for r in dial(runs) if r["part"] == "test" or r["point"] < 1 or r["seed"] == 1]
    with pytest.raises(ValueError, match="at every point for a validation query, got 2 of 3 for .* of seed 2"):
        judge_choices(write(tmp_path / "short.csv", short), folder, "dial")
    judge_choices(write(tmp_path / "first.csv", picks(runs, seeds=(1,))), folder, "mixed")
    second = [r for r in dial(runs) if r["seed"] == 2]
    with pytest.raises(ValueError, match="as many operating points in every seed, got 3 here and 1 before"):
        judge_choices(write(tmp_path / "second.csv", second), folder, "mixed")


# --- what is missing -------------------------------------------------------------------------------------------------


def test_missing_choices_are_refused_or_counted(tmp_path: Path, folder: Path) -> None:
    runs = load_runs(folder)
    records = picks(runs)
    records[0]["model"] = ""  # named, and empty
    path = write(tmp_path / "p.csv", records[:-1])  # one is not there at all
    n = len(runs.splits[1].test)
    first = records[0]["query"]
    with pytest.raises(ValueError, match=f"got none for 1 of {n} of seed 1 .first: '{first}'.; add them, or allow"):
        judge_choices(path, folder, "holes")
    judged = judge_choices(path, folder, "holes", allow_missing=True)
    assert [judged.decisions["holes", seed].facts["missing"] for seed in SEEDS] == [1, 1]
    row = leaderboard(judged, samples=20)["holes"]
    assert row.unmeasured == 2
    test = runs.splits[1].test
    score, _ = meter(judged.decisions["holes", 1].parts["test"], runs.outcomes, 1)
    assert score.shape == (1, n)
    np.testing.assert_array_equal(judged.decisions["holes", 1].parts["test"].rows, test)


def test_holes_in_a_file_without_seeds_need_the_seed(tmp_path: Path, folder: Path) -> None:
    runs = load_runs(folder)
    path = write(tmp_path / "p.csv", [{"query": r["query"], "model": "ant"} for r in picks(runs, seeds=(1,))[:-1]])
    with pytest.raises(ValueError, match="of seed 1 .*; say the seed in a column 'seed'"):
        judge_choices(path, folder, "holes", allow_missing=True)


# --- what is wrong ---------------------------------------------------------------------------------------------------


def spoilt(column: str, value: Any) -> Any:
    def change(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**record, column: value} if i == 2 else record for i, record in enumerate(records)]

    return change


def with_probabilities(**shares: Any) -> Any:
    def change(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"query": r["query"], "seed": r["seed"], **shares} for r in records]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoilt("query", "data/99"), "no query with id 'data/99' in these runs, in .*p.csv record 3"),
        (spoilt("query", None), "no query with id '' in these runs, in .*p.csv record 3"),
        (spoilt("model", "beee"), "no model named 'beee' in these runs, in .*p.csv record 3; did you mean 'bee'"),
        (spoilt("seed", 7), r"seed must be a seed of these runs \(1, 2\), got 7 in .*p.csv record 3"),
        (spoilt("seed", None), r"seed must be a seed of these runs \(1, 2\), got nothing in .*p.csv record 3"),
        (lambda r: [*r, r[0]], r"got a second one for '.*' in .*p.csv record 37 .the first is record 1.; remove one"),
        (lambda r: [{"query": x["query"]} for x in r], "must have a column 'query' and either a column 'model' or"),
        (lambda r: [{"model": x["model"]} for x in r], "must have a column 'query' and either"),
        (lambda r: [{**x, "ant": 1} for x in r], "must have a column 'query' and either a column 'model' or a column"),
        (lambda r: [{**x, "llm": "ant"} for x in r], "must have one column 'model', got"),
        (lambda r: [{**x, "part": "dev"} for x in r], "part must be 'test' or 'validation', got 'dev' in .* record 1"),
        (lambda r: [{**x, "point": "low"} for x in r], "point must be a number, got low in .*p.csv record 1"),
        (lambda r: [{**x, "part": "validation"} for x in r], "a validation choice must be about a query of the train"),
        (with_probabilities(ant=0.5, cat=0.4), "probabilities must sum to 1, got a sum of 0.9 in .*p.csv record 1"),
        (with_probabilities(ant=1.5, cat=-0.5), "ant must be between 0 and 1, got 1.5 in .*p.csv record 1"),
        (with_probabilities(ant=0.5, dog=0.5), "no model named 'dog' in these runs; .* .column of .*p.csv"),
        (with_probabilities(ant="much", cat=0), "ant must be a probability between 0 and 1, got much in .* record 1"),
        (with_probabilities(ant=1.0, cat=None), "probabilities must sum to 1, got one that is empty in .* record 1"),
    ],
)
def test_a_wrong_record_is_named_and_nothing_is_written(
    tmp_path: Path, folder: Path, change: Any, message: str
) -> None:
    before = (folder / "runs.json").read_bytes()
    path = write(tmp_path / "p.csv", change(picks(load_runs(folder))))
    with pytest.raises(ValueError, match=message):
        judge_choices(path, folder, "wrong")
    assert (folder / "runs.json").read_bytes() == before
    assert not (folder / "decisions" / "wrong").exists()


def test_a_test_choice_about_a_training_query_is_refused(tmp_path: Path, folder: Path) -> None:
    runs = load_runs(folder)
    records = picks(runs)
    train = str(runs.outcomes.queries.id[runs.splits[1].train[0]])
    records[4] = {**records[4], "query": train}
    with pytest.raises(
        ValueError, match=f"test choice must be about a query of the test part of seed 1, got '{train}' in"
    ):
        judge_choices(write(tmp_path / "p.jsonl", records), folder, "peeking")


def test_bad_files_and_names(tmp_path: Path, folder: Path) -> None:
    path = write(tmp_path / "p.csv", picks(load_runs(folder)))
    for name in ("avengers:k=4", "bee", "Oracle", "Best Single", "random"):
        with pytest.raises(ValueError, match="name must be free in these runs"):
            judge_choices(path, folder, name)
    with pytest.raises(ValueError, match="must have a name"):
        judge_choices(path, folder, " ")
    with pytest.raises(FileNotFoundError, match="got nothing at"):
        judge_choices(tmp_path / "no.csv", folder, "x")
    with pytest.raises(FileNotFoundError, match="must be a folder of runs"):
        judge_choices(path, tmp_path, "x")
    (tmp_path / "p.txt").write_text("query,model\n")
    with pytest.raises(ValueError, match="must be a .csv, .jsonl, .ndjson or .parquet file"):
        judge_choices(tmp_path / "p.txt", folder, "x")
    (tmp_path / "p.jsonl").write_text('{"query": "a", "model": ["ant"]}\n')
    with pytest.raises(ValueError, match=r"model must be a text or a number, got \['ant'\] in .*p.jsonl line 1"):
        judge_choices(tmp_path / "p.jsonl", folder, "x")


def test_outside_routers_stay_when_the_bench_goes_on(
    tmp_path: Path, table: Outcomes, folder: Path, embedder: str
) -> None:
    judge_choices(write(tmp_path / "p.csv", picks(load_runs(folder))), folder, "bees")
    options: dict[str, Any] = {"embedder": embedder, "jobs": 1, "cache": tmp_path / "cache"}
    runs = bench(table, folder, routers=["best_single"], seeds=SEEDS, split="paper", **options)
    assert runs.routers == ["avengers:k=4", "bees", "best_single"]
    assert runs.missing == []


def test_numeric_ids_of_a_parquet_file_are_understood(tmp_path: Path, embedder: str) -> None:
    numbered = make_table()
    ids = np.array([str(i) for i in range(60)])
    numbered = replace(numbered, queries=replace(numbered.queries, id=ids))
    options: dict[str, Any] = {"embedder": embedder, "jobs": 1, "cache": tmp_path / "cache", "seeds": [1]}
    runs = bench(numbered, tmp_path / "runs", routers=["best_single"], **options)
    pl.DataFrame({"id": range(60), "llm": ["ant"] * 60}).write_parquet(tmp_path / "p.parquet")
    judged = judge_choices(tmp_path / "p.parquet", tmp_path / "runs", "ants")
    assert len(judged.decisions["ants", 1].parts["test"].model) == len(runs.splits[1].test)
