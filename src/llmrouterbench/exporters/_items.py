"""The unique prompts of a split with the values, and in the order, of the official adaptors: what all exporters share.

Copies of a prompt become one item: the smallest record index, and of each model the last record. Models are in string
order. Source: facts of the official adaptors of LLMRouterBench (arXiv 2601.07206).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from llmrouterbench.splits import Split
from llmrouterbench.table import PLANES, BoolArray, FloatArray, IntArray, Outcomes, Plane

Embed = Callable[[Sequence[str]], FloatArray]
"""Vectors (n, d) of n texts."""
WRITTEN = tuple(name for name in PLANES if name != "seconds")
"""The planes that the official formats have a place for."""
PARTS: tuple[Literal["train", "test"], ...] = ("train", "test")


@dataclass(frozen=True)
class Items:
    """k items made of the records of q rows.

    rows      (q,) table rows, in the order of the official loader
    item      (q,) item of each
    row       (k,) first row of each item: its dataset, texts and embedding
    index     (k,) smallest record index
    recorded  (k, m) whether the model has a record; without one nothing of it is known
    others    (k, m) score, cost, tokens_in, tokens_out of the last record; NaN where not measured
    """

    rows: IntArray
    item: IntArray
    row: IntArray
    index: IntArray
    recorded: BoolArray
    score: FloatArray
    cost: FloatArray
    tokens_in: FloatArray
    tokens_out: FloatArray

    def __len__(self) -> int:
        return len(self.row)

    def filled(self, plane: Plane) -> FloatArray:
        """A plane (k, m) with 0.0 where nothing was measured: the official formats have no place for "missing"."""
        values: FloatArray = np.nan_to_num(getattr(self, plane), nan=0.0)
        return values

    def tokens(self, plane: Literal["tokens_in", "tokens_out"]) -> IntArray:
        """Tokens (k, m) as whole numbers, 0 where not known."""
        return np.round(self.filled(plane)).astype(np.int64)


@dataclass(frozen=True)
class Job:
    """What an exporter works with.

    outcomes   the models to export only, in string order; `data_hash` is that of the whole table
    folder     where to write
    pair       strong and weak model, for the methods that need one
    """

    method: str
    outcomes: Outcomes
    data_hash: str
    split: Split
    folder: Path
    seed: int
    embedding: FloatArray | None = None
    embed: Embed | None = None
    pair: tuple[str, str] = ("", "")

    @property
    def models(self) -> list[str]:
        """Model ids in string order."""
        return list(self.outcomes.models)

    @property
    def rows(self) -> IntArray:
        """All rows of the split, (n,)."""
        return np.concatenate([self.split.train, self.split.test])

    def items(self, rows: IntArray, key: NDArray[Any] | None = None) -> Items:
        """Items of some rows; rows with the same `key` (n, over the whole table) are one: copies, if not given."""
        ordered = load_order(self.outcomes, rows)
        return collapse(self.outcomes, ordered, (self.outcomes.group if key is None else key)[ordered])

    def parts(self) -> Iterator[tuple[Literal["train", "test"], Items]]:
        """The items of train, then of test."""
        for name in PARTS:
            yield name, self.items(getattr(self.split, name))

    def vectors(self) -> NDArray[np.float32]:
        """Embeddings (n, d) of the queries. Raises ValueError where there are none."""
        if self.embedding is None:
            raise ValueError(f"an export for {self.method!r} needs query embeddings (n, d), got none; give an embedder")
        if self.embedding.ndim != 2 or len(self.embedding) != len(self.outcomes):
            shape = f"(queries, dimensions) with {len(self.outcomes)} queries"
            raise ValueError(f"embedding must be {shape}, got shape {self.embedding.shape}; embed all queries")
        if not np.isfinite(self.embedding).all():
            raise ValueError("embedding must be finite, got NaN or infinity; embed the queries again")
        return self.embedding.astype(np.float32)

    def described(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings (k, d) of texts that are no queries. Raises ValueError where nothing embeds them."""
        if self.embed is None:
            raise ValueError(
                f"an export for {self.method!r} needs an embedder for descriptions of models and datasets, got none;"
                " pass the function that embeds texts as `embed`"
            )
        vectors, width = self.embed(texts), self.vectors().shape[1]
        if vectors.shape != (len(texts), width) or not np.isfinite(vectors).all():
            raise ValueError(
                f"`embed` must give finite vectors ({len(texts)}, {width}) as the queries have, got shape"
                f" {vectors.shape}; use one embedder for both"
            )
        return vectors.astype(np.float32)

    def prompts(self, rows: IntArray) -> list[str]:
        """Prompts of some rows."""
        return list(self.outcomes.queries.prompt.take(rows))

    def datasets(self, rows: IntArray) -> list[str]:
        """Datasets of some rows."""
        names: list[str] = self.outcomes.dataset[rows].tolist()
        return names


@dataclass
class Exported:
    """What an exporter has written.

    number     (n,) what the files call the item of each query of the table; -1 where it was not exported
    numbered   what that number is, in words
    items      items written
    stand_ins  plane -> (cells where 0.0 stands in for what was not measured, cells written)
    facts      what a user of the files must set or know
    """

    number: IntArray
    numbered: str
    items: dict[str, int]
    stand_ins: dict[str, tuple[int, int]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job, numbered: str) -> Exported:
        """Nothing written yet."""
        return cls(np.full(len(job.outcomes), -1, dtype=np.int64), numbered, {})

    def add(self, part: str, items: Items, number: IntArray, planes: Sequence[str]) -> None:
        """Take note of a part whose items (k,) have these numbers in the files, with these planes written."""
        self.number[items.rows] = number[items.item]
        self.items[part] = self.items.get(part, 0) + len(items)
        for plane in planes:
            values = getattr(items, plane)
            missing, written = self.stand_ins.get(plane, (0, 0))
            self.stand_ins[plane] = (missing + int((~np.isfinite(values)).sum()), written + values.size)


def load_order(outcomes: Outcomes, rows: IntArray) -> IntArray:
    """Rows in the order in which the official split hands on their records.

    By dataset, in it by the smallest record index of a prompt (first seen first among equals), copies of a prompt
    together, by subset and index.
    """
    names, index = outcomes.dataset[rows], outcomes.index[rows]
    seen = np.lexsort((rows, index, outcomes.subset[rows], names))
    rows, names, index = rows[seen], names[seen], index[seen]
    place = np.arange(len(rows))
    _, first, copy = np.unique(outcomes.group[rows], return_index=True, return_inverse=True)
    smallest = np.full(len(first), np.iinfo(np.int64).max)
    np.minimum.at(smallest, copy, index)
    return np.asarray(rows[np.lexsort((place, first[copy], smallest[copy], names))], dtype=np.int64)


def collapse(outcomes: Outcomes, rows: IntArray, key: NDArray[Any]) -> Items:
    """One item for each distinct `key` (q,), in the order in which the rows (q,) bring them up."""
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    by_place = np.argsort(first)
    number = np.empty(len(first), dtype=np.int64)
    number[by_place] = np.arange(len(first))
    item = number[inverse]
    planes = {name: getattr(outcomes, name) for name in WRITTEN}
    recorded = np.isfinite(outcomes.seconds[rows])
    for plane in planes.values():
        recorded |= np.isfinite(plane[rows])
    last = np.full((len(first), len(outcomes.models)), -1)
    np.maximum.at(last, item, np.where(recorded, np.arange(len(rows))[:, None], -1))
    at = rows[np.maximum(last, 0)] if len(rows) else last
    columns = np.arange(len(outcomes.models))
    index = np.full(len(first), np.iinfo(np.int64).max)
    np.minimum.at(index, item, outcomes.index[rows])
    return Items(
        rows=rows,
        item=item,
        row=rows[first[by_place]],
        index=index,
        recorded=last >= 0,
        **{name: np.where(last >= 0, plane[at, columns], np.nan) for name, plane in planes.items()},
    )


def by_model(models: Sequence[str], recorded: Sequence[bool], values: Sequence[Any]) -> dict[str, Any]:
    """Values by model: those with a record first, then the filled ones, each in string order.

    >>> by_model(["a", "b", "c"], [True, False, True], [1.0, 0.0, 0.5])
    {'a': 1.0, 'c': 0.5, 'b': 0.0}
    """
    pairs = list(zip(models, recorded, values, strict=True))
    known = {model: value for model, there, value in pairs if there}
    return known | {model: value for model, there, value in pairs if not there}


def write_lines(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    """Write JSON Lines."""
    with path.open("wb") as file:
        file.writelines(orjson.dumps(line) + b"\n" for line in lines)
