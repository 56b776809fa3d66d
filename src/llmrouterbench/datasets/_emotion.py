"""What the two datasets of emotion in conversation share: where their files lie, the fields and the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from llmrouterbench.datasets import Dataset, Source
from llmrouterbench.datasets._choice import choice_dataset, choice_prompt
from llmrouterbench.datasets._rows import json_rows
from llmrouterbench.replies import Item


def emotion_dataset(
    file: str, sha256: str, *, name: str, title: str, licence: str, citation: str, size: int
) -> Dataset:
    """The dataset in one file of the official repository."""
    return choice_dataset(
        emotion_prompt,
        partial(read_emotions, file),
        name=name,
        title=title,
        domain="Affective",
        source=Source("github", "ynulihao/LLMRouterBench", "5aa32c9a5b1f891c5c433f3266d02691301ca610", {file: sha256}),
        licence=licence,
        citation=citation,
        size=size,
    )


def read_emotions(file: str, files: Mapping[str, Path]) -> list[Item]:
    """Utterances with what was said before them; the target is the letter of an emotion."""
    rows = json_rows(files[file], ("history", "utterance", "candidate", "answer"))
    return [
        Item(
            str(number),
            row["utterance"],
            row["answer"],
            details={"options": row["candidate"], "history": list(row["history"])},
        )
        for number, row in enumerate(rows, 1)
    ]


def emotion_prompt(item: Item) -> str:
    """The conversation so far, the utterance, and the emotions to choose from."""
    history = "\n".join(f"- {line}" for line in item.details["history"])
    task = (
        "Below is a conversation and the utterance that follows it. Which of the listed emotions does the utterance"
        f" express, given the conversation?\n\nConversation:\n{history}\n\nUtterance:"
    )
    return choice_prompt(task, item)
