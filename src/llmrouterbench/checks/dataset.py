"""The contract of a dataset, as checks that anybody can run on their own.

    from llmrouterbench.checks.dataset import check_dataset
    check_dataset(my_dataset, items)

A check raises `ContractError`, an AssertionError, with a sentence that says what the contract asks for. Every item is
checked for its id and its prompt; replies are scored for a few items only, the first of every subset among them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence

from llmrouterbench.checks.contract import ContractError, require
from llmrouterbench.datasets import Dataset, Instruments, identity
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.sandbox.run import Execution

SECONDS = 5.0
"""Limit for scoring one reply of a megabyte of junk, in processor time: a busy machine is not the scorer's fault."""
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
        run=lambda program, stdin, seconds, modules=True: Execution(1, "", "", 0.0, "not run: no sandbox was given"),
        ask=lambda prompt: Reply("", "", "judge", judgement),
    )


def check_dataset(
    dataset: Dataset,
    items: Sequence[Item],
    *,
    instruments: Instruments | None = None,
    right: Callable[[Item], str] | None = None,
) -> None:
    """Run the whole contract on a dataset and its items. Raises ContractError, an AssertionError, with
    the first broken rule.

    instruments  what the scorer may use; None: `plain_instruments`, which suffice unless code is to be run
    right        a right reply to an item; None: the target itself, bare or in the usual forms, where it is text or a
                 number and the dataset is of kind "text" or "math" (other kinds are then excused from that rule)
    """
    tools = instruments or plain_instruments()
    require(isinstance(dataset, Dataset), f"a dataset must be a Dataset, got {type(dataset).__name__}")
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


def _scored(dataset: Dataset, item: Item, reply: str, instruments: Instruments) -> Score:
    score: object = dataset.score(item, reply, instruments)
    if not isinstance(score, Score):
        raise ContractError(f"{item.id}: a scorer must return a Score(value), got {type(score).__name__}")
    return score


def check_card(dataset: Dataset) -> None:
    """A dataset says what it is: name, licence, citation, version, identity, and for a judge its model and template."""
    for field in ("name", "title", "domain", "licence", "citation"):
        require(bool(getattr(dataset, field).strip()), f"dataset {dataset.name!r} must have a {field}, got nothing")
    require(dataset.version >= 1, f"Dataset.version must be at least 1, got {dataset.version}")
    judged = dataset.kind == "judge"
    require(bool(dataset.judge) == judged, f"a judge model belongs to kind 'judge', got {dataset.judge!r}")
    require(bool(dataset.judge_template) == judged, "a judge's template belongs to kind 'judge' and to no other")
    named = identity(dataset).startswith(f"{dataset.name}@")
    require(named, "the identity of the scores must name the dataset")


def check_items(dataset: Dataset, items: Sequence[Item]) -> None:
    """There are items, with ids that are unique and not empty, in the subsets that the dataset names."""
    require(len(items) > 0, f"dataset {dataset.name!r} must have items, got none")
    require(all(item.id for item in items), "Item.id must not be empty")
    for name, count in Counter(item.id for item in items).items():
        require(count == 1, f"Item.id must be unique, got {name!r} more than once")
    subsets = dataset.subsets or ("",)
    for item in items:
        require(item.subset in subsets, f"Item.subset must be one of {subsets}, got {item.subset!r}")


def check_prompts(dataset: Dataset, items: Sequence[Item]) -> None:
    """Every prompt is text, not blank, the same when asked again."""
    for item in items:
        prompt = dataset.prompt(item)
        require(isinstance(prompt, str), f"the prompt of {item.id} must be text, got {type(prompt).__name__}")
        require(bool(prompt.strip()), f"the prompt of {item.id} must not be empty")
        require(dataset.prompt(item) == prompt, f"the prompt of {item.id} must be the same every time")


def check_empty_replies(dataset: Dataset, items: Sequence[Item], instruments: Instruments) -> None:
    """An empty reply, blanks, and a thought without an answer never score above 0."""
    for item in items:
        for reply in _EMPTY:
            value = _scored(dataset, item, reply, instruments).value
            nothing = math.isnan(value) or value == 0
            require(nothing, f"{item.id}: reply {reply!r} must not score above 0, got {value}")


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
        best = max(_scored(dataset, item, reply, instruments).value for reply in replies)
        said = f"got {best} for {replies[0][:200]!r}"
        require(best == 1, f"{item.id}: the right answer as a reply must score 1, {said}")


def check_same_score_again(dataset: Dataset, items: Sequence[Item], instruments: Instruments) -> None:
    """The same reply to the same item scores the same."""
    for item in items:
        for reply in (str(item.target), "Answer: (B) 42 [[42]] \\boxed{42}"):
            one, other = (_scored(dataset, item, reply, instruments) for _ in range(2))
            require(_same(one, other), f"{item.id}: a reply must score the same again, got {one} and {other}")


def _same(one: Score, other: Score) -> bool:
    both_missing = math.isnan(one.value) and math.isnan(other.value)
    return (both_missing or one.value == other.value) and (one.answer, one.reason) == (other.answer, other.reason)


def check_junk(dataset: Dataset, items: Sequence[Item], instruments: Instruments) -> None:
    """A megabyte of junk is scored, or not scored with a reason, within `SECONDS`."""
    for item in items:
        for junk in _JUNK:
            start = time.process_time()
            score = _scored(dataset, item, junk * (_MEGABYTE // len(junk)), instruments)
            seconds = time.process_time() - start
            quick = seconds < SECONDS
            require(quick, f"{item.id}: 1 MB of {junk!r} must be scored in {SECONDS} s, took {seconds:.1f} s")
            explained = score.scored or bool(score.reason)
            require(explained, f"{item.id}: a reply that is not scored must have a reason")
