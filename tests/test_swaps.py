"""Advice in worlds of known truth: a model to swap, failures that hide something, many equal models, power."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import llmrouterbench.cli  # noqa: F401  (its commands join the app)
from llmrouterbench.commands.app import app
from llmrouterbench.reporting.advice import advice_lines, lacks, recommendation
from llmrouterbench.reporting.describe import describe
from llmrouterbench.stats import Interval
from llmrouterbench.store import write_outcomes
from llmrouterbench.studies.advise import Candidate, advise
from llmrouterbench.studies.headroom import needless_models
from llmrouterbench.studies.swaps import Lacking, find_swap, lacking_models
from llmrouterbench.table import FloatArray, Outcomes


def world(
    chance: list[float], usd: list[float], n: int = 1000, seed: int = 0, alike: float = 0.5, names: int = 2
) -> Outcomes:
    """Models of these chances and prices on queries that share some of their luck."""
    rng = np.random.default_rng(seed)
    luck = np.where(rng.random((n, 1)) < alike, rng.random((n, 1)), rng.random((n, len(chance))))
    text = [f"{' '.join(rng.choice(list('abcdefghij'), 5))} {i}" for i in range(n)]
    return Outcomes.of(
        text,
        [f"m{j:02}" for j in range(len(chance))],
        (luck < np.array(chance)).astype(float),
        dataset=[f"d{i % names}" for i in range(n)],
        cost=np.array(usd) * rng.uniform(0.5, 1.5, (n, len(usd))) / 1000,
    )


def with_score(outcomes: Outcomes, score: FloatArray) -> Outcomes:
    """The same queries with other scores."""
    return Outcomes.of(
        list(outcomes.queries.text), outcomes.models, score, dataset=outcomes.dataset.tolist(), cost=outcomes.cost
    )


def test_a_model_that_answers_the_same_for_a_tenth_is_served_instead() -> None:
    twins = world([0.7, 0.7], [10.0, 1.0], alike=1.0)
    swap = find_swap(twins, replicates=200)
    assert swap is not None
    assert (swap.model, swap.instead_of, swap.sure, swap.difference.value) == ("m01", "m00", True, 0.0)
    assert swap.saving.value == pytest.approx(0.9, abs=0.02)


def test_two_points_less_for_a_hundredth_is_worth_it_and_for_a_half_is_not() -> None:
    cheap = find_swap(world([0.82, 0.80], [100.0, 1.0], 4000, alike=0.9), replicates=200)
    assert cheap is not None
    assert cheap.sure
    assert find_swap(world([0.82, 0.80], [2.0, 1.0], 4000, alike=0.9), replicates=200) is None


def test_a_cheap_model_that_is_worse_is_not_served() -> None:
    assert find_swap(world([0.82, 0.6], [100.0, 1.0]), replicates=200) is None


def test_few_queries_cannot_tell_and_say_so() -> None:
    swap = find_swap(world([0.8, 0.74], [100.0, 1.0], 60), replicates=200)
    assert swap is not None
    assert not swap.sure


def test_a_dearer_or_unpriced_model_is_no_swap() -> None:
    dear = world([0.8, 0.8], [1.0, 10.0], alike=1.0)
    assert find_swap(dear, replicates=100) is None
    unpriced = Outcomes.of(list(dear.queries.text), dear.models, dear.score, dataset=dear.dataset.tolist())
    assert find_swap(unpriced, replicates=100) is None
    assert find_swap(dear.select(["m00"]), replicates=100) is None


@pytest.mark.slow
def test_among_thirty_equal_models_none_is_dominated_or_swapped() -> None:
    for seed in range(5):
        equal = world([0.6] * 30, [1.0] * 30, 400, seed=seed, alike=0.0)
        assert [one.model for one in needless_models(equal, replicates=200) if one.dominated_by] == []
        swap = find_swap(equal, replicates=200)
        assert swap is None or not swap.sure


def test_failures_on_hard_queries_are_named_and_random_ones_are_not() -> None:
    whole = world([0.6, 0.6, 0.6], [1.0] * 3, alike=0.8)
    rng = np.random.default_rng(1)
    hard, score = whole.score[:, 1:].mean(axis=1) < 0.5, whole.score.copy()
    score[hard & (rng.random(len(whole)) < 0.5), 0] = np.nan
    (found,) = lacking_models(with_score(whole, score))
    assert (found.model, found.queries) == ("m00", int(np.isnan(score[:, 0]).sum()))
    assert found.easier < -0.3
    low, high = found.bounds
    names = np.unique(whole.dataset)
    for bound, filled in ((low, 0.0), (high, 1.0)):
        completed = np.where(np.isnan(score[:, 0]), filled, score[:, 0])
        assert bound == pytest.approx(np.mean([completed[whole.dataset == name].mean() for name in names]))
    truth = np.mean([whole.score[whole.dataset == name, 0].mean() for name in names])
    assert low < truth < found.measured < high, "it was spared the hard queries"
    score = np.where(rng.random(whole.score.shape) < 0.2, np.nan, whole.score)
    assert lacking_models(with_score(whole, score)) == ()
    assert lacking_models(whole) == ()


def test_info_says_the_bounds_that_advise_says(tmp_path: Path) -> None:
    whole = world([0.6, 0.6, 0.6], [1.0] * 3, 600, alike=0.8)
    hard, score = whole.score[:, 1:].mean(axis=1) < 0.5, whole.score.copy()
    score[hard, 0] = np.nan
    held = with_score(whole, score)
    assert describe(whole)["lacking"] == []
    assert [Lacking(**one) for one in describe(held)["lacking"]] == list(lacking_models(held))
    write_outcomes(held, tmp_path / "data")
    said = " ".join(CliRunner().invoke(app, ["info", str(tmp_path / "data")]).output.split())
    assert lacks(lacking_models(held)[0]) in said


def test_queries_to_be_sure_have_a_power_of_80_percent() -> None:
    """Where n queries give an error e, a gain of 2.8 errors is certain in 80 of 100 studies."""
    gain, error, n = 0.02, 0.02 / 2.8, 1000
    seen = Candidate("r", Interval(gain, gain - 1.96 * error, gain + 1.96 * error))
    assert seen.queries_to_be_sure(n) == pytest.approx(n, rel=0.01)
    draws = np.random.default_rng(0).normal(gain, error, 20_000)
    assert (draws - 1.96 * error > 0).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.prove
def test_advice_swaps_the_model_and_says_what_is_lacking() -> None:
    twins = world([0.7, 0.7, 0.4], [10.0, 1.0, 1.0], 500, alike=1.0)
    score = twins.score.copy()
    score[(score[:, 0] == 0.0) & (np.arange(500) % 2 == 0), 2] = np.nan
    advice = advise(with_score(twins, score), quick=True, jobs=1)
    assert advice.action == "swap the model"
    assert recommendation(advice).startswith("Do not route: serve m01 to everyone instead of m00: it saves 90")
    said = "\n".join(advice_lines(advice))
    assert "m01 alone saves 90" in said
    assert "m02 has no score on" in said
    assert "if all that is missing is wrong" in said
    assert "on one test split that no choice has seen" in said


@pytest.mark.prove
def test_advice_routes_for_quality_and_cost_where_both_pay() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 900)
    words = ("add these numbers", "conjugate this verb", "which river flows")
    chance = np.array([[0.95, 0.9], [0.95, 0.4], [0.1, 0.95]])[kind]  # the large one is surely the better one alone
    mixed = Outcomes.of(
        [f"{words[k]} {i}" for i, k in enumerate(kind.tolist())],
        ["small", "large"],
        (rng.random((900, 2)) < chance).astype(float),
        dataset=[("sums", "verbs", "maps")[k] for k in kind.tolist()],
        cost=np.tile([0.001, 0.02], (900, 1)),
    )
    advice = advise(mixed, replicates=200, jobs=1)
    assert advice.action == "route for quality and cost", advice.candidates
    assert recommendation(advice).startswith("Route with ")
