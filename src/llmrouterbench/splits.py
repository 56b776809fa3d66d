"""Splits: which queries a router learns from and which it is judged on.

`paper`     the official 70/30 split, bit for bit (dataset by dataset, one random stream, by prompt)
`safe`      the same shares, but copies and near-copies of a query stay on one side, across datasets too
held out    whole datasets moved to the test part ("out of distribution")

A validation part is cut from train only. Saved splits carry a hash and the hash of their data; others can reuse them.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llmrouterbench.files import read_json, write_json
from llmrouterbench.naming import did_you_mean
from llmrouterbench.table import IntArray, Outcomes

FORMAT = "llmrouterbench/split"
KINDS = ("paper", "safe")


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
    """Read a split for these outcomes. Raises ValueError when it names other queries or overlaps itself."""
    raw: Any = read_json(Path(path))
    if not isinstance(raw, dict) or raw.get("format") != FORMAT or raw.get("schema") != 1:
        raise ValueError(
            f"{path} must be a split of schema 1, got something else; write one with `llmrouterbench split`"
        )
    row = {id: i for i, id in enumerate(outcomes.queries.id.tolist())}
    for id in [*raw["train"], *raw["test"]]:
        if id not in row:
            raise ValueError(f"{path} names query {id!r}, which these outcomes lack; use the split of the same data")
    train, test = (np.array(sorted(row[id] for id in raw[side]), dtype=np.int64) for side in ("train", "test"))
    if len(np.intersect1d(train, test)):
        raise ValueError(f"{path} must keep train and test apart, got queries in both; make the split again")
    return Split(train, test, dict(raw["settings"]))
