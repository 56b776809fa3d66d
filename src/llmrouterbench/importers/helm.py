"""HELM: a folder of runs, each with `run_spec.json`, `scenario_state.json` and `per_instance_stats.json`.

Source: stanford-crfm/helm. Perturbed copies of an instance are left out; trials are runs. Which statistic is the score
is said by HELM's schema, which the runs do not hold: where several could be it, one must be named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._samples import Glimpse, Record, Scores, number, samples
from llmrouterbench.records import read_json_file

_KEPT_BOOKS = re.compile(
    r"num_|inference_|logprob|max_prob|finish_reason|training_|predicted_index|prompt_|batch_|perplexity|bits_per|"
    r".*ece|platt_|selective_"
)
"""Statistics that are no score of a reply."""


def recognises(source: Glimpse) -> bool:
    """Whether it holds runs of HELM."""
    return any(source.named("per_instance_stats.json"))


def read_helm(path: Path, options: Options) -> Imported:
    """Read the runs of a folder. Raises ValueError with the run and instance of what breaks a rule."""
    findings, scores = Findings(), Scores.of(path, options)
    folders = [file.parent for file in sorted(path.rglob("per_instance_stats.json"))]
    records = (record for folder in folders for record in _run(folder, path, scores, findings))
    imported = samples(records, path, options, findings, len(folders))
    scores.check()
    return imported


def _run(folder: Path, path: Path, scores: Scores, findings: Findings) -> Iterator[tuple[str, Record]]:
    spec, state = (read_json_file(folder / name) for name in ("run_spec.json", "scenario_state.json"))
    place, model = folder.relative_to(path.parent), str(spec["adapter_spec"]["model"])
    task = re.sub(r",?model=[^,]*", "", str(spec["name"])).rstrip(":,")
    asked_for = {_key(one["instance"].get("id"), one): one for one in state["request_states"]
                 if not one["instance"].get("perturbation")}  # fmt: skip
    for stats in read_json_file(folder / "per_instance_stats.json"):
        if stats.get("perturbation"):
            findings.add("perturbed copy of an instance", "dropped", f"{place} {stats['instance_id']}")
        elif (one := asked_for.get(_key(stats["instance_id"], stats))) is not None:
            yield f"{place} {stats['instance_id']}", _record(stats, one, model, task, scores)


def _key(instance: Any, record: Mapping[str, Any]) -> tuple[str, Any]:
    return str(instance), record.get("train_trial_index", 0)


def _record(stats: Mapping[str, Any], one: Mapping[str, Any], model: str, task: str, scores: Scores) -> Record:
    means = {said["name"]["name"]: said.get("mean") for said in stats["stats"] if not said["name"].get("perturbation")}
    chosen = scores.choose([name for name in means if not _KEPT_BOOKS.match(name)], f"run {task}")
    result = one.get("result") or {}
    said = result.get("completions") or [{}]
    return {
        "query": one["instance"]["input"]["text"],
        "prompt": (one.get("request") or {}).get("prompt"),
        "model": model,
        "dataset": task,
        "id": f"{task}/{stats['instance_id']}",
        "run": stats.get("train_trial_index", 0),
        "score": None if chosen is None else number(means[chosen]),
        "tokens_in": means.get("num_prompt_tokens"),
        "tokens_out": means.get("num_output_tokens", means.get("num_completion_tokens")),
        "seconds": means.get("inference_runtime", result.get("request_time")),
        "reply": said[0].get("text"),
        "success": result.get("success"),
    }
