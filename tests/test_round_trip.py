"""Out and in again: what an exporter wrote imports as what it was, or is refused where the files hold less.

What a table says beside the columns of any: `importers/_written.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmrouterbench.exporters import METHODS, export_inputs
from llmrouterbench.exporters.long_table import FILES, export_table
from llmrouterbench.importers import detect_format, import_outcomes
from llmrouterbench.splits import Split
from llmrouterbench.table import FloatArray, Outcomes
from test_importers_official import SLICE, needs_slice
from test_importers_tools import READ, SHARED, real

NAN = float("nan")
TO = [f"table{ending}" for ending in (*FILES, "")]
SPLIT = Split(np.array([0, 1, 3, 4]), np.array([2, 5]), {"kind": "paper", "seed": 3, "ratio": 0.7, "held_out": []})


def everything() -> Outcomes:
    """A table with all that outcomes can say."""
    outcomes = Outcomes.of(
        ["p 0", 'a "b",\n c', "p 0", "x\r\ny", "\u2028=1+1", "zürich; \t|"],
        ["z", "a/x", "nothing", "out"],
        np.array([[1, 0, NAN, 1], [NAN] * 4, [1, 1 / 3, NAN, 0.5], [0, NAN, NAN, 0.1], [0.5, 1, NAN, 0], [0] * 4]),
        cost=np.array([[0, 1e-7, NAN, 0.1], [NAN] * 4, *[[5e-324, 1.7e308, NAN, 0.1 + 0.2]] * 4]),
        dataset=["d"] * 3 + ["e"] * 3,
        id=list("543210"),
        prompt=["p 0", "q", "p 0", "x\r\ny", "", "t\rt"],
    )
    known = np.where(np.isfinite(outcomes.score), 1.0, NAN)
    return replace(
        outcomes, index=np.array([0, 4, -3, 2, 1, 7]), subset=np.array(["test", "", "test", "", "", "1"]),
        group=np.array([9, 1, 9, 3, 4, 5]), outside=("out",), simulated=True, propensity=0.25 * known,
        runs=2 * known, spread=0.3 * known,
    )  # fmt: skip


def again(outcomes: Outcomes, to: Path) -> Outcomes:
    """The outcomes of the table that was made of these."""
    facts = export_table(outcomes, to)
    assert facts["content_hash"] == outcomes.content_hash
    assert detect_format(to) == "long_table"
    report = import_outcomes(to, to.with_name("again"), overwrite=True)
    assert report.counts["records"] == facts["records"]
    assert report.source["columns_ignored"] == []
    return Outcomes.load(to.with_name("again"))


def check(outcomes: Outcomes, to: Path) -> None:
    found = again(outcomes, to)
    assert found.content_hash == outcomes.content_hash
    assert list(found.queries.text) == list(outcomes.queries.text)
    assert list(found.queries.prompt) == list(outcomes.queries.prompt)
    assert (found.simulated, found.outside) == (outcomes.simulated, outcomes.outside)


@pytest.mark.parametrize("name", TO)
def test_a_table_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    check(everything(), tmp_path / name)
    check(replace(everything().pool.select(["a/x", "z"]), runs=None, spread=None), tmp_path / f"pool-{name}")


@pytest.mark.parametrize("name", TO)
def test_a_log_comes_back_with_its_propensities(name: str, tmp_path: Path) -> None:
    rows: dict[str, list[Any]] = {"id": list("abcd"), "query": ["q", "q", "r", "q"], "model": ["x", "y", "x", "x"]}
    rows["score"] = [1.0, 0, 1, 0.5]
    pl.DataFrame(rows | {"propensity": [0.5, 0.5, 0.25, 0.5], "cost": [0.0, 1, 2, 3]}).write_csv(tmp_path / "log.csv")
    import_outcomes(tmp_path / "log.csv", tmp_path / "o", key="text", zero_cost="free")
    outcomes = Outcomes.load(tmp_path / "o")
    assert outcomes.propensity is not None
    assert outcomes.runs is not None
    assert np.nanmax(outcomes.propensity) > 0.5
    check(outcomes, tmp_path / name)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8).filter(str.strip)
_NUMBER = st.floats(0, 1) | st.just(NAN)


@pytest.mark.prove
@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(TO),
    st.lists(_TEXT, min_size=1, max_size=3),
    st.lists(_TEXT, min_size=1, max_size=3, unique=True),
    st.lists(_NUMBER, min_size=18, max_size=18),
)
@example("table.csv", ["'"], ['[{"role": "user", "content": "x"}]'], [0.5] * 18)
@example("table.csv", ['[{"role": "user", "content": "x"}]'], ["1,5"], [1.0] * 18)
def test_any_texts_names_and_numbers_come_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, texts: list[str], models: list[str], numbers: list[float]
) -> None:
    size = len(texts) * len(models)
    planes = [np.array(values).reshape(len(texts), -1) for values in (numbers[:size], numbers[9 : 9 + size])]
    check(Outcomes.of(texts, models, planes[0], cost=planes[1], dataset=texts), tmp_path_factory.mktemp("any") / name)


@pytest.mark.slow
@real
@pytest.mark.parametrize("name", READ)
def test_what_a_tool_wrote_comes_back_from_a_table(name: str, tmp_path: Path) -> None:
    import_outcomes(SHARED / name, tmp_path / "o", filter=READ[name][1])
    check(Outcomes.load(tmp_path / "o"), tmp_path / TO[list(READ).index(name) % len(TO)])


@pytest.mark.prove
@needs_slice
@pytest.mark.parametrize("name", TO)
def test_the_real_slice_comes_back(name: str, tmp_path: Path) -> None:
    import_outcomes(SLICE, tmp_path / "o", replies=False)
    check(Outcomes.load(tmp_path / "o"), tmp_path / name)


def exported(method: str, score: FloatArray, to: Path) -> Outcomes:
    """The outcomes that were exported: scores alone, queries in the order and under the names that the files have."""
    entry, order = METHODS[method], np.concatenate([SPLIT.test, SPLIT.train])
    texts, dataset = [f"p{i}" for i in range(6)], ["d"] * 3 + ["e"] * 3
    ids = [f"{name}/{i}" for i, name in enumerate(dataset)] if method == "hybridllm" else list("012345")
    outcomes = Outcomes.of(texts, ["b", "c"], score, dataset=dataset, id=ids)
    export_inputs(
        outcomes, SPLIT, method, to, seed=3, embedding=np.eye(6) if entry.embedding else None,
        embed=(lambda texts: np.eye(len(texts), 6)) if entry.embedding else None,
        pair=("c", "b") if entry.pair else None,
    )  # fmt: skip
    found = outcomes.take(order)
    return replace(found, index=np.arange(6), group=np.arange(6))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_reads_comes_back_or_is_refused(method: str, tmp_path: Path) -> None:
    if method == "embedllm":
        pytest.importorskip("torch")
    score: FloatArray = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [0.5, 1], [0, 0.25]])
    outcomes = exported(method, score, tmp_path / "full")
    kind = METHODS[method].reads
    if kind:
        assert import_outcomes(tmp_path / "full", tmp_path / "o").source["format"] == kind
        assert Outcomes.load(tmp_path / "o").content_hash == outcomes.content_hash
    score[1, 1] = NAN
    exported(method, score, tmp_path / "part")
    why = "0 stands for 1 scores that were not measured" if kind else "holds no more than that method reads"
    given = [tmp_path / "part", *(file for file in (tmp_path / "part").glob("t*.*") if file.suffix != ".json")]
    for source in given:
        for form in ("auto", kind or "long_table"):
            with pytest.raises(ValueError, match=f"is an export for {method}, .*{why}.*; import what it was made from"):
                import_outcomes(source, tmp_path / "p", format=form)
    with pytest.raises(ValueError, match=why):
        detect_format(tmp_path / "part")


def test_a_table_that_was_edited_is_one_sentence(tmp_path: Path) -> None:
    export_table(everything(), tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "e.csv").write_text(text.replace(",-3,test,9,", ",x,test,9,"))
    with pytest.raises(ValueError, match="lrb_index must be a whole number in every record, got 'x' in .*export it ag"):
        import_outcomes(tmp_path / "e.csv", tmp_path / "o")


def test_tables_of_two_exports_are_runs_of_one(tmp_path: Path) -> None:
    outcomes = Outcomes.of(["q", "r"], ["a", "b"], [[1.0, 0.0], [1.0, NAN]])
    (tmp_path / "both").mkdir()
    export_table(outcomes, tmp_path / "both" / "1.csv")
    export_table(replace(outcomes, score=1 - outcomes.score), tmp_path / "both" / "2.parquet")
    import_outcomes(tmp_path / "both", tmp_path / "o")
    found = Outcomes.load(tmp_path / "o")
    assert found.runs is not None
    assert found.score[0].tolist() == [0.5, 0.5]
    assert found.runs[0].tolist() == [2, 2]


def test_what_cannot_be_written_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    outcomes = Outcomes.of(["q", " "], ["a"], [[1], [0]])
    with pytest.raises(ValueError, match="every text of a query must be written in a table, got an empty one at pos"):
        export_table(outcomes, tmp_path / "t.csv")
    with pytest.raises(ValueError, match=r"a table must be a .csv, .jsonl, .parquet file, or a folder.*got .*t.xlsx"):
        export_table(outcomes.take(np.array([0])), tmp_path / "t.xlsx")
    with pytest.raises(ValueError, match="a table must have queries and models"):
        export_table(outcomes.take(np.array([], dtype=np.int64)), tmp_path / "t.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", TO)
def test_what_is_there_stays_unless_it_may_be_replaced(name: str, tmp_path: Path) -> None:
    outcomes = Outcomes.of(["q"], ["a"], [[1]])
    export_table(outcomes, tmp_path / name)
    with pytest.raises(FileExistsError, match="must not exist yet"):
        export_table(outcomes, tmp_path / name)
    export_table(outcomes, tmp_path / name, overwrite=True)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="got a folder of other files"):
        export_table(outcomes, mine, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "mine"])


def test_the_card_says_what_the_files_hold(tmp_path: Path) -> None:
    export_table(everything(), tmp_path / "hub")
    card = (tmp_path / "hub" / "README.md").read_text()
    frame = pl.read_parquet(tmp_path / "hub" / "outcomes.parquet")
    assert card.startswith("---\nconfigs:\n- config_name: default\n  data_files: outcomes.parquet\n")
    assert "SIMULATED" in card
    assert everything().content_hash in card
    assert all(f"`{name}`" in card for name in frame.columns)
    assert f"{frame.height} rows" in card
