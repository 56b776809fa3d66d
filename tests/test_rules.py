"""One value for the rules of a bench: in Python, YAML, on the command line and in runs.json, by the same names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Made, load_runs, read_record, to_record
from llmrouterbench.benching.rules import Rules
from llmrouterbench.collecting.config import BenchConfig
from llmrouterbench.files import read_json, sha256_of, write_json
from llmrouterbench.simulation.simulate import simulate
from llmrouterbench.store import write_outcomes
from llmrouterbench.strict import parse_strict
from llmrouterbench.table import Outcomes

shares = st.floats(0.01, 0.99)
common: dict[str, Any] = {
    "setting": st.none() | st.just("performance"),
    "validation": shares,
    "embedder": st.sampled_from(["tfidf", "minilm", "st:some/model", "file:v.parquet"]),
    "text": st.sampled_from(["prompt", "query"]),
    "strip_shared": st.booleans(),
    "tune": st.booleans(),
}
made_split = {"ratio": shares, "held_out": st.lists(st.sampled_from(["aime", "gpqa"]), unique=True).map(tuple)}
rules = st.one_of(
    st.builds(Rules, protocol=st.just("safe"), split=st.sampled_from([None, "safe", "paper"]), **made_split, **common),
    st.builds(Rules, protocol=st.just("paper"), split=st.sampled_from([None, "paper"]), **made_split, **common),
    st.builds(Rules, split=st.sampled_from(["mine.json", "mine.csv", "mine.jsonl"]), **common),
)


@given(rules)
def test_runs_json_gives_the_rules_back(agreed: Rules) -> None:
    made = Made.of(["knn"], [1], truncated=3, split="h" if agreed.split_file else None)
    back = Rules.from_stored(orjson.loads(orjson.dumps(to_record(agreed, made))))
    assert back.stored() == agreed.stored()
    assert (back.split_file, back.split_kind) == (agreed.split_file, agreed.split_kind)


@given(rules)
def test_a_config_of_run_holds_the_same_value(agreed: Rules) -> None:
    raw = orjson.loads(orjson.dumps(agreed.model_dump()))
    assert parse_strict(BenchConfig, {**raw, "out": "o"}, "run.yaml").rules == agreed


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"protocol": "papers"}, "protocol: no protocol named 'papers'; did you mean 'paper'?"),
        ({"split": "papre"}, "no split named 'papre'; did you mean 'paper'? (or give a file: .json, .csv, .jsonl)"),
        ({"protocol": "paper", "split": "safe"}, "protocol 'paper' has the split 'paper', got 'safe'"),
        ({"protocol": "paper", "split": "a.json"}, "protocol 'paper' has the split 'paper', got 'a.json'"),
        ({"split": "a.json", "ratio": 0.5}, "a split from a file has parts of its own, got ratio 0.5 and held_out []"),
        ({"split": "a.csv", "held_out": ("x",)}, "a split from a file has parts of its own"),
        ({"ratio": 1.0}, "ratio: must be between 0 and 1, both excluded, got 1.0"),
        ({"validation": 0.0}, "validation: must be between 0 and 1, both excluded, got 0.0"),
        ({"ratio": float("nan")}, "ratio: must be between 0 and 1, both excluded, got nan"),
        ({"text": "prompts"}, "text: no text named 'prompts'; did you mean 'prompt'?"),
        ({"embedder": ""}, "embedder must be a text that is not empty, got ''"),
        ({"tune": "yes"}, "tune must be true or false, got 'yes'"),
        ({"validtion": 0.2}, "unknown key 'validtion'; did you mean 'validation'?"),
    ],
)
def test_a_rule_that_cannot_be_gets_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Rules(**values)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistyped_option_of_bench_is_named(tmp_path: Path) -> None:
    table = simulate("performance-cost", scale=0.01)
    for wrong, right in (("validtion", "validation"), ("rotuers", "routers")):
        with pytest.raises(TypeError, match=f"bench has no option '{wrong}'; did you mean '{right}'"):
            bench(table, tmp_path / "r", **{wrong: 1})  # type: ignore[arg-type]
    assert not (tmp_path / "r").exists()


def test_the_command_line_python_and_a_rules_value_make_the_same_folder(tmp_path: Path) -> None:
    write_outcomes(simulate("performance-cost", scale=0.01), tmp_path / "outcomes")
    options = ["--protocol", "paper", "--validation", "0.3", "--text", "query", "--strip-shared", "--ratio", "0.6"]
    options += ["--hold-out", "aime", "--tune", "--routers", "best_single,knn:k=3", "--seeds", "5", "--jobs", "1"]
    command = [sys.executable, "-m", "llmrouterbench", "bench", "outcomes", "--out", "typed", *options, "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    by_name: dict[str, Any] = {
        "protocol": "paper", "validation": 0.3, "text": "query", "strip_shared": True, "ratio": 0.6,
        "held_out": ("aime",), "tune": True,
    }  # fmt: skip
    more: dict[str, Any] = {"routers": ["best_single", "knn:k=3"], "seeds": [5], "jobs": 1}
    bench(tmp_path / "outcomes", tmp_path / "named", **by_name, **more)
    bench(tmp_path / "outcomes", tmp_path / "valued", Rules(**by_name), **more)
    said = [read_json(tmp_path / name / "runs.json") for name in ("typed", "named", "valued")]
    assert said[0] == said[1] == said[2]
    loaded = [load_runs(tmp_path / name) for name in ("typed", "named", "valued")]
    assert [runs.rules for runs in loaded] == [Rules(**by_name).present] * 3
    for pair, decided in loaded[0].decisions.items():
        assert {runs.decisions[pair].facts["key"] for runs in loaded} == {decided.facts["key"]}


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ({"split": None}, "must say what was benched, got 'NoneType' object"),
        ({"split": {"kind": "odd"}}, "must say what was benched, got no split named 'odd'"),
        ({"seeds": ["x"]}, "must say what was benched, got invalid literal"),
        ({"schema": 2}, "must have schema 1, got 2; use the llmrouterbench that wrote it"),
    ],
)
def test_a_damaged_runs_json_gets_one_sentence(damage: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    write_json(tmp_path / "runs.json", {**to_record(Rules(), Made.of(["knn"], [1])), **damage})
    with pytest.raises(ValueError, match=sentence):
        read_record(tmp_path)


def test_files_that_rules_name_are_looked_for_where_the_config_lies(tmp_path: Path) -> None:
    given_rules = Rules(setting="own.toml", split="s.json", embedder="file:v.npz").from_folder(tmp_path)
    assert given_rules.setting == str(tmp_path / "own.toml")
    assert given_rules.files == [tmp_path / "s.json", tmp_path / "v.npz"]
    assert Rules(setting="performance").from_folder(tmp_path) == Rules(setting="performance")


def test_other_vectors_under_the_same_name_never_stand_beside_the_old_ones(tmp_path: Path) -> None:
    score = np.eye(2)[np.arange(60) % 2]
    table = Outcomes.of([f"question {i}" for i in range(60)], ["a", "b"], score, cost=np.ones((60, 2)))
    options = dict[str, Any](routers=["knn:k=3"], jobs=1, embedder=f"file:{tmp_path / 'v.npz'}")

    def write_vectors(seed: int) -> None:
        vectors = np.random.default_rng(seed).normal(size=(60, 4))
        np.savez(tmp_path / "v.npz", text=np.array(list(table.queries.prompt)), embedding=vectors)

    write_vectors(0)
    bench(table, tmp_path / "r", seeds=[1], **options)
    record = read_json(tmp_path / "r" / "runs.json")
    again = bench(table, tmp_path / "r", seeds=[1, 2], **options)
    assert (again.seeds, again.made.vectors) == ([1, 2], record["embedder"]["sha256"])
    write_vectors(1)
    with pytest.raises(ValueError, match="must hold runs of the same file of vectors"):
        bench(table, tmp_path / "r", seeds=[1, 3], **options)  # seed 2 would stay
    other = bench(table, tmp_path / "r", seeds=[1, 2], **options)
    assert other.made.vectors == sha256_of(tmp_path / "v.npz") != record["embedder"]["sha256"]
    assert all(other.decisions[pair].facts["read"] != old.facts["read"] for pair, old in again.decisions.items())
    del record["embedder"]["sha256"]  # an older version did not note it
    write_json(tmp_path / "r" / "runs.json", record)
    assert bench(table, tmp_path / "r", seeds=[1, 3], **options).seeds == [1, 3]
    assert read_record(tmp_path / "r")[1].vectors is None, "not known of what is there"
