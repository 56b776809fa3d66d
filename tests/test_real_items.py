"""Real items and replies of ../shared/data: skipped where they are not here."""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from llmrouterbench.checks.dataset import plain_instruments
from llmrouterbench.datasets import Instruments, dataset
from llmrouterbench.datasets._korbench_puzzles import RULES, UNSOLVABLE, WRONG
from llmrouterbench.datasets._phrases import option_said, plain_option
from llmrouterbench.datasets.korbench import bracketed
from llmrouterbench.replies import Item

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real data of ../shared/data are not here"),
]
SANDBOXED = ("mbpp", "livecodebench")


@cache
def items(name: str) -> list[dict[str, Any]]:
    lines = gzip.decompress((DATA / "labelled-replies/items.jsonl.gz").read_bytes()).splitlines()
    return [item for item in map(orjson.loads, lines) if item["dataset"] == name]


@pytest.fixture(scope="module")
def tools() -> Iterator[Instruments]:
    pytest.importorskip("math_verify", reason="needs the extra llmrouterbench[score]")
    from llmrouterbench.datasets.equality import MathPool

    plain = plain_instruments()
    with MathPool(workers=2, limit=20.0) as pool:
        yield Instruments(pool.equal, plain.run, plain.ask)


def test_what_was_scored_wrong_is_scored_right(tools: Instruments) -> None:
    lines = [orjson.loads(line) for line in (DATA / "cases/scored_wrong.jsonl").read_bytes().splitlines()]
    wrong = []
    for number, case in enumerate(lines, 1):
        if case["dataset"] not in SANDBOXED:
            item = Item("case", case["query"], case["target"], case["subset"], case["details"])
            score = dataset(case["dataset"]).score(item, case["reply"], tools)
            if score.value != case["right"]:
                wrong.append((number, case["why"], score))
    assert not wrong


def korbench(each: dict[str, Any]) -> Item:
    return Item(each["id"], each["question"], each["target"], each["category"], {"rule_id": each["rule_id"]})


def test_every_puzzle_rule_accepts_the_reference_answers_that_obey_it() -> None:
    faulty = {**WRONG, **UNSOLVABLE}
    refused = {
        each["id"]
        for each in items("korbench")
        if each["category"] == "puzzle" and each["rule_id"] in RULES
        if not RULES[each["rule_id"]](each["question"], bracketed(each["target"]) or "")
    }
    assert refused == set(faulty), "each is listed with its reason"
    assert all(reason.strip() for reason in faulty.values())


def test_every_reference_of_korbench_is_right_but_those_that_break_their_rule(tools: Instruments) -> None:
    score = dataset("korbench").score
    wrong = {
        each["id"] for each in items("korbench") if score(korbench(each), f"So: {each['target']}", tools).value != 1
    }
    assert wrong == set(WRONG)


def test_no_option_of_mmlupro_is_taken_for_another() -> None:
    """In 128 of these 2,818 questions two options came out alike when all but letters and digits was dropped."""
    for each in items("mmlupro"):
        options = dict(zip("ABCDEFGHIJ", each["options"], strict=False))
        for letter, text in options.items():
            alike = [key for key, other in options.items() if plain_option(other) == plain_option(text)]
            assert option_said(text, options) == (letter if len(alike) == 1 else ""), each["id"]


def right_reply(each: dict[str, Any]) -> str:
    return f"So the answer is {each['target']}."


@pytest.mark.parametrize(
    "form", [right_reply, lambda each: f"Answer: {each['target']}", lambda each: f"\\boxed{{{each['target']}}}"]
)
def test_every_target_of_bbh_is_right_in_the_usual_forms(form: Callable[[dict[str, Any]], str]) -> None:
    wrong = defaultdict(list)
    for each in items("bbh")[::15]:
        options = dict(re.findall(r"(?m)^\(([A-Z])\)[ \t]*(.*?)[ \t]*$", each["question"]))
        item = Item(each["id"], each["question"], each["target"], each["category"], {"options": options})
        if dataset("bbh").score(item, form(each), plain_instruments()).value != 1:
            wrong[each["category"]].append(each["id"])
    assert not wrong
