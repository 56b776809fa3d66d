"""AIME 2024 and 2025: 60 problems of the American Invitational Mathematics Examination, each with an integer answer.

The file is the one that the official benchmark asks (its split "hybrid"): 30 problems of 2024, then 30 of 2025. Its
sha256 is known from the Git LFS pointers of the official repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmrouterbench.datasets import Dataset, Source
from llmrouterbench.datasets._rows import json_rows
from llmrouterbench.datasets._solving import math_prompt, official_math_or_integer, score_math
from llmrouterbench.replies import Item

YEARS = ("2024", "2025")


def read(files: Mapping[str, Path]) -> list[Item]:
    """The problems of both years; the target is the answer as text."""
    return [item for year in YEARS for item in _year(year, files[f"data/AIME/{year}.json"])]


def _year(year: str, path: Path) -> list[Item]:
    rows = json_rows(path, ("Problem", "Answer"))
    return [
        Item(f"{year}-{number}", row["Problem"], str(row["Answer"]).strip(), year) for number, row in enumerate(rows, 1)
    ]


DATASET = Dataset(
    name="aime",
    title="AIME 2024 and 2025",
    domain="Mathematics",
    source=Source(
        "github",
        "ynulihao/LLMRouterBench",
        "5aa32c9a5b1f891c5c433f3266d02691301ca610",
        {
            "data/AIME/2024.json": "bc5bcf9221304c7eb9e3747a8592bb4eed6337381dbcbd04ebb5389c3adc1340",
            "data/AIME/2025.json": "ccd71341e29636b22b1c6f5fbfd57b7e24114d118bd8b68463d203d8fca7a55c",
        },
    ),
    licence="not stated; problems by the Mathematical Association of America",
    citation="Mathematical Association of America, American Invitational Mathematics Examination, 2024 and 2025",
    size=60,
    shots=0,
    kind="math",
    version=2,
    read=read,
    prompt=math_prompt,
    score=score_math,
    official=official_math_or_integer,
    subsets=YEARS,
)
