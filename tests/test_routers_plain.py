"""The plain predictors: nearest neighbours, linear models, support vector machines, a network, a classifier."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.svm import LinearSVC

from llmrouterbench.checks.router import planted_table
from llmrouterbench.estimating.pseudo import PseudoOutcomes
from llmrouterbench.metrics import avg_acc, dataset_means
from llmrouterbench.routers import make_router
from llmrouterbench.routers._linear_models import (
    Affine,
    fit_affine,
    fit_costs,
    fit_ridge,
    logistic_loss,
    softmax,
    softmax_loss,
    squared_hinge_loss,
)
from llmrouterbench.routers.mlp import Net, _slopes
from llmrouterbench.splits import validation_split
from llmrouterbench.table import FloatArray, Outcomes, Queries


def spread(n: int, d: int, seed: int) -> FloatArray:
    """Rows whose columns differ a hundredfold in size, as the axes of an SVD do."""
    return np.random.default_rng(seed).standard_normal((n, d)) * np.geomspace(1.0, 0.01, d) + 0.3


def line(score: Any, *, cost: Any = None, dataset: Any = "data", angle: Any = None) -> Outcomes:
    """Outcomes of models a, b, ... on queries at given angles of the unit circle."""
    score = np.asarray(score, dtype=float)
    angle = np.zeros(len(score)) if angle is None else np.asarray(angle)
    embedding = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    names = [chr(97 + j) for j in range(score.shape[1])]
    return Outcomes.of(
        [f"q{i}" for i in range(len(score))], names, score, cost=cost, dataset=dataset, embedding=embedding
    )


def at(angle: float) -> Queries:
    return Queries.of(["new"], embedding=np.array([[np.cos(angle), np.sin(angle)]]))


def test_softmax_regression_agrees_with_scikit_learn() -> None:
    x = spread(300, 6, 0)
    label = (x @ np.random.default_rng(1).standard_normal((6, 3)) + spread(300, 3, 2)).argmax(axis=1)
    ours = softmax(fit_affine(x, np.eye(3)[label], softmax_loss, 0.1)(x))
    theirs = LogisticRegression(C=10.0, tol=1e-10, max_iter=10_000).fit(x, label).predict_proba(x)
    assert np.abs(ours - theirs).max() < 2e-3


def test_a_fraction_is_a_weighted_pair_of_labels() -> None:
    x, share = spread(200, 4, 3), np.random.default_rng(4).random(200)
    ours = fit_affine(x, share[:, None], logistic_loss, 0.5)(x)[:, 0]
    twice = LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000)
    twice.fit(np.vstack([x, x]), np.repeat([1, 0], 200), sample_weight=np.concatenate([share, 1 - share]))
    assert np.abs(ours - twice.decision_function(x)).max() < 5e-3


def test_squared_hinge_agrees_with_a_linear_machine() -> None:
    half = spread(150, 4, 5)
    sign = np.where(half[:, 0] + 0.5 * np.random.default_rng(6).standard_normal(150) > 0, 1.0, -1.0)
    x, y = np.vstack([half, -half]), np.concatenate([sign, -sign])  # mirrored, so that the best bias is 0
    ours = fit_affine(x, (y[:, None] + 1) / 2, squared_hinge_loss, 1.0)
    theirs = LinearSVC(C=1.0, dual=False, tol=1e-9, fit_intercept=False).fit(x, y)
    assert np.abs(ours.weight[:, 0] - theirs.coef_[0]).max() < 5e-3
    assert abs(ours.bias[0]) < 1e-3


def test_targets_that_are_missing_count_for_nothing() -> None:
    x, target = spread(80, 3, 7), np.random.default_rng(8).random((80, 3))
    target[::2, 0] = np.nan
    target[:, 2] = np.nan
    some = fit_affine(x[1::2], target[1::2, :1], logistic_loss, 1.0)
    whole = fit_affine(x, target, logistic_loss, 1.0)
    assert np.abs(whole(x)[:, 0] - some(x)[:, 0]).max() < 5e-3
    assert np.abs(whole(x)[:, 2]).max() < 1e-9
    ridge = fit_ridge(x, target, (1.0,))
    assert np.allclose(ridge(x)[:, 0], fit_ridge(x[1::2], target[1::2, :1], (1.0,))(x)[:, 0])
    assert (ridge(x)[:, 2] == 0).all()


def test_leave_one_out_chooses_the_penalty_that_scikit_learn_chooses() -> None:
    for seed, noise in ((9, 0.01), (10, 3.0)):
        x = spread(60, 5, seed)
        y = x @ np.ones((5, 1)) + noise * np.random.default_rng(seed).standard_normal((60, 1))
        grid = (0.01, 1.0, 100.0)
        theirs = RidgeCV(alphas=grid).fit(x, y)
        assert np.allclose(fit_ridge(x, y, grid)(x), np.reshape(theirs.predict(x), (60, 1)), atol=1e-8)


def test_costs_stay_within_what_was_seen_and_unknown_stays_unknown() -> None:
    x = spread(50, 3, 11)
    cost = np.column_stack([np.exp(3 * x[:, 0]), np.full(50, np.nan), np.zeros(50)])
    expected = fit_costs(x, cost)(np.vstack([100 * x, -100 * x]))
    assert expected[:, 0].min() == pytest.approx(cost[:, 0].min())
    assert expected[:, 0].max() == pytest.approx(cost[:, 0].max())
    assert np.isnan(expected[:, 1]).all()
    assert (expected[:, 2] == 0).all()


@pytest.mark.parametrize("kind", ["ridge", "logistic"])
def test_linear_finds_the_direction_in_which_models_differ(kind: str) -> None:
    train = line([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]] * 10, angle=[0.1, 0.2, 1.4, 1.5] * 10)
    router = make_router("linear", kind=kind).fit(train)
    assert router.predict(at(0.0)).score.argmax() == 0
    assert router.predict(at(1.57)).score.argmax() == 1


def test_models_of_few_queries_learn_from_one_another_where_pooled() -> None:
    """Eight models that find the same queries hard, one measured on each: what one shows is known of all."""
    rng = np.random.default_rng(0)
    angle, level = rng.uniform(0, np.pi, 320), np.linspace(0.2, 0.5, 8)
    truth = level + 0.4 * np.cos(angle)[:, None]
    score = np.where(np.eye(8)[rng.integers(0, 8, 320)] > 0, truth + 0.3 * rng.standard_normal((320, 8)), np.nan)
    train = line(np.zeros((320, 8)), angle=angle)
    train = PseudoOutcomes.of_planes(train, score, np.full(score.shape, np.nan))
    errors = [
        float(((make_router("linear", pooled=pooled).fit(train).predict(train.queries).score - truth) ** 2).mean())
        for pooled in (True, False)
    ]
    assert errors[0] < 0.8 * errors[1]
    with pytest.raises(ValueError, match="pooled needs kind 'ridge', got 'logistic'"):
        make_router("linear", kind="logistic", pooled=True)


def test_linear_keeps_fractions() -> None:
    train = line([[0.25, 0.75]] * 20, angle=np.linspace(0, 1, 20))
    for kind in ("ridge", "logistic"):
        score = make_router("linear", kind=kind).fit(train).predict(at(0.5)).score
        assert np.allclose(score, [[0.25, 0.75]], atol=0.01)


def test_neighbours_as_near_as_the_last_one_all_count() -> None:
    train = line([[1.0], [0.0], [0.0]], angle=[0.0, 0.5, 0.5])
    assert make_router("knn", k=2).fit(train).predict(at(0.0)).score[0, 0] == pytest.approx(1 / 3)
    assert make_router("knn", k=1).fit(train).predict(at(0.0)).score[0, 0] == 1.0
    assert make_router("knn", k=50).fit(train).predict(at(0.0)).score[0, 0] == pytest.approx(1 / 3)


def test_tuned_k_is_the_best_of_plain_knn_on_validation() -> None:
    train = planted_table(300, 5)
    tuned: Any = make_router("knn_tuned", ks=(1, 5, 25, 125), seed=3).fit(train)
    rows, held = validation_split(train, np.arange(300), 3)
    part, rest = train.take(held), train.take(rows)
    acc = {}
    for k in (1, 5, 25, 125):
        estimate = make_router("knn", k=k).fit(rest).predict(part.queries)
        order = np.argsort(train.models)
        picks = order[estimate.score[:, order].argmax(axis=1)]
        acc[k] = float(avg_acc(dataset_means(part.score[np.arange(len(part)), picks], part.dataset, part.datasets)))
    assert tuned.acc_.tolist() == pytest.approx(list(acc.values()))
    assert tuned.k_ == max(acc, key=lambda k: (acc[k], k))
    plain = make_router("knn", k=tuned.k_).fit(train)
    test = planted_table(40, 6).queries
    assert (tuned.predict(test).score == plain.predict(test).score).all()


def test_guard_by_hand() -> None:
    """Near angle 0, b wins 3 of 4 and ties once: gain 0.75, standard error sqrt((0.75 - 0.75^2) / 3) = 0.25."""
    near, far = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0]] * 8
    train = line(near + far, angle=[0.0] * 4 + [1.5] * 8)
    for z, served in ((2.9, 1), (3.1, 0)):
        router: Any = make_router("knn_guard", k=4, z=z).fit(train)
        assert router.best_ == 0
        estimate = router.predict(at(0.0))
        assert estimate.score.argmax() == served, z
        assert estimate.score[0, 0] == 0.25
    assert make_router("knn_guard", k=4, z=0.0).fit(train).predict(at(1.5)).score.argmax() == 0


def test_without_a_guard_it_is_knn_and_with_a_strict_one_the_best_single() -> None:
    train, test = planted_table(300, 7), planted_table(80, 8).queries
    plain = make_router("knn", k=30).fit(train).predict(test).score.argmax(axis=1)
    open_: Any = make_router("knn_guard", k=30, z=0.0).fit(train)
    assert (open_.predict(test).score.argmax(axis=1) == plain).mean() > 0.97
    strict: Any = make_router("knn_guard", k=30, z=1000.0).fit(train)
    picks = strict.predict(test).score.argmax(axis=1)
    assert (picks == strict.best_).mean() > 0.95  # but for unanimous neighbours, whose standard error is 0


def test_svm_with_all_landmarks_is_the_exact_machine() -> None:
    rng = np.random.default_rng(12)
    angle = rng.random(40) * 3
    train = line((rng.random((40, 1)) < (angle[:, None] > 1.5) * 0.8 + 0.1).astype(float), angle=angle)
    assert train.queries.embedding is not None
    x, y = train.queries.embedding, 2 * train.score[:, 0] - 1
    kernel = np.exp(-2.0 * ((x[:, None] - x) ** 2).sum(axis=2))

    def objective(flat: FloatArray) -> float:
        slack = np.maximum(0.0, 1.0 - y * (kernel @ flat[:-1] + flat[-1]))
        return float(0.5 * flat[:-1] @ kernel @ flat[:-1] + 3.0 * (slack**2).sum())

    exact = minimize(objective, np.zeros(41), options={"maxiter": 5000}).x
    expected = np.clip(0.5 * (kernel @ exact[:-1] + exact[-1] + 1), 0, 1)
    got = make_router("svm", c=3.0, gamma=2.0, landmarks=40).fit(train).predict(train.queries).score[:, 0]
    assert np.abs(got - expected).max() < 0.01


def test_svm_estimates_are_frequencies() -> None:
    rng = np.random.default_rng(13)
    angle = rng.random(2000) * 3
    chance = 0.2 + 0.6 * (angle > 1.5)
    train = line((rng.random((2000, 1)) < chance[:, None]).astype(float), angle=angle)
    score = make_router("svm", gamma=5.0).fit(train).predict(train.queries).score[:, 0]
    for low, expected in ((0.2, 0.2), (1.8, 0.8)):
        inside = (angle > low) & (angle < low + 1.0)
        assert score[inside].mean() == pytest.approx(expected, abs=0.05)


def test_multiclass_learns_shares_of_being_best() -> None:
    """Models a and b tie in half of the rows, a and c are best alone in a quarter each; rows of equals say nothing."""
    rows = [[1.0, 1.0, 0.0], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    train = line(rows * 25 + [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]] * 50)
    chance = make_router("multiclass").fit(train).predict(at(0.0)).score[0]
    assert chance.tolist() == pytest.approx([0.5, 0.25, 0.25], abs=0.01)


def test_network_slopes_agree_with_differences() -> None:
    rng = np.random.default_rng(14)
    x, y = rng.standard_normal((6, 3)).astype(np.float32), rng.random((6, 2)).astype(np.float32)
    y[2, 1] = np.nan
    parts = [rng.standard_normal(s).astype(np.float32) for s in ((3, 4), (4,), (4, 2), (2,))]
    known = np.isfinite(y)

    def loss(values: list[Any]) -> float:
        p = Net(*values).chance(Net(*values).hidden(x)).astype(np.float64)
        entropy = -(np.where(known, y, 0) * np.log(p) + (1 - np.where(known, y, 0)) * np.log(1 - p))
        return float((entropy * known).sum() / len(x))

    slopes = _slopes(Net(*parts), x, y)
    for i, part in enumerate(parts):
        for place in np.ndindex(part.shape):
            ends = []
            for step in (1e-2, -1e-2):
                moved = [p.copy() for p in parts]
                moved[i][place] += step
                ends.append(loss(moved))
            assert slopes[i][place] == pytest.approx((ends[0] - ends[1]) / 2e-2, abs=5e-3)


def test_network_bends_where_a_line_cannot() -> None:
    """One model is right at both ends of an arc, the other in the middle."""
    rng = np.random.default_rng(15)
    angle = rng.random(800) * 3
    middle = (angle > 1) & (angle < 2)
    train = line(np.column_stack([~middle, middle]).astype(float), angle=angle)
    router = make_router("mlp", hidden=32, rate=0.01).fit(train)
    assert [int(router.predict(at(a)).score.argmax()) for a in (0.4, 1.5, 2.6)] == [0, 1, 0]


def test_network_stops_where_validation_gets_worse() -> None:
    noise = planted_table(200, 16, signal=False)
    router: Any = make_router("mlp", epochs=40, rate=0.01, patience=3).fit(noise)
    assert 1 <= router.epochs_ < 30


def test_affine_is_a_function_of_rows() -> None:
    assert Affine(np.array([[2.0]]), np.array([1.0]))(np.array([[3.0]])).tolist() == [[7.0]]


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("knn_tuned", {"ks": ()}, "ks must hold numbers of neighbours of at least 1"),
        ("knn_guard", {"k": 1}, "k must be at least 2 and z at least 0, got 1 and 1.0"),
        ("linear", {"kind": "cubic"}, "kind must be 'ridge' or 'logistic', got 'cubic'"),
        ("linear", {"penalty": 0.0}, "penalty must be above 0, got 0.0"),
        ("mlp", {"hidden": 0}, "hidden, epochs, batch and patience must be at least 1"),
        ("svm", {"c": -1.0}, "c, gamma and landmarks must be above 0, got -1.0"),
        ("multiclass", {"penalty": 0.0}, "penalty must be above 0, got 0.0"),
        ("task_soft", {"pseudo": -1.0}, "penalty must be above 0, pseudo at least 0"),
        ("task_soft", {"folds": 1}, "folds must be at least 2, got 1"),
        ("task_lookup", {"clusters": 0}, "clusters at least 1, got 0.1, 5.0 and 0"),
        ("gated", {"folds": 1}, "folds must be at least 2, got 1"),
        ("gated", {"router": "knnn"}, "no router named 'knnn'; did you mean 'knn'"),
    ],
)
def test_bad_settings_get_one_sentence(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_router(name, **settings)
