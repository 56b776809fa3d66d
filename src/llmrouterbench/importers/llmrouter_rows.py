"""Rows of a question and a model as LLMRouter (seconds) and the vLLM semantic router's benchmark (milliseconds) write.

Sources: ulab-uiuc/LLMRouter, `routing_data_*.jsonl` and `default_routing_*.jsonl`; vllm-project/semantic-router,
`benchmark_training_data.jsonl`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmrouterbench.findings import Imported, Options
from llmrouterbench.importers._samples import Glimpse, Record, number, samples, seconds_of
from llmrouterbench.records import read_lines


def recognises(source: Glimpse) -> bool:
    """Whether it holds such rows."""
    return source.has("*.jsonl", "query", "model_name", "performance", "response_time")


def read_llmrouter_rows(path: Path, options: Options) -> Imported:
    """Read one file or all of a folder. Raises ValueError with the file and line of what breaks a rule."""
    files = [path] if path.is_file() else sorted(path.rglob("*.jsonl"))
    files = [file for file in files if recognises(Glimpse(file))]
    records = ((f"{file.name} line {line}", _record(row)) for file in files for line, row in read_lines(file))
    return samples(records, path, options, files=len(files))


def _record(row: dict[str, Any]) -> Record:
    taken, of_llmrouter = row.get("response_time"), "task_name" in row
    return {
        "query": row.get("query"),
        "model": row.get("model_name"),
        "dataset": row.get("task_name") or row.get("category") or "data",
        "score": number(row.get("performance")),
        "tokens_in": row.get("input_tokens"),
        "tokens_out": row.get("output_tokens"),
        "seconds": taken if of_llmrouter else seconds_of(taken),
        "reply": row.get("response"),
    }
