"""What is decided, logged and scored: the same as offline, with the probabilities with which it was chosen."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from gateways import MODELS, REAL_COST, config_of, fitted, outcomes, running, total
from llmrouterbench.decision_log import FILE, DecisionLog, read_decisions
from llmrouterbench.embedders.vectors import text_hash
from llmrouterbench.production.fitted import FittedRouter
from upstream import Upstream

CANARY = "the text of a canary 8471"


@pytest.mark.slow
def test_the_server_chooses_as_the_router_does_on_a_thousand_queries() -> None:
    queries = [f"{text} ({part})" for part in (1, 2) for text in outcomes().queries.prompt][:1000]
    with Upstream() as upstream, running(config_of({"one": upstream.url})) as server, ThreadPoolExecutor(4) as pool:
        served = list(pool.map(lambda text: server.ask(text).headers["x-router-model"], queries))
    decided = [decision.model for decision in fitted().route_many(queries)]
    assert len(queries) == 1000
    assert served == decided
    assert len(set(served)) > 1


def test_a_request_is_logged_with_all_that_was_believed(tmp_path: Path) -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url}), tmp_path) as server:
        reply = server.ask(CANARY)
        frames = server.frames()
    row = frames.decisions.row(0, named=True)
    decision = fitted().route(CANARY)
    assert row["id"] == reply.headers["x-router-decision"]
    assert (row["asked"], row["policy"], row["key"]) == ("auto", str(fitted().default_policy), "-")
    assert row["chosen"] == row["model"] == row["router_model"] == decision.model
    assert (row["provider"], row["reason"], row["propensity"]) == ("one", decision.reason, 1.0)
    assert (row["status"], row["http_status"], row["attempts"], row["stream"]) == ("ok", 200, 1, False)
    assert (row["tokens_in"], row["tokens_out"], row["cost"]) == (1000, 100, pytest.approx(REAL_COST))
    assert (row["query_hash"], row["query"]) == (text_hash(CANARY), None)
    assert 0 < row["decision_seconds"] < row["seconds"]
    models = {one["model"]: one for one in frames.models.iter_rows(named=True)}
    estimate = fitted().estimate([CANARY])
    for column, model in enumerate(fitted().models):
        assert models[model]["score"] == pytest.approx(estimate.score[0, column])
        assert models[model]["cost"] == pytest.approx(estimate.cost[0, column])
        assert models[model]["propensity"] == float(model == decision.model)
    assert CANARY.encode() not in (tmp_path / FILE).read_bytes()
    assert CANARY not in server.stream.getvalue().decode()


def test_the_text_is_logged_where_that_is_asked_for(tmp_path: Path) -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url}), tmp_path, log_text=True) as server:
        server.ask(CANARY)
        assert server.row()["query"] == CANARY
        assert CANARY not in server.stream.getvalue().decode()


def test_exploration_is_logged_with_its_probabilities(tmp_path: Path) -> None:
    queries = [text for text in outcomes().queries.prompt if fitted().route(text).reason == "policy"][:150]
    router = FittedRouter(fitted().router, fitted().embedder, fitted().learned, fitted().facts)
    router.random.seed(3)
    with (
        Upstream() as upstream,
        running(config_of({"one": upstream.url}), tmp_path, router=router, explore=0.3) as server,
        ThreadPoolExecutor(4) as pool,
    ):
        list(pool.map(server.ask, queries))
        frames = server.frames(len(queries))
    rows = frames.decisions
    assert set(rows["policy"]) == {f"{fitted().default_policy} --explore 0.3"}
    explored = rows.filter(rows["reason"] == "exploration")
    assert 0.15 * len(queries) < len(explored) < 0.45 * len(queries)
    assert set(explored["chosen"]) == set(MODELS)
    assert sorted({round(one, 6) for one in frames.models["propensity"]}) == [0.1, 0.8]
    sums = frames.models.group_by("id").agg(pl.col("propensity").sum())["propensity"]
    assert all(one == pytest.approx(1.0) for one in sums)
    joined = rows.join(frames.models, left_on=["id", "chosen"], right_on=["id", "model"], suffix="_of_model")
    assert (joined["propensity"] - joined["propensity_of_model"]).abs().max() < 1e-12  # type: ignore[operator]
    assert len(joined) == len(rows)


def test_shadow_serves_one_model_and_logs_what_the_router_would_have_done(tmp_path: Path) -> None:
    queries = list(outcomes().queries.prompt)[:20]
    with Upstream() as upstream, running(config_of({"one": upstream.url}), tmp_path, shadow="glm-4.6") as server:
        for text in queries:
            assert server.ask(text).headers["x-router-model"] == "glm-4.6"
        rows = server.frames(len(queries)).decisions
    assert total(rows, "chosen") == total(rows, "model") == {"glm-4.6": len(queries)}
    assert rows["shadow"].all()
    assert set(rows["reason"]) == {"shadow"}
    assert rows.sort("time")["router_model"].to_list() == [one.model for one in fitted().route_many(queries)]


def test_feedback_is_kept_by_decision_and_the_last_score_counts(tmp_path: Path) -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url}), tmp_path) as server:
        decision = server.ask().headers["x-router-decision"]
        for score in (0.0, 0.75):
            sent = server.http.post(f"{server.url}/feedback", json={"decision": decision, "score": score})
            assert sent.json() == {"status": "stored"}
        for body, status in (
            ({"decision": "d-none", "score": 1.0}, 404),
            ({"decision": decision, "score": 2.0}, 400),
            ({"decision": decision}, 400),
            ({"decision": decision, "score": 1.0, "more": 1}, 400),
        ):
            refused = server.http.post(f"{server.url}/feedback", json=body)
            assert refused.status_code == status, body
            assert refused.json()["error"]["message"]
        frames = server.frames()
    assert frames.feedback.select("id", "score").rows() == [(decision, 0.75)]


def test_without_a_log_there_is_no_feedback() -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url})) as server:
        refused = server.http.post(f"{server.url}/feedback", json={"decision": "d-1", "score": 1.0})
        assert (refused.status_code, "--log" in refused.text) == (404, True)


def test_the_last_turn_decides_with_what_the_user_said_before(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "What is the capital of Peru?"},
        {"role": "assistant", "content": "Lima."},
        {"role": "user", "content": [{"type": "text", "text": "And of Chile?"}]},
    ]
    for context, text in ((2000, "What is the capital of Peru?\n\nAnd of Chile?"), (5, "And of Chile?")):
        folder = tmp_path / str(context)
        config = config_of({"one": ""}, conversation={"context_characters": context})
        with Upstream() as upstream:
            config["providers"]["one"]["url"] = upstream.url
            with running(config, folder, log_text=True) as server:
                server.client().chat.completions.create(model="auto", messages=turns)
                assert server.row()["query"] == text


def test_a_conversation_keeps_its_model(tmp_path: Path) -> None:
    queries = list(outcomes().queries.prompt)
    decided = [one.model for one in fitted().route_many(queries)]
    first = queries[decided.index("gpt-5")]
    other = next(text for text in queries if fitted().route(f"{first}\n\n{text}").model != "gpt-5")
    opening = [{"role": "user", "content": first}]
    later = [*opening, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": other}]
    config = config_of({"one": ""}, conversation={"sticky_seconds": 60.0, "context_characters": 10**6})
    with Upstream() as upstream:
        config["providers"]["one"]["url"] = upstream.url
        with running(config, tmp_path) as server:

            def served(messages: object, **headers: str) -> tuple[str, str]:
                reply = server.client().chat.completions.with_raw_response.create(
                    model="auto", messages=messages, extra_headers=headers
                )
                return reply.headers["x-router-model"], reply.headers["x-router-reason"]

            assert served(later)[1] != "conversation"
            assert served(opening)[0] == "gpt-5"
            assert served(later) == ("gpt-5", "conversation")
            assert served(later, **{"x-router-conversation": "another"})[1] != "conversation"
            assert served(later, **{"x-router-conversation": "another"})[1] == "conversation"
            rows = server.frames(5).decisions
    assert rows.filter(rows["reason"] == "conversation")["propensity"].to_list() == [1.0, 1.0]


def test_a_model_that_lacks_what_is_needed_is_not_chosen() -> None:
    config = config_of({"one": ""}, **{"gpt-5": {"lacks": ["images", "tools"]}, "glm-4.6": {"lacks": ["images"]}})
    text = next(text for text in outcomes().queries.prompt if fitted().route(text).model == "gpt-5")
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with Upstream() as upstream:
        config["providers"]["one"]["url"] = upstream.url
        with running(config) as server:
            assert server.ask(text).headers["x-router-model"] == "gpt-5"
            tool = {"type": "function", "function": {"name": "f"}}
            assert server.ask(text, tools=[tool]).headers["x-router-model"] != "gpt-5"
            messages = [{"role": "user", "content": [{"type": "text", "text": text}, image]}]
            assert server.ask(messages=messages).headers["x-router-model"] == "gemini-2.5-flash"
        config["models"][2]["lacks"] = ["images"]
        with running(config) as server:
            refused = server.ask(messages=messages)
            assert (refused.status_code, refused.json()["error"]["message"]) == (
                400,
                "no model of this server takes images",
            )


def test_a_folder_without_a_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--log"):
        read_decisions(tmp_path)
    (tmp_path / FILE).write_bytes(b"no database, but long enough to be one" * 100)
    with pytest.raises(ValueError, match="must be a decision log"):
        read_decisions(tmp_path)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    with pytest.raises(ValueError, match="must be writable"):
        DecisionLog(tmp_path, lambda rows, why: None)


def test_a_log_on_a_read_only_disk_is_read(tmp_path: Path) -> None:
    if (bubblewrap := shutil.which("bwrap")) is None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    DecisionLog(tmp_path, lambda rows, why: None)
    read = "import sys, pathlib, llmrouterbench.decision_log as log; log.read_decisions(pathlib.Path(sys.argv[1]))"
    sealed = [bubblewrap, "--ro-bind", "/", "/", "--dev", "/dev"]
    done = subprocess.run([*sealed, sys.executable, "-c", read, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    (tmp_path / f"{FILE}-wal").write_bytes(b"of a server that was killed")
    done = subprocess.run([*sealed, sys.executable, "-c", read, str(tmp_path)], capture_output=True, text=True)
    assert "-wal holds rows that cannot be read on a read-only disk" in done.stderr
