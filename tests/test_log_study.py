"""Logs of a server, written by its real writer: policies judged where the truth is known, drift, import."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from llmrouterbench import Outcomes, simulate
from llmrouterbench.commands import logs  # noqa: F401
from llmrouterbench.commands.app import app
from llmrouterbench.decision_log import DecisionLog, Logged, read_decisions
from llmrouterbench.importers import import_outcomes
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import FitSettings, fit
from llmrouterbench.production.log_study import UNEXPLORED, log_drift, policy_values, study
from llmrouterbench.production.off_policy import OffPolicy

EXPLORING = "best --explore 0.4"


@pytest.fixture(scope="module")
def world() -> tuple[FittedRouter, Outcomes]:
    """A router fitted on one half of SIMULATED outcomes, and the other half: what the world answers."""
    outcomes = simulate("performance-cost", scale=0.12).pool
    full = np.flatnonzero(np.isfinite(outcomes.score).all(axis=1) & np.isfinite(outcomes.cost).all(axis=1))
    order = np.random.default_rng(0).permutation(full)
    half = len(order) // 2
    router = fit(
        outcomes.take(np.sort(order[:half])), FitSettings(router="linear", policy="best", text="query", novel=0.0)
    )
    return router, outcomes.take(np.sort(order[half:]))


def lost(rows: int, sentence: str) -> None:
    raise AssertionError(sentence)


def write(folder: Path, rows: list[Logged], feedback: dict[str, float]) -> Path:
    async def post(log: DecisionLog) -> None:
        for decision, score in feedback.items():
            await log.add_feedback(decision, 1.0, "-", score)

    with DecisionLog(folder, lost) as log:
        for row in rows:
            log.add(row)
        asyncio.run(post(log))
    return folder


def row(number: int, text: str | None, chosen: str, **more: Any) -> Logged:
    known: dict[str, Any] = {
        "id": f"d{number:05}", "time": float(number), "key": "-", "asked": "auto", "policy": EXPLORING,
        "query_hash": "", "query": text, "router_model": chosen, "chosen": chosen, "model": chosen, "provider": "p",
        "reason": "policy", "propensity": 1.0, "propensities": {chosen: 1.0}, "scores": {}, "costs": {},
        "estimated_score": None, "estimated_cost": None, "estimated_seconds": None, "ood": False, "shadow": False,
        "conversation": None, "stream": False, "status": "ok", "http_status": 200, "cost": None, "tokens_in": 10,
        "tokens_out": 20, "decision_seconds": 0.001, "first_token_seconds": None, "seconds": 1.0, "attempts": (),
    }  # fmt: skip
    return Logged(**{**known, **more})


@pytest.fixture(scope="module")
def log(world: tuple[FittedRouter, Outcomes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a server that explores would have logged, with feedback on three requests of four."""
    router, outcomes = world
    texts = list(outcomes.queries.text)
    router.random.seed(7)
    decided, estimate = router.route_many(texts, EXPLORING), router.estimate(texts)
    rows, feedback = [], {}
    for i, (text, one) in enumerate(zip(texts, decided, strict=True)):
        column, share = outcomes.models.index(one.model), 0.4 / len(router.models)
        chances = {model: share + 0.6 * (model == one.ranking[0]) for model in router.models}
        costs = dict(zip(router.models, estimate.cost[i].tolist(), strict=True))
        scores = dict(zip(router.models, estimate.score[i].tolist(), strict=True))
        rows.append(
            row(
                i,
                text,
                one.model,
                router_model=one.ranking[0],
                reason=one.reason,
                propensity=one.propensity,
                propensities=chances,
                scores=scores,
                costs=costs,
                cost=float(outcomes.cost[i, column]),
            )
        )
        if i % 4:
            feedback[f"d{i:05}"] = float(outcomes.score[i, column])
    return write(tmp_path_factory.mktemp("log"), rows, feedback)


def served(world: tuple[FittedRouter, Outcomes], policy: str) -> float:
    """The true mean score of a policy on the requests that have feedback."""
    router, outcomes = world
    decided = router.route_many(list(outcomes.queries.text), policy)
    columns = np.array([outcomes.models.index(one.model) for one in decided])
    rows = np.arange(len(outcomes))
    return float(outcomes.score[rows, columns][rows % 4 > 0].mean())


def value_of(values: list[Any], name: str, what: str = "score") -> OffPolicy:
    found = next(value for value in values if value.policy == name)
    number = getattr(found, what)
    assert isinstance(number, OffPolicy)
    return number


def test_policies_are_valued_as_the_world_values_them(world: tuple[FittedRouter, Outcomes], log: Path) -> None:
    router, outcomes = world
    values = policy_values(study(read_decisions(log)), router, ["weight 1000000", "best"], replicates=300)
    for policy in ("weight 1000000", "best"):
        truth, found = served(world, policy), value_of(values, policy)
        for number in (found.ips, found.snips, found.doubly_robust):
            assert number.low - 0.02 <= truth <= number.high + 0.02
        assert found.unsupported == 0.0
        assert found.scored == sum(i % 4 > 0 for i in range(len(outcomes)))
    assert value_of(values, UNEXPLORED).snips.value == pytest.approx(value_of(values, "best").snips.value)
    cheap, good = value_of(values, "weight 1000000", "cost"), value_of(values, "best", "cost")
    assert cheap.doubly_robust.value < good.doubly_robust.value


def test_every_single_model_is_valued(world: tuple[FittedRouter, Outcomes], log: Path) -> None:
    router, outcomes = world
    values = policy_values(study(read_decisions(log)), replicates=300)
    assert [value.policy for value in values] == [UNEXPLORED, *(f"always {model}" for model in sorted(router.models))]
    part = np.arange(len(outcomes)) % 4 > 0
    covered = [
        value_of(values, f"always {model}").doubly_robust.low - 0.03
        <= outcomes.score[part, j].mean()
        <= value_of(values, f"always {model}").doubly_robust.high + 0.03
        for j, model in enumerate(outcomes.models)
    ]
    assert sum(covered) >= len(covered) - 2


def test_what_no_probability_stands_behind_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        row(0, "a", "x"),
        row(1, "b", "x", reason="named", router_model=None),
        row(2, "c", "x", reason="conversation"),
        row(3, "d", "x", model="y"),
        row(4, "e", "x", status="broken"),
    ]
    studied = study(read_decisions(write(tmp_path, rows, {"d00000": 1.0})))
    assert len(studied) == 1
    assert studied.left_out == {
        "conversation": 1, "named": 1, "not served in full": 1, "served by a fallback": 1,
    }  # fmt: skip
    with pytest.raises(ValueError, match="got none of 1; ask for the model"):
        study(read_decisions(write(tmp_path / "named", [row(0, "a", "x", reason="named")], {})))


def test_a_shadow_log_says_that_nothing_else_was_tried(tmp_path: Path) -> None:
    rows = [
        row(i, "a", "x", reason="shadow", shadow=True, router_model="y", scores={"x": 0.5, "y": 0.9}) for i in range(40)
    ]
    studied = study(read_decisions(write(tmp_path, rows, {f"d{i:05}": 0.25 for i in range(40)})))
    found = value_of(policy_values(studied), UNEXPLORED)
    assert (found.unsupported, found.logged.value) == (1.0, 0.25)
    assert found.doubly_robust.value == pytest.approx(0.9)  # nothing but the router's own word


def test_a_policy_needs_texts_and_a_router(world: tuple[FittedRouter, Outcomes], tmp_path: Path) -> None:
    router, _ = world
    studied = study(read_decisions(write(tmp_path, [row(0, None, router.models[0])], {})))
    with pytest.raises(ValueError, match="got 1 without one; start the server with --log-text"):
        policy_values(studied, router, ["best"])
    with pytest.raises(ValueError, match="add --router"):
        policy_values(studied, None, ["best"])


def test_drift_is_found_only_where_there_is_some(world: tuple[FittedRouter, Outcomes], log: Path) -> None:
    router, _ = world
    studied = study(read_decisions(log))
    assert {one.verdict for one in log_drift(studied, router)} <= {"stable", "shifted"}
    assert sum(one.verdict == "shifted" for one in log_drift(studied, router)) <= 1
    strange = replace(studied, text=tuple(f"zzz {i} qqq" for i in range(len(studied))))
    similarity = log_drift(strange, router)[0]
    assert (similarity.name, similarity.verdict) == ("similarity to the training queries", "far away")
    worse = replace(studied, feedback=np.where(np.isfinite(studied.feedback), 0.0, np.nan))
    by_name = {one.name: one for one in log_drift(worse, router)}
    assert by_name["feedback minus expected score"].verdict != "stable"


def test_a_log_imports_as_outcomes(world: tuple[FittedRouter, Outcomes], log: Path, tmp_path: Path) -> None:
    report = import_outcomes(log, tmp_path / "data")
    assert report.source["format"] == "decision_log"
    back, (_, outcomes) = Outcomes.load(tmp_path / "data"), world
    studied = study(read_decisions(log))
    assert report.counts["records"] == len(outcomes)
    assert set(back.queries.text) == set(outcomes.queries.text)
    assert np.isfinite(back.score).sum() <= np.isfinite(studied.feedback).sum()
    assert np.nanmean(back.score) == pytest.approx(np.nanmean(studied.feedback), abs=0.05)
    assert back.propensity is not None
    measured, known = np.isfinite(back.score), np.isfinite(back.propensity)
    assert (measured.any(axis=1) == known.any(axis=1)).all(), "what counts are requests with feedback"
    assert (back.propensity[measured] >= 0.4 / len(back.models) - 1e-9).all()
    weights = measured[known.all(axis=1)] / back.propensity[known.all(axis=1)]
    assert weights.mean() == pytest.approx(1.0, abs=0.15), "each model was measured as often as it should be"


def test_a_log_without_texts_is_no_outcomes(tmp_path: Path) -> None:
    write(tmp_path / "log", [row(0, None, "x")], {})
    with pytest.raises(ValueError, match="got none in 1 requests; start the server with --log-text"):
        import_outcomes(tmp_path / "log", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_the_commands_print_tables_and_json(world: tuple[FittedRouter, Outcomes], log: Path, tmp_path: Path) -> None:
    router, _ = world
    router.save(tmp_path / "router")
    run: Callable[..., Any] = lambda *words: CliRunner().invoke(app, [*map(str, words)])  # noqa: E731
    said = run("evaluate-logs", log, "--router", tmp_path / "router", "--policy", "weight 3", "--json")
    assert said.exit_code == 0, said.output
    facts = orjson.loads(said.stdout)
    assert facts["policies"][-1]["policy"] == "weight 3"
    assert facts["requests"] == facts["policies"][0]["score"]["decisions"]
    plain = run("evaluate-logs", log)
    assert plain.exit_code == 0, plain.output
    drift = run("drift", log, "--router", tmp_path / "router", "--json")
    assert orjson.loads(drift.stdout)["numbers"]
    assert run("drift", log, "--router", tmp_path / "router").exit_code == 0
    typo = run("evaluate-logs", log, "--policy", "cheepest")
    assert typo.exit_code == 2
    assert "did you mean" in typo.output


def test_a_folder_without_a_log_or_with_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`llmrouterbench serve --log` makes one"):
        read_decisions(tmp_path)
    sqlite3.connect(tmp_path / "decisions.sqlite").execute("PRAGMA user_version = 9").connection.close()
    with pytest.raises(ValueError, match="schema 3, got 9"):
        read_decisions(tmp_path)
