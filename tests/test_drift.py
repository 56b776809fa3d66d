"""Drift: found where there is some, not cried where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.production.drift import drift_report, stability_index
from llmrouterbench.table import FloatArray


def normal(n: int, seed: int, shift: float = 0.0) -> FloatArray:
    return np.random.default_rng(seed).normal(shift, 1.0, size=n)


def test_no_alarm_without_drift() -> None:
    alarms = 0
    for seed in range(60):
        then = {name: normal(1000, 10 * seed + i) for i, name in enumerate("abc")}
        now = {name: normal(300, 5000 + 10 * seed + i) for i, name in enumerate("abc")}
        alarms += any(one.verdict != "stable" for one in drift_report(then, now))
    assert alarms <= 3  # the level is 1 % of 60 reports


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "stable"), (0.4, "shifted"), (1.5, "far away")])
def test_a_shift_is_called_by_its_size(shift: float, verdict: str) -> None:
    (found,) = drift_report({"score": normal(5000, 1)}, {"score": normal(2000, 2, shift)})
    assert found.verdict == verdict
    assert found.mean_now - found.mean_then == pytest.approx(shift, abs=0.1)


def test_the_index_by_hand() -> None:
    then = np.repeat(np.arange(2.0), 100)
    expected = (0.5 + 100, 0.5 + 100), (0.5 + 50, 0.5 + 150)
    old, new = (np.array(counts) / sum(counts) for counts in expected)
    by_hand = float(((new - old) * np.log(new / old)).sum())
    found = stability_index(then, np.repeat([0.0, 1.0], [50, 150]))
    assert found == pytest.approx(by_hand, rel=0.05)  # an empty tenth of half a row more


def test_few_values_have_no_verdict_and_unknown_ones_are_left_out() -> None:
    now = np.concatenate([normal(20, 3), np.full(100, np.nan)])
    (found,) = drift_report({"score": normal(100, 1), "gone": normal(5, 2)}, {"score": now})
    assert (found.now, found.verdict) == (20, "too few")
    assert np.isnan(found.psi)


@given(st.integers(0, 10_000), st.integers(30, 200))
def test_the_index_is_never_negative_and_blind_to_order(seed: int, n: int) -> None:
    then, now = normal(200, seed), normal(n, seed + 1)
    index = stability_index(then, now)
    assert index >= 0.0
    assert stability_index(then, now[::-1]) == index
