"""Every table and figure that outcomes or runs allow, the paper's and our own: a file each, found by itself.

A file of this folder holds one exhibit: what it needs, its table, its picture. What several share is in files that
start with an underscore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from llmrouterbench.reporting.exhibits._material import Exhibit, material_of
from llmrouterbench.reporting.figures.picture import Picture, check_matplotlib, marked

if TYPE_CHECKING:
    import polars as pl

    from llmrouterbench.benching.folder import Runs
    from llmrouterbench.reporting.board import Leaderboard
    from llmrouterbench.settings import Setting
    from llmrouterbench.studies.latency import ServingTable
    from llmrouterbench.table import Outcomes


NOT_OF_LOGS = "needs what every model scored on the same queries, and each of these was answered by one model"

__all__ = ["Exhibit", "Exhibits", "all_exhibits", "exhibits", "failed"]


@dataclass(frozen=True)
class Exhibits:
    """Tables and figures by the name of their exhibit, which is the stem of their files, in the order of the lists.

    left_out  name -> why an exhibit could not be made
    title     what the data are called
    verdicts  a sentence a router: whom it beats, with all pairs compared and corrected for that
    titles    of all exhibits that were asked for
    """

    tables: dict[str, pl.DataFrame]
    pictures: dict[str, Picture]
    left_out: dict[str, str]
    title: str = ""
    simulated: bool = False
    verdicts: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)

    def title_of(self, name: str) -> str:
        """What an exhibit is."""
        return self.titles.get(name, name)


@cache
def all_exhibits() -> dict[str, Exhibit]:
    """The exhibits of this package by name, in the order of the lists."""
    names = [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]
    found = {name: _read(name) for name in names}
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))


def _read(name: str) -> Exhibit:
    """The exhibit of a file; of one that fails, an exhibit that is never made and says why."""
    try:
        exhibit = import_module(f"{__name__}.{name}").EXHIBIT
        if not isinstance(exhibit, Exhibit):
            raise TypeError(f"EXHIBIT must be an Exhibit, got {exhibit!r}")
        return exhibit
    except Exception as error:  # a file that fails must not end a report
        reason = failed(error)
        return Exhibit(name, needs=(lambda _: reason,))


def failed(error: Exception) -> str:
    """An error as the reason why an exhibit was not made."""
    return f"failed with {type(error).__name__}: {error}"


def exhibits(
    source: Outcomes | Runs,
    *,
    board: Leaderboard | None = None,
    setting: Setting | None = None,
    embedders: Mapping[str, Runs] | None = None,
    serving: ServingTable | None = None,
    samples: int = 1000,
    seed: int = 0,
    wanted: Mapping[str, Exhibit] | None = None,
) -> Exhibits:
    """Make the exhibits of outcomes or runs, as far as these allow; one that fails is left out with its reason.

    board      the leaderboard of the runs, where it has been computed already
    setting    names, domains; that of the source when not given and built in
    embedders  runs by embedder, for Table 10
    serving    serving statistics for models without measured seconds; the package's own table when not given
    wanted     exhibits by name; all of the package when not given

    Raises ValueError for embedders of different data, ImportError without matplotlib.
    """
    check_matplotlib()
    material = material_of(source, board, setting, embedders or {}, serving, samples, seed)
    wanted = all_exhibits() if wanted is None else wanted
    tables, pictures, left_out = {}, {}, {}
    for name, exhibit in wanted.items():
        try:
            unfit = bool(material.decided and material.decided.judges) and not exhibit.of_logs
            needs = (lambda _: NOT_OF_LOGS, *exhibit.needs) if unfit else exhibit.needs
            reason = next(filter(None, (need(material) for need in needs)), "")
            if exhibit.table and not reason:
                table = exhibit.table(material)
                tables[name] = marked(table) if material.outcomes.simulated else table
            if exhibit.picture and not reason:
                pictures[name] = exhibit.picture(material)
        except Exception as error:  # one exhibit must not end the report of all the others
            reason = failed(error)
        if reason:
            left_out[name] = reason
    said = tables["verdicts"]["verdict"].to_list() if "verdicts" in tables else []
    titles = {name: exhibit.title for name, exhibit in wanted.items()}
    return Exhibits(tables, pictures, left_out, material.title, material.outcomes.simulated, tuple(said), titles)
