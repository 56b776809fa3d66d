"""The contract of a dataset, as checks that anybody can run on their own.

    from llmrouterbench.checks.dataset import check_dataset
    check_dataset(my_dataset, items)

A check raises AssertionError with a sentence that says what the contract asks for. Every item is checked for its id
and its prompt; replies are scored for a few items only, the first of every subset among them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence

from llmrouterbench.datasets import Dataset, Instruments, identity
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.sandbox.run import Execution

SECONDS = 5.0
"""Limit for scoring one reply of a megabyte of junk."""
_MEGABYTE = 1_000_000
_JUNK = (
    "x",
    "\\boxed{",
    "[[",
    "]]",
    "Answer: A\n",
    "1,",
    "(",
    "```python\n",
    "<think>",
    "A or B ",
    "\ud800",
    "CONCLUSION:\n",
)
_EMPTY = ("", " \n\t", "<think>I wonder.</think>")
_FORMS = ("{}", "Answer: {}", "\\boxed{{{}}}", "[[{}]]", "Answer: ({})")


def plain_instruments(judgement: str = "") -> Instruments:
    """Instruments without sandbox, judge or algebra: equality of texts, no program run, one fixed judgement."""
    return Instruments(
        equal=lambda one, other: "".join(one.split()) == "".join(other.split()),
        run=lambda program, stdin, seconds: Execution(1, "", "", 0.0, "not run: no sandbox was given"),
        ask=lambda prompt: Reply("", "", "judge", judgement),
    )


def check_dataset(
    dataset: Dataset,
    items: Sequence[Item],
    *,
    instruments: Instruments | None = None,
    right: Callable[[Item], str] | None = None,
) -> None:
    """Run the whole contract on a dataset and its items. Raises AssertionError with the first broken rule.

    instruments  what the scorer may use; None: `plain_instruments`, which suffice unless code is to be run
    right        a right reply to an item; None: the target itself, bare or in the usual forms, where it is text or a
                 number and the dataset is of kind "text" or "math" (other kinds are then excused from that rule)
    """
    tools = instruments or plain_instruments()
    sample = _sample(items)
    check_card(dataset)
    check_items(dataset, items)
    check_prompts(dataset, items)
    check_empty_replies(dataset, sample, tools)
    check_right_replies(dataset, sample, tools, right)
    check_same_score_again(dataset, sample, tools)
    check_junk(dataset, sample[:1], tools)


def _sample(items: Sequence[Item]) -> list[Item]:
    """The first two items of every subset, 20 at most."""
    seen: Counter[str] = Counter()
    sample = []
    for item in items:
        seen[item.subset] += 1
        if seen[item.subset] <= 2:
            sample.append(item)
    return sample[:20]


def check_card(dataset: Dataset) -> None:
    """A dataset says what it is: name, licence, citation, version, identity, and for a judge its model and template."""
    for field in ("name", "title", "domain", "licence", "citation"):
        assert getattr(dataset, field).strip(), f"dataset {dataset.name!r} must have a {field}, got nothing"
    assert dataset.version >= 1, f"Dataset.version must be at least 1, got {dataset.version}"
    judged = dataset.kind == "judge"
    assert bool(dataset.judge) == judged, f"a judge model belongs to kind 'judge', got {dataset.judge!r}"
    assert bool(dataset.judge_template) == judged, "a judge's template belongs to kind 'judge' and to no other"
    assert identity(dataset).startswith(f"{dataset.name}@"), "the identity of the scores must name the dataset"


def check_items(dataset: Dataset, items: Sequence[Item]) -> None:
    """There are items, with ids that are unique and not empty, in the subsets that the dataset names."""
    assert items, f"dataset {dataset.name!r} must have items, got none"
    assert all(item.id for item in items), "Item.id must not be empty"
    twice = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    assert not twice, f"Item.id must be unique, got {twice[0]!r} more than once"
    strange = {item.subset for item in items} - set(dataset.subsets or ("",))
    assert not strange, f"Item.subset must be one of {dataset.subsets or ('',)}, got {sorted(strange)[0]!r}"


def check_prompts(dataset: Dataset, items: Sequence[Item]) -> None:
    """Every prompt is text, not blank, the same when asked again."""
    for item in items:
        prompt = dataset.prompt(item)
        assert isinstance(prompt, str), f"the prompt of {item.id} must be text, got {type(prompt).__name__}"
        assert prompt.strip(), f"the prompt of {item.id} must not be empty"
        assert dataset.prompt(item) == prompt, f"the prompt of {item.id} must be the same every time"


def check_empty_replies(dataset: Dataset, items: Sequence[Item], instruments: Instruments) -> None:
    """An empty reply, blanks, and a thought without an answer never score above 0."""
    for item in items:
        for reply in _EMPTY:
            value = dataset.score(item, reply, instruments).value
            assert math.isnan(value) or value == 0, f"{item.id}: reply {reply!r} must not score above 0, got {value}"


def check_right_replies(
    dataset: Dataset, items: Sequence[Item], instruments: Instruments, right: Callable[[Item], str] | None = None
) -> None:
    """A right reply scores 1."""
    for item in items:
        if right is not None:
            replies = [right(item)]
        elif dataset.kind in ("text", "math") and isinstance(item.target, str | int | float):
            replies = [form.format(item.target) for form in _FORMS]
        else:
            continue
        best = max(dataset.score(item, reply, instruments).value for reply in replies)
        assert best == 1, f"{item.id}: the right answer as a reply must score 1, got {best} for {replies[0][:200]!r}"


def check_same_score_again(dataset: Dataset, items: Sequence[Item], instruments: Instruments) -> None:
    """The same reply to the same item scores the same."""
    for item in items:
        for reply in (str(item.target), "Answer: (B) 42 [[42]] \\boxed{42}"):
            one, other = (dataset.score(item, reply, instruments) for _ in range(2))
            assert _same(one, other), f"{item.id}: a reply must score the same again, got {one} and {other}"


def _same(one: Score, other: Score) -> bool:
    both_missing = math.isnan(one.value) and math.isnan(other.value)
    return (both_missing or one.value == other.value) and (one.answer, one.reason) == (other.answer, other.reason)


def check_junk(dataset: Dataset, items: Sequence[Item], instruments: Instruments) -> None:
    """A megabyte of junk is scored, or not scored with a reason, within `SECONDS`."""
    for item in items:
        for junk in _JUNK:
            start = time.monotonic()
            score = dataset.score(item, junk * (_MEGABYTE // len(junk)), instruments)
            seconds = time.monotonic() - start
            assert seconds < SECONDS, f"{item.id}: 1 MB of {junk!r} must be scored in {SECONDS} s, took {seconds:.1f} s"
            assert score.scored or score.reason, f"{item.id}: a reply that is not scored must have a reason"
