"""RouterEval's `router_dataset/<task>_router_dataset.pkl`, as the sandbox writes it: the models, then a line a query.

Source: MilkThink-Lab/RouterEval (arXiv 2503.10657). A model's scores are those of all pools that it stands in; there
are no costs. Scores of graded tasks stay as they are, where its own code makes 0 and 1 of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._samples import Glimpse
from llmrouterbench.importers.long_table import read_records
from llmrouterbench.records import Place, read_lines

_ENDING = "_router_dataset"


def recognises(source: Glimpse) -> bool:
    """Whether it holds such lines."""
    return source.has("*.jsonl", "routereval", "models")


def read_routereval(path: Path, options: Options) -> Imported:
    """Read one file or all of a folder. Raises ValueError with the file and line of what breaks a rule."""
    files = [path] if path.is_file() else sorted(path.rglob("*.jsonl"))
    frames = [frame for file in files for frame in _task(file)]
    if not frames:
        raise ValueError(f"{path} must hold queries with the scores of the models, got none; make it again")
    raw = pl.concat(frames)
    place = Place(path, "at", raw["at"])
    raw = raw.with_row_index("#", offset=1)
    columns = {name: name for name in raw.columns if name not in ("#", "at")}
    return read_records(raw, columns, place, options, Findings(), {}, len(files))


def _task(file: Path) -> Iterator[pl.DataFrame]:
    """The records of a task, a frame a query."""
    lines = read_lines(file)
    _, head = next(lines, (0, dict[str, Any]()))
    models = head.get("models")
    if not (isinstance(models, list) and all(isinstance(model, str) for model in models)):
        raise ValueError(f"{file} line 1 must name the models, got none; make it again")
    task = file.stem.removesuffix(_ENDING)
    for line, row in lines:
        scores: Any = row.get("scores")
        if not (isinstance(scores, list) and len(scores) == len(models)):
            raise ValueError(f"{file} line {line} must hold a score of each of the {len(models)} models; make it again")
        yield pl.DataFrame({"model": models, "score": pl.Series(scores, dtype=pl.Float64, strict=False)}).with_columns(
            query=pl.lit(row.get("query"), dtype=pl.String),
            dataset=pl.lit(task),
            id=pl.lit(f"{task}/{row.get('id')}"),
            at=pl.lit(f"{file.name} line {line}"),
        )
