"""The site of a board: static pages that load nothing, from a folder or from any web server."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from llmrouterbench.boards.audit import TESTS, Finding
from llmrouterbench.boards.standing import Standing, moves
from llmrouterbench.files import new_folder, write_bytes, write_json
from llmrouterbench.numerals import UNKNOWN, accuracy, count, p_value, percent, points, usd
from llmrouterbench.reporting.columns import GROUPS, Row
from llmrouterbench.reporting.page import NEEDS_JINJA2, lacks_jinja2
from llmrouterbench.reporting.page.layout import asset, policy
from llmrouterbench.reporting.page.packing import json_in_html
from llmrouterbench.reporting.page.plot import plot_of
from llmrouterbench.reporting.render import leaderboard_csv
from llmrouterbench.stats import Interval

SCRIPTS = {
    "board.html.j2": ("page.js", "tables.js", "plot.js", "board.js"),
    "entry.html.j2": ("page.js", "entry.js"),
    "compare.html.j2": ("page.js", "compare.js"),
}
"""Template -> its scripts; those that are not here are the report's."""
_OWN = ("board.js", "entry.js", "compare.js", "board.css")
_STATES = 50


def write_site(standing: Standing, folder: Path) -> None:
    """Write every page, badge and file of numbers. Raises ImportError without jinja2."""
    if lacks_jinja2():
        raise ImportError(f"a {NEEDS_JINJA2}")
    rows = {row.name: row for row in standing.numbers.of_kind("router")}
    pages = _Pages()
    with new_folder(folder, overwrite=True) as partial:
        pages.write(partial / "index.html", "board.html.j2", **_front(standing, rows))
        pages.write(partial / "compare.html", "compare.html.j2", **_shared(standing), pairs=_pairs(standing, rows))
        for name in standing.entries:
            pages.write(partial / "entries" / f"{name}.html", "entry.html.j2", **_entry(standing, rows, name))
            write_bytes(partial / "badges" / f"{name}.svg", _badge(standing, rows.get(name)).encode())
        write_bytes(partial / "leaderboard.csv", leaderboard_csv(standing.numbers).encode())
        write_json(partial / "board.json", _numbers(standing))


def _numbers(standing: Standing) -> dict[str, Any]:
    """Every number of the site, with twelve digits."""
    audit = standing.audit
    return {
        "format": "llmrouterbench/board-numbers",
        "schema": 1,
        "title": standing.board.title,
        "kind": standing.board.kind,
        "data_hash": standing.board.outcomes.content_hash,
        "entries": {
            name: {
                "card": one.card.model_dump(mode="json", exclude_none=True),
                "digest": one.digest,
                "replaced_by": standing.replaced.get(name),
            }
            for name, one in standing.entries.items()
        },
        "refused": standing.refused,
        "leaderboard": _rounded(standing.numbers.to_dict()),
        "audit": _rounded(
            {
                "oracle": audit.oracle,
                "predicted": audit.predicted,
                "slack": audit.slack,
                "reads_replies": list(audit.reads_replies),
                "findings": {name: [vars(one) for one in found] for name, found in audit.findings.items()},
            }
        ),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.12g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value


class _Pages:
    """Templates with the report's style, and scripts by template."""

    def __init__(self) -> None:
        from jinja2 import Environment, PackageLoader, StrictUndefined

        self._environment = Environment(
            loader=PackageLoader("llmrouterbench.boards.site", "."),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._style = asset("page.css") + _asset("board.css")
        self._scripts = {name: "\n".join(map(_asset, scripts)) for name, scripts in SCRIPTS.items()}

    def write(self, path: Path, template: str, **view: Any) -> None:
        """Write one page."""
        script = self._scripts[template]
        html = self._environment.get_template(template).render(
            **view, style=self._style, script=script, policy=policy(self._style, script)
        )
        write_bytes(path, html.encode())


def _asset(name: str) -> str:
    if name not in _OWN:
        return asset(name)
    return (resources.files("llmrouterbench.boards.site") / name).read_text(encoding="utf-8")


def _shared(standing: Standing) -> dict[str, Any]:
    """What every page says."""
    board = standing.board
    return {"title": board.title, "simulated": standing.numbers.simulated, "hash": board.outcomes.content_hash[:12]}


def _front(standing: Standing, rows: dict[str, Row]) -> dict[str, Any]:
    board, numbers = standing.board, standing.numbers
    columns = numbers.columns("page")
    queries = {id for seed in board.splits for id in board.ranked(seed).tolist()}
    return {
        **_shared(standing),
        "summary": (
            f"{count(len(rows))} routers, {count(len(board.outcomes.pool.models))} models, {count(len(queries))} ranked"
            f" queries, {len(board.splits)} seeds. Scores and costs are looked up in stored outcomes; submissions hold"
            " choices."
        ),
        "kind": board.kind,
        "columns": [(column, column.heading("page", numbers.baseline)) for column in columns],
        "groups": [
            (key, title, sum(column.group == key and column.brief for column in columns))
            for key, title in GROUPS.items()
        ],
        "rows": [
            {
                "row": row,
                "cells": [column.cell(row) for column in columns],
                "card": standing.entries[row.name].card if row.kind == "router" else None,
                "flags": _flags(standing, row.name) if row.kind == "router" else [],
                "usd": _per_thousand(standing, row),
            }
            for row in numbers.rows
        ],
        "trained_on": sorted({word for name in rows for word in standing.entries[name].card.trained_on}),
        "plot": json_in_html(plot_of(numbers)),
        "refused": standing.refused,
        "moved": standing.moved,
        "states": _last_states(standing),
        "notes": numbers.notes,
        "audit": _audit_words(standing),
    }


def _last_states(standing: Standing) -> list[tuple[int, list[str]]]:
    """The last states, the newest first, and what each changed."""
    history = standing.history
    return [(number, moves(history[:number])) for number in range(len(history), max(0, len(history) - _STATES), -1)]


def _per_thousand(standing: Standing, row: Row) -> float | None:
    """USD per 1,000 queries; None where it is not known."""
    seeds = list(standing.board.splits)
    asked = sum(len(standing.board.ranked(seed)) for seed in seeds) / len(seeds)
    return 1000.0 * row.cost.value / asked if math.isfinite(row.cost.value) else None


def _flags(standing: Standing, name: str) -> list[str]:
    return sorted({one.test for one in standing.audit.flagged(name)})


def _audit_words(standing: Standing) -> list[str]:
    audit = standing.audit
    return [
        f"From the texts our own predictor, cross-fitted on all outcomes, gains {points(audit.predicted)} points over"
        f" the best single model; an honest entry may know {percent(audit.slack)} points more of the labels, since it"
        f" may read texts better. The oracle knows {percent(audit.oracle)} points more.",
        "A flag accuses nobody: it says that choices follow outcomes more closely than that, with p below 1 % over all"
        " tests of an entry.",
    ]


def _entry(standing: Standing, rows: dict[str, Row], name: str) -> dict[str, Any]:
    one, row = standing.entries[name], rows.get(name)
    columns = standing.numbers.columns("page")
    domains: list[tuple[str, str, str, str]] = []
    if row is not None:
        base = standing.numbers["Best Single"]
        parts = zip(standing.numbers.datasets, row.accuracy, base.accuracy, row.usd, strict=True)
        domains = [(dataset, accuracy(acc), points(acc - other), usd(bill)) for dataset, acc, other, bill in parts]
    return {
        **_shared(standing),
        "name": name,
        "card": one.card,
        "digest": one.digest,
        "row": row,
        "cells": [(one.heading("page", standing.numbers.baseline), one.about, one.cell(row)) for one in columns if row],
        "usd": usd(_per_thousand(standing, row)) if row is not None else UNKNOWN,
        "domains": domains,
        "findings": [(TESTS[found.test], found, *_said(found)) for found in standing.audit.findings[name]],
        "reads": name in standing.audit.reads_replies,
        "audit": _audit_words(standing),
        "replaced_by": standing.replaced.get(name),
        "states": _states(standing, name),
    }


def _said(one: Finding) -> tuple[str, str, str, str]:
    """Statistic, null, p and what would be found, as text."""
    form = percent if one.test == "twin" else points
    least = "" if one.test == "twin" else "at most "
    return form(one.statistic), least + form(one.null), p_value(one.p), form(one.detectable)


def _states(standing: Standing, name: str) -> list[tuple[int, str]]:
    """When an entry's rank changed."""
    out: list[tuple[int, str]] = []
    for state in standing.history:
        rank, worst = state["ranks"].get(name, (None, None))
        said = "not ranked" if rank is None else f"rank {rank}" + (f" to {worst}" if worst != rank else "")
        known = name in state["ranks"] or out
        if known and (not out or out[-1][1] != said):
            out.append((state["state"], said))
    return out


def _pairs(standing: Standing, rows: dict[str, Row]) -> str:
    """What the page of comparisons computes from: names, accuracies by dataset, and leads in hundredths of points."""
    names = sorted(rows, key=lambda name: (-rows[name].avg_acc.value, name))
    leads: list[int | None] = []
    for i, one in enumerate(names):
        for other in names[:i]:
            found = standing.leads.get((one, other))
            back = standing.leads.get((other, one))
            lead = found or (Interval(-back.value, -back.high, -back.low) if back else None)
            leads += [_hundredths(end) for end in (lead.value, lead.low, lead.high)] if lead else [None] * 3
    return json_in_html(
        {
            "names": names,
            "datasets": list(standing.numbers.datasets),
            "acc": [[_shortly(acc) for acc in (rows[name].avg_acc.value, *rows[name].accuracy)] for name in names],
            "usd": [_per_thousand(standing, rows[name]) for name in names],
            "rank": [[rows[name].rank, rows[name].worst_rank] for name in names],
            "leads": leads,
        }
    )


def _hundredths(value: float) -> int | None:
    return round(10_000 * value) if math.isfinite(value) else None


def _shortly(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None


def _badge(standing: Standing, row: Row | None) -> str:
    """An SVG for a README: the board, and the rank on it."""
    left = standing.board.title[:40]
    said: Sequence[str] = ["not ranked"]
    if row is not None:
        rank = f"rank {row.rank}" if row.rank == row.worst_rank else f"rank {row.rank} to {row.worst_rank}"
        said = [rank, f"{accuracy(row.avg_acc.value)} %"]
    right = ", ".join(said) + (" (SIMULATED)" if standing.numbers.simulated else "")
    wide = [round(6.6 * len(text)) + 14 for text in (left, right)]
    whole = escape(f"{left}: {right}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sum(wide)}" height="20" role="img" aria-label="{whole}">'
        f'<title>{whole}</title><rect width="{wide[0]}" height="20" fill="#3c4450"/>'
        f'<rect x="{wide[0]}" width="{wide[1]}" height="20" fill="#005a94"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{wide[0] / 2:g}" y="14">{escape(left)}</text>'
        f'<text x="{wide[0] + wide[1] / 2:g}" y="14">{escape(right)}</text></g></svg>\n'
    )
