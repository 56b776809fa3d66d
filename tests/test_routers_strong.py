"""The newer routers: worked examples, independent re-derivations, and what their sources claim of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeRegressor

from llmrouterbench.benching.policies import decide_sweep, default_weights, run
from llmrouterbench.checks.router import planted_table
from llmrouterbench.persist import load_router, save_router
from llmrouterbench.routers import make_router
from llmrouterbench.routers._probes import Tally, nearest
from llmrouterbench.routers.carrot import Carrot
from llmrouterbench.routers.cascade_routing import CascadeRouting, expected_best, next_call
from llmrouterbench.routers.equirouter import EquiRouter, win_share
from llmrouterbench.routers.gbm import GBM, as_trees, side_by_side
from llmrouterbench.routers.hiershrink import HierShrink
from llmrouterbench.routers.irt import IRT, with_constant
from llmrouterbench.routers.linucb import LinUCB
from llmrouterbench.routers.uniroute import UniRoute
from llmrouterbench.table import FloatArray, Outcomes, Queries

EAST, NORTH = [1.0, 0.0], [0.0, 1.0]


def embedded(outcomes: Outcomes) -> FloatArray:
    assert outcomes.queries.embedding is not None
    return outcomes.queries.embedding


def two_sides() -> Outcomes:
    """Three queries in the east, one in the north; model n was not measured in the north."""
    return Outcomes.of(
        ["a", "b", "c", "d"],
        ["m", "n"],
        [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, np.nan]],
        cost=[[1.0, 2.0], [2.0, 2.0], [3.0, 2.0], [10.0, np.nan]],
        embedding=np.array([EAST, EAST, EAST, NORTH]),
    )


def ask_nothing(row: int, model: int) -> str:
    raise AssertionError("nothing may be asked here")


# uniroute


def test_uniroute_expects_the_errors_of_the_nearest_cluster_by_hand() -> None:
    router = UniRoute(k=2).fit(two_sides())
    estimate = router.predict(Queries.of(["x", "y"], embedding=np.array([[0.9, 0.1], [0.1, 0.9]])))
    assert estimate.score == pytest.approx(np.array([[2 / 3, 2 / 3], [0.0, 2 / 3]]))  # n in the north: its overall mean
    assert estimate.cost == pytest.approx(np.array([[2.0, 2.0], [10.0, 2.0]]))


Joining = UniRoute | HierShrink


@pytest.mark.parametrize("make", [UniRoute, HierShrink])
def test_a_model_that_joins_is_known_as_if_it_had_been_there(make: Callable[[], Joining], tmp_path: Path) -> None:
    train, test = planted_table(300), planted_table(80, 1)
    everyone = make().fit(train)
    joined = make().fit(train.select(["delta", "alpha", "bravo"])).add_model("charlie", train)
    save_router(joined, tmp_path / "r")
    for router in (joined, load_router(tmp_path / "r")):
        estimate = router.predict(test.queries)
        assert estimate.models == ("delta", "alpha", "bravo", "charlie")
        same = everyone.predict(test.queries)
        order = [same.models.index(model) for model in estimate.models]
        assert estimate.score == pytest.approx(same.score[:, order])
        assert estimate.cost == pytest.approx(same.cost[:, order])


@pytest.mark.parametrize("make", [lambda: UniRoute(k=6), HierShrink])
def test_a_few_dozen_probes_let_a_new_specialist_serve_its_topic(make: Callable[[], Joining]) -> None:
    train, probes, test = planted_table(600), planted_table(90, 5), planted_table(300, 1)
    old = ["delta", "alpha"]  # good at algebra and at biology
    router = make().fit(train.select(old)).add_model("charlie", probes)  # good at history
    picks = np.array(router.predict(test.queries).models)[decide_sweep(router, test.queries, np.zeros(1))[0]]
    history = np.array([text.startswith("history") for text in test.queries.text])
    assert (picks[history] == "charlie").mean() > 0.8
    assert (picks[~history] == "charlie").mean() < 0.2


@pytest.mark.parametrize("make", [UniRoute, HierShrink])
def test_a_model_that_cannot_join_is_refused(make: Callable[[], Joining]) -> None:
    train = planted_table(60)
    router = make().fit(train.select(["delta", "alpha"]))
    with pytest.raises(ValueError, match="must not know a model that is to join, got 'alpha'"):
        router.add_model("alpha", train)
    with pytest.raises(KeyError, match="no model named 'charly'"):
        router.add_model("charly", train)
    with pytest.raises(ValueError, match="model 'bravo' must have scores on some probes"):
        router.add_model("bravo", replace(train, score=np.full_like(train.score, np.nan)))


# hiershrink


def test_hiershrink_shrinks_twice_by_hand() -> None:
    router = HierShrink(coarse=1, fine=2, shrinkage=2.0).fit(two_sides())
    score = router.predict(Queries.of(["x", "y"], embedding=np.array([EAST, NORTH]))).score
    mean = 2 / 4
    coarse = (2 + 2 * mean) / (4 + 2)
    assert score[:, 0] == pytest.approx([(2 + 2 * coarse) / (3 + 2), (0 + 2 * coarse) / (1 + 2)])
    assert score[1, 1] == pytest.approx(2 / 3)  # never measured in the north: the prior, which is its mean


def test_hiershrink_agrees_with_the_formulas_of_the_issue_in_plain_loops() -> None:
    train, test = planted_table(250), planted_table(30, 1)
    router = HierShrink().fit(train)
    assert (router.coarse, router.fine, router.shrinkage) == (20, 100, 24.0)
    mine, theirs = ([nearest(embedded(part), centroid) for centroid in router.centroids_] for part in (train, test))
    score = router.predict(test.queries).score
    for row in range(len(test)):
        for model in range(4):
            value = train.score[:, model].mean()
            for level in (0, 1):
                members = train.score[mine[level] == theirs[level][row], model]
                value = (members.sum() + 24 * value) / (len(members) + 24)
            assert score[row, model] == pytest.approx(value)


def test_hiershrink_goes_from_the_mean_to_the_fine_cluster_as_observations_grow() -> None:
    few, many = (
        Tally(np.array([[n * 1.0]]), np.array([[float(n)]])).shrunk(np.array([0.5]), 24.0) for n in (1, 10_000)
    )
    assert few[0, 0] == pytest.approx(0.52)
    assert many[0, 0] > 0.998


# carrot


def test_carrot_weighs_neighbours_by_hand() -> None:
    router = Carrot(k=3).fit(two_sides())
    queries = Queries.of(["x"], embedding=np.array([EAST]))
    estimate = router.predict(queries)
    assert estimate.score == pytest.approx(np.array([[2 / 3, 2 / 3]]))
    assert estimate.cost == pytest.approx(np.array([[2.0, 2.0]]))
    assert router.unit_ == pytest.approx(4.0)  # what m costs on average
    split = Carrot(k=1).fit(
        Outcomes.of(["a"], ["dear", "good"], [[0.5, 0.9]], cost=[[1.0, 4.0]], embedding=np.array([EAST]))
    )
    picks = split.decide_sweep(queries, np.array([0.0, 0.34, 0.36, 1.0]))  # equal where 0.4 (1 - mu) = 0.75 mu
    assert picks[:, 0].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("estimator", ["knn", "linear"])
def test_carrots_dial_runs_from_the_cheapest_estimate_to_the_best(estimator: Any) -> None:
    train, test = planted_table(400), planted_table(120, 1)
    router = Carrot(estimator).fit(train)
    estimate = router.predict(test.queries)
    picks = router.decide_sweep(test.queries, router.weights)
    rows = np.arange(len(test))
    assert estimate.cost[rows, picks[0]] == pytest.approx(estimate.cost.min(axis=1))
    assert estimate.score[rows, picks[-1]] == pytest.approx(estimate.score.max(axis=1))
    for plane in (estimate.cost, estimate.score):  # both rise as mu falls, for every query
        assert (np.diff(plane[rows, picks], axis=0) >= -1e-12).all()


def test_carrot_takes_an_unknown_cost_for_the_dearest() -> None:
    train = planted_table(100)
    cost = train.cost.copy()
    cost[:, 1] = np.nan
    router = Carrot().fit(replace(train, cost=cost))
    assert (router.decide_sweep(train.queries, np.array([1.0])) != 1).all()
    unpriced = Carrot().fit(replace(train, cost=np.full_like(cost, np.nan)))
    picks = unpriced.decide_sweep(train.queries, np.array([0.5, 0.0]))
    assert (picks[0] == picks[1]).all()  # nothing is known of costs: quality decides


# irt


def test_irt_recovers_the_abilities_and_difficulties_it_was_made_from() -> None:
    rng = np.random.default_rng(0)
    n, ability = 3000, np.array([-1.0, 0.0, 1.5])
    x = rng.standard_normal((n, 3))
    difficulty = 1.5 * x[:, 0]
    chance = 1.0 / (1.0 + np.exp(-(ability - difficulty[:, None])))
    made = Outcomes.of(
        [str(i) for i in range(n)], ["weak", "middle", "strong"], rng.random((n, 3)) < chance, embedding=x
    )
    router = IRT(dims=2).fit(made)
    assert np.corrcoef(router.difficulty(made.queries), difficulty)[0, 1] > 0.98
    estimate = router.predict(made.queries).score
    assert np.abs(estimate - chance).mean() < 0.03
    assert (np.diff(estimate, axis=1) > 0).mean() > 0.99
    assert np.abs(estimate.mean(axis=0) - made.score.mean(axis=0)).max() < 0.01


def test_irt_is_at_a_minimum_of_its_own_loss() -> None:
    train = planted_table(200)
    score = train.score.copy()
    score[::4, 1] = np.nan
    router = IRT(dims=3, penalty=1.0, steps=2000).fit(replace(train, score=score))
    x, items = with_constant(embedded(train)), router.items_
    known = np.isfinite(score)

    def loss(difficulty: FloatArray, ability: FloatArray) -> float:
        chance = 1.0 / (1.0 + np.exp(-replace(items, difficulty=difficulty, ability=ability).logit(x)))
        likelihood = np.where(score == 1.0, chance, 1.0 - chance)[known]
        squares = (difficulty[:-1] ** 2).sum() + (ability**2).sum() + (items.discrimination[:-1] ** 2).sum()
        return float(-np.log(likelihood).sum() + 0.5 * squares)

    here = loss(items.difficulty, items.ability)
    rng = np.random.default_rng(1)
    for _ in range(20):
        step, other = (0.05 * rng.standard_normal(part.shape) for part in (items.difficulty, items.ability))
        assert loss(items.difficulty + step, items.ability + other) > here


# equirouter


def test_equirouter_on_two_models_is_logistic_regression_on_who_wins() -> None:
    train = planted_table(300).select(["delta", "alpha"])
    router = EquiRouter(tie=0.0, penalty=4.0).fit(train)
    lead = train.score[:, 0] - train.score[:, 1]
    x = embedded(train)
    # w = (v, -v) minimises penalty / 2 (|w1|^2 + |w2|^2) = penalty / 4 |w1 - w2|^2, so C = 2 / penalty.
    theirs = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(x[lead != 0], lead[lead != 0] > 0)
    logit = router.rank_(x)
    assert logit[:, 0] - logit[:, 1] == pytest.approx(theirs.decision_function(x), abs=0.02)


def test_equirouter_keeps_the_small_model_where_it_suffices() -> None:
    """On easy queries both models are nearly always right; a score predictor sees the dear one ahead by noise."""
    rng = np.random.default_rng(3)
    n = 600
    hard = rng.random(n) < 0.5
    x = np.where(hard[:, None], EAST, NORTH) + 0.05 * rng.standard_normal((n, 2))
    chance = np.stack([np.where(hard, 0.3, 0.95), np.where(hard, 0.9, 0.96)], axis=1)
    outcomes = Outcomes.of(
        [str(i) for i in range(n)], ["small", "large"], rng.random((n, 2)) < chance, cost=np.tile([1.0, 9.0], (n, 1)),
        embedding=x,
    )  # fmt: skip
    picks = decide_sweep(EquiRouter(tie=0.1).fit(outcomes), outcomes.queries, np.zeros(1))[0]
    assert (picks[hard] == 1).mean() > 0.99
    assert (picks[~hard] == 0).mean() > 0.99


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-20, 20), min_size=1, max_size=6))
def test_the_share_of_wins_orders_models_as_the_ranking(logits: list[float]) -> None:
    logit = np.array([logits])
    share = win_share(logit)
    assert share.mean() == pytest.approx(0.5)
    assert ((share >= 0) & (share <= 1)).all()
    assert (np.diff(share[0, np.argsort(logit[0])]) >= -1e-12).all()


# linucb


def test_linucb_is_ridge_plus_alpha_standard_errors() -> None:
    train, test = planted_table(150), planted_table(20, 1)
    router = LinUCB(alpha=0.7, ridge=2.0).fit(train)
    x, z = (np.hstack([embedded(part), np.ones((len(part), 1))]) for part in (train, test))
    matrix = x.T @ x + 2.0 * np.eye(9)
    theta = np.linalg.solve(matrix, x.T @ train.score)
    width = np.sqrt(np.einsum("ni,ij,nj->n", z, np.linalg.inv(matrix), z))
    assert router.predict(test.queries).score == pytest.approx(z @ theta + 0.7 * width[:, None])


def test_linucb_updated_online_is_as_if_fitted_on_everything() -> None:
    table, test = planted_table(200), planted_table(40, 1)
    first, rest = table.take(np.arange(120)), table.take(np.arange(120, 200))
    online = LinUCB(alpha=1.0).fit(first)
    for model in range(4):
        online.update(rest.queries, np.full(80, model), rest.score[:, model])
    assert online.predict(test.queries).score == pytest.approx(LinUCB(alpha=1.0).fit(table).predict(test.queries).score)


def test_linucb_changes_only_the_arm_that_served_and_learns_that_it_got_worse(tmp_path: Path) -> None:
    train, stream, test = planted_table(200), planted_table(600, 2), planted_table(100, 1)
    router = LinUCB().fit(train)
    before = router.predict(test.queries).score.copy()
    picks = decide_sweep(router, test.queries, np.zeros(1))[0]
    router.update(stream.queries, np.full(600, 0), np.zeros(600))  # "delta" answers nothing any more
    after = router.predict(test.queries).score
    assert (after[:, 1:] == before[:, 1:]).all()
    assert (picks == 0).mean() > 0.2
    assert (decide_sweep(router, test.queries, np.zeros(1))[0] == 0).mean() < 0.02
    save_router(router, tmp_path / "r")
    assert (load_router(tmp_path / "r").predict(test.queries).score == after).all()


def test_linucb_knows_nothing_of_an_arm_before_its_first_update() -> None:
    train = planted_table(100)
    score = train.score.copy()
    score[:, 2] = np.nan
    router = LinUCB(alpha=5.0).fit(replace(train, score=score))
    assert (router.predict(train.queries).score[:, 2] == 0.0).all()
    router.update(train.queries.take(np.arange(3)), np.array([2, 2, 2]), np.array([np.nan, 1.0, 1.0]))
    assert (router.predict(train.queries).score[:, 2] > 0.0).all()


# gbm


def test_gbms_arrays_predict_as_scikit_learns_trees_do() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 5)).astype(np.float32), rng.standard_normal((300, 3))
    trees = [DecisionTreeRegressor(max_depth=depth, random_state=0).fit(x, y) for depth in (1, 4, 12)]
    values: list[Any] = [tree.tree_ for tree in trees]
    forest = side_by_side([as_trees(t, v.value[:, :, 0]) for t, v in zip(trees, values, strict=True)])
    new = rng.standard_normal((50, 5)).astype(np.float32)
    assert forest(new) == pytest.approx(sum(tree.predict(new) for tree in trees))


def test_gbm_starts_from_the_means_and_fits_better_with_every_tree() -> None:
    train = planted_table(500)
    score = train.score.copy()
    score[::3, 0] = np.nan
    train = replace(train, score=score)
    known = np.isfinite(score)
    errors = [
        float(((GBM(trees=trees).fit(train).predict(train.queries).score - score)[known] ** 2).mean())
        for trees in (1, 10, 60)
    ]
    variance = float(((score - np.nanmean(score, axis=0))[known] ** 2).mean())
    assert variance > errors[0] > errors[1] > errors[2]
    assert errors[0] > 0.9 * variance  # one tree at rate 0.1 moves a tenth of the way
    assert errors[2] < 0.8 * variance


def test_gbm_finds_what_no_linear_router_can() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1200, 2))
    same = (x[:, 0] > 0) == (x[:, 1] > 0)
    score = np.stack([same, ~same], axis=1).astype(np.float64)
    table = Outcomes.of([str(i) for i in range(1200)], ["same", "other"], score, embedding=x)
    train, test = table.take(np.arange(900)), table.take(np.arange(900, 1200))
    served = {
        name: test.score[np.arange(300), decide_sweep(make_router(name).fit(train), test.queries, np.zeros(1))[0]]
        for name in ("gbm", "irt", "linucb")
    }
    assert served["gbm"].mean() > 0.9
    assert served["linucb"].mean() < 0.7


# cascade routing


def honest_replies(outcomes: Outcomes, seed: int = 0) -> dict[tuple[int, int], str]:
    """Replies that mostly sound unsure when they are wrong."""
    rng = np.random.default_rng(seed)
    unsure = (outcomes.score < 0.5) ^ (rng.random(outcomes.score.shape) < 0.1)
    return {
        (row, model): "I am not sure , perhaps 7" if unsure[row, model] else "The answer is 7 ."
        for row, model in np.ndindex(unsure.shape)
    }


def test_without_replies_cascade_routing_routes_and_asks_nothing() -> None:
    train, test = planted_table(300), planted_table(100, 1)
    for weight in default_weights(train)[[0, 15, 30]].tolist():
        router = CascadeRouting(weight=weight).fit(train)
        linear = decide_sweep(make_router("linear").fit(train), test.queries, np.array([weight]))[0]
        assert (router.decide(test.queries, ask_nothing) == linear).all()


def test_replies_that_tell_right_from_wrong_make_the_cascade_better_than_routing() -> None:
    train, test = planted_table(500, signal=False), planted_table(300, 1, signal=False)
    weight = 30.0  # score per USD: a call costs 0.03 to 0.12
    fitted = CascadeRouting(mode="reply", weight=weight).fit(train, honest_replies(train))
    assert (fitted.surprise_ > 0.3).all()
    cascade = run(fitted, test, honest_replies(test, 1))
    choice = decide_sweep(make_router("linear").fit(train), test.queries, np.array([weight]))[0]
    routed = test.score[np.arange(len(test)), choice], test.cost[np.arange(len(test)), choice]
    worth, base = (float((score - weight * cost).mean()) for score, cost in ((cascade.score, cascade.cost), routed))
    assert worth > base + 0.1
    calls = cascade.called.sum(axis=1)
    assert calls.max() == 2
    assert (
        0.3 < (calls == 2).mean() < 0.7
    )  # a second call where the first reply, right in half the cases, sounds unsure


def test_replies_that_say_nothing_are_not_trusted() -> None:
    train = planted_table(400)
    rng = np.random.default_rng(0)
    words = {cell: "yes indeed" if rng.random() < 0.5 else "no never" for cell in np.ndindex(train.score.shape)}
    fitted = CascadeRouting(mode="reply").fit(train, words)
    assert (fitted.surprise_ < 0.05).all()


def test_a_cascade_is_saved_with_its_judge(tmp_path: Path) -> None:
    train, test = planted_table(200), planted_table(60, 1)
    fitted = CascadeRouting(mode="reply", weight=20.0).fit(train, honest_replies(train))
    save_router(fitted, tmp_path / "r")
    loaded = load_router(tmp_path / "r")
    assert isinstance(loaded, CascadeRouting)
    replies = honest_replies(test, 1)
    assert (run(loaded, test, replies).called == run(fitted, test, replies).called).all()


def test_a_cascade_needs_replies_to_run_and_different_queries_to_learn() -> None:
    train, test = planted_table(100), planted_table(20, 1)
    fitted = CascadeRouting(mode="reply").fit(train, honest_replies(train))
    with pytest.raises(KeyError, match="no stored reply of"):
        run(fitted, test)
    with pytest.raises(ValueError, match="replies must be to different queries with known scores, got 1"):
        CascadeRouting(mode="reply").fit(train, {(0, 0): "a", (0, 1): "b"})


def test_the_expected_best_agrees_with_simulation() -> None:
    mean, spread = np.array([0.5, 0.6, 0.4]), np.array([0.3, 0.1, 0.4])
    drawn = np.random.default_rng(0).normal(mean, spread, (400_000, 3))
    assert expected_best(mean[:2], spread[:2]) == pytest.approx(drawn[:, :2].max(axis=1).mean(), abs=2e-3)
    assert expected_best(mean, spread) == pytest.approx(drawn.max(axis=1).mean(), abs=1e-2)
    assert expected_best(np.array([0.2, 0.7]), np.zeros(2)) == 0.7


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_the_next_call_belongs_to_the_best_set_found_by_brute_force(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    score, spread, price = rng.random((3, 1, 4)) * np.array([1.0, 0.4, 0.2])[:, None, None]
    called = np.zeros((1, 4), dtype=np.bool_)
    called[0, rng.permutation(4)[: rng.integers(0, most)]] = True
    spread[called] = 0.0
    worth = {}
    for code in range(1, 16):
        members = [model for model in range(4) if code >> model & 1]
        if len(members) <= most and called[0, members].sum() == called.sum():
            gain = float(expected_best(score[0, members], spread[0, members]))
            worth[tuple(members)] = gain - float(price[0, members].sum())
    best = max(worth, key=lambda members: worth[members])
    new = [model for model in best if not called[0, model]]
    expected = min(new, key=lambda model: float(price[0, model])) if new else -1
    assert next_call(score, spread, price, called, most).tolist() == [expected]


# settings


@pytest.mark.parametrize(
    ("name", "bad", "sentence"),
    [
        ("gbm", {"trees": 0}, "trees, depth and dims must be at least 1, got 0, 4 and 64"),
        ("gbm", {"rate": 0.0}, r"rate must be in \(0, 1\]"),
        ("carrot", {"estimator": "forest"}, "estimator must be 'knn' or 'linear', got 'forest'"),
        ("carrot", {"k": 0}, "k must be at least 1, got 0"),
        ("uniroute", {"k": 0}, "k must be at least 1, got 0"),
        ("hiershrink", {"fine": 0}, "coarse and fine must be at least 1, got 20 and 0"),
        ("hiershrink", {"shrinkage": 0.0}, "shrinkage must be above 0, got 0"),
        ("irt", {"dims": 0}, "dims and steps must be at least 1, got 0 and 100"),
        ("irt", {"penalty": 0.0}, "penalty must be above 0, got 0"),
        ("equirouter", {"tie": 2.0}, "tie must be between 0 and 1, got 2"),
        ("equirouter", {"penalty": -1.0}, "penalty must be above 0, got -1"),
        ("linucb", {"alpha": -1.0}, "alpha must be at least 0 and ridge above 0, got -1 and 1"),
        ("linucb", {"dims": 0}, "dims must be at least 1, got 0"),
        ("cascade_routing", {"max_calls": 0}, "max_calls must be at least 1, got 0"),
        ("cascade_routing", {"weight": -1.0}, "weight must be at least 0, got -1"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(name: str, bad: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_router(name, **bad)


@pytest.mark.parametrize(
    "name", ["gbm", "carrot", "uniroute", "hiershrink", "irt", "equirouter", "cascade_routing", "linucb"]
)
def test_queries_without_embeddings_are_refused(name: str) -> None:
    train = planted_table(30)
    bare = replace(train, queries=replace(train.queries, embedding=None))
    with pytest.raises(ValueError, match="needs query embeddings"):
        make_router(name).fit(bare)
