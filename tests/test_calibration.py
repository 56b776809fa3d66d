"""Calibration on estimates whose truth is known, and on real outcomes."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from llmrouterbench.embedders.tfidf import TfidfSvd
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.importers import import_outcomes
from llmrouterbench.production import calibration
from llmrouterbench.production.calibration import (
    CostMap,
    ScoreMap,
    bill_error,
    choose_cost_method,
    choose_method,
    fit_cost_map,
    fit_map,
    mean_and_error,
    out_of_fold,
    reliability,
)
from llmrouterbench.routers import make_router
from llmrouterbench.splits import validation_split
from llmrouterbench.table import FloatArray, IntArray, Outcomes
from llmrouterbench.worth import folds_of

ROUTERBENCH = Path(__file__).resolve().parents[2] / "shared" / "data" / "routerbench" / "routerbench_zs"


def drawn(truth: FloatArray, seed: int = 0) -> FloatArray:
    return (np.random.default_rng(seed).random(truth.shape) < truth).astype(float)


def case(n: int = 800) -> tuple[FloatArray, IntArray]:
    """True chances (n, 2) and folds (n,)."""
    return np.random.default_rng(1).uniform(0.02, 0.98, (n, 2)), np.arange(n) % 5


def test_true_chances_are_left_alone() -> None:
    truth, fold = case()
    outcome = drawn(truth)
    assert choose_method(truth, outcome, fold) == "none"
    assert (out_of_fold(None, truth, outcome, fold) == truth).mean() > 0.75  # one fold may think otherwise


def test_platt_finds_the_line_on_the_log_odds() -> None:
    truth, fold = case(4000)
    odds = 2.5 * np.log(truth / (1 - truth)) + 1.0
    bold = 1 / (1 + np.exp(-odds))
    outcome = drawn(truth)
    made = fit_map("platt", bold, outcome)
    inside = (bold > 0.01) & (bold < 0.99)
    assert abs(made(bold) - truth)[inside].max() < 0.06
    assert choose_method(bold, outcome, fold) == "platt"


def test_isotonic_finds_a_bend_that_no_line_can() -> None:
    truth, fold = case(4000)
    estimate = np.where(truth < 0.5, 0.2 * truth, 0.1 + 1.8 * (truth - 0.5))
    flat = np.where(truth < 0.7, 0.3, truth)
    outcome = drawn(flat)
    assert choose_method(estimate, outcome, fold) == "isotonic"
    assert abs(fit_map("isotonic", estimate, outcome)(estimate) - flat).mean() < 0.03


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_maps_are_monotone_in_the_unit_interval_even_where_the_router_is_wrong(method: str) -> None:
    truth, _ = case()
    made = fit_map(method, 1.0 - truth, drawn(truth))  # the higher the estimate the worse the outcome
    steps = made(np.repeat(np.linspace(-1, 2, 50)[:, None], 2, axis=1))
    assert (np.diff(steps, axis=0) >= 0).all()
    assert ((steps >= 0) & (steps <= 1)).all()


def test_estimates_that_are_no_chances_are_calibrated_too() -> None:
    truth, fold = case(2000)
    outcome = drawn(truth)
    after = out_of_fold(None, 10 * truth - 5, outcome, fold)
    assert reliability(after, outcome).error < 0.05
    assert reliability(np.clip(10 * truth - 5, 0, 1), outcome).error > 0.2


def test_holes_fractions_and_constants_do_not_stop_it() -> None:
    truth, fold = case(200)
    outcome = np.round(truth, 1)
    outcome[::3, 0] = np.nan
    outcome[:, 1] = np.nan
    for method in ("none", "platt", "isotonic"):
        made = fit_map(method, truth, outcome)
        assert made.method[1] == "none"
        assert np.isfinite(made(truth)).all()
    for value in (0.0, 1.0):
        constant = np.full((100, 1), value)
        after = out_of_fold(None, np.full((100, 1), 0.5), constant, fold[:100])
        assert abs(after - value).max() < 0.02
    assert np.isnan(reliability(truth, np.full_like(truth, np.nan)).error)


def test_a_joined_map_treats_its_models_as_before() -> None:
    truth, _ = case()
    first, second = fit_map("platt", truth, drawn(truth)), fit_map("isotonic", truth, drawn(truth, 3))
    both = first.joined(second)
    assert isinstance(both, ScoreMap)
    assert (both(np.hstack([truth, truth])) == np.hstack([first(truth), second(truth)])).all()
    with pytest.raises(ValueError, match="^maps to be joined must read the estimate alike; fit again$"):
        first.joined(fit_map("platt", truth * 3, drawn(truth)))


def test_a_cost_factor_rights_the_bill_and_noise_gets_none() -> None:
    rng = np.random.default_rng(0)
    cost = rng.uniform(1.0, 3.0, (500, 2))
    fold = np.arange(500) % 5
    method, before, after = choose_cost_method(cost / 2.0, cost, fold)
    assert method == "factor"
    assert before == pytest.approx(0.5)
    assert after < 1e-9
    made = fit_cost_map(cost / 2.0, cost, np.array([7.0, np.nan]))
    assert bill_error(made(cost / 2.0), cost) < 1e-12
    assert made(np.full((1, 2), np.nan))[0].tolist() == pytest.approx([7.0, np.nan], nan_ok=True)
    assert choose_cost_method(cost, cost, fold) == ("none", 0.0, 0.0)
    unknown = np.full_like(cost, np.nan)
    assert np.isnan(choose_cost_method(unknown, unknown, fold)[1])


def test_estimates_beyond_the_unit_interval_are_judged_as_they_will_be_served() -> None:
    truth, fold = case(200)
    outcome = drawn(truth)
    assert choose_method(np.where(outcome > 0, 3.0, -2.0), outcome, fold) == "none"  # clipped, they are right


def smoothed(outcome: FloatArray) -> FloatArray:
    """Platt's targets (n,)."""
    good, bad = outcome.sum(), (1 - outcome).sum()
    return np.asarray(outcome * (good + 1) / (good + 2) + (1 - outcome) / (bad + 2))


def test_platt_is_the_maximum_of_its_likelihood() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(2.0, 3.0, 60)
    outcome = (rng.random(60) < 1 / (1 + np.exp(1.0 - x))).astype(float)
    target = smoothed(outcome)

    def loss(line: FloatArray) -> float:
        odds = line[0] * x + line[1]
        fit = target * np.logaddexp(0, -odds) + (1 - target) * np.logaddexp(0, odds)
        return float(fit.sum() + (line[0] * x.std()) ** 2 / 2e3)

    best = minimize(loss, np.zeros(2), method="BFGS").x
    made = fit_map("platt", x[:, None], outcome[:, None])
    assert not made.log_odds
    assert (made.slope[0], made.intercept[0]) == pytest.approx(tuple(best), rel=5e-3)
    assert made(np.array([[1.0]]))[0, 0] == pytest.approx(1 / (1 + np.exp(-best[0] - best[1])), rel=5e-3)


def test_platt_does_not_mind_the_unit_of_the_estimates() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(2.0, 3.0, (60, 1))
    outcome = (rng.random((60, 1)) < 1 / (1 + np.exp(1.0 - x))).astype(float)
    wide, narrow = fit_map("platt", x, outcome), fit_map("platt", x / 100, outcome)
    assert narrow.slope == pytest.approx(100 * wide.slope, rel=1e-3)
    assert narrow(x / 100) == pytest.approx(wide(x), abs=1e-4)


def test_without_a_map_estimates_are_kept_in_the_unit_interval() -> None:
    beyond = np.array([[-1.0], [0.25], [3.0]])
    assert fit_map("none", beyond, beyond)(beyond).tolist() == [[0.0], [0.25], [1.0]]


@pytest.mark.parametrize("x", [-np.arange(30.0), np.full(30, 0.7), np.full(30, 0.7) + 1e-12 * np.arange(30)])
def test_where_no_rising_line_fits_platt_says_the_mean(x: FloatArray) -> None:
    outcome = (np.arange(30) % 5 > 0).astype(float)
    outcome[-6:] = 1.0
    made = fit_map("platt", x[:, None], outcome[:, None])
    assert made.slope[0] == 0.0
    assert made(x[:, None])[:, 0] == pytest.approx(np.full(30, smoothed(outcome).mean()))


def test_chances_are_read_as_log_odds_and_other_numbers_are_not() -> None:
    outcome = np.arange(30.0)[:, None] % 2
    chance = np.linspace(0.0, 1.0, 30)[:, None]
    assert fit_map("platt", chance, outcome).log_odds
    assert not fit_map("platt", chance + 0.01, outcome).log_odds
    assert not fit_map("platt", chance - 0.01, outcome).log_odds
    assert not fit_map("platt", chance, outcome, log_odds=False).log_odds


def test_a_model_with_few_outcomes_keeps_its_estimates() -> None:
    score = np.linspace(0.1, 0.9, 50)[:, None]
    outcome = (score > 0.4).astype(float)
    enough = fewest()
    for count, method in ((enough - 1, "none"), (enough, "platt")):
        some = np.where(np.arange(50)[:, None] < count, outcome, np.nan)
        assert fit_map("platt", score, some).method == (method,)


def fewest() -> int:
    return calibration._FEWEST


def test_each_fold_is_calibrated_by_the_others() -> None:
    truth, fold = case(400)
    outcome = drawn(truth)
    estimate = truth**2
    found = out_of_fold("isotonic", estimate, outcome, fold)
    for one in range(5):
        held = fold == one
        made = fit_map("isotonic", estimate[~held], outcome[~held])
        np.testing.assert_array_equal(found[held], made(estimate[held]))
    alone = np.zeros(400, dtype=np.int64)
    np.testing.assert_array_equal(
        out_of_fold("isotonic", estimate * 2 - 0.5, outcome, alone), np.clip(estimate * 2 - 0.5, 0, 1)
    )


def test_mean_and_its_error_by_hand() -> None:
    assert mean_and_error(np.array([1.0, 3.0, np.nan])) == (2.0, 1.0)
    assert mean_and_error(np.array([1.0, 1.0, 4.0, 4.0])) == pytest.approx((2.5, np.sqrt(3.0) / 2))
    assert np.isnan(mean_and_error(np.array([1.0, np.nan]))).tolist() == [True, True]


def test_reliability_by_hand() -> None:
    """Two models: one always says 0.25 and is right of 1 in 2; one says 0.65, measured once and right."""
    chance = np.array([[0.25, 0.65], [0.25, 0.65]])
    outcome = np.array([[1.0, 1.0], [0.0, np.nan]])
    found = reliability(chance, outcome)
    assert found.model_error == pytest.approx((0.25 + 0.35) / 2)
    assert found.error == pytest.approx((2 * 0.25 + 1 * 0.35) / 3)
    assert found.brier == pytest.approx((0.75**2 + 0.25**2 + 0.35**2) / 3)
    one = reliability(chance, np.array([[1.0, np.nan], [0.0, np.nan]]))  # a model without outcomes counts for nothing
    assert one.model_error == pytest.approx(0.25)
    nothing = reliability(chance, np.full((2, 2), np.nan))
    assert np.isnan([nothing.error, nothing.model_error, nothing.brier]).all()


def test_bills_by_hand() -> None:
    """Only cells where both are known count; a model that cost nothing has no bill to be wrong about."""
    estimate = np.array([[0.1, 0.2, 0.3, 0.4], [0.3, np.nan, 0.1, 0.4], [0.5, 0.2, 0.1, 0.0]])
    cost = np.array([[0.2, 0.1, 0.0, np.nan], [0.6, 0.7, 0.0, np.nan], [np.nan, 0.2, 0.0, np.nan]])
    made = fit_cost_map(estimate, cost, np.array([1.0, 2.0, 3.0, 4.0]))
    assert made.factor == pytest.approx([2.0, 0.75, 1.0, 1.0])
    assert made(np.array([[1.0, np.nan, 1.0, 1.0]]))[0] == pytest.approx([2.0, 2.0, 1.0, 1.0])
    assert fit_cost_map(estimate, cost, made.mean, "none").factor.tolist() == [1.0] * 4
    assert bill_error(estimate, cost) == pytest.approx((0.5 + 1 / 3) / 2)
    assert np.isnan(bill_error(estimate[:, 2:], cost[:, 2:]))
    free = fit_cost_map(np.zeros((2, 1)), np.ones((2, 1)), np.array([np.nan]))  # nothing expected, something paid
    assert free.factor.tolist() == [1.0]


def test_a_joined_cost_map_treats_its_models_as_before() -> None:
    first = CostMap(np.array([2.0]), np.array([1.5]))
    both = first.joined(CostMap(np.array([3.0, 4.0]), np.array([5.0, 6.0])))
    assert both.factor.tolist() == [2.0, 3.0, 4.0]
    assert both(np.array([[1.0, np.nan, 1.0]])).tolist() == [[2.0, 5.0, 4.0]]
    assert both(np.array([[np.nan, 1.0, np.nan]])).tolist() == [[1.5, 3.0, 6.0]]


def test_the_errors_of_bills_are_of_folds_that_the_factor_did_not_see() -> None:
    estimate, fold = np.ones((4, 1)), np.array([0, 0, 1, 1])
    for paid, chosen, plain, scaled in (
        ([1.0, 4.0], "none", (0.0 + 0.75) / 2, (0.0 + 0.75) / 2),  # 4 for 1 and 1/4 of 4: worse
        ([2.0, 4.0], "none", (0.5 + 0.75) / 2, (0.5 + 0.75) / 2),  # 4 for 2 and 2 for 4: 1 and 1/2 off
        ([3.0, 4.0], "factor", (2 / 3 + 3 / 4) / 2, (1 / 3 + 1 / 4) / 2),
    ):
        method, *errors = choose_cost_method(estimate, np.repeat(paid, 2)[:, None], fold)
        assert method == chosen
        assert errors == pytest.approx([plain, scaled])


@pytest.mark.slow
@pytest.mark.skipif(not ROUTERBENCH.is_dir(), reason="the real outcomes of ../shared/data are not here")
def test_on_real_outcomes_the_error_falls_where_it_is_large_and_does_not_rise_where_it_is_small(
    tmp_path: Path,
) -> None:
    import_outcomes(ROUTERBENCH, tmp_path / "real", replies=False)
    outcomes = Outcomes.load(tmp_path / "real")
    rows, held = validation_split(outcomes, np.arange(len(outcomes)), 42)
    embedder = TfidfSvd(dimensions=48, max_features=4000)
    with threadpool_limits(limits=1):
        embedded = outcomes.with_embedding(embed_queries(outcomes, embedder, rows)[0])
    piece = embedded.take(held)
    fold = folds_of(piece, 5, 42)
    for router, large in ((make_router("knn", k=5), True), (make_router("linear"), False)):
        score = router.fit(embedded.take(rows)).predict(piece.queries).score
        after = out_of_fold(None, score, piece.score, fold)
        was, now = reliability(score, piece.score), reliability(after, piece.score)
        assert now.brier <= was.brier + 1e-3
        assert now.error < was.error / 3 if large else now.error <= was.error + 0.01
        for before_map, after_map in zip(score.T, fit_map("platt", score, piece.score)(score).T, strict=True):
            assert (np.diff(after_map[np.argsort(before_map, kind="stable")]) >= -1e-12).all()
