import csv
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from llmrouterbench.importers import import_outcomes
from llmrouterbench.simulation._release_contents import Contents, release_contents
from llmrouterbench.simulation.release import ReleaseFile, release_facts, release_files, write_release
from llmrouterbench.simulation.simulate import simulate
from llmrouterbench.table import Outcomes

LIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "release-files.csv"


def some(dataset: str, split: str | None = None, model: str | None = None) -> list[ReleaseFile]:
    return [
        f for f in release_files() if f.dataset == dataset and split in (None, f.split) and model in (None, f.model)
    ]


def read(folder: Path, file: ReleaseFile) -> dict[str, Any]:
    whole: dict[str, Any] = orjson.loads((folder / file.path).read_bytes())
    return whole


def test_list_has_the_size_of_the_release() -> None:
    files = release_files()
    assert len(files) == len({file.path for file in files}) == 700
    assert sum(file.records for file in files) == 548_059
    assert len({file.dataset for file in files}) == 27
    assert len({file.model for file in files}) == 40
    assert [file.path for file in files if file.demo] == [
        "bench-release/simpleqa/subset_500/gpt-5-chat/simpleqa-subset_500-gpt-5-chat-20251023_034753.json"
    ]
    assert not [file for file in files if file.dataset == "tau2" and file.model == "gpt-5-chat"]


def test_arenahard_files_without_a_split_folder() -> None:
    flat = [file for file in release_files() if file.flat]
    assert len(flat) == 133
    assert sum(file.records for file in flat) == 548_059 - 497_809
    assert all(file.first_index == 0 and file.path.count("/") == 3 for file in flat)
    labels = Counter(file.dataset for file in flat)
    assert labels == {
        "arenahard": 34,
        "arenahard_coding": 33,
        "arenahard_math": 33,
        "arenahard_creative_writing": 33,
    }


@pytest.mark.skipif(not LIST.is_file(), reason="the list of release files (shared/data) is not on this machine")
def test_list_equals_the_real_one() -> None:
    with LIST.open() as lines:
        real = {
            (
                f"bench-release/{row['file']}",
                row["dataset"],
                row["split"],
                row["model"],
                int(row["record_count"]),
                int(row["first_index"]),
            )
            for row in csv.DictReader(lines)
        }
    ours = {(f.path, f.dataset, f.split, f.model, f.records, f.first_index) for f in release_files() if not f.flat}
    assert ours == real


@pytest.mark.parametrize("seed", [0, 5])
def test_facts_are_the_known_quirks(seed: int) -> None:
    assert release_facts(seed) == {
        "files": 700,
        "records": 548_059,
        "files_without_split_folder": 133,
        "zero_based_files": 133,
        "demo_files": 1,
        "null_scores": 4_327,
        "negative_completion_tokens": 13,
        "zero_cost_records": 163_628,
        "duplicate_prompts": 25_820,
        "dataset_labels": 27,
        "models": 40,
    }


@pytest.mark.parametrize("setting", ["performance", "performance-cost"])
def test_pool_cells_are_those_of_simulate(setting: str) -> None:
    outcomes = simulate(setting, 3)
    wanted = {(d, s) for d, s in zip(outcomes.dataset.tolist(), outcomes.subset.tolist(), strict=True)}
    files = [f for f in release_files() if (f.dataset, f.split) in wanted and f.model in outcomes.models]
    assert len(files) == (300 if setting == "performance" else 129)
    for contents in release_contents(3, files):
        same_cells(contents, outcomes)


def same_cells(contents: Contents, outcomes: Outcomes) -> None:
    file = contents.file
    rows = np.flatnonzero((outcomes.dataset == file.dataset) & (outcomes.subset == file.split))
    column = outcomes.models.index(file.model)
    assert np.array_equal(contents.score, outcomes.score[rows, column]), file.path
    assert np.array_equal(contents.tokens_out, outcomes.tokens_out[rows, column]), file.path
    assert contents.queries.prompt == tuple(outcomes.queries.prompt.take(rows))
    changed = contents.cost != np.nan_to_num(outcomes.cost[rows, column])
    assert changed.sum() == (507 if file.key == ("hle", "test", "gpt-5") else 0)


def test_a_second_export_repeats_most_outcomes() -> None:
    files = [*some("mmlupro", "test_1000", "gpt-5"), *some("mmlupro", "test_3000", "gpt-5")]
    small, large = release_contents(0, files)
    score = dict(zip(large.queries.prompt, large.score.tolist(), strict=True))
    same = np.array([score[prompt] for prompt in small.queries.prompt]) == small.score
    assert 0.9 < same.mean() < 1.0
    assert small.queries.prompt[-1] == small.queries.prompt[0]


def test_parts_of_arenahard_repeat_the_whole() -> None:
    files = [f for f in release_files() if f.dataset.startswith("arenahard") and f.model == "gpt-5"]
    whole, coding, creative, maths = release_contents(0, files)
    parts = np.concatenate([part.score for part in (coding, maths, creative)])
    assert np.array_equal(parts, whole.score)


def test_files_have_the_official_fields(tmp_path: Path) -> None:
    file = some("gpqa", "test", "GLM-Z1-9B-0414")[0]
    facts = write_release(tmp_path / "out", 0, reply_bytes=321, files=[file])
    assert (facts["files"], facts["records"], facts["zero_cost_records"]) == (1, 198, 198)
    whole = read(tmp_path / "out", file)
    assert list(whole) == [
        "performance",
        "time_taken",
        "prompt_tokens",
        "completion_tokens",
        "cost",
        "counts",
        "model_name",
        "dataset_name",
        "split",
        "demo",
        "extra_metrics",
        "data_fingerprint",
        "simulated",
        "records",
    ]
    assert (whole["model_name"], whole["dataset_name"], whole["split"]) == ("GLM-Z1-9B-0414", "gpqa", "test")
    records = whole["records"]
    assert [record["index"] for record in records] == list(range(1, 199))
    assert whole["completion_tokens"] == sum(record["completion_tokens"] for record in records)
    assert whole["performance"] == pytest.approx(np.mean([record["score"] for record in records]))
    assert {len(record["raw_output"]) for record in records} == {321}
    assert len({record["raw_output"] for record in records}) > 190
    for record in records:
        assert list(record) == [
            "index",
            "origin_query",
            "prompt",
            "prompt_tokens",
            "completion_tokens",
            "cost",
            "score",
            "prediction",
            "ground_truth",
            "raw_output",
            "extra_fields",
        ]
        assert record["extra_fields"] == {"simulated": True}
        assert record["origin_query"] in record["prompt"]
        assert (record["prediction"] == record["ground_truth"]) == (record["score"] == 1)


def test_quirks_are_written(tmp_path: Path) -> None:
    files = [
        *some("simpleqa", "test", "intern-s1-new"),
        *some("simpleqa", "subset_500", "gpt-5-chat"),
        *some("hle", "test", "openrouter"),
        *some("arenahard_math", model="gpt-5"),
        *some("swe-bench", model="qwen3-235b-a22b-thinking-2507"),
    ]
    write_release(tmp_path / "out", reply_bytes=0, files=files)
    unscored, demo, negative, flat, moved = (read(tmp_path / "out", file) for file in files)
    assert {record["score"] for record in unscored["records"]} == {None}
    assert demo["demo"] is True
    assert demo["counts"] == len(demo["records"]) == 50
    assert sum(record["completion_tokens"] < 0 for record in negative["records"]) == 13
    assert (flat["split"], flat["records"][0]["index"]) == ("test", 0)
    assert "/qwen3-235b-a22b-thinking/" in files[4].path
    assert moved["model_name"] == "qwen3-235b-a22b-thinking-2507"


def test_archive_and_folder_hold_the_same_bytes(tmp_path: Path) -> None:
    files = some("aime")[:3]
    packed, folder = tmp_path / "release.tar.gz", tmp_path / "release"
    assert write_release(packed, 1, reply_bytes=40, files=files) == write_release(
        folder, 1, reply_bytes=40, files=files
    )
    with tarfile.open(packed) as tar:
        assert tar.getnames() == sorted(file.path for file in files)
        for member in tar:
            data = tar.extractfile(member)
            assert data is not None
            assert data.read() == (folder / member.name).read_bytes()


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    files = some("livemathbench")[:2]
    for name in ("a.tar.gz", "b.tar.gz"):
        write_release(tmp_path / name, 9, reply_bytes=10, files=files)
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


@pytest.mark.parametrize("name", ["out", "out.tar.gz"])
def test_nothing_is_overwritten_unasked(tmp_path: Path, name: str) -> None:
    files = some("aime")[:1]
    write_release(tmp_path / name, files=files, reply_bytes=5)
    with pytest.raises(FileExistsError, match="must not exist yet"):
        write_release(tmp_path / name, files=files, reply_bytes=5)
    write_release(tmp_path / name, files=files, reply_bytes=5, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_bad_arguments_get_a_sentence_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reply_bytes must be 0 or more, got -1"):
        write_release(tmp_path / "out", reply_bytes=-1)
    with pytest.raises(ValueError, match="files must name at least one file"):
        write_release(tmp_path / "out", files=[])
    with pytest.raises(ValueError, match="seed must be 0 or more"):
        write_release(tmp_path / "out.tar.gz", -2, files=some("aime")[:1])
    assert not list(tmp_path.iterdir())


def test_importer_reads_what_was_written(tmp_path: Path) -> None:
    files = [*some("aime"), *some("gpqa"), *some("arenahard")]
    write_release(tmp_path / "release.tar.gz", 0, reply_bytes=20, files=files)
    import_outcomes(tmp_path / "release.tar.gz", tmp_path / "store")
    outcomes = Outcomes.load(tmp_path / "store", "performance-cost")
    truth = simulate("performance-cost", 0)
    assert outcomes.simulated
    for dataset in ("aime", "gpqa", "arenahard"):
        read_back = outcomes.take(np.flatnonzero(outcomes.dataset == dataset)).select(truth.models)
        written = truth.take(np.flatnonzero(truth.dataset == dataset))
        assert np.array_equal(read_back.score, written.score)
        assert np.array_equal(read_back.cost, written.cost)
        assert list(read_back.queries.prompt) == list(written.queries.prompt)


@pytest.mark.slow
def test_whole_release_is_written(tmp_path: Path) -> None:
    facts = write_release(tmp_path / "release.tar.gz", reply_bytes=8)
    assert facts == release_facts()
    records = 0
    with tarfile.open(tmp_path / "release.tar.gz", "r|gz") as tar:
        names = []
        for member in tar:
            names.append(member.name)
            data = tar.extractfile(member)
            assert data is not None
            records += orjson.loads(data.read())["counts"]
    assert names == [file.path for file in release_files()]
    assert records == 548_059
