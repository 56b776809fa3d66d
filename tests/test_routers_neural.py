"""EmbedLLM, RouteLLM and GraphRouter: their equations, their dials, and what they do with awkward tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from llmrouterbench.benching.policies import decide_sweep
from llmrouterbench.checks.router import planted_table
from llmrouterbench.routers import make_router
from llmrouterbench.routers._pairs import choose_pair
from llmrouterbench.routers._query_graph import build_graph, normalised_costs
from llmrouterbench.routers._torch import keep_best, masked_cross_entropy
from llmrouterbench.routers.embedllm import EmbedLLM, collapse
from llmrouterbench.routers.graphrouter import GraphRouter
from llmrouterbench.routers.routellm import THRESHOLDS, RouteLLM
from llmrouterbench.table import FloatArray, Outcomes, Queries

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="needs torch; pip install 'llmrouterbench[torch]'")


def table(score: list[list[float]], cost: list[list[float]] | None = None, dataset: str | list[str] = "d") -> Outcomes:
    n = len(score)
    models = ["a", "b", "c"][: len(score[0])]
    return Outcomes.of([f"q{i}" for i in range(n)], models, score, cost=cost, dataset=dataset, embedding=np.eye(n, 4))


def test_two_class_and_binary_cross_entropy_agree() -> None:
    draw = torch.Generator().manual_seed(0)
    two = torch.randn(5, 2, generator=draw)
    target = torch.tensor([0.0, 1.0, 0.5, 0.25, 1.0])
    soft = torch.stack([1 - target, target], dim=1)
    official = torch.nn.functional.cross_entropy(two, soft)
    mine = masked_cross_entropy(two[:, 1] - two[:, 0], target, torch.ones(5))
    assert torch.allclose(official, mine)
    assert float(masked_cross_entropy(two[:, 0], target, torch.zeros(5))) == 0.0


def test_embedllm_is_the_published_product_collapsed() -> None:
    draw = torch.Generator().manual_seed(1)
    vector, query = torch.randn(3, 16, generator=draw), torch.randn(7, 4, generator=draw)
    inner, outer = torch.nn.Linear(4, 16), torch.nn.Linear(16, 2)
    mine = collapse(vector, inner, outer).logit(query.numpy().astype(float))
    for model in range(3):
        two = outer(vector[model] * inner(query))
        np.testing.assert_allclose(mine[:, model], (two[:, 1] - two[:, 0]).detach().numpy(), atol=1e-5)


def test_embedllm_learns_fractions_where_the_official_code_truncates_them() -> None:
    train = planted_table(300)
    half = replace(train, score=np.full_like(train.score, 0.5))
    score = make_router("embedllm").fit(half).predict(planted_table(50, 1).queries).score
    np.testing.assert_allclose(score, 0.5, atol=0.05)


def test_embedllm_predicts_without_noise_and_keeps_a_vector_per_model() -> None:
    train, test = planted_table(200), planted_table(40, 1)
    router = EmbedLLM(dim=32, epochs=5).fit(train)
    assert (router.predict(test.queries).score == router.predict(test.queries).score).all()
    assert router.factors_.vector.shape == (4, 32)


def test_training_leaves_the_global_random_state_and_threads_alone() -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    for name in ("embedllm", "routellm", "graphrouter"):
        make_router(name, epochs=2).fit(planted_table(100))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_the_pair_is_the_papers_where_the_pool_has_it() -> None:
    score = [[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    pool = replace(table(score), models=("x", "gpt-5", "qwen3-235b-a22b-2507"))
    assert choose_pair(pool) == (1, 2)
    assert choose_pair(pool, strong="x") == (0, 2)
    assert choose_pair(pool, weak="gpt-5") == (0, 1)
    with pytest.raises(ValueError, match="strong must be a model of the pool, got 'gpt5'; did you mean 'gpt-5'"):
        choose_pair(pool, strong="gpt5")
    with pytest.raises(ValueError, match="strong and weak must be two models, got 'x' twice"):
        choose_pair(pool, "x", "x")


def test_the_pair_is_else_the_best_and_the_cheapest_good_model() -> None:
    score = [[1.0, 1.0, 0.0]] * 4 + [[1.0, 0.0, 0.0]]
    dear = [[9.0, 2.0, 1.0]] * 5
    assert choose_pair(table(score, dear)) == (0, 1)  # c is cheaper, but far from good
    assert choose_pair(table(score)) == (0, 1)  # no known cost: the next best
    assert choose_pair(table([[0.0]])) == (0, 0)
    with pytest.raises(ValueError, match="needs at least one measured accuracy"):
        choose_pair(table([[np.nan, np.nan]]))


def test_routellm_starts_from_a_coin_as_the_official_results_show() -> None:
    router = RouteLLM("alpha", "delta", epochs=1).fit(planted_table(400))
    rates = router.win_rates(planted_table(200, 1).queries)
    assert rates.shape == (200, 1)
    assert np.abs(rates - 0.5).max() < 0.02  # the official runs report win rates of 0.496 to 0.504


def test_routellm_dial_goes_from_always_weak_to_always_strong() -> None:
    train, test = planted_table(400), planted_table(100, 1)
    router = RouteLLM("alpha", "delta").fit(train)
    sweep = router.decide_sweep(test.queries, router.weights)
    assert (router.weights[0], router.weights[-1]) == (1.0, 0.0)
    assert (sweep[0] == 0).all()
    assert (sweep[-1] == 1).all()
    strong = (sweep == 1).sum(axis=1)
    assert (np.diff(strong) >= 0).all()
    assert 0 < strong[THRESHOLDS == 0.5][0] < 100


def test_routellm_calibrates_to_a_share_of_strong_calls() -> None:
    router = RouteLLM("alpha", "delta").fit(planted_table(400))
    queries = planted_table(200, 1).queries
    for share in (0.0, 0.25, 0.5, 1.0):
        choice = router.decide_sweep(queries, np.array([router.calibrate(queries, share)]))
        assert (choice == 1).mean() == pytest.approx(share)
    with pytest.raises(ValueError, match="strong_share must be between 0 and 1, got 1.5"):
        router.calibrate(queries, 1.5)


def test_routellm_with_all_models_serves_the_cheapest_that_is_not_beaten() -> None:
    train, test = planted_table(900), planted_table(300, 1)
    router = RouteLLM(strong="charlie", candidates="all").fit(train)
    assert [train.models[i] for i in router.pool_] == ["charlie", "delta", "alpha", "bravo"]  # by cost after the first
    rates = router.win_rates(test.queries)
    choice = router.decide_sweep(test.queries, np.array([0.5]))[0]
    for row in range(300):
        cheaper = [model for model, rate in zip(router.pool_[1:], rates[row], strict=True) if rate < 0.5]
        assert choice[row] == (cheaper[0] if cheaper else router.pool_[0])
    assert len(set(choice.tolist())) >= 3
    best = router.predict(test.queries).score.argmax(axis=1)
    assert test.score[np.arange(300), best].mean() > test.score.mean(axis=0).max() + 0.2


def test_routellm_expected_gap_is_the_win_rate_times_the_mean_gap() -> None:
    train, test = planted_table(400), planted_table(50, 1)
    router = RouteLLM("alpha", "delta").fit(train)
    score = router.predict(test.queries).score
    gap = np.abs(train.score[:, 1] - train.score[:, 0]).mean()
    rate = router.win_rates(test.queries)[:, 0]
    np.testing.assert_allclose(score[:, 1] - score[:, 0], (2 * rate - 1) * gap, atol=1e-9)
    np.testing.assert_allclose(score[:, 2], train.score[:, 2].mean())


def test_routellm_without_a_single_decisive_battle_has_no_opinion() -> None:
    train = planted_table(60)
    router = RouteLLM("alpha", "delta").fit(replace(train, score=np.full_like(train.score, 0.5)))
    assert (router.win_rates(train.queries) == 0.5).all()


def test_graph_costs_are_normalised_per_dataset_and_unknown_is_dearest() -> None:
    cost = [[1.0, 3.0], [2.0, np.nan], [5.0, 5.0], [np.nan, np.nan]]
    some = table([[1.0, 0.0]] * 4, cost, ["x", "x", "y", "z"])
    assert normalised_costs(some).tolist() == [[0.0, 1.0], [0.5, 1.0], [0.0, 0.0], [0.0, 0.0]]


def test_graph_labels_by_hand() -> None:
    score = [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.5, np.nan, 0.0]]
    some = table(score, [[0.0, 1.0, 0.5]] * 3)
    embedding = some.queries.embedded("the test")
    graph = build_graph(some, embedding, "pf", None, None)
    assert graph.label.astype(int).tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0]]
    assert graph.signal.tolist() == [True, False, True]  # where every model fails nothing is learned
    assert graph.edge[0].tolist() == [[1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.5, 0.0]]
    assert (graph.edge[2, 1] == 0).all()
    assert not graph.measured[2, 1]
    balanced = build_graph(some, embedding, "bl", None, None)
    assert balanced.signal.all()  # the cheapest of those that fail is the better choice where cost counts
    assert balanced.label[1].tolist() == [True, False, False]
    assert balanced.label[0].tolist() == [True, False, False]
    np.testing.assert_allclose(balanced.edge[0, :, 0], [0.5, 0.0, -0.25])


def test_graphrouter_utilities_trade_score_for_cost() -> None:
    train, test = planted_table(600), planted_table(300, 1)
    paid, scored = [], []
    for utility in ("pf", "bl", "cf"):
        choice = decide_sweep(make_router("graphrouter", utility=utility).fit(train), test.queries, np.zeros(1))[0]
        paid.append(test.cost[np.arange(300), choice].mean())
        scored.append(test.score[np.arange(300), choice].mean())
    assert paid[0] > paid[2]
    assert scored[0] > scored[2]
    assert paid[0] >= paid[1] >= paid[2]


def test_graphrouter_learns_nothing_where_every_model_fails() -> None:
    train = planted_table(400).select(("delta", "alpha"))
    failed = np.random.default_rng(0).random(400) < 0.7
    score = np.where(failed[:, None], 0.0, np.array([1.0, 0.0]))
    chance = GraphRouter().fit(replace(train, score=score)).predict(planted_table(50, 1).queries).score
    assert (chance[:, 0] > 0.8).all()
    assert (chance[:, 1] < 0.2).all()  # the official labels would call it best on the 70 % that both fail


def test_graphrouter_takes_description_vectors() -> None:
    train, test = planted_table(400), planted_table(100, 1)
    names = dict(zip(train.models, np.eye(4).tolist(), strict=True))
    tasks = dict(zip(train.datasets, np.eye(3).tolist(), strict=True))
    router = GraphRouter(llm_vectors=names, task_vectors=tasks).fit(train)
    choice = router.decide_sweep(test.queries, np.zeros(1))[0]
    assert test.score[np.arange(100), choice].mean() > test.score.mean(axis=0).max() + 0.2
    del names["alpha"]
    with pytest.raises(ValueError, match="llm_vectors must hold a vector for every model, got none for 'alpha'"):
        GraphRouter(llm_vectors=names).fit(train)


def test_the_best_state_is_the_one_with_the_lowest_loss() -> None:
    assert keep_best([(3.0, "a"), (1.0, "b"), (2.0, "c"), (0.5, "d")], patience=5) == "d"
    assert keep_best([(1.0, "a"), (1.0, "b")], patience=5) == "a"


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("embedllm", {"dim": 0}, "dim, batch, epochs and patience must be at least 1"),
        ("routellm", {"rate": 0.0}, "rate above 0"),
        ("routellm", {"candidates": "three"}, "candidates must be 'pair' or 'all', got 'three'"),
        ("graphrouter", {"utility": "best"}, "utility must be one of pf, bl, cf"),
        ("graphrouter", {"mask": 1.0}, r"mask in \(0, 1\)"),
    ],
)
def test_bad_settings_are_named(name: str, settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_router(name, **settings)


@pytest.mark.parametrize("name", ["embedllm", "routellm", "graphrouter"])
def test_without_torch_or_vectors_the_remedy_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Outcomes.of(["a", "b"], ["m", "n"], [[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match=f"router '{name}' needs query embeddings"):
        make_router(name).fit(plain)
    fitted = make_router(name, epochs=1).fit(planted_table(60))
    with pytest.raises(ValueError, match=f"router '{name}' needs query embeddings"):
        fitted.predict(Queries.of(["a"]))
    monkeypatch.setattr("llmrouterbench.routers._torch.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=rf"router '{name}' needs torch; pip install 'llmrouterbench\[torch\]'"):
        make_router(name).fit(planted_table(60))


def test_a_watch_sees_every_state_and_the_same_one_is_kept() -> None:
    states = [(3.0, "a"), (1.0, "b"), (2.0, "c"), (2.0, "d"), (0.5, "e")]
    seen: list[str] = []
    assert keep_best(states, patience=2, watch=seen.append) == keep_best(states, patience=2) == "b"
    assert seen == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("name", "settings", "checkpoints"),
    [
        ("embedllm", {"dim": 16, "rate": 1e-2, "epochs": 30, "patience": 2}, 30),
        ("routellm", {"strong": "alpha", "weak": "delta", "rate": 1e-2, "epochs": 20, "patience": 2}, 20),
        ("graphrouter", {"epochs": 100, "patience": 10}, 10),
        ("mlp", {"rate": 1e-2, "epochs": 20, "patience": 2}, 20),
    ],
)
def test_a_watched_fit_is_the_fit_shown_at_every_epoch(name: str, settings: dict[str, Any], checkpoints: int) -> None:
    train, test = planted_table(300, 0), planted_table(100, 1)
    plain: Any = make_router(name, **settings).fit(train)
    seen: list[FloatArray] = []
    watched: Any = make_router(name, **settings)
    watched.fit_watched(train, lambda now: seen.append(now.predict(test.queries).score))
    assert len(seen) == checkpoints
    assert len({picks.tobytes() for picks in seen}) > 1
    kept = watched.predict(test.queries).score
    np.testing.assert_array_equal(kept, plain.predict(test.queries).score)
    assert any(np.array_equal(kept, one) for one in seen)


@pytest.mark.parametrize("name", ["embedllm", "graphrouter"])
def test_papers_settings_are_known(name: str) -> None:
    cls = type(make_router(name))
    settings = cls.PAPER  # type: ignore[attr-defined]
    router = make_router(name, **{**settings, "epochs": 3, "passes": 2} if name == "graphrouter" else settings)
    assert all(getattr(router, key) == value for key, value in settings.items() if key not in ("epochs", "passes"))


def test_training_on_a_gpu_finds_the_signal() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    train, test = planted_table(600), planted_table(300, 1)
    for name in ("embedllm", "routellm", "graphrouter"):
        choice = decide_sweep(make_router(name).fit(train), test.queries, np.array([0.5]))[0]
        assert test.score[np.arange(300), choice].mean() > test.score.mean(axis=0).max() + 0.1
