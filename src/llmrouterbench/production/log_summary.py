"""What the live page shows of a decision log, in the words and numbers of `evaluate-logs`, `drift` and `compare-live`.

The page's server starts it as a process of its own, so that no request waits for it:
`python -m llmrouterbench.production.log_summary LOG [ROUTER_DIR]` writes `SUMMARY` beside the log.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from llmrouterbench.decision_log import DecisionFrames, read_decisions, read_traffic
from llmrouterbench.files import json_bytes, write_bytes
from llmrouterbench.numerals import count, number, percent, seconds, usd
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.live import compare_live
from llmrouterbench.production.log_study import Studied, log_drift, policy_values, saving, study
from llmrouterbench.production.log_words import (
    drift_row,
    live_lines,
    live_rows,
    saving_lines,
    thousandths,
    value_notes,
    value_row,
)

SUMMARY = "live-page.json"
LAST = 20_000
"""Requests that estimates are made of: the newest, as with `--last`."""
HOURS, SHOWN = 48, 30
Section = dict[str, Any]
"""title, lines, rows: a mapping from column to cell each; a cell is text, or {share, text}."""


def summarize(folder: Path, router: Path | None = None, now: float | None = None) -> dict[str, Any]:
    """Sections of the page, the requests of each of the last `HOURS`, and how long all of it took.

    Raises FileNotFoundError and ValueError as `read_decisions`.
    """
    began, now = time.process_time(), time.time() if now is None else now
    first = (int(now // 3600) - HOURS + 1) * 3600
    traffic, frames = read_traffic(folder, first), read_decisions(folder, LAST)
    kind = _usual_kind(frames)
    sections = [_traffic(traffic), _serving(traffic)]
    headline: list[str] = []
    with suppress(ValueError):  # no request counts
        studied = study(frames, kind)
        saved = saving(studied)
        headline = saving_lines(saved) if saved else []
        sections += [_values(studied, kind), *([_drift(studied, router)] if router else [])]
    sections += [_feedback(frames), *_candidate(folder, frames), _latest(frames)]
    return {
        "headline": headline,
        "window": f"estimates are of the newest {count(min(LAST, frames.decisions.height))} requests",
        "sections": [section for section in sections if section["rows"] or section["lines"]],
        "hours": _hours(traffic, first),
        "made": now,
        "took": time.process_time() - began,
    }


def _usual_kind(frames: DecisionFrames) -> str | None:
    """The kind of most of the feedback; kinds are never mixed."""
    kinds = frames.feedback.group_by("kind").len().sort("len", "kind", descending=[True, False])
    return kinds["kind"][0] if kinds.height else None


def _hours(traffic: pl.DataFrame, first: int) -> list[dict[str, Any]]:
    """Requests of every hour: `at` in words, those served in full, and all."""
    ok = pl.col("requests").filter(pl.col("status") == "ok").sum()
    found = traffic.group_by("hour").agg(ok.alias("ok"), pl.col("requests").sum())
    known = {hour: (served, requests) for hour, served, requests in found.iter_rows()}
    hours = [first + 3600 * i for i in range(HOURS)]
    return [
        {"at": _at(hour, "%d %b %H:00"), "ok": known.get(hour, (0, 0))[0], "requests": known.get(hour, (0, 0))[1]}
        for hour in hours
    ]


def _at(moment: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return f"{datetime.fromtimestamp(moment, UTC):{form}}"


def _traffic(traffic: pl.DataFrame) -> Section:
    by = dict(traffic.group_by("status").agg(pl.col("requests").sum()).sort("status").iter_rows())
    fallback = (pl.col("status") == "ok") & (pl.col("model") != pl.col("chosen"))
    stood_in, cost, priced = traffic.select(
        pl.col("requests").filter(fallback).sum(), pl.col("cost").sum(), pl.col("priced").sum()
    ).row(0)
    statuses = ", ".join(f"{count(n)} {status}" for status, n in by.items())
    lines = [
        f"{count(sum(by.values()))} requests in the log: {statuses or 'none'}",
        f"{count(stood_in)} served by a fallback; {usd(cost, ' USD')} on {count(priced)} requests of known cost",
    ]
    return {"title": "Traffic", "lines": lines, "rows": []}


def _serving(traffic: pl.DataFrame) -> Section:
    served = traffic.filter(pl.col("model").is_not_null()).group_by("model").agg(
        pl.col("requests").sum(), pl.col("cost").sum(), pl.col("priced").sum()
    ).sort("requests", "model", descending=[True, False])  # fmt: skip
    total = served["requests"].sum()
    rows = [
        {
            "model": model,
            "share": {"share": n / total, "text": percent(n / total, unit=" %")},
            "requests": count(n),
            "USD": usd(cost if priced else None),
            "USD a request": usd(cost / priced if priced else None),
        }
        for model, n, cost, priced in served.iter_rows()
    ]
    return {"title": "Who serves", "lines": [], "rows": rows}


def _values(studied: Studied, kind: str | None) -> Section:
    values = policy_values(studied)
    lines = [f"as `evaluate-logs --last {LAST}{f' --feedback {kind}' if kind else ''}` says"]
    return {
        "title": "Against single models",
        "lines": [*lines, *value_notes(studied, values)],
        "rows": [value_row(value) for value in values],
    }


def _drift(studied: Studied, router: Path) -> Section:
    """Without texts: those would have to be embedded again at every look."""
    found = log_drift(replace(studied, text=("",) * len(studied)), FittedRouter.load(router))
    novel = f"{percent(float(studied.ood.mean()), unit=' %')} of {count(len(studied))} requests are out of distribution"
    return {"title": "Drift", "lines": [novel], "rows": [drift_row(one) for one in found]}


def _feedback(frames: DecisionFrames) -> Section:
    found = frames.feedback.group_by("kind").agg(pl.len(), pl.col("score").mean()).sort("kind")
    rows = [{"kind": kind, "scores": count(n), "mean": thousandths(mean)} for kind, n, mean in found.iter_rows()]
    return {"title": "Quality by feedback", "lines": [], "rows": rows}


def _candidate(folder: Path, frames: DecisionFrames) -> list[Section]:
    if not frames.sides.height:
        return []
    ours = frames.feedback.join(frames.sides.select("id"), on="id", how="semi")
    live = compare_live(folder, feedback=_usual_kind(replace(frames, feedback=ours)))
    title = f"Candidate on {percent(live.share, unit=' %')} against running"
    return [{"title": title, "lines": live_lines(live), "rows": live_rows(live)}]


def _latest(frames: DecisionFrames) -> Section:
    newest = frames.decisions.reverse().head(SHOWN)
    rows = [
        {
            "time (UTC)": _at(one["time"]),
            "asked": one["asked"],
            "chosen": one["chosen"],
            "served": one["model"] or "nobody",
            "reason": one["reason"],
            "expected score": number(one["estimated_score"], 3),
            "USD": usd(one["cost"]),
            "took": seconds(one["seconds"]),
            "status": one["status"],
            "key": one["key"],
        }
        for one in newest.iter_rows(named=True)
    ]
    return {"title": "Latest decisions", "lines": [], "rows": rows}


def main(folder: str, router: str = "") -> None:
    """Write the summary of a log beside it, behind everything else that the machine does."""
    if hasattr(os, "nice"):
        os.nice(19)
    made = summarize(Path(folder), Path(router) if router else None)
    write_bytes(Path(folder) / SUMMARY, json_bytes(made))


if __name__ == "__main__":
    main(*sys.argv[1:])
