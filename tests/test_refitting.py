"""A router fitted again on a log: promoted where it is surely better, and not without a change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import orjson
import pytest
from benchmarks.live import judged
from typer.testing import CliRunner

from llmrouterbench import Outcomes, refit, save_outcomes
from llmrouterbench.commands import fit as fit_command  # noqa: F401
from llmrouterbench.commands import logs  # noqa: F401
from llmrouterbench.commands.app import app
from llmrouterbench.decision_log import DecisionLog
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import FitSettings, fit
from llmrouterbench.production.refitting import Refit
from llmrouterbench.table import FloatArray
from test_log_study import lost, row

MODELS = ("a", "b", "c")
GOOD = {"a": 0.82, "b": 0.80, "c": 0.55}
TOPICS = ("river lake water fish boat", "sum root angle prime proof", "poem verse rhyme song voice")
EXPLORE = 0.3


def texts(n: int, seed: int, mark: str) -> list[str]:
    rng = np.random.default_rng(seed)
    words = [TOPICS[i % 3].split() for i in range(n)]
    return [f"{mark}{i} {' '.join(rng.choice(pool, 3))}" for i, pool in enumerate(words)]


def answers(n: int, good: Mapping[str, float], seed: int) -> FloatArray:
    """SIMULATED scores of 0 or 1."""
    rng = np.random.default_rng(seed)
    return (rng.random((n, 3)) < [good[model] for model in MODELS]).astype(np.float64)


@cache
def world() -> tuple[Outcomes, FittedRouter]:
    """SIMULATED old outcomes, and a router of them."""
    n = 600
    cost = np.tile([0.002, 0.001, 0.0005], (n, 1))
    old = Outcomes.of(texts(n, 1, "o"), MODELS, answers(n, GOOD, 1), cost=cost, simulated=True)
    return old, fit(old, FitSettings(router="linear", policy="best", text="query", novel=0.0))


def served(folder: Path, n: int, good: Mapping[str, float], seed: int) -> Path:
    """What a server of the running router that explores would have logged, with feedback on every request."""
    router, asked = world()[1], texts(n, 100 + seed, f"s{seed}-")
    rng, truth, estimate = np.random.default_rng(seed), answers(n, good, 200 + seed), router.estimate(asked)
    scores: dict[str, float] = {}

    async def post(log: DecisionLog) -> None:
        await asyncio.gather(*[log.add_feedback(id, 1.0, "-", score) for id, score in scores.items()])

    with DecisionLog(folder, lost) as log:
        for i, (text, one) in enumerate(zip(asked, router.route_many(asked), strict=True)):
            chance = {model: EXPLORE / 3 + (1 - EXPLORE) * (model == one.model) for model in MODELS}
            model = MODELS[rng.choice(3, p=list(chance.values()))]
            expected = dict(zip(MODELS, estimate.score[i].tolist(), strict=True))
            log.add(
                row(
                    i, text, model, router_model=one.model, propensity=chance[model], propensities=chance,
                    scores=expected, costs={}, cost={"a": 0.002, "b": 0.001, "c": 0.0005}[model],
                )
            )  # fmt: skip
            scores[f"d{i:05}"] = float(truth[i, MODELS.index(model)])
        asyncio.run(post(log))
    return folder


def again(folder: Path, drop: float, seed: int, n: int = 2000) -> Refit:
    old, running = world()
    return refit(running, served(folder, n, {**GOOD, "a": GOOD["a"] - drop}, seed), old)


@pytest.mark.prove
def test_a_model_that_fell_is_left_and_the_switch_recommended(tmp_path: Path) -> None:
    """SIMULATED: 15 points within 2,000 requests, of which 30 % explored."""
    made = again(tmp_path / "log", 0.15, 0)
    assert made.promote
    assert made.changed == ("a",)
    assert 0.0 < made.score.low < 0.13 < made.score.high
    assert made.differs > 0.5
    (lineage,) = made.router.facts["lineage"]
    assert (lineage["trained"], lineage["promote"], lineage["changed"]) == (666, True, ["a"])


@pytest.mark.prove
def test_without_a_change_the_running_router_stays(tmp_path: Path) -> None:
    made = again(tmp_path / "log", 0.0, 1, n=900)
    assert not made.promote
    assert made.changed == ()


@pytest.mark.prove
def test_without_a_change_no_more_than_one_in_twenty_is_promoted() -> None:
    """SIMULATED: 2,000 worlds in which the routers differ on every query and are equally good."""
    promoted = sum(judged(0.0, world) > 0.0 for world in range(2000))
    assert promoted <= 123  # of 2,000 at 5 %, more in 1 of 100


@pytest.mark.prove
def test_a_fall_of_fifteen_points_is_nearly_always_enough() -> None:
    """SIMULATED: 500 worlds with what later traffic of 2,000 requests leaves to judge by."""
    assert sum(judged(0.15, world) > 0.0 for world in range(500)) >= 0.9 * 500


@pytest.mark.slow
def test_the_command_keeps_the_lineage(tmp_path: Path) -> None:
    old, _ = world()
    save_outcomes(old, tmp_path / "data")

    def run(*words: object) -> str:
        said = CliRunner().invoke(app, [str(word) for word in words])
        assert said.exit_code == 0, said.output
        return said.stdout

    first, second = tmp_path / "one", tmp_path / "two"
    run("fit", tmp_path / "data", "--to", first, "--router", "linear", "--policy", "best", "--text", "query")
    log = served(tmp_path / "log", 300, GOOD, 3)
    told = orjson.loads(run("refit", first, "--logs", log, "--to", second, "--json"))
    assert (told["promote"], told["trained"], told["feedback"]) == (False, 100, None)
    run("refit", second, "--logs", log, "--to", tmp_path / "three", "--data", tmp_path / "data")
    lineage = FittedRouter.load(tmp_path / "three").facts["lineage"]
    assert len(lineage) == 2
    assert lineage[0]["parent"] != lineage[1]["parent"]
    assert {len(one["parent"]) for one in lineage} == {64}


def test_what_refit_lacks_is_said(tmp_path: Path) -> None:
    old, running = world()
    with pytest.raises(ValueError, match="manifest does not name"):
        refit(running, tmp_path)
    DecisionLog(tmp_path, lost)
    with pytest.raises(ValueError, match="requests with feedback, got 0"):
        refit(running, tmp_path, old)
