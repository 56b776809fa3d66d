"""MELD: the emotion of 1,232 utterances in dialogues of a television series, one of seven.

The file is the one that the official benchmark asks: it made questions with history and lettered emotions out of the
data set. Its sha256 is known from the Git LFS pointers of the official repository. The original is
github.com/declare-lab/MELD, whose test part has more utterances; how the 1,232 were chosen is not documented.
"""

from __future__ import annotations

from llmrouterbench.datasets._emotion import emotion_dataset

DATASET = emotion_dataset(
    "data/MELD/test.json",
    "ae0c5e617a6da2872749e5543bef0a417d21b6df1dc15e70d29d7dd7c8567530",
    name="meld",
    title="MELD",
    licence="GPL-3.0 (of the original data set)",
    citation="Poria et al. 2019, MELD: A Multimodal Multi-Party Dataset for Emotion Recognition, arXiv 1810.02508",
    size=1232,
)
