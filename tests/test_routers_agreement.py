"""`agreement` asks a few cheap models, compares what they say, pays for every call, and leaves it where it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.deciding import needs_replies
from llmrouterbench.benching.folder import meter
from llmrouterbench.benching.policies import decide_sweep, run
from llmrouterbench.checks.router import planted_table
from llmrouterbench.datasets.signatures import alike, kind_of, options_in, signature
from llmrouterbench.importers import import_outcomes
from llmrouterbench.persist import load_router, save_router
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.routers import make_router
from llmrouterbench.routers._said import Said
from llmrouterbench.routers.agreement import Agreement, lowest_bill
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes, Replies

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "routerbench" / "routerbench_zs"
MODELS = ("ant", "bee", "cat", "dog", "elk")
"""Four cheap models, and one that is dear and always right."""
ASKED = "Which one?\nA) red\nB) green\nC) blue\nAnswer:"


def voters(n: int = 600, seed: int = 0, right: float = 0.7) -> tuple[Outcomes, dict[tuple[int, int], str]]:
    """SIMULATED questions: each cheap model is right by itself in 7 of 10, and else says another letter by chance.

    One call costs 0.001 USD, one of the dear model 0.1. The embedding tells nothing of who is right.
    """
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    said = np.where(rng.random((n, 4)) < right, truth[:, None], (truth[:, None] + rng.integers(1, 3, (n, 4))) % 3)
    said = np.hstack([said, truth[:, None]])
    embedding = rng.standard_normal((n, 4))
    outcomes = Outcomes.of(
        [f"question {i}" for i in range(n)],
        MODELS,
        (said == truth[:, None]).astype(np.float64),
        dataset=["odd" if i % 2 else "even" for i in range(n)],
        cost=np.tile([0.001, 0.001, 0.001, 0.001, 0.1], (n, 1)),
        prompt=[f"{i}. {ASKED}" for i in range(n)],
        embedding=embedding / np.linalg.norm(embedding, axis=1, keepdims=True),
        simulated=True,
    )
    return outcomes, {cell: f"The answer is {'ABC'[said[cell]]}." for cell in np.ndindex(said.shape)}


@pytest.fixture(scope="module")
def fitted() -> Agreement:
    return Agreement().fit(*voters())


def ask_nothing(row: int, model: int) -> str:
    raise AssertionError(f"asked {model} for {row}")


def worth(router: Agreement, table: tuple[Outcomes, Replies], weight: float) -> float:
    played = run(router.at(weight), *table)
    return float((played.score - weight * played.cost).mean())


# what replies are compared by


@pytest.mark.parametrize(
    ("kind", "reply", "said"),
    [
        ("letter", "B", "B"),
        ("letter", "<think>A, surely.</think>The answer is (C).", "C"),
        ("letter", "I think it is green.", ""),
        ("letter", "The answer is green.", "B"),
        ("letter", "A or B", ""),
        ("letter", "I do", ""),
        ("letter", "D", ""),
        ("answer", "#### 0.50", "1/2"),
        ("answer", r"So it is \boxed{\frac{1}{2}}", "1/2"),
        ("answer", "The answer is New York.", "new york"),
        ("answer", "Long talk that never comes to any conclusion whatever it was about.", ""),
        ("code", "```python\ndef f(a, b):\n    return a\n```", "2 arguments"),
        ("code", "[PYTHON]\ndef f(a):\n    return a\n[/PYTHON]\n[TESTS]\nassert f(1) == 1\n[/TESTS]", "1 arguments"),
        ("code", "function f(a) {\n  return a;\n}", ""),
        ("code", "```python\ndef f(a:\n```", ""),
        ("text", "Hello, World!", "hello world"),
        ("text", "", ""),
    ],
)
def test_the_signature_of_a_reply_is_the_answer_it_gives(kind: str, reply: str, said: str) -> None:
    assert signature(kind, reply, ASKED) == said


def test_replies_are_alike_where_their_answers_are_equal_or_share_words() -> None:
    assert alike("answer", signature("answer", "#### 25%", ""), signature("answer", "\\boxed{0.25}", "")) == 1.0
    assert alike("letter", "A", "B") == alike("code", "", "") == 0.0
    assert 0.0 < alike("text", "the cat sat", "the cat ran") < alike("text", "the cat sat", "cat the sat") == 1.0


def test_the_kind_of_a_task_is_told_from_replies() -> None:
    code = "```python\ndef f(a):\n    return a\n```"
    essay = "There once was a river that nobody had ever crossed, and so on until the very end of it."
    assert kind_of(["A", "The answer is C.", "hm"], [ASKED] * 3) == "letter"
    assert kind_of([code, code, essay], ["Write f."] * 3) == "code"
    assert kind_of(["#### 4", "\\boxed{5}", essay], ["How many?"] * 3) == "answer"
    assert kind_of([essay] * 3, ["Tell."] * 3) == kind_of([], []) == "text"
    assert options_in("no options here\nA) only one") == {}


def test_what_is_not_there_has_no_signature_and_is_known_to_be_missing() -> None:
    said = Said.of({(0, 0): "A", (1, 0): "A", (1, 1): "A"}, [ASKED] * 2, ["letter"] * 2, [0, 1])
    assert np.array_equal(said.valid, np.array([[1, np.nan], [1, 1]]), equal_nan=True)
    assert said.features(np.arange(2), np.arange(2), compare=True).tolist() == [[1, 1, 0, 0, 1], [1, 1, 1, 1, 2]]
    assert said.features(np.arange(2), np.arange(2), compare=False).tolist() == [[1, 1, 0], [1, 1, 1]]


# a worked example: of two replies that differ one is wrong, so that the dear model is worth its price


@pytest.mark.slow
def test_served_is_the_cheap_answer_where_replies_agree_and_the_dear_model_where_not() -> None:
    train, test = voters(), voters(400, 1)
    fitted = Agreement(most=2, pool=2).fit(*train)
    assert fitted.kind_ == ["letter", "letter"]
    router = fitted.at(2.0)  # 0.2 points for a dear call
    played = run(router, *test)
    one, other = (np.array([test[1][row, model] for row in range(400)]) for model in fitted.pool_)
    assert (played.called[:, fitted.pool_] == 1.0).all()
    assert ((played.choice == 4) == (one != other)).all()
    paid = 0.002 + 0.1 * (one != other)
    assert played.cost == pytest.approx(paid)
    # two that agree are right in 0.49 of 0.49 + 0.045
    assert played.score[one == other].mean() == pytest.approx(0.49 / 0.535, abs=0.05)


@pytest.mark.slow
def test_without_comparing_and_without_reading_it_is_worth_less(fitted: Agreement) -> None:
    train, test = voters(), voters(900, 1)
    whole = worth(fitted, test, 2.0)
    assert whole > worth(Agreement(compare=False).fit(*train), test, 2.0) + 0.03
    assert whole > worth(Agreement(read=False).fit(*train), test, 2.0) + 0.03
    routed = make_router("task_soft").fit(train[0])
    choice = decide_sweep(routed, test[0].queries, np.array([2.0]))[0]
    every = np.arange(900)
    assert whole > float((test[0].score[every, choice] - 2.0 * test[0].cost[every, choice]).mean()) + 0.03


# where it cannot help it is task_soft


@pytest.mark.slow
@pytest.mark.parametrize("case", ["no replies", "no costs", "nobody cheap"])
def test_where_replies_cannot_help_nobody_is_asked_and_task_soft_decides(case: str) -> None:
    (train, said), (test, _) = voters(), voters(200, 1)
    if case == "no replies":
        said = {}
    if case == "no costs":
        train = replace(train, cost=np.full_like(train.cost, np.nan))
    if case == "nobody cheap":
        train = replace(train, cost=np.full_like(train.cost, 0.1))
    fitted, routed = Agreement().fit(train, said), make_router("task_soft").fit(train)
    for weight in (0.0, 0.5, 5.0, 5000.0):
        choice = decide_sweep(routed, test.queries, np.array([weight]))[0]
        assert (fitted.at(weight).decide(test.queries, ask_nothing) == choice).all()
    assert np.array_equal(fitted.predict(test.queries).score, routed.predict(test.queries).score)


@pytest.mark.slow
def test_replies_that_say_nothing_cost_next_to_nothing() -> None:
    """A set is asked only where it led by a standard error; of many such sets one may be lucky, but not by much."""
    (train, said), (test, _) = voters(300), voters(300, 1)
    empty = dict.fromkeys(said, "I do not know what to say about this, and that is all that I will say.")
    fitted, routed = Agreement().fit(train, empty), make_router("task_soft").fit(train)
    every = np.arange(300)
    for weight in (0.0, 2.0, 5.0, 50.0):
        choice = decide_sweep(routed, test.queries, np.array([weight]))[0]
        plain = float((test.score[every, choice] - weight * test.cost[every, choice]).mean())
        assert worth(fitted, (test, empty), weight) > plain - 0.04


@pytest.mark.slow
def test_a_bench_without_replies_decides_as_task_soft_does(tmp_path: Path) -> None:
    write_outcomes(voters(120)[0], tmp_path / "data")
    assert not needs_replies(Agreement())
    runs = bench(tmp_path / "data", tmp_path / "r", routers=["agreement", "task_soft"], seeds=[1], jobs=1)
    one, other = (runs.decisions[name, 1].parts for name in ("agreement", "task_soft"))
    for part in ("validation", "test"):
        assert np.array_equal(one[part].model, other[part].model)


# every call is paid, whatever it is for


@pytest.mark.slow
def test_a_bench_pays_for_every_reply_that_was_read(tmp_path: Path) -> None:
    made, said = voters(200)
    lines = [
        orjson.dumps(
            {
                "query": made.queries.prompt[row],
                "dataset": made.dataset[row].item(),
                "model": MODELS[model],
                "score": float(made.score[row, model]),
                "cost": float(made.cost[row, model]),
                "reply": text,
            }
        )
        for (row, model), text in said.items()
    ]
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(lines))
    import_outcomes(tmp_path / "log.jsonl", tmp_path / "data")
    runs = bench(tmp_path / "data", tmp_path / "r", routers=["agreement"], seeds=[1], jobs=1)
    outcomes = Outcomes.load(tmp_path / "data")
    decided = runs.decisions["agreement", 1]
    for part in decided.parts.values():
        calls = np.zeros((len(decided.weights), len(part.rows)))
        np.add.at(calls, (part.point, part.query), part.called)
        assert calls.max() == 4.0, "three that are asked, and the dear one"
        _, cost = meter(part, outcomes, len(decided.weights))
        dear = np.zeros_like(calls)
        np.add.at(dear, (part.point, part.query), part.called * (part.model == 4))
        assert cost == pytest.approx(0.1 * dear + 0.001 * (calls - dear))
    assert sorted(decided.parts["validation"].rows) == sorted(runs.splits[1].train), "points are chosen out of fold"


@pytest.mark.slow
def test_a_saved_one_decides_alike(tmp_path: Path, fitted: Agreement) -> None:
    test = voters(100, 1)
    save_router(fitted, tmp_path / "r")
    loaded = load_router(tmp_path / "r")
    assert isinstance(loaded, Agreement)
    for weight in (0.0, 2.0, 20.0):
        one, other = run(fitted.at(weight), *test), run(loaded.at(weight), *test)
        assert np.array_equal(one.called, other.called)
        assert np.array_equal(one.served, other.served)


# what is missing


@pytest.mark.slow
def test_replies_and_outcomes_that_are_missing_teach_nothing_and_break_nothing(fitted: Agreement) -> None:
    (train, said), test = voters(), voters(200, 1)
    rng = np.random.default_rng(3)
    gone = rng.random(train.score.shape) < 0.1
    holes = replace(train, score=np.where(gone, np.nan, train.score), cost=np.where(gone, np.nan, train.cost))
    some = {cell: text for cell, text in said.items() if rng.random() < 0.9}
    assert worth(Agreement().fit(holes, some), test, 2.0) == pytest.approx(worth(fitted, test, 2.0), abs=0.04)


@pytest.mark.slow
def test_a_model_that_gives_no_reply_does_not_serve(fitted: Agreement) -> None:
    test, said = voters(200, 1)
    fitted = fitted.at(2.0)
    asked = fitted.asks(test.queries)
    late = {(row, model): said[row, model] for row, model in np.argwhere(asked).tolist() if model != fitted.pool_[0]}
    choice = fitted.chosen(test.queries, late)
    assert (choice != fitted.pool_[0]).all()
    assert (fitted.chosen(test.queries, {}) == 4).all(), "only the dear one is left"


@pytest.mark.slow
def test_a_decision_depends_on_its_own_query_only(fitted: Agreement) -> None:
    test, said = voters(60, 1)
    fitted = fitted.at(2.0)
    together = run(fitted, test, said).choice
    for row in range(0, 60, 7):
        mine = {(0, model): said[row, model] for model in range(5)}
        assert run(fitted, test.take(np.array([row])), mine).choice[0] == together[row]


@pytest.mark.slow
def test_what_one_user_was_told_is_not_kept_in_memory(fitted: Agreement) -> None:
    test, said = voters(2, 5)
    fitted = fitted.at(2.0)
    fitted.chosen(test.queries, said)
    kept = signature.cache_info().currsize
    secret = {(0, model): f"The answer is A. {model} told me something." for model in range(5)}
    fitted.chosen(test.queries.take(np.array([0])), secret)
    assert signature.cache_info().currsize == kept


def test_the_lowest_bill_says_where_cheap_calls_cost_more_than_they_can_save() -> None:
    """Two cheap calls of 1 USD a pair; the dear one of 10 is spared where one is as good: never, always, half."""
    score = [[0, 0, 1]] * 2 + [[1, 0, 1]] * 2 + [[0, 1, 1], [0, 0, 1]]
    table = Outcomes.of(
        [f"q{i}" for i in range(6)],
        ["ant", "bee", "dog"],
        score,
        dataset=["never", "never", "always", "always", "half", "half"],
        cost=np.tile([1.0, 1.0, 10.0], (6, 1)),
    )
    assert lowest_bill(table) == pytest.approx({"always": 0.1, "half": 0.6, "never": 1.1})
    assert np.isnan(lowest_bill(table, share=0.05)["always"]), "nobody is that cheap"
    holes = replace(table, cost=np.where(np.arange(6)[:, None] == 4, np.nan, table.cost))
    assert lowest_bill(holes) == pytest.approx({"always": 0.1, "half": 1.1, "never": 1.1})


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ({"most": 0}, "most and pool must be at least 1 and folds at least 2, got 0, 4 and 5"),
        (
            {"share": 0.0},
            "share must be above 0 and at most 1, penalty above 0 and weight at least 0, got 0, 3.3 and 0",
        ),
        ({"weight": -1.0}, "weight at least 0, got 0.15, 3.3 and -1"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(bad: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_router("agreement", **bad)


def test_planted_topics_are_routed_as_task_soft_routes_them() -> None:
    train, test = planted_table(200), planted_table(50, 1)
    assert (Agreement().fit(train).decide(test.queries, ask_nothing) >= 0).all()


@pytest.mark.prove
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets of ../shared/data are not here")
def test_on_routerbench_half_the_bill_buys_more_than_routing_by_the_text(tmp_path: Path) -> None:
    import_outcomes(DATA, tmp_path / "data", replies=True)
    runs = bench(tmp_path / "data", tmp_path / "r", routers=["agreement", "task_soft"], seeds=[42], jobs=1)
    found = {row.name: row for row in leaderboard(runs, samples=100).rows}
    looked, routed = found["agreement"], found["task_soft"]
    assert looked.half_difference is not None
    assert routed.half_difference is not None
    assert looked.half_difference.value > routed.half_difference.value + 0.01
    assert looked.half_save is not None
    assert looked.half_save.value > 0.4
