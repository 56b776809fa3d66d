"""Off-policy estimates: a worked case, the truth covered on logs whose truth is known, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.production.off_policy import Logged, evaluate_policy
from llmrouterbench.table import FloatArray


def world(n: int, seed: int, explore: float = 0.3) -> tuple[Logged, FloatArray, FloatArray]:
    """Logs of a policy that explores; the true mean score (n, m) of every model; a policy that does better."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(2.0, 2.0, size=(n, 3))
    favourite = rng.integers(0, 3, size=n)
    propensity = np.full((n, 3), explore / 3)
    propensity[np.arange(n), favourite] += 1.0 - explore
    choice = np.array([rng.choice(3, p=row) for row in propensity])
    score = rng.binomial(1, truth[np.arange(n), choice]).astype(float)
    better = np.eye(3)[truth.argmax(axis=1)]
    return Logged(choice, propensity, score), truth, better


def test_a_case_by_hand() -> None:
    log = Logged(np.array([0, 1, 1, 0]), np.array([[0.8, 0.2]] * 4), np.array([1.0, 1.0, 0.0, np.nan]))
    target = np.array([[0.0, 1.0]] * 4)
    found = evaluate_policy(log, target, np.full((4, 2), 0.5), replicates=20)
    assert (found.decisions, found.scored) == (4, 3)
    assert found.ips.value == pytest.approx((0 + 5 + 0) / 3)
    assert found.snips.value == pytest.approx(5 / 10)
    assert found.doubly_robust.value == pytest.approx((0.5 + (0.5 + 5 * 0.5) + (0.5 - 5 * 0.5)) / 3)
    assert found.effective == pytest.approx(10**2 / 50)
    assert found.logged.value == pytest.approx(2 / 3)


def test_intervals_cover_the_truth_and_good_estimates_narrow_them() -> None:
    covered, widths = np.zeros(3), np.zeros(3)
    for seed in range(40):
        log, truth, better = world(1500, seed)
        value = float((better * truth).sum(axis=1).mean())
        found = evaluate_policy(log, better, truth, replicates=200, seed=seed)
        for i, one in enumerate((found.ips, found.snips, found.doubly_robust)):
            covered[i] += one.low <= value <= one.high
            widths[i] += one.high - one.low
    assert (covered >= 34).all()  # of 40; 95 % would be 38
    assert widths[2] < widths[1] < widths[0]


def test_wrong_estimates_do_not_bias_the_doubly_robust_one() -> None:
    gaps = []
    for seed in range(20):
        log, truth, better = world(2000, seed)
        found = evaluate_policy(log, better, 1.0 - truth, replicates=2, seed=seed)
        gaps.append(found.doubly_robust.value - float((better * truth).sum(axis=1).mean()))
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(20) + 1e-9


@given(st.integers(0, 1000), st.integers(5, 40))
def test_the_logging_policy_itself_has_weights_of_one(seed: int, n: int) -> None:
    log, truth, _ = world(n, seed)
    found = evaluate_policy(log, log.propensity, truth, replicates=5)
    assert found.ips.value == pytest.approx(found.logged.value)
    assert found.snips.value == pytest.approx(found.logged.value)
    assert found.effective == pytest.approx(n)
    assert found.unsupported == 0.0


def test_a_model_that_was_never_served_is_said_to_be_unsupported() -> None:
    log = Logged(np.zeros(10, dtype=np.int64), np.tile([1.0, 0.0], (10, 1)), np.ones(10))
    found = evaluate_policy(log, np.tile([0.25, 0.75], (10, 1)), np.full((10, 2), 0.5))
    assert found.unsupported == 0.75
    assert found.snips.value == pytest.approx(1.0)  # of weights that add up to 2.5
    rare = evaluate_policy(log, np.tile([0.05, 0.95], (10, 1)), np.full((10, 2), 0.5))
    assert rare.snips.value == pytest.approx(1.0)  # to 0.5
    nothing = evaluate_policy(log, np.tile([0.0, 1.0], (10, 1)), np.full((10, 2), 0.5))
    assert np.isnan(nothing.snips.value)


def test_intervals_are_those_of_decisions_drawn_again() -> None:
    """The same draws, counted out row by row."""
    log, truth, better = world(30, 5)
    score = log.score.copy()
    score[::4] = np.nan
    estimate = truth.copy()
    estimate[1] = np.nan  # the mean feedback stands in
    found = evaluate_policy(Logged(log.choice, log.propensity, score), better, estimate, replicates=50, seed=9)
    kept = np.flatnonzero(np.isfinite(score))
    n = len(kept)
    rows = np.arange(len(score))
    weight = (better / log.propensity)[rows, log.choice]
    filled = np.where(np.isfinite(estimate), estimate, score[kept].mean())
    direct = (better * filled).sum(axis=1)
    doubly = direct + weight * (score - filled[rows, log.choice])
    counts = np.random.default_rng(9).multinomial(n, np.full(n, 1 / n), size=50)
    again = [np.repeat(kept, row) for row in counts]
    for mine, values in {
        found.logged: [score[one].mean() for one in again],
        found.ips: [(weight * score)[one].mean() for one in again],
        found.snips: [(weight * score)[one].sum() / weight[one].sum() for one in again],
        found.doubly_robust: [doubly[one].mean() for one in again],
    }.items():
        assert [mine.low, mine.high] == pytest.approx(np.percentile(values, [2.5, 97.5]).tolist())
    assert found.effective == pytest.approx(weight[kept].sum() ** 2 / (weight[kept] ** 2).sum())
    assert (found.decisions, found.scored) == (30, n)


def test_a_thousand_draws_from_seed_zero_unless_told() -> None:
    log, truth, better = world(20, 2)
    assert evaluate_policy(log, better, truth) == evaluate_policy(log, better, truth, replicates=1000, seed=0)
    assert (
        evaluate_policy(log, better, truth).to_dict()["ips"]["value"] == evaluate_policy(log, better, truth).ips.value
    )


def test_bad_input_gets_one_sentence() -> None:
    half, ones = np.full((2, 2), 0.5), np.ones(2)
    first = np.zeros(2, dtype=np.int64)
    with pytest.raises(ValueError, match="a value for each of 2 decisions, got 1 and 2"):
        Logged(first[:1], half, ones)
    with pytest.raises(ValueError, match="a column of 2 models, got 5"):
        Logged(first + 5, half, ones)
    with pytest.raises(ValueError, match="a column of 2 models, got 2"):
        Logged(first + 2, half, ones)
    with pytest.raises(
        ValueError, match="^Logged.propensity must add up to 1 for every decision; log it for every model$"
    ):
        Logged(first, half / 2, ones)
    with pytest.raises(ValueError, match="propensity above 0, got 0"):
        Logged(first, np.array([[0.0, 1.0], [0.5, 0.5]]), ones)
    log = Logged(first, half, ones)
    with pytest.raises(ValueError, match=r"= \(2, 2\), got \(1, 2\)"):
        evaluate_policy(log, half[:1], half)
    with pytest.raises(ValueError, match=r"= \(2, 2\), got \(2, 2\) and \(2, 1\)"):
        evaluate_policy(log, half, half[:, :1])
    with pytest.raises(ValueError, match="^target must be probabilities that add up to 1 for every decision$"):
        evaluate_policy(log, half * 1.5, half)
    with pytest.raises(ValueError, match="no decision of 2 has feedback"):
        evaluate_policy(Logged(first, half, ones * np.nan), half, half)
