"""Which texts a page may show, and where they come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from llmrouterbench.benching.folder import Runs
from llmrouterbench.datasets import DATASETS, dataset, dataset_names
from llmrouterbench.store import read_outcomes
from llmrouterbench.table import Outcomes


@dataclass(frozen=True)
class Texts:
    """The text of every query of some outcomes, or no text and the reason."""

    of: Sequence[str] | None
    why: str = ""


LEFT_OUT = Texts(None, "Query texts were left out on request.")
NOT_THERE = Texts(
    None,
    "Runs hold no query texts; give the folder of outcomes that they were made from, `llmrouterbench report --data"
    " FOLDER`, to see them here.",
)


def may_show(name: str, outcomes: Outcomes) -> bool:
    """Whether items of a dataset may be shown: its file says no, or it is called after one that is masked.

    >>> table = replace(Outcomes.of(["q"], ["m"], [[1.0]]), source={"not_shown": ["my exam"]})
    >>> [may_show(name, table) for name in ("aime", "gpqa", "GPQA_diamond", "my own", "my exam")]
    [True, False, False, True, False]
    """
    if name in outcomes.source.get("not_shown", ()) or not _shown(name):
        return False
    words = re.split(r"[^a-z0-9]+", name.casefold())
    return not _masked_names().intersection(words)


def _shown(name: str) -> bool:
    """What the dataset of a name says; no where it is a plug-in that is broken."""
    try:
        return name not in dataset_names() or dataset(name).shown
    except ImportError:
        return False


@cache
def _masked_names() -> frozenset[str]:
    return frozenset(name for name in DATASETS if not dataset(name).shown)


def texts_of(runs: Runs, folder: Path, data: str | Path | None = None) -> Texts:
    """The texts of the outcomes behind some runs.

    `folder` is the folder of runs; `data` a folder of outcomes, that which the bench read when not given. Raises
    FileNotFoundError or ValueError where `data` is given and is not what the runs were made from.
    """
    if data is not None:
        texts = _matching(runs, Path(data))
        if texts is None:
            raise ValueError(
                f"{data} must hold the outcomes that the runs were made from, got other ones; give that folder"
            )
        return Texts(texts)
    noted = runs.made.data
    place = folder / noted if noted else None
    if place is None or not (place / "texts.parquet").is_file():
        return NOT_THERE
    try:
        texts = _matching(runs, place)
    except (FileNotFoundError, ValueError):  # the folder was damaged or changed since; the numbers do not need it
        texts = None
    return NOT_THERE if texts is None else Texts(texts)


def _matching(runs: Runs, place: Path) -> Sequence[str] | None:
    """The texts of a stored folder in the order of the runs' outcomes; None where it holds other data."""
    stored, mine = read_outcomes(place), runs.outcomes
    at = {name: row for row, name in enumerate(stored.queries.id.tolist())}
    rows = [at.get(name, -1) for name in mine.queries.id.tolist()]
    if -1 in rows or not set(mine.models) <= set(stored.models):
        return None
    part = replace(stored.select(mine.models).take(np.array(rows, dtype=np.int64)), outside=mine.outside)
    return part.queries.text if part.content_hash == mine.content_hash else None
