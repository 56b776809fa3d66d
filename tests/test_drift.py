"""Drift: found where there is some, not cried where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.production.drift import RESIDUAL, drift_report, stability_index
from llmrouterbench.table import FloatArray


def normal(n: int, seed: int, shift: float = 0.0) -> FloatArray:
    return np.random.default_rng(seed).normal(shift, 1.0, size=n)


def test_no_alarm_without_drift() -> None:
    alarms = 0
    for seed in range(60):
        then = {name: normal(1000, 10 * seed + i) for i, name in enumerate("abc")}
        now = {name: normal(300, 5000 + 10 * seed + i) for i, name in enumerate("abc")}
        alarms += any(one.verdict != "stable" for one in drift_report(then, now))
    assert alarms <= 3  # the level is 5 % of 60 reports


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


def residuals(rng: np.random.Generator, n: int, drop: float = 0.0) -> FloatArray:
    """Right or wrong minus a calibrated chance of it; `drop` is taken from the chance without anybody's knowing."""
    chance = rng.uniform(0.5, 0.95, n)
    return (rng.random(n) < chance - drop) - chance


@pytest.mark.parametrize("seed", range(3))
def test_a_drop_of_ten_points_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    then, now = {RESIDUAL: residuals(rng, 1000)}, {RESIDUAL: residuals(rng, 1000, drop=0.1)}
    (found,) = drift_report(then, now)
    assert (found.verdict, np.isnan(found.psi)) == ("shifted", True)


def test_another_spread_is_seen() -> None:
    (found,) = drift_report({"score": normal(3000, 1)}, {"score": 2.0 * normal(1000, 2)})
    assert found.verdict != "stable"


@pytest.mark.prove
def test_a_year_of_daily_looks_cries_no_wolf_and_a_drop_is_found() -> None:
    """SIMULATED: 500 years of a growing log without change, looked at every day; and 500 logs with a drop."""
    years = found = 0
    for seed in range(500):
        rng = np.random.default_rng(seed)
        then = {RESIDUAL: residuals(rng, 1000), "expected": normal(1000, 2 * seed)}
        all_now = {RESIDUAL: residuals(rng, 365 * 30), "expected": normal(365 * 30, 2 * seed + 1)}
        looks = ({name: values[: 30 * day] for name, values in all_now.items()} for day in range(1, 366))
        years += any(one.verdict != "stable" for now in looks for one in drift_report(then, now))
        dropped = {RESIDUAL: residuals(rng, 1000, drop=0.1), "expected": normal(1000, 2 * seed + 1)}
        found += drift_report(then, dropped)[0].verdict != "stable"
    assert years <= 0.05 * 500
    assert found >= 0.9 * 500
