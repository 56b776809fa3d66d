"""Routers: names, worked examples, and agreement with the official Avengers picks."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from llmrouterbench.benching.policies import decide_sweep, weights_of
from llmrouterbench.contracts import TradeOffRouter
from llmrouterbench.persist import constructor_settings
from llmrouterbench.routers import REGISTRY, make_router, parse_router, registry, router_names
from llmrouterbench.table import FloatArray, Outcomes, Queries
from official_avengers import official_picks

# Routers with an encoder to train have their tests in test_routers_finetuned.py.
QUICK = [name for name in router_names() if "finetune" not in registry()[name].needs]


def planted(n: int = 300, seed: int = 0) -> Outcomes:
    """Three directions in space, one model good at each; ties abound because scores are 0 or 1."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, 3, n)
    embedding = np.eye(8)[topic] + 0.3 * rng.standard_normal((n, 8))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    chance = np.where(np.arange(4) == topic[:, None], 0.9, 0.4)
    return Outcomes.of(
        [f"q{i}" for i in range(n)],
        ["delta", "alpha", "charlie", "bravo"],
        (rng.random((n, 4)) < chance).astype(float),
        dataset=[f"d{t}" for t in rng.integers(0, 2, n)],
        cost=rng.random((n, 4)) * np.array([1.0, 2.0, 3.0, 4.0]),
        embedding=embedding,
    )


@pytest.mark.parametrize("top_k", [1, 3])
@pytest.mark.parametrize("seed", [42, 999])
def test_avengers_picks_what_the_official_rules_pick(seed: int, top_k: int) -> None:
    train, test = planted(300, 1), planted(100, 2)
    router = make_router("avengers", k=24, seed=seed, top_k=top_k).fit(train)
    picks = decide_sweep(router, test.queries, np.zeros(1))[0].tolist()
    assert picks == official_picks(train, test, 24, seed, None, top_k)


@pytest.mark.parametrize("top_k", [1, 3])
def test_avengers_pro_picks_what_the_official_rules_pick(top_k: int) -> None:
    train, test = planted(300, 3), planted(80, 4)
    router = make_router("avengers_pro", k=12, top_k=top_k).fit(train)
    alphas = np.array([0.0, 0.3, 0.62, 1.0])
    sweep = decide_sweep(router, test.queries, alphas)
    for alpha, picks in zip(alphas.tolist(), sweep.tolist(), strict=True):
        assert picks == official_picks(train, test, 12, 42, alpha, top_k)


def test_avengers_merges_copies_and_sorts_rows_before_clustering() -> None:
    base = planted(200, 5)
    rows = np.random.default_rng(0).permutation(200)
    shuffled = base.take(rows)
    test = planted(50, 6).queries
    one, other = (make_router("avengers", k=16).fit(train) for train in (base, shuffled))
    assert decide_sweep(one, test, np.zeros(1)).tolist() == decide_sweep(other, test, np.zeros(1)).tolist()


def test_avengers_pro_dial_goes_from_cheap_to_good() -> None:
    train, test = planted(400, 7), planted(200, 8)
    router = make_router("avengers_pro", k=8).fit(train)
    assert isinstance(router, TradeOffRouter)
    assert len(router.weights) == 101
    sweep = decide_sweep(router, test.queries, router.weights)
    cost = test.cost[np.arange(200), sweep].mean(axis=1)
    score = test.score[np.arange(200), sweep].mean(axis=1)
    assert cost[0] < cost[-1]
    assert score[0] < score[-1]


def test_knn_means_its_neighbours_by_hand() -> None:
    train = Outcomes.of(
        ["a", "b", "c"],
        ["m", "n"],
        [[1.0, 0.0], [0.0, np.nan], [0.0, 1.0]],
        cost=[[2.0, 1.0], [4.0, 1.0], [6.0, 1.0]],
        embedding=np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]),
    )
    estimate = make_router("knn", k=2).fit(train).predict(Queries.of(["x"], embedding=np.array([[1.0, 0.0]])))
    assert estimate.score.tolist() == [[0.5, 0.0]]  # n was not measured on b: a alone counts
    assert estimate.cost.tolist() == [[3.0, 1.0]]


def test_best_single_averages_over_datasets_not_queries() -> None:
    train = Outcomes.of(
        ["a", "b", "c", "d"],
        ["often", "even"],
        [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 1.0]],
        dataset=["x", "x", "x", "y"],
    )
    router = make_router("best_single").fit(train)
    assert decide_sweep(router, Queries.of(["q"]), np.zeros(1)).tolist() == [[1]]  # 5/6 for "even", 1/2 for "often"


@pytest.mark.parametrize("name", [name for name in QUICK if name != "best_single"])
def test_a_planted_signal_beats_the_best_single(name: str) -> None:
    train, test = planted(600, 9), planted(400, 10)
    router = make_router(name).fit(train)
    weights = weights_of(router, train)
    picks = decide_sweep(router, test.queries, weights)
    routed = test.score[np.arange(400), picks].mean(axis=1).max()
    assert routed > test.score.mean(axis=0).max() + 0.1


@pytest.mark.parametrize("name", QUICK)
def test_rows_are_decided_independently_and_again_the_same(name: str) -> None:
    train, test = planted(200, 11), planted(40, 12)
    router = make_router(name).fit(train)
    weights = weights_of(router, train)
    whole = decide_sweep(router, test.queries, weights)
    half: FloatArray = decide_sweep(router, test.queries.take(np.arange(0, 40, 2)), weights).astype(float)
    assert (whole[:, ::2] == half).all()
    assert (decide_sweep(make_router(name).fit(train), test.queries, weights) == whole).all()


@pytest.mark.parametrize("name", QUICK)
def test_unmeasured_cells_and_unpriced_models_do_not_break_a_router(name: str) -> None:
    train = planted(120, 13)
    score, cost = train.score.copy(), train.cost.copy()
    score[::3, 0] = np.nan
    score[:, 3] = np.nan
    cost[:, 1] = np.nan
    holes = Outcomes.of(
        list(train.queries.text),
        train.models,
        score,
        dataset=train.dataset.tolist(),
        cost=cost,
        embedding=train.queries.embedding,
    )
    router = make_router(name).fit(holes)
    picks = decide_sweep(router, planted(30, 14).queries, weights_of(router, holes))
    if "avengers" in name:
        assert (picks != 3).all()  # a model that was never measured is never chosen, however cheap it might be
    assert (picks[-1 if name == "avengers_pro" else 0] != 3).all()
    assert np.isfinite(router.predict(planted(30, 14).queries).score).all()


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("knn:k=abc", "router 'knn': k must be a whole number, got 'abc'; leave it out for 100"),
        ("knn:k=1.5", "router 'knn': k must be a whole number, got 1.5"),
        ("knn:k=true", "router 'knn': k must be a whole number, got True"),
        ("knn:k=none", "router 'knn': k must be a whole number, got None"),
        ("multiclass:penalty=x", "router 'multiclass': penalty must be a number, got 'x'; leave it out for 1.0"),
        ("svm:gamma=x", "router 'svm': gamma must be a number or none, got 'x'; leave it out for None"),
        ("linear:kind=lasso", "router 'linear': kind must be 'ridge' or 'logistic', got 'lasso'"),
        ("gated:router=7", "router 'gated': router must be a text, got 7; leave it out for 'knn'"),
        ("task_soft:gate=0", "router 'task_soft': gate must be true or false, got 0; leave it out for True"),
    ],
)
def test_a_setting_is_what_the_constructor_says(spec: str, sentence: str) -> None:
    name, settings = parse_router(spec)
    with pytest.raises(ValueError) as caught:
        make_router(name, **settings)
    assert str(caught.value).startswith(sentence)


def test_settings_that_fit_are_taken() -> None:
    fit: list[tuple[str, Any]] = [
        ("knn:k=7", 7), ("svm:gamma=none", None), ("svm:gamma=1", 1), ("linear:penalty=2", 2),
        ("task_soft:gate=false", False),
    ]  # fmt: skip
    for spec, value in fit:
        name, settings = parse_router(spec)
        (setting,) = settings
        assert vars(make_router(name, **settings))[setting] == value
    assert vars(make_router("knn", k=np.int64(7)))["k"] == 7
    assert vars(make_router("knn_tuned", ks=[5, 10]))["ks"] == [5, 10], "only plain values are held"
    for name, entry in REGISTRY.items():
        if not entry.needs:
            make_router(name, **constructor_settings(make_router(name)))


def test_names_and_settings_get_suggestions() -> None:
    with pytest.raises(ValueError, match="no router named 'avenger'; did you mean 'avengers'"):
        make_router("avenger")
    with pytest.raises(
        ValueError, match="router 'knn' has no setting 'n'; did you mean|router 'knn' has no setting 'n'; there are k"
    ):
        make_router("knn", n=3)
    with pytest.raises(ValueError, match="must be key=value, got '32'"):
        parse_router("avengers:32")
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        make_router("knn", k=0)


def test_listing_routers_imports_no_heavy_library() -> None:
    code = (
        "import sys, llmrouterbench.routers as r; r.router_names();"
        "print([m for m in ('torch', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
