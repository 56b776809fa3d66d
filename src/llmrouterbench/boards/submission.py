"""Submissions: what a router decided on a board, and what is refused of it.

Nothing of a submission is believed but its choices. Scores, costs, tokens and latencies are looked up in the outcomes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from llmrouterbench.benching.folder import Decisions, Made, Part, Runs, Served, load_runs
from llmrouterbench.benching.outside import check_name, outside_decisions
from llmrouterbench.boards.card import FILE as CARD
from llmrouterbench.boards.card import Card, check_slug, read_card
from llmrouterbench.boards.folder import Board, load_board
from llmrouterbench.files import json_bytes, new_folder, read_json, sha256_of, write_json
from llmrouterbench.naming import did_you_mean
from llmrouterbench.records import read_parquet
from llmrouterbench.table import IntArray

FORMAT, FILE, SCHEMA = "llmrouterbench/submission", "submission.json", 1
HISTORY = "history.json"
BASELINE = "best_single"
"""The row that a leaderboard compares with by itself."""
_MOST_BYTES, _MOST_ROWS, _MOST_POINTS = 64_000_000, 20_000_000, 500
_TOLERANCE = 1e-6
_COLUMNS = {
    "part": pl.UInt8, "point": pl.UInt16, "row": pl.UInt32, "model": pl.UInt16, "served": pl.Float64,
    "called": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Submission:
    """One router on a board.

    digest  sha256 over its choices: the same for the same choices under any name
    """

    card: Card
    decisions: dict[int, Decisions]
    digest: str


def submit(
    folder: str | Path,
    card: Card | str | Path,
    *,
    bench: str | Path | None = None,
    router: str | None = None,
    choices: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a submission into a board; returns its folder. Nothing is written unless `check` would take it.

    card     a card, or the file of one
    bench    folder of runs on the board's data and splits, with the `router` of it that is submitted
    choices  instead: a file of choices, as `judge_choices` takes them, about every test query of every seed

    Raises ValueError with one sentence on what is wrong, FileExistsError where the name is taken.
    """
    board = load_board(folder)
    card = card if isinstance(card, Card) else read_card(Path(card))
    if (bench is None) == (choices is None):
        raise ValueError("a submission must come from --bench with --router, or from --choices; give one of them")
    place = submission_path(board, card.name)
    others = [one for one in names(board) if one.lower() == card.name.lower() and one != card.name]
    if others:
        raise ValueError(f"names must differ in more than case, got {card.name!r} beside {others[0]!r}; choose another")
    _check_card(board, card, card.name)
    made = _of_bench(board, Path(bench), router) if bench is not None else _of_choices(board, Path(str(choices)), card)
    with new_folder(place, overwrite) as partial:
        for seed, one in made.items():
            _own(one, card.name).save(partial / "decisions" / f"{seed}.parquet")
        write_json(partial / CARD, card.model_dump(mode="json", exclude_none=True))
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        record = {
            "format": FORMAT,
            "schema": SCHEMA,
            "data_hash": board.outcomes.content_hash,
            "files": {path.relative_to(partial).as_posix(): sha256_of(path) for path in files},
        }
        write_json(partial / FILE, record)
        read_submission(board, card.name, partial)
    return place


def submission_path(board: Board, name: str) -> Path:
    """The folder of a submission."""
    return board.folder / "submissions" / check_slug(name)


def names(board: Board) -> list[str]:
    """Every submission of a board, in plain string order; hidden folders are none."""
    folder = board.folder / "submissions"
    if not folder.is_dir():
        return []
    return sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))


def check(folder: str | Path, submissions: Sequence[str] | None = None) -> dict[str, str]:
    """What is wrong with each submission of a board, in one sentence; "" where nothing is. All when none are named.

    Raises ValueError for a name that is not there, and where the board itself is damaged.
    """
    board = load_board(folder)
    there = names(board)
    for name in submissions or ():
        if name not in there:
            raise ValueError(f"no submission named {name!r} in {folder}{did_you_mean(name, there)}")
    published = published_digests(board)
    return {name: problem(board, name, published, guarded=True) for name in submissions or there}


def problem(board: Board, name: str, published: Mapping[str, str], *, guarded: bool = False) -> str:
    """What is wrong with a submission, in one sentence; "" where nothing is. `guarded` as of `read_submission`."""
    try:
        accepted(board, name, published, guarded=guarded)
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def accepted(board: Board, name: str, published: Mapping[str, str], *, guarded: bool = False) -> Submission:
    """A submission that can be ranked. Raises FileNotFoundError and ValueError with one sentence."""
    found = read_submission(board, name, guarded=guarded)
    if published.get(name, found.digest) != found.digest:
        raise ValueError(
            f"the choices of {name} must be those that were published, got others; submit them under another name"
            f" whose card says that it replaces {name}"
        )
    return found


def published_digests(board: Board) -> dict[str, str]:
    """Digest of every submission that was ever ranked."""
    path = board.folder / HISTORY
    states: list[Any] = read_json(path) if path.is_file() else []
    return {name: digest for state in reversed(states) for name, digest in state["added"].items()}


def read_submission(board: Board, name: str, place: Path | None = None, *, guarded: bool = False) -> Submission:
    """Read a submission and check all of it, from `place` where it lies elsewhere yet.

    `guarded` lets another process open each file first, since some damaged ones end the process that reads them.

    Raises FileNotFoundError and ValueError with one sentence.
    """
    place = place or submission_path(board, name)
    _check_files(board, place)
    card = read_card(place / CARD)
    _check_card(board, card, name)
    decisions = {}
    for seed in board.splits:
        path = place / "decisions" / f"{seed}.parquet"
        _check_table(board, path, guarded)
        try:
            one = Decisions.load(path)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError, pl.exceptions.PolarsError) as error:
            raise ValueError(f"{path} must hold decisions, got a damaged file ({error}); submit it again") from error
        decisions[seed] = _checked(board, seed, _own(one, name), path)
    if len({len(one.weights) for one in decisions.values()}) > 1:
        raise ValueError(f"{place} must have as many points in every seed, got different numbers; submit it again")
    return Submission(card, decisions, _digest(decisions))


def _check_files(board: Board, place: Path) -> None:
    """The files that a submission has, no others, each with its hash."""
    wanted = {CARD, *(f"decisions/{seed}.parquet" for seed in board.splits)}
    if place.is_symlink() or not place.is_dir():
        raise ValueError(f"{place} must be the folder of a submission, got none; submit it again")
    inside = [path for path in sorted(place.rglob("*")) if path.is_symlink() or not path.is_dir()]
    found = {path.relative_to(place).as_posix(): path for path in inside}
    for name, path in sorted(found.items()):
        if path.is_symlink() or name not in {*wanted, FILE}:
            raise ValueError(f"{place} must hold a card, decisions and {FILE}, got {name!r} beside them; remove it")
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{path} must have at most {_MOST_BYTES // 1_000_000} MB, got more; submit fewer points")
    lacking = sorted({*wanted, FILE} - found.keys())
    if lacking:
        raise ValueError(f"{place} must hold {lacking[0]}, got none; submit all seeds of the board")
    record: Any = read_json(place / FILE)
    if not isinstance(record, dict) or (record.get("format"), record.get("schema")) != (FORMAT, SCHEMA):
        raise ValueError(f"{place / FILE} must say what was submitted, got something else; submit it again")
    if record.get("data_hash") != board.outcomes.content_hash:
        raise ValueError(f"{place} must be about the data of this board, got other data; submit it to its own board")
    said = record.get("files")
    for name in sorted(wanted):
        if not isinstance(said, dict) or said.get(name) != sha256_of(found[name]):
            raise ValueError(f"{found[name]} must have the sha256 of {FILE}, got other bytes; submit it again")


def _check_card(board: Board, card: Card, name: str) -> None:
    if card.name != name:
        raise ValueError(f"the card must name its folder, got {card.name!r} in {name}; rename one of them")
    if card.replaces is not None and (card.replaces == name or card.replaces not in names(board)):
        raise ValueError(
            f"{name} must replace another submission, got {card.replaces!r}{did_you_mean(card.replaces, names(board))}"
        )
    if name == BASELINE:
        raise ValueError(f"a name must be free, got {name!r}, which others would be compared with; choose another")
    pool = Runs(board.outcomes, board.splits, {}, Made.of([], board.splits))
    check_name(name, pool)


def _check_table(board: Board, path: Path, guarded: bool) -> None:
    """A Parquet file of decisions by its columns, before anything trusts it."""
    try:
        schema = dict(pl.read_parquet_schema(path))
        height = pl.scan_parquet(path).select(pl.len()).collect().item()
        fits = schema == _COLUMNS and 0 < height <= _MOST_ROWS
        frame = (read_parquet(path) if guarded else pl.read_parquet(path, use_statistics=False)) if fits else None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise ValueError(f"{path} must hold decisions, got a damaged file; submit it again") from error
    if frame is None:
        raise ValueError(f"{path} must hold decisions, got a table of another form; submit it again")
    if sum(frame.null_count().row(0)):
        raise ValueError(f"{path} must have a value in every cell, got an empty one; submit it again")
    strange = frame.filter(pl.col("model") >= len(board.outcomes.pool.models))
    if strange.height:
        raise ValueError(
            f"choices must be models of the pool, 0 to {len(board.outcomes.pool.models) - 1}, got {strange['model'][0]}"
            f" in {path}; choose among those of {board.folder / 'board.json'}"
        )


def _checked(board: Board, seed: int, one: Decisions, path: Path) -> Decisions:
    """Decisions of one seed that can be metered. Raises ValueError."""
    if one.seed != seed:
        raise ValueError(f"{path} must be about seed {seed}, got {one.seed}; rename it")
    points = len(one.weights)
    if not 1 <= points <= _MOST_POINTS or one.weights.ndim != 1 or not np.isfinite(one.weights).all():
        raise ValueError(f"{path} must have 1 to {_MOST_POINTS} operating points, got {points}; submit fewer")
    if set(one.parts) != {"validation", "test"}:
        raise ValueError(f"{path} must have a validation and a test part, got {', '.join(one.parts)}; submit it again")
    end = one.facts.get("quality_point", 0)
    if not isinstance(end, int) or not 0 <= end < points:
        raise ValueError(f"{path} must say a quality_point below {points}, got {end!r}; submit it again")
    split, test, checked = board.splits[seed], one.parts["test"].rows, one.parts["validation"].rows
    for name, rows in (("test", test), ("validation", checked)):
        if len(np.unique(rows)) < len(rows):
            raise ValueError(f"{path} must name a {name} query once, got one twice; submit it again")
    missing, strange = np.setdiff1d(split.test, test), np.setdiff1d(test, split.test)
    if len(missing):
        raise ValueError(
            f"{path} must have a choice for every test query, got none for {len(missing)} of {len(split.test)}"
            f" (first: {_id(board, missing)!r}); add them"
        )
    if len(strange) or not np.isin(checked, split.train).all():
        strange = strange if len(strange) else np.setdiff1d(checked, split.train)
        raise ValueError(f"{path} must be about its own queries, got {_id(board, strange)!r} of another part; drop it")
    if points > 1 and not len(checked):
        raise ValueError(f"{path} must have choices on validation queries to choose one of {points} points; add them")
    for name, part in one.parts.items():
        _check_shares(board, part, points, f"{path}, {name}")
    return one


def _id(board: Board, rows: IntArray) -> str:
    inside = rows[(rows >= 0) & (rows < len(board.outcomes))]
    return str(board.outcomes.queries.id[inside[0]]) if len(inside) else f"row {rows[0]}"


def _check_shares(board: Board, part: Served, points: int, where: str) -> None:
    """Probabilities that sum to 1 for every query and point, each cell once, no reply that was served but not paid."""
    numbers = np.concatenate([part.served, part.called])
    if not np.isfinite(numbers).all():
        raise ValueError(f"probabilities must be numbers, got one that is none in {where}; submit it again")
    if (numbers < 0).any() or (part.served > 1 + _TOLERANCE).any():
        worst = part.served[np.argmax(part.served)]
        got = numbers.min() if (numbers < 0).any() else worst
        raise ValueError(f"probabilities must be between 0 and 1, got {got:g} in {where}; submit it again")
    if (part.called < part.served - _TOLERANCE).any():
        raise ValueError(f"a served reply must be called, got one that is not paid for in {where}; count its call")
    if len(part.point) and part.point.max() >= points:
        raise ValueError(f"points must be below {points}, got {part.point.max()} in {where}; submit it again")
    n, models = len(part.rows), len(board.outcomes.models)
    cell = (part.point * n + part.query) * models + part.model
    if len(np.unique(cell)) < len(cell):
        raise ValueError(f"a query must name a model once, got one twice in {where}; add its probabilities up")
    sums = np.bincount(part.point * n + part.query, weights=part.served, minlength=points * n)
    bad = np.flatnonzero(abs(sums - 1.0) > _TOLERANCE)
    if len(bad):
        query = _id(board, part.rows[bad[:1] % n])
        got = "none at all" if sums[bad[0]] == 0.0 else f"a sum of {sums[bad[0]]:.6g}"
        raise ValueError(f"probabilities of a query must sum to 1, got {got} for {query!r} in {where}; choose a model")


def _own(one: Decisions, name: str) -> Decisions:
    """The decisions under the name of the submission, without what a bench noted of times and settings."""
    parts: dict[Part, Served] = {part: served for part, served in one.parts.items() if part != "checkpoints"}
    facts = {key: one.facts[key] for key in ("quality_point",) if key in one.facts}
    return replace(one, router=name, parts=parts, facts=facts)


def _digest(decisions: dict[int, Decisions]) -> str:
    """sha256 over every choice; the order of the entries of a file does not matter."""
    digest = hashlib.sha256()
    for seed, one in sorted(decisions.items()):
        digest.update(json_bytes([seed, one.weights, one.facts], orjson.OPT_SORT_KEYS))
        for name, part in sorted(one.parts.items()):
            row = part.rows[part.query]
            order = np.lexsort((part.model, row, part.point))
            digest.update(name.encode() + np.sort(part.rows).astype("<i8").tobytes())
            for column in (part.point, row, part.model):
                digest.update(column[order].astype("<i8").tobytes())
            for share in (part.served, part.called):
                digest.update(share[order].astype("<f8").tobytes())
    return digest.hexdigest()


def _of_bench(board: Board, folder: Path, router: str | None) -> dict[int, Decisions]:
    """What a router of a bench decided on every seed of a board."""
    runs = load_runs(folder)
    if router is None or router not in runs.routers:
        near = did_you_mean(router, runs.routers) if router else f"; there are {', '.join(runs.routers)}"
        raise ValueError(f"no router named {router!r} in {folder}{near}")
    if runs.outcomes.content_hash != board.outcomes.content_hash:
        raise ValueError(f"{folder} must be a bench of {board.folder / 'data'}, got one of other data; bench that")
    for seed, split in board.splits.items():
        if (router, seed) not in runs.decisions:
            raise ValueError(f"{folder} must have decisions of {router} for seed {seed}, got none; bench that seed too")
        if runs.splits[seed].hash != split.hash:
            raise ValueError(
                f"{folder} must have the board's split of seed {seed}, got another; see {board.folder / 'README.md'}"
            )
    return {seed: runs.decisions[router, seed] for seed in board.splits}


def _of_choices(board: Board, path: Path, card: Card) -> dict[int, Decisions]:
    """What a file of choices decides on every seed of a board."""
    runs = Runs(board.outcomes, board.splits, {}, Made.of([], board.splits), board.rules)
    found = {one.seed: one for one in outside_decisions(path, runs, card.name)}
    lacking = [seed for seed in board.splits if seed not in found]
    if lacking:
        raise ValueError(f"{path} must have choices for every seed of the board, got none for {lacking[0]}; add them")
    return found
