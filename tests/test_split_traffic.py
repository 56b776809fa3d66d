"""Split traffic: conversations stay on their side, the log says which, and it may be looked at all the time."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from benchmarks.live import POINTS, first_crossings, fixed_size
from typer.testing import CliRunner

from gateways import MODELS, config_of, fitted, outcomes, running, total
from llmrouterbench import compare_live
from llmrouterbench.commands import logs, serve  # noqa: F401
from llmrouterbench.commands.app import app
from llmrouterbench.decision_log import DecisionLog, LoggedSide, read_decisions
from llmrouterbench.production.confidence_sequence import (
    Units,
    difference_at_any_time,
    differences,
    mean_at_any_time,
    mixture,
    tuning,
)
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import FitSettings, fit
from llmrouterbench.serve.chat_body import parse_chat
from llmrouterbench.serve.config import parse_serve_config
from llmrouterbench.serve.split import Candidate, Split
from test_log_study import lost, row
from upstream import Upstream


@cache
def other() -> FittedRouter:
    """A router that always prefers one model."""
    return fit(outcomes(), FitSettings(router="best_single", policy="best"))


@pytest.mark.prove
@pytest.mark.parametrize(("share", "agree"), [(0.5, 0.0), (0.1, 0.0), (0.5, 0.6)])
def test_looking_after_every_50_requests_errs_in_no_more_than_its_level(share: float, agree: float) -> None:
    """SIMULATED: 2,000 worlds without a difference, 5,000 requests each; not refused at 1 % by a binomial test."""
    errors = int(np.isfinite(first_crossings(share, 0.0, 2000, 5000, agree)).sum())
    assert errors <= 123  # of 2,000 at 5 %, more in 1 of 100


@pytest.mark.prove
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_five_points_are_found_nearly_as_soon_as_by_a_test_of_fixed_size(share: float) -> None:
    found = first_crossings(share, POINTS, 200, int(2.0 * fixed_size(share)))
    assert np.median(found) < 1.5 * fixed_size(share)


@pytest.mark.parametrize("seed", range(20))
def test_a_look_of_these_worlds_is_the_interval_that_users_see(seed: int) -> None:
    rng, share, n = np.random.default_rng(seed), (0.5, 0.1)[seed % 2], 400 + 100 * seed
    on = rng.random(n) < share
    units = Units(on, (rng.random(n) < np.where(on, 0.85, 0.7)).astype(np.float64), np.ones(n, dtype=np.bool_), share)
    x = differences(units)
    most = max(float(mixture(s * x.sum(), (x**2).sum(), *tuning(share))) for s in (1.0, -1.0))
    found = difference_at_any_time(units)
    assert (most >= np.log(40.0)) == (not found.low <= 0.0 <= found.high)


@pytest.mark.slow
def test_what_both_sides_would_do_alike_costs_no_requests() -> None:
    plain, mostly = (np.median(first_crossings(0.5, POINTS, 50, 6000, agree)) for agree in (0.0, 0.6))
    assert mostly < 0.75 * plain


@pytest.mark.prove
def test_conversations_that_go_on_between_looks_do_not_break_it() -> None:
    """SIMULATED: each has a difficulty of its own, and turns that come while others begin; 400 worlds of 40 looks."""
    errors = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        candidate, ease, turns = rng.random(1000) < 0.3, rng.beta(2.0, 1.0, 1000), rng.geometric(0.25, 1000)
        unit = np.repeat(np.arange(1000), turns)
        begun = np.sort(rng.integers(0, 2000, 1000))
        turn = np.arange(len(unit)) - np.repeat(np.cumsum(turns) - turns, turns)
        when = begun[unit] + 20 * turn
        score = (rng.random(len(unit)) < ease[unit]).astype(float)
        refused = False
        for look in range(50, 2050, 50):
            there = when <= look
            known = np.bincount(unit[there], minlength=1000)
            mean = np.bincount(unit[there], score[there], minlength=1000)[known > 0] / known[known > 0]
            side = candidate[known > 0]
            one = difference_at_any_time(Units(side, mean, np.ones(len(side), bool), 0.3))
            refused |= not one.low <= 0.0 <= one.high
        errors += refused
    assert errors <= 31  # of 400 at 5 %, more in 1 of 100


def test_the_mixture_is_the_mean_of_its_supermartingales() -> None:
    """By numbers: over the cut gamma density of u = 1 - c l."""
    scale, rho, total, variance = 2.0, 20.0, 30.0, 300.0
    u = np.linspace(1e-9, 1.0, 400_001)
    shape = rho / scale**2
    log_density = (shape - 1.0) * np.log(u) - shape * u
    exponent = (1.0 - u) / scale * total - variance * (-np.log(u) - (1.0 - u)) / scale**2
    weight = np.exp(log_density - log_density.max())
    by_hand = np.log((weight * np.exp(exponent)).sum() / weight.sum())
    assert float(mixture(np.array(total), np.array(variance), scale, rho)) == pytest.approx(by_hand, rel=1e-4)


def test_the_interval_turns_round_with_its_sides_and_shrinks() -> None:
    rng = np.random.default_rng(1)
    candidate, score = rng.random(4000) < 0.2, (rng.random(4000) < 0.6).astype(float)
    widths = []
    for n in (1, 100, 1000, 4000):
        plain = difference_at_any_time(Units(candidate[:n], score[:n], np.ones(n, bool), 0.2))
        turned = difference_at_any_time(Units(~candidate[:n], score[:n], np.ones(n, bool), 0.8))
        assert (turned.value, turned.low, turned.high) == pytest.approx((-plain.value, -plain.high, -plain.low))
        widths.append(plain.high - plain.low)
    assert widths == sorted(widths, reverse=True)
    nothing = Units(np.zeros(0, bool), np.zeros(0), np.zeros(0, bool), 0.5)
    assert (difference_at_any_time(nothing).low, difference_at_any_time(nothing).high) == (-1.0, 1.0)
    with pytest.raises(ValueError, match=r"in \[0, 1\], got 2"):
        difference_at_any_time(Units(np.ones(1, bool), np.array([2.0]), np.ones(1, bool), 0.5))


@pytest.mark.slow
def test_costs_have_an_interval_for_many() -> None:
    """SIMULATED: long-tailed costs, looked at after every 200 of 3,000 from 200 on."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        cost = rng.lognormal(0.0, 0.8, 3000)
        looks = [mean_at_any_time(cost[:n]) for n in range(200, 3001, 200)]
        wrong += any(not one.low <= np.exp(0.32) <= one.high for one in looks)
    assert wrong <= 18  # of 200 at 5 %, more in 1 of 100
    assert np.isnan(mean_at_any_time(np.ones(99)).low)


# --- served ----------------------------------------------------------------------------------------------------------


def test_a_conversation_stays_on_its_side_and_the_log_says_which(tmp_path: Path) -> None:
    config = config_of({"one": ""})
    with Upstream() as upstream:
        config["providers"]["one"]["url"] = upstream.url
        for _ in range(2):  # so does the next server
            with running(config, tmp_path, candidate=Candidate(other(), 0.5)) as server:
                for i in range(30):
                    headers = {"x-router-conversation": f"c{i}"}
                    assert server.ask(f"What is {i} times 7?", headers=headers).status_code == 200
                    assert server.ask(f"And of {i} plus 7?", headers=headers).status_code == 200
                server.ask(model=MODELS[0])
                server.frames(61)
        frames = read_decisions(tmp_path)
    assert len(frames.decisions) == 122
    assert len(frames.sides) == 120  # what the client named is on none
    sides = frames.sides.group_by("unit").agg(sides=pl.col("side").n_unique())
    assert set(sides["sides"]) == {1}
    assert len(sides) == 30
    shares = total(frames.sides, "side")
    assert 20 < shares["candidate"] < 100
    assert frames.sides["experiment"].n_unique() == 1
    assert set(frames.sides["probability"]) == {0.5}
    both = frames.sides.join(frames.decisions, on="id")
    assert (both["router_model"] == both["preferred"]).all()
    always = other().route("x").model
    assert set(both.filter(both["side"] == "candidate")["preferred"]) == {always}
    assert set(both.filter(both["side"] == "running")["other"]) == {always}


def test_without_a_candidate_nobody_is_on_a_side(tmp_path: Path) -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url}), tmp_path) as server:
        server.ask()
        assert server.frames(1).sides.is_empty()
    with pytest.raises(ValueError, match="requests on two sides, got none; serve with --candidate"):
        compare_live(tmp_path)


def test_a_share_or_a_policy_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for share in (0.0, 1.0, -0.5, float("nan")):
        with pytest.raises(ValueError, match="--share must be above 0 and below 1"):
            Candidate(other(), share)
    config = parse_serve_config(config_of({"one": "http://localhost:1/v1"}))
    with pytest.raises(ValueError, match="--candidate and --shadow"):
        Split(fitted(), config, Candidate(other(), 0.5), shadow=MODELS[0])
    file = tmp_path / "serve.yaml"
    file.write_bytes(orjson.dumps(config.model_dump()))  # JSON is YAML
    said = CliRunner().invoke(app, ["serve", "x", "--config", str(file), "--candidate", "y"])
    assert (said.exit_code, "--candidate needs --log" in said.output) == (2, True)


def test_another_experiment_draws_other_sides() -> None:
    config = parse_serve_config(config_of({"one": "http://localhost:1/v1"}))
    bodies = [
        parse_chat(orjson.dumps({"model": "auto", "messages": [{"role": "user", "content": f"{i} times 7?"}]}))
        for i in range(40)
    ]
    drawn = []
    for share in (0.5, 0.5, 0.501):
        split = Split(fitted(), config, Candidate(other(), share))
        sides = [split.choose(body, "who").side for body in bodies]
        drawn.append([side.name for side in sides if side is not None])
    assert len(drawn[0]) == 40
    assert drawn[0] == drawn[1] != drawn[2]


# --- compared --------------------------------------------------------------------------------------------------------


def written(folder: Path, n: int, lead: float, experiment: str = "e", seed: int = 0, kind: str = "score") -> Path:
    """SIMULATED: single-turn conversations on two sides, half of which decide alike."""
    rng = np.random.default_rng(seed)

    async def post(log: DecisionLog, scores: dict[str, float]) -> None:
        cost = 0.001 if kind == "judge" else None
        given = enumerate(scores.items())
        await asyncio.gather(*[log.add_feedback(id, float(at), "-", score, kind, cost) for at, (id, score) in given])

    scores = {}
    with DecisionLog(folder, lost) as log:
        for i in range(n):
            candidate, differs = bool(rng.random() < 0.5), bool(i % 2)
            name, mine = f"{experiment}{i:05}", "b" if candidate and differs else "a"
            log.add(row(i, None, mine, id=name, cost=0.002 if mine == "b" else 0.001))
            side = "candidate" if candidate else "running"
            theirs = mine if not differs else "a" if candidate else "b"
            log.add(LoggedSide(name, float(i), experiment, f"u{name}", side, 0.5, mine, theirs))
            scores[name] = float(rng.random() < (0.6 + lead if mine == "b" else 0.6))
        asyncio.run(post(log, scores))
    return folder


def test_a_better_candidate_is_found_and_a_like_one_is_not(tmp_path: Path) -> None:
    better = compare_live(written(tmp_path / "better", 1500, 0.3))
    assert better.finding == "better"
    assert better.score.low < 0.15 < better.score.high
    assert better.cost.low < 0.0005 < better.cost.high
    assert better.differs == 0.5
    like = compare_live(written(tmp_path / "like", 1500, 0.0))
    assert like.finding == "cannot tell"
    assert like.running.scored + like.candidate.scored == 1500
    assert compare_live(written(tmp_path / "worse", 1500, -0.3)).finding == "worse"


def test_the_newest_experiment_counts_and_kinds_are_not_mixed(tmp_path: Path) -> None:
    log = written(tmp_path, 40, 0.0, "new")
    written(log, 30, 0.0, "newer", kind="judge")
    with sqlite3.connect(log / "decisions.sqlite") as connection:
        connection.execute("UPDATE sides SET time = time + 1e6 WHERE experiment = 'newer'")
    newest = compare_live(log)
    assert (newest.experiment, newest.others, newest.feedback) == ("newer", ("new",), "judge")
    assert newest.judging == pytest.approx(0.03)
    assert compare_live(log, experiment="new").feedback == "score"
    with pytest.raises(ValueError, match="no experiment 'x'"):
        compare_live(log, experiment="x")
    frames = read_decisions(log)
    with pytest.raises(ValueError, match="one kind, got judge, score"):
        frames.scored()
    assert len(frames.scored("judge")) == 30
    with pytest.raises(ValueError, match="of the kind 'thumb', got judge, score"):
        frames.scored("thumb")
    said = CliRunner().invoke(app, ["compare-live", str(log), "--json"])
    assert orjson.loads(said.stdout)["finding"] == "cannot tell"
    plain = CliRunner().invoke(app, ["compare-live", str(log)])
    assert plain.exit_code == 0, plain.output


def test_two_logs_are_one_experiment(tmp_path: Path) -> None:
    both = [written(tmp_path / f"{seed}", 50, 0.0, seed=seed) for seed in (1, 2)]
    assert compare_live(*both).running.requests + compare_live(*both).candidate.requests >= 50


def test_a_log_without_feedback_cannot_tell(tmp_path: Path) -> None:
    log = written(tmp_path, 20, 0.0)
    with sqlite3.connect(log / "decisions.sqlite") as connection:
        connection.execute("DELETE FROM feedback")
    live = compare_live(log)
    assert (live.finding, live.feedback, live.score.low) == ("cannot tell", "none", -1.0)


def test_a_log_of_schema_2_is_read_and_grows(tmp_path: Path) -> None:
    with DecisionLog(tmp_path, lost) as log:
        log.add(row(1, None, "a"))
    connection = sqlite3.connect(tmp_path / "decisions.sqlite")
    connection.executescript(
        "DROP TABLE sides; ALTER TABLE feedback DROP COLUMN kind; ALTER TABLE feedback DROP COLUMN cost;"
        "INSERT INTO feedback VALUES ('d00001', 1, '-', 0.5); PRAGMA user_version = 2"
    )
    connection.close()
    frames = read_decisions(tmp_path)
    assert (frames.feedback["kind"].to_list(), frames.sides.height) == (["score"], 0)
    with DecisionLog(tmp_path, lost) as log:
        asyncio.run(log.add_feedback("d00001", 2.0, "-", 1.0, "thumb"))
    assert read_decisions(tmp_path).feedback["kind"].to_list() == ["score", "thumb"]


def test_a_retry_and_a_thumb_are_declared(tmp_path: Path) -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url}), tmp_path) as server:
        decision = server.ask().headers["x-router-decision"]
        server.frames(1)

        def post(**more: Any) -> int:
            return server.http.post(f"{server.url}/feedback", json={"decision": decision, **more}).status_code

        assert post(score=1.0) == post(score=0.0, kind="retry") == post(score=1.0, kind="thumb") == 200
        assert post(score=0.5, kind="judge", cost=0.002) == 200
        assert post(score=0.5, kind="thumb") == post(score=1.0, kind="guess") == post(score=1.0, cost=-1.0) == 400
    feedback = read_decisions(tmp_path).feedback
    assert sorted(feedback["kind"]) == ["judge", "retry", "score", "thumb"]
    assert feedback["cost"].sum() == 0.002
