"""lm-evaluation-harness: `results_<time>.json` and `samples_<task>_<time>.jsonl`, as `--log_samples` writes them.

Source: EleutherAI/lm-evaluation-harness 0.4. The model's name stands in the results alone. A sample stands once for
every filter, and may have several metrics. Of a task that was run again, the newest samples count. Queries of several
models are joined by task and hash of the document; few-shot examples belong to the prompt, not to the query.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._messages import asked
from llmrouterbench.importers._samples import Glimpse, Record, Scores, number, samples
from llmrouterbench.records import read_json_file, read_lines

_NAMED = re.compile(r"(?:samples_(?P<task>.+)|results)_(?P<time>\d{4}-\d\d-\d\dT[\d.:+-]+)\.jsonl?")


def recognises(source: Glimpse) -> bool:
    """Whether it holds samples or results of lm-eval."""
    return source.has("samples_*.jsonl", "doc_id", "doc", "resps") or source.has("results_*.json", "results", "configs")


def read_lm_eval(path: Path, options: Options) -> Imported:
    """Read a folder, or one file of samples. Raises ValueError with the file and line of what breaks a rule."""
    findings, scores = Findings(), Scores.of(path, options)
    files = _newest(path, findings)
    if not files:
        raise ValueError(f"{path} must hold samples, got results alone; run lm-eval with --log_samples")
    records = (record for file, task in files for record in _samples(file, task, path, scores, findings))
    imported = samples(records, path, options, findings, len(files))
    scores.check()
    return imported


def _newest(path: Path, findings: Findings) -> list[tuple[Path, str]]:
    """The newest samples of every folder and task, by the time in their names."""
    found: dict[tuple[Path, str], Path] = {}
    for file in [path] if path.is_file() else sorted(path.rglob("samples_*.jsonl")):
        if named := _NAMED.fullmatch(file.name):
            place = file.parent, named["task"]
            if place in found:
                findings.add("older samples of a task that was run again", "dropped", found[place].name)
            found[place] = file
    return [(file, task) for (_, task), file in found.items()]


def _model(file: Path, time: str) -> str:
    """The model of a file of samples: in the results of the same time, else the folder's name."""
    results = file.with_name(f"results_{time}.json")
    said = read_json_file(results) if results.is_file() else {}
    given = said.get("config", {}).get("model_args") if isinstance(said, dict) else None
    named = given.get("pretrained") or given.get("model") if isinstance(given, dict) else None
    return str(said.get("model_name") or named or file.parent.name.replace("__", "/"))


def _samples(file: Path, task: str, path: Path, scores: Scores, findings: Findings) -> Iterator[tuple[str, Record]]:
    named = _NAMED.fullmatch(file.name)
    assert named is not None
    model, seen, place = _model(file, named["time"]), Counter[str](), file.relative_to(path.parent)
    lines = list(read_lines(file))
    several = len({sample.get("filter", "none") for _, sample in lines}) > 1
    names = {
        f"{metric} ({sample['filter']})" if several else metric: None
        for _, sample in lines for metric in sample.get("metrics", ())
    }  # fmt: skip
    chosen = scores.choose(list(names), f"task {task}")
    metric, _, of = (chosen or "").removesuffix(")").partition(" (")
    for line, sample in lines:
        if of and sample["filter"] != of:
            continue
        document = str(sample.get("doc_hash") or sample.get("doc_id"))[:16]
        seen[document] += 1
        again = f"/{seen[document]}" if seen[document] > 1 else ""
        yield f"{place} line {line}", _record(sample, task, model, metric, f"{task}/{document}{again}")


def _record(sample: Mapping[str, Any], task: str, model: str, metric: str, id: str) -> Record:
    prompt = next((call.get("arg_0", "") for call in sample.get("arguments", {}).values()), "")
    said = sample.get("filtered_resps") or []
    return {
        "query": asked(sample.get("doc")) or asked(prompt),
        "prompt": asked(prompt),
        "model": model,
        "dataset": task,
        "id": id,
        "score": number(sample.get(metric)),
        "reply": said[0] if said and isinstance(said[0], str) else None,
    }
