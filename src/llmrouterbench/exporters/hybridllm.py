"""HybridLLM: train.jsonl and test.jsonl with two candidates a prompt, the weak model first.

Source: the adaptor of LLMRouterBench (arXiv 2601.07206). The task score stands in the field of BARTScore. Copies of a
prompt are kept, one line a record index. Candidate texts and the expected output are empty: the router reads neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from llmrouterbench.exporters._items import WRITTEN, Exported, Items, Job, write_lines
from llmrouterbench.table import IntArray


def export_hybridllm(job: Job) -> Exported:
    """Write the files. Queries that neither model has a record of are left out."""
    done = Exported.of(job, "line of train.jsonl or test.jsonl, from 0")
    pair = (job.outcomes.group, job.outcomes.index)
    key = np.unique(np.stack(pair, axis=1), axis=0, return_inverse=True)[1].ravel()
    for part in ("train", "test"):
        items = job.items(_recorded(job, getattr(job.split, part)), key)
        write_lines(job.folder / f"{part}.jsonl", _lines(job, items))
        done.add(part, items, np.arange(len(items)), WRITTEN)
    done.facts["candidate_models"] = [job.pair[1], job.pair[0]]
    return done


def _recorded(job: Job, rows: IntArray) -> IntArray:
    """Rows of which at least one model has a record."""
    single = job.items(rows, np.arange(len(job.outcomes)))
    return single.row[single.recorded.any(axis=1)]


def _lines(job: Job, items: Items) -> Iterator[dict[str, Any]]:
    """One line an item: id, instruction, input, output, candidates."""
    strong, weak = job.pair
    columns = [job.models.index(weak), job.models.index(strong)]
    planes = (items.filled("score"), items.tokens("tokens_in"), items.tokens("tokens_out"), items.filled("cost"))
    values = np.stack([plane[:, columns] for plane in planes], axis=2).tolist()
    texts = zip(job.datasets(items.row), items.index.tolist(), job.prompts(items.row), strict=True)
    for (dataset, index, prompt), pair in zip(texts, values, strict=True):
        named = zip((weak, strong), pair, strict=True)
        candidates = [_candidate(model, *numbers) for model, numbers in named]
        yield {
            "id": f"{dataset}/{index}",
            "instruction": "",
            "input": prompt,
            "output": "",
            "candidates": candidates,
        }


def _candidate(model: str, score: float, tokens_in: float, tokens_out: float, cost: float) -> dict[str, Any]:
    return {
        "model": model,
        "text": "",
        "decoding_method": "greedy",
        "scores": {"bartscore": score},
        "token_num_prompt": int(tokens_in),
        "token_num_responses": int(tokens_out),
        "cost": [cost],
    }
