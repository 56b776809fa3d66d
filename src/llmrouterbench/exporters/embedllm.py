"""EmbedLLM: question_order_ours.csv, train_ours.csv, test_ours.csv and question_embeddings.pth.

Source: the adaptor of LLMRouterBench (arXiv 2601.07206). A prompt that two datasets share is one question there: the
first dataset names its category, the records of the last one count.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmrouterbench.exporters._items import Exported, Items, Job
from llmrouterbench.table import IntArray

HEADER = ("prompt_id", "model_id", "category_id", "label", "model_name", "category", "prompt")


def export_embedllm(job: Job) -> Exported:
    """Write the files. Raises ImportError without torch, ValueError without embeddings."""
    torch = _torch()
    vectors = job.vectors()
    rows = np.sort(job.rows)
    prompts = job.prompts(rows)
    questions = sorted(set(prompts))
    number = {prompt: i for i, prompt in enumerate(questions)}
    question = np.full(len(job.outcomes), -1, dtype=np.int64)
    question[rows] = [number[prompt] for prompt in prompts]
    _write_csv(job.folder / "question_order_ours.csv", ("prompt_id", "prompt"), enumerate(questions))
    done = Exported.of(job, "prompt_id")
    for part in ("train", "test"):
        items = job.items(getattr(job.split, part), question)
        _write_csv(job.folder / f"{part}_ours.csv", HEADER, _lines(job, items, question, questions))
        done.add(part, items, question[items.row], ("score",))
    first = rows[np.unique(question[rows], return_index=True)[1]]
    torch.save(torch.from_numpy(vectors[first].copy()), job.folder / "question_embeddings.pth")
    done.facts["model_num"] = len(job.models)
    done.facts["questions_in_both_parts"] = sum(done.items.values()) - len(questions)
    return done


def _lines(job: Job, items: Items, question: IntArray, questions: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """One line a question and model, questions in string order, models in string order."""
    numbers = question[items.row]
    score, datasets = items.filled("score").tolist(), job.datasets(items.row)
    for i in np.argsort(numbers).tolist():
        n, dataset = int(numbers[i]), datasets[i]
        for m, model in enumerate(job.models):
            yield n, m, dataset, score[i][m], model, dataset, questions[n]


def _write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(lines)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError("an export for 'embedllm' needs torch; pip install 'llmrouterbench[torch]'") from error
    return torch
