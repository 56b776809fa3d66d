"""LiveMathBench, release 202412 in English: 121 problems of four recent competitions.

The file is the one that the official benchmark asks; its sha256 is known from the Git LFS pointers of the official
repository. The hub's own copy (opencompass/LiveMathBench) is behind a form. Not verified here: which competition each
row comes from, so there are no subsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmrouterbench.datasets import Dataset, Source
from llmrouterbench.datasets._rows import json_rows
from llmrouterbench.datasets._solving import math_prompt, official_math_or_integer, score_math
from llmrouterbench.replies import Item

_FILE = "data/livemathbench/en_test.json"


def read(files: Mapping[str, Path]) -> list[Item]:
    """The problems; the target is the answer in LaTeX."""
    rows = json_rows(files[_FILE], ("question", "answer"))
    return [Item(str(number), row["question"], str(row["answer"])) for number, row in enumerate(rows, 1)]


DATASET = Dataset(
    name="livemathbench",
    title="LiveMathBench 202412",
    domain="Mathematics",
    source=Source(
        "github",
        "ynulihao/LLMRouterBench",
        "5aa32c9a5b1f891c5c433f3266d02691301ca610",
        {_FILE: "6ed5aa2cd7a62e4e1febb505530c5d8b50a7c4b9dfc54a4722d1181194ed5b1e"},
    ),
    licence="CC-BY-4.0, for non-commercial use only (form of opencompass/LiveMathBench)",
    citation="Liu et al. 2024, Are Your LLMs Capable of Stable Reasoning?, arXiv 2412.13147",
    size=121,
    shots=0,
    kind="math",
    version=2,
    read=read,
    prompt=math_prompt,
    score=score_math,
    official=official_math_or_integer,
)
