"""The page: a whole report as one self-contained index.html that reads nothing from any network."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.replay import Replay, replay
from llmrouterbench.files import write_bytes
from llmrouterbench.naming import isolated
from llmrouterbench.numerals import count
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.columns import GROUPS
from llmrouterbench.reporting.page.explorer import Explorer, explorer
from llmrouterbench.reporting.page.grids import difference_matrix, heat_map
from llmrouterbench.reporting.page.layout import pictures_of, rendered
from llmrouterbench.reporting.page.masking import LEFT_OUT, NOT_THERE, Texts, texts_of
from llmrouterbench.reporting.page.plot import plot_of
from llmrouterbench.reporting.page.verdict import verdict_view
from llmrouterbench.reporting.render import provenance, summary, titled
from llmrouterbench.reporting.words import sentences, standing
from llmrouterbench.stats import IntervalRule, Sample, pair
from llmrouterbench.studies.differences import Differences, compare_columns

if TYPE_CHECKING:
    from llmrouterbench.reporting.exhibits import Exhibits

NAME = "index.html"
NEEDS_JINJA2 = "page needs jinja2; pip install 'llmrouterbench[report]'"
MOST_BYTES = 4_800_000
"""Of a whole page; the explorer takes what the rest leaves."""
_LEAST_EXPLORER = 300_000
NO_QUERIES = (
    "This file holds the numbers of every router and model, and no single queries: a log does not tell what the others"
    " would have scored there."
)


def lacks_jinja2() -> bool:
    """Whether a page cannot be written here."""
    return find_spec("jinja2") is None


def noting_jinja2(board: Leaderboard) -> Leaderboard:
    """The same board, with a note where a page cannot be written here."""
    return replace(board, notes=(*board.notes, f"The {NEEDS_JINJA2}.")) if lacks_jinja2() else board


def write_beside(
    runs: Runs,
    board: Leaderboard,
    exhibits: Exhibits | None,
    out: Path,
    *,
    folder: Path,
    text: bool = True,
    data: str | Path | None = None,
    samples: int = 1000,
) -> None:
    """Write the page of a report into its folder `out`; without jinja2 none is left there.

    folder  of the runs, which note where their outcomes lie; `data` is another folder of them
    text    whether queries may be read in the page

    Raises FileNotFoundError or ValueError for `data` that the runs were not made from.
    """
    path = out / NAME
    if lacks_jinja2():
        path.unlink(missing_ok=True)
        return
    texts = texts_of(runs, folder, data) if text else LEFT_OUT
    drawn = out / "figures" if exhibits is not None else None
    write_page(runs, board, exhibits, path, texts=texts, drawn=drawn, samples=samples)


def write_page(
    runs: Runs,
    board: Leaderboard,
    exhibits: Exhibits | None,
    path: Path,
    *,
    texts: Texts = NOT_THERE,
    drawn: Path | None = None,
    samples: int = 1000,
) -> None:
    """Write one HTML file with everything of a report in it: tables, plots, figures, and every test query.

    texts    query texts, see `masking.texts_of`; those of datasets that may not be shown never enter the file
    drawn    folder that already holds the PNG files of the exhibits' figures; they are drawn when not given
    samples  bootstrap draws for the heat map and the matrix of differences

    Raises ImportError without jinja2.
    """
    if lacks_jinja2():
        raise ImportError(f"a {NEEDS_JINJA2}")
    played = replay(runs, runs.outcomes)
    view = _view(board, played, samples)
    view["pictures"], view["left_out"] = pictures_of(exhibits, drawn)
    if runs.judges:
        write_bytes(path, rendered({**view, "holds": [NO_QUERIES]}, None).encode())
        return
    room = MOST_BYTES - len(rendered(view, None))
    held = explorer(runs, played, texts, max(room, _LEAST_EXPLORER))
    write_bytes(path, rendered({**view, "holds": _holds(held)}, held).encode())


def _view(board: Leaderboard, played: Replay, samples: int) -> dict[str, Any]:
    """Everything on the page but the figures and the queries."""
    columns = board.columns("page")
    compared = _compared(played, samples, board.facts["intervals"])
    paired = pair(_without_savers(played), replicates=samples, rule=board.facts["intervals"])
    place = {key: i for i, key in enumerate(key for key in played.keys if key[0] not in ("saver", "billed"))}
    return {
        "title": titled(board, board.title),
        "simulated": board.simulated,
        "summary": summary(board),
        "verdict": verdict_view(board.verdict),
        "sentences": sentences(board, compared),
        "columns": [(column, column.heading("page", isolated(board.baseline))) for column in columns],
        "groups": [
            (key, title, sum(column.group == key and column.brief for column in columns))
            for key, title in GROUPS.items()
        ],
        "rows": [(row, [column.cell(row) for column in columns]) for row in board.rows],
        "baseline": board.baseline,
        "samples": samples,
        "plot": plot_of(board),
        "heat": heat_map(board, paired, place),
        "matrix": difference_matrix(compared) if compared else None,
        "verdicts": [(name, standing(compared, name)) for name in compared.names] if compared else [],
        "notes": board.notes,
        "unread": [row for row in board.facts["source"].get("unread", ()) if row["unread"]],
        "readable": bool(board.facts["source"].get("unread")),
        "provenance": provenance(board),
        "holds": [],
    }


def _compared(played: Replay, samples: int, rule: IntervalRule) -> Differences | None:
    """Every pair of routers; None where there is no pair."""
    at = [i for i, (kind, _) in enumerate(played.keys) if kind == "router"]
    if len(at) < 2:
        return None
    parts = [one.columns(at) for one in played.samples]
    return compare_columns(parts, [played.keys[i][1] for i in at], replicates=samples, rule=rule)


def _without_savers(played: Replay) -> list[Sample]:
    at = [i for i, (kind, _) in enumerate(played.keys) if kind not in ("saver", "billed")]
    return [one.columns(at) for one in played.samples]


def _holds(held: Explorer) -> list[str]:
    """What a reader, and whoever hands the file on, must know about the queries in it."""
    some = f"a sample of {count(held.held)} of {count(held.tested)} test queries, drawn evenly from every dataset"
    out = [
        "This file holds the numbers of every router and model, and the id, outcomes and choices of"
        f" {f'all {count(held.tested)} test queries' if held.held == held.tested else some}."
    ]
    if held.why:
        out.append(f"It holds no query text. {held.why}")
    else:
        cut = f", cut after {count(held.clip)} characters" if held.clip else ""
        out.append(f"It holds the text of these queries{cut}: whoever has the file can read them.")
    if held.masked:
        out.append(f"Items of {', '.join(held.masked)} may not be shown: their texts are not in the file.")
    return out
