"""A router that reads replies before it decides: what it asks and serves where the replies are stored."""

from __future__ import annotations

import numpy as np

from llmrouterbench.benching.policies.policy import with_asked
from llmrouterbench.contracts import AsksAtOnce
from llmrouterbench.table import FloatArray, IntArray, Outcomes, Queries, Replies


def choices(reader: AsksAtOnce, queries: Queries, replies: Replies, settings: FloatArray) -> IntArray:
    """Model (w, n) that serves at each setting of the dial; one whose reply is not stored gave none."""
    every = (at(reader, setting) for setting in settings.tolist())
    return np.array([one.chosen(queries, replies) for one in every], dtype=np.int64)


def served(
    reader: AsksAtOnce, judge: Outcomes, replies: Replies, settings: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Score of what serves and USD of all calls (w, n) at each setting of the dial; NaN not measured."""
    rows, chosen = np.arange(len(judge)), choices(reader, judge.queries, replies, settings)
    asked = [at(reader, setting).asks(judge.queries) for setting in settings.tolist()]
    bill = [with_asked(judge.cost, some)[rows, choice] for some, choice in zip(asked, chosen, strict=True)]
    return judge.score[rows, chosen], np.array(bill)


def at(reader: AsksAtOnce, setting: float) -> AsksAtOnce:
    """A router that reads replies, at one setting of its dial."""
    moved = reader.at(setting)
    assert isinstance(moved, AsksAtOnce)
    return moved
