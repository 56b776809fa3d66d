"""Boards: made, submitted to, checked; what is wrong is said in one sentence, and no number of a card counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from board_worlds import card, oracle, put, put_parts, sealed, world
from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Served
from llmrouterbench.boards.card import Card, card_schema, check_slug, read_card
from llmrouterbench.boards.folder import Board, bench_words, init, load_board
from llmrouterbench.boards.submission import check, names, problem, read_submission, submit
from llmrouterbench.files import read_json, write_json
from llmrouterbench.store import read_outcomes, write_outcomes
from llmrouterbench.table import Outcomes

SEEDS = (1, 2)


@pytest.fixture(scope="module")
def table() -> Outcomes:
    return world(300)


@pytest.fixture
def board(table: Outcomes, tmp_path: Path) -> Board:
    return init(tmp_path / "board", table, seeds=SEEDS)


@pytest.fixture(scope="module")
def runs(table: Outcomes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench on the data of an open board."""
    folder = tmp_path_factory.mktemp("runs")
    made = init(folder / "board", table, seeds=SEEDS)
    routers = ["knn:k=5", "avengers_pro:k=4"]
    bench(made.outcomes, folder / "runs", routers=routers, seeds=SEEDS, jobs=1, cache=folder / "cache")
    return folder / "runs"


def honest(board: Board) -> dict[int, np.typing.NDArray[np.int64]]:
    return {seed: np.zeros(len(split.test), np.int64) for seed, split in board.splits.items()}


def said(board: Board, name: str = "one") -> str:
    return problem(board, name, {})


def test_a_board_is_plain_files_that_say_what_it_asks(board: Board, table: Outcomes) -> None:
    record = read_json(board.folder / "board.json")
    assert record["kind"] == "open"
    assert record["data_hash"] == read_outcomes(board.folder / "data").content_hash == board.outcomes.content_hash
    assert {int(seed) for seed in record["splits"]} == set(SEEDS)
    again = load_board(board.folder)
    assert [one.hash for one in again.splits.values()] == [one.hash for one in board.splits.values()]
    assert np.array_equal(again.outcomes.score, table.score)
    with pytest.raises(FileExistsError, match="must not exist yet"):
        init(board.folder, table)


@pytest.mark.slow
def test_what_is_held_out_is_nowhere_in_the_folder(table: Outcomes, tmp_path: Path) -> None:
    board = init(tmp_path / "board", table, seeds=SEEDS, held_out=0.3)
    assert board.kind == "held-out"
    assert len(board.hidden) > 60
    for name, plane in board.outcomes.planes().items():
        assert np.isnan(plane[board.hidden]).all(), name
    for split in board.splits.values():
        assert np.isin(board.hidden, split.test).all()
        assert len(split.test) > len(board.hidden)
    assert set(board.outcomes.source) == {"name", "not_shown"}
    stored = pl.read_parquet(board.folder / "data" / "outcomes.parquet")
    assert not np.isin(stored["query"].to_numpy(), board.hidden).any()
    with pytest.raises(ValueError, match="give them as --data"):
        board.full(None)
    with pytest.raises(ValueError, match="those that .* was made from"):
        board.full(replace(table, score=1.0 - table.score))
    assert board.full(table).content_hash == board.full_hash


def test_texts_that_may_not_be_shown_are_left_out(tmp_path: Path) -> None:
    table = world(200)
    names = np.where(np.arange(200) % 2 == 0, "gpqa", "mine")
    board = init(tmp_path / "board", replace(table, dataset=names, simulated=False), seeds=SEEDS)
    texts = dict(zip(board.outcomes.queries.id.tolist(), board.outcomes.queries.text, strict=True))
    assert all(("text left out" in text) == (int(id) % 2 == 0) for id, text in texts.items())
    assert len({one.hash for one in board.splits.values()}) == 1, "nobody could make the splits again"
    assert "--split BOARD/splits/1.json" in (board.folder / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("router", ["knn:k=5", "avengers_pro:k=4"])
def test_a_router_of_a_bench_is_submitted_by_one_call(board: Board, runs: Path, router: str) -> None:
    submit(board.folder, card("one"), bench=runs, router=router)
    assert said(board) == ""
    found = read_submission(board, "one")
    assert found.decisions.keys() == set(SEEDS)
    for one in found.decisions.values():
        assert set(one.facts) <= {"quality_point"}, "no seconds, no settings"
    with pytest.raises(FileExistsError):
        submit(board.folder, card("one"), bench=runs, router=router)
    with pytest.raises(ValueError, match="differ in more than case"):
        submit(board.folder, card("ONE"), bench=runs, router=router)
    with pytest.raises(ValueError, match="did you mean 'knn:k=5'"):
        submit(board.folder, card("two"), bench=runs, router="knn:k=6")


def choices_file(board: Board, path: Path, model: Callable[[int], str] = lambda row: "ant") -> Path:
    rows = [
        {"query": str(board.outcomes.queries.id[row]), "seed": seed, "model": model(row)}
        for seed, split in board.splits.items()
        for row in split.test.tolist()
    ]
    pl.DataFrame(rows).write_csv(path)
    return path


def test_a_file_of_choices_is_submitted_by_one_call(board: Board, tmp_path: Path) -> None:
    submit(board.folder, card("one"), choices=choices_file(board, tmp_path / "choices.csv"))
    assert check(board.folder) == {"one": ""}
    with pytest.raises(ValueError, match="no submission named 'ones'.*did you mean 'one'"):
        check(board.folder, ["ones"])
    with pytest.raises(ValueError, match="no model named 'antt' in these runs.*did you mean 'ant'"):
        submit(board.folder, card("two"), choices=choices_file(board, tmp_path / "bad.csv", lambda row: "antt"))
    some = pl.read_csv(tmp_path / "choices.csv").head(50)
    some.write_csv(tmp_path / "few.csv")
    with pytest.raises(ValueError, match="must have a choice for every test query"):
        submit(board.folder, card("two"), choices=tmp_path / "few.csv")
    assert names(board) == ["one"], "what is refused leaves nothing behind"


def served(board: Board, **changed: Any) -> dict[int, Served]:
    """Honest choices with one column changed, in the first seed."""
    parts = {seed: Served.single(board.splits[seed].test, one[None, :]) for seed, one in honest(board).items()}
    first = parts[SEEDS[0]]
    new = {name: change(getattr(first, name).copy()) for name, change in changed.items()}
    return {**parts, SEEDS[0]: replace(first, **new)}


def at_first(value: float) -> Callable[[Any], Any]:
    def change(column: Any) -> Any:
        column[0] = value
        return column

    return change


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"model": at_first(4)}, "choices must be models of the pool, 0 to 3, got 4"),
        ({"model": at_first(60_000)}, "choices must be models of the pool, 0 to 3, got 60000"),
        ({"served": at_first(np.nan)}, "probabilities must be numbers, got one that is none"),
        ({"served": at_first(np.inf)}, "probabilities must be numbers, got one that is none"),
        ({"served": at_first(-0.5)}, "probabilities must be between 0 and 1, got -0.5"),
        ({"served": at_first(1.5)}, "probabilities must be between 0 and 1, got 1.5"),
        ({"served": at_first(0.0)}, "probabilities of a query must sum to 1, got none at all"),
        ({"served": at_first(0.4)}, "probabilities of a query must sum to 1, got a sum of 0.4"),
        ({"called": at_first(0.0)}, "a served reply must be called, got one that is not paid for"),
        ({"query": at_first(1)}, "a query must name a model once, got one twice"),
        ({"point": at_first(1)}, "points must be below 1, got 1"),
        ({"rows": lambda rows: rows[:-1], "query": at_first(0)}, ""),
    ],
)
def test_choices_that_cannot_be_are_refused(board: Board, changed: dict[str, Any], sentence: str) -> None:
    if "rows" in changed:
        last = len(board.splits[SEEDS[0]].test) - 1
        columns = ("point", "query", "model", "served", "called")
        changed = {"rows": changed["rows"], **{name: (lambda column: column[:last]) for name in columns}}
        sentence = f"must have a choice for every test query, got none for 1 of {last + 1}"
    put_parts(board, "one", served(board, **changed))
    assert sentence in said(board)
    assert "\n" not in said(board)


def test_missing_the_hard_queries_is_refused(board: Board, table: Outcomes) -> None:
    split = board.splits[SEEDS[0]]
    easy = split.test[table.score[split.test].max(axis=1) > 0]
    parts = {seed: Served.single(board.splits[seed].test, one[None, :]) for seed, one in honest(board).items()}
    parts[SEEDS[0]] = Served.single(easy, np.zeros((1, len(easy)), np.int64))
    put_parts(board, "one", parts)
    assert f"got none for {len(split.test) - len(easy)} of {len(split.test)}" in said(board)


def test_every_changed_byte_of_the_choices_is_found(board: Board) -> None:
    place = put(board, "one", honest(board))
    assert said(board) == ""
    path = place / "decisions" / "1.parquet"
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert "must have the sha256 of submission.json, got other bytes" in said(board)
    path.write_bytes(whole)
    assert said(board) == ""


def test_files_that_do_not_belong_are_refused(board: Board, tmp_path: Path) -> None:
    place = put(board, "one", honest(board))
    (place / "run.sh").write_text("echo")
    assert "got 'run.sh' beside them" in said(board)
    (place / "run.sh").unlink()
    (place / "decisions" / "9.parquet").symlink_to(tmp_path / "elsewhere")
    assert "got 'decisions/9.parquet' beside them" in said(board)
    (place / "decisions" / "9.parquet").unlink()
    (place / "decisions" / "2.parquet").unlink()
    assert "must hold decisions/2.parquet, got none" in said(board)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 64 + b"PAR1"], ids=["empty", "short", "zeros"])
def test_a_file_that_is_no_table_is_refused(board: Board, content: bytes) -> None:
    place = put(board, "one", honest(board))
    (place / "decisions" / "1.parquet").write_bytes(content)
    sealed(board, place)
    assert "1.parquet must hold decisions" in said(board)


def test_another_table_is_refused(board: Board) -> None:
    place = put(board, "one", honest(board))
    pl.DataFrame({"score": [1.0]}).write_parquet(place / "decisions" / "1.parquet")
    sealed(board, place)
    assert "got a table of another form" in said(board)


def test_the_data_and_the_splits_of_a_board_are_its_own(board: Board, tmp_path: Path) -> None:
    place = put(board, "one", honest(board))
    write_json(place / "submission.json", {**read_json(place / "submission.json"), "data_hash": "0" * 64})
    assert "must be about the data of this board" in said(board)
    split = read_json(board.folder / "splits" / "1.json")
    split["test"], split["train"] = [*split["test"], split["train"][0]], split["train"][1:]
    write_json(board.folder / "splits" / "1.json", split)
    with pytest.raises(ValueError, match="must be the split of the board, got another"):
        load_board(board.folder)


def test_data_that_were_changed_are_no_board(board: Board) -> None:
    changed = replace(board.outcomes, score=1.0 - board.outcomes.score)
    write_outcomes(changed, board.folder / "data", overwrite=True)
    with pytest.raises(ValueError, match="must be the data of the board, got other data"):
        load_board(board.folder)


@pytest.mark.slow
def test_a_bench_of_other_data_or_splits_is_refused(table: Outcomes, runs: Path, tmp_path: Path) -> None:
    other = init(tmp_path / "other", replace(table, score=1.0 - table.score), seeds=SEEDS)
    with pytest.raises(ValueError, match="got one of other data"):
        submit(other.folder, card("one"), bench=runs, router="knn:k=5")
    ratio = init(tmp_path / "ratio", table, seeds=SEEDS, ratio=0.5)
    with pytest.raises(ValueError, match="must have the board's split of seed 1"):
        submit(ratio.folder, card("one"), bench=runs, router="knn:k=5")
    seeds = init(tmp_path / "seeds", table, seeds=(1, 2, 3))
    with pytest.raises(ValueError, match="for seed 3, got none"):
        submit(seeds.folder, card("one"), bench=runs, router="knn:k=5")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"name": "../x"}, "name"),
        ({"name": "CON"}, "a name must be"),
        ({"name": "a" * 61}, "name"),
        ({"name": "a\n"}, "name"),
        ({"authors": []}, "authors"),
        ({"authors": ["A\u202edA"]}, "control characters"),
        ({"method": ""}, "method must be a text that is not empty"),
        ({"code": "javascript:alert(1)"}, "code"),
        ({"code": 'https://x" onload="y'}, "code"),
        ({"trained_on": ["magic"]}, "trained_on"),
        ({"submitted": "yesterday"}, "submitted"),
        ({"accuracy": 1.0}, "unknown key 'accuracy'"),
        ({"usd": 0}, "unknown key 'usd'"),
    ],
)
def test_a_card_that_cannot_be_is_refused_by_the_class_and_by_the_schema(
    changed: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    jsonschema: Any = pytest.importorskip("jsonschema", reason="a schema is tried with jsonschema")
    good = card("one").model_dump(mode="json", exclude_none=True)
    jsonschema.validate(good, card_schema())
    (tmp_path / "card.json").write_text(json.dumps({**good, **changed}))
    with pytest.raises(ValueError, match=sentence) as error:
        read_card(tmp_path / "card.json")
    assert "\n" not in str(error.value).replace("\\n", "")
    if sentence in ("control characters", "a name must be") or changed.get("name") == "a\n":
        return  # beyond what a schema says; and Python's expressions end before a last line break
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, **changed}, card_schema())


def test_a_card_that_lacks_a_field_is_refused(tmp_path: Path) -> None:
    for name in ("name", "authors", "method", "trained_on"):
        given = card("one").model_dump(mode="json", exclude_none=True)
        del given[name]
        (tmp_path / "card.json").write_text(json.dumps(given))
        with pytest.raises(ValueError, match=f"{name} is missing"):
            read_card(tmp_path / "card.json")
    (tmp_path / "card.json").write_text("name: one")
    with pytest.raises(ValueError, match="must be JSON"):
        read_card(tmp_path / "card.json")


@pytest.mark.parametrize("name", ["best_single", "ant", "oracle", "Best Single"])
def test_a_name_that_the_leaderboard_has_is_refused(board: Board, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        submit(board.folder, Card.model_construct(**{**vars(card("x")), "name": name}), choices="none.csv")


def test_a_card_names_its_folder_and_what_it_replaces(board: Board) -> None:
    place = put(board, "one", honest(board))
    place.rename(place.with_name("two"))
    assert "the card must name its folder, got 'one' in two" in said(board, "two")
    put(board, "three", honest(board), replaces="nobody")
    assert "must replace another submission, got 'nobody'" in said(board, "three")


def test_names_that_are_no_folder_everywhere() -> None:
    for name in ("", ".", "..", ".git", "-x", "a/b", "a\\b", "nul", "COM1.txt", "x.", "é", "a b"):
        with pytest.raises(ValueError, match="a name must be"):
            check_slug(name)


def test_the_readme_says_the_command_that_a_board_takes() -> None:
    assert bench_words("b", (1, 2), "safe", 0.7, False) == "llmrouterbench bench b/data --out runs --seeds 1,2"
    assert bench_words("b", (1,), "paper", 0.5, False).endswith("--seeds 1 --split paper --ratio 0.5")
    assert bench_words("b", (1, 2), "file", 0.7, True).endswith("--seeds 1,2 --split b/splits/1.json")


def test_oracle_is_best(table: Outcomes) -> None:
    rows = np.arange(20)
    best = oracle(table, rows)
    assert np.array_equal(table.score[rows, best], table.score[rows].max(axis=1))
