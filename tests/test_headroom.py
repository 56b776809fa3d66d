"""Headroom: task share, label noise and needless models on tables where the answer is known."""

import numpy as np
import pytest

from llmrouterbench.studies.headroom import headroom, needless_models, noise_share
from llmrouterbench.table import Outcomes


def table(score: np.ndarray, **more: object) -> Outcomes:
    n, m = score.shape
    more.setdefault("id", [f"i{i}" for i in range(n)])
    text = more.pop("text", [f"q{i}" for i in range(n)])
    return Outcomes.of(text, [f"m{i}" for i in range(m)], score, **more)  # type: ignore[arg-type]


def test_when_each_task_has_its_model_the_task_explains_the_whole_gap() -> None:
    score = np.repeat([[1.0, 0.0], [0.0, 1.0], [1.0, 0.5]], 10, axis=0)
    room = headroom(table(score, dataset=["a"] * 10 + ["b"] * 10 + ["c"] * 10), replicates=100)
    assert room.best == "m0"
    assert [room.single.value, room.oracle.value] == pytest.approx([2 / 3, 1.0])
    assert room.gap.value == pytest.approx(1 / 3)
    assert room.task_share.value == pytest.approx(1.0)
    assert (room.noise_share, room.repeats) == (None, 0)


def test_when_tasks_are_alike_they_explain_nothing_and_one_dataset_has_no_types() -> None:
    score = np.tile([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]], (5, 1))
    two = headroom(
        table(score, dataset=["a", "a", "a", "a", "b", "b", "b", "b"] + ["a"] * 4 + ["b"] * 8), replicates=50
    )
    assert two.task_share.value == pytest.approx(0.0)
    assert np.isnan(headroom(table(score), replicates=50).task_share.value)


def repeated(score: np.ndarray, again: np.ndarray, tokens: np.ndarray | None = None) -> Outcomes:
    """Every prompt answered twice."""
    n = len(score)
    text = [f"q{i}" for i in range(n)] * 2
    return table(np.vstack([score, again]), text=text, tokens_out=tokens)


def test_answers_that_are_luck_are_all_noise() -> None:
    rng = np.random.default_rng(0)
    score, again = (rng.random((2, 2000, 3)) < 0.5).astype(float)
    noise, repeats = noise_share(repeated(score, again), 0, replicates=200)
    assert repeats == 2000
    assert noise is not None
    assert noise.low < noise.value < noise.high == 1.0


@pytest.mark.parametrize(
    ("spread", "models", "runs"), [(0.5, 3, 2), (0.5, 3, 4), (2.0, 3, 2), (0.3, 8, 2), (50.0, 4, 4)]
)
def test_the_share_of_noise_holds_the_truth(spread: float, models: int, runs: int) -> None:
    """Chances of beta(spread, spread): the oracle of chances is known. The middle is near, the interval holds it."""
    rng = np.random.default_rng(int(10 * spread) + runs)
    off, worlds = [], 12
    for _ in range(worlds):
        chance = rng.beta(spread, spread, (600, models))
        score = (rng.random((runs, 600, models)) < chance).astype(float)
        single = chance.mean(axis=0).argmax()
        many = (rng.random((40, 600, models)) < chance).max(axis=2).mean()
        truth = 1 - (chance.max(axis=1).mean() - chance[:, single].mean()) / (many - chance[:, single].mean())
        text = [f"q{i}" for i in range(600)] * runs
        noise, _ = noise_share(table(score.reshape(-1, models), text=text), int(single), replicates=200)
        assert noise is not None
        assert noise.low <= truth <= noise.high
        off.append(noise.value - truth)
    assert abs(np.mean(off)) < 0.25  # choosing on one reply and judging on another was up to 0.8 above the truth


def test_answers_that_repeat_hold_no_noise() -> None:
    score = (np.random.default_rng(0).random((200, 3)) < 0.5).astype(float)
    again = score.copy()
    again[0] = 1 - again[0]  # one answer that differs tells that these are runs, not copies
    noise, repeats = noise_share(repeated(score, again), 0, replicates=100)
    assert repeats == 200
    tokens = np.vstack([np.full((200, 3), 7.0), np.full((200, 3), 8.0)])
    tokens[200:210] = 7.0  # and equal usage tells that these are copies, the first aside, which differs
    assert noise_share(repeated(score, again, tokens), 0)[1] == 191
    assert noise is not None
    assert noise.value == pytest.approx(0.0, abs=0.03)


def test_copies_of_one_answer_are_no_repeated_runs() -> None:
    score = (np.random.default_rng(0).random((200, 3)) < 0.5).astype(float)
    assert noise_share(repeated(score, score), 0) == (None, 0)
    half = score.copy()
    half[:, 1:] = np.nan
    assert noise_share(repeated(half, np.where(np.isnan(half), score, np.nan)), 0) == (None, 0)  # no model in both


def test_a_copycat_is_redundant_and_a_dear_loser_is_dominated() -> None:
    rng = np.random.default_rng(1)
    good = rng.random(400) < 0.8
    other = rng.random(400) < 0.5
    loser = good & (rng.random(400) < 0.5)
    score = np.stack([good, other, loser], axis=1).astype(float)
    found = needless_models(table(score, cost=np.tile([2.0, 1.0, 5.0], (400, 1))), replicates=200, negligible=0.01)
    assert [(one.model, one.redundant, one.dominated_by) for one in found] == [("m2", True, "m0")]
    assert found[0].dropped.value == 0.0


def test_small_tables_call_nothing_redundant_and_the_best_never() -> None:
    score = np.repeat([[1.0, 1.0], [0.0, 0.0]], 20, axis=0)
    assert needless_models(table(score), replicates=50) == ()  # 3 / 40 is more than a tenth of a point
    twins = needless_models(table(score), replicates=50, negligible=0.1)
    assert [one.model for one in twins] == ["m1"]


def test_an_unpriced_model_dominates_nobody() -> None:
    score = np.repeat([[1.0, 0.0]], 50, axis=0)
    cost = np.tile([np.nan, 1.0], (50, 1))
    assert all(not one.dominated_by for one in needless_models(table(score, cost=cost), replicates=50, negligible=0.1))
