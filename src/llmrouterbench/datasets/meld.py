"""MELD: the emotion of 1,232 utterances in dialogues of a television series, one of seven.

The file is the one that the official benchmark asks: it made questions with history and lettered emotions out of the
data set. Its sha256 is known from the Git LFS pointers of the official repository. The original is
github.com/declare-lab/MELD, whose test part has more utterances; how the 1,232 were chosen is not documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmrouterbench.datasets import Dataset, Source
from llmrouterbench.datasets._choice import official_choice, score_choice
from llmrouterbench.datasets._emotion import emotion_prompt, read_emotions
from llmrouterbench.replies import Item

_FILE = "data/MELD/test.json"


def read(files: Mapping[str, Path]) -> list[Item]:
    """The utterances; the target is a letter."""
    return read_emotions(files[_FILE])


DATASET = Dataset(
    name="meld",
    title="MELD",
    domain="Affective",
    source=Source(
        "github",
        "ynulihao/LLMRouterBench",
        "5aa32c9a5b1f891c5c433f3266d02691301ca610",
        {_FILE: "ae0c5e617a6da2872749e5543bef0a417d21b6df1dc15e70d29d7dd7c8567530"},
    ),
    licence="GPL-3.0 (of the original data set)",
    citation="Poria et al. 2019, MELD: A Multimodal Multi-Party Dataset for Emotion Recognition, arXiv 1810.02508",
    size=1232,
    shots=0,
    kind="text",
    version=2,
    read=read,
    prompt=emotion_prompt,
    score=score_choice,
    official=official_choice,
)
