"""Serving policies: their words, and the orders they give, worked by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.benching.policies import best_utility, decide_sweep, default_weights
from llmrouterbench.benching.policies.best import Best, budget_weight
from llmrouterbench.benching.policies.cheapest import Cheapest, cheapest_order
from llmrouterbench.benching.policies.orders import best_first, in_time_first
from llmrouterbench.benching.policies.policy import Belief, Policy, Slice, Solved, coins, forms, kinds
from llmrouterbench.benching.policies.strong_share import StrongShare, strong_margin, strong_order, strong_threshold
from llmrouterbench.benching.policies.weight import Weight
from llmrouterbench.checks.router import planted_table
from llmrouterbench.routers import make_router
from llmrouterbench.table import Estimate

shares = st.floats(0.0, 1.0)
amounts = st.floats(1e-6, 1e6)
optional = st.none() | amounts
explored = shares
policies = st.one_of(
    st.builds(Best, budget=optional, max_seconds=optional, explore=explored),
    st.builds(Cheapest, min_quality=shares, max_seconds=optional, explore=explored),
    st.builds(
        Weight, value=st.floats(0.0, 1e9), seconds_weight=st.floats(0.0, 1e3), max_seconds=optional, explore=explored
    ),
    st.builds(StrongShare, value=shares, strong=st.none() | st.text("ab /-'\"", min_size=1), max_seconds=optional),
)


@given(policies)
def test_words_and_policy_say_the_same(policy: Policy) -> None:
    assert Policy.parse(str(policy)) == policy


@pytest.mark.parametrize("words", forms())
def test_the_forms_that_errors_show_are_policies(words: str) -> None:
    assert str(Policy.parse(words)) == words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "must be one of 'best', .* got ''"),
        ('best "', "must be one of 'best', .* got 'best \"'"),
        ("cheepest --min-quality 0.8", "no policy named 'cheepest'; did you mean 'cheapest'?"),
        ("cheapest", "write 'cheapest --min-quality 0.8'"),
        ("cheapest --min-qualty 0.8", "has no option '--min-qualty'; did you mean '--min-quality'?"),
        ("cheapest --min-quality 80", "--min-quality must be between 0 and 1, got 80"),
        ("cheapest 3 --min-quality 0.8", "must have no number behind it"),
        ("best --budget cheap/query", "--budget must be a number, got 'cheap/query'"),
        ("best --budget", "--budget must have a value behind it"),
        ("best --budget 0", "--budget must be above 0, got 0"),
        ("best --max-seconds -1", "--max-seconds must be above 0, got -1"),
        ("best --max-seconds nan", "--max-seconds must be a number, got 'nan'"),
        ("best --min-quality 0.8", "has no option '--min-quality'"),
        ("weight", "must have a number behind it, got none; write 'weight 250'"),
        ("weight -1", "weight must be 0 or more"),
        ("weight inf", "weight must be 0 or more"),
        ("weight 2 --seconds-weight -1", "--seconds-weight must be 0 or more, in score per second, got -1"),
        ("strong-share 0.5 --strong", "--strong must have a value behind it"),
        ("strong-share 1.5", "strong-share must be between 0 and 1, got 1.5"),
    ],
)
def test_bad_words_get_one_clear_sentence(words: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")) as caught:
        Policy.parse(words)
    assert "\n" not in str(caught.value)


def belief(score: list[list[float]], usd: list[list[float]], seconds: list[float] | None = None) -> Belief:
    s, c = np.array(score), np.array(usd)
    t = np.full(s.shape, np.nan) if seconds is None else np.broadcast_to(np.array(seconds), s.shape)
    return Belief(tuple("abcdef"[: s.shape[1]]), np.arange(s.shape[1]), 0, s, c, s, c, t, np.zeros(len(s)))


matrices = st.integers(1, 6).flatmap(
    lambda m: st.lists(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=m, max_size=m), min_size=1, max_size=8
    )
)


@given(matrices, st.sampled_from([0.0, 0.3, 1.0, 100.0]), st.integers(0, 1000))
def test_the_first_of_the_order_is_the_choice_of_the_bench(score: list[list[float]], weight: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    s = np.array(score)
    cost = np.where(rng.random(s.shape) < 0.2, np.nan, rng.random(s.shape))
    models = tuple(rng.permutation(list("abcdef")[: s.shape[1]]).tolist())
    name = np.argsort(np.argsort(np.array(models)))
    order = best_first(Belief(models, name, 0, s, cost, s, cost, s, s[:, 0]).value(weight), name)
    assert (order[:, 0] == best_utility(Estimate(models, s, cost), np.array([weight]))[0]).all()
    assert (np.sort(order, axis=1) == np.arange(s.shape[1])).all()


def test_cheapest_takes_the_cheapest_that_is_good_enough_and_then_the_best() -> None:
    order, enough = cheapest_order(belief([[0.9, 0.8, 0.7], [0.3, 0.5, 0.4]], [[9, 2, 1], [9, 2, 1]]), SCORES, 0.75)
    assert order.tolist() == [[1, 0, 2], [1, 2, 0]]
    assert enough.tolist() == [[True, True, False], [False, False, False]]


SCORES = np.array([[0.9, 0.8, 0.7], [0.3, 0.5, 0.4]])


def test_cheapest_counts_an_unknown_cost_as_the_dearest() -> None:
    order, _ = cheapest_order(belief([[0.9, 0.8]], [[math.nan, 2.0]]), np.array([[0.9, 0.8]]), 0.5)
    assert order.tolist() == [[0, 1]]  # both cost 2 now: the better one first
    order, _ = cheapest_order(belief([[0.9, 0.8, 0.7]], [[math.nan, 2.0, 3.0]]), np.array([[0.9, 0.8, 0.7]]), 0.5)
    assert order.tolist() == [[1, 0, 2]]


def test_models_out_of_time_come_last_from_the_fastest_on() -> None:
    seconds = np.array([[5.0, 2.0, math.nan, 3.0]])
    order, fast = in_time_first(np.array([[2, 0, 3, 1]]), seconds, 2.5)
    assert order.tolist() == [[1, 3, 0, 2]]
    assert fast.tolist() == [[False, True, False, False]]


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50), shares)
def test_the_strong_share_is_kept_and_no_more_could_be_served(margin: list[float], share: float) -> None:
    lead = np.array(margin)
    threshold = strong_threshold(lead, share)
    served = (lead >= threshold).mean()
    assert served <= share + 1e-9
    below = lead[lead < threshold]
    if len(below):  # the next level would go over
        assert (lead >= below.max()).mean() > share - 1e-9


def test_two_models_make_the_strong_share_routellms() -> None:
    score = np.array([[0.9, 0.5], [0.7, 0.6], [0.6, 0.6], [0.4, 0.6]])
    threshold = strong_threshold(strong_margin(score, 0), 0.5)
    order = strong_order(score, np.arange(2), 0, threshold)
    assert order[:, 0].tolist() == [0, 0, 1, 1]


def test_a_budget_keeps_half_a_standard_error() -> None:
    usd = np.array([[4.0, 0.0, 4.0, 0.0], [1.0, 1.0, 1.0, 1.0]])  # means 2 and 1; the first has an error of 1.155
    weights = np.array([0.0, 5.0])
    assert budget_weight(usd, weights, 2.6) == 0.0
    assert budget_weight(usd, weights, 2.5) == 5.0
    assert budget_weight(usd, weights, 0.9) is None
    assert budget_weight(np.full((2, 3), math.nan), weights, 1.0) is None


def test_a_weight_on_seconds_trades_score_for_time_and_unknown_is_the_slowest() -> None:
    timed = belief([[0.9, 0.8, 0.9]], [[1, 1, 1]], [100.0, 10.0, math.nan])
    assert Weight(value=0.0).order(timed, Solved(0.0))[0].tolist() == [[0, 2, 1]]
    assert Weight(value=0.0, seconds_weight=0.002).order(timed, Solved(0.0))[0].tolist() == [
        [1, 0, 2]
    ]  # 0.7 against 0.78
    with pytest.raises(ValueError, match="needs reply times, and the outcomes held none"):
        Weight(value=0.0, seconds_weight=0.002).solved(piece(belief([[0.9, 0.8]], [[1, 1]])))


def piece(of: Belief, settings: Sequence[float] = (0.0, 1.0)) -> Slice:
    unknown = np.full(of.score.shape, np.nan)
    return Slice(of, unknown, unknown, np.array(settings), np.arange(len(unknown)))


def test_a_dial_of_the_routers_own_decides_and_bounds_its_weight() -> None:
    own = replace(belief([[0.9, 0.8]], [[2, 1]]), dial=lambda setting: np.array([1 if setting >= 1 else 0]))
    assert [Weight(value=value).decide(own, piece(own)).tolist() for value in (0.0, 1.0)] == [[0], [1]]
    with pytest.raises(ValueError, match="weight must be from 0 to 1 on this router's own dial, got 2"):
        Weight(value=2.0).decide(own, piece(own))
    with pytest.raises(ValueError, match="--seconds-weight must be 0 for a router with a dial of its own"):
        Weight(value=0.0, seconds_weight=1.0).solve(piece(own))


@pytest.mark.parametrize(
    "words", ["best", "cheapest --min-quality 0.6", "best --budget 0.06", "weight 2", "strong-share 0.4 --strong bravo"]
)
def test_what_serves_is_decided_in_a_bench_too(words: str) -> None:
    """A policy solved on a part of train and followed on test, without anything of production."""
    table = planted_table(600)
    fit, rest, test = np.arange(300), np.arange(300, 450), np.arange(450, 600)
    router = make_router("knn", k=20).fit(table.take(fit))
    names = np.argsort(np.argsort(np.array(table.models)))
    beliefs = []
    for rows in (rest, test):
        said = router.predict(table.queries.take(rows))
        quality, seconds = np.clip(said.score, 0.0, 1.0), np.full(said.score.shape, np.nan)
        coin = coins(table.queries.id[rows].tolist())
        beliefs.append(Belief(table.models, names, 0, said.score, said.cost, quality, said.cost, seconds, coin))
    held = table.take(rest)
    solved_on = Slice(beliefs[0], held.score, held.cost, default_weights(table.take(fit)), held.group)
    policy = Policy.parse(words)
    choice = policy.decide(beliefs[1], solved_on)
    part = table.take(test)
    score, cost = (plane[np.arange(len(part)), choice].mean() for plane in (part.score, part.cost))
    assert score > part.score.mean(), "better than a model at random"
    if isinstance(policy, Best) and policy.budget is not None:
        assert cost < 1.05 * policy.budget
    if isinstance(policy, StrongShare):
        assert (choice == table.models.index("bravo")).mean() < 0.5
    if words == "weight 2":
        assert (choice == decide_sweep(router, part.queries, np.array([2.0]))[0]).all()


def test_every_kind_is_found_and_has_the_forms_of_its_own_words() -> None:
    assert {cls.kind: [Policy.parse(form).kind for form in cls.forms] for cls in kinds().values()} == {
        kind: [kind] * len(cls.forms) for kind, cls in kinds().items()
    }
