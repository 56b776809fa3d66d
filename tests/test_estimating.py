"""Pseudo-outcomes and values where the truth is known: by hand, and in worlds drawn again and again (SIMULATED)."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import log_coverage
from benchmarks.log_coverage import LINES, SMOOTH, WORLDS, Found, hard, smooth, worlds

from llmrouterbench.estimating.pseudo import (
    FLOOR,
    Evidence,
    PseudoOutcomes,
    pseudo_outcomes,
    says_propensities,
    usable,
)
from llmrouterbench.estimating.shrinking import believed, shrunk
from llmrouterbench.estimating.values import Value, difference, overturning_odds, value_of
from llmrouterbench.stats import effective_trials, holm
from llmrouterbench.table import Outcomes

NAN = float("nan")
TRUTH, world = SMOOTH, smooth


def values(table: Outcomes) -> tuple[Value, Value]:
    made = pseudo_outcomes(table)
    first, second = (value_of(name, made, np.full(len(table), j)) for j, name in enumerate("ab"))
    return first, second


def test_a_value_by_hand() -> None:
    table = world(0, 300, known=True)
    made = pseudo_outcomes(table)
    assert made.known
    assert table.propensity is not None
    measured = np.isfinite(table.score)
    expected = made.score - made.weight * made.residual
    again = expected + np.where(measured, (np.nan_to_num(table.score) - expected) / table.propensity, 0.0)
    assert np.allclose(made.score, again)
    assert value_of("a", made, np.zeros(300, int)).score.value == pytest.approx(again[:, 0].mean())


def test_values_are_those_of_the_textbook_formulas() -> None:
    """IPS, self-normalised IPS and doubly robust value of a policy, request by request (Dudik, Langford, Li 2011)."""
    table = world(10, 200, known=True)
    made = pseudo_outcomes(table)
    choice = (np.asarray(table.queries.embedding)[:, 1] > 0).astype(int)
    expected = made.score - made.weight * made.residual
    assert table.propensity is not None
    ips = weights = doubly = 0.0
    for i in range(200):
        served = int(np.isfinite(table.score[i, 1]))
        doubly += expected[i, choice[i]]
        if served == choice[i]:
            weight = 1.0 / table.propensity[i, served]
            weights += weight
            ips += weight * table.score[i, served]
            doubly += weight * (table.score[i, served] - expected[i, served])
    found = value_of("by x", made, choice)
    assert found.ips == pytest.approx(ips / 200)
    assert found.snips == pytest.approx(ips / weights)
    assert found.score.value == pytest.approx(doubly / 200)


def test_few_trials_are_drawn_to_the_others_and_many_are_not() -> None:
    value = np.array([0.9, 0.5, 0.5, 0.4, 0.6])
    few, many = (shrunk(value, np.array([one, 1e-4, 1e-4, 1e-4, 1e-4]), 0.01) for one in (0.1, 1e-6))
    assert 0.5 < few[0] < 0.6
    assert many[0] == pytest.approx(0.9, abs=0.01)
    same = shrunk(np.array([0.50, 0.52]), np.full(2, 0.01), 0.01)
    assert 0.0 < same[1] - same[0] < 0.01, "order stays where nothing differs beyond chance"


def test_what_is_believed_is_corrected_by_model_and_by_task() -> None:
    """Of many trials each is the weighted mean of its own; without any it is the expectation."""
    rng = np.random.default_rng(0)
    n, task = 20_000, np.tile(["a", "b"], 10_000)
    truth = np.where(task[:, None] == "a", [0.9, 0.2], [0.3, 0.6])
    served = rng.integers(0, 2, n)[:, None] == np.arange(2)
    expected = np.full((n, 2), 0.5)
    residual = np.where(served, (rng.random((n, 2)) < truth) - expected, 0.0)
    found = believed(expected, 2.0 * served, residual, task)
    for name, chance in (("a", (0.9, 0.2)), ("b", (0.3, 0.6))):
        assert found[task == name].mean(axis=0) == pytest.approx(chance, abs=0.03)
    assert np.array_equal(believed(expected, 0.0 * served, 0.0 * residual, task), expected)


def test_the_luckiest_of_many_models_does_not_serve() -> None:
    """Twelve models of which one is better by 10 points, asked at random: chosen by belief costs less than by means."""
    loss = np.zeros(2)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, task = rng.normal(size=(600, 16)), np.repeat(["a", "b", "c"], 200)
        chance = np.append(np.full(11, 0.7), 0.8)
        score = np.where(np.eye(12)[rng.integers(0, 12, 600)] > 0, rng.random((600, 12)) < chance, NAN)
        known = np.where(np.isfinite(score), 1 / 12, NAN)
        table = Outcomes.of(
            [f"q{i}" for i in range(600)], list("abcdefghijkl"), score, dataset=task.tolist(), embedding=x
        )
        made = pseudo_outcomes(replace(table, propensity=known))
        for j, plane in enumerate((made.teaching().score, made.score)):
            best = [np.nanargmax(np.where(made.supported, plane[task == one].mean(axis=0), NAN)) for one in "abc"]
            loss[j] += 0.8 - chance[best].mean()
    assert loss[0] < 0.9 * loss[1], loss / 20


def test_what_was_always_measured_is_its_own_pseudo_outcome() -> None:
    table = world(0, 60, known=True)
    score = np.random.default_rng(0).random((60, 2))
    made = pseudo_outcomes(replace(table, score=score, propensity=np.ones((60, 2))))
    assert np.allclose(made.score, score)
    assert made.effective.tolist() == [60.0, 60.0]


def test_trials_and_the_floor_of_propensities() -> None:
    assert effective_trials(np.zeros((3, 2))).tolist() == [0.0, 0.0]
    table = world(1, 200, known=True)
    assert table.propensity is not None
    made = pseudo_outcomes(replace(table, propensity=np.full((200, 2), 0.015)))
    assert made.weight.max() == 1 / FLOOR
    assert made.beyond.all()


def test_a_model_of_too_few_trials_is_not_learned() -> None:
    table = world(2, 200, known=False)
    score = table.score.copy()
    score[10:, 1] = NAN
    made = pseudo_outcomes(replace(table, score=score))
    learned = made.teaching()
    assert isinstance(learned, PseudoOutcomes)
    assert np.isnan(learned.score[:, 1]).all()
    found = value_of("b", made, np.ones(200, int))
    assert (found.known, np.isnan(found.cost)) == (False, True)
    assert np.isnan(difference(made, np.ones(200, int), np.zeros(200, int)).value)


def test_all_right_is_not_certain() -> None:
    table = world(3, 300, known=True)
    made = pseudo_outcomes(replace(table, score=np.where(np.isfinite(table.score), 1.0, NAN)))
    found = value_of("a", made, np.zeros(300, int)).score
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.95 < found.low < 0.995
    same = difference(made, np.zeros(300, int), np.zeros(300, int))
    assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)


def test_queries_without_a_score_or_its_propensity_do_not_count() -> None:
    table = world(4, 50, known=True)
    assert table.propensity is not None
    score, propensity = table.score.copy(), table.propensity.copy()
    score[3], propensity[7] = NAN, NAN
    assert set(range(50)) - set(usable(replace(table, score=score, propensity=propensity)).tolist()) == {3, 7}


def test_propensities_that_do_not_add_up_are_not_believed() -> None:
    """Every served model was certain to serve, or one in a million: neither is how a log of two models comes about."""
    for seed in range(40):
        table = world(seed, 200, known=True, copies=1 + 3 * (seed % 2))
        assert table.propensity is not None
        assert says_propensities(table)
        assert not says_propensities(replace(table, propensity=np.ones((200, 2))))
        assert not says_propensities(replace(table, propensity=np.full((200, 2), 1e-6)))
    certain = replace(world(0, 400, known=True), propensity=np.ones((400, 2)))
    assert [one.score for one in values(certain)] == [one.score for one in values(world(0, 400, known=False))]
    probed = np.where(np.arange(200)[:, None] < 50, [1.0, 1.0], [0.5, 0.5])
    score = np.where((np.arange(200)[:, None] < 50) | np.isfinite(table.score), 1.0, NAN)
    assert says_propensities(replace(table, score=score, propensity=probed))


def test_a_model_whose_scores_come_back_less_often_is_not_taken_for_a_rare_one() -> None:
    table, rng = world(0, 900, known=True), np.random.default_rng(0)
    even = replace(table, propensity=np.full((900, 2), 0.5))
    gone = np.column_stack([np.zeros(900), rng.random(900) < 0.7]) > 0
    assert says_propensities(world(3, 900, known=True))
    assert not says_propensities(replace(even, score=np.where(gone, NAN, even.score)))


def test_a_matrix_is_its_own_evidence() -> None:
    table = world(5, 40, known=False)
    same = Evidence.of(table, table, logged=False)
    assert (same.learn is table, same.judge is table, same.weight) == (True, True, None)
    with pytest.raises(ValueError, match="must hold 20 effective trials of a model, got 1?[0-9] at most in 20 queries"):
        Evidence.of(table.take(np.arange(20)), table, logged=True)
    made = Evidence.of(world(6, 200, known=False), table, logged=True)
    assert isinstance(made.learn, PseudoOutcomes)
    assert isinstance(made.judge, PseudoOutcomes)


def test_more_certain_leads_take_more_hidden_selection_to_undo() -> None:
    table = world(7, 1000, known=True)
    made = pseudo_outcomes(table)
    assert overturning_odds(made, 0, 1) == 1.0, "a is worse"
    small = overturning_odds(made, 1, 0)
    measured = np.isfinite(table.score)
    wide = pseudo_outcomes(replace(table, score=np.where(measured, np.array([[0.1, 0.9]]), NAN)))
    assert 1.0 < small < overturning_odds(wide, 1, 0)


def test_confounded_means_are_set_right() -> None:
    table = world(8, 4000, known=False)
    naive = np.nanmean(table.score, axis=0)
    assert abs(naive[0] - TRUTH[0]) > 0.05
    for one, truth in zip(values(table), TRUTH, strict=True):
        assert one.score.low < truth < one.score.high
        assert one.score.value == pytest.approx(one.snips, abs=0.06)


@pytest.mark.prove
def test_intervals_cover_the_truth_and_are_no_wider_than_they_must_be() -> None:
    """Over 2,000 worlds a line; no floor is refuted by a binomial test at 5 %, Holm over all."""
    lines = [line for line in LINES if line.n <= 400 and line.world is smooth]
    found = [(line, one) for line in lines for one in worlds(line, range(WORLDS))]
    assert all(one.stated > 0.95 * WORLDS for _, one in found), "nearly every world has a number"
    p_values = [one.too_seldom(line.least) for line, one in found]
    assert (holm(np.array(p_values)) > 0.05).all(), p_values
    assert all(one.width <= 1.3 for line, one in found if line.n >= 400)


@pytest.mark.prove
@pytest.mark.parametrize("known", [True, False])
def test_intervals_hold_where_hard_queries_went_to_the_large_model(known: bool) -> None:
    """As in the made file, whose one draw lies beyond its interval: of 200 such draws no more do than may."""
    (line,) = (line for line in LINES if line.world is hard and (line.n, line.known) == (1500, known))
    for one in worlds(line, range(200)):
        assert one.stated == 200
        assert one.too_seldom(line.least) > 0.01
        assert one.width <= 1.3


def test_worlds_are_counted_and_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_coverage, "KEPT", tmp_path / "kept.json")
    monkeypatch.setattr(log_coverage, "LINES", LINES[:1])
    monkeypatch.setattr(log_coverage, "BATCH", 4)
    first = log_coverage.kept_worlds(4)[LINES[0].name]
    again = log_coverage.kept_worlds(8)[LINES[0].name]
    assert [one.stated + one.silent for one in first] == [4, 4, 4]
    for mine, whole in zip(again, worlds(LINES[0], range(8)), strict=True):
        assert asdict(mine) == pytest.approx(asdict(whole))
    monkeypatch.setattr(log_coverage, "worlds", None)
    assert log_coverage.kept_worlds(8)[LINES[0].name] == again
    assert log_coverage.table({LINES[0].name: again}).count("chosen by the query | 120 | known") == 3


def test_an_interval_that_holds_too_seldom_is_marked() -> None:
    right = [Found(right=n, stated=100, half=5.0, value=50.0, square=26.0) for n in (80, 95, 95)]
    lines = log_coverage.table({LINES[0].name: right}).splitlines()[2:]
    assert ["**yes**" in line for line in lines] == [True, False, False]
    assert "| 80.0 | 93 | 100 | 0 |" in lines[0]
