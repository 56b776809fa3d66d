"""Exhibits on disk: tables/*.csv, figures/*.svg, .png and .csv, and exhibits.md, which says what each of them is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import polars as pl

from llmrouterbench.files import write_bytes
from llmrouterbench.naming import markdown_safe
from llmrouterbench.reporting.exhibits import Exhibits, all_exhibits, failed
from llmrouterbench.reporting.figures.picture import picture_files

NAME = "exhibits.md"
Files = dict[str, bytes]
Part = TypeVar("Part")


def write_exhibits(made: Exhibits, folder: Path) -> Exhibits:
    """Write every table, every figure and the list of them; what only an earlier source had does not stay behind.

    Returns the exhibits, those that could not be drawn to the end left out with their reason.
    """
    left_out = dict(made.left_out)
    tables = _rendered(made.tables, _table_files, left_out)
    figures = _rendered(made.pictures, picture_files, left_out)
    for name in {**all_exhibits(), **made.titles}:
        if name not in tables:
            (folder / "tables" / f"{name}.csv").unlink(missing_ok=True)
        if name not in figures:
            for ending in ("csv", "svg", "png"):
                (folder / "figures" / f"{name}.{ending}").unlink(missing_ok=True)
    for place, files in (("tables", tables), ("figures", figures)):
        for one in files.values():
            for file, data in one.items():
                write_bytes(folder / place / file, data)
    made = replace(
        made,
        tables={name: made.tables[name] for name in tables},
        pictures={name: made.pictures[name] for name in figures},
        left_out=left_out,
    )
    write_bytes(folder / NAME, markdown(made).encode())
    return made


def _rendered(
    parts: Mapping[str, Part], render: Callable[[Part, str], Files], left_out: dict[str, str]
) -> dict[str, Files]:
    """The files of every exhibit by its name; one that fails goes to those left out."""
    found = {}
    for name, part in parts.items():
        try:
            found[name] = render(part, name)
        except Exception as error:  # one exhibit must not end the report of all the others
            left_out[name] = failed(error)
    return found


def _table_files(table: pl.DataFrame, name: str) -> Files:
    return {f"{name}.csv": table.write_csv().encode()}


def markdown(made: Exhibits, figures: str = "figures", tables: str = "tables") -> str:
    """The list as a page: what can be said, figures with their notes, links to tables, what was left out."""
    mark = " (SIMULATED)" if made.simulated else ""
    parts = [f"# Tables and figures: {markdown_safe(made.title)}{mark}"]
    if made.verdicts:
        parts += ["## What can be said", "\n".join(f"- {markdown_safe(one)}" for one in made.verdicts)]
    for name, picture in made.pictures.items():
        title = made.title_of(name)
        parts += [f"## {title}{mark}", f"![{title}]({figures}/{name}.png)"]
        parts += [" ".join(map(markdown_safe, picture.notes))] if picture.notes else []
        parts.append(f"[SVG]({figures}/{name}.svg), [numbers]({figures}/{name}.csv)")
    if made.tables:
        links = [f"- [{made.title_of(name)}]({tables}/{name}.csv)" for name in made.tables]
        parts += ["## Tables", "\n".join(links)]
    if made.left_out:
        reasons = [f"- {made.title_of(name)}: {markdown_safe(reason)}" for name, reason in made.left_out.items()]
        parts += ["## Not made", "\n".join(reasons)]
    return "\n\n".join(parts) + "\n"
