"""On any data, in what every command says as JSON: mean of the models <= best single <= dataset oracle <= oracle."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import llmrouterbench.cli  # noqa: F401  (its commands join the app)
from llmrouterbench.benching.folder import Decisions, Made, Runs, Served
from llmrouterbench.commands.app import app
from llmrouterbench.coverage import coverage_of
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.splits import Split
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes

NAN = float("nan")
WORDS = ("translate the amber river", "prove the delta theorem", "select rows of maple", "draft a polite letter")
Claim = tuple[str, list[float | None]]


@st.composite
def tables(draw: st.DrawFn, n: int = 48) -> Outcomes:
    """Complete tables, holes of every kind, logs with propensities or without; copies, unknown costs."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    models, kinds = draw(st.integers(1, 4)), rng.integers(0, draw(st.integers(1, 4)), n)
    chance = rng.random((4, models))[kinds]
    score = (
        (rng.random((n, models)) < chance).astype(float) if draw(st.booleans()) else rng.random((n, models)) * chance
    )
    kept = np.ones(score.shape, dtype=np.bool_)
    kind = draw(st.sampled_from(["complete", "gaps", "halves", "datasets", "wrong", "best", "logged", "probed", "one"]))
    served = np.where(rng.random(n) < 0.7, chance.argmin(axis=1), rng.integers(0, models, n))
    if kind == "gaps":
        kept = rng.random(score.shape) < 0.95
    elif kind == "halves":
        kept = rng.random(score.shape) < 0.5
    elif kind == "datasets":
        kept = (rng.random((4, models)) < 0.6)[kinds]
    elif kind == "wrong":  # what failed was not written down
        kept = (score > 0.5) | (rng.random(score.shape) < 0.3)
    elif kind == "best":
        kept = (score < 0.5) | (rng.random(score.shape) < 0.3)
    elif kind in ("logged", "probed"):
        kept = served[:, None] == np.arange(models)
        kept[: n // 8] |= kind == "probed"
    elif kind == "one":
        kept[:, 1:] = False
    kept[0] = True
    cost = rng.choice([0.0, 1e-7, 0.002, 31.0], score.shape)
    cost[rng.random(score.shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = NAN
    copies = draw(st.sampled_from([n, n // 2]))
    text = [f"{WORDS[kinds[i % copies]]} {i % copies}" for i in range(n)]
    outcomes = Outcomes.of(
        text, list("abcd")[:models], np.where(kept, score, NAN), cost=np.where(kept, cost, NAN),
        dataset=[f"d{kinds[i % copies]}" for i in range(n)] if draw(st.booleans()) else "data",
    )  # fmt: skip
    if kind == "logged" and draw(st.booleans()):
        from dataclasses import replace

        chosen = 0.7 * (chance.argmin(axis=1)[:, None] == np.arange(models)) + 0.3 / models
        return replace(outcomes, propensity=np.where(kept, np.minimum(chosen, 1.0), NAN))
    return outcomes


def said(*words: str) -> Any:
    """The JSON of a command; None where it says in one sentence that it cannot tell."""
    found = CliRunner().invoke(app, [*words, "--json"])
    if found.exit_code:
        assert isinstance(found.exception, ValueError | FileNotFoundError), (words, found.exception, found.output)
        return None
    return orjson.loads(found.stdout_bytes)


def ordered(*values: float | None) -> bool:
    """Whether numbers rise; those that are unknown do not count."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    return bool((np.diff(known) >= -1e-9).all())


def of_info(facts: Any) -> Iterator[Claim]:
    overview = facts["overview"]
    yield "overview", [overview[f"{name}_AvgAcc"] for name in ("best_single", "dataset_oracle", "oracle")]
    for one in facts["lacking"]:
        yield f"what {one['model']} lacks", [0.0, one["bounds"][0], one["measured"], one["bounds"][1], 1.0]
    yield from of_values(facts["values"]["models"] if facts["values"] else [])


def of_values(models: Any) -> Iterator[Claim]:
    """Of single models, the best first."""
    values = [one["score"]["value"] for one in models if one["score"]["value"] is not None]
    yield "values of models", [0.0, *values[::-1], 1.0]


def of_evaluation(found: Any) -> Iterator[Claim]:
    yield from of_values([one for one in found["policies"] if one["name"].startswith("always ")])
    for one in found["policies"]:
        yield f"value of {one['name']}", [0.0, one["score"]["value"], 1.0]


def of_curate(found: Any) -> Iterator[Claim]:
    alone = {one["model"]: one["alone"]["value"] for one in found["values"]}
    for i, oracle in enumerate(found["oracle"]):
        for model in found["order"][: i + 1]:
            yield f"{model} in the first {i + 1}", [alone[model], oracle]
    whole = found["oracle"][-1]
    curated, top, random = ([one["value"] for one in curve["oracle"]] for curve in found["curves"])
    yield "mean, best single, oracle", [random[0], top[0], whole]
    if None not in alone.values():
        yield "mean of the models alone", [float(np.mean(list(alone.values()))), random[0]]
    for curve in (curated, top, random):
        yield "by size", curve
        yield "the whole pool", [curve[-1], whole]
        yield "the whole pool", [whole, curve[-1]]
    for one in found["values"]:
        yield f"parts of the oracle: {one['model']}", [0.0, one["dropped"]["value"], one["share"]["value"], whole]


def of_advise(advice: Any) -> Iterator[Claim]:
    if "headroom" in advice:
        room = advice["headroom"]
        yield "headroom", [room["single"]["value"], room["oracle"]["value"]]
        yield "gap", [0.0, room["gap"]["value"]]
    else:
        yield from of_values(advice["models"])


def of_board(board: Any) -> Iterator[Claim]:
    rows = {row["name"]: row for row in board["rows"] if row["kind"] == "reference"}
    for name in ("Dataset Oracle (per seed)", "Dataset Oracle (seed means)"):
        names = ("Random", "Best Single", name, "Oracle")
        yield "AvgAcc", [rows[one]["avg_acc"]["value"] for one in names]
        for at in range(len(board["datasets"])):
            acc = {one: row["accuracy"][at] for one, row in rows.items()}
            yield f"dataset {at}", [acc["Best Single"], acc[name], acc["Oracle"]]
            yield f"dataset {at}", [acc["Random"], acc[name], acc["Oracle"]]


def of_fit(found: Any) -> Iterator[Claim]:
    for one in found["policies"]:
        yield f"quality of {one['policy']}", [0.0, one["quality"]["value"], 1.0]


def of_robustness(found: Any) -> Iterator[Claim]:
    for one in (row for rows in found["kinds"].values() for row in rows):
        yield one["what"], [0.0, one["before"]["value"], 1.0]


QUICK: dict[str, Callable[[Any], Iterator[Claim]]] = {
    "info DATA": of_info,
    "curate DATA --samples 5": of_curate,
}
WHOLE: dict[str, Callable[[Any], Iterator[Claim]]] = {
    "advise DATA --quick": of_advise,
    "bench DATA --out OUT/runs --routers best_single,knn --seeds 1 --jobs 1": of_board,
    "report OUT/runs --samples 5": of_board,
    "fit DATA --to OUT/router --router task_soft --policy best": of_fit,
    "policies OUT/router": of_fit,
    "evaluate-logs DATA --router OUT/router --policy best": of_evaluation,
    "robustness DATA --seeds 1 --samples 5 --jobs 1": of_robustness,
}


def check(outcomes: Outcomes, commands: dict[str, Callable[[Any], Iterator[Claim]]]) -> None:
    with TemporaryDirectory() as made:
        write_outcomes(outcomes, Path(made) / "DATA")
        for command, claims in commands.items():
            words = [word.replace("DATA", f"{made}/DATA").replace("OUT", made) for word in command.split()]
            found = said(*words)
            for where, values in claims(found) if found else ():
                assert ordered(*values), (command, where, values)


def runs_of(outcomes: Outcomes, seed: int) -> Runs:
    """Two seeds of a router that chooses at random."""
    rng, rows = np.random.default_rng(seed), np.arange(len(outcomes))
    splits = {one: Split(rows[one::2], rows[1 - one :: 2]) for one in (0, 1)}
    decisions = {}
    for one, split in splits.items():
        choice = rng.integers(0, len(outcomes.models), len(split.test))
        nothing: Any = {"validation": Served.single(rows[:0], rows[None, :0])}
        decisions["any", one] = Decisions(
            "any", one, np.zeros(1), {**nothing, "test": Served.single(split.test, choice[None])}
        )
    return Runs(outcomes, splits, decisions, Made.of(["any"], [0, 1], data_hash=outcomes.content_hash))


@settings(max_examples=25)
@given(outcomes=tables())
def test_what_is_said_of_outcomes_is_in_order(outcomes: Outcomes) -> None:
    check(outcomes, QUICK)


@settings(max_examples=60)
@given(outcomes=tables(), seed=st.integers(0, 50))
def test_a_leaderboard_of_any_choices_is_in_order(outcomes: Outcomes, seed: int) -> None:
    assume(coverage_of(outcomes).matrix)
    board = leaderboard(runs_of(outcomes, seed), samples=5).to_dict()
    for where, values in of_board(board):
        assert ordered(*values), (where, values)


@pytest.mark.prove
@settings(max_examples=12, phases=[Phase.generate])  # no shrinking: an example takes seconds
@given(outcomes=tables())
def test_what_every_command_says_is_in_order(outcomes: Outcomes) -> None:
    check(outcomes, WHOLE)
