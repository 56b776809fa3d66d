"""Calibration on estimates whose truth is known, and on real outcomes."""

from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from llmrouterbench.embedders.tfidf import TfidfSvd
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.importers import import_outcomes
from llmrouterbench.production.calibration import (
    ScoreMap,
    bill_error,
    choose_cost_method,
    choose_method,
    fit_cost_map,
    fit_map,
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
    assert choose_method(bold, outcome, fold) in ("platt", "isotonic")


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
    with pytest.raises(ValueError, match="fit again"):
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
