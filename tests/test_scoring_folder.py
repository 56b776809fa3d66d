"""Scoring a folder of replies: repeatable, resumable, never asks the pool, keeps what a score came from."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

import llmrouterbench.scoring.folder as scoring_step
from llmrouterbench.calling.asking import JudgeStoppedError
from llmrouterbench.collecting.config import CollectConfig, parse_config
from llmrouterbench.collecting.replies_store import Prompted, items_path, replies_path
from llmrouterbench.collecting.replies_writer import RepliesWriter
from llmrouterbench.datasets import Dataset, Instruments, Source, dataset
from llmrouterbench.findings import ImportReport
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.scoring.config import open_judges, resolver, stored_config
from llmrouterbench.scoring.folder import SCORE_COLUMNS, needed_judges, score_folder, scores_of
from llmrouterbench.scoring.scores import Bench
from llmrouterbench.table import Outcomes
from provider import Provider

OPTIONS = {"A": "red", "B": "green", "C": "blue", "D": "grey"}
MEDQA = [Item(f"q{i}", f"Which colour is {i}?", "ABCD"[i % 4], details={"options": OPTIONS}) for i in range(8)]
SIMPLEQA = [Item(f"s{i}", f"What is the capital of country {i}?", f"City{i}") for i in range(6)]
FINQA = [Item("page-1", "What was the ratio?", {"answer": "0.61", "exact": 0.61})]
Answers = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Dataset -> model -> item -> fields of its reply."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A judge that calls a reply correct where it names the target."""

    def judgement(prompt: str) -> str:
        target = next(f"City{i}" for i in range(100) if f"country {i}?" in prompt)
        return f"VERDICT: {'CORRECT' if prompt.count(target) > 1 else 'INCORRECT'}"

    with Provider(reply=judgement) as running:
        yield running


def config(folder: Path, url: str = "http://127.0.0.1:9/v1", **more: Any) -> CollectConfig:
    models = [{"name": name, "endpoint": "loopback"} for name in ("small", "large")]
    return parse_config({"out": str(folder), "endpoints": {"loopback": {"url": url}}, "models": models, **more})


def write_folder(
    made: CollectConfig, items: Mapping[str, Sequence[Item]], answers: Answers, folder: Path | None = None
) -> Path:
    """A folder of replies as `collect` leaves it."""
    folder = folder or Path(made.out)
    with RepliesWriter(folder) as writer:
        writer.write_manifest(made.model_dump(), made.config_hash(), {model.name: "1" for model in made.models})
        writer.write_questions(
            {name: [Prompted(item, f"Q: {item.query}") for item in group] for name, group in items.items()}
        )
        for name, by_model in answers.items():
            for model, by_item in by_model.items():
                for item, fields in by_item.items():
                    writer.append(Reply(name, item, model, **{"text": "", "cost": 0.5, "tokens_out": 7, **fields}))
    return folder


@pytest.fixture
def medqa(tmp_path: Path) -> Path:
    """Eight questions: `small` is right on the even ones, `large` fails once, is empty once and was not asked once."""
    small = {item.id: {"text": f"Answer: {'ABCD'[i % 4] if i % 2 == 0 else 'X'}"} for i, item in enumerate(MEDQA)}
    large: dict[str, dict[str, Any]] = {
        item.id: {"text": f"**Answer:** ({item.target})", "seconds": 1.5} for item in MEDQA[:7]
    }
    large["q1"] = {"status": "failed", "reason": "503 after 10 attempts", "cost": 0.25}
    large["q2"] = {"text": "", "reason": "empty"}
    return write_folder(config(tmp_path / "replies"), {"medqa": MEDQA}, {"medqa": {"small": small, "large": large}})


def scored(folder: Path, to: Path, resolve: Callable[[str], Dataset] = dataset, **more: Any) -> ImportReport:
    with Bench(workers=1) as bench:
        return score_folder(folder, to, resolve, bench, **more)


def counting(made: Dataset, calls: list[str], version: int = 2) -> Callable[[str], Dataset]:
    """The same dataset, whose scorer notes the items it is given."""

    def score(item: Item, reply: str, instruments: Instruments) -> Score:
        calls.append(item.id)
        return made.score(item, reply, instruments)

    return lambda name: replace(made, score=score, version=version)


# --- the table -------------------------------------------------------------------------------------------------------


def test_scores_fill_the_table_and_nothing_missing_is_zero(medqa: Path, tmp_path: Path) -> None:
    report = scored(medqa, tmp_path / "outcomes")
    table = Outcomes.load(tmp_path / "outcomes")
    assert table.models == ("small", "large")
    assert table.score[:, 0].tolist() == [1, 0, 1, 0, 1, 0, 1, 0]
    np.testing.assert_array_equal(table.score[:, 1], [1, np.nan, 0, 1, 1, 1, 1, np.nan])
    np.testing.assert_array_equal(table.cost[:, 1], [0.5, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5, np.nan])
    assert table.tokens_out[0, 1] == 7
    assert table.seconds[0, 1] == 1.5
    assert np.isnan(table.tokens_in).all()
    assert table.queries.id[3] == "medqa/q3"
    assert list(table.queries.prompt)[3] == "Q: Which colour is 3?"
    assert report.counts["cells_measured"] == 14
    assert {(found.kind, found.count, found.happened) for found in report.findings} == {
        ("failed call", 1, "masked"),
        ("query without a reply", 1, "masked"),
    }
    assert "503 after 10 attempts" in report.findings[0].example
    replies = pl.read_parquet(tmp_path / "outcomes" / "replies" / "*.parquet")
    assert replies.filter(pl.col("model") == "large")["reply"][0] == "**Answer:** (A)"


def test_every_score_keeps_scorer_version_and_answer(medqa: Path, tmp_path: Path) -> None:
    scored(medqa, tmp_path / "outcomes")
    kept = scores_of(tmp_path / "outcomes")
    assert dict(kept.schema) == SCORE_COLUMNS
    assert len(kept) == 14, "a failed call has no score"
    row = kept.filter((pl.col("model") == "large") & (pl.col("item") == "q2")).to_dicts()[0]
    assert (row["scorer"], row["score"], row["answer"], row["reason"]) == ("medqa@2", 0.0, "", "empty reply")
    assert kept["answer"][0] == "A"
    assert json.loads((tmp_path / "outcomes/manifest.json").read_text())["source"]["scorers"] == {"medqa": "medqa@2"}


def test_the_papers_protocol_counts_a_failed_call_as_zero(medqa: Path, tmp_path: Path) -> None:
    scored(medqa, tmp_path / "outcomes", failed="zero")
    table = Outcomes.load(tmp_path / "outcomes")
    assert table.score[1, 1] == 0
    assert np.isnan(table.score[7, 1]), "a query that was not asked stays unknown"
    assert table.cost[1, 1] == 0.25


# --- again and again -------------------------------------------------------------------------------------------------


def test_a_second_run_scores_nothing_anew(medqa: Path, tmp_path: Path) -> None:
    calls: list[str] = []
    resolve = counting(dataset("medqa"), calls)
    first = scored(medqa, tmp_path / "outcomes", resolve)
    assert len(calls) == 14
    assert scored(medqa, tmp_path / "outcomes", resolve) == first
    assert len(calls) == 14
    assert not list(tmp_path.glob(".*")), "nothing unfinished stays"


def test_a_changed_scorer_scores_everything_again_in_place(medqa: Path, tmp_path: Path) -> None:
    calls: list[str] = []
    scored(medqa, tmp_path / "outcomes", counting(dataset("medqa"), calls))
    hard = replace(dataset("medqa"), score=lambda item, reply, instruments: Score(0.0, "no"))
    scored(medqa, tmp_path / "outcomes", counting(hard, calls, version=3))
    assert len(calls) == 28
    assert np.nansum(Outcomes.load(tmp_path / "outcomes").score) == 0
    assert set(scores_of(tmp_path / "outcomes")["scorer"]) == {"medqa@3"}


def test_only_what_changed_is_scored_again(medqa: Path, tmp_path: Path) -> None:
    calls: list[str] = []
    resolve = counting(dataset("medqa"), calls)
    scored(medqa, tmp_path / "outcomes", resolve)
    calls.clear()
    with RepliesWriter(medqa) as writer:
        writer.append(Reply("medqa", "q1", "large", "Answer: B"))
        writer.append(Reply("medqa", "q3", "small", "Answer: D"))
    scored(medqa, tmp_path / "outcomes", resolve)
    assert sorted(calls) == ["q1", "q3"]
    table = Outcomes.load(tmp_path / "outcomes")
    assert (table.score[1, 1], table.score[3, 0]) == (1, 1)
    calls.clear()
    lines = [orjson.loads(line) for line in items_path(medqa, "medqa").read_bytes().splitlines()]
    lines[0]["target"] = "D"
    items_path(medqa, "medqa").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    scored(medqa, tmp_path / "outcomes", resolve)
    assert calls == ["q0", "q0"], "the right answer of this one changed"
    assert Outcomes.load(tmp_path / "outcomes").score[0].tolist() == [0, 0]


def test_what_could_not_be_scored_is_masked_and_tried_again(medqa: Path, tmp_path: Path) -> None:
    slow = replace(dataset("medqa"), score=lambda item, reply, tools: Score(float("nan"), "A", "took too long"))
    report = scored(medqa, tmp_path / "outcomes", lambda name: slow)
    assert np.isnan(Outcomes.load(tmp_path / "outcomes").score).all()
    found = next(one for one in report.findings if one.kind == "reply that could not be scored")
    assert (found.count, found.happened) == (14, "masked")
    assert "took too long" in found.example
    assert scores_of(tmp_path / "outcomes")["score"].null_count() == 14
    scored(medqa, tmp_path / "outcomes")
    assert Outcomes.load(tmp_path / "outcomes").score[0, 0] == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_a_stop_loses_only_the_chunk_under_way(
    medqa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    monkeypatch.setattr(scoring_step, "_CHUNK", 3)
    calls: list[str] = []

    def score(item: Item, reply: str, instruments: Instruments) -> Score:
        if len(calls) == 11:
            raise stop("stopped here")
        calls.append(item.id)
        return dataset("medqa").score(item, reply, instruments)

    with pytest.raises(stop):
        scored(medqa, tmp_path / "outcomes", lambda name: replace(dataset("medqa"), score=score))
    assert not (tmp_path / "outcomes").exists(), "what is not whole is not there"
    calls.clear()
    scored(medqa, tmp_path / "outcomes", counting(dataset("medqa"), calls))
    assert len(calls) == 14 - 8 - 3
    assert np.nansum(Outcomes.load(tmp_path / "outcomes").score) == 9


# --- compatibility ---------------------------------------------------------------------------------------------------


def test_replies_without_a_readable_answer_are_counted_and_shown(tmp_path: Path) -> None:
    items = [Item(f"q{i}", f"Which colour is {i}?", "A", details={"options": OPTIONS}) for i in range(40)]
    long = "I wonder about the colour. " * 30
    texts = {
        "small": [f"{long}\nwho knows" if i < 12 else "Answer: A" for i in range(40)],
        "large": ["" if i == 3 else "Answer: B" for i in range(40)],
    }
    answers = {
        "medqa": {model: {f"q{i}": {"text": text} for i, text in enumerate(all)} for model, all in texts.items()}
    }
    folder = write_folder(config(tmp_path / "replies"), {"medqa": items}, answers)
    report = scored(folder, tmp_path / "outcomes")
    small, large = report.source["unread"]
    tail = math.comb(40, 12) * 40 + math.comb(40, 13)
    assert (small["model"], small["replies"], small["unread"], small["flagged"]) == ("small", 40, 12, True)
    assert (large["model"], large["unread"], large["flagged"]) == ("large", 1, False)
    assert small["p"] == pytest.approx(2 * 2 * tail / math.comb(80, 13)), "Fisher by hand, two tails, two pairs"
    assert len(small["examples"]) == 3
    assert all(len(example) < 200 and "\n" not in example for example in small["examples"])
    assert small["examples"][0].startswith("q0: ")
    assert small["examples"][0].endswith("who knows")
    assert large["examples"] == ["q3: empty reply: (empty)"]
    said = str(report).splitlines()
    assert "no readable answer: medqa x small, 12 of 40 replies: more than other models have" in said[-6]
    assert said[-2] == "no readable answer: medqa x large, 1 of 40 replies"
    kept = Outcomes.load(tmp_path / "outcomes").source["unread"]
    assert [row["unread"] for row in kept] == [12, 1]
    assert "who knows" not in json.dumps(kept), "a reply's words stay out of what reports are made from"


def test_who_is_alone_is_not_flagged_and_a_judge_reads_for_itself(judged: Path, tmp_path: Path) -> None:
    items = [Item(f"q{i}", f"Which colour is {i}?", "A", details={"options": OPTIONS}) for i in range(20)]
    answers = {"medqa": {"small": {f"q{i}": {"text": "Who knows?"} for i in range(20)}}}
    folder = write_folder(config(tmp_path / "alone"), {"medqa": items}, answers)
    rows = scored(folder, tmp_path / "outcomes").source["unread"]
    assert [(row["unread"], row["flagged"], row["p"]) for row in rows] == [(20, False, 1.0)]
    with open_judges(stored_config(judged, None)) as judges, Bench(judges=judges) as bench:
        assert score_folder(judged, tmp_path / "judged", dataset, bench).source["unread"] == []


def test_official_readings_are_named_in_every_place(tmp_path: Path) -> None:
    answers = {"finqa": {"small": {"page-1": {"text": r"So \boxed{0.93}"}}}}
    folder = write_folder(config(tmp_path / "replies"), {"finqa": FINQA}, answers)
    to = tmp_path / "outcomes"
    values = []
    for compat in ("ours", "official", "ours"):
        scored(folder, to, compat=compat)
        values.append(Outcomes.load(to).score[0, 0])
        scorer = "finqa@2+official" if compat == "official" else "finqa@2"
        assert scores_of(to)["scorer"].to_list() == [scorer]
        assert Outcomes.load(to).source["compat"] == compat
    assert values == [0, 1, 0], "0.93 and 0.61 round to the same integer"


@pytest.mark.slow
def test_a_leaderboard_says_how_its_replies_were_scored(medqa: Path, tmp_path: Path) -> None:
    from llmrouterbench.benching.bench import bench
    from llmrouterbench.reporting.report import report

    scored(medqa, tmp_path / "outcomes", compat="official", failed="zero")
    bench(tmp_path / "outcomes", tmp_path / "runs", routers=["best_single"], seeds=[1], split="paper", jobs=1)
    board = report(tmp_path / "runs", samples=20, figures=False)
    assert any(note.startswith("Official readings: ") for note in board.notes)
    assert any(note.startswith("Failed calls count as score 0") for note in board.notes)
    assert "Official readings" in (tmp_path / "runs/report/leaderboard.md").read_text()
    page = (tmp_path / "runs/report/index.html").read_text("utf-8")
    assert "Replies without a readable answer" in page
    counts = Outcomes.load(tmp_path / "outcomes").source["unread"]
    assert any(row["unread"] for row in counts)
    for row in counts:
        assert (f"<td>{row['model']}</td><td>{row['unread']}</td><td>{row['replies']}</td>" in page) == (
            row["unread"] > 0
        )
    done = cli("report", str(tmp_path / "runs"), "--samples", "20", "--ties-win", "--json")
    assert "Every positive score counts as 1 (ties_win)." in json.loads(done.stdout)["notes"], done.stderr


# --- judges ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def judged(provider: Provider, tmp_path: Path) -> Path:
    """Six questions for a judge on the provider; no model of the pool may be asked."""
    made = config(
        tmp_path / "replies",
        provider.url,
        judges=[
            {"name": "o3-mini", "endpoint": "loopback", "api_model": "judge-7", "price": {"input": 1, "output": 4}}
        ],
    )
    answers = {
        "simpleqa": {
            "small": {
                item.id: {"text": f"It is {item.target}." if i % 2 else "Rome."} for i, item in enumerate(SIMPLEQA)
            }
        }
    }
    return write_folder(made, {"simpleqa": SIMPLEQA}, answers)


def judge_folder(folder: Path, to: Path, moved: CollectConfig | None = None) -> dict[str, tuple[int, int, int, float]]:
    """Score with the judges of the folder's own config; judge -> calls, from cache, failed, USD."""
    made = moved or stored_config(folder, None)
    resolve = resolver(made)
    with open_judges(made, needed_judges(folder, resolve)) as judges, Bench(judges=judges) as bench:
        score_folder(folder, to, resolve, bench)
        return {name: (one.calls, one.cached, one.failed, one.spent) for name, one in judges.items()}


def test_a_judge_is_asked_once_and_paid_apart(judged: Path, provider: Provider, tmp_path: Path) -> None:
    first = judge_folder(judged, tmp_path / "outcomes")
    assert first["o3-mini"][:3] == (6, 0, 0)
    assert first["o3-mini"][3] == pytest.approx(provider.billed)
    assert {bill.model for bill in provider.books} == {"judge-7"}, "no model of the pool is asked"
    table = Outcomes.load(tmp_path / "outcomes")
    assert table.score[:, 0].tolist() == [0, 1, 0, 1, 0, 1]
    assert np.nansum(table.cost) == 3.0, "the judge's cost is no cost of a model"
    assert judge_folder(judged, tmp_path / "outcomes")["o3-mini"] == (0, 0, 0, 0.0)
    assert judge_folder(judged, tmp_path / "elsewhere")["o3-mini"] == (6, 6, 0, 0.0), "the cache knows them"
    assert len(provider.books) == 6


def test_a_judge_that_fails_leaves_a_reply_unscored_until_it_answers(
    judged: Path, provider: Provider, tmp_path: Path
) -> None:
    provider.script("judge-7", "400")
    spoken = provider.reply
    provider.reply = lambda prompt: "I wonder." if "country 3?" in prompt else spoken(prompt)
    counts = judge_folder(judged, tmp_path / "outcomes")["o3-mini"]
    assert counts[1:3] == (0, 1)
    assert counts[0] in (6, 7), "what cannot be read is asked for again"
    kept = scores_of(tmp_path / "outcomes").filter(pl.col("score").is_null())
    assert sorted(reason.partition(":")[0] for reason in kept["reason"]) == [
        "the judge failed",
        "the judge's verdict cannot be read",
    ]
    assert np.isnan(Outcomes.load(tmp_path / "outcomes").score[:, 0]).sum() == 2
    judge_folder(judged, tmp_path / "outcomes")
    assert np.isnan(Outcomes.load(tmp_path / "outcomes").score[:, 0]).sum() == 1, "it still says nothing"
    provider.reply = spoken
    judge_folder(judged, tmp_path / "outcomes")
    assert not np.isnan(Outcomes.load(tmp_path / "outcomes").score[:, 0]).any(), (
        "no judgement is kept that none can read"
    )


@pytest.mark.parametrize("compat", ["ours", "official"])
def test_a_dead_judge_stops_the_run_and_what_was_scored_is_kept(
    judged: Path, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compat: Any
) -> None:
    monkeypatch.setattr(scoring_step, "_CHUNK", 2)
    answered = []
    spoken = provider.reply

    def dies(prompt: str) -> str:
        answered.append(prompt)
        provider.key = "sk-another" if len(answered) == 2 else ""
        return spoken(prompt)

    provider.reply = dies
    with (
        open_judges(stored_config(judged, None)) as judges,
        Bench(judges=judges) as bench,
        pytest.raises(JudgeStoppedError, match=r"judge o3-mini stopped: .*key refused.* kept.* score again"),
    ):
        score_folder(judged, tmp_path / "outcomes", dataset, bench, compat=compat)
    assert not (tmp_path / "outcomes").exists()
    provider.reply, provider.key = spoken, ""
    with open_judges(stored_config(judged, None)) as judges, Bench(judges=judges) as bench:
        score_folder(judged, tmp_path / "outcomes", dataset, bench, compat=compat)
        assert judges["o3-mini"].calls == 4, "two scores were kept"
    assert Outcomes.load(tmp_path / "outcomes").score[:, 0].tolist() == [0, 1, 0, 1, 0, 1]


def test_a_missing_judge_is_named_and_a_mistyped_one_is_suggested(judged: Path, tmp_path: Path) -> None:
    made = stored_config(judged, None)
    wrong = made.model_copy(update={"judges": [made.judges[0].model_copy(update={"name": "o3-mni"})]})
    with open_judges(wrong) as judges, Bench(judges=judges) as bench:
        report = score_folder(judged, tmp_path / "outcomes", dataset, bench)
    assert "no judge 'o3-mini' is configured; did you mean 'o3-mni'?" in report.findings[0].example
    judge_folder(judged, tmp_path / "outcomes", made.model_copy(update={"judges": []}))
    assert "is configured; name it under `judges`" in scores_of(tmp_path / "outcomes")["reason"][0]


def test_a_folder_that_was_moved_keeps_its_cache(judged: Path, provider: Provider, tmp_path: Path) -> None:
    judge_folder(judged, tmp_path / "outcomes")
    judged.rename(tmp_path / "moved")
    assert judge_folder(tmp_path / "moved", tmp_path / "again")["o3-mini"] == (6, 6, 0, 0.0)
    assert judge_folder(tmp_path / "moved", tmp_path / "outcomes")["o3-mini"][0] == 0, "still the same replies"


def test_a_key_is_asked_for_only_where_a_judge_is_needed(medqa: Path, tmp_path: Path) -> None:
    made = config(tmp_path / "x", judges=[{"name": "o3-mini", "endpoint": "loopback"}])
    keyed = {"loopback": made.endpoints["loopback"].model_copy(update={"key_env": "NO_SUCH_KEY_HERE"})}
    made = made.model_copy(update={"endpoints": keyed})
    assert judge_folder(medqa, tmp_path / "outcomes", made) == {}
    with pytest.raises(ValueError, match="NO_SUCH_KEY_HERE must hold its key"), open_judges(made):
        pass


# --- bad input -------------------------------------------------------------------------------------------------------


def test_other_folders_are_left_alone(medqa: Path, tmp_path: Path) -> None:
    (tmp_path / "outcomes").mkdir()
    (tmp_path / "outcomes/thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="got something else; choose another or --overwrite"):
        scored(medqa, tmp_path / "outcomes")
    other = write_folder(config(tmp_path / "other"), {"finqa": FINQA}, {})
    scored(other, tmp_path / "finqa")
    with pytest.raises(FileExistsError, match="got outcomes of other; choose another"):
        scored(medqa, tmp_path / "finqa")
    scored(medqa, tmp_path / "finqa", overwrite=True)
    assert Outcomes.load(tmp_path / "finqa").datasets == ["medqa"]


def test_a_folder_without_replies_or_with_damaged_ones(medqa: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be a folder of replies"):
        scored(tmp_path, tmp_path / "outcomes")
    empty = write_folder(config(tmp_path / "empty"), {}, {})
    with pytest.raises(ValueError, match="must hold items and replies, got none; collect first"):
        scored(empty, tmp_path / "outcomes")
    with pytest.raises(FileNotFoundError, match="scores.parquet must hold scores"):
        scores_of(tmp_path)
    path = replies_path(medqa, "medqa", "small")
    path.write_bytes(b'{"item": \xff}\n' + path.read_bytes())
    with pytest.raises(ValueError, match=r"small.jsonl:1 must be JSON"):
        scored(medqa, tmp_path / "outcomes")


def test_an_unknown_dataset_is_suggested(tmp_path: Path) -> None:
    folder = write_folder(config(tmp_path / "replies"), {"finqua": FINQA}, {})
    with pytest.raises(ValueError, match="no dataset named 'finqua'; did you mean 'finqa'"):
        scored(folder, tmp_path / "outcomes")


def test_a_reply_to_nothing_and_a_torn_line_are_survived(medqa: Path, tmp_path: Path) -> None:
    stray = orjson.dumps(asdict(Reply("medqa", "q99", "small", "Answer: A"))) + b"\n"
    path = replies_path(medqa, "medqa", "small")
    path.write_bytes(path.read_bytes() + stray + b'{"dataset": "medqa", "it')
    report = scored(medqa, tmp_path / "outcomes")
    assert ("reply to an item that is not stored", 1, "dropped") in {
        (found.kind, found.count, found.happened) for found in report.findings
    }
    assert report.counts["cells_measured"] == 14


def test_odd_texts_are_stored(tmp_path: Path) -> None:
    """Half an emoji and a reply of ten megabytes; names that no file system likes."""
    odd = Dataset(
        "odd/..name", "Odd", "own", Source("own", "", "", {}), "none", "none", 1, 0, "text", 1, lambda files: [],
        lambda item: "?", lambda item, reply, tools: Score(1.0, "answer \ud83d" + reply[:20_000], "why \ud83d"),
    )  # fmt: skip
    answers = {"odd/..name": {"small": {"i/1": {"text": "x" * 10_000_000}}}}
    folder = write_folder(config(tmp_path / "replies"), {"odd/..name": [Item("i/1", "?")]}, answers)
    scored(folder, tmp_path / "outcomes", lambda name: odd)
    row = scores_of(tmp_path / "outcomes").to_dicts()[0]
    assert row["answer"].startswith("answer ?")
    assert len(row["answer"]) == 10_000
    assert row["reason"] == "why ?"
    assert Outcomes.load(tmp_path / "outcomes").queries.id.tolist() == ["odd/..name/i/1"]


# --- the command -----------------------------------------------------------------------------------------------------

COMMAND = [sys.executable, "-m", "llmrouterbench.cli"]


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=env, timeout=120)


def test_the_command_scores_and_says_what_it_found(judged: Path, provider: Provider, tmp_path: Path) -> None:
    done = cli("score", str(judged), "--to", str(tmp_path / "outcomes"), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["counts"]["cells_measured"] == 6
    assert said["judges"]["o3-mini"]["judgements"] == 6
    assert said["judges"]["o3-mini"]["usd"] == pytest.approx(provider.billed)
    assert said["source"]["scorers"]["simpleqa"].startswith("simpleqa@3+o3-mini:")
    again = cli("score", str(judged), "--to", str(tmp_path / "outcomes"))
    assert again.returncode == 0
    assert "6 cells measured" in again.stdout
    assert "judge o3-mini: judgements 0" in again.stderr
    assert len(provider.books) == 6


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--compat", "offical"], 2, "did you mean 'official'?"),
        (["--protocol", "papr"], 2, "did you mean 'paper'?"),
        (["--unsafe"], 2, "No such option"),
        (["--workers", "0"], 2, "greater than or equal to 1"),
        (["--config", "nowhere.yaml"], 1, "nowhere.yaml must be the YAML file of a collection, got no file there"),
    ],
)
def test_the_command_says_what_is_wrong(medqa: Path, words: list[str], code: int, sentence: str) -> None:
    done = cli("score", str(medqa), "--to", str(medqa.parent / "outcomes"), *words)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (medqa.parent / "outcomes").exists()


def test_the_datasets_are_listed() -> None:
    done = cli("datasets", "--json")
    listed = {one["name"]: one for one in json.loads(done.stdout)["datasets"]}
    assert len(listed) >= 21
    assert (listed["gpqa"]["size"], listed["gpqa"]["shown_in_reports"]) == (198, False)
    assert listed["hle"]["judge"] == "o3-mini"
    assert listed["kandk"]["source"]["revision"]
    assert "Knights and Knaves" in cli("datasets").stdout


@pytest.mark.slow
def test_ctrl_c_while_a_judge_is_slow_and_then_on(provider: Provider, tmp_path: Path) -> None:
    provider.latency = 1.0
    items = [Item(f"s{i}", f"What is the capital of country {i}?", f"City{i}") for i in range(100)]
    made = config(
        tmp_path / "replies", provider.url, judges=[{"name": "o3-mini", "endpoint": "loopback", "api_model": "judge-7"}]
    )
    answers = {"simpleqa": {"small": {item.id: {"text": f"It is {item.target}."} for item in items}}}
    folder = write_folder(made, {"simpleqa": items}, answers)
    command = [*COMMAND, "score", str(folder), "--to", str(tmp_path / "outcomes")]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while len(provider.books) < 10:
        assert running.poll() is None
        time.sleep(0.05)
    provider.latency = 3600.0
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    provider.latency, before = 0.0, -1
    while before != len(provider.books):  # answers that were on their way at the stop are booked late
        before = len(provider.books)
        time.sleep(2.0)
    done = cli("score", str(folder), "--to", str(tmp_path / "outcomes"), "--json")
    facts = json.loads(done.stdout)
    assert facts["counts"]["cells_measured"] == 100
    judge = facts["judges"]["o3-mini"]
    assert (judge["judgements"], judge["from_cache"]) == (100, 100 - (len(provider.books) - before))
    assert judge["from_cache"] >= 1
