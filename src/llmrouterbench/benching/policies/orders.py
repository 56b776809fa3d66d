"""Orders in which models are tried: arrays (query, model) of columns, best first."""

from __future__ import annotations

import numpy as np

from llmrouterbench.table import BoolArray, FloatArray, IntArray


def unknown_as_dearest(cost: FloatArray) -> FloatArray:
    """Costs (n, m) with an unknown one at the dearest known one of its query: unpriced is not free.

    >>> unknown_as_dearest(np.array([[1.0, np.nan, 3.0]])).tolist()
    [[1.0, 3.0, 3.0]]
    """
    known = np.isfinite(cost)
    if known.all():
        return cost
    dearest = np.where(known, cost, 0.0).max(axis=1, keepdims=True)
    return np.where(known, cost, dearest)


def best_first(value: FloatArray, name: IntArray) -> IntArray:
    """Models (n, m) by falling value, the first in string order on a tie; `name` (m,) is the rank of each in it.

    >>> best_first(np.array([[0.2, 0.9, 0.9]]), np.array([0, 2, 1])).tolist()
    [[2, 1, 0]]
    """
    by_name = np.argsort(name)
    return np.asarray(by_name[np.argsort(-value[:, by_name], axis=1, kind="stable")], dtype=np.int64)


def in_front(order: IntArray, first: BoolArray) -> IntArray:
    """The same order (n, m) with the models of `first` (n, m) before the others.

    >>> in_front(np.array([[2, 0, 1]]), np.array([[False, True, False]])).tolist()
    [[1, 2, 0]]
    """
    back = np.argsort(~np.take_along_axis(first, order, axis=1), axis=1, kind="stable")
    return np.take_along_axis(order, back, axis=1)


def chosen_first(first: IntArray, then: IntArray, chosen: BoolArray) -> IntArray:
    """The order `first` (n, m) among the chosen models of each query, then the order `then` among the others.

    >>> chosen_first(np.array([[0, 1, 2]]), np.array([[2, 1, 0]]), np.array([[False, True, False]])).tolist()
    [[1, 2, 0]]
    """
    n, m = chosen.shape
    place = np.empty((n, m), dtype=np.int64)
    rows = np.arange(n)[:, None]
    place[rows, then] = np.arange(m) + m
    early = np.empty((n, m), dtype=np.int64)
    early[rows, first] = np.arange(m)
    return np.asarray(np.argsort(np.where(chosen, early, place), axis=1, kind="stable"), dtype=np.int64)


def in_time_first(order: IntArray, seconds: FloatArray, most: float) -> tuple[IntArray, BoolArray]:
    """The order with models that are fast enough first, the others from the fastest on; and which are (n, m).

    A model without a known time is not fast enough: nothing promises that it is.
    """
    fast = seconds <= most
    slow = np.argsort(np.where(np.isfinite(seconds), seconds, np.inf), axis=1, kind="stable")
    return chosen_first(order, slow, fast), fast
