"""EmoryNLP: the emotion of 697 utterances in scenes of a television series, one of seven.

The file is the one that the official benchmark asks: it made questions with history and lettered emotions out of the
data set. Its sha256 is known from the Git LFS pointers of the official repository. The original is
github.com/emorynlp/emotion-detection, whose test part has more utterances; how the 697 were chosen is not documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmrouterbench.datasets import Dataset, Source
from llmrouterbench.datasets._choice import official_choice, score_choice
from llmrouterbench.datasets._emotion import emotion_prompt, read_emotions
from llmrouterbench.replies import Item

_FILE = "data/EmoryNLP/test.json"


def read(files: Mapping[str, Path]) -> list[Item]:
    """The utterances; the target is a letter."""
    return read_emotions(files[_FILE])


DATASET = Dataset(
    name="emorynlp",
    title="EmoryNLP",
    domain="Affective",
    source=Source(
        "github",
        "ynulihao/LLMRouterBench",
        "5aa32c9a5b1f891c5c433f3266d02691301ca610",
        {_FILE: "dca452890fb75fd63cbeda9c4b321869d1df52ea4664e5659eae16b2d1bcf73e"},
    ),
    licence="Apache-2.0 (of the original data set)",
    citation="Zahiri and Choi 2018, Emotion Detection on TV Show Transcripts, arXiv 1708.04299",
    size=697,
    shots=0,
    kind="text",
    version=2,
    read=read,
    prompt=emotion_prompt,
    score=score_choice,
    official=official_choice,
)
