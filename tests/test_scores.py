"""Scoring many replies: in order, with the instruments a dataset needs, whatever the replies are."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from llmrouterbench.datasets import DATASETS, Dataset, Instruments, Kind, dataset
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.scoring.scores import Bench, score_replies

CASES = Path(__file__).parent / "cases"
MEGABYTES = 10_000_000
CONTRADICTORY = "\n".join(f"Answer: {letter}\nThe answer is {number}." for number, letter in enumerate("ABCDEFGHIJ"))
HOSTILE = {
    "empty": "",
    "blank": " \n\t ",
    "only a thought": "<think>The answer is A. \\boxed{A}</think>",
    "a thought without end": "<think>The answer is A. \\boxed{A}",
    "invalid utf-8": b"Answer: \xff\xfe\xed\xa0\xbd A".decode("utf-8", "surrogateescape"),
    "half an emoji": "Answer: \ud83d",
    "nulls": "Answer:\x00 A\x00",
    "ten contradictory answers": CONTRADICTORY,
    "power tower": "\\boxed{" + "9^{" * 30 + "9" + "}" * 31,
    "nested fractions": "\\boxed{" + "\\frac{1}{" * 400 + "2" + "}" * 401,
    "huge factorial": "\\boxed{(((99999!)!)!)!}",
    "long sum": "\\boxed{" + "x+" * 5_000 + "x}",
    "open boxes": "\\boxed{" * 20_000,
    "ten megabytes": "The answer is A or B, (1, 2), \\boxed{ ```python\n" * (MEGABYTES // 48),
    "ten megabytes of digits": "9" * MEGABYTES,
    "ten megabytes without a break": "x" * MEGABYTES + "\nAnswer: A",
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Real mathematics and a real sandbox; a judge that is away."""
    pytest.importorskip("math_verify", reason="needs the extra llmrouterbench[score]")

    def away(prompt: str) -> Reply:
        return Reply("", "", "judge", "", "failed", "the judge is away")

    with Bench(workers=2, judges=dict.fromkeys(("o3-mini", "deepseek-v3-0324"), away)) as opened:
        yield opened


def first_item(name: str) -> Item:
    path = CASES / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"no cases of {name} yet")
    fields = orjson.loads(path.read_bytes().splitlines()[0])["item"]
    return Item(**{"id": "case", "query": "", **fields})


@pytest.mark.slow
@pytest.mark.parametrize("name", DATASETS)
def test_hostile_replies_are_scored_or_say_why_not(name: str, bench: Bench) -> None:
    made, item = dataset(name), first_item(name)
    scores = score_replies(made, [(item, reply) for reply in HOSTILE.values()], bench)
    for what, score in zip(HOSTILE, scores, strict=True):
        assert score.scored or score.reason, f"{what}: not scored, without a reason"
        asked = made.kind == "judge" and what == "a thought without end"  # it may hold the answer
        if (
            what in ("empty", "blank", "only a thought", "a thought without end")
            and made.kind != "harness"
            and not asked
        ):
            assert score.value == 0, f"{what} must be wrong, got {score}"
    if made.kind == "judge":
        assert math.isnan(scores[-1].value), "a judge that is away makes nothing wrong"


def numbered(score: Any, kind: Kind = "text") -> Dataset:
    return replace(dataset("medqa"), name="numbered", kind=kind, score=score, official=None)


@pytest.mark.parametrize("kind", ["text", "math"])
def test_scores_come_in_order_and_progress_is_told(kind: Kind) -> None:
    def score(item: Item, reply: str, instruments: Instruments) -> Score:
        time.sleep(0.002 * (int(item.id) % 3))
        return Score(0.5, item.id)

    heard: list[int] = []
    work = [(Item(str(number), ""), "") for number in range(600)]
    with Bench(workers=4) as bench:
        scores = score_replies(numbered(score, kind), work, bench, tell=heard.append)
        assert score_replies(numbered(score, kind), [], bench) == []
    assert [score.answer for score in scores] == [str(number) for number in range(600)]
    assert heard == [256, 512, 600]


def test_slow_scorers_run_side_by_side() -> None:
    together = threading.Barrier(3, timeout=30)

    def score(item: Item, reply: str, instruments: Instruments) -> Score:
        together.wait()
        return Score(1.0)

    with Bench(workers=3) as bench:
        scores = score_replies(numbered(score, "code"), [(Item(str(i), ""), "") for i in range(6)], bench)
    assert [score.value for score in scores] == [1.0] * 6


def test_a_scorer_that_overruns_leaves_its_reply_unscored() -> None:
    def score(item: Item, reply: str, instruments: Instruments) -> Score:
        raise TimeoutError("took more than 5 s" if reply else "")

    with Bench() as bench:
        scores = score_replies(numbered(score), [(Item("a", ""), "x"), (Item("b", ""), "")], bench)
    assert [score.reason for score in scores] == ["took more than 5 s", "the scorer overran its time limit"]
    assert not any(score.scored for score in scores)


def test_an_error_in_a_scorer_ends_the_work_at_once() -> None:
    def score(item: Item, reply: str, instruments: Instruments) -> Score:
        raise KeyError(f"details of {item.id}")

    for kind in ("text", "math"):
        with Bench(workers=2) as bench, pytest.raises(KeyError, match="details of"):
            score_replies(numbered(score, kind), [(Item(str(i), ""), "") for i in range(9)], bench)


def test_instruments_of_another_kind_are_refused() -> None:
    def compares(item: Item, reply: str, instruments: Instruments) -> Score:
        return Score(float(instruments.equal("1", "1")))

    def runs(item: Item, reply: str, instruments: Instruments) -> Score:
        return Score(float(instruments.run("", "", 1.0).status))

    work = [(Item("a", ""), "x")]
    with Bench() as bench:
        with pytest.raises(RuntimeError, match="only a dataset of kind 'math' may compare"):
            score_replies(numbered(compares), work, bench)
        with pytest.raises(RuntimeError, match="only a dataset of kind 'code' may run"):
            score_replies(numbered(runs), work, bench)


def test_mathematics_is_compared_in_workers_that_end_with_the_bench() -> None:
    pytest.importorskip("math_verify", reason="needs the extra llmrouterbench[score]")
    item = Item("m", "?", "2\\sqrt{2}")
    with Bench(workers=1) as bench:
        scores = score_replies(dataset("math500"), [(item, "\\boxed{\\sqrt{8}}"), (item, "\\boxed{3}")], bench)
        assert bench.instruments(dataset("math500")).equal == bench.instruments(dataset("aime")).equal, "one pool"
    assert [score.value for score in scores] == [1, 0]


def test_the_official_reading_is_taken_only_where_there_is_one() -> None:
    work = [(first_item("medqa"), "A")]
    with Bench() as bench:
        for made in (dataset("medqa"), replace(dataset("medqa"), official=None)):
            ours, official = (score_replies(made, work, bench, compat)[0] for compat in ("ours", "official"))
            assert (official.reason == "official reading") == (made.official is not None)
            assert ours.reason == ""


SQUARE = Item("mbpp-1", "Square a number.", details={"tests": ["assert square(3) == 9"], "entries": ["square"]})


@pytest.mark.parametrize(
    ("demonstration", "value"),
    [
        ("print(square(int(input())))", 1),
        ("assert square(3) == 10", 1),
        ("raise SystemExit(1)", 1),
        ("square = square(3)", 0),
        ("square = None", 0),
    ],
)
def test_a_function_is_judged_by_its_tests_not_by_its_demonstration(demonstration: str, value: float) -> None:
    reply = f"```python\ndef square(x):\n    return x * x\n\n{demonstration}\n```"
    with Bench(workers=1) as bench:
        assert score_replies(dataset("mbpp"), [(SQUARE, reply)], bench)[0].value == value


def test_an_example_that_takes_the_functions_name_is_not_the_function() -> None:
    reply = (
        "```python\ndef square(x):\n    return x * x\n```\nUse it:\n```python\nsquare = square(3)\nprint(square)\n```"
    )
    with Bench(workers=1) as bench:
        assert score_replies(dataset("mbpp"), [(SQUARE, reply)], bench)[0].value == 1
