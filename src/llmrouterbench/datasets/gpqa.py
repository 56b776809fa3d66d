"""GPQA diamond: 198 questions of biology, chemistry and physics that experts answer and search engines do not.

The authors ask that items are not posted in plain text: they are never shown in reports. The file is behind a form on
the hub. It holds the right option first, so the four are put in an order drawn from the item's own id: the same on
every machine, and independent of how many items there are. Differs: the official benchmark ships an order of its own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from llmrouterbench.datasets import Source
from llmrouterbench.datasets._choice import choice_dataset, lettered
from llmrouterbench.datasets._rows import Row, csv_rows
from llmrouterbench.replies import Item

_FILE = "gpqa_diamond.csv"
_OPTIONS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
_FIELDS = ("Record ID", "Question", "High-level domain", *_OPTIONS)


def read(files: Mapping[str, Path]) -> list[Item]:
    """The questions with their options in the order drawn for each; the target is a letter."""
    return [_item(row) for row in csv_rows(files[_FILE], _FIELDS)]


def _item(row: Row) -> Item:
    order = [0, 1, 2, 3]
    random.Random(f"gpqa {row['Record ID']}").shuffle(order)  # a text as seed is hashed by sha512, the same everywhere
    options = lettered([row[_OPTIONS[place]].strip() for place in order])
    details = {"options": options, "domain": row["High-level domain"]}
    return Item(row["Record ID"], row["Question"].strip(), "ABCD"[order.index(0)], details=details)


DATASET = choice_dataset(
    "Answer this question of graduate-level science.",
    read,
    name="gpqa",
    title="GPQA (diamond)",
    domain="Knowledge",
    source=Source(
        "hub",
        "Idavidrein/gpqa",
        "633f5ee89ab8ad4522a9f850766b73f62147ffdd",
        {_FILE: "41d1213cd7a4998605a26c2798500652572007161b3a92817ba46b35befcd305"},
    ),
    licence="CC-BY-4.0; its authors ask not to post items in plain text",
    citation="Rein et al. 2023, GPQA: A Graduate-Level Google-Proof Q&A Benchmark, arXiv 2311.12022",
    size=198,
    shown=False,
)
