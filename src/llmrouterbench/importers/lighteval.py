"""lighteval: `details/<org>/<model>/<time>/details_<task>_<time>.parquet`, a row a sample.

Source: huggingface/lighteval. Of a model and task that were run again the newest details count. The details of the
first Open LLM Leaderboard are read too: their folder is named after the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._messages import asked
from llmrouterbench.importers._samples import Glimpse, Record, Scores, answered, number, samples
from llmrouterbench.records import read_parquet


def recognises(source: Glimpse) -> bool:
    """Whether it holds details of lighteval."""
    old = "__doc__", "__model_response__", "__metric__"
    layouts = (("doc", "model_response", "metric"), old, ("example", "full_prompt", "metrics"))
    return any(source.has("*.parquet", *layout) for layout in layouts)


def read_lighteval(path: Path, options: Options) -> Imported:
    """Read a folder of details, or one file. Raises ValueError with the file and record of what breaks a rule."""
    findings, scores, newest = Findings(), Scores.of(path, options), dict[tuple[str, str], Path]()
    for file in [path] if path.is_file() else sorted(path.rglob("details_*.parquet")):
        place = _model(file), _task(file)
        if place in newest:
            findings.add("older details of a task that was run again", "dropped", newest[place].name)
        newest[place] = file
    records = (record for (model, task), file in newest.items() for record in _rows(file, model, task, scores))
    imported = samples(records, path, options, findings, len(newest))
    scores.check()
    return imported


def _model(file: Path) -> str:
    """The folders between "details" and the time, or the one folder."""
    parts = file.resolve().parts[:-1]
    if "details" in parts:
        return "/".join(parts[len(parts) - parts[::-1].index("details") : -1])
    return parts[-1].removeprefix("details_").replace("__", "/")


def _task(file: Path) -> str:
    return file.stem.removeprefix("details_").rpartition("_")[0] or file.stem


def _rows(file: Path, model: str, task: str, scores: Scores) -> Iterator[tuple[str, Record]]:
    frame = read_parquet(file)
    frame = frame.rename({name: name.strip("_") for name in frame.columns})
    for place, row in enumerate(frame.iter_rows(named=True), 1):
        whole = row if "doc" in row else _first_layout(row)
        yield f"{file.name} record {place}", _record(whole, model, task, place, scores)


def _first_layout(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of the first Open LLM Leaderboard, in the layout of today."""
    said = {"input": row["full_prompt"], "text": row.get("predictions")}
    return {"doc": {"query": row["example"]}, "model_response": said, "metric": row["metrics"]}


def _record(row: Mapping[str, Any], model: str, task: str, place: int, scores: Scores) -> Record:
    doc, said = row["doc"], row["model_response"] or {}
    given = {name: value for name, value in (row["metric"] or {}).items() if isinstance(value, bool | int | float)}
    chosen = scores.choose(list(given), f"task {task}")
    written = said.get("output_tokens") or []
    return {
        "query": asked(doc.get("query")),
        "prompt": asked(said.get("input")) or None,
        "model": model,
        "dataset": task,
        "id": f"{task}/{doc.get('id') or place}",
        "score": None if chosen is None else number(given[chosen]),
        "tokens_in": len(said["input_tokens"]) if said.get("input_tokens") else None,
        "tokens_out": len(written[0]) if written and isinstance(written[0], list) else None,
        "reply": answered(said.get("text")),
    }
