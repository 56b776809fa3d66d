"""Experiments and traces as tools for applications export them: Braintrust, LangSmith, DeepEval, Langfuse, Weave.

Each has scores by name, of which one must count; what a model cost and how long it took is read where it is said.
Layouts: Braintrust experiment rows; LangSmith experiment CSV, where an experiment stands for a model; DeepEval test
runs, whose model stands in the hyperparameters; Langfuse traces with observations and scores, which are a log; Weave's
calls of an evaluation, whose model is the one that was used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from llmrouterbench.findings import Imported, Options
from llmrouterbench.importers._messages import asked
from llmrouterbench.importers._samples import Glimpse, Record, Scores, answered, number, samples
from llmrouterbench.records import Place, parse_numbers, read_csv, read_json_file, read_lines

_LANGSMITH = ("inputs", "outputs", "reference_outputs", "run")
_LANGSMITH_FACTS = (*_LANGSMITH, "id", "status", "error", "latency", "tokens", "total_cost", "start_time", "end_time")


def recognises(source: Glimpse) -> bool:
    """Whether it is one of these exports."""
    return (
        source.has("*.jsonl", "input", "output", "scores")
        or source.has("*.jsonl", "op_name", "inputs", "output", "summary")
        or source.has("*.csv", *_LANGSMITH)
        or source.has("*.json", "testCases")
    )


def read_experiments(path: Path, options: Options) -> Imported:
    """Read one export or all of a folder. Raises ValueError with the file and record of what breaks a rule."""
    scores = Scores.of(path, options)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in _READERS)
    records = (record for file in files for record in _READERS[file.suffix](file, scores))
    imported = samples(records, path, options, files=len(files))
    scores.check()
    return imported


def _rows(file: Path, scores: Scores) -> Iterator[tuple[str, Record]]:
    """Braintrust's rows, Langfuse's traces and Weave's calls."""
    for line, row in read_lines(file):
        if "op_name" in row:
            yield f"{file.name} line {line}", _call(row, scores, file)
            continue
        given = row["scores"] or {}
        if isinstance(given, list):
            given = {score["name"]: score["value"] for score in given}
        chosen = scores.choose(list(given), file.name)
        about = _trace(row) if "observations" in row else _experiment(row)
        yield (
            f"{file.name} line {line}",
            {
                "query": asked(row["input"]),
                "reply": answered(row["output"]),
                "score": None if chosen is None else number(given[chosen]),
                **about,
            },
        )


def _experiment(row: Mapping[str, Any]) -> Record:
    metrics = row.get("metrics") or {}
    start, end = metrics.get("start"), metrics.get("end")
    return {
        "model": (row.get("metadata") or {}).get("model"),
        "tokens_in": metrics.get("prompt_tokens"),
        "tokens_out": metrics.get("completion_tokens"),
        "cost": metrics.get("estimated_cost"),
        "seconds": None if start is None or end is None else end - start,
        "error": row.get("error"),
    }


def _trace(row: Mapping[str, Any]) -> Record:
    """A trace of one call; of several nobody knows which one the score is of."""
    calls = [one for one in row["observations"] or () if isinstance(one, dict) and one.get("model")]
    models = {one["model"] for one in calls}
    usage = (calls[0].get("usage") or {}) if len(calls) == 1 else {}
    return {
        "model": models.pop() if len(models) == 1 else None,
        "tokens_in": usage.get("input"),
        "tokens_out": usage.get("output"),
        "cost": row.get("totalCost"),
        "seconds": row.get("latency"),
    }


def _call(row: Mapping[str, Any], scores: Scores, file: Path) -> Record:
    """A call of Weave."""
    output = row.get("output")
    said: dict[str, Any] = output if isinstance(output, dict) else {}
    given = {
        f"{scorer} ({name})": value
        for scorer, parts in (said.get("scores") or {}).items()
        for name, value in (parts.items() if isinstance(parts, dict) else [("score", parts)])
        if isinstance(value, bool | int | float)
    }
    chosen = scores.choose(list(given), file.name)
    usage = (row.get("summary") or {}).get("usage") or {}
    model = next(iter(usage)) if len(usage) == 1 else None
    tokens = usage.get(model) or {}
    return {
        "query": asked({name: value for name, value in (row.get("inputs") or {}).items() if name != "self"}),
        "model": model,
        "reply": answered(said.get("model_output")),
        "score": None if chosen is None else number(given[chosen]),
        "tokens_in": tokens.get("prompt_tokens"),
        "tokens_out": tokens.get("completion_tokens"),
        "seconds": said.get("model_latency"),
        "error": row.get("exception"),
    }


def _table(file: Path, scores: Scores) -> Iterator[tuple[str, Record]]:
    """LangSmith's CSV: what is no fact of the run is a score."""
    rows = read_csv(file)
    names = [name for name in rows.columns if name not in _LANGSMITH_FACTS]
    chosen = scores.choose(names, file.name)
    place = Place(file, "record", pl.int_range(1, rows.height + 1, eager=True))
    facts = {ours: parse_numbers(rows[theirs], "a number", place) for ours, theirs in
             (("score", chosen), ("cost", "total_cost"), ("seconds", "latency")) if theirs in rows.columns}  # fmt: skip
    for at, row in enumerate(rows.iter_rows(named=True)):
        yield (
            f"{file.name} record {at + 1}",
            {
                "query": asked(_json(row["inputs"])),
                "model": row["run"],
                "reply": answered(_json(row["outputs"])),
                **{name: None if values[at] != values[at] else float(values[at]) for name, values in facts.items()},
                "status": row.get("status"),
                "error": row.get("error"),
            },
        )


def _json(text: str | None) -> Any:
    try:
        return orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return text


def _test_run(file: Path, scores: Scores) -> Iterator[tuple[str, Record]]:
    """DeepEval's test cases."""
    run = read_json_file(file)
    model = (run.get("hyperparameters") or {}).get("model")
    if not model:
        raise ValueError(
            f"{file} must say which model answered, got a test run without hyperparameters.model; log it, or convert it"
        )
    for place, case in enumerate(run["testCases"], 1):
        given = {metric["name"]: metric.get("score") for metric in case.get("metricsData") or ()}
        chosen = scores.choose(list(given), file.name)
        yield (
            f"{file.name} case {place}",
            {
                "query": asked(case["input"]),
                "model": model,
                "reply": answered(case.get("actualOutput")),
                "score": None if chosen is None else number(given[chosen]),
                "cost": case.get("tokenCost"),
                "seconds": case.get("completionTime"),
            },
        )


_READERS = {".jsonl": _rows, ".csv": _table, ".json": _test_run}
