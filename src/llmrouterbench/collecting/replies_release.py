"""Collected replies, and their scores where there are some, in the record format of the official release.

    DIR/<dataset>/<split>/<model>/<dataset>-<split>-<model>-<YYYYMMDD_HHMMSS>.json

Source: the format of the released data of arXiv 2601.07206. Differs: what is not known is null instead of 0 (score,
cost, tokens), and the cost of a failed call is what its attempts cost; our importer masks both.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from llmrouterbench.collecting.replies_store import (
    Prompted,
    file_stem,
    pool_of,
    read_items,
    read_replies,
    read_replies_manifest,
    stored_datasets,
)
from llmrouterbench.files import new_folder
from llmrouterbench.replies import Reply, Score

Scores = Callable[[str, str], Mapping[str, Score]]
"""(dataset, model) -> item -> score."""


def scores_in(frame: pl.DataFrame) -> Scores:
    """The scores in a table of `score.scores_of`, looked up by dataset and model."""

    def look_up(dataset: str, model: str) -> dict[str, Score]:
        mine = frame.filter((pl.col("dataset") == dataset) & (pl.col("model") == model))
        return {
            row["item"]: Score(
                math.nan if row["score"] is None else row["score"], row["answer"] or "", row["reason"] or ""
            )
            for row in mine.iter_rows(named=True)
        }

    return look_up


_NO_SPLIT = "test"
"""The official name of the part of a dataset that has only one."""


def write_replies_release(
    folder: Path, to: Path, *, scores: Scores | None = None, overwrite: bool = False
) -> dict[str, int]:
    """Write every model's replies as official result files; returns how many files, records, failed and unscored.

    Items without a reply are left out. Raises FileExistsError where `to` is there and `overwrite` is off.
    """
    models = pool_of(read_replies_manifest(folder))
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    counts = {"files": 0, "records": 0, "failed": 0, "unscored": 0}
    with new_folder(to, overwrite) as partial:
        for dataset in stored_datasets(folder):
            parts = _by_subset(read_items(folder, dataset))
            for model in models:
                replies = read_replies(folder, dataset, model)
                scored = scores(dataset, model) if scores else {}
                for subset, prompted in parts.items():
                    records = _records(prompted, replies, scored)
                    if records:
                        name = f"{file_stem(dataset)}-{file_stem(subset)}-{file_stem(model)}-{stamp}.json"
                        target = partial / file_stem(dataset) / file_stem(subset) / file_stem(model) / name
                        target.parent.mkdir(parents=True)
                        target.write_bytes(_document(dataset, subset, model, prompted, records))
                        _count(counts, records)
    return counts


def _by_subset(prompted: Sequence[Prompted]) -> dict[str, list[Prompted]]:
    parts: dict[str, list[Prompted]] = {}
    for entry in prompted:
        parts.setdefault(entry.item.subset or _NO_SPLIT, []).append(entry)
    return parts


def _records(
    prompted: Sequence[Prompted], replies: Mapping[str, Reply], scores: Mapping[str, Score]
) -> list[dict[str, Any]]:
    return [
        _record(index, entry, replies[entry.item.id], scores.get(entry.item.id))
        for index, entry in enumerate(prompted, start=1)
        if entry.item.id in replies
    ]


def _record(index: int, prompted: Prompted, reply: Reply, score: Score | None) -> dict[str, Any]:
    """One record; the index is the item's place in its subset, from 1."""
    failed = reply.status == "failed"
    return {
        "index": index,
        "origin_query": prompted.item.query,
        "prompt": prompted.prompt,
        "prompt_tokens": reply.tokens_in,
        "completion_tokens": reply.tokens_out,
        "cost": reply.cost,
        "score": None if failed or score is None or not score.scored else score.value,
        "prediction": None if score is None else score.answer,
        "ground_truth": prompted.item.target,
        "raw_output": f"Generation failed: {reply.reason}" if failed else reply.text,
        "extra_fields": {
            "item": prompted.item.id,
            "reason": reply.reason,
            "seconds": reply.seconds,
            "served": reply.served,
        },
    }


def _document(
    dataset: str, subset: str, model: str, prompted: Sequence[Prompted], records: Sequence[dict[str, Any]]
) -> bytes:
    known = [record["score"] for record in records if record["score"] is not None]
    whole: dict[str, Any] = {
        "performance": math.fsum(known) / len(known) if known else None,
        "time_taken": _total(record["extra_fields"]["seconds"] for record in records),
        "prompt_tokens": _total(record["prompt_tokens"] for record in records),
        "completion_tokens": _total(record["completion_tokens"] for record in records),
        "cost": _total(record["cost"] for record in records),
        "counts": len(records),
        "model_name": model,
        "dataset_name": dataset,
        "split": subset,
        "demo": False,
        "extra_metrics": {},
        "data_fingerprint": hashlib.sha256("\n".join(entry.prompt for entry in prompted).encode()).hexdigest(),
        "records": records,
    }
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2)


def _total(values: Iterable[float | None]) -> float:
    """Sum of what is known."""
    return sum(value for value in values if value is not None)


def _count(counts: dict[str, int], records: Sequence[dict[str, Any]]) -> None:
    failed = sum(record["raw_output"].startswith("Generation failed: ") for record in records)
    counts["files"] += 1
    counts["records"] += len(records)
    counts["failed"] += failed
    counts["unscored"] += sum(record["score"] is None for record in records) - failed
