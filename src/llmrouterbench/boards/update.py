"""A board computed again: its history and its site, from stored choices alone."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from llmrouterbench.boards.folder import load_board
from llmrouterbench.boards.site import write_site
from llmrouterbench.boards.standing import Standing, stand
from llmrouterbench.boards.submission import HISTORY
from llmrouterbench.files import write_json
from llmrouterbench.table import Outcomes

_SUMMING = ("scipy.linalg", "sklearn.decomposition", "sklearn.linear_model", "sklearn.neighbors")
"""What sums on several threads, in an order that depends on how many there are."""


def update(folder: str | Path, *, data: str | Path | Outcomes | None = None, samples: int = 1000) -> Standing:
    """Compute a board again from its stored choices and write its history and its site.

    data     of a held-out board: the organiser's outcomes
    samples  bootstrap replicates

    The same bytes on every machine of a kind, whatever its threads, its language or the seed of its hashes. What
    `check` refuses is not ranked, and the site says why. Raises ValueError for a board without a valid submission, and
    ImportError without jinja2.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    for name in _SUMMING:
        import_module(name)  # a library that is loaded later would not be limited
    with threadpool_limits(limits=1):  # sums in one order
        standing = stand(load_board(folder), data, samples)
    write_site(standing, Path(folder) / "site")
    write_json(Path(folder) / HISTORY, standing.history)
    return standing
