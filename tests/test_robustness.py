"""Disturbances: each on a table where what must happen is known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from llmrouterbench.studies.noise import Noise
from llmrouterbench.studies.robustness import (
    Setup,
    held_out_dataset,
    noisy_queries,
    repriced,
    with_model,
    without_model,
    without_template,
)
from llmrouterbench.table import Outcomes, Text

WORDS = {"sums": "add the numbers", "verbs": "conjugate this verb", "maps": "name a river"}


def three_tasks(n: int = 60, *, prompts: Sequence[str] | None = None) -> Outcomes:
    """Each task has its own words and its own best model; model "none" is always wrong."""
    tasks = [name for name in WORDS for _ in range(n)]
    text = [f"{WORDS[task]} {chr(97 + i % 26)}{i} {i * i + 7}" for i, task in enumerate(tasks)]
    score = np.array([[float(task == name) for name in WORDS] + [0.0] for task in tasks])
    score[:, 0] = np.where(np.arange(len(tasks)) % 3 == 0, 1.0, score[:, 0])
    cost = np.tile([1.0, 2.0, 2.0, 0.5], (len(tasks), 1))
    return Outcomes.of(text, ["adder", "grammarian", "geographer", "none"], score, dataset=tasks, cost=cost)


SETUP = Setup(router="task_soft:gate=False,pseudo=1.0", seeds=(1, 2), replicates=200)


def test_a_task_that_was_never_seen_cannot_be_routed() -> None:
    rows = held_out_dataset(three_tasks(), SETUP)
    assert [row.what.split()[0] for row in rows] == ["maps", "sums", "verbs", "each"]
    maps, whole = rows[0], rows[-1]
    assert maps.before.value == pytest.approx(1.0)
    assert maps.difference.high < -0.3
    assert whole.difference.value == pytest.approx(np.mean([row.difference.value for row in rows[:3]]))


def test_domains_are_left_out_whole() -> None:
    rows = held_out_dataset(three_tasks(), SETUP, domains={"maps": "words", "verbs": "words"})
    assert [row.what.split()[0] for row in rows] == ["words", "sums", "each"]
    with pytest.raises(ValueError, match="must leave other datasets"):
        held_out_dataset(three_tasks(), SETUP, domains=dict.fromkeys(WORDS, "all"))
    with pytest.raises(ValueError, match="no dataset named 'map' to leave out; did you mean 'maps'"):
        held_out_dataset(three_tasks(), SETUP, ["map"])


def test_no_noise_changes_nothing_and_total_noise_hurts() -> None:
    quiet = noisy_queries(three_tasks(), SETUP, Noise("swap", 0.0))
    assert (quiet.difference.low, quiet.difference.high) == (0.0, 0.0)
    loud = noisy_queries(three_tasks(), SETUP, Noise("drop", 1.0))
    assert loud.difference.high < 0.0
    cased = noisy_queries(three_tasks(), SETUP, Noise("case", 1.0))
    assert cased.difference.value == 0.0  # TF-IDF reads lower case


def test_a_template_that_tells_the_task_was_the_score() -> None:
    outcomes = three_tasks()
    bare = [f"question {chr(97 + i % 26)}{i} {i * 31 % 97}" for i in range(len(outcomes))]
    prompts = [f"{WORDS[task]}: {text}" for task, text in zip(outcomes.dataset.tolist(), bare, strict=True)]
    queries = replace(outcomes.queries, text=Text.of(bare), prompt=Text.of(prompts))
    stripped = without_template(replace(outcomes, queries=queries), SETUP)
    assert stripped.before.value > 0.95
    assert stripped.difference.high < -0.2
    with pytest.raises(ValueError, match="prompts must differ"):
        without_template(outcomes, SETUP)


def test_losing_the_only_model_of_a_task_costs_that_task() -> None:
    outcomes = three_tasks()
    lost = without_model(outcomes, SETUP, "geographer")
    assert lost.difference.value == pytest.approx(-2 / 9, abs=0.06)  # a third of AvgAcc, less what the adder knows
    gained = with_model(outcomes, SETUP, "geographer")
    assert gained.difference.value == pytest.approx(-lost.difference.value)
    useless = without_model(outcomes, SETUP, "none")
    assert (useless.difference.low, useless.difference.high) == (0.0, 0.0)
    with pytest.raises(KeyError, match="no model named 'geograf'"):
        without_model(outcomes, SETUP, "geograf")


def test_new_prices_move_the_bill_and_a_policy_that_hears_of_them_reacts() -> None:
    n = 120
    text = [f"{'hard' if i % 2 else 'easy'} question {i} {i * i}" for i in range(n)]
    score = np.array([[1.0, 1.0, float(i % 2 == 0)] for i in range(n)])
    outcomes = Outcomes.of(
        text, ["a", "b", "small"], score, dataset=[t.split()[0] for t in text], cost=np.tile([2.0, 3.0, 1.0], (n, 1))
    )
    stale, fresh = repriced(outcomes, SETUP, {"a": 10.0})
    assert stale.difference.value == 0.0
    assert stale.cost.low > 1.0  # "a" serves the hard half at least
    assert fresh.cost.high < -0.3  # "b" is as good and three times the old price, not ten
    assert fresh.difference.value == pytest.approx(0.0, abs=0.02)


def test_bad_prices_are_refused() -> None:
    outcomes = three_tasks()
    with pytest.raises(ValueError, match="no model named 'add' to reprice; did you mean 'adder'"):
        repriced(outcomes, SETUP, {"add": 2.0})
    with pytest.raises(ValueError, match="above 0, got 0"):
        repriced(outcomes, SETUP, {"adder": 0.0})
    unpriced = replace(outcomes, cost=np.full(outcomes.cost.shape, np.nan))
    with pytest.raises(ValueError, match="need known costs"):
        repriced(unpriced, SETUP, {"adder": 2.0})


def test_scores_that_are_missing_do_not_break_a_study() -> None:
    outcomes = three_tasks()
    score = outcomes.score.copy()
    score[::7, 1] = np.nan
    row = noisy_queries(replace(outcomes, score=score), SETUP, Noise("swap", 0.1))
    assert np.isfinite(row.difference.value)
