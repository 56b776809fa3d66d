"""`llmrouterbench curate`: the choice in words, with its guarantee, and what is refused."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from llmrouterbench.reporting.curation import curation_dict, curation_lines
from llmrouterbench.store import write_outcomes
from llmrouterbench.studies.curation import study
from llmrouterbench.table import Outcomes


def complements() -> Outcomes:
    """`a` solves 1 2 3, `b` solves 1 2, `c` solves 4: the second most accurate model adds nothing."""
    score = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=float)
    return Outcomes.of(list("1234"), ["a", "b", "c"], score, cost=np.tile([3.0, 1.0, 1.0], (4, 1)))


def test_the_complement_is_kept_and_the_copy_is_not() -> None:
    found = study(complements(), samples=50)
    assert found.order == ("a", "c", "b")
    assert found.oracle == (0.75, 1.0, 1.0)
    lines = curation_lines(found)
    assert lines[0].startswith("Keep models in this order")
    assert lines[1:3] == ["  1. a  75.00", "  2. c  100.00"]
    assert any("63 % (1 - 1/e)" in line for line in lines)
    assert round(100 * (1 - 1 / math.e)) == 63
    assert any(line.startswith("b: ") and line.endswith("(dropping it loses nothing for certain)") for line in lines)
    shares = [one.share.value for one in found.values]
    assert sum(shares) == pytest.approx(1.0), "Shapley values add up to the oracle of the pool"


def test_cost_and_budget_change_the_choice() -> None:
    assert study(complements(), cost_weight=0.5, samples=20).order[0] != "a"
    found = study(complements(), budget=2.0, price={"a": 9.0}, samples=20)
    assert set(found.within_budget or ()) == {"b", "c"}
    assert found.within_budget_oracle == 0.75
    assert any("The best oracle that the budget buys" in line for line in curation_lines(found))
    none = study(complements(), budget=0.5, samples=20)
    assert none.within_budget == ()
    assert curation_dict(none)["within_budget_oracle"] is None, "the oracle of no model is not 0"
    assert any(line.startswith("Within a budget of 0.5: no model fits.") for line in curation_lines(none))


def test_many_models_are_shown_in_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    outcomes = Outcomes.of([f"q{i}" for i in range(30)], [f"m{i}" for i in range(40)], rng.random((30, 40)).round())
    lines = curation_lines(study(outcomes, samples=20))
    assert sum("and 28 more; --json has all" in line for line in lines) == 2


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curate") / "data"
    write_outcomes(complements(), folder)
    return folder


def curate_cli(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llmrouterbench.cli", "curate", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_the_command_prints_one_object(store: Path) -> None:
    said = curate_cli(store, "--size", "2", "--samples", "20", "--json")
    assert said.returncode == 0, said.stderr
    found = orjson.loads(said.stdout)
    assert found["order"] == ["a", "c"]
    assert [curve["name"] for curve in found["curves"]] == ["curated", "top-k", "random"]
    assert [one["model"] for one in found["values"]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--price", "a=1"], 2, "--price needs a --budget"),
        (["--budget", "1", "--price", "a"], 2, "--price must be MODEL=NUMBER, got 'a'"),
        (["--budget", "1", "--price", "A=1"], 1, "no model named 'A' to give a price; did you mean 'a'?"),
        (["--size", "9"], 1, "the size of a subset must be from 1 to the 3 models of the pool, got 9"),
        (["--cost-weight", "-1"], 1, "cost_weight must be a number of at least 0, got -1.0"),
    ],
)
def test_bad_input_is_said_in_one_sentence(words: list[str], code: int, sentence: str, store: Path) -> None:
    said = curate_cli(store, *words)
    assert said.returncode == code
    assert sentence in " ".join(said.stderr.replace("│", " ").split())
