"""Noise on texts: typos, lost characters, case and synonyms, the same for equal seeds and texts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmrouterbench.naming import did_you_mean

KINDS = ("swap", "drop", "case", "synonym")
_WORD = re.compile(r"\w+", re.UNICODE)
_SYNONYM_SETS = (
    ("find", "determine"),
    ("show", "demonstrate"),
    ("write", "compose"),
    ("choose", "select", "pick"),
    ("answer", "respond"),
    ("correct", "right"),
    ("question", "problem"),
    ("following", "subsequent"),
    ("number", "amount"),
    ("big", "large"),
    ("small", "little"),
    ("begin", "start"),
    ("use", "employ"),
    ("make", "create"),
    ("help", "assist"),
    ("main", "chief"),
    ("often", "frequently"),
    ("maybe", "perhaps"),
    ("but", "yet"),
    ("return", "give"),
    ("explain", "describe"),
    ("total", "overall"),
)
SYNONYMS = {word: [other for other in words if other != word] for words in _SYNONYM_SETS for word in words}
"""Own short list of everyday words; a synonym noise touches only these."""


@dataclass(frozen=True)
class Noise:
    """A kind of noise and the share of words that it touches.

    swap     two neighbouring characters of the word change places
    drop     one character of the word is lost
    case     the word changes its case
    synonym  the word is replaced by a synonym, where `SYNONYMS` has one
    """

    kind: str
    rate: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no noise named {self.kind!r}{did_you_mean(self.kind, KINDS)}")
        if not 0.0 <= self.rate <= 1.0:
            raise ValueError(f"the rate of a noise must be from 0 to 1, got {self.rate}")


def noisy_texts(texts: Sequence[str], noise: Noise) -> list[str]:
    """Texts with noise; what happens to a text depends on the text and the seed alone, not on its neighbours.

    >>> noisy_texts(["Choose the right answer."], Noise("synonym", rate=1.0, seed=1))
    ['Select the correct respond.']
    >>> noisy_texts(["abc"], Noise("case", rate=1.0))
    ['ABC']
    """
    return [_noisy(text, noise) for text in texts]


def _noisy(text: str, noise: Noise) -> str:
    digest = hashlib.sha256(f"{noise.kind}\x1f{noise.seed}\x1f{text}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8]))

    def touch(match: re.Match[str]) -> str:
        chance, where = rng.random(2)
        return _changed(match[0], noise.kind, where) if chance < noise.rate else match[0]

    return _WORD.sub(touch, text)


def _changed(word: str, kind: str, where: float) -> str:
    """One word, changed at a place that `where` in [0, 1) picks."""
    if kind == "case":
        return word.lower() if word.isupper() else word.upper()
    if kind == "synonym":
        others = SYNONYMS.get(word.lower(), [word])
        other = others[int(where * len(others))]
        return other.capitalize() if word[0].isupper() and other != word else other
    if len(word) < 2:
        return word
    if kind == "drop":
        at = int(where * len(word))
        return word[:at] + word[at + 1 :]
    at = int(where * (len(word) - 1))
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
