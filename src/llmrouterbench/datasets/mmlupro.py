"""MMLU-Pro: questions of fourteen fields with up to ten options, in two samples of 1,000 and 3,000 of the 12,032.

How the paper sampled is unknown: its files are Git LFS objects of the official repository without a licence. Ours are
choices of the pinned test part that anybody can repeat: the questions of each category in the order of the sha256 of
"mmlupro", a blank and the question's id, as many of each as is the category's share (largest remainders), so that the
1,000 lie inside the 3,000. To ask exactly the paper's questions, read its own files with a data set of your own.

`size` counts both samples. A question that is in both is two items, `test_1000/ID` and `test_3000/ID`, with one prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmrouterbench.datasets import Dataset, Source
from llmrouterbench.datasets._choice import choice_prompt, lettered, official_choice, score_choice
from llmrouterbench.replies import Item

_FILE = "data/test-00000-of-00001.parquet"
SUBSETS = {"test_1000": 1000, "test_3000": 3000}


def read(files: Mapping[str, Path]) -> list[Item]:
    """The questions of both samples; the target is a letter."""
    import polars as pl

    columns = ["question_id", "question", "options", "answer", "category"]
    rows = pl.read_parquet(files[_FILE], columns=columns).to_dicts()
    return [_item(subset, row) for subset, size in SUBSETS.items() for row in sample(rows, size)]


def sample(rows: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """As many rows as `size`, or all, each category by its share, in the order of the file."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=_draw):
        groups.setdefault(row["category"], []).append(row)
    size = min(size, len(rows))
    shares = {name: size * len(group) / len(rows) for name, group in groups.items()}
    counts = {name: int(share) for name, share in shares.items()}
    for name in sorted(shares, key=lambda name: (counts[name] - shares[name], name))[: size - sum(counts.values())]:
        counts[name] += 1
    chosen = {row["question_id"] for name, group in groups.items() for row in group[: counts[name]]}
    return [row for row in rows if row["question_id"] in chosen]


def _draw(row: dict[str, Any]) -> str:
    return hashlib.sha256(f"mmlupro {row['question_id']}".encode()).hexdigest()


def _item(subset: str, row: dict[str, Any]) -> Item:
    details = {"options": lettered(row["options"]), "category": row["category"]}
    return Item(f"{subset}/{row['question_id']}", row["question"], row["answer"], subset, details)


def prompt(item: Item) -> str:
    """The question with its options; the category is named."""
    return choice_prompt(f"Answer this multiple-choice question about {item.details['category']}.", item)


DATASET = Dataset(
    name="mmlupro",
    title="MMLU-Pro",
    domain="Knowledge",
    source=Source(
        "hub",
        "TIGER-Lab/MMLU-Pro",
        "b189ec765aa7ed75c8acfea42df31fdae71f97be",
        {_FILE: "0e24a191921c2f453518a537a8b2117bd137e7714d4ef1565e9ba06c1ecb9ad8"},
    ),
    licence="MIT",
    citation="Wang et al. 2024, MMLU-Pro, arXiv 2406.01574",
    size=4000,
    shots=0,
    kind="text",
    version=2,
    read=read,
    prompt=prompt,
    score=score_choice,
    official=official_choice,
    subsets=tuple(SUBSETS),
)
