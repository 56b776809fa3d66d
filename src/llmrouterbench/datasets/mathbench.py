"""MathBench, college level: 150 multiple-choice questions in English with four options.

The file is the one that the official benchmark asks; its sha256 is known from the Git LFS pointers of the official
repository. The authors publish theirs as a zip (github.com/open-compass/MathBench, release v0.1.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmrouterbench.datasets import Source
from llmrouterbench.datasets._choice import choice_dataset, lettered
from llmrouterbench.datasets._rows import json_rows
from llmrouterbench.replies import Item

_FILE = "data/Mathbench/college.jsonl"


def read(files: Mapping[str, Path]) -> list[Item]:
    """The questions; the target is a letter."""
    rows = json_rows(files[_FILE], ("question", "options", "answer"))
    return [
        Item(str(number), row["question"], row["answer"], details={"options": lettered(row["options"])})
        for number, row in enumerate(rows, 1)
    ]


DATASET = choice_dataset(
    "Answer this question of college mathematics.",
    read,
    name="mathbench",
    title="MathBench (college)",
    domain="Mathematics",
    source=Source(
        "github",
        "ynulihao/LLMRouterBench",
        "5aa32c9a5b1f891c5c433f3266d02691301ca610",
        {_FILE: "d6b94843639c9e1f77d9542501c09d4666ae73b9b897c759d4263fdda1e511d9"},
    ),
    licence="Apache-2.0",
    citation="Liu et al. 2024, MathBench, arXiv 2405.12209",
    size=150,
)
