"""Outcomes as battles: who did better than whom on a query, what ratings make of it, and what they say of scores."""

from __future__ import annotations

import numpy as np

from llmrouterbench.table import FloatArray


def results(score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Result (n, m, m) of model i against model j: 1 better, 1/2 equal, 0 worse; and 1 where both were measured.

    >>> won, met = results(np.array([[1.0, 0.0, np.nan]]))
    >>> won[0].tolist(), met[0].tolist()
    ([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    """
    known = np.isfinite(score)
    met = (known[:, :, None] & known[:, None, :] & ~np.eye(score.shape[1], dtype=np.bool_)).astype(np.float64)
    lead = np.nan_to_num(score)[:, :, None] - np.nan_to_num(score)[:, None, :]
    return (0.5 + 0.5 * np.sign(lead)) * met, met


def win_rate(log_odds: FloatArray) -> FloatArray:
    """Expected result (n, m) against the average other model, from strengths (n, m) in natural log odds.

    >>> win_rate(np.array([[np.log(3.0), 0.0]])).round(3).tolist()
    [[0.75, 0.25]]
    """
    lead = log_odds[:, :, None] - log_odds[:, None, :]
    expected = 0.5 * (1.0 + np.tanh(0.5 * lead))
    others = max(log_odds.shape[1] - 1, 1)
    return np.asarray((expected.sum(axis=2) - 0.5) / others if log_odds.shape[1] > 1 else expected[:, :, 0])
