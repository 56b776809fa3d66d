"""The official LLMRouterBench release: one JSON file per dataset, subset and model, as a tar.gz or as a folder.

The fields inside a file are its keys, not the folders around it. Of several files with the same keys the latest counts.
Memory holds one file at a time, the numbers of all, and every text once.

Source: LLMRouterBench (arXiv 2601.07206), release format. Differs: the official loader reads a null score, a failed
call and a missing record as score 0 and cost 0; here they are masked and counted.
"""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._release_files import Member, ReleaseSource
from llmrouterbench.importers._release_json import UnreadableFileError
from llmrouterbench.importers._release_records import ReleaseFile, parse_release_file, without_repeated_records
from llmrouterbench.importers._release_replies import ReplyParts
from llmrouterbench.importers._release_rows import KeptFile, Slots
from llmrouterbench.importers._release_table import assemble
from llmrouterbench.table import Outcomes

_WORKERS = min(4, os.cpu_count() or 2)


@dataclass
class _Reading:
    """What has been read so far."""

    replies: ReplyParts | None
    slots: Slots = field(default_factory=Slots)
    kept: dict[tuple[str, str, str], KeptFile] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    files: int = 0
    records: int = 0


def read_official(path: Path, options: Options) -> Imported:
    """Read a release. Raises ValueError when it is damaged, hostile, or holds no result file."""
    source = ReleaseSource(path)
    with _no_garbage_collection(), ThreadPoolExecutor(_WORKERS, "release-worker") as pool:
        reading = _Reading(None if options.replies is None else ReplyParts(options.replies, pool))
        for member, parsed in _parsed(source, pool):
            _take(member, parsed, reading)
            options.tell("reading", member.done, source.total)
        outcomes = _assembled(path, reading, options)
    counts = {"files": reading.files, "records": reading.records}
    facts = {"sha256": source.sha256} if source.sha256 else {"files": reading.files}
    return Imported(outcomes, reading.findings, counts, facts)


def _assembled(path: Path, reading: _Reading, options: Options) -> Outcomes:
    findings, kept = reading.findings, list(reading.kept.values())
    if not kept:
        found = next((f"; {finding.kind}: {finding.example}" for finding in findings.all()), "")
        raise ValueError(f"{path} must hold result files of the official release, got none that can be used{found}")
    for part in kept:
        findings.merge(part.file.findings)
    return assemble(kept, reading.slots, reading.replies, options, findings)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Parsed JSON holds no cycles; looking for some in millions of small objects takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


Parsed = ReleaseFile | UnreadableFileError | None


def _parsed(source: ReleaseSource, pool: Executor) -> Iterator[tuple[Member, Parsed]]:
    """Members with what they hold, in order; a few are parsed side by side."""
    pending: deque[tuple[Member, Future[Parsed]]] = deque()
    for member in source:
        pending.append((replace(member, read=None), pool.submit(_parse, member)))
        if len(pending) > _WORKERS:
            done, future = pending.popleft()
            yield done, future.result()
    for done, future in pending:
        yield done, future.result()


def _parse(member: Member) -> Parsed:
    if member.read is None:
        return None
    try:
        return parse_release_file(member)
    except UnreadableFileError as error:
        return error


def _take(member: Member, parsed: Parsed, reading: _Reading) -> None:
    """Count a member, and keep it where it is a result file that may count."""
    findings = reading.findings
    if parsed is None:
        findings.add("other file than JSON", "dropped", member.name)
        return
    reading.files += 1
    if isinstance(parsed, UnreadableFileError):
        findings.add("unreadable file", "dropped", f"{member.name}: {parsed}")
        return
    reading.records += len(parsed.index)
    if parsed.demo:
        findings.add("demo file", "dropped", member.name)
    elif not len(parsed.index):
        findings.add("file without records", "dropped", member.name)
    else:
        _keep_latest(parsed, reading)


def _keep_latest(file: ReleaseFile, reading: _Reading) -> None:
    key = (file.dataset, file.subset, file.model)
    before = reading.kept.get(key)
    if before is not None:
        older = file.name if file.stamp < before.file.stamp else before.file.name
        reading.findings.add("older file of the same dataset, subset and model", "dropped", older)
        if file.stamp < before.file.stamp:
            return
        if reading.replies is not None:
            reading.replies.drop(before.part, before.file.model, before.slot)
    reading.kept[key] = _hand_over(file, reading)


def _hand_over(file: ReleaseFile, reading: _Reading) -> KeptFile:
    """Give the texts of a file to the slots and to the parts of the replies, and keep its numbers."""
    file = without_repeated_records(file)
    slot = reading.slots.number(file)
    part = 0 if reading.replies is None else reading.replies.add(file.model, slot, file.texts["raw_output"])
    return KeptFile(replace(file, texts=pl.DataFrame()), slot, part)
