"""What moved between two folders of runs as Markdown, fit for the comment on a pull request."""

from __future__ import annotations

from llmrouterbench.naming import markdown_safe
from llmrouterbench.numerals import accuracy, interval, percent, points
from llmrouterbench.studies.moves import Diff, Move


def markdown(diff: Diff) -> str:
    """What moved first, then the table, then what was set differently."""
    mark = " (SIMULATED data)" if diff.simulated else ""
    parts = [f"### Routers: new against old{mark}", _headline(diff), _table(diff)]
    notes = [f"- {key}: {markdown_safe(old)} -> {markdown_safe(new)}" for key, (old, new) in diff.protocol.items()]
    notes += [f"- only in the new runs: {', '.join(map(markdown_safe, diff.added))}"] if diff.added else []
    notes += [f"- only in the old runs: {', '.join(map(markdown_safe, diff.removed))}"] if diff.removed else []
    notes.append(f"- {len(diff.seeds)} seeds; 95 % paired bootstrap over queries and seeds, without correction")
    return "\n\n".join([*parts, "\n".join(notes)]) + "\n"


def _headline(diff: Diff) -> str:
    moved = diff.moved
    if not moved:
        return f"Nothing moved beyond noise ({len(diff.moves)} routers compared)."
    words = [f"{markdown_safe(one.router)} {one.verdict} by {percent(abs(one.moved.value), 2)} points" for one in moved]
    return f"Moved beyond noise: {'; '.join(words)}. The other {len(diff.moves) - len(moved)} did not."


def _table(diff: Diff) -> str:
    head = ["| router | old | new | moved, points [95 % CI] | cost | verdict |", "|:--|--:|--:|--:|--:|:--|"]
    return "\n".join([*head, *map(_line, diff.moves)])


def _line(move: Move) -> str:
    cells = [
        markdown_safe(move.router),
        accuracy(move.old.value),
        accuracy(move.new.value),
        interval(move.moved, _hundredths),
        points(move.cost.value, unit=" %"),
        move.verdict,
    ]
    return f"| {' | '.join(cells)} |"


def _hundredths(value: float | None) -> str:
    return points(value, 2)
