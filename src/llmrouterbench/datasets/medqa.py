"""MedQA: 1,273 questions in the style of the United States medical licensing examination, with four options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmrouterbench.datasets import Source
from llmrouterbench.datasets._choice import choice_dataset
from llmrouterbench.datasets._rows import json_rows
from llmrouterbench.replies import Item

_FILE = "phrases_no_exclude_test.jsonl"


def read(files: Mapping[str, Path]) -> list[Item]:
    """The questions of the test part; the target is a letter."""
    rows = json_rows(files[_FILE], ("question", "options", "answer_idx"))
    return [
        Item(str(number), row["question"], row["answer_idx"], details={"options": row["options"]})
        for number, row in enumerate(rows, 1)
    ]


DATASET = choice_dataset(
    "Answer this question of a medical examination.",
    read,
    name="medqa",
    title="MedQA (USMLE, four options)",
    domain="Knowledge",
    source=Source(
        "hub",
        "GBaker/MedQA-USMLE-4-options",
        "0fb93dd23a7339b6dcd27e241cb9b5eca62d4d18",
        {_FILE: "c3b905ccfa66152dc25afbcb2c10e86c0bdb208824f0658fcdb2c040f60a2beb"},
    ),
    licence="CC-BY-4.0 (card of the hub's copy)",
    citation="Jin et al. 2021, What Disease Does This Patient Have?, arXiv 2009.13081",
    size=1273,
)
