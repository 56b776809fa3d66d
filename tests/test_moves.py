"""Two folders of runs: what moved, what is noise, what may not be compared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Decisions, Made, Runs, Served, load_runs
from llmrouterbench.benching.rules import Rules
from llmrouterbench.reporting.comparison import markdown
from llmrouterbench.simulation.simulate import simulate
from llmrouterbench.splits import Split
from llmrouterbench.studies.moves import compare_runs
from llmrouterbench.table import Outcomes

N = 200


def outcomes_of(n: int = N) -> Outcomes:
    rng = np.random.default_rng(0)
    score = (rng.random((n, 2)) < [0.5, 0.9]).astype(float)
    return Outcomes.of([f"q{i}" for i in range(n)], ["weak", "strong"], score, cost=np.tile([1.0, 4.0], (n, 1)))


def runs_of(choices: dict[str, np.ndarray], outcomes: Outcomes | None = None, seed: int = 1) -> Runs:
    outcomes = outcomes or outcomes_of()
    everything, nothing = np.arange(len(outcomes)), np.zeros(0, dtype=np.int64)
    checked = Served.single(nothing, nothing[None])
    decisions = {
        (label, seed): Decisions(
            label, seed, np.zeros(1), {"validation": checked, "test": Served.single(everything, choice[None])}
        )
        for label, choice in choices.items()
    }
    return Runs(outcomes, {seed: Split(nothing, everything)}, decisions, Made.of(choices, [seed]))


WEAK, STRONG = np.zeros(N, dtype=np.int64), np.ones(N, dtype=np.int64)
HALF = np.arange(N) % 2
OTHER = np.where(np.arange(N) < 6, 1 - HALF, HALF)


def test_what_moved_comes_first_with_its_interval() -> None:
    old = runs_of({"same": HALF, "grown": WEAK, "shaky": HALF, "gone": WEAK})
    new = runs_of({"same": HALF, "grown": STRONG, "shaky": OTHER, "fresh": WEAK})
    diff = compare_runs(old, new)
    by_name = {move.router: move for move in diff.moves}
    assert diff.moves[0].router == "grown"
    assert (by_name["grown"].verdict, by_name["same"].verdict, by_name["shaky"].verdict) == (
        "better",
        "the same",
        "noise",
    )
    score = old.outcomes.score.mean(axis=0)
    assert by_name["grown"].moved.value == pytest.approx(score[1] - score[0])
    assert by_name["grown"].cost.value == pytest.approx(3.0)
    assert (diff.added, diff.removed) == (("fresh",), ("gone",))
    assert [move.router for move in diff.moved] == ["grown"]


def test_the_summary_is_markdown_that_no_name_can_break() -> None:
    name = "a|b<script>"
    old, new = runs_of({name: WEAK, "same": HALF}), runs_of({name: STRONG, "same": HALF})
    new = replace(new, rules=Rules(embedder="minilm"))
    text = markdown(compare_runs(old, new))
    assert "Moved beyond noise: a\\|b&lt;script&gt; better by" in text
    assert "The other 1 did not." in text
    assert "<script>" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {7}
    assert "- embedder: tfidf -> minilm" in text


def test_nothing_moved_is_said() -> None:
    runs = runs_of({"same": HALF})
    assert "Nothing moved beyond noise (1 routers compared)." in markdown(compare_runs(runs, runs))


def test_runs_that_may_not_be_compared_are_refused() -> None:
    runs = runs_of({"a": HALF})
    with pytest.raises(ValueError, match="same data"):
        compare_runs(runs, runs_of({"a": HALF[:100]}, outcomes_of(100)))
    with pytest.raises(ValueError, match="share a seed"):
        compare_runs(runs, runs_of({"a": HALF}, seed=2))
    with pytest.raises(ValueError, match="share a complete router"):
        compare_runs(runs, runs_of({"b": HALF}))
    split = Split(np.arange(10), np.arange(10, N), {"kind": "safe"})
    with pytest.raises(ValueError, match="split alike"):
        compare_runs(runs, replace(runs, splits={1: split}))


def test_only_shared_seeds_of_real_benches_are_compared(tmp_path: Path) -> None:
    outcomes = simulate("performance-cost", scale=0.02)
    for name, seeds, router in (("old", (1, 2), "knn:k=5"), ("new", (2,), "knn:k=5")):
        bench(outcomes, tmp_path / name, routers=["best_single", router], seeds=seeds, jobs=1, split="paper")
    diff = compare_runs(load_runs(tmp_path / "old"), load_runs(tmp_path / "new"), replicates=100)
    assert diff.seeds == (2,)
    assert {move.verdict for move in diff.moves} == {"the same"}
    assert "SIMULATED" in markdown(diff)
