"""Importers: one file per foreign format, one way in.

`import_outcomes` recognises the format, reads it, and stores a folder of outcomes with the report of the import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np

from llmrouterbench.files import new_folder
from llmrouterbench.findings import (
    Finding,
    Findings,
    Imported,
    ImportFindingsError,
    ImportReport,
    Options,
    Progress,
    ZeroCost,
    report_lines,
)
from llmrouterbench.importers._detect import detect_format
from llmrouterbench.naming import did_you_mean
from llmrouterbench.store import fill_folder

__all__ = [
    "FORMATS",
    "Finding",
    "Findings",
    "ImportFindingsError",
    "ImportReport",
    "Imported",
    "Options",
    "detect_format",
    "import_outcomes",
    "read_source",
    "report_lines",
]

FORMATS = {
    "official": "official:read_official",
    "long_table": "long_table:read_long_table",
    "routerbench": "routerbench:read_routerbench",
    "routellm": "routellm:read_routellm",
    "llmrouter": "llmrouter:read_llmrouter",
    "decision_log": "decision_log:read_decision_log",
}
"""Format name -> "module:function" of its reader."""


def import_outcomes(
    source: str | Path,
    to: str | Path,
    *,
    format: str = "auto",
    strict: bool = False,
    overwrite: bool = False,
    zero_cost: ZeroCost = "unknown",
    replies: bool = True,
    progress: Progress | None = None,
) -> ImportReport:
    """Read foreign outcomes and store them as the folder `to`, whole or not at all.

    `format` is "auto" or a name in `FORMATS`. A call that cost 0 has no known cost, unless `zero_cost` is "free".
    `progress(what, done, total)` is called while reading.

    Raises FileNotFoundError and FileExistsError for the two paths, ValueError where the source is of no known format,
    damaged or empty, ImportFindingsError (with `.report`) where `strict` and there is anything to report.
    """
    source, to = Path(source), Path(to)
    _check_choice("zero_cost", zero_cost, ("unknown", "free"))
    _check_format(format)
    kind = detect_format(source) if format == "auto" else format
    _check_target(source, to, overwrite)
    with new_folder(to, overwrite) as partial:
        options = Options(zero_cost, partial / "replies" if replies else None, progress)
        imported = read_source(source, kind, options)
        report = _report(source, kind, imported)
        if strict and report.findings:
            raise ImportFindingsError(report)
        outcomes = replace(imported.outcomes, source={**imported.outcomes.source, **report.source})
        settings = {"zero_cost": zero_cost, "replies": replies}
        fill_folder(outcomes, partial, settings=settings, report=report.to_dict())
    return report


def read_source(source: Path, format: str, options: Options) -> Imported:
    """Read a source of a known format without storing it. Raises ValueError where it is damaged or empty."""
    _check_format(format)
    if not source.exists():
        raise FileNotFoundError(f"{source} must be a file or folder to import, got nothing there; check the path")
    module, function = FORMATS[format].split(":")
    read = getattr(import_module(f"{__name__}.{module}"), function)
    return cast(Callable[[Path, Options], Imported], read)(source, options)


def _report(source: Path, format: str, imported: Imported) -> ImportReport:
    """The report of what was read."""
    outcomes = imported.outcomes
    measured = int(np.isfinite(outcomes.score).sum())
    counts = {
        **imported.counts,
        "queries": len(outcomes),
        "models": len(outcomes.models),
        "datasets": len(outcomes.datasets),
        "cells_measured": measured,
        "cells_missing": outcomes.score.size - measured,
    }
    facts = {"name": source.resolve().name, "format": format, **imported.source}
    return ImportReport(facts, counts, imported.findings.all())


def _check_format(format: str) -> None:
    if format != "auto" and format not in FORMATS:
        raise ValueError(f"no import format named {format!r}{did_you_mean(format, ('auto', *FORMATS))}")


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(allowed)}, got {value!r}{did_you_mean(value, allowed)}")


def _check_target(source: Path, to: Path, overwrite: bool) -> None:
    """Refuse to write where the source or somebody's own files would be lost."""
    here, there = source.resolve(), to.resolve()
    if here == there or here.is_relative_to(there) or there.is_relative_to(here):
        raise ValueError(f"the new folder must lie apart from the source, got {to} and {source}; choose another folder")
    if overwrite and to.is_dir() and any(to.iterdir()) and not (to / "manifest.json").is_file():
        raise FileExistsError(
            f"{to} must be a folder of outcomes to be overwritten, got a folder of other files; choose another"
        )
