"""RouterArena: `cached_results/<model>.jsonl`, every reply of one model with its score and cost.

Source: RouteWorks/RouterArena. A router's file of predictions measures one model a query, and its costs are what its
authors say: it is refused here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmrouterbench.findings import Imported, Options
from llmrouterbench.importers._samples import Glimpse, Record, number, samples
from llmrouterbench.records import read_lines


def recognises(source: Glimpse) -> bool:
    """Whether it holds cached results or predictions of RouterArena."""
    return source.has("*.jsonl", "global_index", "llm_selected") or _predicts(source)


def _predicts(source: Glimpse) -> bool:
    return any(source.has("*.json", name, "prediction") for name in ("global index", "global_index"))


def read_routerarena(path: Path, options: Options) -> Imported:
    """Read one file or all of a folder. Raises ValueError with the file and line of a value that breaks a rule."""
    files = [path] if path.is_file() else sorted(path.rglob("*.jsonl"))
    if not files or (files == [path] and _predicts(Glimpse(path))):
        raise ValueError(
            f"{path} must hold replies of several models, got what a router chose, one model a query;"
            " import cached_results/*.jsonl"
        )
    records = (
        (f"{file.relative_to(path.parent)} line {line}", _record(reply))
        for file in files
        for line, reply in read_lines(file)
    )
    left_out = [] if path.is_file() else sorted(file.name for file in path.rglob("*.json"))
    return samples(records, path, options, files=len(files), facts={"files_not_read": left_out})


def _record(reply: dict[str, Any]) -> Record:
    index, result, tokens = str(reply["global_index"]), reply.get("evaluation_result"), reply.get("token_usage") or {}
    result = result if isinstance(result, dict) else {}
    return {
        "query": reply.get("question"),
        "model": reply.get("llm_selected"),
        "dataset": index.rpartition("_")[0] or index,
        "id": index,
        "score": number(result.get("score")),
        "cost": result.get("inference_cost"),
        "tokens_in": tokens.get("input_tokens"),
        "tokens_out": tokens.get("output_tokens"),
        "reply": reply.get("generated_answer"),
        "success": reply.get("success"),
        "error": reply.get("error"),
    }
