"""The made files, whose truth is known, from the table to the served policy, through the commands."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

import llmrouterbench.cli  # noqa: F401  (its commands join the app)
from llmrouterbench.commands.app import app
from llmrouterbench.table import Outcomes

MADE = Path(__file__).resolve().parents[2] / "shared" / "data" / "made"
pytestmark = pytest.mark.skipif(not MADE.is_dir(), reason="no shared data here")


def said(*words: object) -> Any:
    found = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert found.exit_code == 0, (found.output, found.exception)
    return orjson.loads(found.stdout_bytes)


def imported(name: str, to: Path, *words: str) -> Any:
    said("import", MADE / f"{name}.csv", "--to", to, *words)
    return said("info", to)


def test_a_log_of_hard_queries_for_the_large_model_serves_the_large_one(tmp_path: Path) -> None:
    for name in ("logged", "logged_with_propensity"):
        assert imported(name, tmp_path / name)["data"]["kind"] == "logged"
        made = said("fit", tmp_path / name, "--to", tmp_path / f"{name}-router")
        words = ("--policy", "best", "--policy", "strong-share 0")
        best, small = said("policies", tmp_path / f"{name}-router", *words)["policies"]
        near = 0.05 if name == "logged_with_propensity" else best["quality"]["high"] - best["quality"]["value"]
        assert best["quality"]["value"] == pytest.approx(0.725, abs=near), "large had luck in the second log"
        assert best["share"] == {"large": 1.0}
        assert small["share"]["small"] > 0.99
        assert small["lead"]["low"] < -0.225 < small["lead"]["high"]
        assert made["data"]["coverage"]["kind"] == "logged"


@pytest.mark.parametrize("name", ["specialists_uniform", "specialists_uniform_no_dataset"])
def test_specialists_are_routed_by_kind(name: str, tmp_path: Path) -> None:
    assert imported(name, tmp_path / "data")["overview"]["best_single"] is None
    said("fit", tmp_path / "data", "--to", tmp_path / "router")
    best = said("policies", tmp_path / "router", "--policy", "best")["policies"][0]
    assert best["quality"]["low"] < 0.95 < best["quality"]["high"]
    assert best["lead"]["low"] > 0.0
    for kind, model in {"write a SQL query that selects": "large", "draft a polite email about": "small"}.items():
        query = f"{kind} amber maple otter river 7"
        assert said("route", tmp_path / "router", query, "--policy", "best")["model"] == model


def test_request_ids_make_no_log_of_a_complete_table(tmp_path: Path) -> None:
    plain, ids = (imported(name, tmp_path / name) for name in ("complete", "complete_with_request_ids"))
    assert plain["data"]["kind"] == ids["data"]["kind"] == "complete"
    assert plain["content_hash"] == ids["content_hash"]


def test_failed_calls_are_no_wrong_answers(tmp_path: Path) -> None:
    facts = imported("failed_calls", tmp_path / "data")
    assert facts["overview"]["best_single"] == "large"
    assert facts["coverage"]["large"]["data"] < 330 < facts["coverage"]["small"]["data"] == 400
    assert abs(facts["accuracy"]["large"]["AvgAcc"] - 72.5) < 8.0
    assert facts["unknown_costs"] == {"large": {"data": 0}, "small": {"data": 0}}


def test_label_noise_is_measured_from_runs(tmp_path: Path) -> None:
    facts = imported("four_runs_a_cell", tmp_path / "data")
    assert (facts["data"]["kind"], facts["runs"]["cells"], facts["runs"]["mean"]) == ("complete", 600, 4.0)
    truth = 100 * ((0.9 * 0.1 + 0.95 * 0.05 + 0.1 * 0.9 + 0.5 * 0.5) / 4) ** 0.5
    assert facts["runs"]["spread"] == pytest.approx(truth, abs=2.0)
    assert facts["runs"]["spread_of_mean"] == pytest.approx(truth / 2, abs=1.0)
    noise = said("advise", tmp_path / "data", "--quick")["headroom"]["noise_share"]
    assert noise["high"] > 0.95, "the large model is better on every query: all that an oracle gains is noise"
    stored = Outcomes.load(tmp_path / "data")
    assert stored.runs is not None
    assert (stored.runs == 4).all()


def test_cannot_tell_where_nothing_tells(tmp_path: Path) -> None:
    imported("only_one_model_ever", tmp_path / "one")
    assert said("advise", tmp_path / "one")["action"] == "cannot tell"
    words = ["import", str(MADE / "two_filters.csv"), "--to", str(tmp_path / "two")]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code
    assert "cannot tell which score counts" in str(refused.exception)
    facts = imported("two_filters", tmp_path / "two", "--filter", "flexible-extract")
    assert facts["overview"]["best_single"] == "large"
    assert facts["overview"]["best_single_AvgAcc"] == pytest.approx(72.5, abs=8.0)
