"""A stored folder is whole or refused."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from llmrouterbench.store import read_manifest, read_outcomes, scan_replies, write_outcomes
from llmrouterbench.table import Outcomes

NAN = float("nan")


def some(seed: int = 0) -> Outcomes:
    rng = np.random.default_rng(seed)
    score = np.where(rng.random((6, 3)) < 0.2, np.nan, rng.integers(0, 3, (6, 3)) / 2)
    return Outcomes.of(
        [f"query {i}" for i in range(6)],
        ["b", "a", "c"],
        score,
        dataset=["x", "x", "y", "y", "y", "z"],
        cost=np.where(np.isnan(score), np.nan, rng.random((6, 3))),
        prompt=[f"Answer: query {i}" if i % 2 else f"query {i}" for i in range(6)],
    )


def test_round_trip_keeps_every_number_and_text(tmp_path: Path) -> None:
    write_outcomes(some(), tmp_path / "o", settings={"format": "test"})
    back = read_outcomes(tmp_path / "o")
    assert back.content_hash == some().content_hash
    assert list(back.queries.prompt) == list(some().queries.prompt)
    assert list(back.queries.text) == list(some().queries.text)
    assert back.models == ("b", "a", "c")
    assert read_manifest(tmp_path / "o", verify=True)["settings"] == {"format": "test"}


@given(
    hnp.arrays(np.float64, (4, 2), elements=st.one_of(st.just(np.nan), st.floats(0, 1))),
    hnp.arrays(np.float64, (4, 2), elements=st.one_of(st.just(np.nan), st.floats(0, 1e6))),
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=4, max_size=4),
)
def test_any_outcomes_survive_the_disk(tmp_path_factory: pytest.TempPathFactory, score, cost, text) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("store") / "o"
    outcomes = Outcomes.of(text, ["m", "n"], score, cost=cost)
    write_outcomes(outcomes, folder)
    back = read_outcomes(folder)
    assert back.content_hash == outcomes.content_hash
    assert list(back.queries.text) == text


def test_texts_are_not_read_on_load(tmp_path: Path) -> None:
    write_outcomes(some(), tmp_path / "o")
    back = read_outcomes(tmp_path / "o")
    (tmp_path / "o" / "texts.parquet").unlink()
    assert back.score.shape == (6, 3)
    with pytest.raises(FileNotFoundError):
        list(back.queries.text)


def test_a_folder_written_anew_is_read_anew(tmp_path: Path) -> None:
    write_outcomes(Outcomes.of(["old"], ["m"], [[1.0]]), tmp_path / "o")
    assert list(read_outcomes(tmp_path / "o").queries.text) == ["old"]
    write_outcomes(Outcomes.of(["new"], ["m"], [[1.0]]), tmp_path / "o", overwrite=True)
    assert list(read_outcomes(tmp_path / "o").queries.text) == ["new"]


def test_without_texts_says_where_they_are(tmp_path: Path) -> None:
    write_outcomes(some(), tmp_path / "o", texts=False)
    with pytest.raises(ValueError, match="holds no query texts"):
        list(read_outcomes(tmp_path / "o").queries.text)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda d: (d / "manifest.json").unlink(),
            "must be a folder of outcomes, got a folder without a manifest.json",
        ),
        (lambda d: (d / "manifest.json").write_bytes(b"{"), "must be JSON"),
        (lambda d: (d / "manifest.json").write_bytes(b"[]"), "got a folder without a manifest.json that says so"),
        (lambda d: (d / "outcomes.parquet").unlink(), "must have .* bytes, got none"),
        (lambda d: (d / "outcomes.parquet").write_bytes(b"x"), "must have .* bytes, got 1"),
        (lambda d: _flip(d / "queries.parquet"), "sha256"),
    ],
)
def test_damage_is_refused_with_a_sentence(tmp_path: Path, damage, sentence: str) -> None:  # type: ignore[no-untyped-def]
    write_outcomes(some(), tmp_path / "o")
    damage(tmp_path / "o")
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        read_outcomes(tmp_path / "o")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    write_outcomes(some(), tmp_path / "o")
    path = tmp_path / "o" / "manifest.json"
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), "schema": 4}))
    with pytest.raises(ValueError, match="must have schema 1 or 2 or 3, got 4"):
        read_outcomes(tmp_path / "o")


def test_an_existing_folder_stays_unless_told(tmp_path: Path) -> None:
    write_outcomes(some(), tmp_path / "o")
    with pytest.raises(FileExistsError, match="must not exist yet"):
        write_outcomes(some(1), tmp_path / "o")
    assert read_outcomes(tmp_path / "o").content_hash == some().content_hash


def test_replies_are_empty_where_there_are_none(tmp_path: Path) -> None:
    write_outcomes(some(), tmp_path / "o")
    assert scan_replies(tmp_path / "o").collect().height == 0
    (tmp_path / "o" / "replies").mkdir()
    part = pl.DataFrame({"query": [0], "model": ["a"], "reply": ["42"]}, schema_overrides={"query": pl.UInt32})
    part.write_parquet(tmp_path / "o" / "replies" / "0.parquet")
    assert scan_replies(tmp_path / "o").collect()["reply"].to_list() == ["42"]


_WRITER = """
import sys, time
from pathlib import Path
from llmrouterbench.files import new_folder
with new_folder(Path(sys.argv[1]), overwrite=True) as partial:
    (partial / "outcomes.parquet").write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


def _killed_writer(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_kill_during_a_write_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    write_outcomes(some(), tmp_path / "o")
    _killed_writer(tmp_path / "o")
    assert read_outcomes(tmp_path / "o").content_hash == some().content_hash
    assert len(list(tmp_path.iterdir())) == 2  # the store and the partial folder of the dead writer
    write_outcomes(some(1), tmp_path / "o", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


def test_a_swap_cut_in_the_middle_is_mended(tmp_path: Path) -> None:
    write_outcomes(some(), tmp_path / "o")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "o").rename(tmp_path / f".o.old-{dead.pid}")
    with pytest.raises(FileExistsError):  # the old store is back, and it is not overwritten unasked
        _write_after_mending(tmp_path / "o")
    assert read_outcomes(tmp_path / "o").content_hash == some().content_hash


def _write_after_mending(folder: Path) -> None:
    from llmrouterbench.files import remove_abandoned

    remove_abandoned(folder)
    write_outcomes(some(1), folder)


def test_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    partial = tmp_path / f".o.partial-{os.getppid()}"
    partial.mkdir()
    write_outcomes(some(), tmp_path / "o")
    assert partial.is_dir()


def test_what_a_log_knows_is_stored_as_schema_2_and_nothing_else_changes(tmp_path: Path) -> None:
    plain = Outcomes.of(["a", "b"], ["x", "y"], [[1, NAN], [NAN, 0]])
    logged = replace(plain, propensity=np.array([[0.75, 0.25], [NAN, 0.5]]))
    for name, outcomes, schema in (("plain", plain, 1), ("logged", logged, 2)):
        write_outcomes(outcomes, tmp_path / name)
        assert orjson.loads((tmp_path / name / "manifest.json").read_bytes())["schema"] == schema
        assert read_outcomes(tmp_path / name).content_hash == outcomes.content_hash
    assert plain.content_hash != logged.content_hash
    assert "planes" not in orjson.loads((tmp_path / "plain" / "manifest.json").read_bytes())
    again = read_outcomes(tmp_path / "logged")
    assert again.propensity is not None
    assert np.array_equal(again.propensity, [[0.75, 0.25], [NAN, 0.5]], equal_nan=True)
    one = again.take(np.array([1])).select(["y"])
    assert one.propensity is not None
    assert one.propensity.tolist() == [[0.5]]


def test_planes_of_a_later_version_are_refused(tmp_path: Path) -> None:
    logged = replace(Outcomes.of(["a"], ["x"], [[1]]), propensity=np.array([[0.5]]))
    write_outcomes(logged, tmp_path / "logged")
    path = tmp_path / "logged" / "manifest.json"
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), "planes": ["mood"]}))
    with pytest.raises(
        ValueError, match="must hold planes of propensity, runs, spread, got 'mood'; use a newer version"
    ):
        read_outcomes(tmp_path / "logged")
