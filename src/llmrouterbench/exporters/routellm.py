"""RouteLLM (matrix factorisation): pairwise_train.json, pairwise_test.json, prompt_index.json, embeddings, metadata.

Source: the adaptor of LLMRouterBench (arXiv 2601.07206). model_a is the strong model. Train leaves ties out, test keeps
them; a prompt that lacks a record of either model is in neither. Replies, predictions and gold answers are empty: the
matrix factorisation reads none of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from llmrouterbench.exporters._items import Exported, Items, Job
from llmrouterbench.files import write_json
from llmrouterbench.table import BoolArray, FloatArray, IntArray


def export_routellm(job: Job) -> Exported:
    """Write the files. Raises ValueError without embeddings or without any pair to compare."""
    vectors = job.vectors()
    strong, weak = job.pair
    items = job.items(job.rows)
    score = items.filled("score")[:, [job.models.index(strong), job.models.index(weak)]]
    is_test = np.isin(items.row, job.split.test)
    tie = score[:, 0] == score[:, 1]
    kept = np.flatnonzero(items.recorded.all(axis=1) & (is_test | ~tie))
    if not len(kept):
        raise ValueError(
            f"an export for 'routellm' needs prompts with records of both models, got none for {strong!r} and {weak!r};"
            " choose another pair"
        )
    samples = _samples(job, items, kept, score, tie)
    train = [sample for sample, test in zip(samples, is_test[kept].tolist(), strict=True) if not test]
    test = [sample for sample, test in zip(samples, is_test[kept].tolist(), strict=True) if test]
    write_json(job.folder / "pairwise_train.json", train)
    write_json(job.folder / "pairwise_test.json", test)
    index = ("idx", "dataset_id", "prompt", "origin_query", "ground_truth", "record_index", "is_tie")
    write_json(job.folder / "prompt_index.json", [{key: sample[key] for key in index} for sample in samples])
    embedding = vectors[items.row[kept]]
    np.save(job.folder / "prompt_embeddings.npy", embedding)
    write_json(job.folder / "metadata.json", _metadata(job, len(train), len(test), embedding.shape))
    return _exported(job, items, kept, is_test)


def _samples(job: Job, items: Items, kept: IntArray, score: FloatArray, tie: BoolArray) -> list[dict[str, Any]]:
    """One comparison an item, in the order of dataset and record index."""
    strong, weak = job.pair
    cost = items.filled("cost")[:, [job.models.index(strong), job.models.index(weak)]]
    rows = items.row[kept]
    texts = (job.datasets(rows), items.index[kept].tolist(), job.prompts(rows), job.outcomes.queries.text.take(rows))
    numbers = (score[kept].tolist(), cost[kept].tolist(), tie[kept].tolist())
    return [
        {
            "idx": i,
            "dataset_id": dataset,
            "record_index": index,
            "prompt": prompt,
            "origin_query": text,
            "ground_truth": "",
            "model_a": strong,
            "model_b": weak,
            **{f"score_model_{x}": value for x, value in zip("ab", (a, b), strict=True)},
            **{f"{what}_model_{x}": "" for what in ("prediction", "response") for x in "ab"},
            **{f"cost_model_{x}": value for x, value in zip("ab", usd, strict=True)},
            "is_tie": equal,
            "winner": "tie" if equal else "model_a" if a > b else "model_b",
        }
        for i, (dataset, index, prompt, text, (a, b), usd, equal) in enumerate(zip(*texts, *numbers, strict=True))
    ]


def _metadata(job: Job, train: int, test: int, shape: tuple[int, ...]) -> dict[str, Any]:
    strong, weak = job.pair
    return {
        "strong_model": strong,
        "weak_model": weak,
        "train_samples": train,
        "test_samples": test,
        "num_prompts": shape[0],
        "embedding_dim": shape[1],
        "source_config": f"llmrouterbench data {job.data_hash}",
        "embedding_config": "see export.json",
        "ood_datasets": list(job.split.settings.get("held_out", [])),
    }


def _exported(job: Job, items: Items, kept: IntArray, is_test: BoolArray) -> Exported:
    done = Exported.of(job, "idx")
    number = np.full(len(items), -1, dtype=np.int64)
    number[kept] = np.arange(len(kept))
    done.number[items.rows] = number[items.item]
    done.items = {"train": int((~is_test[kept]).sum()), "test": int(is_test[kept].sum())}
    for name in ("score", "cost"):
        values = getattr(items, name)[kept]
        done.stand_ins[name] = (int((~np.isfinite(values)).sum()), values.size)
    done.facts["prompts_left_out"] = len(items) - len(kept)
    return done
