"""Scores of replies as outcomes on disk, with the replies and the scores beside them; see `score.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from llmrouterbench.collecting.pricing import prices_of, words
from llmrouterbench.collecting.replies_store import Prompted
from llmrouterbench.datasets import Dataset
from llmrouterbench.files import new_folder, write_parquet
from llmrouterbench.findings import Findings, Happened, ImportReport
from llmrouterbench.replies import Reply
from llmrouterbench.store import fill_folder, write_replies
from llmrouterbench.table import PLANES, FloatArray, Outcomes, Queries, Text, duplicate_groups

Failed = Literal["masked", "zero"]
"""What a failed call counts as: not measured (ours), or score 0 (the paper's protocol)."""
Items = Mapping[str, Sequence[Prompted]]
"""Dataset name -> its items with their prompts."""


@dataclass(frozen=True)
class Part:
    """The replies of one model to one dataset by item, and the rows of `scores.parquet` for those that answered."""

    dataset: Dataset
    model: str
    replies: Mapping[str, Reply]
    scores: pl.DataFrame


def write_scored(
    to: Path,
    items: Items,
    parts: Sequence[Part],
    models: tuple[str, ...],
    source: Mapping[str, Any],
    failed: Failed,
    unread: Sequence[Mapping[str, Any]] = (),
) -> ImportReport:
    """Store outcomes, replies and scores as one folder, in the place of an older one.

    unread  rows of `_unread.unread`; the outcomes keep their counts, the report their examples too
    """
    findings = Findings()
    row = {
        _id(name, entry.item.id): number
        for number, (name, entry) in enumerate((name, entry) for name, group in items.items() for entry in group)
    }
    outcomes = _outcomes(items, parts, models, row, failed, findings)
    measured = int(np.isfinite(outcomes.score).sum())
    counts = {
        "replies": sum(len(part.replies) for part in parts),
        "queries": len(outcomes),
        "models": len(models),
        "datasets": len(items),
        "cells_measured": measured,
        "cells_missing": outcomes.score.size - measured,
    }
    report = ImportReport({**source, "unread": list(unread)}, counts, findings.all())
    with new_folder(to, overwrite=True) as partial:
        for number, part in enumerate(parts):
            _write_texts(partial / "replies", number, part, row)
        write_parquet(pl.concat([part.scores for part in parts]), partial / "scores.parquet")
        counted = [{name: value for name, value in row.items() if name != "examples"} for row in unread]
        whole = replace(outcomes, source={**source, "unread": counted})
        fill_folder(whole, partial, settings={"failed_calls": failed}, report=report.to_dict())
    return report


def _id(dataset: str, item: str) -> str:
    return f"{dataset}/{item}"


def _write_texts(folder: Path, number: int, part: Part, row: Mapping[str, int]) -> None:
    rows = [(row.get(_id(part.dataset.name, reply.item)), reply.text) for reply in part.replies.values()]
    told = [(at, text) for at, text in rows if at is not None and text]
    if told:
        texts = [text.encode("utf-8", "replace").decode("utf-8") for _, text in told]
        write_replies(folder, number, np.array([at for at, _ in told]), part.model, pl.Series(texts))


def _outcomes(
    items: Items,
    parts: Sequence[Part],
    models: tuple[str, ...],
    row: Mapping[str, int],
    failed: Failed,
    findings: Findings,
) -> Outcomes:
    """The table; what was not asked, failed, or could not be scored is NaN and counted in the findings."""
    entries = [(name, place, entry) for name, group in items.items() for place, entry in enumerate(group, start=1)]
    shape = (len(entries), len(models))
    planes = {name: np.full(shape, np.nan) for name in PLANES}
    for part in parts:
        _fill(planes, part, row, models.index(part.model), failed, findings)
        asked = sum(entry.item.id in part.replies for entry in items[part.dataset.name])
        missing = len(items[part.dataset.name]) - asked
        findings.add("query without a reply", "masked", f"{part.dataset.name} x {part.model}", missing, [part.model])
    _say_prices(parts, models, findings)
    prompts = [entry.prompt for _, _, entry in entries]
    dataset = np.array([name for name, _, _ in entries], dtype=np.str_)
    return Outcomes(
        queries=Queries(
            np.array(list(row), dtype=np.str_), Text.of([entry.item.query for _, _, entry in entries]), Text.of(prompts)
        ),
        dataset=dataset,
        models=models,
        group=duplicate_groups(dataset, prompts),
        subset=np.array([entry.item.subset for _, _, entry in entries], dtype=np.str_),
        index=np.array([place for _, place, _ in entries], dtype=np.int64),
        score=planes["score"],
        cost=planes["cost"],
        tokens_in=planes["tokens_in"],
        tokens_out=planes["tokens_out"],
        seconds=planes["seconds"],
    )


def _say_prices(parts: Sequence[Part], models: Sequence[str], findings: Findings) -> None:
    """Count the costs of a model that were made with another price than most of them."""
    for model in models:
        counted = prices_of(reply.price for part in parts if part.model == model for reply in part.replies.values())
        for price, n in list(counted.items())[1:]:
            findings.add("cost at another price than most of the model's", "kept", words(price), n, [model])


def _fill(
    planes: Mapping[str, FloatArray],
    part: Part,
    row: Mapping[str, int],
    column: int,
    failed: Failed,
    findings: Findings,
) -> None:
    """Put one part's cells into the planes and count what is not scored."""
    name, models = part.dataset.name, [part.model]
    for reply in part.replies.values():
        cell = f"{name}/{reply.item} x {part.model}"
        line = row.get(_id(name, reply.item))
        if line is None:
            findings.add("reply to an item that is not stored", "dropped", cell, 1, models)
            continue
        for plane in PLANES[1:]:  # the score is not the reply's
            value = getattr(reply, plane)
            planes[plane][line, column] = np.nan if value is None else value
        if reply.status == "failed":
            happened: Happened = "kept" if failed == "zero" else "masked"
            kind = "failed call, counted as score 0" if failed == "zero" else "failed call"
            findings.add(kind, happened, f"{cell}: {reply.reason}", 1, models)
            planes["score"][line, column] = 0.0 if failed == "zero" else np.nan
    for scored in part.scores.iter_rows(named=True):
        if scored["score"] is None:
            example = f"{name}/{scored['item']} x {part.model}: {scored['reason']}"
            findings.add("reply that could not be scored", "masked", example, 1, models)
        else:
            planes["score"][row[_id(name, scored["item"])], column] = scored["score"]
