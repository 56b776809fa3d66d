"""Outcomes made up for tests of fitted routers: three topics told apart by their words, four models."""

from __future__ import annotations

import numpy as np

from llmrouterbench.table import IntArray, Outcomes

MODELS = ("large", "small", "coder", "poet")
SKILL = np.array([[0.9, 0.6, 0.55, 0.2], [0.8, 0.4, 0.95, 0.1], [0.7, 0.5, 0.2, 0.9]])
"""Chance (topic, model) of a right reply."""
USD = np.array([0.010, 0.001, 0.004, 0.004])
SECONDS = np.array([8.0, 1.0, 3.0, 2.0])
_WORDS = (
    "sum number prove integer root equal fraction angle circle prime",
    "python function loop list bug compile class return array stack",
    "poem rhyme moon river verse sonnet love autumn song dream",
)


def texts(n: int, seed: int) -> tuple[list[str], IntArray]:
    """Queries of eight words, and the topic (n,) of each."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, 3, n)
    words = [" ".join(rng.choice(_WORDS[t].split(), 8)) for t in topic.tolist()]
    return [f"{line} item {i}" for i, line in enumerate(words)], topic


def topics(n: int = 600, seed: int = 0, *, priced: bool = True, timed: bool = True) -> Outcomes:
    """Scores 0 or 1 by the topic's chance, costs and seconds around each model's own."""
    text, topic = texts(n, seed)
    rng = np.random.default_rng(seed + 1)
    score = (rng.random((n, 4)) < SKILL[topic]).astype(float)
    spread = rng.uniform(0.5, 1.5, (n, 4))
    return Outcomes.of(
        text,
        MODELS,
        score,
        dataset=[("math", "code", "verse")[t] for t in topic.tolist()],
        cost=USD * spread if priced else None,
        seconds=SECONDS * spread if timed else None,
        simulated=True,
    )
