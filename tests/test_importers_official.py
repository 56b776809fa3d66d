"""The official release: every quirk it has survives the import and is counted."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrouterbench.findings import Findings
from llmrouterbench.importers import ImportReport, Options, import_outcomes, read_source
from llmrouterbench.importers._release_json import read_result_file
from llmrouterbench.importers._release_rows import _alike
from llmrouterbench.store import scan_replies
from llmrouterbench.table import Outcomes

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SLICE = SHARED / "bench-release-slice.tar.gz"

Record = dict[str, Any]


def record(index: int, prompt: str, score: Any = 1.0, cost: Any = 0.25, **more: Any) -> Record:
    return {
        "index": index,
        "origin_query": prompt,
        "prompt": prompt,
        "prediction": "A",
        "ground_truth": None,
        "score": score,
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "cost": cost,
        "raw_output": "",
    } | more


def result(
    model: str, records: list[Record], dataset: str = "sums", split: str = "test", **more: Any
) -> dict[str, Any]:
    return {"model_name": model, "dataset_name": dataset, "split": split, "demo": False, "records": records} | more


def name_of(document: dict[str, Any], stamp: str = "20250101_000000") -> str:
    dataset, split, model = (document[key] for key in ("dataset_name", "split", "model_name"))
    return f"bench-release/{dataset}/{split}/{model}/{dataset}-{split}-{model}-{stamp}.json"


def write_folder(folder: Path, documents: list[dict[str, Any]]) -> Path:
    for document in documents:
        path = folder / name_of(document)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return folder


def tar_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def write_tar(path: Path, documents: list[dict[str, Any]]) -> Path:
    path.write_bytes(tar_of({name_of(document): json.dumps(document).encode() for document in documents}))
    return path


def imported(source: Path, tmp_path: Path, **options: Any) -> tuple[Outcomes, ImportReport]:
    report = import_outcomes(source, tmp_path / "out", overwrite=True, **options)
    return Outcomes.load(tmp_path / "out"), report


def counts(report: ImportReport) -> dict[str, int]:
    return {finding.kind: finding.count for finding in report.findings}


def example(report: ImportReport, kind: str) -> str:
    return next(finding.example for finding in report.findings if finding.kind == kind)


TWO = [
    result("small", [record(1, "1 + 1?", 0.0, 0.5), record(2, "2 + 2?", 1.0, 0.25)]),
    result("large", [record(1, "1 + 1?", 1.0, 4.0), record(2, "2 + 2?", 1.0, 5.0)]),
]


def test_a_clean_release_keeps_every_number_and_reports_nothing(tmp_path: Path) -> None:
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", TWO), tmp_path)
    assert outcomes.models == ("large", "small")
    assert outcomes.queries.id.tolist() == ["sums/test/1", "sums/test/2"]
    assert list(outcomes.queries.text) == ["1 + 1?", "2 + 2?"]
    assert outcomes.score.tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert outcomes.cost.tolist() == [[4.0, 0.5], [5.0, 0.25]]
    assert outcomes.tokens_in.tolist() == [[10, 10], [10, 10]]
    assert outcomes.tokens_out.tolist() == [[20, 20], [20, 20]]
    assert np.isnan(outcomes.seconds).all()
    assert (outcomes.subset.tolist(), outcomes.index.tolist()) == (["test", "test"], [1, 2])
    assert report.findings == ()
    assert report.counts == {
        "files": 2, "records": 4, "queries": 2, "models": 2, "datasets": 1, "cells_measured": 4, "cells_missing": 0,
    }  # fmt: skip
    assert len(report.source["sha256"]) == 64


def test_archive_plain_tar_and_folder_give_the_same_outcomes(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "r.tar.gz", TWO)
    plain = tmp_path / "r.tar"
    plain.write_bytes(gzip.decompress(archive.read_bytes()))
    folder = write_folder(tmp_path / "r", TWO)
    hashes = {imported(source, tmp_path)[0].content_hash for source in (archive, plain, folder)}
    assert len(hashes) == 1


def test_gzip_in_several_parts_with_zeros_behind_is_read(tmp_path: Path) -> None:
    plain = gzip.decompress(write_tar(tmp_path / "r.tar.gz", TWO).read_bytes())
    parts = tmp_path / "parts.tar.gz"
    parts.write_bytes(gzip.compress(plain[:700]) + gzip.compress(plain[700:]) + bytes(64))
    outcomes, _ = imported(parts, tmp_path)
    assert len(outcomes) == 2


def test_keys_come_from_the_file_and_not_from_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "r" / "arenahard" / "small" / "arenahard-small-20250101_000000.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(result("small", [record(1, "write")], dataset="arenahard", split="v2")))
    outcomes, report = imported(tmp_path / "r", tmp_path)
    assert (outcomes.dataset.tolist(), outcomes.subset.tolist()) == (["arenahard"], ["v2"])
    assert report.findings == ()


def test_a_missing_split_becomes_the_empty_subset_and_a_missing_model_drops_the_file(tmp_path: Path) -> None:
    documents = {"a/x.json": result("small", [record(1, "q")]), "b/y.json": result("large", [record(1, "q")])}
    del documents["a/x.json"]["split"], documents["b/y.json"]["model_name"]
    (tmp_path / "r.tar.gz").write_bytes(tar_of({name: json.dumps(d).encode() for name, d in documents.items()}))
    outcomes, report = imported(tmp_path / "r.tar.gz", tmp_path)
    assert outcomes.queries.id.tolist() == ["sums/1"]
    assert counts(report) == {"key 'split' missing": 1, "unreadable file": 1}
    assert example(report, "unreadable file") == "b/y.json: key 'model_name' must be a text, got nothing"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_latest_file_counts_in_whatever_order_they_come(tmp_path: Path, order: tuple[int, ...]) -> None:
    stamps = ["20250101_000000", "20250301_120000", "20250301_115959"]
    members = {
        name_of(TWO[0], stamps[i]): json.dumps(
            result("small", [record(1, "q", score=i / 2, raw_output=f"reply {i}", completion_tokens=-i)])
        ).encode()
        for i in order
    }
    members["bench-release/sums/test/small/result.json"] = json.dumps(result("small", [record(1, "q", 0.25)])).encode()
    (tmp_path / "r.tar.gz").write_bytes(tar_of(members))
    outcomes, report = imported(tmp_path / "r.tar.gz", tmp_path)
    assert outcomes.score.tolist() == [[0.5]]
    assert counts(report)["older file of the same dataset, subset and model"] == 3
    assert counts(report)["negative or infinite completion_tokens"] == 1, "findings of dropped files do not count"
    assert scan_replies(tmp_path / "out").collect().rows() == [(0, "small", "reply 1")]


def test_demo_empty_and_other_files_are_dropped_and_counted(tmp_path: Path) -> None:
    members = {name_of(document): json.dumps(document).encode() for document in TWO}
    members |= {
        "bench-release/demo.json": json.dumps(result("demo", [record(1, "1 + 1?")], demo=True)).encode(),
        "bench-release/none.json": json.dumps(result("none", [])).encode(),
        "bench-release/README.md": b"# hello",
        "bench-release/._x.json": b"apple",
    }
    (tmp_path / "r.tar.gz").write_bytes(tar_of(members))
    outcomes, report = imported(tmp_path / "r.tar.gz", tmp_path)
    assert outcomes.models == ("large", "small")
    assert counts(report) == {"demo file": 1, "file without records": 1, "other file than JSON": 2}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b'{"records": [{"index": 1', "it is not JSON: Expecting"),
        (b"[1, 2]", "its top level must be an object, got list"),
        (
            b'{"model_name": "m", "dataset_name": "d", "split": "s", "records": 5}',
            "key 'records' must be a list, got int",
        ),
        (b'{"model_name": "\xff\xfe"}', "it is not UTF-8 at byte 16"),
        (b"[" * 100_000, "it is not JSON"),
    ],
)
def test_a_broken_file_is_dropped_and_the_rest_is_kept(tmp_path: Path, data: bytes, reason: str) -> None:
    members = {name_of(document): json.dumps(document).encode() for document in TWO} | {"bench-release/bad.json": data}
    (tmp_path / "r.tar.gz").write_bytes(tar_of(members))
    outcomes, report = imported(tmp_path / "r.tar.gz", tmp_path)
    assert outcomes.score.shape == (2, 2)
    assert counts(report) == {"unreadable file": 1}
    assert f"bench-release/bad.json: {reason}" in example(report, "unreadable file")


def test_a_release_of_broken_files_only_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.tar.gz").write_bytes(tar_of({"x/bad.json": b"{"}))
    with pytest.raises(ValueError, match=r"must hold result files .* unreadable file: x/bad.json: it is not JSON"):
        import_outcomes(tmp_path / "r.tar.gz", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.tar.gz"]


WRONG: list[tuple[str, str, list[Any]]] = [
    ("null score", "score", [None, "absent", float("nan")]),
    ("score outside [0, 1]", "score", [7, -0.5, float("inf"), 10**400]),
    ("score of the wrong type", "score", ["abc", [1], {}]),
    ("cost missing or NaN", "cost", [None, "absent", float("nan")]),
    ("negative or infinite cost", "cost", [-1, float("inf")]),
    ("cost of the wrong type", "cost", ["0.1"]),
    ("negative or infinite completion_tokens", "completion_tokens", [-13]),
    ("prompt_tokens of the wrong type", "prompt_tokens", ["many"]),
]
PLANE = {"score": "score", "cost": "cost", "completion_tokens": "tokens_out", "prompt_tokens": "tokens_in"}


@pytest.mark.parametrize(("kind", "key", "value"), [(k, key, value) for k, key, values in WRONG for value in values])
def test_a_wrong_number_is_masked_counted_and_named(tmp_path: Path, kind: str, key: str, value: Any) -> None:
    records = [record(1, "a"), record(2, "b"), record(3, "c")]
    records[1][key] = value
    if value == "absent":
        del records[1][key]
    document = result("small", records)
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", [document]), tmp_path)
    assert np.isnan(getattr(outcomes, PLANE[key])[:, 0]).tolist() == [False, True, False]
    others = [name for name in PLANE.values() if name != PLANE[key]]
    assert all(np.isfinite(getattr(outcomes, name)).all() for name in others), "the rest of the record stays"
    assert counts(report)[kind] == 1
    assert example(report, kind) == f"{name_of(document)} record 2"


def test_a_score_written_as_true_is_a_score(tmp_path: Path) -> None:
    document = result("small", [record(1, "a", True), record(2, "b", False)])
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", [document]), tmp_path)
    assert (outcomes.score.tolist(), report.findings) == ([[1.0], [0.0]], ())


@pytest.mark.parametrize("start", ["Generation failed: 429", "Processing failed: x", "Multimodal generation failed"])
def test_a_failed_call_is_masked_and_never_zero(tmp_path: Path, start: str) -> None:
    failed = record(2, "b", 0.0, 0.0, raw_output=start, prompt_tokens=0, completion_tokens=0)
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", [result("m", [record(1, "a"), failed])]), tmp_path)
    for plane in (outcomes.score, outcomes.cost, outcomes.tokens_in, outcomes.tokens_out):
        assert np.isnan(plane[:, 0]).tolist() == [False, True]
    assert counts(report) == {"failed call": 1}


def test_zero_costs_are_unknown_unless_they_are_said_to_be_free(tmp_path: Path) -> None:
    documents = [
        result("priced", [record(1, "a", cost=0.0), record(2, "b", cost=0.5)]),
        result("unpriced", [record(1, "a", cost=0), record(2, "b", cost=0)]),
    ]
    source = write_tar(tmp_path / "r.tar.gz", documents)
    outcomes, report = imported(source, tmp_path)
    assert np.isnan(outcomes.cost).tolist() == [[True, True], [False, True]]
    assert counts(report) == {
        "zero cost of a called model": 1, "zero cost of an unpriced model": 2, "unpriced model": 1,
    }  # fmt: skip
    assert report.findings[-1].names == ("unpriced",)
    free, report = imported(source, tmp_path, zero_cost="free")
    assert free.cost.tolist() == [[0, 0], [0.5, 0]]
    assert {finding.happened for finding in report.findings} == {"kept"}


def test_index_may_count_from_0_or_1_and_records_may_come_in_any_order(tmp_path: Path) -> None:
    questions = ["a?", "b?", "c?"]
    documents = [
        result("one", [record(i + 1, text, i / 2) for i, text in enumerate(questions)]),
        result("zero", [record(i, text, i / 2) for i, text in reversed(list(enumerate(questions)))]),
    ]
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", documents), tmp_path)
    assert outcomes.score.tolist() == [[0, 0], [0.5, 0.5], [1, 1]]
    assert outcomes.queries.id.tolist() == ["sums/test/1", "sums/test/2", "sums/test/3"]
    assert outcomes.index.tolist() == [0, 1, 2], "the smallest index seen, as the official loader takes it"
    assert report.findings == ()


def test_a_repeated_prompt_stays_several_questions(tmp_path: Path) -> None:
    documents = [
        result("m", [record(1, "x", 0.0), record(2, "y", 0.5), record(3, "x", 1.0)]),
        result("n", [record(2, "x", 1.0), record(1, "y", 0.5), record(0, "x", 0.0)]),
    ]
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", documents), tmp_path)
    assert list(outcomes.queries.text) == ["x", "y", "x"]
    assert outcomes.score.tolist() == [[0, 0], [0.5, 0.5], [1, 1]]
    assert outcomes.group.tolist() == [0, 1, 0]
    assert counts(report) == {"prompt repeated inside a subset": 2, "contradictory duplicate": 2}


def test_another_wording_of_a_question_is_reported_and_makes_no_row(tmp_path: Path) -> None:
    documents = [
        result("a", [record(1, "What is 1 + 1?"), record(2, "What is 2 + 2?")]),
        result("b", [record(0, "What is 1 + 1? "), record(1, "What is 2 + 2?", 0.0)]),
        result("c", [record(1, "What is 1 + 1?"), record(2, "What is 2 + 2?")]),
    ]
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", [documents[1], documents[0], documents[2]]), tmp_path)
    assert list(outcomes.queries.prompt) == ["What is 1 + 1?", "What is 2 + 2?"], "the wording of most models stays"
    assert outcomes.score.tolist() == [[1, 1, 1], [1, 0, 1]]
    assert counts(report) == {"prompt differs between models": 1}
    assert report.findings[0].names == ("b",)


def test_a_whole_file_in_another_template_is_aligned_by_index(tmp_path: Path) -> None:
    questions = [f"How many legs have {n} cats?" for n in range(5)]
    documents = [
        result("a", [record(i, text) for i, text in enumerate(questions, 1)]),
        result("b", [record(i, text, 0.0) | {"prompt": f"<think> {text}"} for i, text in enumerate(questions)]),
    ]
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", documents), tmp_path)
    assert outcomes.score.tolist() == [[1.0, 0.0]] * 5
    assert counts(report) == {"prompt differs between models": 5}


def test_different_questions_at_one_index_stay_apart(tmp_path: Path) -> None:
    documents = [
        result("a", [record(1, "Name the capital of Peru.")]),
        result("b", [record(1, "Prove that 97 is prime!", 0.0)]),
    ]
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", documents), tmp_path)
    assert outcomes.queries.id.tolist() == ["sums/test/1", "sums/test/1~2"]
    assert counts(report) == {"different question at the same index": 1, "missing record": 2}


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("秘鲁的首都是哪里?", "Answer: 秘鲁的首都是哪里?", True),
        ("What is 1 + 1?", "what is 1+1", True),
        ("What is 1 + 1?", "What is 1 + 2?", False),
        ("Wer war Goethe?", "秘鲁的首都是哪里?", False),
        ("", "?", False),
    ],
)
def test_two_wordings_are_alike_when_they_share_their_words(one: str, other: str, alike: bool) -> None:
    assert _alike(one, other) == _alike(other, one) == alike


def test_an_index_that_is_missing_or_the_same_everywhere_still_gives_every_question_a_row(tmp_path: Path) -> None:
    documents = [
        result("a", [record(0, text) for text in ("p", "q", "r")]),
        result("b", [record(0, text, 0.0) for text in ("p", "q", "r")]),
        result("c", [{k: v for k, v in record(0, text).items() if k != "index"} for text in ("p", "q", "r")]),
    ]
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", documents), tmp_path)
    assert sorted(zip(outcomes.queries.text, outcomes.score.tolist(), strict=True)) == [
        ("p", [1, 0, 1]), ("q", [1, 0, 1]), ("r", [1, 0, 1]),
    ]  # fmt: skip
    assert counts(report) == {"key 'index' missing, place in the file used": 3}


def test_the_same_record_twice_is_merged_and_the_last_one_counts(tmp_path: Path) -> None:
    document = result("a", [record(1, "p", 0.0), record(2, "q"), record(1, "p", 1.0), record(2, "q")], counts=5)
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", [document]), tmp_path)
    assert outcomes.score.tolist() == [[1.0], [1.0]]
    assert counts(report) == {
        "file with another number of records than it says": 1,
        "contradictory repeated record, the last one counts": 1,
        "repeated record": 1,
    }


def test_overlapping_subsets_are_kept_and_counted(tmp_path: Path) -> None:
    documents = [
        result("a", [record(1, "p", 0.0), record(2, "q")], split="test_1000"),
        result("a", [record(1, "q"), record(2, "p", 1.0), record(3, "r")], split="test_3000"),
    ]
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", documents), tmp_path)
    assert outcomes.subset.tolist() == ["test_1000"] * 2 + ["test_3000"] * 3
    assert outcomes.group.tolist() == [0, 1, 1, 0, 4]
    assert counts(report) == {"duplicate record across subsets": 2, "contradictory duplicate": 1}


def test_missing_cells_are_counted_per_dataset_and_model(tmp_path: Path) -> None:
    documents = [
        *TWO,
        result("small", [record(1, "only small")], dataset="more"),
        result("third", [record(2, "2 + 2?")]),
    ]
    _, report = imported(write_tar(tmp_path / "r.tar.gz", documents), tmp_path)
    assert counts(report) == {"model absent from a dataset": 2, "missing record": 1}
    assert report.findings[1].names == ("sums/test x third: 1 of 2 queries",)
    assert report.counts["cells_missing"] == 3


def test_empty_prompts_fall_back_on_the_query_and_then_on_the_index(tmp_path: Path) -> None:
    documents = [
        result("a", [record(1, "p") | {"prompt": None}, record(2, "", 0.0), record(3, "", 0.5)]),
        result("b", [record(1, "p"), record(3, "", 0.5)]),
    ]
    outcomes, report = imported(write_tar(tmp_path / "r.tar.gz", documents), tmp_path)
    assert list(outcomes.queries.prompt) == ["p", "", ""]
    np.testing.assert_array_equal(outcomes.score, [[1, 1], [0, np.nan], [0.5, 0.5]])
    assert counts(report)["prompt missing, query text used"] == 4


def test_texts_of_other_types_and_half_surrogate_pairs_are_read(tmp_path: Path) -> None:
    document = result("a", [record(1, "smile \ud83d") | {"raw_output": ["x", 1]}, record(2, "nul \0") | {"prompt": 5}])
    outcomes, _ = imported(write_tar(tmp_path / "r.tar.gz", [document]), tmp_path)
    assert list(outcomes.queries.text) == ["smile ?", "nul \0"]
    assert list(outcomes.queries.prompt) == ["smile ?", "5"]
    assert scan_replies(tmp_path / "out").collect()["reply"].to_list() == ['["x", 1]']


def test_replies_carry_the_row_numbers_of_the_table(tmp_path: Path) -> None:
    documents = [
        result("z", [record(1, "late", raw_output="zl")], dataset="zoo"),
        result("b", [record(2, "q2", raw_output="b2"), record(1, "q1", raw_output="")]),
        result("a", [record(1, "q1", raw_output="a1"), record(2, "q2", raw_output="a2")]),
    ]
    source = write_tar(tmp_path / "r.tar.gz", documents)
    outcomes, _ = imported(source, tmp_path)
    replies = scan_replies(tmp_path / "out").sort("query", "model").collect()
    assert replies.rows() == [(0, "a", "a1"), (1, "a", "a2"), (1, "b", "b2"), (2, "z", "zl")]
    assert replies.schema == {"query": pl.UInt32, "model": pl.String, "reply": pl.String}
    assert list(outcomes.queries.text) == ["q1", "q2", "late"]
    imported(source, tmp_path, replies=False)
    assert not (tmp_path / "out" / "replies").exists()


@pytest.mark.parametrize("part_bytes", [1, 1 << 24])
def test_replies_of_older_files_go_and_the_others_stay_however_they_are_parted(
    part_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmrouterbench.importers._release_replies._PART_BYTES", part_bytes)
    versions = [("z", "20250101"), ("b", "20240101"), ("b", "20250101"), ("a", "20250101"), ("a", "20240101")]
    members = {}
    for model, day in versions:
        numbers = (3, 1) if day == "20240101" else (2, 1)
        records = [record(i, f"q{i}", raw_output=f"{model} {day} {i}") for i in numbers]
        document = result(model, records, dataset="a" if model == "a" else "sums")
        members[name_of(document, f"{day}_000000")] = json.dumps(document).encode()
    (tmp_path / "x.tar.gz").write_bytes(tar_of(members))
    outcomes, report = imported(tmp_path / "x.tar.gz", tmp_path)
    assert counts(report)["older file of the same dataset, subset and model"] == 2
    rows = scan_replies(tmp_path / "out").sort("query", "model").collect().rows()
    assert [(str(outcomes.queries.id[row]), model, reply) for row, model, reply in rows] == [
        ("a/test/1", "a", "a 20250101 1"),
        ("a/test/2", "a", "a 20250101 2"),
        ("sums/test/1", "b", "b 20250101 1"),
        ("sums/test/1", "z", "z 20250101 1"),
        ("sums/test/2", "b", "b 20250101 2"),
        ("sums/test/2", "z", "z 20250101 2"),
    ]
    assert not list(tmp_path.glob("out/replies/*partial*"))


def test_a_simulated_release_says_so(tmp_path: Path) -> None:
    outcomes, _ = imported(write_tar(tmp_path / "r.tar.gz", [result("a", [record(1, "p")], simulated=True)]), tmp_path)
    assert outcomes.simulated


@pytest.mark.parametrize("name", ["../../x.json", "/etc/x.json", "a/../../x.json", "C:\\x.json", "..\\x.json"])
def test_a_member_that_leads_outside_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "r.tar.gz").write_bytes(tar_of({name_of(TWO[0]): json.dumps(TWO[0]).encode(), name: b"{}"}))
    with pytest.raises(ValueError, match="leads outside") as caught:
        import_outcomes(tmp_path / "r.tar.gz", tmp_path / "out")
    assert repr(name) in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "r.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("bench-release/x.json")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(ValueError, match=r"'bench-release/x.json' \(a link, a device"):
        import_outcomes(tmp_path / "r.tar.gz", tmp_path / "out")


def test_a_member_that_claims_a_huge_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("bench-release/huge.json")
    entry.size = 1 << 40
    (tmp_path / "r.tar").write_bytes(entry.tobuf() + bytes(10_240))
    with pytest.raises(ValueError, match=r"at most 1,073,741,824 bytes, got 1,099,511,627,776 for 'bench-release/huge"):
        import_outcomes(tmp_path / "r.tar", tmp_path / "out")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_cut_archive_is_one_sentence_and_the_old_store_stays(tmp_path: Path, share: float, zipped: bool) -> None:
    noise = random.Random(0)
    documents = [result("a", [record(i, f"{noise.random()}") for i in range(200)])]
    data = write_tar(tmp_path / "r.tar.gz", documents).read_bytes()
    before, _ = imported(tmp_path / "r.tar.gz", tmp_path)
    data = data if zipped else gzip.decompress(data).rstrip(b"\0") + bytes(1024)
    cut = tmp_path / ("cut.tar.gz" if zipped else "cut.tar")
    cut.write_bytes(data[: int(len(data) * share)] if zipped or share < 0.95 else data[:-1024])
    with pytest.raises(ValueError, match=r"must be a whole tar.gz of result files, got one that is cut or damaged"):
        import_outcomes(cut, tmp_path / "out", overwrite=True)
    assert Outcomes.load(tmp_path / "out").content_hash == before.content_hash
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


JSON_NUMBER = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=3))


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(("index", "score", "cost", "prompt_tokens", "completion_tokens"), JSON_NUMBER)
            | dict.fromkeys(("prompt", "origin_query", "raw_output"), st.one_of(st.text(max_size=5), JSON_NUMBER)),
        ),
        max_size=4,
    )
)
@settings(max_examples=150, deadline=None)
def test_the_fast_and_the_exact_way_read_the_same(records: list[Record]) -> None:
    """Whatever the fast reader accepts, the exact one reads alike."""
    from llmrouterbench.importers._release_json import _read_any, _read_clean

    data = json.dumps(result("m", records)).encode()
    fast = _read_clean(data)
    header, exact = _read_any(data, "x.json", Findings())
    if fast is not None:
        for column in ("index", "score", "cost", "prompt_tokens", "completion_tokens"):
            np.testing.assert_array_equal(fast[1][column].to_numpy(), exact[column].to_numpy())
        strings = all(isinstance(r[key], str) for r in records for key in ("prompt", "origin_query", "raw_output"))
        assert not strings or fast[1].drop("index", "score").equals(exact.drop("index", "score"))
        assert fast[0]["model_name"] == header["model_name"] == "m"


def test_the_fast_way_is_taken_by_clean_files_only() -> None:
    from llmrouterbench.importers._release_json import _read_clean

    clean = result("m", [record(1, "p \\ \u00e9 \U0001f600 \n")])
    read = _read_clean(json.dumps(clean, indent=2, ensure_ascii=False).encode())
    assert read is not None
    assert read[1]["prompt"].to_list() == ["p \\ \u00e9 \U0001f600 \n"]
    for odd in (None, "1.0", [1]):
        assert _read_clean(json.dumps(result("m", [record(1, "p", odd)])).encode()) is None


SCORES = st.sampled_from([0.0, 0.5, 1.0, None])
TABLE = st.dictionaries(
    st.tuples(st.sampled_from(["d", "e/f"]), st.sampled_from(["test", ""]), st.sampled_from(["m1", "M2", "m 3"])),
    st.dictionaries(st.integers(1, 6), st.tuples(SCORES, st.floats(0.001, 9), st.integers(0, 99)), min_size=1),
    min_size=1,
)


@given(TABLE, st.integers(0, 1), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_number_of_a_random_release_arrives_where_it_belongs(
    tmp_path_factory: pytest.TempPathFactory, table: Any, base: int, backwards: bool
) -> None:
    folder = tmp_path_factory.mktemp("random")
    documents = []
    for (dataset, split, model), cells in table.items():
        records = [
            record(i - 1 + base, f"question {i} of {dataset}", score, cost, completion_tokens=tokens)
            for i, (score, cost, tokens) in cells.items()
        ]
        documents.append(result(model, records[::-1] if backwards else records, dataset, split))
    outcomes = read_source(write_folder(folder / "r", documents), "official", Options()).outcomes
    column = {model: i for i, model in enumerate(outcomes.models)}
    keys = zip(outcomes.dataset.tolist(), outcomes.subset.tolist(), list(outcomes.queries.text), strict=True)
    row = {key: i for i, key in enumerate(keys)}
    seen = np.zeros(outcomes.score.shape, dtype=bool)
    for (dataset, split, model), cells in table.items():
        for i, (score, cost, tokens) in cells.items():
            at = row[dataset, split, f"question {i} of {dataset}"], column[model]
            seen[at] = True
            assert outcomes.cost[at] == cost
            assert outcomes.tokens_out[at] == tokens
            assert np.isnan(outcomes.score[at]) if score is None else outcomes.score[at] == score
    assert np.isnan(outcomes.cost[~seen]).all()
    assert np.isnan(outcomes.score[~seen]).all()
    assert len(row) == len(outcomes) == len({(d, s, i) for (d, s, _), cells in table.items() for i in cells})


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_mutated_bytes_never_crash_the_importer(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, int]], zipped: bool, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    plain = tar_of({name_of(document): json.dumps(document).encode() for document in TWO})
    data = bytearray(plain if zipped else gzip.decompress(plain))
    for where, byte in changes:
        data[int(where * (len(data) - 1))] = byte
    path = folder / "r.tar"
    path.write_bytes(data[: len(data) // 2] if cut else data)
    try:
        imported = read_source(path, "official", Options())
    except (ValueError, OSError) as error:
        assert str(error)  # noqa: PT017
    else:
        assert len(imported.outcomes.models) >= 1


@given(st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_result_file_or_an_error_with_a_reason(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is|its top level|key 'records'"):
        read_result_file(data, "x.json", Findings())


needs_slice = pytest.mark.skipif(not SLICE.is_file(), reason="the real slice (shared/data) is not on this machine")


@needs_slice
def test_the_real_slice_gives_the_numbers_of_the_paper(tmp_path: Path) -> None:
    outcomes, report = imported(SLICE, tmp_path)
    aime = outcomes.take(np.flatnonzero(outcomes.dataset == "aime"))
    score = dict(zip(aime.models, aime.score.mean(axis=0) * 100, strict=True))
    cost = dict(zip(aime.models, np.nansum(aime.cost, axis=0), strict=True))
    assert (round(score["Qwen3-8B"], 2), round(score["gpt-5"], 2), round(cost["gpt-5"], 2)) == (76.67, 88.33, 4.57)
    assert report.counts == {
        "files": 131, "records": 6342, "queries": 194, "models": 33, "datasets": 4,
        "cells_measured": 6342, "cells_missing": 60,
    }  # fmt: skip


@needs_slice
def test_the_real_slice_has_nine_unpriced_models_and_masks_the_costs_of_failed_calls(tmp_path: Path) -> None:
    _, report = imported(SLICE, tmp_path)
    found = {finding.kind: finding for finding in report.findings}
    assert [name.split("-")[0] for name in found["unpriced model"].names] == [
        "GLM", "MiMo", "MiniCPM4.1", "OpenThinker3", "Qwen2.5", "cogito", "glm", "granite", "internlm3",
    ]  # fmt: skip
    zero = found["zero cost of a called model"]
    assert {"gemini-2.5-pro: 2", "qwen3-235b-a22b-thinking-2507: 8"} <= set(zero.names)
    assert zero.count == 15
    assert found["model absent from a dataset"].names == (
        "mmlupro/test_1000 x deepseek-v3.1-terminus: 60 of 60 queries",
    )
