"""What the multiple-choice datasets share: lettered options, the prompt's last lines, the score of a letter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from string import ascii_uppercase

from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.datasets.answers import SEVERAL, choice, visible
from llmrouterbench.replies import Item, Score

_OFFICIAL_SHORT = 10


def choice_dataset(
    prompt: Callable[[Item], str] | str,
    read: Callable[[Mapping[str, Path]], list[Item]],
    *,
    name: str,
    title: str,
    domain: str,
    source: Source,
    licence: str,
    citation: str,
    size: int,
    shown: bool = True,
) -> Dataset:
    """A dataset whose items have lettered options in `details["options"]` and a letter as target.

    prompt  the task, a sentence before the question; or a function of the item
    """
    return Dataset(
        name=name,
        title=title,
        domain=domain,
        source=source,
        licence=licence,
        citation=citation,
        size=size,
        shots=0,
        kind="text",
        version=2,
        read=read,
        prompt=partial(choice_prompt, prompt) if isinstance(prompt, str) else prompt,
        score=score_choice,
        official=official_choice,
        shown=shown,
    )


def lettered(options: Sequence[str]) -> dict[str, str]:
    """Options under the letters A, B, C ...

    >>> lettered(["yes", "no"])
    {'A': 'yes', 'B': 'no'}
    """
    return dict(zip(ascii_uppercase, (str(option) for option in options), strict=False))


def choice_prompt(task: str, item: Item) -> str:
    """A prompt: the task, the question, one option a line, and the line that a reply must end with."""
    options: Mapping[str, str] = item.details["options"]
    listed = "\n".join(f"{key}. {value}" for key, value in options.items())
    letters = ", ".join(options)
    return (
        f"{task}\n\n{item.query}\n\n{listed}\n\nThink it through step by step. Then write one last line in the form"
        f" 'Answer: X', where X is the letter of your choice, one of {letters}."
    )


def score_choice(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the reply's last choice is the right letter; an option's own words count as its letter."""
    del instruments
    if not reply.strip():
        return Score(0.0, "", "empty reply")
    found = choice(visible(reply), item.details["options"])
    if not found.letter:
        return Score(0.0, "", "no answer found")
    if found.letter == SEVERAL:
        return Score(0.0, "", "several letters in one answer")
    return Score(float(found.letter == item.target), found.letter, found.note)


def official_choice(item: Item, reply: str, instruments: Instruments) -> Score:
    """The official code's reading of a letter, with its defects.

    A reply of at most ten characters is the answer as it stands. Else the last "Answer: X" counts, where X is the first
    letter of whatever follows; else the first box. The letter must be equal in case. Thoughts are read like the rest.

    Source: LLMRouterBench (arXiv 2601.07206), its code at 0e267fb, evaluation/base_evaluator.py.
    """
    del instruments
    chosen = _official_letter(reply, "".join(item.details["options"]))
    return Score(float(chosen == item.target), chosen[:100], "official reading")


def _official_letter(reply: str, letters: str) -> str:
    if len(reply) <= _OFFICIAL_SHORT and "Answer" not in reply and "box" not in reply:
        return reply.lstrip()
    said = re.findall(rf"(?i)answer\s*:\s*\$?([{letters[0]}-{letters[-1]}])", reply)
    return said[-1] if said else official_first_box(reply)


def official_first_box(reply: str) -> str:
    r"""The content of the first \boxed{ as the official code takes it: to the closing brace, or to the end."""
    _, box, rest = reply.partition("\\boxed{")
    if not box:
        return ""
    depth = 1
    for mark in re.finditer(r"[{}]", rest):
        depth += 1 if mark[0] == "{" else -1
        if depth == 0:
            return rest[: mark.start()].strip()
    return rest.strip()
