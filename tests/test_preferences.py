"""Battles are data of their own: who was preferred, ties, both bad. Strengths are Bradley-Terry's, and never scores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from typer.testing import CliRunner

import llmrouterbench.cli  # noqa: F401  (its commands join the app)
from llmrouterbench.commands.app import app
from llmrouterbench.importers import import_outcomes
from llmrouterbench.importers.battles import Battles, read_battles
from llmrouterbench.reporting.preferences import preferences_lines
from llmrouterbench.studies.preferences import ELO, bradley_terry, preferences

SHARED = Path(__file__).parents[2] / "shared" / "data" / "formats"
SAID = [("ant", "bee", "model_a"), ("ant", "bee", "model_b"), ("bee", "cat", "tie"), ("cat", "ant", "tie (bothbad)")]


def arena_33k() -> Iterator[dict[str, Any]]:
    for number, (a, b, winner) in enumerate(SAID):
        turns = [{"role": "user", "content": f"q{number % 2}"}, {"role": "assistant", "content": a}]
        yield {"question_id": str(number), "model_a": a, "model_b": b, "winner": winner, "conversation_a": turns}


def arena_140k() -> Iterator[dict[str, Any]]:
    for number, (a, b, winner) in enumerate(SAID):
        content = [{"type": "text", "text": f"q{number % 2}", "image": None}]
        won = winner.replace("tie (bothbad)", "both_bad")
        yield {"id": str(number), "model_a": a, "model_b": b, "winner": won,
               "conversation_a": [{"role": "user", "content": content}], "language": "en"}  # fmt: skip


def arena_55k() -> Iterator[dict[str, Any]]:
    for number, (a, b, winner) in enumerate(SAID):
        flags = {"winner_model_a": winner == "model_a", "winner_model_b": winner == "model_b"}
        tie = {"winner_tie": winner.startswith("tie")}
        yield {"id": number, "model_a": a, "model_b": b, "prompt": json.dumps([f"q{number % 2}", "more"])} | {
            name: int(value) for name, value in {**flags, **tie}.items()
        }


def written(rows: list[dict[str, Any]], path: Path) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        frame = pl.DataFrame(rows)
        frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


@pytest.mark.parametrize(
    ("rows", "name", "bad"),
    [
        (arena_33k, "x.jsonl", 1),
        (arena_33k, "x.json", 1),
        (arena_33k, "x.parquet", 1),
        (arena_140k, "x.parquet", 1),
        (arena_140k, "x.jsonl", 1),
        (arena_55k, "x.csv", 0),
        (arena_55k, "x.parquet", 0),
    ],
)
def test_every_layout_says_the_same(rows: Any, name: str, bad: int, tmp_path: Path) -> None:
    battles = read_battles(written(list(rows()), tmp_path / name))
    assert battles.models == ("ant", "bee", "cat")
    assert battles.first.tolist() == [0, 0, 1, 2]
    assert battles.second.tolist() == [1, 1, 2, 0]
    assert battles.result.tolist() == [1.0, 0.0, 0.5, 0.5]
    assert battles.query.tolist() == [0, 1, 0, 1]
    assert battles.bad.sum() == bad


def test_pairs_of_rewardbench_are_battles_by_subset(tmp_path: Path) -> None:
    pairs = [("ant", "bee", "easy"), ("bee", "ant", "hard"), ("ant", "bee", "hard")]
    rows = [{"prompt": "p", "chosen_model": a, "rejected_model": b, "subset": task} for a, b, task in pairs]
    found = preferences(read_battles(written(rows, tmp_path / "filtered.jsonl")))
    assert [(one.task, one.battles) for one in found] == [("", 3), ("hard", 2), ("easy", 1)]
    assert found[1].strengths[0].elo.value == pytest.approx(0.0)
    easy = [one.model for one in found[2].strengths if np.isfinite(one.elo.value)]
    assert easy == [], "who won the only battle is stronger by any number"
    assert "won every battle" in "\n".join(preferences_lines(found))


def test_two_models_are_apart_by_the_log_of_their_wins() -> None:
    won = np.array([1.0] * 6 + [0.0] * 2 + [0.5] * 4)
    zeros, ones = np.zeros(12, dtype=np.int64), np.ones(12, dtype=np.int64)
    value, error = bradley_terry(zeros, ones, won, np.arange(12), 2)
    assert value[0] - value[1] == pytest.approx(np.log(8 / 4))
    assert value.sum() == pytest.approx(0.0)
    assert error[0] == error[1] > 0


def test_battles_of_one_query_count_as_one() -> None:
    won = np.array([1.0, 1.0, 0.0])
    zeros, ones = np.zeros(3, dtype=np.int64), np.ones(3, dtype=np.int64)
    once = bradley_terry(zeros, ones, won, np.arange(3), 2)
    zeros, ones, won, query = (np.repeat(one, 50) for one in (zeros, ones, won, np.arange(3)))
    again = bradley_terry(zeros, ones, won, query, 2)
    np.testing.assert_allclose(once, again)


@pytest.mark.slow
def test_intervals_hold_the_truth() -> None:
    truth = np.array([0.8, 0.3, 0.0, -0.4, -0.7])
    held = total = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        first, second = np.array([rng.choice(5, 2, replace=False) for _ in range(300)]).T
        won = (rng.random(300) < expit(truth[first] - truth[second])).astype(float)
        value, error = bradley_terry(first, second, won, np.arange(300), 5)
        held += int((np.abs(value - truth) <= 1.96 * error).sum())
        total += 5
    assert 0.93 <= held / total <= 0.97


def test_a_model_without_a_link_has_no_strength_and_moves_no_other() -> None:
    battles = [("ant", "bee", 1.0), ("ant", "bee", 0.0), ("ant", "bee", 1.0), ("cat", "ant", 1.0), ("dog", "elk", 0.5)]
    models = ("ant", "bee", "cat", "dog", "elk", "fox")
    first, second = (np.array([models.index(row[at]) for row in battles]) for at in (0, 1))
    won, number = np.array([row[2] for row in battles]), np.arange(5)
    value, _ = bradley_terry(first, second, won, number, 6)
    assert value[:2].tolist() == pytest.approx([np.log(2) / 2, -np.log(2) / 2])
    assert np.isnan(value[2:]).all()
    whole = Battles(models, first, second, won, np.zeros(5, dtype=np.bool_), number, ("",) * 5)
    (found,) = preferences(whole)
    assert [one.model for one in found.strengths][:2] == ["ant", "bee"]
    assert {one.model for one in found.strengths} == set(models) - {"fox"}
    assert found.strengths[0].elo.value == pytest.approx(ELO * np.log(2) / 2)
    text = "\n".join(preferences_lines([found]))
    assert "won every battle" in text
    assert "not linked to the others by wins and losses" in text
    assert "nan" not in text


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"model_a": "ant", "model_b": "bee", "winner": "ant"}], "a battle must say who won (model_a, model_b, tie"),
        ([{"model_a": "ant", "model_b": "ant", "winner": "tie"}], "a battle must be of two models, got 'ant'"),
        ([{"model_a": "ant", "model_b": None, "winner": "tie"}], "a battle must name two models"),
        ([{"query": "a", "model": "b", "score": 1}], "must be a file of battles with model_a, model_b and a winner"),
    ],
    ids=["a name as winner", "itself", "nobody", "outcomes"],
)
def test_what_is_no_battle_is_refused(rows: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\w") as error:
        read_battles(written(rows, tmp_path / "x.jsonl"))
    assert said in str(error.value)


def test_one_bad_battle_of_many_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [*list(arena_33k()) * 50, {"model_a": "ant", "model_b": "bee", "winner": "?"}]
    battles = read_battles(written(rows, tmp_path / "x.jsonl"))
    assert len(battles.result) == 200
    assert [(one.count, one.happened) for one in battles.findings] == [(1, "dropped")]


def test_the_command_prints_strengths_and_import_names_it(tmp_path: Path) -> None:
    path = written(list(arena_33k()), tmp_path / "battles.jsonl")
    said = CliRunner().invoke(app, ["preferences", str(path)])
    assert said.exit_code == 0, said.output
    assert "A preference is no score" in said.output
    assert "both bad in 25.0 %" in said.output
    found = json.loads(CliRunner().invoke(app, ["preferences", str(path), "--json"]).stdout)
    assert (found["battles"], found["tied"], found["both_bad"]) == (4, 2, 1)
    with pytest.raises(ValueError, match="see `llmrouterbench preferences`"):
        import_outcomes(path, tmp_path / "o")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/formats")
@pytest.mark.parametrize("name", ["140k.parquet", "battles.jsonl", "lmsys-55k_train.csv"])
def test_files_of_arena_are_read(name: str) -> None:
    assert len(read_battles(SHARED / "arena" / name).result) == 5
