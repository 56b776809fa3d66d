"""The public contract of a dataset finds what breaks it, and passes what keeps it."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from broken_contracts import BROKEN_DATASETS, GOOD, ITEMS, score
from llmrouterbench.checks import dataset as dataset_checks
from llmrouterbench.checks.contract import ContractError
from llmrouterbench.checks.dataset import check_dataset, plain_instruments
from llmrouterbench.datasets import Dataset, Instruments
from llmrouterbench.replies import Item, Score


def test_a_good_dataset_passes() -> None:
    check_dataset(GOOD, ITEMS)


@pytest.mark.parametrize(("change", "sentence"), BROKEN_DATASETS, ids=[sentence for _, sentence in BROKEN_DATASETS])
def test_what_breaks_the_contract_is_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_dataset(replace(GOOD, **change), ITEMS)
    assert sentence in str(caught.value)


def test_what_is_no_dataset_is_named() -> None:
    with pytest.raises(ContractError, match="a dataset must be a Dataset, got str"):
        check_dataset("gpqa", ITEMS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "must have items, got none"),
        ([ITEMS[0], replace(ITEMS[1], id="a")], "unique, got 'a' more than once"),
        ([replace(ITEMS[0], id="")], "must not be empty"),
    ],
)
def test_items_that_break_the_contract_are_named(items: list[Item], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_dataset(GOOD, items)


def with_score(other: Callable[[Item, str, Instruments], Score | None]) -> Dataset:
    """The good dataset with another score where `other` gives one."""
    return replace(GOOD, score=lambda item, reply, tools: other(item, reply, tools) or score(item, reply, tools))


def test_slowness_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_checks, "SECONDS", 0.05)

    def slow(item: Item, reply: str, tools: Instruments) -> None:
        start = time.process_time()
        while len(reply) > 100_000 and time.process_time() < start + 0.05:
            pass

    with pytest.raises(ContractError, match=r"1 MB of 'x' must be scored in 0.05 s"):
        check_dataset(with_score(slow), ITEMS)


def test_a_missing_score_needs_a_reason() -> None:
    silent = with_score(lambda item, reply, tools: Score(math.nan) if len(reply) > 100_000 else None)
    with pytest.raises(ContractError, match="not scored must have a reason"):
        check_dataset(silent, ITEMS)


def test_a_right_reply_may_be_given() -> None:
    listed = replace(GOOD, score=lambda item, reply, tools: Score(float(reply == f"<{item.target}>")))
    with pytest.raises(ContractError, match="must score 1"):
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
    with pytest.raises(ContractError, match="must score 1"):
        check_dataset(judged, ITEMS, instruments=plain_instruments("no"), right=lambda item: str(item.target))
