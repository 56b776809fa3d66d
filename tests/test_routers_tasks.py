"""Routers that predict the task of a query, and the gate that falls back to the best single model."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from llmrouterbench.benching.policies import best_utility, decide_sweep, default_weights
from llmrouterbench.checks.router import planted_table
from llmrouterbench.contracts import Router, TradeOffRouter
from llmrouterbench.embedders import make_embedder
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.metrics import avg_acc, best_single, dataset_means
from llmrouterbench.routers import make_router
from llmrouterbench.routers._tasks import TaskSettings, fit_tasks
from llmrouterbench.routers.avengers_pro import AvengersPro
from llmrouterbench.routers.gated import Gated
from llmrouterbench.routers.knn import KNN
from llmrouterbench.routers.task_lookup import TaskLookup
from llmrouterbench.routers.task_soft import TaskSoft
from llmrouterbench.splits import make_split
from llmrouterbench.table import Outcomes
from llmrouterbench.worth import capped, folds_of, out_of_fold_gain

SHARED = Path(__file__).resolve().parents[2] / "shared"


def dominated(n: int = 300, seed: int = 0) -> Outcomes:
    """One model is better than the others on every topic; the cheapest is far cheaper."""
    table = planted_table(n, seed)
    rng = np.random.default_rng(seed + 100)
    score = (rng.random((n, 4)) < np.array([0.5, 0.55, 0.9, 0.45])).astype(float)
    cost = np.tile([0.001, 0.002, 0.02, 0.004], (n, 1))
    return replace(table, score=score, cost=cost)


def unrelated(table: Outcomes) -> Outcomes:
    """The same outcomes under dataset names that have nothing to do with the queries."""
    names = np.random.default_rng(5).integers(0, 3, len(table)).astype(np.str_)
    return replace(table, dataset=names)


def test_task_means_are_shrunk_to_the_model_mean() -> None:
    """Task x has model a right on 3 of 3, overall 3 of 4: (3 + 5 * 0.75) / (3 + 5)."""
    train = Outcomes.of(
        list("pqrs"),
        ["a", "b"],
        [[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]],
        dataset=["x", "x", "x", "y"],
        cost=[[1.0, np.nan], [1.0, np.nan], [1.0, np.nan], [5.0, np.nan]],
        embedding=np.eye(4),
    )
    tasks = fit_tasks(train, TaskSettings(0.1, 5.0, True, 12, 0), "test")
    assert tasks.name == ("x", "y")
    assert tasks.score.tolist() == pytest.approx(np.array([[6.75 / 8, 3.5 / 8], [3.75 / 6, 3.5 / 6]]))
    assert tasks.cost[:, 0].tolist() == pytest.approx([(3 + 5 * 2) / 8, (5 + 5 * 2) / 6])
    assert np.isnan(tasks.cost[:, 1]).all()
    raw = fit_tasks(train, TaskSettings(0.1, 0.0, True, 12, 0), "test")
    assert raw.score.tolist() == pytest.approx(np.array([[1.0, 1 / 3], [0.0, 1.0]]))


def test_a_model_that_was_spared_the_hard_task_does_not_look_strong_on_it() -> None:
    """Easy: strong 1, weak 0.8, absent 0.9. Hard: strong 0.4, weak 0.2. The absent one lies between there too."""
    easy, hard = [[1.0, 0.8, 0.9]] * 10, [[0.4, 0.2, np.nan]] * 10
    train = Outcomes.of(
        [f"q{i}" for i in range(20)],
        ["strong", "weak", "absent"],
        easy + hard,
        dataset=["easy"] * 10 + ["hard"] * 10,
        embedding=np.repeat(np.eye(2), 10, axis=0),
    )
    tasks = fit_tasks(train, TaskSettings(0.1, 5.0, True, 12, 0), "test")
    strong, weak, absent = tasks.score[1]
    assert weak < strong
    assert absent == pytest.approx(0.3)  # 0.3 on average there, and no lead over the others elsewhere


def test_soft_estimate_is_posterior_times_means() -> None:
    train, test = planted_table(400, 1), planted_table(60, 2).queries
    x, new = train.queries.embedded("test"), test.embedded("test")
    posterior = LogisticRegression(C=10.0, tol=1e-10, max_iter=10_000).fit(x, train.dataset).predict_proba(new)
    table = np.array(
        [
            [
                (train.score[train.dataset == name, j].sum() + 5 * train.score[:, j].mean())
                / ((train.dataset == name).sum() + 5)
                for j in range(4)
            ]
            for name in train.datasets
        ]
    )
    soft = TaskSoft(gate=False).fit(train).predict(test).score
    assert np.abs(soft - posterior @ table).max() < 2e-3
    hard = TaskLookup().fit(train).predict(test).score
    assert np.allclose(hard, table[posterior.argmax(axis=1)])


def test_gate_changes_nothing_where_routing_helps() -> None:
    train, test = planted_table(400, 3), planted_table(80, 4).queries
    gated, plain = TaskSoft().fit(train), TaskSoft(gate=False).fit(train)
    assert gated.gain_.clear
    assert gated.gain_.mean > 0.1
    assert (gated.predict(test).score == plain.predict(test).score).all()


@pytest.mark.parametrize("router", [TaskSoft(), Gated("knn:k=5"), Gated("linear"), Gated("avengers_pro:k=8;top_k=2")])
def test_gate_restores_the_best_single_model_where_one_dominates(router: TaskSoft | Gated) -> None:
    train, test = dominated(), dominated(80, 1).queries
    router.fit(train)
    assert not router.gain_.positive
    weights = router.weights[-1:] if isinstance(router, TradeOffRouter) else np.zeros(1)
    assert (decide_sweep(router, test, weights) == 2).all()


def test_behind_a_closed_gate_the_dial_still_saves_cost() -> None:
    train, test = dominated(), dominated(80, 1)
    router = Gated("knn:k=5").fit(train)
    picks = best_utility(router.predict(test.queries), default_weights(train))
    cost = test.cost[np.arange(80), picks].mean(axis=1)
    assert cost[0] == pytest.approx(0.02)
    assert cost[-1] == pytest.approx(0.001)


def test_gate_is_not_fooled_by_a_router_that_remembers() -> None:
    """One neighbour is the query itself on train, so its fit there is perfect; out of fold it is not."""
    train = dominated(400, 2)
    memory = KNN(k=1).fit(train)
    seen = train.score[np.arange(400), memory.predict(train.queries).score.argmax(axis=1)].mean()
    assert seen > train.score.mean(axis=0).max() + 0.05
    assert out_of_fold_gain(KNN(k=1), train, 5, 0).mean < -0.05


def test_out_of_fold_gain_with_plain_loops() -> None:
    train = planted_table(120, 6)
    fold = folds_of(train, 4, 9)
    routed, single = np.empty((2, 120))
    for f in range(4):
        rest, held = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        part = train.take(rest)
        best = best_single(dataset_means(part.score, part.dataset, part.datasets))
        picks = decide_sweep(KNN(k=9).fit(part), train.queries.take(held), np.zeros(1))[0]
        routed[held], single[held] = train.score[held, picks], train.score[held, best]
    gain = [float(avg_acc(dataset_means(v, train.dataset, train.datasets))) for v in (routed, single)]
    found = out_of_fold_gain(KNN(k=9), train, 4, 9)
    assert found.mean == pytest.approx(gain[0] - gain[1])
    lead = [(routed - single)[train.dataset == name] for name in train.datasets]
    assert found.error == pytest.approx(sum(part.var() / len(part) for part in lead) ** 0.5 / len(lead))


def test_folds_are_even_and_keep_copies_together() -> None:
    names = ["x"] * 53 + ["y"] * 20
    train = Outcomes.of([f"q{i % 50}" for i in range(73)], ["m"], np.ones((73, 1)), dataset=names)
    fold = folds_of(train, 5, 1)
    assert (fold[:3] == fold[50:53]).all()
    assert np.bincount(fold[:50]).tolist() == [10] * 5
    assert np.bincount(fold[53:]).tolist() == [4] * 5
    assert (fold != folds_of(train, 5, 2)).any()


def test_too_few_queries_close_the_gate() -> None:
    train = dominated(300).take(np.array([7]))
    assert np.isnan(out_of_fold_gain(KNN(), train, 5, 0).mean)
    router = Gated("knn").fit(train)
    assert (best_utility(router.predict(train.queries), np.zeros(1)) == router.best_).all()


def test_a_gated_router_keeps_the_dial_of_its_router() -> None:
    train, test = planted_table(300, 7), planted_table(50, 8).queries
    own = Gated("avengers_pro:k=8").fit(train)
    assert isinstance(own, TradeOffRouter)
    plain = AvengersPro(k=8).fit(train)
    assert (own.decide_sweep(test, own.weights) == plain.decide_sweep(test, plain.weights)).all()
    without = Gated("knn").fit(train)
    assert not hasattr(without, "weights")  # so that it is no TradeOffRouter
    with pytest.raises(TypeError, match="router 'knn' has no dial of its own"):
        without.decide_sweep(test, np.zeros(1))
    closed = Gated("avengers_pro:k=8").fit(dominated())
    sweep = closed.decide_sweep(test, closed.weights)
    assert (sweep[-1] == 2).all()
    assert (sweep[0] != 2).any()


def test_capped_scores_leave_the_allowed_ones_alone() -> None:
    score = np.array([[0.9, 0.6, 0.6], [0.1, 0.6, 0.7]])
    assert (capped(score, 1).argmax(axis=1) == 1).all()
    allowed = np.array([[True, False, False], [False, False, False]])
    assert capped(score, 1, allowed).argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize("change", [unrelated, lambda table: replace(table, dataset=np.full(len(table), "all"))])
def test_clusters_stand_in_for_tasks_without_labels_or_with_idle_ones(change: object) -> None:
    assert callable(change)
    train, test = change(planted_table(500, 9)), planted_table(300, 10)
    router = TaskSoft(clusters=6).fit(train)
    assert router.gain_.clear
    assert router.tasks_.name == tuple(f"cluster {i}" for i in range(6))
    picks = best_utility(router.predict(test.queries), np.zeros(1))[0]
    assert test.score[np.arange(300), picks].mean() > test.score.mean(axis=0).max() + 0.2


def llmrouter_outcomes() -> Outcomes:
    """Unique queries of the LLMRouter data with their task names, read from the shared folder."""
    folder = SHARED / "data" / "llmrouter"
    if not folder.is_dir():
        pytest.skip("the shared data are not on this machine (../shared/data/llmrouter)")
    task: dict[str, str] = {}
    rows: dict[str, dict[str, float]] = {}
    for part in ("train", "test"):
        for line in (folder / f"query_{part}.jsonl").read_text(encoding="utf-8").strip().split("\n"):
            task.setdefault(json.loads(line)["query"], json.loads(line)["task_name"])
        for record in json.loads((folder / f"scores_{part}.json").read_text(encoding="utf-8")):
            rows.setdefault(record["question"], record["scores"])
    models = sorted({model for scores in rows.values() for model in scores})
    score = [[scores[model] for model in models] for scores in rows.values()]
    return Outcomes.of(list(rows), models, score, dataset=[task[query] for query in rows])


@pytest.mark.slow
def test_soft_task_gains_what_the_probe_found_on_real_outcomes() -> None:
    """Points of AvgAcc over the best single model: 4.4 in the probe, with MiniLM. Avengers gained 3.2 there."""
    outcomes = llmrouter_outcomes()
    assert outcomes.score.shape == (5989, 9)
    split = make_split(outcomes, 2025, kind="paper")
    vectors, _ = embed_queries(outcomes, make_embedder("tfidf"), split.train)
    table = outcomes.with_embedding(vectors)
    train, test = table.take(split.train), table.take(split.test)
    single, soft, avengers = (
        100 * served_acc(make_router(name), train, test) for name in ("best_single", "task_soft", "avengers")
    )
    assert soft - single == pytest.approx(4.4, abs=0.6)
    assert soft > avengers + 0.5


def served_acc(router: Router, train: Outcomes, test: Outcomes) -> float:
    picks = decide_sweep(router.fit(train), test.queries, np.zeros(1))[0]
    return float(avg_acc(dataset_means(test.score[np.arange(len(test)), picks], test.dataset, test.datasets)))
