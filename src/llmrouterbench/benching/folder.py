"""Runs on disk: every decision of every router, so that all numbers can be recomputed without fitting again.

runs.json                     what was run: routers, seeds, setting, data hash, versions
outcomes/                     the numbers that were routed on (no texts), a folder as in `store`
splits/SEED.json              train and test queries of each seed
decisions/ROUTER/SEED.parquet what one fitted router decided on validation and test, one file a (router, seed)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import orjson
import polars as pl

from llmrouterbench.files import read_json, say_disk_full, write_json, write_parquet
from llmrouterbench.splits import Split, load_split
from llmrouterbench.store import read_outcomes
from llmrouterbench.table import FloatArray, IntArray, Outcomes

FORMAT = "llmrouterbench/runs"
SCHEMA = 1
Part = Literal["validation", "test", "checkpoints"]
_PARTS: tuple[Part, ...] = ("validation", "test", "checkpoints")


@dataclass(frozen=True)
class Served:
    """What w operating points served on n queries, as a sparse table: only entries with a call.

    rows    (n,) row numbers in the outcomes
    point   (k,) operating point, 0..w-1
    query   (k,) position in `rows`
    model   (k,) column in the outcomes
    served  (k,) probability that this reply was the one served
    called  (k,) expected number of calls paid for
    """

    rows: IntArray
    point: IntArray
    query: IntArray
    model: IntArray
    served: FloatArray
    called: FloatArray

    @classmethod
    def single(cls, rows: IntArray, choice: IntArray) -> Served:
        """One call a query: `choice` (w, n) holds the model of each."""
        points, n = choice.shape
        ones = np.ones(choice.size)
        return cls(
            rows, np.repeat(np.arange(points), n), np.tile(np.arange(n), points), choice.ravel(), ones, ones.copy()
        )

    @classmethod
    def dense(cls, rows: IntArray, served: FloatArray, called: FloatArray) -> Served:
        """One operating point from (n, m) arrays, as a `Run` holds them."""
        query, model = np.nonzero((served > 0) | (called > 0))
        return cls(rows, np.zeros(len(query), np.int64), query, model, served[query, model], called[query, model])

    @classmethod
    def joined(cls, points: Sequence[Served]) -> Served:
        """Several operating points on the same rows, each given as one point, in their order."""
        number = [np.full(len(one.point), i, dtype=np.int64) for i, one in enumerate(points)]
        columns = ("query", "model", "served", "called")
        parts = [np.concatenate([getattr(one, name) for one in points]) for name in columns]
        return cls(points[0].rows, np.concatenate(number), *parts)


def meter(part: Served, outcomes: Outcomes, points: int) -> tuple[FloatArray, FloatArray]:
    """Score and cost (w, n) of what was served, from the outcomes alone.

    A score is NaN where a served cell was not measured, a cost is NaN where a call has no known cost.
    """
    n = len(part.rows)
    at = part.point * n + part.query
    row = part.rows[part.query]

    def total(weight: FloatArray, plane: FloatArray) -> FloatArray:
        used = weight > 0
        value = weight[used] * plane[row[used], part.model[used]]
        sums = np.bincount(at[used], weights=value, minlength=points * n)
        return np.asarray(sums, dtype=np.float64).reshape(points, n)

    return total(part.served, outcomes.score), total(part.called, outcomes.cost)


@dataclass(frozen=True)
class Decisions:
    """What one fitted router decided for one seed.

    router   label in the leaderboard
    seed     seed of the split
    weights  (w,) settings of the trade-off dial; one entry for a router without a dial
    parts    "validation" (router fitted without it) and "test" (router fitted on all of train); without a dial
             a router needs no validation and the part is empty. The paper's protocol adds "checkpoints" for a router
             that trains by epochs: test choices after each epoch, one point each, from which only peaks are taken
    facts    constructor settings, fit seconds, seconds to decide, the key of everything that went in
    """

    router: str
    seed: int
    weights: FloatArray
    parts: dict[Part, Served]
    facts: dict[str, Any] = field(default_factory=dict)

    def points(self, name: Part) -> int:
        """Operating points of a part: settings of the dial, or checkpoints."""
        return len(self.weights) if name != "checkpoints" else int(self.parts[name].point.max(initial=-1)) + 1

    def save(self, path: Path) -> None:
        """Write one Parquet file, atomically."""
        frame = pl.concat(
            pl.DataFrame(
                {
                    "part": np.full(len(part.point), i, dtype=np.uint8),
                    "point": part.point.astype(np.uint16),
                    "row": part.rows[part.query].astype(np.uint32),
                    "model": part.model.astype(np.uint16),
                    "served": part.served,
                    "called": part.called,
                }
            )
            for i, name in enumerate(_PARTS)
            if (part := self.parts.get(name)) is not None
        )
        head = {
            "router": self.router,
            "seed": self.seed,
            "weights": self.weights,
            "rows": {name: part.rows for name, part in self.parts.items()},
            "facts": self.facts,
        }
        metadata = {"llmrouterbench": orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY).decode()}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
        try:
            write_parquet(frame, partial, metadata)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise say_disk_full(error, path) from error

    @classmethod
    def head(cls, path: Path) -> dict[str, Any]:
        """Everything but the decisions: router, seed, weights, rows, facts."""
        head: dict[str, Any] = orjson.loads(pl.read_parquet_metadata(path)["llmrouterbench"])
        return head

    @classmethod
    def load(cls, path: Path) -> Decisions:
        """Read one file."""
        head = cls.head(path)
        frame = pl.read_parquet(path)
        parts: dict[Part, Served] = {}
        for i, name in enumerate(_PARTS):
            if name not in head["rows"]:
                continue
            mine = frame.filter(pl.col("part") == i)
            rows = np.array(head["rows"][name], dtype=np.int64)
            order = np.argsort(rows)
            position = order[np.searchsorted(rows, mine["row"].to_numpy(), sorter=order)] if len(rows) else rows
            parts[name] = Served(
                rows,
                mine["point"].to_numpy().astype(np.int64),
                np.asarray(position, dtype=np.int64),
                mine["model"].to_numpy().astype(np.int64),
                mine["served"].to_numpy(),
                mine["called"].to_numpy(),
            )
        return cls(head["router"], int(head["seed"]), np.array(head["weights"], dtype=float), parts, head["facts"])


@dataclass(frozen=True)
class Runs:
    """A folder of runs, loaded: outcomes, splits by seed, decisions by (router label, seed)."""

    outcomes: Outcomes
    splits: dict[int, Split]
    decisions: dict[tuple[str, int], Decisions]
    facts: dict[str, Any]

    def __repr__(self) -> str:
        missing = f", {len(self.missing)} without decisions yet" if self.missing else ""
        return f"Runs({len(self.routers)} routers on {len(self.seeds)} seeds{missing}; {self.outcomes!r})"

    @property
    def routers(self) -> list[str]:
        """Labels in the order in which they were asked for."""
        return [entry["label"] for entry in self.facts["routers"]]

    @property
    def seeds(self) -> list[int]:
        """Seeds in the order in which they were asked for."""
        return [int(seed) for seed in self.facts["seeds"]]

    @property
    def missing(self) -> list[tuple[str, int]]:
        """(router, seed) pairs that were asked for and have no decisions yet."""
        wanted = [(router, seed) for router in self.routers for seed in self.seeds]
        return [pair for pair in wanted if pair not in self.decisions]


def decisions_path(folder: Path, label: str, seed: int) -> Path:
    """The file of one router and seed; characters that a file system may refuse are percent-encoded.

    >>> decisions_path(Path("r"), "knn:k=5", 42).as_posix()
    'r/decisions/knn%3Ak=5/42.parquet'
    """
    return folder / "decisions" / quote(label, safe="=,._-") / f"{seed}.parquet"


def noted_place(folder: Path, data: Path) -> str:
    """How a folder of runs notes where its outcomes with texts lie: relative to itself, so that both may move together.

    >>> noted_place(Path("runs/own"), Path("data/own"))
    '../../data/own'
    """
    try:
        return Path(os.path.relpath(data, folder)).as_posix()
    except ValueError:  # another drive on Windows
        return data.resolve().as_posix()


def select_runs(folder: Path, routers: Sequence[str], seeds: Sequence[int]) -> None:
    """Let a folder of runs say these routers and seeds and no others; what the others decided stays on the disk."""
    facts = read_json(folder / "runs.json")
    kept = [entry for entry in facts["routers"] if entry["label"] in routers]
    write_json(folder / "runs.json", {**facts, "routers": kept, "seeds": list(seeds)})


def load_runs(folder: Path) -> Runs:
    """Load a folder that `bench` wrote. Raises FileNotFoundError or ValueError with a sentence on anything else."""
    path = folder / "runs.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} must hold a runs.json, got none; make a folder of runs with `llmrouterbench bench`"
        )
    facts: Any = read_json(path)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT or facts.get("schema") != SCHEMA:
        raise ValueError(f"{path} must be of format {FORMAT!r}, schema {SCHEMA}; use the llmrouterbench that wrote it")
    outcomes = read_outcomes(folder / "outcomes")
    if outcomes.content_hash != facts["data_hash"]:
        raise ValueError(f"{folder}/outcomes must be the data of the runs, got other data; run the bench again")
    splits = {seed: load_split(folder / "splits" / f"{seed}.json", outcomes) for seed in map(int, facts["seeds"])}
    decisions = {}
    for entry in facts["routers"]:
        for seed in splits:
            file = decisions_path(folder, entry["label"], seed)
            if file.is_file():
                decisions[entry["label"], seed] = Decisions.load(file)
    return Runs(outcomes, splits, decisions, facts)
