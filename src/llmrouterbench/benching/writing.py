"""A folder of runs while a bench makes or extends it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from llmrouterbench.benching.folder import (
    RECORD,
    Decisions,
    Made,
    Runs,
    decisions_path,
    judged_path,
    load_runs,
    read_record,
    save_judge,
    splits_path,
    to_record,
)
from llmrouterbench.benching.rules import LATER, Rules
from llmrouterbench.contracts import Router
from llmrouterbench.coverage import coverage_of
from llmrouterbench.estimating.pseudo import Judge
from llmrouterbench.files import json_bytes, read_json, remove_abandoned, say_disk_full, write_json
from llmrouterbench.splits import Split, save_split
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes

_ROOMS = {"decisions", "judged", "outcomes", "splits", "report"}
"""Folders of a folder of runs."""


@dataclass(frozen=True)
class Task:
    """One router on one seed.

    key   hash of all that its decisions are made by: data, rules, router, seed, split, replies
    read  hash of what routers read beside the numbers: texts, and vectors that lie in a file or a folder
    """

    label: str
    router: Router
    seed: int
    split: Split
    key: str
    read: str


class RunsFolder:
    """A folder of runs that a bench makes or extends.

    Before something was decided nothing of the bench is on the disk: the folder does not exist, or is what it was. With
    the first decision it takes its place at once, whole; each later one is one more file. So a bench that fails or is
    mistyped blocks no other, and one that is stopped goes on where it was.
    """

    def __init__(self, path: Path, outcomes: Outcomes, rules: Rules, made: Made, splits: Mapping[int, Split]) -> None:
        self.path, self.outcomes, self.rules, self.made, self.splits = path, outcomes, rules, made, splits
        self.logged, self.judges = not coverage_of(outcomes).matrix, dict[int, Judge]()
        self._begun = False

    @classmethod
    def open(cls, path: Path, outcomes: Outcomes, rules: Rules, made: Made, splits: Mapping[int, Split]) -> RunsFolder:
        """The folder of a bench with these rules, which may hold other routers and seeds already; writes nothing.

        Raises ValueError where decisions of other rules or data are there, OSError where no folder of runs can be.
        """
        there = next(one for one in (path, *path.absolute().parents) if one.exists())
        if not there.is_dir():
            raise NotADirectoryError(f"{path} must be a folder of runs, got a file at {there}; choose another")
        if not os.access(there, os.W_OK):
            raise PermissionError(f"{path} must be a folder to write runs to, got {there} read-only; choose another")
        names = {one.name for one in path.iterdir() if not one.name.startswith(".")} if there == path else set[str]()
        lost = "decisions" in names <= _ROOMS  # a folder of runs without its runs.json, which is written again
        if names and not lost and not (path / RECORD).is_file():
            raise FileExistsError(f"{path} must be new or a folder of runs, got other files there; choose another")
        folder = cls(path, outcomes, rules, made, splits)
        folder._check_same()
        return folder

    def missing(self, tasks: Iterable[Task]) -> list[Task]:
        """The tasks whose decisions are not there, or were made from something else.

        Raises ValueError where decisions of other vectors would stay beside theirs.
        """
        asked = list(tasks)
        self._check_vectors(asked)
        return [task for task in asked if not self._is_done(task)]

    def keep(self, decided: Decisions) -> None:
        """Store the decisions of one router and seed."""
        if not self._begun:
            self._begun = True
            if not self._placed_with(decided):
                self._extend()
        decided.save(decisions_path(self.path, decided.router, decided.seed))

    def load(self) -> Runs:
        """Everything that is there now."""
        self._extend()  # again: another bench may have noted its own meanwhile
        return load_runs(self.path)

    def _is_done(self, task: Task) -> bool:
        """Whether the decisions of a task are there; those of before 0.2 do not say what was read."""
        path = decisions_path(self.path, task.label, task.seed)
        if self.logged and not judged_path(self.path, task.seed).is_file():
            return False
        try:
            facts = Decisions.head(path)["facts"] if path.is_file() else {}
        except ValueError:  # damaged: decided again
            return False
        return facts.get("key") == task.key and facts.get("read", task.read) == task.read

    def _decided(self) -> set[tuple[str, str]]:
        """Folder and seed of the decisions that are there."""
        return {(path.parent.name, path.stem) for path in self.path.glob("decisions/*/*.parquet")}

    def _check_same(self) -> None:
        """Refuse rules and data that are not those of the decisions that are there."""
        if not (self.path / RECORD).is_file():
            return
        rules, made = read_record(self.path)
        if not self._decided():
            return
        theirs, mine = _agreed(rules, made), _agreed(self.rules, self.made)
        for key in {**mine, **theirs}:
            there, here = theirs.get(key), mine.get(key)
            if there != here:
                raise ValueError(
                    f"{self.path} must hold runs of the same {key}, got {there!r} there and {here!r} here;"
                    " choose another folder for this bench"
                )

    def _check_vectors(self, tasks: Iterable[Task]) -> None:
        """Refuse another file of vectors than that of decisions that these tasks do not make again."""
        there = read_record(self.path)[1].vectors if (self.path / RECORD).is_file() else None
        stays = self._decided() - {(_folder(task.label), str(task.seed)) for task in tasks}
        if there and stays and there != self.made.vectors:  # older runs do not say theirs
            raise ValueError(
                f"{self.path} must hold runs of the same file of vectors, got {there!r} there and"
                f" {self.made.vectors!r} here; bench all that is there again, or choose another folder for this bench"
            )

    def _placed_with(self, first: Decisions) -> bool:
        """Make the folder with its first decisions, whole or not at all; False where there is one to extend."""
        place, record = self.path.resolve(), to_record(self.rules, self.made)
        if place.is_dir():
            if (
                not (place / RECORD).is_file() and not self._decided()
            ):  # an empty folder, perhaps a mounted volume, stays
                write_json(place / RECORD, record)
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(place)
        partial = place.with_name(f".{place.name}.partial-{os.getpid()}")
        try:
            partial.mkdir()
            write_outcomes(self.outcomes, partial / "outcomes", texts=False)
            for seed, split in self.splits.items():
                save_split(split, self.outcomes, splits_path(partial, seed))
            for seed, judge in self.judges.items():
                save_judge(judge, judged_path(partial, seed))
            first.save(decisions_path(partial, first.router, first.seed))
            write_json(partial / RECORD, record)
            partial.rename(place)
        except OSError as error:
            if not (place / RECORD).is_file():  # else another bench has just made it
                raise say_disk_full(error, self.path) from error
            self._check_same()
            return False
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return True

    def _extend(self) -> None:
        """Note these routers and seeds in the folder that is there, beside those of which something is decided."""
        for left in self.path.rglob(".*.partial-*"):  # by a process that was killed
            remove_abandoned(left.with_name(left.name[1:].rpartition(".partial-")[0]))
        there = self._decided()
        noted = bool(there) and (self.path / RECORD).is_file()  # the rules and data by which something was decided
        made = read_record(self.path)[1] if noted else replace(self.made, routers=(), seeds=())
        if not noted or made.source != orjson.loads(json_bytes(self.made.source)):  # not shown, scorers
            write_outcomes(self.outcomes, self.path / "outcomes", texts=False, overwrite=True)
        labels, seeds = {label for label, _ in there}, {seed for _, seed in there}
        routers = {one["label"]: one for one in made.routers if _folder(one["label"]) in labels}
        routers |= {one["label"]: one for one in self.made.routers}
        known = [seed for seed in made.seeds if str(seed) in seeds]
        both = replace(
            self.made,
            routers=tuple(routers.values()),
            seeds=(*known, *(seed for seed in self.made.seeds if seed not in known)),
            truncated=max((one.truncated for one in (made, self.made) if one.truncated is not None), default=None),
            vectors=made.vectors and self.made.vectors,
            data=self.made.data or made.data,
            versions=self.made.versions if self._begun else made.versions,
        )
        for seed, split in self.splits.items():
            if self._begun or not splits_path(self.path, seed).is_file():
                save_split(split, self.outcomes, splits_path(self.path, seed))
        for seed, judge in self.judges.items():
            save_judge(judge, judged_path(self.path, seed))
        record = orjson.loads(json_bytes(to_record(self.rules, both)))
        if not (self.path / RECORD).is_file() or record != read_json(self.path / RECORD):
            write_json(self.path / RECORD, record)


def _agreed(rules: Rules, made: Made) -> dict[str, object]:
    """What runs of one folder share."""
    later = {name: getattr(rules, name) for name in LATER}
    return {
        **rules.stored(),
        **later,
        "reference": made.reference,
        "split file": made.split,
        "data_hash": made.data_hash,
    }


def _folder(label: str) -> str:
    return decisions_path(Path(), label, 0).parent.name
