"""Reports over outcomes with random holes: nothing prints what is no number, and what is not known is not 0."""

import io
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rich.console import Console

pytest.importorskip("matplotlib", reason="exhibits need matplotlib")

from llmrouterbench.benching.folder import Decisions, Made, Runs, Served
from llmrouterbench.benching.replay import replay
from llmrouterbench.coverage import coverage_of
from llmrouterbench.reporting.columns import COLUMNS, Row
from llmrouterbench.reporting.curation import curation_lines
from llmrouterbench.reporting.describe import describe
from llmrouterbench.reporting.exhibits import all_exhibits, exhibits
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.reporting.page.grids import difference_matrix
from llmrouterbench.reporting.render import leaderboard_csv, markdown, per_dataset_csv, render
from llmrouterbench.reporting.robustness import collapse_lines
from llmrouterbench.reporting.words import sentences, standing_sentence
from llmrouterbench.splits import Split
from llmrouterbench.studies.collapse import routing_collapse
from llmrouterbench.studies.curation import study
from llmrouterbench.studies.differences import compare_routers
from llmrouterbench.table import Outcomes

SAMPLES, N = 8, 18
NO_NUMBER = re.compile(r"(?<![a-z])(nan|inf)(?![a-z])", re.IGNORECASE)
NO_TEXT = re.compile(r"-0\.0+(?![0-9])|-0(?![0-9.])|[0-9]e[+-][0-9]")
"""Negative zeros and exponents: a file of numbers may have them, a text may not."""


@st.composite
def holed(draw: st.DrawFn) -> Outcomes:
    """Three models on three datasets; holes in scores and costs, models without a dataset, free calls."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    score, cost = rng.integers(0, 3, (N, 3)) / 2.0, rng.choice([0.0, 1e-7, 0.002, 31.0], (N, 3))
    dataset = np.array(["x", "y", "z"])[np.arange(N) % 3]
    for plane in (score, cost):
        plane[rng.random((N, 3)) < draw(st.sampled_from([0.0, 0.2, 0.7]))] = np.nan
        for model, name in draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("xyz")), max_size=3)):
            plane[dataset == name, model] = np.nan
    if draw(st.booleans()):
        cost[:] = np.nan
    score[0, 0] = 1.0  # one measured score, without which nothing can be reported
    return Outcomes.of([f"q{i}" for i in range(N)], ["a", "b", "c"], score, dataset=dataset.tolist(), cost=cost)


def runs_of(outcomes: Outcomes, seed: int) -> Runs:
    """Two routers without a dial and one with three settings, for two seeds."""
    rng, rows = np.random.default_rng(seed), np.arange(N)
    splits = {one: Split(rows[one::2], rows[1 - one :: 2]) for one in (0, 1)}
    dials = {"best_single": 1, "any": 1, "dial": 3}
    decisions = {}
    for label, points in dials.items():
        for one, split in splits.items():
            choice = rng.integers(0, 3, (points, N)) * (label != "best_single")
            parts: Any = {
                "validation": Served.single(split.train, choice[:, split.train]),
                "test": Served.single(split.test, choice[:, split.test]),
            }
            decisions[label, one] = Decisions(label, one, np.arange(float(points)), parts)
    return Runs(outcomes, splits, decisions, Made.of(dials, [0, 1], data_hash=outcomes.content_hash))


def said_of(outcomes: Outcomes, runs: Runs) -> tuple[str, str]:
    """Everything that a report, `curate` and `robustness` print; and what stands in the files of numbers."""
    board = leaderboard(runs, samples=SAMPLES)
    out = io.StringIO()
    console = Console(file=out, width=100)
    for table in render(board):
        console.print(table)
    found = compare_routers(runs, replicates=SAMPLES, played=replay(runs, outcomes))
    matrix = [f"{cell.title} {cell.line()}" for _, cells in difference_matrix(found).lines for cell in cells]
    cells = [column.cell(row) for row in board.rows for column in board.columns("page")]
    tables = {name: one for name, one in all_exhibits().items() if one.table and name != "latency"}
    made = exhibits(runs, board=board, samples=SAMPLES, wanted=tables)
    assert not [reason for reason in made.left_out.values() if reason.startswith("failed")], made.left_out
    texts = [
        markdown(board), out.getvalue(), *sentences(board, found), *matrix, *(cell.line() for cell in cells),
        *(standing_sentence(found, name) for name in found.names), *curation_lines(study(outcomes, samples=SAMPLES)),
        *collapse_lines(routing_collapse(runs, replicates=SAMPLES)),
    ]  # fmt: skip
    files = [leaderboard_csv(board), per_dataset_csv(board, "accuracy"), per_dataset_csv(board, "usd")]
    return "\n".join(texts), "\n".join([*files, *(table.write_csv() for table in made.tables.values())])


@settings(max_examples=25)
@given(outcomes=holed(), seed=st.integers(0, 100))
def test_no_text_prints_what_is_no_number(outcomes: Outcomes, seed: int) -> None:
    assume(coverage_of(outcomes).matrix)
    text, files = said_of(outcomes, runs_of(outcomes, seed))
    text = re.sub(r"sha256 [0-9a-f]+", "", text)
    for where, what in ((text, NO_NUMBER), (files, NO_NUMBER), (text, NO_TEXT)):
        found = what.search(where)
        assert found is None, where[max(0, found.start() - 100) : found.end() + 20]


@settings(max_examples=25)
@given(outcomes=holed())
def test_what_is_not_known_is_not_zero(outcomes: Outcomes) -> None:
    facts = describe(outcomes)
    for what, plane in (("accuracy", outcomes.score), ("cost", outcomes.cost)):
        for i, model in enumerate(outcomes.models):
            for name in outcomes.datasets:
                nothing = not np.isfinite(plane[outcomes.dataset == name, i]).any()
                assert np.isnan(facts[what][model][name]) == nothing
    assert np.isnan(facts["overview"]["cost_usd"]) == (not np.isfinite(outcomes.cost).any())
    assert np.isnan(facts["overview"]["tokens_millions"]), "no token is known"


def test_every_number_of_a_row_has_one_column() -> None:
    keys = [column.key for column in COLUMNS]
    assert keys == [key for key in Row.__dataclass_fields__ if key in keys], "files have the order of the row"
    assert set(Row.__dataclass_fields__) - set(keys) == {"name", "kind", "accuracy", "usd"}


def test_a_column_says_the_same_everywhere() -> None:
    rng = np.random.default_rng(0)
    outcomes = Outcomes.of(
        [f"q{i}" for i in range(N)], ["a", "b", "c"], rng.random((N, 3)).round(),
        dataset=[["x", "y"][i % 2] for i in range(N)], cost=rng.random((N, 3)),
    )  # fmt: skip
    board = leaderboard(runs_of(outcomes, 0), samples=SAMPLES)
    text = markdown(board)
    head, *lines = leaderboard_csv(board).splitlines()
    assert len(lines) == len(board.rows)
    for column in board.columns():
        assert set(column.values(board.rows[0])) <= set(head.split(","))
    for row in board.of_kind("router"):
        for column in board.columns("markdown"):
            cell = column.cell(row)
            assert f" {column.text(row, 'markdown')} |" in text
            assert column.text(row, "page") == cell.line()
            assert column.text(row, "terminal") in (cell.line(), cell.text + cell.mark)
