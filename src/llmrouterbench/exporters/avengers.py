"""Avengers, Avengers-Pro and FrugalGPT: train.jsonl, test.jsonl and baseline_scores.json.

Source: section B.3 of LLMRouterBench (arXiv 2601.07206) and its adaptors of these methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from llmrouterbench.exporters._items import WRITTEN, Exported, Items, Job, by_model, write_lines
from llmrouterbench.files import write_json
from llmrouterbench.table import IntArray


def export_avengers(job: Job) -> Exported:
    """Write the files; baseline_scores.json holds means over test records."""
    return _export(job, job.split.test)


def export_frugalgpt(job: Job) -> Exported:
    """Write the files; baseline_scores.json holds means over the records of both parts."""
    return _export(job, job.rows)


def _export(job: Job, scored: IntArray) -> Exported:
    done = Exported.of(job, "line of train.jsonl or test.jsonl, from 0")
    for part, items in job.parts():
        write_lines(job.folder / f"{part}.jsonl", _lines(job, items))
        done.add(part, items, np.arange(len(items)), WRITTEN)
    write_json(job.folder / "baseline_scores.json", _baseline_scores(job, scored))
    return done


def _lines(job: Job, items: Items) -> Iterator[dict[str, Any]]:
    """One line an item: query, dataset, index, records (scores by model), usages by model."""
    usages = (items.tokens("tokens_out"), items.filled("cost"), items.tokens("tokens_in"))
    columns = (items.index, items.recorded, items.filled("score"), *usages)
    texts = zip(job.prompts(items.row), job.datasets(items.row), strict=True)
    for (prompt, dataset), row in zip(texts, zip(*(c.tolist() for c in columns), strict=True), strict=True):
        index, recorded, score, *used = row
        usage = [{"completion_tokens": o, "cost": c, "prompt_tokens": i} for o, c, i in zip(*used, strict=True)]
        yield {
            "query": prompt,
            "dataset": dataset,
            "index": index,
            "records": by_model(job.models, recorded, score),
            "usages": by_model(job.models, recorded, usage),
        }


def _baseline_scores(job: Job, rows: IntArray) -> dict[str, dict[str, float]]:
    """Mean score in percent, two digits, by model and dataset, over all records: copies count each."""
    outcomes = job.outcomes
    one_each = job.items(rows, np.arange(len(outcomes)))
    score, recorded, names = one_each.filled("score"), one_each.recorded, outcomes.dataset[one_each.row]
    out: dict[str, dict[str, float]] = {model: {} for model in job.models}
    for dataset in sorted(set(names.tolist())):
        mine = names == dataset
        counts = recorded[mine].sum(axis=0)
        sums = np.where(recorded[mine], score[mine], 0.0).sum(axis=0)
        for model, total, count in zip(job.models, sums.tolist(), counts.tolist(), strict=True):
            if count:
                out[model][dataset] = round(total / count * 100, 2)
    return {model: means for model, means in out.items() if means}
