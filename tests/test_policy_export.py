"""A policy as another router's config: valid by that router's own validator, and as near to the policy as it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
import yaml
from typer.testing import CliRunner

from llmrouterbench import Outcomes, simulate
from llmrouterbench.commands import export_policy as _command  # noqa: F401
from llmrouterbench.commands.app import app
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import FitSettings, fit
from llmrouterbench.production.policy_export import export_policy
from llmrouterbench.store import write_outcomes


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    return simulate("performance-cost", scale=0.05).pool


@pytest.fixture(scope="module")
def router(outcomes: Outcomes) -> FittedRouter:
    return fit(outcomes, FitSettings(router="linear", policy="best"))


def test_the_config_has_examples_of_every_model_that_serves(router: FittedRouter, outcomes: Outcomes) -> None:
    made = export_policy(router, outcomes, examples=12)
    routing, providers = made.config["routing"], made.config["providers"]
    names = [model["name"] for model in providers["models"]]
    assert len(names) > 1
    assert names == [card["name"] for card in routing["modelCards"]]
    assert set(names) == {decision["modelRefs"][0]["model"] for decision in routing["decisions"]} == set(made.examples)
    assert all(0 < len(one["candidates"]) <= 12 for one in routing["signals"]["embeddings"])
    assert providers["defaults"]["model"] in names
    texts = set(outcomes.queries.prompt)
    assert all(text in texts for one in routing["signals"]["embeddings"] for text in one["candidates"])


def test_agreement_is_what_a_count_by_hand_gives(router: FittedRouter, outcomes: Outcomes) -> None:
    made = export_policy(router, outcomes, examples=12)
    held = np.sort(np.random.default_rng(0).permutation(len(outcomes))[1::2])
    example = {
        text: one["name"] for one in made.config["routing"]["signals"]["embeddings"] for text in one["candidates"]
    }
    vectors = router.embedded(list(example)).embedded("test")
    texts = [outcomes.queries.prompt[int(row)] for row in held]
    asked = router.embedded(texts).embedded("test")
    nearest = [list(example.values())[i] for i in (asked @ vectors.T).argmax(axis=1)]
    same = np.array([one.model == other for one, other in zip(router.route_many(texts), nearest, strict=True)])
    names = outcomes.dataset[held]
    assert made.agreement.value == pytest.approx(np.mean([same[names == name].mean() for name in np.unique(names)]))
    assert made.held_out == len(held)
    assert export_policy(router, outcomes, examples=300).agreement.value > made.agreement.value


def test_one_model_alone_needs_no_examples(outcomes: Outcomes) -> None:
    alone = fit(outcomes, FitSettings(router="best_single", policy="best"))
    made = export_policy(alone, outcomes)
    (decision,) = made.config["routing"]["decisions"]
    assert decision["rules"]["conditions"] == made.config["routing"]["signals"]["embeddings"] == []
    assert made.config["providers"]["defaults"]["model"] == alone.models[outcomes.models.index(decision["name"])]
    assert (made.agreement.value, made.loss.value) == (1.0, 0.0)


def test_few_queries_are_refused(router: FittedRouter, outcomes: Outcomes) -> None:
    with pytest.raises(ValueError, match="at least 20 queries with text, got 5"):
        export_policy(router, outcomes.take(np.arange(5)))


@pytest.mark.slow
def test_the_other_router_s_own_validator_accepts_it(router: FittedRouter, outcomes: Outcomes, tmp_path: Path) -> None:
    validator = Path(sys.executable).with_name("vllm-sr")
    if not validator.exists():
        pytest.skip("vllm-sr is not installed; pip install vllm-sr")
    write_outcomes(outcomes, tmp_path / "data")
    router.save(tmp_path / "router")
    words = ["export-policy", tmp_path / "router", "--outcomes", tmp_path / "data", "--to", tmp_path / "sr.yaml"]
    said = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert said.exit_code == 0, said.output
    assert orjson.loads(said.stdout)["simulated"] is True
    assert yaml.safe_load((tmp_path / "sr.yaml").read_text())["version"] == "v0.3"
    again = CliRunner().invoke(app, [*map(str, words)])
    assert isinstance(again.exception, FileExistsError)
    command = [str(validator), "config", "validate", "--config", str(tmp_path / "sr.yaml")]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
