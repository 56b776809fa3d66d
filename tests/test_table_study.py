"""Policies on a stored log, with its propensities and with estimated ones: values whose truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

import llmrouterbench.cli  # noqa: F401  (its commands join the app)
from llmrouterbench import evaluate_logs, fit, info
from llmrouterbench.commands.app import app
from llmrouterbench.estimating.tables import LogSummary
from llmrouterbench.production.table_study import TableValues, table_values
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes
from test_fitting_logs import specialists
from test_log_advice import confounded

NAN = float("nan")


def with_propensity(outcomes: Outcomes, chosen: float) -> Outcomes:
    """Propensities of what was served, all the same."""
    return replace(outcomes, propensity=np.where(np.isfinite(outcomes.score), chosen, NAN))


def test_a_policy_that_decided_nothing_is_valued_on_a_table(tmp_path: Path) -> None:
    router = fit(specialists(800, seed=2), router="task_soft", policy="best")
    router.save(tmp_path / "router")
    for known in (True, False):
        log = with_propensity(specialists(), 0.5) if known else specialists()
        write_outcomes(log, tmp_path / "log", overwrite=True)
        found = evaluate_logs(tmp_path / "log", router=tmp_path / "router", policy=["best"])
        assert isinstance(found, TableValues)
        assert (found.known, found.queries, found.left_out) == (known, 800, 0)
        best, *alone = found.policies
        assert best.score.low < 0.95 < best.score.high
        assert [one.name for one in alone] == ["always large", "always small"]
        for one, truth in zip(alone, (0.75, 0.70), strict=True):
            assert one.score.low < truth < one.score.high
    words = ["evaluate-logs", str(tmp_path / "log"), "--router", str(tmp_path / "router"), "--policy", "best"]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    assert "looks better than it is" in said.output
    plain = orjson.loads(CliRunner().invoke(app, [*words, "--json"]).stdout_bytes)
    assert [one["name"] for one in plain["policies"]] == ["best", "always large", "always small"]


def test_what_is_no_log_is_refused() -> None:
    whole = Outcomes.of([f"q {i}" for i in range(50)], ["a", "b"], np.ones((50, 2)))
    with pytest.raises(ValueError, match="a log must be given, got complete data"):
        table_values(whole)
    with pytest.raises(ValueError, match="policies need the router that decides, got 'best' without one"):
        table_values(specialists(50), None, ["best"])
    with pytest.raises(ValueError, match="a log must have several models and queries to learn from"):
        table_values(specialists(4))


def test_info_says_what_every_model_of_a_log_would_score(tmp_path: Path) -> None:
    log = confounded()
    facts = info(log)
    found = LogSummary.from_dict(facts["values"])
    assert (found.known, found.queries, [one.name for one in found.models]) == (False, 900, ["large", "small"])
    for one, truth in zip(found.models, (0.725, 0.5), strict=True):
        assert one.score.low < truth < one.score.high
    assert facts["overview"]["best_single"] is None
    write_outcomes(log, tmp_path / "log")
    said = CliRunner().invoke(app, ["info", str(tmp_path / "log")], env={"COLUMNS": "200"}).output
    assert "large alone would have an AvgAcc of 7" in said
    assert info(Outcomes.of(["a"], ["x", "y"], [[1, 0]]))["values"] is None
