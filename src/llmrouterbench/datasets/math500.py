"""MATH-500: 500 competition problems of the MATH test set, chosen by Lightman et al. for their verifier.

Source of the numbers: Hendrycks et al. 2021, arXiv 2103.03874; Lightman et al. 2023, arXiv 2305.20050.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmrouterbench.datasets import Dataset, Source
from llmrouterbench.datasets._rows import json_rows
from llmrouterbench.datasets._solving import math_prompt, official_math, score_math
from llmrouterbench.replies import Item


def read(files: Mapping[str, Path]) -> list[Item]:
    """The problems; the target is the answer in LaTeX."""
    return [
        Item(
            row["unique_id"], row["problem"], row["answer"], details={"subject": row["subject"], "level": row["level"]}
        )
        for row in json_rows(files["test.jsonl"], ("unique_id", "problem", "answer", "subject", "level"))
    ]


DATASET = Dataset(
    name="math500",
    title="MATH-500",
    domain="Mathematics",
    source=Source(
        "hub",
        "HuggingFaceH4/MATH-500",
        "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        {"test.jsonl": "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132"},
    ),
    licence="MIT (of the MATH data set; the hub's card states none)",
    citation="Lightman et al. 2023, Let's Verify Step by Step, arXiv 2305.20050",
    size=500,
    shots=0,
    kind="math",
    version=2,
    read=read,
    prompt=math_prompt,
    score=score_math,
    official=official_math,
)
