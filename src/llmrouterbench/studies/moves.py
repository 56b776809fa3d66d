"""What moved between two folders of runs, by how much, and whether it is noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.replay import Replay, complete_routers, replay
from llmrouterbench.shown import Shown
from llmrouterbench.stats import Interval, Judgement, Sample, judged, pair


@dataclass(frozen=True)
class Move:
    """One router in both runs, on the same test queries.

    old, new  AvgAcc
    moved     new - old, paired
    cost      cost of new over old, minus 1; NaN where costs are not known
    verdict   about `moved`: "noise" where its interval includes 0
    """

    router: str
    old: Interval
    new: Interval
    moved: Interval
    cost: Interval
    verdict: Judgement


@dataclass(frozen=True, repr=False)
class Diff(Shown):
    """Two folders of runs side by side; `moves` by size of the difference, the largest first.

    seeds     seeds that both have; only these are compared
    added     routers of the new runs that the old ones lack; `removed` the other way round
    protocol  what was set differently: key -> (old, new)
    """

    words: ClassVar[str] = "reporting.comparison:markdown"

    moves: tuple[Move, ...]
    seeds: tuple[int, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    protocol: dict[str, tuple[Any, Any]]
    simulated: bool

    @property
    def moved(self) -> tuple[Move, ...]:
        """The routers whose difference is no noise."""
        return tuple(move for move in self.moves if move.verdict in ("better", "worse"))


def compare_runs(old: Runs, new: Runs, *, replicates: int = 1000, seed: int = 0) -> Diff:
    """Compare routers of the same label, seed by seed and query by query.

    Raises ValueError where data or splits differ, or where no router and seed is complete in both.
    """
    seeds = [one for one in old.seeds if one in new.seeds]
    _check(old, new, seeds)
    mine, theirs = (runs.of_seeds(seeds) for runs in (old, new))
    shared = [label for label in complete_routers(mine) if label in complete_routers(theirs)]
    if not shared:
        raise ValueError("two runs must share a complete router to be compared, got none; bench one in both")
    samples = _side_by_side(replay(mine, mine.outcomes), replay(theirs, theirs.outcomes), shared)
    means = pair(samples, replicates=replicates, seed=seed)
    k = len(shared)
    moves = []
    for i, label in enumerate(shared):
        moved = means.difference(i + k, i)
        cost = means.cost_ratio(i + k, i)
        moves.append(Move(label, means.accuracy(i), means.accuracy(i + k), moved, cost, judged(moved)))
    moves.sort(key=lambda move: (-abs(np.nan_to_num(move.moved.value)), move.router))
    return Diff(
        tuple(moves),
        tuple(seeds),
        tuple(label for label in complete_routers(theirs) if label not in shared),
        tuple(label for label in complete_routers(mine) if label not in shared),
        _set_differently(old, new),
        old.made.simulated or new.made.simulated,
    )


def _set_differently(old: Runs, new: Runs) -> dict[str, tuple[Any, Any]]:
    """Rules and versions that are not the same: name -> (old, new)."""
    was, now = (
        {**runs.rules.model_dump(), "split": runs.rules.split or runs.rules.split_kind, "versions": runs.made.versions}
        for runs in (old, new)
    )
    return {key: (value, now[key]) for key, value in was.items() if value != now[key]}


def _check(old: Runs, new: Runs, seeds: Sequence[int]) -> None:
    hashes = [runs.outcomes.content_hash for runs in (old, new)]
    if hashes[0] != hashes[1]:
        raise ValueError(
            f"runs must be of the same data to be compared, got hashes {hashes[0][:12]} and {hashes[1][:12]};"
            " bench both on one folder of outcomes"
        )
    if not seeds:
        raise ValueError(f"runs must share a seed to be compared, got {old.seeds} and {new.seeds}; bench one in both")
    for one in seeds:
        if old.splits[one].hash != new.splits[one].hash:
            raise ValueError(
                f"runs must be split alike to be compared, got other test queries for seed {one}:"
                f" {old.splits[one].settings} and {new.splits[one].settings}"
            )


def _side_by_side(old: Replay, new: Replay, labels: Sequence[str]) -> list[Sample]:
    """Samples with the old columns of the routers first, then the new ones."""
    samples = []
    for a, b in zip(old.samples, new.samples, strict=True):
        i, j = ([played.keys.index(("router", label)) for label in labels] for played in (old, new))
        score, cost = np.hstack([a.score[:, i], b.score[:, j]]), np.hstack([a.cost[:, i], b.cost[:, j]])
        both = (a.weight, b.weight)
        weight = np.hstack([both[0][:, i], both[1][:, j]]) if both[0] is not None and both[1] is not None else None
        samples.append(Sample(a.dataset, a.group, score, cost, weight))
    return samples
