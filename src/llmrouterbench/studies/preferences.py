"""What battles say of models: Bradley-Terry strengths, by task.

Model i is preferred to j with probability 1 / (1 + exp(t_j - t_i)); a tie is half a win of each. The strengths are
those of maximum likelihood (Bradley and Terry 1952). They exist for models that are linked both ways, by wins and by
losses or ties (Ford 1957): one that won or lost every battle is stronger or weaker than any number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from llmrouterbench.importers.battles import Battles
from llmrouterbench.stats import UNKNOWN_NUMBER, Interval
from llmrouterbench.table import BoolArray, FloatArray, IntArray

ELO = 400.0 / np.log(10.0)
"""Points of Elo in a natural log odds."""
_Z = 1.959964
_STEPS, _LONGEST, _CLOSE = 200, 2.0, 1e-10


@dataclass(frozen=True)
class Strength:
    """What is known of one model; `elo` is 0 for the mean of the models that are linked, with 95 % intervals."""

    model: str
    elo: Interval
    battles: int
    won: int
    tied: int


@dataclass(frozen=True)
class Preferences:
    """Strengths by the battles of one task, the strongest first; task "" is all battles together."""

    task: str
    battles: int
    tied: int
    both_bad: int
    strengths: tuple[Strength, ...]


def preferences(battles: Battles) -> list[Preferences]:
    """Strengths by all battles, then by those of each task, the largest first."""
    tasks = np.array(battles.task)
    names, counted = np.unique(tasks, return_counts=True)
    several = [str(name) for name in names[np.argsort(-counted, kind="stable")]] if len(names) > 1 else []
    everything = np.ones(len(tasks), dtype=np.bool_)
    return [_of(battles, "", everything), *(_of(battles, name or "-", tasks == name) for name in several)]


def _of(battles: Battles, task: str, here: BoolArray) -> Preferences:
    first, second, result = battles.first[here], battles.second[here], battles.result[here]
    m = len(battles.models)
    value, error = bradley_terry(first, second, result, battles.query[here], m)
    tied = result == 0.5
    fought = np.bincount(first, minlength=m) + np.bincount(second, minlength=m)
    won = np.bincount(first[result == 1], minlength=m) + np.bincount(second[result == 0], minlength=m)
    ties = np.bincount(first[tied], minlength=m) + np.bincount(second[tied], minlength=m)
    found = [
        Strength(battles.models[j], _interval(value[j], error[j]), int(fought[j]), int(won[j]), int(ties[j]))
        for j in np.lexsort((-fought, -np.nan_to_num(value, nan=-np.inf)))
        if fought[j]
    ]
    return Preferences(task, len(first), int(tied.sum()), int(battles.bad[here].sum()), tuple(found))


def _interval(value: float, error: float) -> Interval:
    if not np.isfinite(value):
        return UNKNOWN_NUMBER
    return Interval(*(float(ELO * (value + times * error)) for times in (0.0, -_Z, _Z)))


def bradley_terry(
    first: IntArray, second: IntArray, result: FloatArray, query: IntArray, models: int
) -> tuple[FloatArray, FloatArray]:
    """Strengths (m,) in natural log odds, with mean 0, and their standard errors; NaN for models that are not linked.

    The errors hold whatever the battles of one query have in common, and where the model is wrong (Huber's sandwich).

    >>> value, _ = bradley_terry(np.array([0, 0, 1]), np.array([1, 1, 0]), np.ones(3), np.arange(3), 2)
    >>> (value[0] - value[1]).round(6) == np.log(2.0).round(6)
    np.True_
    """
    linked = _linked(first, second, result, models)
    inside = linked[first] & linked[second]
    value, error = np.full((2, models), np.nan)
    if not inside.any():
        return value, error
    place = np.cumsum(linked) - 1
    a, b, won, m = place[first[inside]], place[second[inside]], result[inside], int(linked.sum())
    strength = np.zeros(m)
    for _ in range(_STEPS):
        expected = expit(strength[a] - strength[b])
        surprise = won - expected
        slope = np.bincount(a, surprise, m) - np.bincount(b, surprise, m)
        inverse = np.linalg.pinv(_information(a, b, expected * (1.0 - expected), m), hermitian=True)
        step = inverse @ slope
        strength += step * min(1.0, _LONGEST / max(float(np.abs(step).max()), _CLOSE))
        if np.abs(step).max() < _CLOSE:
            break
    _, group = np.unique(query[inside], return_inverse=True)
    rows, groups = np.r_[group, group], int(group.max()) + 1
    scores = csr_array((np.r_[surprise, -surprise], (rows, np.r_[a, b])), shape=(groups, m))
    spread = inverse @ (scores.T @ scores).toarray() @ inverse * groups / max(groups - 1, 1)
    value[linked], error[linked] = strength - strength.mean(), np.sqrt(np.diag(spread))
    return value, error


def _linked(first: IntArray, second: IntArray, result: FloatArray, models: int) -> BoolArray:
    """Whether (m,) a model is in the largest group whose members all are linked by wins and by losses."""
    above = np.r_[first[result > 0], second[result < 1]]
    below = np.r_[second[result > 0], first[result < 1]]
    graph = csr_array((np.ones(len(above)), (above, below)), shape=(models, models))
    _, group = connected_components(graph, directed=True, connection="strong")
    size = np.bincount(group)
    largest = group == size.argmax()
    return largest if size.max() > 1 else np.zeros(models, dtype=np.bool_)


def _information(a: IntArray, b: IntArray, weight: FloatArray, m: int) -> FloatArray:
    pairs = np.bincount(a * m + b, weight, m * m).reshape(m, m)
    pairs = pairs + pairs.T
    return np.asarray(np.diag(pairs.sum(axis=1)) - pairs)
