"""Exports: hand-worked files of every method, the official order, and a plain router that reads nothing else."""

import csv
import json
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from llmrouterbench.exporters import METHODS, export_inputs
from llmrouterbench.exporters._items import collapse, load_order
from llmrouterbench.files import read_json
from llmrouterbench.splits import Split
from llmrouterbench.table import FloatArray, Outcomes

NAN = float("nan")
VECTORS = np.array([[1.0, 0.0], [0.9, 0.1], [1.0, 0.0], [0.0, 1.0], [0.1, 0.9], [0.2, 1.0]])
PAIR = ("zeta", "alpha")


@pytest.fixture
def table() -> Outcomes:
    """Six queries, q2 a copy of q0; alpha has no record of q2 and zeta none of q1; rows not in the order of index."""
    outcomes = Outcomes.of(
        ["p0", "p1", "p0", "a0", "a1", "a2"],
        ["zeta", "alpha"],
        np.array([[1, 0], [NAN, 1], [0.5, NAN], [1, 0], [1, 1], [0, 1]]),
        cost=np.array([[2, 1], [NAN, 3], [4, NAN], [8, 2], [6, 2], [4, 4]]),
        tokens_in=np.array([[10, 11], [NAN, 12], [13, NAN], [14, 15], [16, 17], [18, 19]]),
        tokens_out=np.array([[20, 21], [NAN, 22], [23, NAN], [24, 25], [26, 27], [28, 29]]),
        dataset=["b", "b", "b", "a", "a", "a"],
        id=["q0", "q1", "q2", "q3", "q4", "q5"],
        prompt=["P0", "P1", "P0", "A0", "A1", "A2"],
    )
    return replace(outcomes, index=np.array([7, 8, 9, 5, 4, 6]))


@pytest.fixture
def split() -> Split:
    return Split(np.array([0, 2, 3, 4]), np.array([1, 5]), {"kind": "paper", "seed": 3, "ratio": 0.7, "held_out": []})


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def items_of(folder: Path) -> dict[str, int | None]:
    frame = pl.read_csv(folder / "queries.csv")
    return dict(zip(frame["query"], frame["item"], strict=True))


def embed(texts: Any) -> FloatArray:
    return np.array([[len(text), 1.0] for text in texts]) / 100


# --- one example by hand for every method ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["avengers", "avengers_pro", "frugalgpt"])
def test_avengers_lines_by_hand(tmp_path: Path, table: Outcomes, split: Split, method: str) -> None:
    facts = export_inputs(table, split, method, tmp_path / "x", seed=3)
    train, test = (lines(tmp_path / "x" / f"{part}.jsonl") for part in ("train", "test"))
    assert [(line["dataset"], line["index"], line["query"]) for line in train] == [
        ("a", 4, "A1"), ("a", 5, "A0"), ("b", 7, "P0"),
    ]  # fmt: skip
    assert train[2] == {
        "query": "P0", "dataset": "b", "index": 7,
        "records": {"alpha": 0.0, "zeta": 0.5},
        "usages": {
            "alpha": {"completion_tokens": 21, "cost": 1.0, "prompt_tokens": 11},
            "zeta": {"completion_tokens": 23, "cost": 4.0, "prompt_tokens": 13},
        },
    }  # fmt: skip
    assert [line["query"] for line in test] == ["A2", "P1"]
    assert test[1]["records"] == {"alpha": 1.0, "zeta": 0.0}
    assert test[1]["usages"]["zeta"] == {"completion_tokens": 0, "cost": 0.0, "prompt_tokens": 0}
    assert facts["items"] == {"train": 3, "test": 2}
    assert facts["stand_ins"]["score"] == facts["stand_ins"]["cost"] == {"cells": 1, "of": 10}
    assert items_of(tmp_path / "x") == {"q0": 2, "q2": 2, "q3": 1, "q4": 0, "q1": 1, "q5": 0}


def test_baseline_scores_count_records_of_test_for_avengers_and_of_both_parts_for_frugalgpt(
    tmp_path: Path, table: Outcomes, split: Split
) -> None:
    for method in ("avengers", "frugalgpt"):
        export_inputs(table, split, method, tmp_path / method, seed=3)
    assert read_json(tmp_path / "avengers" / "baseline_scores.json") == {
        "alpha": {"a": 100.0, "b": 100.0},
        "zeta": {"a": 0.0},
    }
    assert read_json(tmp_path / "frugalgpt" / "baseline_scores.json") == {
        "alpha": {"a": 66.67, "b": 50.0},
        "zeta": {"a": 66.67, "b": 75.0},
    }


def test_a_model_without_a_record_comes_last_in_a_line(tmp_path: Path, table: Outcomes, split: Split) -> None:
    renamed = replace(table, models=("alpha", "zeta"))  # now alpha lacks q1
    export_inputs(renamed, split, "avengers", tmp_path / "x", seed=3)
    assert list(lines(tmp_path / "x" / "test.jsonl")[1]["records"]) == ["zeta", "alpha"]
    assert list(lines(tmp_path / "x" / "test.jsonl")[0]["records"]) == ["alpha", "zeta"]


def test_a_record_without_a_score_counts_as_0_and_overrules_an_earlier_copy(
    tmp_path: Path, table: Outcomes, split: Split
) -> None:
    cost = table.cost.copy()
    cost[2, 1] = 5.0  # alpha answered the copy, and nobody scored it
    facts = export_inputs(replace(table, cost=cost), split, "avengers", tmp_path / "x", seed=3)
    assert lines(tmp_path / "x" / "train.jsonl")[2]["usages"]["alpha"]["cost"] == 5.0
    assert facts["stand_ins"]["score"] == {"cells": 2, "of": 10}
    assert facts["stand_ins"]["cost"] == {"cells": 1, "of": 10}


def test_embedllm_by_hand(tmp_path: Path, table: Outcomes, split: Split) -> None:
    torch = pytest.importorskip("torch")
    facts = export_inputs(table, split, "embedllm", tmp_path / "x", seed=3, embedding=VECTORS)
    with (tmp_path / "x" / "question_order_ours.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["prompt_id", "prompt"], ["0", "A0"], ["1", "A1"], ["2", "A2"], ["3", "P0"], ["4", "P1"],
        ]  # fmt: skip
    with (tmp_path / "x" / "train_ours.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["prompt_id", "model_id", "category_id", "label", "model_name", "category", "prompt"],
        ["0", "0", "a", "0.0", "alpha", "a", "A0"], ["0", "1", "a", "1.0", "zeta", "a", "A0"],
        ["1", "0", "a", "1.0", "alpha", "a", "A1"], ["1", "1", "a", "1.0", "zeta", "a", "A1"],
        ["3", "0", "b", "0.0", "alpha", "b", "P0"], ["3", "1", "b", "0.5", "zeta", "b", "P0"],
    ]  # fmt: skip
    vectors = torch.load(tmp_path / "x" / "question_embeddings.pth", weights_only=True)
    np.testing.assert_array_equal(vectors.numpy(), VECTORS[[3, 4, 5, 0, 1]].astype(np.float32))
    assert (facts["model_num"], facts["stand_ins"]["score"]) == (2, {"cells": 1, "of": 10})
    assert items_of(tmp_path / "x") == {"q0": 3, "q2": 3, "q3": 0, "q4": 1, "q1": 4, "q5": 2}


def test_embedllm_merges_a_prompt_that_two_datasets_share(tmp_path: Path, table: Outcomes, split: Split) -> None:
    pytest.importorskip("torch")
    prompts = replace(table.queries, prompt=type(table.queries.prompt).of(["A0", "P1", "A0", "A0", "A1", "A2"]))
    shared = replace(table, queries=prompts)
    export_inputs(shared, split, "embedllm", tmp_path / "x", seed=3, embedding=VECTORS)
    frame = pl.read_csv(tmp_path / "x" / "train_ours.csv").filter(pl.col("prompt") == "A0")
    # the category is that of the first dataset, the labels are the last records: zeta's of q2, alpha's of q0
    assert frame.select("category", "model_name", "label").rows() == [("a", "alpha", 0.0), ("a", "zeta", 0.5)]
    assert items_of(tmp_path / "x")["q0"] == items_of(tmp_path / "x")["q3"] == 0


def test_routerdc_by_hand(tmp_path: Path, table: Outcomes, split: Split) -> None:
    export_inputs(table, split, "routerdc", tmp_path / "x", seed=3, embedding=VECTORS)
    a, b = (read_json(tmp_path / "x" / f"{name}_train.json") for name in "ab")
    assert [entry["index"] for entry in a] == [4, 5]
    assert b[0] | {"cluster_id": 0} == {
        "index": 7, "question": "P0", "scores": {"alpha": 0.0, "zeta": 0.5}, "cluster_id": 0,
    }  # fmt: skip
    unit = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype(np.float32)
    kmeans = KMeans(n_clusters=3, random_state=3, n_init=10).fit(unit[[4, 3, 0]])
    assert [entry["cluster_id"] for entry in [*a, *b]] == kmeans.labels_.tolist()
    test = [read_json(tmp_path / "x" / f"{name}_test.json")[0] for name in "ab"]
    assert [entry["cluster_id"] for entry in test] == kmeans.predict(unit[[5, 1]]).tolist()
    assert items_of(tmp_path / "x") == {"q0": 0, "q2": 0, "q3": 1, "q4": 0, "q1": 0, "q5": 0}


def test_model_sat_by_hand(tmp_path: Path, table: Outcomes, split: Split) -> None:
    named = replace(table, dataset=np.array(["b/c", "b/c", "b/c", "a", "a", "a"]))
    facts = export_inputs(named, split, "model_sat", tmp_path / "x", seed=3)
    folder = tmp_path / "x" / "original_data" / "subset_logs_3"
    assert read_json(folder / "a_train.json") == [
        {"index": 4, "question": "A1", "scores": {"alpha": 1.0, "zeta": 1.0}},
        {"index": 5, "question": "A0", "scores": {"alpha": 0.0, "zeta": 1.0}},
    ]
    assert read_json(folder / "b%2Fc_test.json") == [
        {"index": 8, "question": "P1", "scores": {"alpha": 1.0, "zeta": 0.0}}
    ]
    assert len([name for name in facts["files"] if name.startswith("original_data/")]) == 4


def test_graphrouter_by_hand(tmp_path: Path, table: Outcomes, split: Split) -> None:
    facts = export_inputs(table, split, "graphrouter", tmp_path / "x", seed=3, embedding=VECTORS, embed=embed)
    frame = pl.read_parquet(tmp_path / "x" / "router_data.parquet")
    assert frame["query"].gather_every(2).to_list() == ["A1", "A0", "A2", "P0", "P1"]  # train first in every task
    assert frame["llm"].to_list() == ["alpha", "zeta"] * 5
    assert frame["record_index"].gather_every(2).to_list() == [4, 5, 6, 7, 8]
    assert frame["effect"].to_list() == [1, 1, 0, 1, 1, 0, 0, 0.5, 1, 0]
    assert frame["cost_usd"].to_list() == [2, 6, 2, 8, 4, 4, 1, 4, 3, 0]
    a, b = [(c - 2) / 6 for c in (2, 6, 2, 8, 4, 4)], [c / 4 for c in (1, 4, 3, 0)]
    assert frame["cost"].to_list() == [*a, *b]
    assert facts["split_ratio"] == [0.7, 0.0, 0.3]
    assert facts["llm_num"] == 2
    for column, width in (("query_embedding", 2), ("task_description_embedding", 2)):
        parsed = [json.loads(re.sub(r"\s+", ", ", text.strip()))[0] for text in frame[column]]
        assert {len(vector) for vector in parsed} == {width}
    first = json.loads(re.sub(r"\s+", ", ", frame["query_embedding"][0]))[0]
    np.testing.assert_array_equal(np.float32(first), VECTORS[4].astype(np.float32))
    described = read_json(tmp_path / "x" / "LLM_Descriptions.json")
    assert list(described) == ["alpha", "zeta"]
    assert "mean score 0.333" in described["alpha"]["feature"]  # q0, q3, q4 of train; not q1 and q5 of test
    with (tmp_path / "x" / "llm_description_embedding.pkl").open("rb") as file:
        vectors = pickle.load(file)
    assert (vectors.shape, vectors.dtype) == ((2, 2), np.float32)
    with (tmp_path / "x" / "router_data.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == frame.columns
    assert [float(row["cost"]) for row in rows] == frame["cost"].to_list()


def test_graphrouter_refuses_a_split_that_its_sequential_cut_would_change(tmp_path: Path, table: Outcomes) -> None:
    torn = Split(np.array([3, 4, 5]), np.array([0, 1, 2]), {"ratio": 0.7})
    with pytest.raises(
        ValueError, match="same share of every dataset, got a split with 3 of 3 prompts of a and 0 of 2"
    ):
        export_inputs(table, torn, "graphrouter", tmp_path / "x", seed=3, embedding=VECTORS, embed=embed)
    assert not (tmp_path / "x").exists()


def test_hybridllm_by_hand(tmp_path: Path, table: Outcomes, split: Split) -> None:
    facts = export_inputs(table, split, "hybridllm", tmp_path / "x", seed=3, pair=PAIR)
    train, test = (lines(tmp_path / "x" / f"{part}.jsonl") for part in ("train", "test"))
    assert [line["id"] for line in train] == ["a/4", "a/5", "b/7", "b/9"]  # copies stay apart
    assert [line["id"] for line in test] == ["a/6", "b/8"]
    assert train[3] == {
        "id": "b/9", "instruction": "", "input": "P0", "output": "",
        "candidates": [
            {"model": "alpha", "text": "", "decoding_method": "greedy", "scores": {"bartscore": 0.0},
             "token_num_prompt": 0, "token_num_responses": 0, "cost": [0.0]},
            {"model": "zeta", "text": "", "decoding_method": "greedy", "scores": {"bartscore": 0.5},
             "token_num_prompt": 13, "token_num_responses": 23, "cost": [4.0]},
        ],
    }  # fmt: skip
    assert facts["pair"] == ["zeta", "alpha"]
    assert facts["candidate_models"] == ["alpha", "zeta"]
    assert facts["stand_ins"]["score"] == {"cells": 2, "of": 12}


def test_hybridllm_leaves_out_what_neither_model_has_a_record_of(tmp_path: Path, table: Outcomes, split: Split) -> None:
    planes = {name: getattr(table, name).copy() for name in ("score", "cost", "tokens_in", "tokens_out")}
    for plane in planes.values():
        plane[5] = NAN
    facts = export_inputs(replace(table, **planes), split, "hybridllm", tmp_path / "x", seed=3, pair=PAIR)
    assert [line["id"] for line in lines(tmp_path / "x" / "test.jsonl")] == ["b/8"]
    assert items_of(tmp_path / "x")["q5"] is None
    assert any(note.startswith("1 of 6 queries are not in the files") for note in facts["notes"])


def test_routellm_by_hand(tmp_path: Path, table: Outcomes, split: Split) -> None:
    facts = export_inputs(table, split, "routellm", tmp_path / "x", seed=3, embedding=VECTORS, pair=PAIR)
    train, test = (read_json(tmp_path / "x" / f"pairwise_{part}.json") for part in ("train", "test"))
    # A1 is a tie of train and P1 lacks zeta: neither is there
    assert [(s["idx"], s["prompt"], s["record_index"], s["winner"]) for s in train] == [
        (0, "A0", 5, "model_a"), (2, "P0", 7, "model_a"),
    ]  # fmt: skip
    assert test == [
        {
            "idx": 1, "dataset_id": "a", "record_index": 6, "prompt": "A2", "origin_query": "a2", "ground_truth": "",
            "model_a": "zeta", "model_b": "alpha", "score_model_a": 0.0, "score_model_b": 1.0,
            "prediction_model_a": "", "prediction_model_b": "", "response_model_a": "", "response_model_b": "",
            "cost_model_a": 4.0, "cost_model_b": 4.0, "is_tie": False, "winner": "model_b",
        }
    ]  # fmt: skip
    index = read_json(tmp_path / "x" / "prompt_index.json")
    assert [entry["idx"] for entry in index] == [0, 1, 2]
    vectors = np.load(tmp_path / "x" / "prompt_embeddings.npy")
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, VECTORS[[3, 5, 0]].astype(np.float32))
    assert read_json(tmp_path / "x" / "metadata.json")["num_prompts"] == 3
    assert facts["prompts_left_out"] == 2
    assert items_of(tmp_path / "x") == {"q0": 2, "q2": 2, "q3": 0, "q4": None, "q1": None, "q5": 1}


def test_routellm_keeps_ties_of_test(tmp_path: Path, table: Outcomes) -> None:
    split = Split(np.array([0, 2, 3]), np.array([1, 4, 5]))
    export_inputs(table, split, "routellm", tmp_path / "x", seed=3, embedding=VECTORS, pair=PAIR)
    test = read_json(tmp_path / "x" / "pairwise_test.json")
    assert [(sample["prompt"], sample["winner"], sample["is_tie"]) for sample in test] == [
        ("A1", "tie", True), ("A2", "model_b", False),
    ]  # fmt: skip


# --- order and copies ------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 5), st.sampled_from(["u", "v"])),
        min_size=1,
        max_size=12,
    ),
    seed=st.integers(0, 9),
)
def test_items_are_those_of_a_plain_loop_over_records(records: list[tuple[str, str, int, str]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    score = np.where(rng.random((len(records), 2)) < 0.3, np.nan, rng.random((len(records), 2)).round(2))
    outcomes = Outcomes.of([r[1] for r in records], ["m", "n"], score, dataset=[r[0] for r in records])
    index, subset = np.array([r[2] for r in records]), np.array([r[3] for r in records])
    outcomes = replace(outcomes, index=index, subset=subset)
    rows = load_order(outcomes, rng.permutation(len(records)))
    items = collapse(outcomes, rows, outcomes.group[rows])

    seen = sorted(range(len(records)), key=lambda i: (records[i][0], records[i][3], records[i][2], i))
    groups: dict[tuple[str, str], list[int]] = {}
    for i in seen:
        groups.setdefault(records[i][:2], []).append(i)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], min(records[i][2] for i in item[1])))
    assert [records[row][:2] for row in items.row.tolist()] == [key for key, _ in ordered]
    assert items.index.tolist() == [min(records[i][2] for i in members) for _, members in ordered]
    for k, (_, members) in enumerate(ordered):
        for m in range(2):
            known = [score[i, m] for i in members if np.isfinite(score[i, m])]
            np.testing.assert_equal(items.score[k, m], known[-1] if known else np.nan)


def test_the_order_of_table_rows_and_models_does_not_matter(tmp_path: Path, table: Outcomes, split: Split) -> None:
    turned = table.take(np.array([5, 4, 3, 2, 1, 0])).select(["alpha", "zeta"])
    back = Split(5 - split.train[::-1], 5 - split.test[::-1])
    export_inputs(table, split, "avengers", tmp_path / "one", seed=3)
    export_inputs(turned, back, "avengers", tmp_path / "other", seed=3)
    for name in ("train.jsonl", "test.jsonl", "baseline_scores.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


# --- what is said of an export, and what is refused ------------------------------------------------------------------


def test_export_json_says_what_was_written(tmp_path: Path, table: Outcomes, split: Split) -> None:
    facts = export_inputs(replace(table, simulated=True), split, "avengers", tmp_path / "x", seed=3)
    assert facts == read_json(tmp_path / "x" / "export.json")
    assert facts["data_hash"] == table.content_hash
    assert facts["split"]["hash"] == split.hash
    assert facts["files"] == ["baseline_scores.json", "queries.csv", "test.jsonl", "train.jsonl"]
    assert facts["queries"] == {"train": 4, "test": 2}
    assert facts["notes"][0].startswith("SIMULATED")
    assert facts["notes"][1].startswith("1 of 10 values of score were not measured: 0 stands in")


def test_models_can_be_chosen(tmp_path: Path, table: Outcomes, split: Split) -> None:
    facts = export_inputs(table, split, "frugalgpt", tmp_path / "x", seed=3, models=["zeta"])
    assert lines(tmp_path / "x" / "train.jsonl")[0]["records"] == {"zeta": 1.0}
    assert facts["data_hash"] == table.content_hash


def test_the_default_pair_needs_its_models(tmp_path: Path, table: Outcomes, split: Split) -> None:
    with pytest.raises(ValueError, match="default gpt-5 and qwen3-235b-a22b-2507 is not in these outcomes; choose two"):
        export_inputs(table, split, "hybridllm", tmp_path / "x", seed=3)
    named = replace(table, models=("gpt-5", "qwen3-235b-a22b-2507"))
    assert export_inputs(named, split, "hybridllm", tmp_path / "x", seed=3)["pair"] == list(named.models)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("embedlm", {}, "no export for a method named 'embedlm'; did you mean 'embedllm'"),
        ("avengers", {"models": ["zetta"]}, "no model named 'zetta' in these outcomes; did you mean 'zeta'"),
        ("avengers", {"pair": PAIR}, "'avengers' takes no pair"),
        ("hybridllm", {"models": ["zeta"]}, "'hybridllm' takes a pair, got `models`"),
        ("hybridllm", {"pair": ("zeta", "zeta")}, "two different models, got 'zeta' twice"),
        ("hybridllm", {"pair": ("zeta", "alfa")}, "no model named 'alfa' in these outcomes; did you mean 'alpha'"),
        ("routerdc", {}, "'routerdc' needs query embeddings"),
        ("routerdc", {"embedding": VECTORS[:2]}, r"embedding must be \(queries, dimensions\) with 6 queries"),
        ("routerdc", {"embedding": VECTORS * NAN}, "embedding must be finite"),
        ("graphrouter", {"embedding": VECTORS}, "'graphrouter' needs an embedder for descriptions"),
        (
            "graphrouter",
            {"embedding": VECTORS, "embed": lambda texts: np.zeros((len(texts), 3))},
            r"`embed` must give finite vectors \(2, 2\) as the queries have, got shape \(2, 3\)",
        ),
        ("routellm", {"embedding": VECTORS}, "a binary router needs a pair"),
    ],
)
def test_bad_requests_leave_nothing_behind(
    tmp_path: Path, table: Outcomes, split: Split, method: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        export_inputs(table, split, method, tmp_path / "x", seed=3, **options)
    assert list(tmp_path.iterdir()) == []


def test_copies_on_both_sides_and_taken_folders_are_refused(tmp_path: Path, table: Outcomes, split: Split) -> None:
    with pytest.raises(ValueError, match=r"copies of a prompt .* 1 test queries with a copy in train \(first: 'q2'\)"):
        export_inputs(table, Split(np.array([0, 3]), np.array([1, 2])), "avengers", tmp_path / "x", seed=3)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError):
            export_inputs(table, split, "avengers", tmp_path / "mine", seed=3, overwrite=overwrite)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"
    export_inputs(table, split, "avengers", tmp_path / "x", seed=3)
    with pytest.raises(FileExistsError):
        export_inputs(table, split, "model_sat", tmp_path / "x", seed=3)
    export_inputs(table, split, "model_sat", tmp_path / "x", seed=3, overwrite=True)
    assert not (tmp_path / "x" / "train.jsonl").exists()


def test_every_method_of_the_registry_exports(tmp_path: Path, table: Outcomes, split: Split) -> None:
    for method, entry in METHODS.items():
        if method == "embedllm":
            continue  # torch, tested above
        options: dict[str, Any] = {"pair": PAIR} if entry.pair else {}
        facts = export_inputs(
            table, split, method, tmp_path / method, seed=3, embedding=VECTORS, embed=embed, **options
        )
        assert facts["method"] == method
        assert set(facts["files"]) <= {
            path.relative_to(tmp_path / method).as_posix() for path in (tmp_path / method).rglob("*")
        }
