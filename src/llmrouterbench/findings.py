"""What an import read, masked, dropped or merged, and why.

A finding is something in the source that a reader of the numbers should know. Nothing is repaired in silence: what is
not usable is masked (the cell is "not measured") or dropped, and counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from llmrouterbench.table import Outcomes

Happened = Literal["masked", "dropped", "kept", "merged"]
ZeroCost = Literal["unknown", "free"]
Key = Literal["auto", "id", "text"]
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found.

    kind      what it is, in a few words
    count     how often
    happened  what the importer did about it
    example   file and record (or query and model) of the first one
    names     models, datasets or files it concerns, where that helps
    """

    kind: str
    count: int
    happened: Happened
    example: str
    names: tuple[str, ...] = ()


class Findings:
    """Findings as they come: the same kind adds up, the first example stays.

    >>> findings = Findings()
    >>> findings.add("null score", "masked", "a.json record 3")
    >>> findings.add("null score", "masked", "a.json record 4", count=2)
    >>> [(finding.kind, finding.count, finding.example) for finding in findings.all()]
    [('null score', 3, 'a.json record 3')]
    """

    def __init__(self) -> None:
        self._by_kind: dict[tuple[str, Happened], Finding] = {}

    def add(self, kind: str, happened: Happened, example: str, count: int = 1, names: Sequence[str] = ()) -> None:
        """Count a finding; a count of 0 is none."""
        if count:
            known = self._by_kind.get((kind, happened), Finding(kind, 0, happened, example))
            self._by_kind[kind, happened] = Finding(
                kind, known.count + int(count), happened, known.example, tuple(dict.fromkeys((*known.names, *names)))
            )

    def merge(self, other: Findings) -> None:
        """Take over the findings of a part."""
        for found in other.all():
            self.add(found.kind, found.happened, found.example, found.count, found.names)

    def all(self) -> tuple[Finding, ...]:
        """Every finding, in the order of its first occurrence."""
        return tuple(self._by_kind.values())


@dataclass(frozen=True)
class Options:
    """How to import.

    zero_cost  "unknown": a call that cost 0 has no known cost; "free": it cost nothing
    key        what makes records one query: their "id", dataset and "text", or "auto": the id, unless it is a request's
    filter     the score that counts, where replies have several; "" where they have one
    scale      of the scores of a long table: WORST-BEST, or words from worst to best; "" for 0 to 1
    columns    of a long table: our name of a column -> its name in the file, where it has another
    feedback   the kind of feedback that counts, where a server's log has several; "" where it has one
    replies    folder for parts of stored replies, or None to leave replies out
    progress   called with (what, done, total) while reading; total is None where it is not known
    """

    zero_cost: ZeroCost = "unknown"
    replies: Path | None = None
    progress: Progress | None = None
    key: Key = "auto"
    filter: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    scale: str = ""
    feedback: str = ""

    def tell(self, what: str, done: int, total: int | None) -> None:
        """Report progress, if somebody listens."""
        if self.progress is not None:
            self.progress(what, done, total)


@dataclass(frozen=True)
class Imported:
    """What a format's reader returns: the table, what was found, how much was read, facts about the source."""

    outcomes: Outcomes
    findings: Findings
    counts: Mapping[str, int]
    source: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ImportReport:
    """The story of one import; stored as `import_report.json` beside the outcomes.

    source    name, format, sha256 of a file or the number of files of a folder, and facts of the format
    counts    files, records, queries, models, datasets, cells_measured, cells_missing
    findings  what was masked, dropped, kept or merged
    """

    source: Mapping[str, Any]
    counts: Mapping[str, int]
    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        return "\n".join(report_lines(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "source": dict(self.source),
            "counts": dict(self.counts),
            "findings": [{**asdict(finding), "names": list(finding.names)} for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ImportReport:
        """The report that `to_dict` described."""
        findings = (Finding(**{**found, "names": tuple(found["names"])}) for found in raw["findings"])
        return cls(dict(raw["source"]), dict(raw["counts"]), tuple(findings))


class ImportFindingsError(ValueError):
    """A strict import found something; nothing was written. `report` says what."""

    def __init__(self, report: ImportReport) -> None:
        self.report = report
        some = [f"{one.kind} ({one.count}, first {one.example})" for one in report.findings[:3]]
        kinds = "; ".join([*some, f"{len(report.findings) - 3} more"] if len(report.findings) > 3 else some)
        super().__init__(
            f"a strict import must have no findings, got {len(report.findings)} in {report.source['name']}: {kinds};"
            " nothing was written, look at them without --strict"
        )


def report_lines(report: ImportReport, names: int = 12) -> list[str]:
    r"""The report as plain lines of text; lists of more than `names` names are cut.

    >>> finding = Finding("null score", 1200, "masked", "a.json record 3")
    >>> counts = {"files": 1, "cells_measured": 5}
    >>> print(*report_lines(ImportReport({"name": "x.tar.gz", "format": "official"}, counts, (finding,))), sep="\n")
    x.tar.gz (official): 1 files, 5 cells measured
    null score: 1,200 masked, first a.json record 3
    """
    counts = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in report.counts.items())
    lines = [f"{report.source['name']} ({report.source['format']}): {counts}"]
    lines += _taken(report.source, names)
    lines += [_line(finding, names) for finding in report.findings]
    lines += [] if report.findings else ["nothing was masked, dropped or merged"]
    return [*lines, *(line for row in report.source.get("unread", ()) if row["unread"] for line in _unread(row))]


def _taken(source: Mapping[str, Any], names: int) -> list[str]:
    """Columns of a long table that were read under another name, and those that were not read."""
    renamed = [f"{name} = {theirs}" for name, theirs in source.get("columns_read", {}).items() if name != theirs]
    ignored = source.get("columns_ignored", ())
    cut = f" and {len(ignored) - names} more" if len(ignored) > names else ""
    lines = [f"columns read: {', '.join(renamed)}"] if renamed else []
    lines += [f"read with {', '.join(source['read_as'])}"] if source.get("read_as") else []
    return [*lines, f"columns not read: {', '.join(ignored[:names])}{cut}"] if ignored else lines


def _unread(row: Mapping[str, Any]) -> list[str]:
    """What `score` says of one model's replies to one dataset in which no answer could be read."""
    share = f"{row['unread']:,} of {row['replies']:,} replies"
    more = ": more than other models have, the scorer's fault more often than the model's" if row["flagged"] else ""
    said = f"no readable answer: {row['dataset']} x {row['model']}, {share}{more}"
    return [said, *(f"  {example}" for example in row.get("examples", ()))]


def _line(finding: Finding, most: int) -> str:
    line = f"{finding.kind}: {finding.count:,} {finding.happened}, first {finding.example}"
    if not finding.names:
        return line
    rest = len(finding.names) - most
    return f"{line} ({', '.join(finding.names[:most])}{f' and {rest:,} more' if rest > 0 else ''})"
