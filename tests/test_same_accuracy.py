"""One model has one accuracy, whichever command is asked, and the JSON says how it is averaged."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrouterbench.benching.bench import bench
from llmrouterbench.importers import import_outcomes
from llmrouterbench.metrics import AVERAGES
from llmrouterbench.reporting.curation import curation_dict
from llmrouterbench.reporting.describe import describe
from llmrouterbench.store import write_outcomes
from llmrouterbench.studies.curation import study
from llmrouterbench.studies.headroom import headroom
from llmrouterbench.table import IntArray, Outcomes

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def truth(outcomes: Outcomes, rows: IntArray | slice = slice(None)) -> dict[str, float]:
    """AvgAcc by model, worked out by another library: the mean over datasets of the mean of what was measured."""
    frame = pl.DataFrame(outcomes.score[rows], schema=list(outcomes.models), nan_to_null=True)
    frame = frame.with_columns(pl.Series("of", outcomes.dataset[rows].tolist()))
    means = frame.group_by("of").agg(pl.col(outcomes.models).mean()).select(pl.col(outcomes.models).mean())
    return {name: np.nan if value is None else value for name, value in means.row(0, named=True).items()}


def said(outcomes: Outcomes) -> list[dict[str, float]]:
    """The accuracies in what `info`, `curate` and `advise` say of all queries."""
    facts, kept = describe(outcomes), curation_dict(study(outcomes, samples=20))
    room = headroom(outcomes, replicates=20)
    assert facts["averages"] == kept["averages"] == {"AvgAcc": AVERAGES["AvgAcc"]}
    assert facts["overview"]["best_single"] == room.best
    return [
        {name: row["AvgAcc"] / 100.0 for name, row in facts["accuracy"].items()},
        {one["model"]: one["alone"]["value"] for one in kept["values"]},
        {room.best: room.single.value},
        {room.best: facts["overview"]["best_single_AvgAcc"] / 100.0},
    ]


@pytest.mark.prove
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 4))
def test_tables_of_any_shape(seed: int, datasets: int, models: int) -> None:
    """Datasets of unlike sizes: there the two ways to average differ."""
    rng = np.random.default_rng(seed)
    names = [f"task {k}" for k in range(datasets) for _ in range(int(rng.integers(2, 20)))]
    score = rng.integers(0, 3, (len(names), models)) / 2.0
    made = Outcomes.of([f"q {i}" for i in range(len(names))], [f"m{j}" for j in range(models)], score, dataset=names)
    right = truth(made)
    for values in said(made):
        assert values == pytest.approx({name: right[name] for name in values})


def command(*words: str | Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "llmrouterbench.cli", *map(str, words), "--json"], check=True, stdout=subprocess.PIPE
    )
    return orjson.loads(done.stdout)


@pytest.mark.prove
def test_every_command_on_one_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    names = ["big"] * 160 + ["small"] * 40
    words = {"big": "add these numbers", "small": "conjugate this verb"}
    score = (rng.random((200, 2)) < np.where(np.array(names) == "big", 0.9, 0.3)[:, None]).astype(float)
    texts = [f"{words[name]} {i} {i * i}" for i, name in enumerate(names)]
    made = Outcomes.of(texts, ["a", "b"], score, dataset=names, cost=np.tile([1.0, 2.0], (200, 1)))
    write_outcomes(made, tmp_path / "data")
    right = truth(made)
    facts, kept = command("info", tmp_path / "data"), command("curate", tmp_path / "data", "--samples", "20")
    advice = command("advise", tmp_path / "data", "--quick")
    assert {name: row["AvgAcc"] / 100.0 for name, row in facts["accuracy"].items()} == pytest.approx(right)
    assert {one["model"]: one["alone"]["value"] for one in kept["values"]} == pytest.approx(right)
    assert advice["headroom"]["single"]["value"] == pytest.approx(right[advice["headroom"]["best"]])
    board = command("bench", tmp_path / "data", "--out", tmp_path / "runs", "--routers", "knn", "--seeds", "42")
    tested = bench(tmp_path / "data", tmp_path / "runs", routers=["knn"], seeds=[42], jobs=1).splits[42].test
    rows = {row["name"]: row["avg_acc"]["value"] for row in board["rows"] if row["kind"] == "model"}
    assert rows == pytest.approx(truth(made, tested)), "of the test part, and averaged in the same way"
    fitted = command("fit", tmp_path / "data", "--to", tmp_path / "router", "--router", "best_single")
    assert fitted["averages"] == {"quality": AVERAGES["quality"]}, "traffic is billed by query: another name"
    assert fitted["serves_alone"] == max(right, key=right.__getitem__)
    assert command("policies", tmp_path / "router")["serves_alone"] == fitted["serves_alone"]
    for one in (facts, kept, advice, board):
        assert one["averages"] == {"AvgAcc": AVERAGES["AvgAcc"]}


@pytest.mark.prove
@pytest.mark.parametrize("source", ["bench-release-slice.tar.gz", "routerbench/routerbench_zs", "routellm"])
def test_real_sets(source: str, tmp_path: Path) -> None:
    if not DATA.is_dir():
        pytest.skip("needs the shared data beside the repository")
    import_outcomes(DATA / source, tmp_path / "data", replies=False)
    setting = "performance-cost" if source.startswith("bench") else None
    outcomes = Outcomes.load(tmp_path / "data", setting)
    right = truth(outcomes)
    for values in said(outcomes):
        assert values == pytest.approx({name: right[name] for name in values}, nan_ok=True)
