"""Splits: which queries a router learns from and which it is judged on.

`paper`     the official 70/30 split, bit for bit (dataset by dataset, one random stream, by prompt)
`safe`      the same shares, but copies and near-copies of a query stay on one side, across datasets too
held out    whole datasets moved to the test part ("out of distribution")

A validation part is cut from train only. Saved splits carry a hash and the hash of their data; others can reuse them,
and a split that others made is read from a file.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llmrouterbench.files import read_json, write_json
from llmrouterbench.naming import did_you_mean
from llmrouterbench.records import read_csv, read_lines
from llmrouterbench.table import IntArray, Outcomes

FORMAT = "llmrouterbench/split"
KINDS = ("paper", "safe")
FILES = (".json", ".csv", ".jsonl")
"""Files that hold a split, by how their names end."""
PARTS = ("train", "test")


@dataclass(frozen=True)
class Split:
    """Row numbers of the train and the test part of one table of outcomes, in table order.

    train, test  (n_train,), (n_test,)
    settings     kind, seed, ratio, held-out datasets
    """

    train: IntArray
    test: IntArray
    settings: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        said = "".join(f", {name} {value}" for name, value in self.settings.items() if value != [])
        return f"Split({len(self.train):,} train and {len(self.test):,} test queries{said})"

    @property
    def hash(self) -> str:
        """sha256 of the two lists of rows."""
        digest = hashlib.sha256()
        for rows in (self.train, self.test):
            digest.update(np.ascontiguousarray(rows, dtype="<i8").tobytes() + b"|")
        return digest.hexdigest()


def make_split(
    outcomes: Outcomes,
    seed: int,
    *,
    kind: str = "safe",
    ratio: float = 0.7,
    held_out: tuple[str, ...] = (),
) -> Split:
    """Split queries into train and test.

    `ratio` is the share of unique queries per dataset that goes to train (rounded down). Datasets in `held_out` go
    to test whole. Raises ValueError for an unknown kind or dataset, a ratio outside (0, 1), or an empty side.

    >>> outcomes = Outcomes.of([f"question {i}" for i in range(10)], ["small"], np.ones((10, 1)))
    >>> make_split(outcomes, 42, kind="paper").test.tolist()
    [0, 1, 4]
    """
    if kind not in KINDS:
        raise ValueError(f"no split named {kind!r}{did_you_mean(kind, KINDS)}")
    if not 0.0 < ratio < 1.0:
        raise ValueError(f"ratio must be between 0 and 1, both excluded, got {ratio}")
    for name in held_out:
        if name not in outcomes.datasets:
            raise ValueError(f"no dataset named {name!r} to hold out{did_you_mean(name, outcomes.datasets)}")
    group = outcomes.group if kind == "paper" else near_duplicate_groups(outcomes)
    in_train = _stratified(outcomes, group, seed, ratio, held_out)
    split = Split(
        np.flatnonzero(in_train),
        np.flatnonzero(~in_train),
        {"kind": kind, "seed": seed, "ratio": ratio, "held_out": list(held_out)},
    )
    if not len(split.train) or not len(split.test):
        raise ValueError(
            f"both sides of a split must hold queries, got {len(split.train)} for train and {len(split.test)} for test;"
            " change the ratio or the held-out datasets"
        )
    return split


def _stratified(
    outcomes: Outcomes, group: IntArray, seed: int, ratio: float, held_out: tuple[str, ...]
) -> np.typing.NDArray[np.bool_]:
    """Which rows (n,) are train. A group is placed by the dataset that holds its first row.

    Recipe of the official loader: one random.Random(seed) for all datasets in plain string order; in each, the unique
    prompts in the order of their smallest record index, positions shuffled, the first int(unique * ratio) to train.
    """
    rng = random.Random(seed)
    in_train = np.zeros(len(outcomes), dtype=np.bool_)
    first_rows = np.unique(group, return_index=True)[1]
    home = dict(zip(group[first_rows].tolist(), outcomes.dataset[first_rows].tolist(), strict=True))
    train_groups: list[int] = []
    for name in outcomes.datasets:
        if name in held_out:
            continue
        rows = np.flatnonzero(outcomes.dataset == name)
        mine = [g for g in _groups_by_smallest_index(rows, group, outcomes.index) if home[g] == name]
        positions = list(range(len(mine)))
        rng.shuffle(positions)
        train_groups += [mine[p] for p in positions[: int(len(mine) * ratio)]]
    in_train = np.isin(group, np.array(train_groups, dtype=np.int64))
    return in_train & ~np.isin(outcomes.dataset, np.array(held_out, dtype=np.str_))


def _groups_by_smallest_index(rows: IntArray, group: IntArray, index: IntArray) -> list[int]:
    """Groups of these rows, ordered by smallest record index, first seen first among equals."""
    smallest: dict[int, int] = {}
    for g, i in zip(group[rows].tolist(), index[rows].tolist(), strict=True):
        smallest[g] = min(i, smallest.get(g, i))
    return sorted(smallest, key=lambda g: smallest[g])


def validation_split(outcomes: Outcomes, train: IntArray, seed: int, share: float = 0.2) -> tuple[IntArray, IntArray]:
    """Cut train rows into (fit, validation), by dataset, copies kept together. Never looks at test.

    Raises ValueError when a side would be empty.
    """
    part = outcomes.take(train)
    in_fit = _stratified(part, part.group, seed, 1.0 - share, ())
    # A dataset with one or two unique queries would vanish from fit: int(1 * 0.8) is 0.
    for name in part.datasets:
        mine = part.dataset == name
        if not in_fit[mine].any():
            in_fit |= mine
    if in_fit.all():
        raise ValueError(
            f"the validation part must hold queries, got none from {len(train)} training queries; use more data"
        )
    return train[in_fit], train[~in_fit]


_WORD = re.compile(r"\w+", re.UNICODE)
_BANDS, _ROWS_PER_BAND, _SHINGLE = 20, 5, 3


def near_duplicate_groups(outcomes: Outcomes, threshold: float = 0.9) -> IntArray:
    """Number (n,) of the first query of each cluster of copies and near-copies, over all datasets.

    Two queries are near-copies when the Jaccard similarity of their word 3-grams (case, punctuation and spaces
    ignored) is at least `threshold`; candidates come from MinHash with banding (20 bands of 5, which finds a pair at
    0.9 with probability 1 - (1 - 0.9^5)^20 > 0.9999). Source: Broder, 1997; Leskovec, Rajaraman, Ullman, ch. 3.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    shingles = [_shingles(text) for text in outcomes.queries.text]
    n, seen = len(shingles), dict[frozenset[int], int]()
    equal = [(row, seen.setdefault(grams, row)) for row, grams in enumerate(shingles)]
    near = [pair for pair in _candidates(shingles) if _jaccard(shingles[pair[0]], shingles[pair[1]]) >= threshold]
    _, first, number = np.unique(outcomes.group, return_index=True, return_inverse=True)
    alike = np.array([*equal, *near, *zip(range(n), first[number].tolist(), strict=True)], dtype=np.int64)
    one, other = alike.reshape(-1, 2).T
    _, cluster = connected_components(coo_array((np.ones(len(one)), (one, other)), shape=(n, n)), directed=False)
    return np.asarray(np.unique(cluster, return_index=True)[1][cluster], dtype=np.int64)


def _candidates(shingles: list[frozenset[int]]) -> list[tuple[int, int]]:
    """Pairs of rows that are alike in a band of their signatures, each row with the first that is like it."""
    signatures, rows = _minhash(shingles), np.arange(len(shingles))
    pairs = set[tuple[int, int]]()
    for band in range(_BANDS):
        columns = signatures[:, band * _ROWS_PER_BAND : (band + 1) * _ROWS_PER_BAND]
        _, first, inverse = np.unique(columns, axis=0, return_index=True, return_inverse=True)
        earliest = first[inverse.ravel()]
        later = np.flatnonzero(earliest != rows)
        pairs.update(zip(later.tolist(), earliest[later].tolist(), strict=True))
    return sorted(pairs)


def _shingles(text: str) -> frozenset[int]:
    words = _WORD.findall(text.lower())
    grams = [" ".join(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1))]
    return frozenset(int.from_bytes(hashlib.blake2b(g.encode(), digest_size=6).digest()) for g in grams)


def _minhash(shingles: list[frozenset[int]]) -> IntArray:
    """(n, bands * rows) signatures."""
    rng = np.random.default_rng(0)
    size = _BANDS * _ROWS_PER_BAND
    factor = rng.integers(1, 2**31, size=size, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    shift = rng.integers(0, 2**62, size=size, dtype=np.uint64)
    out = np.empty((len(shingles), size), dtype=np.int64)
    for row, grams in enumerate(shingles):
        values = np.fromiter(grams, dtype=np.uint64, count=len(grams))
        hashed = (values[:, None] * factor + shift) >> np.uint64(16)
        out[row] = hashed.min(axis=0).astype(np.int64)
    return out


def _jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    return len(a & b) / len(a | b)


def save_split(split: Split, outcomes: Outcomes, path: str | Path) -> None:
    """Write a split as JSON with query ids, so that it can be used with the same queries stored anywhere.

    Raises OSError where the file cannot be written.
    """
    ids = outcomes.queries.id
    write_json(
        Path(path),
        {
            "format": FORMAT,
            "schema": 1,
            "hash": split.hash,
            "data_hash": outcomes.content_hash,
            "settings": split.settings,
            "train": ids[split.train].tolist(),
            "test": ids[split.test].tolist(),
        },
    )


def load_split(path: str | Path, outcomes: Outcomes) -> Split:
    """Read the split of these outcomes that `save_split` wrote, or one that somebody else made.

    .json          {"train": [query ids], "test": [query ids]}; `save_split` writes more beside them
    .csv, .jsonl   a record a query: `id` (or query, query_id), and `part`, "train" or "test"

    Queries that are in neither part are left out. Raises FileNotFoundError without the file, ValueError for a query
    that the outcomes lack or that is named twice, and for a part without any.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"a split must be in a file, got none at {path}; write one with `llmrouterbench split`")
    parts, settings = _read_parts(path)
    row = {id: i for i, id in enumerate(outcomes.queries.id.tolist())}
    home: dict[str, str] = {}
    for part, ids in parts.items():
        if not ids:
            raise ValueError(f"{path} must have queries in both parts, got none for {part}; add some")
        for id in ids:
            if id not in row:
                raise ValueError(
                    f"{path} names query {id!r} for {part}, which these outcomes lack; use the split of the same data"
                )
            if home.setdefault(id, part) != part:
                raise ValueError(f"{path} must keep train and test apart, got query {id!r} in both; remove it from one")
        if len(set(ids)) < len(ids):
            twice = next(id for id, count in Counter(ids).items() if count > 1)
            raise ValueError(f"{path} must name a query once, got {twice!r} twice for {part}; remove one")
    train, test = (np.array(sorted(row[id] for id in parts[part]), dtype=np.int64) for part in PARTS)
    return Split(train, test, settings)


def _read_parts(path: Path) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Query ids of each part in a file, and the settings that it says it was made with."""
    kind = path.suffix.lower()
    if kind == ".json":
        return _read_lists(path)
    if kind == ".csv":
        frame = read_csv(path)
        records = zip(range(1, frame.height + 1), frame.iter_rows(named=True), strict=True)
        return _parts_of(records, path, "record"), {}
    if kind == ".jsonl":
        return _parts_of(read_lines(path), path, "line"), {}
    raise ValueError(f"a split must be a {', '.join(FILES)} file, got {path}; rename it")


def _read_lists(path: Path) -> tuple[dict[str, list[str]], dict[str, Any]]:
    raw: Any = read_json(path)
    lists: list[Any] = [raw.get(part) for part in PARTS] if isinstance(raw, dict) else []
    if not lists or (raw.get("format", FORMAT), raw.get("schema", 1)) != (FORMAT, 1):
        raise ValueError(
            f"{path} must be a split of schema 1, got something else; write one with `llmrouterbench split`"
        )
    for part, ids in zip(PARTS, lists, strict=True):
        if not isinstance(ids, list) or not all(map(_is_id, ids)):
            got = "none" if ids is None else f"{str(ids)[:60]}"
            raise ValueError(f"{path} must have a list {part!r} of query ids, got {got}; write them as texts")
    return {part: list(map(str, ids)) for part, ids in zip(PARTS, lists, strict=True)}, raw.get("settings") or {}


def _parts_of(records: Iterable[tuple[int, Mapping[str, Any]]], path: Path, word: str) -> dict[str, list[str]]:
    """Query ids of each part, from records with an id and a part each."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for number, record in records:
        id = next((record[name] for name in ("id", "query", "query_id") if record.get(name) is not None), None)
        if not _is_id(id):
            got = "none" if id is None else repr(id)[:60]
            raise ValueError(f"a query of a split must have an id, got {got} in {path} {word} {number}; add it as 'id'")
        if record.get("part") not in PARTS:
            raise ValueError(
                f"part must be 'train' or 'test', got {record.get('part')!r} in {path} {word} {number};"
                " leave out a query that is in neither"
            )
        parts[record["part"]].append(str(id))
    return parts


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
