"""FusionBench: rows of a question and a model, 20 models with and without a request to think first.

Source: ulab-uiuc/FusionFactory, dataset ulab-ai/FusionBench. Its `cost` is tokens times the price of a million of them:
a millionth of it is USD. The prompt of a `<model>_think` row holds the question and the request; it is the same query.
An empty response is a call that failed. `llm_judge` is not read.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrouterbench.findings import Imported, Options
from llmrouterbench.importers._samples import Glimpse, Record, samples
from llmrouterbench.records import read_csv

_THINKS = "_think"
_A_MILLION = 1e6


def recognises(source: Glimpse) -> bool:
    """Whether it holds a table of FusionBench."""
    return source.has("*.csv", "task_name", "query", "llm", "performance", "input_price") or source.has(
        "query_level.json", "query", "candidates"
    )


def read_fusionbench(path: Path, options: Options) -> Imported:
    """Read one CSV file or all of a folder. Raises ValueError with the file and record of what breaks a rule."""
    files = [file for file in ([path] if path.is_file() else sorted(path.rglob("*.csv"))) if file.suffix == ".csv"]
    if not files:
        raise ValueError(
            f"{path} must hold the rows of every reply, got costs and scores scaled per task; import its CSV"
        )
    return samples((record for file in files for record in _rows(file)), path, options, files=len(files))


def _rows(file: Path) -> Iterator[tuple[str, Record]]:
    rows, plain = read_csv(file), defaultdict[tuple[str, str], set[str]](set)
    for row in rows.select("task_name", "ground_truth", "query", "llm").iter_rows(named=True):
        if not row["llm"].endswith(_THINKS):
            plain[row["task_name"], row["ground_truth"]].add(row["query"])
    for place, row in enumerate(rows.iter_rows(named=True), 1):
        yield f"{file.name} record {place}", _record(row, plain[row["task_name"], row["ground_truth"]])


def _record(row: dict[str, Any], questions: set[str]) -> Record:
    asked = row["query"]
    query = next((text for text in questions if asked.startswith(text) and row["llm"].endswith(_THINKS)), asked)
    cost, reply = _number(row.get("cost")), row.get("response")
    return {
        "query": query,
        "prompt": asked,
        "model": row["llm"],
        "dataset": row["task_name"],
        "score": _score(row["performance"]),
        "cost": cost / _A_MILLION if isinstance(cost, float) else cost,
        "tokens_in": _number(row.get("input_tokens_num")),
        "tokens_out": _number(row.get("output_tokens_num")),
        "reply": reply,
        "status": "failed" if "response" in row and not reply else "ok",  # a table without replies says nothing of it
    }


def _number(text: str | None) -> Any:
    """A number; what is none stays, and is refused with its place."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _score(text: str | None) -> Any:
    """A score; of code tasks it is the text of a dictionary with "pass@1"."""
    if text is None or not text.lstrip().startswith("{"):
        return _number(text)
    try:
        return ast.literal_eval(text)["pass@1"]
    except (ValueError, SyntaxError, MemoryError, RecursionError, KeyError):
        return text
