"""Results of harnesses that run models themselves: run reports of SWE-bench, results of tau2-bench.

Sources and meanings are those of `datasets/swebench.py` and `datasets/tau2.py`, which `score` reads them by. A run
report of SWE-bench names instances alone: a table with `instance_id` and `problem_statement` must lie beside it. Where
a simulation of tau2-bench is missing, its rates would be of other tasks than those of the other models: it is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrouterbench.datasets import swebench, tau2
from llmrouterbench.files import read_json
from llmrouterbench.findings import Imported, Options
from llmrouterbench.importers._samples import Glimpse, Record, number, samples
from llmrouterbench.records import read_lines, read_parquet

_REPORT, _RESULTS = ("resolved_ids", "unresolved_ids", "submitted_ids"), ("info", "tasks")
_TEXTS = ("instance_id", "problem_statement")


def recognises(source: Glimpse) -> bool:
    """Whether it holds results of SWE-bench or of tau2-bench."""
    return any(set(keys) <= source.keys(file) for file in source.named("*.json") for keys in (_REPORT, _RESULTS))


def read_harnesses(path: Path, options: Options) -> Imported:
    """Read one results file or all of a folder. Raises ValueError with the file of what breaks a rule."""
    source = Glimpse(path)
    reports = [file for file in source.named("*.json") if set(_REPORT) <= source.keys(file)]
    results = [file for file in source.named("*.json") if set(_RESULTS) <= source.keys(file)]
    texts = _texts(source) if reports else {}
    read = [_report(file, texts) for file in reports] + [_simulations(file) for file in results]
    files = len(reports) + len(results)
    return samples((record for records in read for record in records), path, options, files=files)


def _texts(source: Glimpse) -> dict[str, str]:
    """Instance -> its issue, from the tables beside the reports."""
    found = dict[str, str]()
    for file in source.files:
        if file.suffix in (".jsonl", ".parquet") and set(_TEXTS) <= source.keys(file):
            rows: Iterator[Any] = (
                read_parquet(file).select(_TEXTS).iter_rows(named=True)
                if file.suffix == ".parquet"
                else (row for _, row in read_lines(file))
            )
            found |= {str(row[_TEXTS[0]]): str(row[_TEXTS[1]]) for row in rows}
    if not found:
        raise ValueError(
            f"{source.path} must hold the issues beside the run reports, got no table with instance_id and"
            " problem_statement; put SWE-bench's Parquet file there"
        )
    return found


def _report(file: Path, texts: dict[str, str]) -> Iterator[tuple[str, Record]]:
    """A run report, which is called <model>.<run id>.json."""
    model = file.stem.rpartition(".")[0] or file.stem
    for name, score in swebench.read_report(file).items():
        if name not in texts:
            raise ValueError(f"{file} must be of instances whose issue is known, got {name}; add it to the table")
        yield (
            f"{file.name} {name}",
            {
                "query": texts[name],
                "model": model,
                "dataset": "swe-bench",
                "id": f"swe-bench/{name}",
                "score": number(score.value),
                "status": "ok" if score.value == score.value else "failed",
            },
        )


def _simulations(file: Path) -> Iterator[tuple[str, Record]]:
    results = read_json(file)
    _check_complete(file, results)
    domain = results["info"]["environment_info"]["domain_name"]
    asked = {f"{domain}/{task['id']}": tau2.query_of(task) for task in results["tasks"]}
    for reply, (score, trial) in zip(tau2.read_replies(file), tau2.read_trials(file), strict=True):
        yield (
            f"{file.name} {reply.item} trial {trial}",
            {
                "query": asked[reply.item],
                "model": reply.model,
                "dataset": "tau2",
                "id": f"tau2/{reply.item}",
                "run": trial,
                "score": score,
                "cost": reply.cost,
                "tokens_in": reply.tokens_in,
                "tokens_out": reply.tokens_out,
                "seconds": reply.seconds,
                "reply": reply.text,
                "status": reply.status,
            },
        )


def _check_complete(file: Path, results: dict[str, Any]) -> None:
    """Raise ValueError where a simulation of a task is missing."""
    trials = int(results["info"].get("num_trials") or 1)
    made = Counter(name.partition("/")[2] for name, _ in tau2.simulations(file))
    for task in results["tasks"]:
        if made[str(task["id"])] < trials:
            raise ValueError(
                f"{file} must hold {trials} simulations of each task, got {made[str(task['id'])]} of {task['id']!r};"
                " finish the run (tau2 run with the same --save-to)"
            )
