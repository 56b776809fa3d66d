"""Runs on disk: every decision of every router, so that all numbers can be recomputed without fitting again.

runs.json                     what was agreed (`Rules`) and what was made of it: routers, seeds, data hash, versions
outcomes/                     the numbers that were routed on (no texts), a folder as in `store`
splits/SEED.json              train and test queries of each seed
judged/SEED.npz               of a log: by what the decisions of each seed are judged
decisions/ROUTER/SEED.parquet what one fitted router decided on validation and test, one file a (router, seed)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from zipfile import BadZipFile

import numpy as np
import orjson
import polars as pl
from polars.exceptions import PolarsError

from llmrouterbench.benching.rules import Rules
from llmrouterbench.estimating.pseudo import Judge
from llmrouterbench.files import (
    json_bytes,
    read_json,
    read_marked,
    say_disk_full,
    write_bytes,
    write_json,
    write_parquet,
)
from llmrouterbench.splits import Split, load_split
from llmrouterbench.store import read_outcomes
from llmrouterbench.table import FloatArray, IntArray, Outcomes

RECORD = "runs.json"
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
    parts    "validation" (router fitted without it) and "test" (router fitted on all of train); without a dial a router
             needs none, and in folders of version 0.1 it is empty. The paper's protocol adds "checkpoints" for a router
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
        metadata = {"llmrouterbench": json_bytes(head).decode()}
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
        try:
            head: dict[str, Any] = orjson.loads(pl.read_parquet_metadata(path)["llmrouterbench"])
        except (PolarsError, KeyError, ValueError) as error:
            raise ValueError(f"{path} must hold decisions, got a damaged file; run the bench again") from error
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
class Made:
    """What a bench made of its rules; both together are what runs.json says.

    routers    label, class and settings of every router that was asked for, in that order
    seeds      every seed that was asked for, in that order
    reference  the model that gains are measured against, where the setting names one that the outcomes hold
    truncated  most texts that the embedder cut in a seed; None where nothing was embedded
    vectors    sha256 of a file of vectors, where the embedder is one
    split      hash of the split, where it was read from a file
    data       where the outcomes with texts lie, relative to the folder
    """

    routers: tuple[dict[str, Any], ...]
    seeds: tuple[int, ...]
    reference: str | None = None
    data_hash: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    simulated: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    truncated: int | None = None
    vectors: str | None = None
    split: str | None = None
    data: str | None = None

    @classmethod
    def of(cls, labels: Iterable[str], seeds: Iterable[int], **more: Any) -> Made:
        """Routers of which only the labels are known, such as those of runs that are never stored."""
        return cls(tuple({"label": label} for label in labels), tuple(seeds), **more)


def to_record(rules: Rules, made: Made) -> dict[str, Any]:
    """The content of runs.json."""
    stored = rules.stored()
    if rules.split_file:
        stored["split"] |= {"file": rules.split_file.name, "hash": made.split}
    if made.truncated is not None:
        stored["embedder"] |= {"truncated": made.truncated}
    if made.vectors is not None:
        stored["embedder"] |= {"sha256": made.vectors}
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "data_hash": made.data_hash,
        "source": made.source,
        "simulated": made.simulated,
        "protocol": stored.pop("protocol"),
        "setting": stored.pop("setting"),
        "reference": made.reference,
        **stored,
        "routers": list(made.routers),
        "seeds": list(made.seeds),
        "versions": made.versions,
        **({} if made.data is None else {"data": made.data}),
    }


def read_record(folder: Path) -> tuple[Rules, Made]:
    """What the runs.json of a folder says.

    Raises FileNotFoundError where there is none, ValueError where it is none or of another version.
    """
    record = read_marked(folder, FORMAT, SCHEMA)
    try:
        return Rules.from_stored(record), _made_from(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{folder / RECORD} must say what was benched, got {said}; bench into another folder"
        ) from error


def _made_from(record: dict[str, Any]) -> Made:
    embedder = record.get("embedder") or {}
    return Made(
        routers=tuple(record["routers"]),
        seeds=tuple(map(int, record["seeds"])),
        reference=record.get("reference"),
        data_hash=record["data_hash"],
        source=record.get("source") or {},
        simulated=bool(record.get("simulated")),
        versions=record.get("versions") or {},
        truncated=embedder.get("truncated"),
        vectors=embedder.get("sha256"),
        split=record["split"].get("hash"),
        data=record.get("data"),
    )


@dataclass(frozen=True)
class Runs:
    """A folder of runs, loaded: outcomes, splits by seed, decisions by (router label, seed), and what was agreed.

    judges  of a log, by seed: by what decisions are judged
    """

    outcomes: Outcomes
    splits: dict[int, Split]
    decisions: dict[tuple[str, int], Decisions]
    made: Made
    rules: Rules = field(default_factory=Rules)
    judges: dict[int, Judge] = field(default_factory=dict)

    def __repr__(self) -> str:
        missing = f", {len(self.missing)} without decisions yet" if self.missing else ""
        return f"Runs({len(self.routers)} routers on {len(self.seeds)} seeds{missing}; {self.outcomes!r})"

    @property
    def routers(self) -> list[str]:
        """Labels in the order in which they were asked for."""
        return [entry["label"] for entry in self.made.routers]

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds that are compared, in the order asked for.

        Those on which the most decisions are complete for all routers that have them, so that a bench that was
        interrupted, or is under way, has numbers for what is there. All that were asked for, once all is decided.
        """
        asked = self.made.seeds
        done = {label: tuple(seed for seed in asked if (label, seed) in self.decisions) for label in self.routers}

        def decisions(seeds: tuple[int, ...]) -> tuple[int, int]:
            return len(seeds) * sum(set(seeds) <= set(mine) for mine in done.values()), len(seeds)

        most = max([asked, *done.values()], key=decisions)
        return list(most)

    @property
    def missing(self) -> list[tuple[str, int]]:
        """(router, seed) pairs that were asked for, are compared and have no decisions yet."""
        return [pair for pair in product(self.routers, self.seeds) if pair not in self.decisions]

    @property
    def seeds_left_out(self) -> list[int]:
        """Seeds that were asked for and are not compared, for want of decisions."""
        return [seed for seed in self.made.seeds if seed not in self.seeds]

    def of_seeds(self, seeds: Sequence[int]) -> Runs:
        """The runs of some seeds, with the routers that are complete on them."""
        routers = tuple(
            entry for entry in self.made.routers if all((entry["label"], seed) in self.decisions for seed in seeds)
        )
        made = replace(self.made, routers=routers, seeds=tuple(seeds))
        return replace(self, made=made, splits={seed: self.splits[seed] for seed in seeds})


def judged_path(folder: Path, seed: int) -> Path:
    """The file by which the decisions of one seed are judged, where the outcomes are a log."""
    return folder / "judged" / f"{seed}.npz"


def save_judge(judge: Judge, path: Path) -> None:
    """Write one file of arrays, atomically."""
    held = BytesIO()
    np.savez_compressed(held, **vars(judge))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, held.getvalue())


def _load_judge(path: Path, outcomes: Outcomes) -> Judge:
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            judge = Judge(arrays["score"], arrays["cost"], arrays["weight"])
    except (KeyError, ValueError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path} must hold arrays, got a damaged file; delete it and run the bench again") from error
    if any(plane.shape != outcomes.score.shape for plane in vars(judge).values()):
        raise ValueError(f"{path} must be about the data of the runs, got other data; run the bench again")
    return judge


def splits_path(folder: Path, seed: int) -> Path:
    """The file of the split of one seed."""
    return folder / "splits" / f"{seed}.json"


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
    rules, made = read_record(folder)
    outcomes = read_outcomes(folder / "outcomes")
    if outcomes.content_hash != made.data_hash:
        raise ValueError(f"{folder}/outcomes must be the data of the runs, got other data; run the bench again")
    splits = {seed: load_split(splits_path(folder, seed), outcomes) for seed in made.seeds}
    pairs = product([entry["label"] for entry in made.routers], splits)
    paths = {(label, seed): decisions_path(folder, label, seed) for label, seed in pairs}
    decisions = {pair: Decisions.load(path) for pair, path in paths.items() if path.is_file()}
    judges = {seed: _load_judge(path, outcomes) for seed in splits if (path := judged_path(folder, seed)).is_file()}
    return Runs(outcomes, splits, decisions, made, rules, judges)
