"""Pseudo-outcomes and values where the truth is known: by hand, and in worlds drawn again and again (SIMULATED)."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from llmrouterbench.estimating.pseudo import (
    FLOOR,
    Evidence,
    PseudoOutcomes,
    pseudo_outcomes,
    usable,
)
from llmrouterbench.estimating.shrinking import believed, shrunk
from llmrouterbench.estimating.values import Value, difference, overturning_odds, value_of
from llmrouterbench.stats import effective_trials, holm
from llmrouterbench.table import FloatArray, Outcomes

NAN = float("nan")
WORLDS = 2000


def chances(x: FloatArray) -> FloatArray:
    """Chance (n, 2) that each of two models is right; no linear function of x (n, 2)."""
    return np.column_stack([1 / (1 + np.exp(-1.5 * x[:, 0])), np.where(x[:, 1] > 0, 0.75, 0.45)])


TRUTH = np.array([0.5, 0.6])


def world(seed: int, n: int, *, known: bool, copies: int = 1) -> Outcomes:
    """A log of two models, chosen by what the query shows; each query `copies` times, asked anew."""
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.normal(size=(n // copies, 2)), copies, axis=0)
    n = len(x)
    first = 0.1 + 0.8 / (1 + np.exp(-x[:, 0]))
    model = (rng.random(n) > first).astype(int)
    score, propensity = np.full((n, 2), NAN), np.column_stack([first, 1 - first])
    right = np.repeat(rng.random((n // copies, 2)), copies, axis=0) < chances(x)  # copies are alike
    score[np.arange(n), model] = right[np.arange(n), model]
    table = Outcomes.of([f"q{i // copies}" for i in range(n)], ["a", "b"], score, embedding=x)
    ids = replace(table.queries, id=np.array([str(i) for i in range(n)]))
    return replace(table, queries=ids, propensity=propensity if known else None)


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
    made = pseudo_outcomes(replace(table, propensity=np.full((200, 2), 1e-6)))
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


CELLS = {
    # (queries, known propensities, copies): coverage that must not be refuted
    (120, True, 1): 0.93,
    (400, True, 1): 0.93,
    (400, False, 1): 0.90,
    (400, True, 4): 0.92,
}


@pytest.mark.prove
def test_intervals_cover_the_truth_and_are_no_wider_than_they_must_be() -> None:
    """Over 2,000 worlds a cell; no floor is refuted by a binomial test at 5 %, Holm over the cells."""
    p_values, widths = [], {}
    for (n, known, copies), floor in CELLS.items():
        found = [values(world(seed, n, known=known, copies=copies)) for seed in range(WORLDS)]
        assert np.mean([one.known for pair in found for one in pair]) > 0.95, "nearly every world has a number"
        for j, truth in enumerate(TRUTH):
            scores = [pair[j].score for pair in found if pair[j].known]
            inside = sum(one.low <= truth <= one.high for one in scores)
            p_values.append(binomtest(inside, len(scores), floor, alternative="less").pvalue)
            spread = np.std([one.value for one in scores])
            widths[n, known, copies, j] = np.median([(one.high - one.low) / 2 for one in scores]) / (1.96 * spread)
    assert (holm(np.array(p_values)) > 0.05).all(), p_values
    assert all(width <= 1.3 for (n, *_), width in widths.items() if n >= 400), widths
