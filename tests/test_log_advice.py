"""Advice on logs whose truth is known: made here, and the made files where they are."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from llmrouterbench import advise
from llmrouterbench.importers import import_outcomes
from llmrouterbench.reporting.advice import advice_dict, advice_lines, write_advice
from llmrouterbench.reporting.log_advice import log_recommendation
from llmrouterbench.studies.log_advice import LogAdvice
from llmrouterbench.table import Outcomes

MADE = Path(__file__).resolve().parents[2] / "shared" / "data" / "made"
NAN = float("nan")


def confounded(n: int = 900, explored: float = 0.2) -> Outcomes:
    """Hard queries went to "large": it is better on both kinds and looks worse on average."""
    rng = np.random.default_rng(3)
    hard = rng.integers(0, 2, n)
    chance = np.where(hard[:, None], [0.5, 0.1], [0.95, 0.9])
    model = np.where(rng.random(n) < explored, 1 - hard, hard) == 0  # True: small
    score, cost = np.full((n, 2), NAN), np.full((n, 2), NAN)
    at = np.arange(n), model.astype(int)
    score[at], cost[at] = rng.random(n) < chance[at], np.array([0.01, 0.001])[at[1]]
    words = ["translate this easy sentence", "prove that hard theorem"]
    return Outcomes.of([f"{words[h]} {i}" for i, h in enumerate(hard)], ["large", "small"], score, cost=cost)


@pytest.fixture(scope="module")
def advice() -> LogAdvice:
    found = advise(confounded())
    assert isinstance(found, LogAdvice)
    return found


def test_the_better_model_is_served_though_its_mean_is_lower(advice: LogAdvice) -> None:
    outcomes = confounded()
    assert np.nanmean(outcomes.score[:, 1]) > np.nanmean(outcomes.score[:, 0])
    assert (advice.action, advice.best) == ("do not route", "large")
    assert advice.lead.low < 0.225 < advice.lead.high
    assert [one.name for one in advice.models] == ["large", "small"]
    for one, truth in zip(advice.models, (0.725, 0.5), strict=True):
        assert one.score.low < truth < one.score.high
    assert 1.5 < advice.odds < 20


def test_no_oracle_of_a_log_is_a_number(advice: LogAdvice, tmp_path: Path) -> None:
    lines = "\n".join(advice_lines(advice))
    assert lines.startswith(log_recommendation(advice))
    assert log_recommendation(advice) == "Do not route: serve large to everyone."
    assert "Cannot tell what an oracle would score" in lines
    assert "oracle" not in orjson.dumps(advice_dict(advice), default=str).decode().replace("what an oracle", "")
    assert repr(advice) == lines
    assert write_advice(advice, tmp_path) == ""
    assert orjson.loads((tmp_path / "advice.json").read_bytes())["coverage"]["kind"] == "logged"


def test_scores_that_are_never_bad_are_not_taken_for_good_models(advice: LogAdvice) -> None:
    outcomes = confounded(300)
    good = np.where(np.isfinite(outcomes.score), 1.0, NAN)
    found = advise(Outcomes.of(list(outcomes.queries.text), outcomes.models, good), quick=True)
    warning = "Every score is the highest: if bad replies get none"
    assert warning in "\n".join(advice_lines(found))
    assert warning not in "\n".join(advice_lines(advice))


def test_too_few_trials_have_no_number() -> None:
    outcomes = confounded(120, explored=0.0)
    found = advise(outcomes)
    assert isinstance(found, LogAdvice)
    rare = outcomes.score.copy()
    rare[5:, 1] = NAN  # small answered next to nothing
    rare[5:, 0] = np.where(np.isfinite(rare[5:, 0]), rare[5:, 0], 1.0)
    found = advise(Outcomes.of(list(outcomes.queries.text), outcomes.models, rare))
    assert isinstance(found, LogAdvice)
    assert found.action == "cannot tell"
    small = found.models[-1]
    assert (small.name, small.known) == ("small", False)
    assert small.needed > 0
    assert any("small: cannot tell" in line for line in advice_lines(found))


def test_one_model_tells_nothing_about_another() -> None:
    found = advise(Outcomes.of(["a", "b", "c"], ["only"], [[1], [0], [1]]))
    assert isinstance(found, LogAdvice)
    assert found.action == "cannot tell"
    assert "only one model was ever asked" in advice_lines(found)[0]


@pytest.mark.parametrize(
    ("name", "action", "best"),
    [
        ("logged", "do not route", "large"),
        ("logged_with_propensity", "do not route", "large"),
        ("specialists_uniform", "route by task", "large"),
        ("specialists_uniform_no_dataset", "route for quality", "large"),
        ("only_one_model_ever", "cannot tell", None),
    ],
)
def test_the_made_logs_get_the_advice_of_their_truth(name: str, action: str, best: str | None, tmp_path: Path) -> None:
    if not MADE.is_dir():
        pytest.skip("no shared data here")
    import_outcomes(MADE / f"{name}.csv", tmp_path / "data")
    found = advise(tmp_path / "data")
    assert isinstance(found, LogAdvice)
    assert (found.action, found.best) == (action, best)
    assert found.known == (name == "logged_with_propensity")
    if name.startswith("logged"):
        assert found.lead.low < 0.225 < found.lead.high
    if action.startswith("route"):
        routed = next(one for one in found.candidates if one.router == (found.router or "by_task"))
        assert routed.value.score.low < 0.95 < routed.value.score.high
        assert routed.gain.low < 0.2 < routed.gain.high
