"""Splits: which queries a router learns from and which it is judged on.

`paper`     the official 70/30 split, bit for bit (dataset by dataset, one random stream, by prompt)
`safe`      the same shares, but copies and near-copies of a query stay on one side, across datasets too; the validation
            part is cut by the same groups
Clusters of queries, such as conversations, stay on one side in both.
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from llmrouterbench.files import read_json, write_json
from llmrouterbench.naming import did_you_mean
from llmrouterbench.records import read_csv, read_lines
from llmrouterbench.table import IntArray, Outcomes, joined

FORMAT = "llmrouterbench/split"
KINDS = ("paper", "safe")
FILES = (".json", ".csv", ".jsonl")
"""Files that hold a split, by how their names end."""
PARTS = ("train", "test")
NearCopies = Literal["one-word", "long-texts"]
"""What else stays together: texts that differ in one word; or, as up to version 0.1, only what word 3-grams find."""


@dataclass(frozen=True)
class Split:
    """Row numbers of the train and the test part of one table of outcomes, in table order.

    train, test  (n_train,), (n_test,)
    settings     kind, seed, ratio, held-out datasets; of a safe split also `alike`, the share of test queries that are
                 left with a text in train that is alike (word 3-grams, Jaccard at least 0.6)
    group        (n,) queries of the table that must stay together when validation is cut from train; None: copies
    """

    train: IntArray
    test: IntArray
    settings: dict[str, Any] = field(default_factory=dict)
    group: IntArray | None = None

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
    near_copies: NearCopies = "one-word",
) -> Split:
    """Split queries into train and test; `near_copies` of the safe split.

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
    copies = None if kind == "paper" else _copies(outcomes, 0.9, near_copies)
    group = outcomes.together if copies is None else joined(copies.group, outcomes.cluster)
    in_train = _stratified(outcomes, group, seed, ratio, held_out)
    settings: dict[str, Any] = {"kind": kind, "seed": seed, "ratio": ratio, "held_out": list(held_out)}
    split = Split(np.flatnonzero(in_train), np.flatnonzero(~in_train), settings)
    if copies is not None and near_copies == "one-word":
        split = replace(split, settings={**settings, "alike": _left_alike(copies, in_train)}, group=group)
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


def validation_split(
    outcomes: Outcomes, train: IntArray, seed: int, share: float = 0.2, group: IntArray | None = None
) -> tuple[IntArray, IntArray]:
    """Cut train rows into (fit, validation), by dataset, each `group` (n,) kept together. Never looks at test.

    Without groups copies and clusters are kept together. Raises ValueError when a side would be empty.
    """
    part = outcomes.take(train)
    in_fit = _stratified(part, part.together if group is None else group[train], seed, 1.0 - share, ())
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


def validation_folds(
    outcomes: Outcomes, train: IntArray, seed: int, folds: int, group: IntArray | None = None
) -> list[tuple[IntArray, IntArray]]:
    """Train rows as (fit, validation) of each fold, by dataset, each `group` (n,) kept together. Never looks at test.

    Every row is in the validation part of one fold. Raises ValueError where fewer than two folds hold queries.
    """
    part = outcomes.take(train)
    groups = part.together if group is None else group[train]
    rng = random.Random(seed)
    first_rows = np.unique(groups, return_index=True)[1]
    home: dict[str, list[int]] = {}
    for one, name in zip(groups[first_rows].tolist(), part.dataset[first_rows].tolist(), strict=True):
        home.setdefault(name, []).append(one)
    dealt: list[int] = []
    for name in sorted(home):
        rng.shuffle(home[name])
        dealt += home[name]
    fold_of = {one: place % folds for place, one in enumerate(dealt)}
    fold = np.array([fold_of[one] for one in groups.tolist()])
    used = np.unique(fold)
    if len(used) < 2:
        raise ValueError(
            f"the validation part must hold queries, got none from {len(train)} training queries; use more data"
        )
    return [(train[fold != one], train[fold == one]) for one in used.tolist()]


def with_near_copies(outcomes: Outcomes) -> Outcomes:
    """The same outcomes, in which near-copies count as copies: `paper` splits of them are `safe` ones."""
    group = near_duplicate_groups(outcomes)
    cluster = None if outcomes.cluster is None else joined(group, outcomes.cluster)
    return replace(outcomes, group=group, cluster=cluster)


_WORD = re.compile(r"\w+", re.UNICODE)
_BANDS, _ROWS_PER_BAND, _SHINGLE = 20, 5, 3
_SHORTEST = 10
"""Words of a text that is looked at word by word: one in ten may differ."""
_TEMPLATE = 10, 0.1
"""A line that more queries of a dataset share, in number and as a share, is its template."""
_ALIKE = 0.6


def near_duplicate_groups(outcomes: Outcomes, threshold: float = 0.9, near_copies: NearCopies = "one-word") -> IntArray:
    """Number (n,) of the first query of each cluster of copies and near-copies, over all datasets.

    Two queries are near-copies when the Jaccard similarity of their word 3-grams (case, punctuation and spaces
    ignored) is at least `threshold`; candidates come from MinHash with banding (20 bands of 5, which finds a pair at
    0.9 with probability 1 - (1 - 0.9^5)^20 > 0.9999). In short texts one word spoils three 3-grams, and in long ones a
    template hides what differs; so texts are compared without the lines that many queries of their dataset share too,
    and those of 10 words or more are near-copies when their words, in any order, are the same but for one.

    Source: Broder, 1997; Leskovec, Rajaraman, Ullman, ch. 3.
    """
    return _copies(outcomes, threshold, near_copies).group


@dataclass(frozen=True)
class _Copies:
    """Clusters of near-copies.

    group  (n,) number of the first query of each cluster
    pairs  (k, 2) rows whose texts are alike, in one cluster or not
    """

    group: IntArray
    pairs: IntArray


def _copies(outcomes: Outcomes, threshold: float, near_copies: NearCopies) -> _Copies:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    whole = [_words(text) for text in outcomes.queries.text]
    same, _ = _alike(whole, threshold)
    pairs = list[tuple[int, int]]()
    if near_copies == "one-word":
        own = list(map(_words, _without_template(outcomes)))
        near, pairs = _alike(own, threshold)
        same += [*near, *_twins(own)]
    n = len(whole)
    _, first, number = np.unique(outcomes.group, return_index=True, return_inverse=True)
    same += zip(range(n), first[number].tolist(), strict=True)
    one, other = np.array(same, dtype=np.int64).reshape(-1, 2).T
    _, cluster = connected_components(coo_array((np.ones(len(one)), (one, other)), shape=(n, n)), directed=False)
    first_of = np.unique(cluster, return_index=True)[1]
    return _Copies(np.asarray(first_of[cluster], np.int64), np.array(pairs, dtype=np.int64).reshape(-1, 2))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _alike(words: list[list[str]], threshold: float) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs of rows that are near-copies by their word 3-grams, and pairs that are alike."""
    shingles = list(map(_shingles, words))
    seen = dict[frozenset[int], int]()
    equal = [(row, seen.setdefault(grams, row)) for row, grams in enumerate(shingles)]
    found = [(pair, _jaccard(shingles[pair[0]], shingles[pair[1]])) for pair in _candidates(shingles)]
    return [*equal, *(pair for pair, much in found if much >= threshold)], [
        pair for pair, much in found if much >= _ALIKE
    ]


def _without_template(outcomes: Outcomes) -> list[str]:
    """Texts without the lines that many queries of their dataset share; whole where nothing would be left."""
    texts = outcomes.queries.text
    lines = [text.splitlines() for text in texts]
    shared: dict[str, set[str]] = {}
    for name in outcomes.datasets:
        rows = np.flatnonzero(outcomes.dataset == name).tolist()
        count = Counter(line for row in rows for line in set(lines[row]))
        shared[name] = {line for line, many in count.items() if many > max(_TEMPLATE[0], _TEMPLATE[1] * len(rows))}
    own = (
        "\n".join(line for line in parts if line not in shared[name])
        for parts, name in zip(lines, outcomes.dataset.tolist(), strict=True)
    )
    return [left if _WORD.search(left) else text for left, text in zip(own, texts, strict=True)]


def _twins(words: list[list[str]]) -> list[tuple[int, int]]:
    """Pairs of rows whose words, in any order, are the same but for one."""
    known: dict[str, int] = {}
    found: list[IntArray] = []
    for text in words:
        number = np.array([known.setdefault(word, _hash(word)) for word in text], dtype=np.int64)
        long = len(text) >= _SHORTEST
        found.append(np.unique(np.append(number.sum() - number, number.sum())) if long else number[:0])  # wraps around
    name, row = np.concatenate([np.zeros(0, np.int64), *found]), np.repeat(np.arange(len(words)), list(map(len, found)))
    order = np.argsort(name, kind="stable")
    name, row = name[order], row[order]
    again = np.flatnonzero(name[1:] == name[:-1])
    return sorted(set(zip(row[again].tolist(), row[again + 1].tolist(), strict=True)))


def _left_alike(copies: _Copies, in_train: np.typing.NDArray[np.bool_]) -> float:
    """Share of the test queries with a text in train that is alike."""
    across = copies.pairs[in_train[copies.pairs[:, 0]] != in_train[copies.pairs[:, 1]]]
    return round(len(set(across[~in_train[across]].tolist())) / max(int((~in_train).sum()), 1), 6)


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


def _shingles(words: list[str]) -> frozenset[int]:
    grams = [" ".join(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1))]
    return frozenset(int.from_bytes(hashlib.blake2b(g.encode(), digest_size=6).digest()) for g in grams)


def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), signed=True)


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
