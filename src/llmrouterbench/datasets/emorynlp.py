"""EmoryNLP: the emotion of 697 utterances in scenes of a television series, one of seven.

The file is the one that the official benchmark asks: it made questions with history and lettered emotions out of the
data set. Its sha256 is known from the Git LFS pointers of the official repository. The original is
github.com/emorynlp/emotion-detection, whose test part has more utterances; how the 697 were chosen is not documented.
"""

from __future__ import annotations

from llmrouterbench.datasets._emotion import emotion_dataset

DATASET = emotion_dataset(
    "data/EmoryNLP/test.json",
    "dca452890fb75fd63cbeda9c4b321869d1df52ea4664e5659eae16b2d1bcf73e",
    name="emorynlp",
    title="EmoryNLP",
    licence="Apache-2.0 (of the original data set)",
    citation="Zahiri and Choi 2018, Emotion Detection on TV Show Transcripts, arXiv 1708.04299",
    size=697,
)
