"""Routers that live outside: judge the picks in a file as decisions of a router in a folder of runs.

A file of choices (CSV, JSON Lines or Parquet) has a column `query` (query id) and either a column `model`, or a column
of probabilities for each model, named after it; a model without a column has probability 0. Optional columns:

seed   of the split; without it the file is used for every seed whose test queries it covers
point  operating point, a number; several points need choices on validation queries too, to choose one there
part   "test" (where there is no such column) or "validation" (queries of the train part)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from llmrouterbench.benching._choices_file import PARTS, ChoicesFile, read_choices
from llmrouterbench.benching.folder import RECORD, Decisions, Runs, Served, decisions_path, load_runs, to_record
from llmrouterbench.benching.replay import DATASET_ORACLE, DATASET_ORACLE_PAPER, ORACLE, RANDOM
from llmrouterbench.files import sha256_of, write_json
from llmrouterbench.routers import REFERENCES
from llmrouterbench.table import BoolArray, IntArray

CLASS = "outside"
"""The class that runs.json gives an outside router."""

_TAKEN = (*REFERENCES, "Best Single", RANDOM, ORACLE, DATASET_ORACLE, DATASET_ORACLE_PAPER)


def judge_choices(
    choices: str | Path,
    runs_folder: str | Path,
    name: str,
    *,
    allow_missing: bool = False,
    overwrite: bool = False,
) -> Runs:
    """Add the choices of an outside router to a folder of runs, under the label `name`; returns the runs.

    A later call with the same name adds seeds; `overwrite` replaces those that are there. `allow_missing` leaves test
    queries without a choice out of the router's means, counted in its facts and in the report. Nothing is written
    unless all choices are valid.

    Raises ValueError with the file and record of a choice that breaks a rule, FileExistsError where `name` has
    decisions for a seed, FileNotFoundError where there is no file or no runs.
    """
    path, folder = Path(choices), Path(runs_folder)
    runs = load_runs(folder)
    decided = outside_decisions(path, runs, name, allow_missing=allow_missing)
    _check_present(decided, runs, name, overwrite)
    for one in decided:
        one.save(decisions_path(folder, name, one.seed))
    entries = {entry["label"]: entry for entry in runs.made.routers}
    entries[name] = _entry(name, entries.get(name), path.name)
    write_json(folder / RECORD, to_record(runs.rules, replace(runs.made, routers=tuple(entries.values()))))
    return load_runs(folder)


def outside_decisions(path: Path, runs: Runs, name: str, *, allow_missing: bool = False) -> list[Decisions]:
    """What a file of choices decides, one a seed, before anything is written. Raises as `judge_choices`."""
    check_name(name, runs)
    table = read_choices(path, runs)
    _check_sides(table, runs)
    digest = sha256_of(path)
    return [_decide(table, runs, seed, name, digest) for seed in _seeds_of(table, runs, allow_missing)]


def check_name(name: str, runs: Runs) -> None:
    """Raise ValueError where an outside router cannot have this name in these runs."""
    taken = [entry["label"] for entry in runs.made.routers if entry.get("class") != CLASS]
    if not name.strip():
        raise ValueError("an outside router must have a name, got an empty one; give it one")
    if name in (*taken, *_TAKEN, *runs.outcomes.models):
        raise ValueError(f"name must be free in these runs, got {name!r}, which is a row already; choose another")


def _entry(name: str, before: dict[str, Any] | None, file: str) -> dict[str, Any]:
    """What runs.json says of the router: its class, and the files its choices came from."""
    files = before["settings"]["outside_choices"] if before else []
    return {"label": name, "class": CLASS, "settings": {"outside_choices": sorted({*files, file})}}


def _of(table: ChoicesFile, runs: Runs, seed: int, part: int) -> IntArray:
    """Records (k,) with a choice for one seed and part; where the file says no seed, those the split has there."""
    mine = table.chosen & (table.column("part") == part)
    if table.seeded:
        return np.flatnonzero(mine & (table.column("seed") == seed))
    return np.flatnonzero(mine & _within(runs, seed, part)[table.column("query")])


def _within(runs: Runs, seed: int, part: int) -> BoolArray:
    """Whether a row of the outcomes is one that choices of a part may be about (n,)."""
    split = runs.splits[seed]
    allowed = np.zeros(len(runs.outcomes), dtype=np.bool_)
    allowed[split.test if part else split.train] = True
    return allowed


def _check_sides(table: ChoicesFile, runs: Runs) -> None:
    """Refuse a test choice about a training query, and a validation choice about a test query."""
    query = table.column("query")
    for seed in runs.splits:
        for part, wants in ((1, "test"), (0, "train")):
            mine = _of(table, runs, seed, part)
            strange = mine[~_within(runs, seed, part)[query[mine]]]
            if len(strange):
                record = int(strange[0])
                raise ValueError(
                    f"a {PARTS[part]} choice must be about a query of the {wants} part of seed {seed}, got"
                    f" {str(runs.outcomes.queries.id[query[record]])!r} in {table.place.of(record)}, which is none;"
                    " remove it"
                )


def _seeds_of(table: ChoicesFile, runs: Runs, allow_missing: bool) -> list[int]:
    """Seeds that the file is judged on: those it names, or those it covers. Raises ValueError where a choice lacks."""
    named = set(table.frame["seed"].drop_nulls().to_list())
    asked = [seed for seed in runs.splits if seed in named or not table.seeded]
    missing = {seed: _missing(table, runs, seed) for seed in asked}
    known = table.seeded or len(asked) == 1  # whose choices these are, even where some are missing
    used = [seed for seed in asked if not (missing[seed].all() if allow_missing and known else missing[seed].any())]
    lacking = [seed for seed in asked if seed not in used]
    if not used or (lacking and table.seeded):
        nearest = min(lacking, key=lambda seed: int(missing[seed].sum()))
        _refuse_missing(table, runs, nearest, missing[nearest], allow_missing)
    return used


def _missing(table: ChoicesFile, runs: Runs, seed: int) -> BoolArray:
    """Whether a test query has no choice (w, n)."""
    mine = _of(table, runs, seed, 1)
    chosen = np.zeros((len(table.weights), len(runs.outcomes)), dtype=np.bool_)
    chosen[table.column("point")[mine], table.column("query")[mine]] = True
    return np.asarray(~chosen[:, runs.splits[seed].test], dtype=np.bool_)


def _refuse_missing(table: ChoicesFile, runs: Runs, seed: int, missing: BoolArray, allow_missing: bool) -> None:
    point, query = (int(i) for i in np.argwhere(missing)[0])
    id = str(runs.outcomes.queries.id[runs.splits[seed].test[query]])
    at = f" at point {table.weights[point]:g}" if len(table.weights) > 1 else ""
    remedy = "say the seed in a column 'seed'" if allow_missing else "add them, or allow missing choices"
    raise ValueError(
        f"{table.place.path} must have a choice for every test query of a seed, got none for {int(missing.sum())} of"
        f" {missing.size} of seed {seed} (first: {id!r}{at}); {remedy}"
    )


def _decide(table: ChoicesFile, runs: Runs, seed: int, name: str, digest: str) -> Decisions:
    """The decisions of one seed. Raises ValueError where several points have nothing to be chosen on."""
    validation = _validation_rows(table, runs, seed)
    if len(table.weights) > 1 and not len(validation):
        raise ValueError(
            f"{table.place.path} must have choices on validation queries (part 'validation', about the train part of"
            f" seed {seed}) because it has {len(table.weights)} operating points, got none; add them, or keep one point"
        )
    facts = {
        "class": CLASS,
        "settings": {"outside_choices": table.place.path.name, "sha256": digest},
        "missing": int(_missing(table, runs, seed).sum()),
    }
    test = _served(table, runs, seed, 1, runs.splits[seed].test)
    checked = _served(table, runs, seed, 0, validation)
    return Decisions(name, seed, table.weights, {"validation": checked, "test": test}, facts)


def _validation_rows(table: ChoicesFile, runs: Runs, seed: int) -> IntArray:
    """Rows (n,) with validation choices. Raises ValueError where one has not all operating points."""
    queries = table.column("query")[_of(table, runs, seed, 0)]
    rows, counts = np.unique(queries, return_counts=True)
    short = np.flatnonzero(counts < len(table.weights))
    if len(short):
        first = int(short[0])
        raise ValueError(
            f"{table.place.path} must have a choice at every point for a validation query, got {counts[first]} of"
            f" {len(table.weights)} for {str(runs.outcomes.queries.id[rows[first]])!r} of seed {seed}; add the others"
        )
    return np.asarray(rows, dtype=np.int64)


def _served(table: ChoicesFile, runs: Runs, seed: int, part: int, rows: IntArray) -> Served:
    """What the choices of one seed and part serve on `rows` (n,); a row without a choice has no entry."""
    mine = np.zeros(table.frame.height, dtype=np.bool_)
    mine[_of(table, runs, seed, part)] = True
    call = mine[table.record]
    record, share = table.record[call], table.share[call]
    position = np.full(len(runs.outcomes), -1, dtype=np.int64)
    position[rows] = np.arange(len(rows))
    query = position[table.column("query")[record]]
    return Served(rows, table.column("point")[record], query, table.model[call], share, share.copy())


def _check_present(decided: Sequence[Decisions], runs: Runs, name: str, overwrite: bool) -> None:
    """Refuse to replace decisions unasked, and to mix numbers of operating points under one name."""
    theirs = {seed: old for (label, seed), old in runs.decisions.items() if label == name}
    for one in decided:
        if one.seed in theirs and not overwrite:
            raise FileExistsError(
                f"{name!r} must have no decisions for seed {one.seed} yet, got some; use another name, or overwrite"
            )
    replaced = {one.seed for one in decided}
    kept = {len(old.weights) for seed, old in theirs.items() if seed not in replaced}
    points = len(decided[0].weights)
    if kept - {points}:
        raise ValueError(
            f"{name!r} must have as many operating points in every seed, got {points} here and {min(kept)} before;"
            " use another name"
        )
