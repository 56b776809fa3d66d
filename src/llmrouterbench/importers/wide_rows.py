"""Rows of a question with all its replies: SPROUT (a struct a model) and MixInstruct (a list of candidates).

Sources: CARROT-LLM-Routing/SPROUT (arXiv 2502.03261); llm-blender/mix-instruct (arXiv 2306.02561), whose candidates
have several scores each, of which one in [0, 1] must be named, such as bertscore.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from llmrouterbench.findings import Imported, Options
from llmrouterbench.importers._samples import Glimpse, Record, Scores, number, samples
from llmrouterbench.records import read_lines, read_parquet

_FIELDS = {"score", "num_input_tokens"}


def recognises(source: Glimpse) -> bool:
    """Whether it holds such rows."""
    return source.has("*.jsonl", "instruction", "input", "candidates") or (
        source.has("*.parquet", "prompt") and any(_models(file) for file in source.named("*.parquet"))
    )


def _models(file: Path) -> list[str]:
    """The columns that hold a model's reply and score."""
    try:
        schema = pl.read_parquet_schema(file)
    except pl.exceptions.PolarsError:
        return []
    return [name for name, kind in schema.items()
            if isinstance(kind, pl.Struct) and {one.name for one in kind.fields} >= _FIELDS]  # fmt: skip


def read_wide_rows(path: Path, options: Options) -> Imported:
    """Read one file or all of a folder. Raises ValueError with the file and record of what breaks a rule."""
    scores = Scores.of(path, options)
    files = [path] if path.is_file() else sorted([*path.rglob("*.jsonl"), *path.rglob("*.parquet")])
    read = (_of_structs(file) if file.suffix == ".parquet" else _of_candidates(file, scores) for file in files)
    imported = samples((record for records in read for record in records), path, options, files=len(files))
    scores.check()
    return imported


def _of_structs(file: Path) -> Iterator[tuple[str, Record]]:
    models = _models(file)
    for place, row in enumerate(read_parquet(file).iter_rows(named=True), 1):
        for model in models:
            if (cell := row[model]) is not None:
                yield f"{file.name} record {place}", _cell(row, model, cell, f"{file.stem}/{place}")


def _cell(row: Mapping[str, Any], model: str, cell: Mapping[str, Any], place: str) -> Record:
    return {
        "query": row["prompt"],
        "model": model,
        "dataset": row.get("dataset") or "data",
        "id": row.get("key") or place,
        "score": number(cell["score"]),
        "tokens_in": cell.get("num_input_tokens"),
        "tokens_out": cell.get("num_output_tokens"),
        "reply": cell.get("response"),
    }


def _of_candidates(file: Path, scores: Scores) -> Iterator[tuple[str, Record]]:
    for line, row in read_lines(file):
        for candidate in row["candidates"]:
            given = candidate["scores"]
            chosen = scores.choose(list(given), file.name)
            yield (
                f"{file.name} line {line}",
                {
                    "query": f"{row['instruction']} {row['input']}".strip(),
                    "model": candidate["model"],
                    "dataset": str(row["id"]).partition("/")[0],
                    "id": row["id"],
                    "score": None if chosen is None else number(given[chosen]),
                    "reply": candidate.get("text"),
                },
            )
