"""Stored replies to outcomes: a step of its own that can be repeated and never calls a model of the pool.

Beside the outcomes lies `scores.parquet`: for every reply its score, the answer that was read, the reason where there
is none, and the identity of the scorer. A reply whose text and scorer are the same as last time keeps its score;
whatever changed is scored anew. Scores are kept per dataset and model while the work goes on, so a stop loses little.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import numpy as np
import polars as pl

from llmrouterbench.datasets import Dataset
from llmrouterbench.datasets._judging import identity
from llmrouterbench.files import new_folder, write_parquet
from llmrouterbench.importers._cells import write_replies
from llmrouterbench.importers.report import Findings, ImportReport
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.replies_store import Prompted, read_items, read_replies, read_replies_manifest
from llmrouterbench.scoring import Bench, Compat, score_replies
from llmrouterbench.store import fill_folder
from llmrouterbench.table import FloatArray, Outcomes, Queries, Text, duplicate_groups

Failed = Literal["masked", "zero"]
"""What a failed call counts as: not measured (ours), or score 0 (the paper's protocol)."""
Progress = Callable[[str, int, int | None], None]
Resolve = Callable[[str], Dataset]

_SCHEMA = {
    "dataset": pl.String, "item": pl.String, "model": pl.String, "text_hash": pl.String, "scorer": pl.String,
    "score": pl.Float64, "answer": pl.String, "reason": pl.String,
}  # fmt: skip
_ANSWER_LIMIT = 10_000


@dataclass(frozen=True)
class _Part:
    """The replies of one model to one dataset, and their scores."""

    dataset: Dataset
    model: str
    replies: Mapping[str, Reply]
    scores: pl.DataFrame


def score_folder(
    folder: Path,
    to: Path,
    resolve: Resolve,
    bench: Bench,
    *,
    compat: Compat = "ours",
    failed: Failed = "masked",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Score every stored reply and write outcomes to the folder `to`; returns what was found.

    resolve   dataset name -> Dataset
    compat    "official": read replies as the official scorers do, where they differ; said in every report
    overwrite replace outcomes at `to` that were not made from these replies; outcomes that were are always brought up
              to date

    Raises FileNotFoundError, ValueError for a folder that holds no replies, FileExistsError for somebody else's `to`.
    """
    manifest = read_replies_manifest(folder)
    names = stored_datasets(folder)
    if not names:
        raise ValueError(f"{folder} must hold items and replies, got none; collect first")
    known = _known_scores(to)
    if to.exists() and known is None and not overwrite:
        raise FileExistsError(
            f"{to} must not exist yet or be outcomes that `score` made; choose another or --overwrite"
        )
    work = to.with_name(f".{to.name}.scoring")
    tell = progress or (lambda what, done, total: None)
    items = {name: read_items(folder, name) for name in names}
    parts = []
    for name in names:
        for model in manifest["models"]:
            part = _score_part(folder, resolve(name), items[name], model, known, work, bench, compat, tell)
            parts.append(part)
    report = _write(to, items, parts, tuple(manifest["models"]), compat, failed, folder)
    shutil.rmtree(work, ignore_errors=True)
    return report


def stored_datasets(folder: Path) -> list[str]:
    """Names of the datasets in a folder of replies."""
    return [unquote(path.stem) for path in sorted(folder.glob("items/*.jsonl"))]


def _known_scores(to: Path) -> pl.DataFrame | None:
    path = to / "scores.parquet"
    return pl.read_parquet(path) if path.is_file() else None


def scorer_of(dataset: Dataset, compat: Compat) -> str:
    """The identity of a scorer as it is stored with every score."""
    return identity(dataset) + ("+official" if compat == "official" and dataset.official else "")


def text_hash(text: str) -> str:
    """A hash of a reply's text; half surrogate pairs are allowed."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _score_part(
    folder: Path,
    dataset: Dataset,
    items: Sequence[Prompted],
    model: str,
    known: pl.DataFrame | None,
    work: Path,
    bench: Bench,
    compat: Compat,
    tell: Progress,
) -> _Part:
    replies = read_replies(folder, dataset.name, model)
    scorer = scorer_of(dataset, compat)
    path = work / hashlib.blake2b(f"{dataset.name}\0{model}".encode(), digest_size=16).hexdigest()
    if path.is_file():
        mine = pl.read_parquet(path)
        known = mine if known is None else pl.concat([known, mine])
    by_id = {entry.item.id: entry.item for entry in items}
    answered = [
        (by_id[reply.item], reply) for reply in replies.values() if reply.status == "ok" and reply.item in by_id
    ]
    kept = _reusable(known, dataset.name, model, scorer)
    new = [(item, reply) for item, reply in answered if (item.id, text_hash(reply.text)) not in kept]
    what = f"{dataset.name} x {model}"
    scores = score_replies(
        dataset, [(i, r.text) for i, r in new], bench, compat, lambda done: tell(what, done, len(new))
    )
    fresh = {item.id: score for (item, _), score in zip(new, scores, strict=True)}
    rows = [
        _row(dataset.name, item, model, reply, scorer, fresh.get(item.id) or kept[item.id, text_hash(reply.text)])
        for item, reply in answered
    ]
    frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    if new:
        work.mkdir(parents=True, exist_ok=True)
        write_parquet(frame, path)
    return _Part(dataset, model, replies, frame)


def _reusable(known: pl.DataFrame | None, dataset: str, model: str, scorer: str) -> dict[tuple[str, str], Score]:
    """Scores of this scorer by (item, text hash); what could not be scored is tried again."""
    if known is None:
        return {}
    mine = known.filter(
        (pl.col("dataset") == dataset) & (pl.col("model") == model) & (pl.col("scorer") == scorer)
        & pl.col("score").is_not_null()
    )  # fmt: skip
    return {
        (row["item"], row["text_hash"]): Score(row["score"], row["answer"], row["reason"])
        for row in mine.iter_rows(named=True)
    }


def _row(dataset: str, item: Item, model: str, reply: Reply, scorer: str, score: Score) -> tuple[Any, ...]:
    value = score.value if score.scored else None
    answer = score.answer[:_ANSWER_LIMIT].encode("utf-8", "replace").decode("utf-8")
    return dataset, item.id, model, text_hash(reply.text), scorer, value, answer, score.reason


def _write(
    to: Path,
    items: Mapping[str, Sequence[Prompted]],
    parts: Sequence[_Part],
    models: tuple[str, ...],
    compat: Compat,
    failed: Failed,
    folder: Path,
) -> ImportReport:
    """Store outcomes, replies and scores as one folder."""
    findings = Findings()
    outcomes = _outcomes(items, parts, models, failed, findings)
    scorers = {part.dataset.name: scorer_of(part.dataset, compat) for part in parts}
    source: dict[str, Any] = {
        "name": folder.resolve().name,
        "format": "replies",
        "scorers": scorers,
        "failed_calls": failed,
    }
    if compat == "official":
        source["scoring"] = "as the official scorers read"
    counts = {
        "replies": sum(len(part.replies) for part in parts),
        "queries": len(outcomes),
        "models": len(models),
        "datasets": len(items),
        "cells_measured": int(np.isfinite(outcomes.score).sum()),
    }
    counts["cells_missing"] = outcomes.score.size - counts["cells_measured"]
    report = ImportReport(source, counts, findings.all())
    row = {id: i for i, id in enumerate(outcomes.queries.id.tolist())}
    with new_folder(to, overwrite=True) as partial:
        for number, part in enumerate(parts):
            _write_texts(partial / "replies", number, part, row)
        write_parquet(pl.concat([part.scores for part in parts]), partial / "scores.parquet")
        fill_folder(
            replace(outcomes, source=source), partial, settings={"failed_calls": failed}, report=report.to_dict()
        )
    return report


def _write_texts(folder: Path, number: int, part: _Part, row: Mapping[str, int]) -> None:
    told = [(row[_id(part.dataset.name, reply.item)], reply.text) for reply in part.replies.values() if reply.text]
    if told:
        texts = [text.encode("utf-8", "replace").decode("utf-8") for _, text in told]
        write_replies(folder, number, np.array([at for at, _ in told]), part.model, pl.Series(texts))


def _id(dataset: str, item: str) -> str:
    return f"{dataset}/{item}"


def _outcomes(
    items: Mapping[str, Sequence[Prompted]],
    parts: Sequence[_Part],
    models: tuple[str, ...],
    failed: Failed,
    findings: Findings,
) -> Outcomes:
    entries = [(name, place, entry) for name, group in items.items() for place, entry in enumerate(group, start=1)]
    ids = np.array([_id(name, entry.item.id) for name, _, entry in entries], dtype=np.str_)
    row = {id: i for i, id in enumerate(ids.tolist())}
    shape = (len(ids), len(models))
    planes = {name: np.full(shape, np.nan) for name in ("score", "cost", "tokens_in", "tokens_out", "seconds")}
    for part in parts:
        _fill(planes, part, row, models.index(part.model), failed, findings)
        missing = len(items[part.dataset.name]) - len(part.replies)
        findings.add("query without a reply", "masked", f"{part.dataset.name} x {part.model}", missing, [part.model])
    prompts = [entry.prompt for _, _, entry in entries]
    dataset = np.array([name for name, _, _ in entries], dtype=np.str_)
    return Outcomes(
        queries=Queries(ids, Text.of([entry.item.query for _, _, entry in entries]), Text.of(prompts)),
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


def _fill(
    planes: Mapping[str, FloatArray],
    part: _Part,
    row: Mapping[str, int],
    column: int,
    failed: Failed,
    findings: Findings,
) -> None:
    """Put one part's cells into the planes and count what is not scored."""
    for reply in part.replies.values():
        at = row[_id(part.dataset.name, reply.item)], column
        for name in ("cost", "tokens_in", "tokens_out", "seconds"):
            value = getattr(reply, name)
            planes[name][at] = np.nan if value is None else value
        if reply.status == "failed":
            happened: Literal["kept", "masked"] = "kept" if failed == "zero" else "masked"
            kind = "failed call, counted as score 0" if failed == "zero" else "failed call"
            findings.add(
                kind, happened, f"{part.dataset.name}/{reply.item} x {part.model}: {reply.reason}", 1, [part.model]
            )
            planes["score"][at] = 0.0 if failed == "zero" else np.nan
    for scored in part.scores.iter_rows(named=True):
        at = row[_id(part.dataset.name, scored["item"])], column
        if scored["score"] is None:
            example = f"{part.dataset.name}/{scored['item']} x {part.model}: {scored['reason']}"
            findings.add("reply that could not be scored", "masked", example, 1, [part.model])
        else:
            planes["score"][at] = scored["score"]


def scores_of(folder: Path) -> pl.DataFrame:
    """Every score that `score_folder` stored, with answer, reason and scorer. Raises FileNotFoundError without."""
    known = _known_scores(folder)
    if known is None:
        raise FileNotFoundError(f"{folder} must hold scores.parquet, got none; make it with `llmrouterbench score`")
    return known
