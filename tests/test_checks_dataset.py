"""The public contract of a dataset finds what breaks it, and passes what keeps it."""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from llmrouterbench.checks import dataset as dataset_checks
from llmrouterbench.checks.dataset import check_dataset, plain_instruments
from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.replies import Item, Score

ITEMS = [Item("a", "1+1?", "2", "low"), Item("b", "2+2?", "4", "high")]


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    said = reply.rpartition("Answer:")[2].strip()[:100]
    return Score(float(said == item.target), said)


GOOD = Dataset(
    name="sums",
    title="Sums",
    domain="own",
    source=Source("own", "here", "1", {}),
    licence="MIT",
    citation="nobody",
    size=2,
    shots=0,
    kind="text",
    version=1,
    read=lambda files: ITEMS,
    prompt=lambda item: f"{item.query} End with 'Answer: <number>'.",
    score=score,
    subsets=("low", "high"),
)


def test_a_good_dataset_passes() -> None:
    check_dataset(GOOD, ITEMS)


counter = itertools.count()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": " "}, "must have a licence"),
        ({"version": 0}, "version must be at least 1, got 0"),
        ({"judge": "o3-mini"}, "a judge model belongs to kind 'judge', got 'o3-mini'"),
        ({"kind": "judge", "judge": "o3-mini"}, "template belongs to kind 'judge'"),
        ({"subsets": ("low",)}, "Item.subset must be one of .*, got 'high'"),
        ({"prompt": lambda item: " "}, "prompt of a must not be empty"),
        ({"prompt": lambda item: None}, "prompt of a must be text, got NoneType"),
        ({"prompt": lambda item: f"{next(counter)}"}, "prompt of a must be the same every time"),
        ({"score": lambda item, reply, tools: Score(1.0)}, "must not score above 0, got 1.0"),
        ({"score": lambda item, reply, tools: Score(0.0)}, "the right answer as a reply must score 1, got 0.0"),
    ],
)
def test_what_breaks_the_contract_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_dataset(replace(GOOD, **change), ITEMS)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "must have items, got none"),
        ([ITEMS[0], replace(ITEMS[1], id="a")], "unique, got 'a' more than once"),
        ([replace(ITEMS[0], id="")], "must not be empty"),
    ],
)
def test_items_that_break_the_contract_are_named(items: list[Item], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_dataset(GOOD, items)


def with_score(other: Callable[[Item, str, Instruments], Score | None]) -> Dataset:
    """The good dataset with another score where `other` gives one."""
    return replace(GOOD, score=lambda item, reply, tools: other(item, reply, tools) or score(item, reply, tools))


def test_chance_is_found() -> None:
    moody = with_score(lambda item, reply, tools: Score(0.0, str(next(counter))) if "42" in reply else None)
    with pytest.raises(AssertionError, match="must score the same again"):
        check_dataset(moody, ITEMS)


def test_slowness_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_checks, "SECONDS", 0.05)

    def slow(item: Item, reply: str, tools: Instruments) -> None:
        time.sleep(0.2 if len(reply) > 100_000 else 0)

    with pytest.raises(AssertionError, match=r"1 MB of 'x' must be scored in 0.05 s"):
        check_dataset(with_score(slow), ITEMS)


def test_a_missing_score_needs_a_reason() -> None:
    silent = with_score(lambda item, reply, tools: Score(math.nan) if len(reply) > 100_000 else None)
    with pytest.raises(AssertionError, match="not scored must have a reason"):
        check_dataset(silent, ITEMS)


def test_a_right_reply_may_be_given() -> None:
    listed = replace(GOOD, score=lambda item, reply, tools: Score(float(reply == f"<{item.target}>")))
    with pytest.raises(AssertionError, match="must score 1"):
        check_dataset(listed, ITEMS)
    check_dataset(listed, ITEMS, right=lambda item: f"<{item.target}>")


def test_a_judge_is_fixed() -> None:
    judged = replace(
        GOOD,
        kind="judge",
        judge="o3-mini",
        judge_template="Right?",
        score=lambda item, reply, tools: Score(
            float(bool(reply.strip()) and "<" not in reply and tools.ask(reply).text == "yes")
        ),
    )
    check_dataset(judged, ITEMS, instruments=plain_instruments("yes"))
    with pytest.raises(AssertionError, match="must score 1"):
        check_dataset(judged, ITEMS, instruments=plain_instruments("no"), right=lambda item: str(item.target))
