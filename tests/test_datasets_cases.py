"""Every line of tests/cases/<dataset>.jsonl: a reply written by hand, the score it must get, and why.

A line holds `item` (fields of Item), `reply`, `score` (null: not scored), `answer` (what must be read), `source` (where
the case comes from), and where needed `judge` (what the judge says, in order; {"failed": why} for a call that failed)
and `official` (the score that the official code gives).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from llmrouterbench.datasets import DATASETS, Dataset, Instruments, dataset
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.sandbox.run import Execution, RunProgram, Talk

CASES = Path(__file__).parent / "cases"


@cache
def lines(name: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (CASES / f"{name}.jsonl").read_bytes().splitlines()]


def cases() -> list[Any]:
    names = sorted(path.stem for path in CASES.glob("*.jsonl"))
    return [
        pytest.param(name, number, id=f"{name}-{number}") for name in names for number in range(1, len(lines(name)) + 1)
    ]


@pytest.fixture(scope="module")
def equal() -> Iterator[Callable[[str, str], bool]]:
    pytest.importorskip("math_verify", reason="needs the extra llmrouterbench[score]")
    from llmrouterbench.datasets.equality import MathPool

    with MathPool(workers=1, limit=10.0) as pool:
        yield pool.equal


@pytest.fixture(scope="module")
def run() -> RunProgram:
    @cache
    def sandbox() -> Any:  # only the code datasets need it
        from llmrouterbench.sandbox.run import open_sandbox

        return open_sandbox(workers=1)

    def running(program: str, stdin: str | Talk, seconds: float, modules: bool = True) -> Execution:
        execution: Execution = sandbox().run(program, stdin, seconds, modules)
        return execution

    return running


def judged(case: dict[str, Any], made: Dataset) -> Callable[[str], Reply]:
    replies = iter(case.get("judge", []))

    def ask(prompt: str) -> Reply:
        assert prompt.strip()
        said = next(replies)
        facts = (made.name, case["item"]["id"], made.judge)
        return Reply(*facts, text=said) if isinstance(said, str) else Reply(*facts, "", "failed", said["failed"])

    return ask


@pytest.mark.parametrize(("name", "number"), cases())
def test_case(name: str, number: int, equal: Callable[[str, str], bool], run: RunProgram) -> None:
    case, made = lines(name)[number - 1], dataset(name)
    item = Item(**{"id": "case", "query": "", **case["item"]})
    instruments = Instruments(equal, run, judged({**case, "item": {"id": item.id}}, made))
    score = made.score(item, case["reply"], instruments)
    assert same(score, case["score"]), f"{score}; {case['source']}"
    assert score.answer == case["answer"], case["source"]
    if "official" in case:
        assert made.official is not None
        assert same(made.official(item, case["reply"], instruments), case["official"]), case["source"]


def same(score: Score, wanted: float | None) -> bool:
    return math.isnan(score.value) if wanted is None else score.value == wanted


@pytest.mark.parametrize("name", [name for name in DATASETS if (CASES / f"{name}.jsonl").exists()])
def test_every_file_has_twenty_cases_with_a_source(name: str) -> None:
    assert len(lines(name)) >= 20
    assert all(case["source"].strip() for case in lines(name))


DEFECTS = {1: "korbench", 2: "korbench", 4: "simpleqa", 5: "finqa", 6: "kandk", 7: "hle", 8: "livecodebench", 10: "hle"}
"""Verified defects of the official evaluators by number and the dataset they are in; 9 is in none of the 21."""


@pytest.mark.parametrize(("number", "name"), [*DEFECTS.items(), (3, "humaneval"), (3, "mbpp"), (10, "arenahard")])
def test_every_verified_defect_has_a_case(number: int, name: str) -> None:
    assert any(f"6.1 no. {number}" in case["source"] for case in lines(name))


def test_every_dataset_has_cases() -> None:
    assert {path.stem for path in CASES.glob("*.jsonl")} == set(DATASETS)
