"""promptfoo: the JSON of `promptfoo eval -o results.json`; every test, prompt and provider is a record.

Source: promptfoo/promptfoo, results of version 3. A call that failed (failureReason 2) is not measured; a reply from
the cache has no cost of its own. The same test of a provider again is another run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrouterbench.findings import Imported, Options
from llmrouterbench.importers._messages import asked
from llmrouterbench.importers._samples import Glimpse, Record, answered, number, samples, seconds_of
from llmrouterbench.records import read_json_file

_ERROR = 2


def recognises(source: Glimpse) -> bool:
    """Whether it holds results of promptfoo."""
    return source.has("*.json", "evalId", "results")


def read_promptfoo(path: Path, options: Options) -> Imported:
    """Read one file of results or all of a folder. Raises ValueError with the result that breaks a rule."""
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    return samples((record for file in files for record in _results(file)), path, options, files=len(files))


def _results(file: Path) -> Iterator[tuple[str, Record]]:
    said = read_json_file(file)
    results = said.get("results", {}).get("results") if isinstance(said, dict) else None
    if not isinstance(results, list):
        raise ValueError(f"{file} must be results of promptfoo, got none; write them with `promptfoo eval -o`")
    name, times = str((said.get("config") or {}).get("description") or file.stem), Counter[tuple[str, str]]()
    for place, result in enumerate(results, 1):
        record = _record(result, name)
        times[record["id"], record["model"]] += 1
        yield f"{file.name} result {place}", {**record, "run": times[record["id"], record["model"]]}


def _record(result: dict[str, Any], name: str) -> dict[str, Any]:
    provider, response = result.get("provider") or {}, result.get("response") or {}
    tokens, cached = response.get("tokenUsage") or {}, bool(response.get("cached"))
    return {
        "query": asked((result.get("prompt") or {}).get("raw")),
        "model": provider.get("label") or provider.get("id"),
        "dataset": name,
        "id": f"{name}/{result.get('testIdx')}/{result.get('promptIdx')}",
        "score": number(result.get("score")),
        "cost": None if cached else result.get("cost"),
        "tokens_in": tokens.get("prompt"),
        "tokens_out": tokens.get("completion"),
        "seconds": None if cached else seconds_of(result.get("latencyMs")),
        "reply": answered(response.get("output")),
        "status": "failed" if result.get("failureReason") == _ERROR else "ok",
    }
