"""The whole chain in one config, against real providers on loopback: what is redone, and what a kill leaves."""

from __future__ import annotations

import base64
import gzip
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import yaml

from llmrouterbench.benching.folder import load_runs
from llmrouterbench.chain import Stage, collect_missing, cut_short, run_after_collecting
from llmrouterbench.collecting.config import CollectConfig, read_config
from llmrouterbench.collecting.replies_store import read_replies
from llmrouterbench.files import read_json
from llmrouterbench.table import Outcomes
from provider import INPUT_PRICE, OUTPUT_PRICE, Provider

QUERIES = 60
CANARY = "sk-canary-0123456789abcdef"


def sum_of(prompt: str) -> int:
    first, second = prompt.removeprefix("What is ").partition("?")[0].split(" + ")
    return int(first) + int(second)


def careful(prompt: str) -> str:
    return f"Let me think about {prompt} for a while. Answer: {sum_of(prompt)}"


def hasty(prompt: str) -> str:
    return f"Answer: {sum_of(prompt) if 'apples' in prompt else 0}"


@pytest.fixture
def providers() -> Iterator[tuple[Provider, Provider]]:
    with Provider(reply=careful) as good, Provider(reply=hasty) as cheap:
        yield good, cheap


def write_config(folder: Path, providers: tuple[Provider, Provider], **more: Any) -> Path:
    words = ("apples", "pears and all that grows on trees")
    rows = [
        {"question": f"What is {i} + {i % 7}? Think of {words[i % 2]}", "answer": i + i % 7} for i in range(QUERIES)
    ]
    (folder / "sums.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    described = {
        "name": "sums",
        "file": "sums.jsonl",
        "columns": {"query": "question", "target": "answer"},
        "prompt": "{query}",
        "scorer": "number",
    }
    (folder / "sums.yaml").write_text(yaml.safe_dump(described))
    price = {"input": INPUT_PRICE, "output": OUTPUT_PRICE}
    names = ("careful", "hasty")
    raw = {
        "out": "replies",
        "outcomes": "outcomes",
        "endpoints": {name: {"url": one.url} for name, one in zip(names, providers, strict=True)},
        "models": [{"name": name, "endpoint": name, "price": price} for name in names],
        "datasets": [{"name": "sums.yaml"}],
        "bench": {"out": "runs", "routers": ["best_single", "knn"], "seeds": [42]},
        "report": {"samples": 50, "figures": False},
        **more,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(raw))
    return folder / "run.yaml"


def run(config: Path | CollectConfig, **more: Any) -> list[Stage]:
    chosen = config if isinstance(config, CollectConfig) else read_config(config)
    first, _ = collect_missing(chosen)
    stages, board = run_after_collecting(chosen, jobs=1, **more)
    assert (board is None) == stages[-1].skipped
    return [first, *stages]


def done(stages: list[Stage]) -> list[str]:
    return [stage.name for stage in stages if not stage.skipped]


def changed(path: Path, place: str, value: Any) -> Path:
    """The same file with another value at a place such as bench.seeds."""
    raw = yaml.safe_load(path.read_text())
    *sections, last = place.split(".")
    inner = raw
    for section in sections:
        inner = inner[section]
    inner[last] = value
    path.write_text(yaml.safe_dump(raw))
    return path


# --- what is redone --------------------------------------------------------------------------------------------------


def test_every_stage_once_and_then_none(providers: tuple[Provider, Provider], tmp_path: Path) -> None:
    path = write_config(tmp_path, providers)
    first = run(path)
    assert done(first) == ["collect", "score", "bench", "report"]
    outcomes = Outcomes.load(tmp_path / "outcomes")
    assert outcomes.score.mean(axis=0).tolist() == [1.0, 0.5]
    assert outcomes.cost.sum() == pytest.approx(sum(one.billed for one in providers))
    assert (tmp_path / "runs" / "report" / "leaderboard.md").is_file()
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}
    again = run(path)
    assert done(again) == []
    assert [stage.folder for stage in again] == [stage.folder for stage in first]
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()} == before
    assert [len(one.books) for one in providers] == [QUERIES, QUERIES]


def test_only_what_depends_on_a_change_is_redone(providers: tuple[Provider, Provider], tmp_path: Path) -> None:
    path = write_config(tmp_path, providers)
    first = run(path)
    assert done(run(changed(path, "report.samples", 60))) == ["report"]
    longer = run(changed(path, "bench.seeds", [42, 999]))
    assert (done(longer), longer[2].folder) == (["bench", "report"], first[2].folder)
    other = run(changed(path, "bench.ratio", 0.6))
    assert done(other) == ["bench", "report"]
    assert other[2].folder != first[2].folder
    assert other[3].folder == first[3].folder
    decided = {file: file.stat().st_mtime_ns for file in other[2].folder.glob("decisions/*/*")}
    zero = run(changed(path, "failed_calls", "zero"))
    assert (done(zero), zero[2].folder) == (["score", "bench", "report"], other[2].folder)  # the report says so
    assert {file: file.stat().st_mtime_ns for file in decided} == decided  # no call failed: the same numbers
    assert done(run(changed(path, "endpoints.careful.concurrency", 3))) == []


def test_openrouter_is_asked_live_and_replayed(providers: tuple[Provider, Provider], tmp_path: Path) -> None:
    """Another router, on its own endpoint: collected like a model, then a router that others are compared with."""
    with Provider(reply=careful) as third:
        path = write_config(tmp_path, providers)
        raw = yaml.safe_load(path.read_text())
        endpoints = {**raw["endpoints"], "openrouter": {"url": third.url}}
        asked = {"name": "openrouter", "endpoint": "openrouter", "api_model": "openrouter/auto"}
        changed(changed(path, "endpoints", endpoints), "models", [*raw["models"], asked])
        run(changed(path, "bench.routers", ["best_single", "knn", "openrouter"]))
        assert {body["model"] for body in third.bodies} == {"openrouter/auto"}
        assert len(third.books) == QUERIES
    (report,) = (tmp_path / "runs").rglob("report.json")
    rows = {row["name"]: row for row in read_json(report)["rows"]}
    assert rows["openrouter"]["avg_acc"]["value"] == 1.0
    (stored,) = (tmp_path / "runs").rglob("runs.json")
    assert load_runs(stored.parent).outcomes.pool.models == ("careful", "hasty")
    assert np.isfinite(rows["openrouter"]["cost"]["value"])  # what OpenRouter billed


def test_texts_that_may_not_be_shown_stay_out_of_the_page(providers: tuple[Provider, Provider], tmp_path: Path) -> None:
    path = write_config(tmp_path, providers, report={"samples": 20})
    changed(tmp_path / "sums.yaml", "shown", False)
    run(path)
    (page,) = (tmp_path / "runs").rglob("index.html")
    html = page.read_text(encoding="utf-8")
    assert "Items of sums may not be shown" in html
    (packed,) = re.findall(r'id="texts">([^<]*)<', html)
    assert set(orjson.loads(gzip.decompress(base64.b64decode(packed)))) == {""}


def test_a_new_model_is_collected_scored_and_benched(providers: tuple[Provider, Provider], tmp_path: Path) -> None:
    path = write_config(tmp_path, providers)
    first = run(path)
    models = yaml.safe_load(path.read_text())["models"]
    again = run(changed(path, "models", [*models, {**models[1], "name": "third"}]))
    assert done(again) == ["collect", "score", "bench", "report"]
    assert again[2].folder != first[2].folder
    assert [len(one.books) for one in providers] == [QUERIES, 2 * QUERIES]
    assert Outcomes.load(tmp_path / "outcomes").models == ("careful", "hasty", "third")


def test_a_failed_query_is_masked_and_its_later_reply_redoes_the_rest(
    providers: tuple[Provider, Provider], tmp_path: Path
) -> None:
    providers[0].script("careful", "ok", "ok", "400")
    path = write_config(tmp_path, providers)
    chosen = read_config(path)
    _, collected = collect_missing(chosen)
    assert collected is not None
    assert (cut_short(collected), collected.models[0].failed) == ("", 1)
    run_after_collecting(chosen, jobs=1)
    assert int((Outcomes.load(tmp_path / "outcomes").score != Outcomes.load(tmp_path / "outcomes").score).sum()) == 1
    assert done(run(path)) == ["collect", "score", "bench", "report"]
    assert Outcomes.load(tmp_path / "outcomes").score.mean(axis=0).tolist() == [1.0, 0.5]


def test_failed_calls_count_as_zero_where_the_config_says_so(
    providers: tuple[Provider, Provider], tmp_path: Path
) -> None:
    providers[0].script("careful", "400")
    chosen = read_config(write_config(tmp_path, providers, failed_calls="zero"))
    collect_missing(chosen)
    run_after_collecting(chosen, jobs=1)
    outcomes = Outcomes.load(tmp_path / "outcomes")
    assert outcomes.score[:, 0].sum() == QUERIES - 1
    assert not (outcomes.score != outcomes.score).any()
    assert "score 0" in (tmp_path / "runs" / "report" / "leaderboard.md").read_text()


def test_a_changed_reply_redoes_the_rest(providers: tuple[Provider, Provider], tmp_path: Path) -> None:
    path = write_config(tmp_path, providers)
    first = run(path)
    file = tmp_path / "replies" / "replies" / "sums" / "hasty.jsonl"
    right = next(row for row in map(orjson.loads, file.read_bytes().splitlines()) if row["item"] == "sums-3")
    with file.open("ab") as more:
        more.write(orjson.dumps({**right, "text": "Answer: 77"}) + b"\n")
    again = run(path)
    assert done(again) == ["score", "bench", "report"]
    assert again[2].folder != first[2].folder


# --- what is refused, before anything is paid for --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("outcomes", "", "add outcomes: FOLDER"),
        ("bench", None, "add bench: {out: FOLDER}"),
        ("outcomes", ".", "outcomes must be a new folder or one that `score` made"),
        ("bench.routers", ["kn"], "no router named 'kn'; did you mean 'knn'?"),
        ("bench.setting", "performence", "no setting named 'performence'; did you mean 'performance'?"),
        ("bench.embedder", "tfdif", "tfdif"),
    ],
)
def test_what_a_later_stage_would_refuse_is_said_first(
    place: str, value: Any, sentence: str, providers: tuple[Provider, Provider], tmp_path: Path
) -> None:
    path = changed(write_config(tmp_path, providers), place, value)
    code, _, err = command(path)
    assert code == 2
    assert sentence in err
    assert not providers[0].bodies


def test_other_settings_of_a_collected_model_are_refused(providers: tuple[Provider, Provider], tmp_path: Path) -> None:
    path = write_config(tmp_path, providers)
    collect_missing(read_config(path))
    models = yaml.safe_load(path.read_text())["models"]
    changed(path, "models", [{**models[0], "temperature": 0.9}, models[1]])
    with pytest.raises(ValueError, match="holds replies of model 'careful' that were collected with other settings"):
        collect_missing(read_config(path))


# --- the command -----------------------------------------------------------------------------------------------------


def start(path: Path, *options: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", "llmrouterbench.cli", "run", str(path), "--jobs", "1", *options]
    environment = {**os.environ, "COLUMNS": "1000", **(env or {})}
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def command(path: Path, *options: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    process = start(path, *options, env=env)
    out, err = process.communicate(timeout=120)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.slow
def test_a_kill_between_stages_loses_none_of_them(providers: tuple[Provider, Provider], tmp_path: Path) -> None:
    path, stamps = write_config(tmp_path, providers), tmp_path / "replies" / "chain.json"
    reached = []
    for stage in ("score", "bench"):
        process = start(path)
        while process.poll() is None and not (stamps.is_file() and stage in read_json(stamps)):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        reached.append(sorted(read_json(stamps)))
    code, out, err = command(path, "--json")
    assert code == 0, err
    stages = orjson.loads(out)["stages"]
    assert reached[0][-1] == "score"
    assert {name for name, one in stages.items() if one["skipped"]} >= {"collect", "score", "bench"}
    assert (tmp_path / "runs" / "report" / "leaderboard.md").is_file()
    assert [len(one.books) for one in providers] == [QUERIES, QUERIES]


@pytest.mark.slow
def test_the_command_prints_a_leaderboard_and_then_that_nothing_changed(
    providers: tuple[Provider, Provider], tmp_path: Path
) -> None:
    providers[0].key = CANARY
    path = write_config(tmp_path, providers, report={"samples": 50})
    changed(path, "endpoints.careful.key_env", "CAREFUL_KEY")
    code, out, err = command(path, env={"CAREFUL_KEY": CANARY})
    assert code == 0, err
    assert "knn" in out
    assert (tmp_path / "runs" / "report" / "exhibits.md").is_file()
    assert f"report in {tmp_path / 'runs' / 'report'}" in err
    code, out, err = command(path)  # nothing is asked, so no key is needed
    assert (code, out.count("unchanged")) == (0, 4), err
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert CANARY.encode() not in written + out.encode() + err.encode()


@pytest.mark.slow
def test_a_collection_that_ended_early_is_not_scored_unless_wanted(
    providers: tuple[Provider, Provider], tmp_path: Path
) -> None:
    path = write_config(tmp_path, providers, endpoints={
        "careful": {"url": providers[0].url, "concurrency": 1}, "hasty": {"url": providers[1].url, "concurrency": 1},
    })  # fmt: skip
    providers[0].script("careful", *["ok"] * 40, *["402"] * 3)
    code, _, err = command(path)
    assert code == 1
    assert "model careful stopped" in err
    assert "add --partial" in err
    assert not (tmp_path / "outcomes").exists()
    providers[0].script("careful", *["402"] * 3)
    code, _, err = command(path, "--partial")
    assert code == 0, err
    outcomes = Outcomes.load(tmp_path / "outcomes")
    assert 0 < int((outcomes.score != outcomes.score).sum()) <= 20
    assert len(read_replies(tmp_path / "replies", "sums", "hasty")) == QUERIES
