"""What the two datasets of emotion in conversation share: the files' fields and the prompt."""

from __future__ import annotations

from pathlib import Path

from llmrouterbench.datasets._choice import choice_prompt
from llmrouterbench.datasets._rows import json_rows
from llmrouterbench.replies import Item


def read_emotions(path: Path) -> list[Item]:
    """Utterances with what was said before them; the target is the letter of an emotion."""
    rows = json_rows(path, ("history", "utterance", "candidate", "answer"))
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
