"""The page on logs: a CSV of traffic is the log that it was written from, and the page's own commands are run on it."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.logs import WALK_MARKS, logged, walk, write_traffic
from benchmarks.pages import between

from llmrouterbench.importers import import_outcomes
from llmrouterbench.table import Outcomes

PAGE = Path(__file__).resolve().parents[1] / "docs" / "logs.md"


def matrix(n: int) -> Outcomes:
    """Two models, one better, on texts with what CSV must quote."""
    rng = np.random.default_rng(4)
    text = [f'sort, "quote"\nand {word} {i}' for i, word in enumerate(rng.choice(["add", "mix", "name"], n))]
    score = (rng.random((n, 2)) < [0.9, 0.5]).astype(float)
    return Outcomes.of(text, ["a", "b"], score, cost=np.tile([0.01, 0.001], (n, 1)))


def test_a_csv_of_traffic_is_imported_as_the_log_that_it_was_written_from(tmp_path: Path) -> None:
    log = logged(matrix(100), 0.3, np.random.default_rng(0))
    write_traffic(log, tmp_path / "traffic.csv")
    import_outcomes(tmp_path / "traffic.csv", tmp_path / "data")
    found = Outcomes.load(tmp_path / "data").select(["a", "b"])
    place = {text: i for i, text in enumerate(found.queries.text)}
    found = found.take(np.array([place[text] for text in log.queries.text]))
    for name in ("score", "cost", "propensity"):
        assert np.allclose(getattr(found, name), getattr(log, name), equal_nan=True), name


@pytest.mark.prove
def test_the_commands_of_the_page_lead_from_traffic_to_a_router(tmp_path: Path) -> None:
    log = logged(matrix(300), 1.0, np.random.default_rng(0))
    said = walk(PAGE.read_text(encoding="utf-8"), log, tmp_path)
    assert said.startswith("```text\n$ llmrouterbench import traffic.csv --to data/traffic\n")
    assert "a alone would have an AvgAcc of" in said
    assert (tmp_path / "router").is_dir()


def test_what_stands_between_marks_is_written_anew_and_the_rest_stays() -> None:
    page = PAGE.read_text(encoding="utf-8")
    once = between(page, WALK_MARKS, "new")
    assert between(once, WALK_MARKS, "new") == once
    assert once.count("<!-- end -->") == page.count("<!-- end -->")
    assert once.split(WALK_MARKS[0])[0] == page.split(WALK_MARKS[0])[0]
