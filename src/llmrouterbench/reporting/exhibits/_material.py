"""What exhibits are made from, each thing computed once; what one of them is, and what it may need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.replay import Replay, replay
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.describe import describe
from llmrouterbench.reporting.figures.picture import Picture
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.settings import BUILT_IN, Setting, load_setting
from llmrouterbench.studies.curation import SubsetCurve, subset_curves
from llmrouterbench.studies.differences import Differences, compare_routers
from llmrouterbench.studies.latency import LatencyPoint, ServingTable, latency_points, load_serving, with_seconds
from llmrouterbench.table import Outcomes


@dataclass(frozen=True)
class Material:
    """Outcomes or runs, and what follows from them.

    decided    the runs; None where there are outcomes alone
    computed   their leaderboard, where it has been computed already
    embedders  runs by embedder
    draws      "replicates" and "seed" of every bootstrap
    """

    outcomes: Outcomes
    decided: Runs | None
    computed: Leaderboard | None
    setting: Setting | None
    embedders: Mapping[str, Runs]
    serving: ServingTable
    draws: dict[str, Any]

    @property
    def title(self) -> str:
        """What the data are called: as in the leaderboard; without one, the setting or the source's name."""
        if self.decided:
            return self.board.name
        return self.setting.name if self.setting else self.outcomes.name

    @property
    def look(self) -> dict[str, Any]:
        """What every figure says of the data."""
        return {"title": self.title, "simulated": self.outcomes.simulated}

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the outcomes hold, see `describe`."""
        return describe(self.outcomes, self.setting)

    @cached_property
    def curves(self) -> tuple[SubsetCurve, ...]:
        """Oracles of subsets of the pool."""
        return subset_curves(self.outcomes, **self.draws)

    @cached_property
    def latencies(self) -> tuple[LatencyPoint, ...]:
        """Score, cost and seconds of every model, measured or from serving statistics."""
        return latency_points(with_seconds(self.outcomes, self.serving)[0], **self.draws)

    @property
    def runs(self) -> Runs:
        """The runs. Raises ValueError where there are none: an exhibit of runs says so in its needs."""
        if self.decided is None:
            raise ValueError("this exhibit must have runs, got outcomes alone; add `needs_runs` to its needs")
        return self.decided

    @cached_property
    def board(self) -> Leaderboard:
        """The leaderboard of the runs."""
        return self.computed or leaderboard(self.runs, samples=self.draws["replicates"], seed=self.draws["seed"])

    @cached_property
    def played(self) -> Replay:
        """What every router, model and reference scored and cost."""
        return replay(self.runs, self.runs.outcomes)

    @cached_property
    def differences(self) -> Differences:
        """Every router against every other one."""
        return compare_routers(self.runs, played=self.played, **self.draws)


Need = Callable[[Material], str]
"""Why an exhibit cannot be made of this material; "" where it can."""
LAST = 1000
"""Where an exhibit stands that names no place."""


@dataclass(frozen=True)
class Exhibit:
    """One table, one picture, or both.

    title    what it is, in the lists of every report
    needs    asked in turn; the first reason is the one that is said
    table    the table, one line a row
    picture  the drawing
    place    where it stands in the lists: the smallest first, then by name
    of_logs  whether it can be made of a log, in which each query was answered by one model
    """

    title: str
    needs: tuple[Need, ...] = ()
    table: Callable[[Material], pl.DataFrame] | None = None
    picture: Callable[[Material], Picture] | None = None
    place: int = LAST
    of_logs: bool = False

    def __post_init__(self) -> None:
        if self.table is None and self.picture is None and not self.needs:
            raise ValueError(f"an exhibit must have a table or a picture, got neither for {self.title!r}")


def material_of(
    source: Outcomes | Runs,
    board: Leaderboard | None,
    setting: Setting | None,
    embedders: Mapping[str, Runs],
    serving: ServingTable | None,
    samples: int,
    seed: int,
) -> Material:
    """Arguments as of `exhibits`. Raises ValueError for embedders of different data, seeds, splits or rules."""
    hashes = {runs.outcomes.content_hash for runs in embedders.values()}
    if len(hashes) > 1:
        raise ValueError(
            f"an embedding ablation must compare runs of the same data, got {len(hashes)} data hashes under"
            f" {', '.join(embedders)}; run the bench of each embedder on the same outcomes"
        )
    _need_like(embedders)
    decided = source if isinstance(source, Runs) else None
    outcomes = source.outcomes if isinstance(source, Runs) else source
    named = decided.rules.setting if decided else outcomes.source.get("setting")
    setting = setting or (load_setting(named) if named in BUILT_IN else None)
    draws = {"replicates": samples, "seed": seed}
    return Material(outcomes, decided, board, setting, embedders, serving or load_serving(), draws)


def needs_runs(what: str, routers: int = 0) -> Need:
    """Runs, with so many routers that have decisions for every seed; `what` of them is shown, in words."""

    def need(material: Material) -> str:
        if material.decided is None:
            return f"needs runs for {what}; make them with bench"
        if len(material.board.of_kind("router")) >= routers:
            return ""
        if routers == 1:
            return "needs a router with decisions for every seed, and there is none"
        return "needs two routers with decisions for every seed"

    return need


def needs_costs(material: Material) -> str:
    """A known cost."""
    return "" if np.isfinite(material.outcomes.cost).any() else "needs known costs, and there are none"


def needs_points(material: Material) -> str:
    """A model or router whose cost is known on every dataset."""
    return needs_costs(material) or ("" if material.board.points else "needs a model with known costs on every dataset")


def needs_seconds(material: Material) -> str:
    """A model with known costs and seconds."""
    if any(np.isfinite([p.score.value, p.cost.value, p.seconds.value]).all() for p in material.latencies):
        return ""
    return "needs models with known costs and seconds; measure seconds or give a serving table"


def _need_like(embedders: Mapping[str, Runs]) -> None:
    """Refuse runs of embedders that differ in more than how texts are embedded."""
    told: dict[str, tuple[str, Any]] = {}
    for name, runs in embedders.items():
        rules = runs.rules.present.model_dump(exclude={"embedder", "text", "strip_shared", "intervals"})
        hashes = [runs.splits[seed].hash for seed in runs.seeds]
        for what, value in {**rules, "seeds": sorted(runs.seeds), "splits": sorted(hashes)}.items():
            first, theirs = told.setdefault(what, (name, value))
            if theirs != value:
                shown = "" if what == "splits" else f", got {theirs!r} under {first} and {value!r} under {name}"
                raise ValueError(
                    f"an embedding ablation must compare runs of the same {what}{shown};"
                    " run the bench of each embedder with the same ones"
                )
