"""Queries of one cluster, such as the turns of a conversation: kept from a table to splits and intervals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from llmrouterbench.commands import import_  # noqa: F401, its command joins the app
from llmrouterbench.commands.app import app
from llmrouterbench.estimating.values import interval_of
from llmrouterbench.exporters.long_table import export_table
from llmrouterbench.importers import import_outcomes
from llmrouterbench.splits import make_split, validation_folds, validation_split, with_near_copies
from llmrouterbench.stats import pair, sample_of
from llmrouterbench.store import read_manifest, read_outcomes, write_outcomes
from llmrouterbench.table import Outcomes, joined
from llmrouterbench.worth import folds_of

TURNS = 5


def talks(many: int, rng: np.random.Generator) -> Outcomes:
    """Conversations of five turns, some easy and some hard: a model is right in most turns of one or in few."""
    easy = rng.beta(0.5, 0.5, size=many)
    right = (rng.random((many * TURNS, 2)) < np.repeat(easy, TURNS)[:, None]).astype(np.float64)
    table = Outcomes.of([f"turn {i} {rng.integers(1 << 60)}" for i in range(len(right))], ["a", "b"], right)
    return replace(table, cluster=np.repeat(np.arange(many) * TURNS, TURNS))


def written(path: Path) -> Outcomes:
    """A table of 40 conversations, as others have it."""
    table = talks(40, np.random.default_rng(3))
    rows = [
        {"conversation": f"c{i // TURNS}" if i else None, "question": text, "model": model, "score": float(score)}
        for i, text in enumerate(table.queries.text)
        for model, score in zip(table.models, table.score[i], strict=True)
    ]
    pl.DataFrame(rows).write_csv(path)
    return table


def test_a_named_column_is_kept_from_the_table_to_the_store_and_back(tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv")
    said = CliRunner().invoke(
        app, ["import", str(tmp_path / "t.csv"), "--to", str(tmp_path / "o"), "--cluster", "conversation"]
    )
    assert said.exit_code == 0, said.output
    stored = read_outcomes(tmp_path / "o")
    assert stored.together[:TURNS].tolist() == [0, 1, 1, 1, 1], "no conversation: alone"
    assert np.array_equal(stored.together[TURNS:], table.together[TURNS:])
    assert read_manifest(tmp_path / "o")["schema"] == 3
    export_table(stored, tmp_path / "again.parquet")
    import_outcomes(tmp_path / "again.parquet", tmp_path / "back")
    assert read_outcomes(tmp_path / "back").content_hash == stored.content_hash


def test_without_clusters_nothing_on_disk_changes(tmp_path: Path) -> None:
    table = replace(talks(4, np.random.default_rng(0)), cluster=None)
    write_outcomes(table, tmp_path / "o")
    assert read_manifest(tmp_path / "o")["schema"] == 1
    assert "cluster" not in pl.read_parquet_schema(tmp_path / "o" / "queries.parquet")
    clustered = replace(table, cluster=np.zeros(len(table), np.int64))
    assert clustered.content_hash != table.content_hash == read_outcomes(tmp_path / "o").content_hash


def test_a_column_that_only_happens_to_be_called_cluster_is_not_one(tmp_path: Path) -> None:
    pl.DataFrame({"query": ["x", "y"], "model": ["m"] * 2, "score": [1.0, 0.0], "cluster": [1, 1]}).write_csv(
        tmp_path / "t.csv"
    )
    report = import_outcomes(tmp_path / "t.csv", tmp_path / "o")
    assert read_outcomes(tmp_path / "o").cluster is None
    assert "cluster" in report.source["columns_ignored"]


def test_a_query_in_two_clusters_is_counted_and_copies_join_theirs(tmp_path: Path) -> None:
    rows = [("q1", "a", "x"), ("q1", "b", "y"), ("q2", "a", "y")]
    pl.DataFrame(
        [{"id": id, "model": m, "talk": talk, "query": "same text", "score": 1.0} for id, m, talk in rows]
    ).write_csv(tmp_path / "t.csv")
    report = import_outcomes(tmp_path / "t.csv", tmp_path / "o", columns={"cluster": "talk"})
    assert "query in several clusters, kept in its first one" in [one.kind for one in report.findings]
    found = read_outcomes(tmp_path / "o")
    assert found.together.tolist() == [0, 0], "copies share a cluster"
    with pytest.raises(ValueError, match="copies of a query must share a cluster"):
        replace(found, cluster=np.array([0, 1]))


@pytest.mark.parametrize("kind", ["safe", "paper"])
def test_no_cluster_straddles(kind: str) -> None:
    table = talks(60, np.random.default_rng(1))
    assert table.cluster is not None
    split = make_split(table, 42, kind=kind)
    for train, test in (
        (split.train, split.test),
        validation_split(table, split.train, 1, group=split.group),
        *validation_folds(table, split.train, 1, 3, split.group),
    ):
        assert not set(table.cluster[train]) & set(table.cluster[test])
    fold = folds_of(table, 4, 0)
    assert all(len(set(fold[table.cluster == one])) == 1 for one in set(table.cluster.tolist()))
    near = with_near_copies(table)
    assert (near.together == joined(near.group, table.cluster)).all()


@pytest.mark.slow
def test_intervals_hold_with_clusters_and_fail_without() -> None:
    rng, worlds, true = np.random.default_rng(11), 200, 0.5
    held = {"cluster": 0, "alone": 0, "log": 0}
    for _ in range(worlds):
        table = talks(30, rng)
        for name, one in (("cluster", table), ("alone", replace(table, cluster=None))):
            found = pair([sample_of(one, one.score)], replicates=100).accuracy(0)
            held[name] += found.low <= true <= found.high
        log = interval_of(table.score[:, 0], table.dataset, table.together, float(len(table)))
        held["log"] += log.low <= true <= log.high
    assert binom.cdf(held["cluster"], worlds, 0.95) > 0.01
    assert binom.cdf(held["log"], worlds, 0.93) > 0.01
    assert held["alone"] < 0.8 * worlds
