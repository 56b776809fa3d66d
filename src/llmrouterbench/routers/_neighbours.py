"""The training queries most similar to a query, and means over them: what the nearest-neighbour routers share.

Similarities and sums are float32: ten times faster, and exact for scores of 0, 1/2 and 1. Among more training queries
than `WHOLE` only those of the cells about a query are compared with it: all would take a time that grows with the
square.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmrouterbench.metrics import known_mean
from llmrouterbench.table import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Single = NDArray[np.float32]
_BLOCK = 128
_SAME = 1e-6
WHOLE, COMPARED = 50_000, 10_000
"""Training queries up to which a query is compared with all of them, and with how many it is at least where there are
more."""
_CELLS, _SAMPLE, _STEPS = 512, 20_000, 2
"""Cells, the training queries that their centres are made from, and how often these move to the mean of their cell."""


@dataclass(frozen=True)
class Cells:
    """Many training queries by the cell that they lie in.

    centre  (c, d) unit vectors
    row     (n,) training rows, cell by cell
    start   (c + 1,) those of cell i are `row[start[i]:start[i + 1]]`
    """

    centre: Single
    row: IntArray
    start: IntArray

    @classmethod
    def of(cls, training: Single) -> Cells | None:
        """Cells of unit rows (n, d); None where all can be compared."""
        if len(training) <= WHOLE:
            return None
        some = training[np.random.default_rng(0).choice(len(training), _SAMPLE, replace=False)]
        centre = some[:_CELLS]
        for _ in range(_STEPS):
            total = _sums(some, _nearest(some, centre))
            length = np.linalg.norm(total, axis=1, keepdims=True)
            centre = np.where(length > _SAME, total / np.maximum(length, _SAME), centre)
        cell = _nearest(training, centre)
        row = np.argsort(cell, kind="stable")
        return cls(centre, row, np.searchsorted(cell[row], np.arange(_CELLS + 1)))

    def about(self, cell: int, least: int) -> IntArray:
        """Training rows, in order, of this cell and of those next to it until there are so many."""
        order = np.argsort(-(self.centre @ self.centre[cell]), kind="stable")
        enough = np.searchsorted(np.cumsum(np.diff(self.start)[order]), least) + 1
        parts = [self.row[self.start[one] : self.start[one + 1]] for one in order[:enough].tolist()]
        return np.sort(np.concatenate(parts))


def _nearest(rows: Single, centre: Single) -> IntArray:
    """Centre (n,) with the highest cosine to each row."""
    blocks = [(rows[i : i + 1024] @ centre.T).argmax(axis=1) for i in range(0, len(rows), 1024)]
    return np.concatenate([np.zeros(0, np.int64), *blocks])


def _sums(rows: Single, cell: IntArray) -> Single:
    """Sum (c, d) of the rows of each cell."""
    total = np.zeros((_CELLS, rows.shape[1]), dtype=np.float32)
    np.add.at(total, cell, rows)
    return total


@dataclass(frozen=True)
class Plane:
    """Values of n training queries and m models, ready to be summed over any set of rows.

    filled   (n, m) the values, 0 where not measured
    known    (n, m) 1 where measured, else 0
    never    what stands in where no neighbour was measured: there is no evidence, and a mean would invent some; (m,)
             where models have joined, which stand at the mean of their probes: few are near a query, and none is no
             evidence against a model
    """

    filled: Single
    known: Single
    never: float | FloatArray

    @classmethod
    def of(cls, values: FloatArray, never: float) -> Plane:
        """From values with NaN."""
        known = np.isfinite(values)
        return cls(
            np.where(known, values, 0.0).astype(np.float32),
            known.astype(np.float32),
            never,
        )

    def values(self) -> FloatArray:
        """The values (n, m) again, NaN where not measured."""
        return np.where(self.known > 0, self.filled.astype(np.float64), np.nan)

    def mean(self, near: csr_array) -> FloatArray:
        """Mean (q, m) over the rows that `near` (q, n) marks with 1."""
        count = self.count(near)
        return np.where(count > 0, (near @ self.filled).astype(np.float64) / np.maximum(count, 1.0), self.never)

    def count(self, near: csr_array) -> FloatArray:
        """Number (q, m) of marked rows on which a model was measured."""
        return (near @ self.known).astype(np.float64)


def near_rows(
    training: Single, embedding: NDArray[Any], sizes: Sequence[int], cells: Cells | None = None
) -> Iterator[tuple[slice | IntArray, list[csr_array]]]:
    """Blocks of queries, and for each k of `sizes` a sparse matrix (block, n) with 1 for the k nearest training rows.

    Rows as similar as the k-th are in as well, so that no decision hangs on the order of the training rows.
    A k beyond the training set means all of it. With cells they are the nearest of the cells about the query, which
    hold at least ten times as many.
    """
    if cells is None:
        yield from _near(training, embedding, sizes)
        return
    mine, least = _nearest(embedding.astype(np.float32), cells.centre), max(COMPARED, 10 * max(sizes))
    for cell in np.unique(mine).tolist():
        queries, rows = np.flatnonzero(mine == cell), cells.about(cell, least)
        for block, marked in _near(training[rows], embedding[queries], sizes):
            yield queries[block], [_spread(one, rows, len(training)) for one in marked]


def _near(training: Single, embedding: NDArray[Any], sizes: Sequence[int]) -> Iterator[tuple[slice, list[csr_array]]]:
    """`near_rows` among all of the training rows."""
    n = len(training)
    place = [n - min(k, n) for k in sizes]
    memory = np.empty((2, min(_BLOCK, len(embedding)), n), dtype=np.float32)
    for start in range(0, len(embedding), _BLOCK):
        block = slice(start, start + _BLOCK)
        single = embedding[block].astype(np.float32)
        similarity, in_order = memory[:, : len(single)]
        np.matmul(single, training.T, out=similarity)
        in_order[:] = similarity
        in_order.partition(sorted(set(place)), axis=1)
        yield block, [_marked(similarity >= in_order[:, [at]]) for at in place]


def _spread(marked: csr_array, rows: IntArray, n: int) -> csr_array:
    """Marks of some rows as marks of all n."""
    from scipy.sparse import csr_array

    return csr_array((marked.data, rows[marked.indices].astype(np.int32), marked.indptr), shape=(marked.shape[0], n))


def _marked(mask: BoolArray) -> csr_array:
    """Sparse (q, n), 1 where true."""
    from scipy.sparse import csr_array

    rows, n = mask.shape
    at = np.flatnonzero(mask)
    starts = np.arange(rows + 1) * n
    until = np.searchsorted(at, starts)
    column = (at - np.repeat(starts[:-1], np.diff(until))).astype(np.int32)
    return csr_array((np.ones(len(at), dtype=np.float32), column, until.astype(np.int32)), shape=mask.shape)


def with_model(
    training: Single, planes: Sequence[Plane], probes: FloatArray, columns: Sequence[FloatArray]
) -> tuple[Single, list[Plane]]:
    """Training rows and planes with one more model, measured on probe queries (p, d): one column (p,) a plane.

    A probe that is a training query fills that row; others become rows on which no other model was measured.
    """
    single = probes.astype(np.float32)
    similarity = single @ training.T
    row = similarity.argmax(axis=1)
    fresh = similarity[np.arange(len(row)), row] < 1.0 - _SAME
    row[fresh] = len(training) + np.arange(int(fresh.sum()))
    grown = []
    for plane, column in zip(planes, columns, strict=True):
        known = np.pad(plane.known, ((0, int(fresh.sum())), (0, 1)))
        filled = np.pad(plane.filled, ((0, int(fresh.sum())), (0, 1)))
        known[row, -1] = np.isfinite(column)
        filled[row, -1] = np.where(np.isfinite(column), column, 0.0)
        never = np.broadcast_to(plane.never, plane.known.shape[1])
        grown.append(Plane(filled, known, np.append(never, known_mean(column))))
    return np.concatenate([training, single[fresh]]), grown
