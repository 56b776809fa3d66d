"""Replies in which no answer could be read, by dataset and model: it is the scorer's fault more often than the model's.

A reply counts where it was scored 0 for want of an answer, an empty one too; judges and harnesses read for themselves.
Flagged is a model that has more of them than the other models of its dataset together: Fisher's exact test of both,
two-sided, at the 5 % level after Holm's correction for all pairs of dataset and model, and at least 2 points more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from llmrouterbench.scoring._outcomes import Part
from llmrouterbench.stats import holm

_EXAMPLES, _LINE = 3, 100
_LEVEL, _MUCH = 0.05, 0.02


def unread(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """A row for every dataset and model that we read: replies, unread, flagged, p (Holm), and up to three examples.

    An example is the item, the reason, and the end of the reply, cut to a line.
    """
    read = [part for part in parts if part.dataset.kind in ("text", "math", "code") and len(part.scores)]
    without = [
        part.scores.filter((pl.col("score") == 0) & (pl.col("answer") == "") & (pl.col("reason") != ""))
        for part in read
    ]
    sizes = np.array(
        [[len(none), part.scores["score"].count() - len(none)] for part, none in zip(read, without, strict=True)]
    )
    rows = []
    for part, none, flag, p in zip(read, without, *_flags([part.dataset.name for part in read], sizes), strict=True):
        examples = [
            f"{item}: {reason}: {_end(part.replies[item].text)}"
            for item, reason in none.select("item", "reason").head(_EXAMPLES).iter_rows()
        ]
        counts = {"replies": part.scores["score"].count(), "unread": len(none), "flagged": flag, "p": p}
        rows.append({"dataset": part.dataset.name, "model": part.model, **counts, "examples": examples})
    return rows


def _flags(datasets: Sequence[str], sizes: np.ndarray[Any, Any]) -> tuple[list[bool], list[float]]:
    """Whether each pair is flagged, and its p-value (1 where a dataset has one model); `sizes` (k, 2): unread, read."""
    from scipy.stats import fisher_exact

    p, more = np.ones(len(datasets)), np.zeros(len(datasets))
    for at, name in enumerate(datasets):
        others = sum((sizes[i] for i, other in enumerate(datasets) if other == name and i != at), np.zeros(2, int))
        if sizes[at].sum() and others.sum():
            p[at] = fisher_exact(np.stack([sizes[at], others]))[1]
            more[at] = sizes[at][0] / sizes[at].sum() - others[0] / others.sum()
    adjusted = holm(p)
    return ((adjusted < _LEVEL) & (more >= _MUCH)).tolist(), adjusted.tolist()


def _end(text: str) -> str:
    """The end of a reply on one line; what cannot be shown is "?"."""
    line = " ".join(text[-1000:].split()).encode("utf-8", "replace").decode()
    return f"... {line[-_LINE:]}" if len(line) > _LINE or len(text) > 1000 else line or "(empty)"
