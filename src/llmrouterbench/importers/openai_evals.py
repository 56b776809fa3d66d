"""OpenAI evals: the events that `oaieval` records, one JSON Lines file a run of one model.

Source: openai/evals, `evals/record.py`. The score of a sample is its `match`, else its `metrics`; the prompt is that of
its first `sampling`: a later one may be a judge's. A sample with an error and no score is not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmrouterbench.findings import Imported, Options
from llmrouterbench.importers._messages import asked
from llmrouterbench.importers._samples import Glimpse, Record, Scores, answered, number, samples
from llmrouterbench.records import read_lines


def recognises(source: Glimpse) -> bool:
    """Whether it holds records of OpenAI evals."""
    return source.has("*.jsonl", "spec")


def read_openai_evals(path: Path, options: Options) -> Imported:
    """Read one file or all of a folder. Raises ValueError with the file and sample of what breaks a rule."""
    scores = Scores.of(path, options)
    files = [path] if path.is_file() else sorted(path.rglob("*.jsonl"))
    imported = samples((one for file in files for one in _run(file, scores)), path, options, files=len(files))
    scores.check()
    return imported


def _run(file: Path, scores: Scores) -> Iterator[tuple[str, Record]]:
    spec, events = dict[str, Any](), dict[str, dict[str, Any]]()
    for _, line in read_lines(file):
        spec = line.get("spec") or spec
        if "sample_id" in line:
            events.setdefault(str(line["sample_id"]), {}).setdefault(str(line.get("type")), line.get("data") or {})
    model, task = (
        ", ".join(map(str, spec.get("completion_fns", ()))),
        str(spec.get("base_eval") or spec.get("eval_name")),
    )
    for sample, of in events.items():
        if "sampling" in of:
            yield f"{file.name} sample {sample}", _record(of, sample, model, task, scores)


def _record(of: Mapping[str, Any], sample: str, model: str, task: str, scores: Scores) -> Record:
    given = {name: value for name, value in of.get("metrics", {}).items() if isinstance(value, bool | int | float)}
    if "correct" in of.get("match", {}):
        given = {"match": of["match"]["correct"]}
    chosen = scores.choose(list(given), f"eval {task}")
    return {
        "query": asked(of["sampling"].get("prompt")),
        "model": model,
        "dataset": task,
        "id": sample,
        "score": None if chosen is None else number(given[chosen]),
        "reply": answered(of["sampling"].get("sampled")),
        "error": "error" if "error" in of and chosen is None else None,
    }
