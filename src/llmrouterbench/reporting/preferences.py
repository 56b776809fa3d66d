"""Preferences in words: how strong every model is by battles, and what the battles cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from llmrouterbench.numerals import count, interval, percent
from llmrouterbench.studies.preferences import Preferences

_TASKS = 12


def preferences_dict(found: Sequence[Preferences]) -> dict[str, Any]:
    """All numbers as plain values, ready for JSON."""
    everything, *tasks = map(asdict, found)
    return {**everything, "tasks": tasks}


def preferences_lines(found: Sequence[Preferences]) -> list[str]:
    """The strengths by all battles, then those by task, as plain lines."""
    everything, *tasks = found
    shown, more = tasks[:_TASKS], len(tasks) - _TASKS
    lines = [
        "Strength in Elo points (0: mean of the models; 400 points: preferred 10 times in 11), with 95 % intervals.",
        "A preference is no score: it says which of two was better, not whether either was good.",
        "",
        *_lines(everything, f"All {count(everything.battles)} battles"),
    ]
    for one in shown:
        lines += ["", *_lines(one, f"{one.task}: {count(one.battles)} battles")]
    return [*lines, "", f"{count(more)} more tasks with --json"] if more > 0 else lines


def _lines(found: Preferences, title: str) -> list[str]:
    bad = f", both bad in {percent(found.both_bad / found.battles)} %" if found.both_bad else ""
    wide = max(len(one.model) for one in found.strengths)
    lines = [f"{title}, ties {percent(found.tied / found.battles)} %{bad}:"]
    for one in found.strengths:
        known = interval(one.elo, _points) if one.elo.value == one.elo.value else _why(one.won, one.tied, one.battles)
        lines.append(f"  {one.model:{wide}}  {known}  ({count(one.battles)} battles)")
    return lines


def _points(value: float | None) -> str:
    return f"{value:+.0f}"


def _why(won: int, tied: int, battles: int) -> str:
    """Why a model has no strength."""
    if won == battles:
        return "won every battle"
    return "lost every battle" if not won and not tied else "not linked to the others by wins and losses"
