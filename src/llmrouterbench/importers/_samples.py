"""What evaluation tools write, as records of a long table: each tool's file says how its samples become records.

A record holds columns of a long table (`query`, `model`, `score`, ...), with values as JSON has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._bad_rows import BadRows
from llmrouterbench.importers.long_table import json_column, read_records
from llmrouterbench.naming import did_you_mean
from llmrouterbench.records import Place, read_json_file, read_lines

Record = Mapping[str, Any]
_BATCH = 10_000


@dataclass
class Scores:
    """Which score of a sample counts, where it has several: nobody but the user knows.

    wanted  names that the user gave, separated by commas: of a metric, a filter or a scorer
    """

    path: Path
    wanted: tuple[str, ...]
    used: set[str] = field(default_factory=set)
    met: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, options: Options) -> Scores:
        """As the user asked."""
        return cls(path, tuple(word.strip() for word in options.filter.split(",") if word.strip()))

    def choose(self, names: Sequence[str], task: str) -> str | None:
        """The name of the score that counts, None where there is none.

        A name may be of several words, such as "acc (strict)"; one of them is enough to choose it. Raises ValueError
        where several are left.
        """
        self.met |= dict.fromkeys(names)
        left = [name for name in names if any(word == name or word in _words(name) for word in self.wanted)]
        self.used |= {word for word in self.wanted for name in left if word == name or word in _words(name)}
        left = left or list(names)
        if len(left) > 1:
            words = [*left, *(part for name in left for part in _words(name))]
            mistyped = next((hint for hint in (did_you_mean(word, words) for word in self.wanted) if hint), "")
            some = ", ".join(map(repr, left[:12]))
            raise ValueError(
                f"cannot tell which score counts: {self.path} has several in {task}: {some};"
                f" name the one that counts (--filter {left[0]!r}){mistyped}"
            )
        return left[0] if left else None

    def check(self) -> None:
        """Raise ValueError where a name was given that no sample has."""
        for word in self.wanted:
            if word not in self.used:
                known = sorted({*self.met, *(part for name in self.met for part in _words(name))})
                hint = did_you_mean(word, known) or f"; there are {', '.join(known[:8]) or 'none'}"
                raise ValueError(f"{self.path} has no score named {word!r}{hint}")


def _words(name: str) -> list[str]:
    return re.split(r"[ ()/]+", name)


def samples(
    records: Iterable[tuple[str, Record]],
    path: Path,
    options: Options,
    findings: Findings | None = None,
    files: int = 1,
    facts: Mapping[str, Any] | None = None,
) -> Imported:
    """The outcomes in records, each with its place in words. Raises ValueError as `read_records` does."""
    batches, places, rows, bad = list[pl.DataFrame](), list[str](), iter(records), BadRows()
    while batch := _next(rows, path, places):
        here = [place for place, _ in batch]
        columns = dict.fromkeys(name for _, record in batch for name in record)
        number = pl.Series("#", range(len(places) + 1, len(places) + len(batch) + 1), dtype=pl.UInt32)
        at = Place(path, "at", pl.Series(here))
        read = (json_column(name, [record.get(name) for _, record in batch], at, name, bad) for name in columns)
        batches.append(pl.DataFrame([number, *read]))
        places += here
        options.tell("reading", len(places), None)
    if not batches:
        raise ValueError(f"{path} must hold samples with their scores, got none; were they written?")
    raw = pl.concat(batches, how="diagonal")
    names = {name: name for name in raw.columns if name != "#"}
    chosen = Options(options.zero_cost, options.replies, options.progress, options.key)  # the filter was applied
    place = Place(path, "at", pl.Series(places))
    return read_records(raw, names, place, chosen, findings or Findings(), dict(facts or {}), files, bad)


def _next(rows: Iterator[tuple[str, Record]], path: Path, places: Sequence[str]) -> list[tuple[str, Record]]:
    """The next records. Raises ValueError where a file has another layout than its tool writes."""
    batch = list[tuple[str, Record]]()
    try:
        batch.extend(islice(rows, _BATCH))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        last = next((place for place, _ in reversed(batch)), places[-1] if places else "its beginning")
        raise ValueError(
            f"{path} must have the layout that its tool writes, got {type(error).__name__} {error} after {last};"
            " is a part missing, or was it edited?"
        ) from error
    return batch


# --- looking at strangers' files -------------------------------------------------------------------------------------


class Glimpse:
    """A source as it looks from outside: its files, and the columns or keys of their first records."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        self._keys: dict[Path, frozenset[str]] = {}

    def has(self, pattern: str, *keys: str) -> bool:
        """Whether the first file whose name matches a pattern has these keys."""
        return next((set(keys) <= self.keys(file) for file in self.named(pattern)), False)

    def named(self, pattern: str) -> Iterator[Path]:
        """The files whose names match."""
        return (file for file in self.files if file.match(pattern))

    def keys(self, file: Path) -> frozenset[str]:
        """Columns of a table, keys of the first object of a JSON file; none where it is neither."""
        if file not in self._keys:
            try:
                self._keys[file] = frozenset(_keys_of(file))
            except (ValueError, OSError, pl.exceptions.PolarsError):
                self._keys[file] = frozenset()
        return self._keys[file]


def _keys_of(file: Path) -> Iterable[str]:
    suffix = file.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return next((record.keys() for _, record in read_lines(file)), ())
    if suffix == ".json":
        value = read_json_file(file)
        value = value[0] if isinstance(value, list) and value else value
        return value.keys() if isinstance(value, dict) else ()
    if suffix == ".csv":
        with file.open("rb") as open_file:
            line = open_file.readline(1 << 20).decode("utf-8-sig", "replace")
        return [name.strip().strip('"') for name in line.split(",")]
    return pl.read_parquet_schema(file) if suffix == ".parquet" else ()


# --- what several tools have in common -------------------------------------------------------------------------------


def number(value: Any) -> Any:
    """A score as a number: true and false are 1 and 0; null, NaN and what is none stay for the rules to judge."""
    if isinstance(value, bool):
        return float(value)
    return None if isinstance(value, float) and value != value else value


def answered(value: Any) -> str | None:
    """The text of an output."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict):
        named = next((value[name] for name in ("content", "text", "answer", "output") if name in value), None)
        return answered(named)
    if isinstance(value, list):
        return answered(value[0]) if value else None
    return str(value)


def seconds_of(milliseconds: Any) -> float | None:
    """Milliseconds as seconds; None where there are none."""
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else None
