"""Importers: one file per foreign format, one way in.

`import_outcomes` recognises the format, reads it, and stores a folder of outcomes with the report of the import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from llmrouterbench.files import new_folder, sha256_of
from llmrouterbench.findings import (
    Finding,
    Findings,
    Imported,
    ImportFindingsError,
    ImportReport,
    Key,
    Options,
    Progress,
    ZeroCost,
    report_lines,
)
from llmrouterbench.importers._detect import KNOWN, recognised, refuse_pickle
from llmrouterbench.importers._scale import check_scale
from llmrouterbench.importers._sources import Opened, is_address, opened
from llmrouterbench.naming import did_you_mean
from llmrouterbench.plugins import PlugIns
from llmrouterbench.store import fill_folder

__all__ = [
    "FORMATS",
    "Finding",
    "Findings",
    "ImportFindingsError",
    "ImportReport",
    "Imported",
    "Importer",
    "Options",
    "detect_format",
    "format_names",
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
    "lm_eval": "lm_eval:read_lm_eval",
    "inspect": "inspect:read_inspect",
    "helm": "helm:read_helm",
    "lighteval": "lighteval:read_lighteval",
    "opencompass": "opencompass:read_opencompass",
    "openai_evals": "openai_evals:read_openai_evals",
    "promptfoo": "promptfoo:read_promptfoo",
    "experiments": "experiments:read_experiments",
    "routerarena": "routerarena:read_routerarena",
    "embedllm": "embedllm:read_embedllm",
    "fusionbench": "fusionbench:read_fusionbench",
    "llmrouter_rows": "llmrouter_rows:read_llmrouter_rows",
    "wide_rows": "wide_rows:read_wide_rows",
    "routereval": "routereval:read_routereval",
    "traffic": "traffic:read_traffic",
    "harnesses": "harnesses:read_harnesses",
}
"""Format name -> "module:function" of its reader. A module with a function `recognises` is asked before the others."""


@dataclass(frozen=True)
class Importer:
    """A format that a plug-in adds.

    read        source and options -> what was read; its ValueErrors name file and record
    recognises  whether a file or folder is of this format, by its name and first bytes; it is asked for sources that
                are of none of our formats. None: the format must be named
    """

    read: Callable[[Path, Options], Imported]
    recognises: Callable[[Path], bool] | None = None


def _needs(name: str, found: Any) -> str:
    return "" if isinstance(found, Importer) else "an Importer"


PLUG_INS = PlugIns("importer", ("auto", *FORMATS), _needs)


def format_names() -> list[str]:
    """Names of the formats: ours, then those of installed plug-ins. A plug-in cannot take one of our names."""
    return [*FORMATS, *PLUG_INS.installed()]


def import_outcomes(
    source: str | Path,
    to: str | Path,
    *,
    format: str = "auto",
    strict: bool = False,
    overwrite: bool = False,
    zero_cost: ZeroCost = "unknown",
    replies: bool = True,
    key: Key = "auto",
    filter: str = "",
    columns: Mapping[str, str] | None = None,
    scale: str = "",
    feedback: str = "",
    progress: Progress | None = None,
) -> ImportReport:
    """Read foreign outcomes and store them as the folder `to`, whole or not at all.

    `source` is a path, "-" (standard input) or an address (http, https, s3, hf); it may be packed. `format` is
    "auto" or one of `format_names()`. A call that cost 0 has no known cost, unless `zero_cost` is "free". `key`
    says what makes records of a long table one query: "id", "text", or "auto" (the id, unless it is another one in
    every record while one text was asked of several models); `filter` names the score that counts where a reply
    has several, by filter or metric. `columns` names columns of a long table that are called otherwise there, such
    as {"query": "ticket", "score": "rating"}; `scale` is that of its scores where they are not 0 to 1, as "1-5"
    or, from worst to best, "fail,pass". `feedback` is the kind that counts of a server's log with several.
    `progress(what, done, total)` is called while reading.

    Raises FileNotFoundError and FileExistsError for the two paths, ConnectionError and PermissionError of an address,
    ImportError where an extra is missing, ValueError where the source is of no known format,
    damaged or empty, ImportFindingsError (with `.report`) where `strict` and there is anything to report.
    """
    to = Path(to)
    _check_choice("zero_cost", zero_cost, ("unknown", "free"))
    _check_choice("key", key, ("auto", "id", "text"))
    _check_format(format)
    check_scale(scale)
    if not is_address(source):
        _check_target(Path(source), to, overwrite)
    asked: dict[str, Any] = {"scale": scale} if scale else {}
    asked |= {"columns": dict(columns)} if columns else {}
    with opened(source, pickles=format in ("auto", *FORMATS)) as found, new_folder(to, overwrite) as partial:
        kind = "long_table" if asked and format == "auto" else _format_of(found.path, format)
        if asked and kind != "long_table":
            raise ValueError(f"{' and '.join(asked)} are of a long table alone, got format {kind!r}; leave them out")
        if feedback and kind != "decision_log":
            raise ValueError(f"feedback is of a server's log alone, got format {kind!r}; leave it out")
        options = Options(
            zero_cost, partial / "replies" if replies else None, progress, key, filter, columns or {}, scale, feedback
        )
        imported = read_source(found.path, kind, options)
        report = _report(found, kind, imported)
        if strict and report.findings:
            raise ImportFindingsError(report)
        outcomes = replace(imported.outcomes, source={**imported.outcomes.source, **report.source})
        chosen: dict[str, Any] = ({} if key == "auto" else {"key": key}) | ({"filter": filter} if filter else {})
        chosen |= {"feedback": feedback} if feedback else {}
        settings = {"zero_cost": zero_cost, "replies": replies} | chosen | asked
        fill_folder(outcomes, partial, settings=settings, report=report.to_dict())
    return report


def read_source(source: Path, format: str, options: Options) -> Imported:
    """Read a source without storing it; errors as of `import_outcomes`, ImportError where a plug-in is broken."""
    format = _format_of(source, format)
    _check_there(source)
    if format not in FORMATS:
        other = PLUG_INS.installed()[format]
        found = other.call(PLUG_INS.load(format).read, source, options)
        if not isinstance(found, Imported):
            raise other.wrong("an Importer whose `read` gives an Imported", found)
        return found
    module, function = FORMATS[format].split(":")
    read: Callable[[Path, Options], Imported] = getattr(import_module(f"{__name__}.{module}"), function)
    return read(source, options)


def detect_format(source: str | Path) -> str:
    """Name of the format of a file or folder, one of `format_names()`; ours are asked first.

    Raises FileNotFoundError where nothing is there, and ValueError where the format is none of those known or two
    plug-ins take it for theirs. A plug-in that fails at this is named in the error, and stops no other.
    """
    with opened(source, pickles=True) as found:
        return _format_of(found.path, "auto")


def _detected(path: Path) -> str:
    """As `detect_format`, of a plain file or folder."""
    if ours := _by_content(path) or recognised(path):
        return ours
    found, failed = [], []
    for name, other in PLUG_INS.installed().items():
        try:
            recognises = PLUG_INS.load(name).recognises
            if recognises is not None and other.call(recognises, path):
                found.append(name)
        except (ValueError, OSError, ImportError) as error:
            failed.append(f" ({error})")
    if len(found) > 1:
        raise ValueError(f"{path} must be of one format, got {' and '.join(found)}; name the right one as the format")
    if not found:
        raise ValueError(f"{path} must be {KNOWN}, got none of these; convert it to a long table{''.join(failed)}")
    return found[0]


def _by_content(path: Path) -> str | None:
    """Name of our format whose keys or columns a source has."""
    from llmrouterbench.importers._no_outcomes import refuse_without_outcomes
    from llmrouterbench.importers._samples import Glimpse

    glimpse = Glimpse(path)
    for name, target in FORMATS.items():
        recognises = getattr(import_module(f"{__name__}.{target.partition(':')[0]}"), "recognises", None)
        if recognises is not None and recognises(glimpse):
            return name
    refuse_without_outcomes(glimpse)
    return None


def _check_there(source: Path) -> None:
    if not source.exists():
        raise FileNotFoundError(f"{source} must be a file or folder to import, got nothing there; check the path")


def _report(source: Opened, format: str, imported: Imported) -> ImportReport:
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
    facts = {"name": source.name, "format": format, **imported.source}
    if source.path != source.original and source.original.is_file():
        facts["sha256"] = sha256_of(source.original)
    findings = (replace(one, example=source.said(one.example)) for one in imported.findings.all())
    return ImportReport(facts, counts, tuple(findings))


def _format_of(source: Path, format: str) -> str:
    _check_format(format)
    from llmrouterbench.importers._no_outcomes import refuse_export

    refuse_export(source)
    if format in ("auto", *FORMATS):
        refuse_pickle(source)
    return _detected(source) if format == "auto" else format


def _check_format(format: str) -> None:
    names = ("auto", *format_names())
    if format not in names:
        raise ValueError(f"no import format named {format!r}{did_you_mean(format, names)}")


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
