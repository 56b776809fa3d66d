"""What a board says now, computed from stored choices, and what changed since when."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from llmrouterbench.benching.folder import Decisions, Made, Runs, Served
from llmrouterbench.benching.replay import replay
from llmrouterbench.boards.audit import Audit, audit
from llmrouterbench.boards.folder import Board
from llmrouterbench.boards.submission import HISTORY, Submission, accepted, names, published_digests
from llmrouterbench.files import read_json
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.leaderboard import leaderboard
from llmrouterbench.splits import Split
from llmrouterbench.stats import Interval, pair
from llmrouterbench.table import IntArray, Outcomes

_DIGITS = 4


@dataclass(frozen=True)
class Standing:
    """What a board says now.

    entries   submissions that are ranked or were, by name
    numbers   leaderboard of those that are ranked
    leads     (later, earlier) in the order of `names`, AvgAcc of the first minus that of the second; all hold at once
    replaced  earlier name -> later name
    refused   name -> what is wrong, in one sentence
    history   states from the first to now
    """

    board: Board
    entries: dict[str, Submission]
    numbers: Leaderboard
    leads: dict[tuple[str, str], Interval]
    audit: Audit
    replaced: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def moved(self) -> list[str]:
        """What the last state changed, a sentence an entry."""
        return moves(self.history)


def stand(board: Board, data: str | Path | Outcomes | None = None, samples: int = 1000) -> Standing:
    """What a board says now, before anything is written."""
    full = board.full(data)
    entries, refused = _examined(board)
    replaced = {one.card.replaces: name for name, one in entries.items() if one.card.replaces in entries}
    ranked = [name for name in entries if name not in replaced]
    if not ranked:
        wrong = f" ({next(iter(refused.values()))})" if refused else ""
        raise ValueError(f"{board.folder} must have a valid submission, got none{wrong}; use `board submit`")
    everything = _runs(board, full, entries, list(entries))
    played = replay(everything, full)
    numbers = leaderboard(_runs(board, full, entries, ranked), samples=samples)
    at = [played.keys.index(("router", name)) for name in ranked]
    paired = pair([one.columns(at) for one in played.samples], replicates=samples, rule="t")
    pairs = [(i, j) for i in range(len(ranked)) for j in range(i)]
    leads = paired.differences(pairs) if pairs else []
    return Standing(
        board,
        entries,
        replace(numbers, title=board.title),
        {(ranked[i], ranked[j]): lead for (i, j), lead in zip(pairs, leads, strict=True)},
        audit(board, full, entries, played.chosen),
        {str(old): new for old, new in replaced.items()},
        refused,
        _history(board, entries, numbers),
    )


def _examined(board: Board) -> tuple[dict[str, Submission], dict[str, str]]:
    """What can be ranked, and why the others cannot."""
    published = published_digests(board)
    entries, refused = dict[str, Submission](), dict[str, str]()
    for name in names(board):
        try:
            entries[name] = accepted(board, name, published)
        except (ValueError, OSError) as error:
            refused[name] = str(error).replace(f"{board.folder}{os.sep}", "")  # every clone lies elsewhere
    return entries, refused


def _runs(board: Board, full: Outcomes, entries: Mapping[str, Submission], labels: Sequence[str]) -> Runs:
    """Submissions as runs whose test part is what ranks are made of."""
    splits = {seed: Split(one.train, board.ranked(seed), one.settings) for seed, one in board.splits.items()}
    decisions = {
        (name, seed): _on(one, splits[seed].test) for name in labels for seed, one in entries[name].decisions.items()
    }
    made = Made.of(labels, list(splits), data_hash=full.content_hash, simulated=full.simulated)
    return Runs(full, splits, decisions, made, board.rules)


def _on(one: Decisions, rows: IntArray) -> Decisions:
    """The same decisions on some of the test queries."""
    part = one.parts["test"]
    if len(part.rows) == len(rows):
        return one
    kept = np.flatnonzero(np.isin(part.rows, rows))
    place = np.full(len(part.rows), -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    at = place[part.query] >= 0
    columns = (getattr(part, name)[at] for name in ("point", "query", "model", "served", "called"))
    point, query, model, served, called = columns
    test = Served(part.rows[kept], point, place[query], model, served, called)
    return replace(one, parts={**one.parts, "test": test})


def _history(board: Board, entries: Mapping[str, Submission], numbers: Leaderboard) -> list[dict[str, Any]]:
    """Earlier states, and one more where anything is new."""
    path = board.folder / HISTORY
    states: list[dict[str, Any]] = read_json(path) if path.is_file() else []
    before: dict[str, str] = {}
    for state in states:
        before = {name: digest for name, digest in (before | state["added"]).items() if name not in state["removed"]}
    now = {name: one.digest for name, one in entries.items()}
    rows = numbers.of_kind("router")
    state = {
        "state": len(states) + 1,
        "added": {name: digest for name, digest in now.items() if before.get(name) != digest},
        "removed": sorted(before.keys() - now.keys()),
        "ranks": {row.name: [row.rank, row.worst_rank] for row in rows},
        "avg_acc": {row.name: round(row.avg_acc.value, _DIGITS) for row in rows},
    }
    last = states[-1] if states else {}
    new = state["added"] or state["removed"] or any(state[key] != last.get(key) for key in ("ranks", "avg_acc"))
    return [*states, state] if new else states


def moves(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the last state of a history changed, a sentence an entry.

    >>> first = {"state": 1, "added": {"a": "x"}, "removed": [], "ranks": {"a": [1, 1]}, "avg_acc": {"a": 0.5}}
    >>> then = {"state": 2, "added": {"b": "y"}, "removed": [], "ranks": {"b": [1, 1], "a": [2, 2]}, "avg_acc": {}}
    >>> moves([first, then])
    ['b came in at rank 1', 'a went from rank 1 to 2']
    """
    if not history:
        return []
    now, before = history[-1], history[-2] if len(history) > 1 else {"ranks": {}}
    said = [f"{name} came in at rank {now['ranks'][name][0]}" for name in now["added"] if name in now["ranks"]]
    said += [f"{name} was taken away" for name in now["removed"]]
    for name, (rank, _) in now["ranks"].items():
        old = before["ranks"].get(name, [rank])[0]
        if name not in now["added"] and old != rank:
            said.append(f"{name} went from rank {old} to {rank}")
    gone = [name for name in before["ranks"] if name not in now["ranks"] and name not in now["removed"]]
    return said + [f"{name} was replaced by a later version" for name in gone]
