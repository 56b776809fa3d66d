"""GraphRouter: router_data.csv and .parquet, llm_description_embedding.pkl and LLM_Descriptions.json.

One row a prompt and model; rows by dataset, train first, then by record index: the official code cuts each dataset at
one share of its prompts, in this order. Cost is min-max scaled per dataset over both parts.
Source: the adaptor of LLMRouterBench (arXiv 2601.07206). Differs: the official descriptions cover 13 models and 10
datasets and are prose; these are one sentence from the training part for any model and dataset.
"""

from __future__ import annotations

import pickle

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llmrouterbench.exporters._items import Exported, Items, Job
from llmrouterbench.files import write_json
from llmrouterbench.table import BoolArray, FloatArray, IntArray, StrArray


def export_graphrouter(job: Job) -> Exported:
    """Write the files. Raises ValueError without embeddings, or where no share of the prompts gives the split."""
    vectors = job.vectors()
    both = job.items(job.rows)
    is_test = np.isin(both.row, job.split.test)
    ratio = sequential_ratio(job.outcomes.dataset[both.row], is_test, float(job.split.settings.get("ratio", 0.7)))
    order = np.lexsort((np.arange(len(both)), is_test, job.outcomes.dataset[both.row]))
    frame = _frame(job, both, order, vectors)
    frame.write_csv(job.folder / "router_data.csv")
    frame.write_parquet(job.folder / "router_data.parquet", compression="snappy")
    sentences = {model: _model_sentence(job, model) for model in job.models}
    write_json(job.folder / "LLM_Descriptions.json", {model: {"feature": text} for model, text in sentences.items()})
    described = job.described(list(sentences.values()))
    (job.folder / "llm_description_embedding.pkl").write_bytes(pickle.dumps(described))
    done = Exported.of(job, "row of router_data.csv // number of models, from 0")
    number = np.empty(len(both), dtype=np.int64)
    number[order] = np.arange(len(both))
    done.add("both", both, number, ("score", "cost"))
    done.items = {"train": int((~is_test).sum()), "test": int(is_test.sum())}
    done.facts = {"llm_num": len(job.models), "split_ratio": [ratio, 0.0, round(1.0 - ratio, 12)]}
    return done


def sequential_ratio(dataset: StrArray, is_test: BoolArray, wanted: float) -> float:
    """The share r for which int(n * r) is the number of train prompts in every dataset: `wanted` if it fits.

    Raises ValueError where there is none.

    >>> sequential_ratio(np.array(["a"] * 4 + ["b"] * 2), np.array([0, 0, 0, 1, 0, 1], dtype=bool), 0.7)
    0.75
    """
    names, inverse = np.unique(dataset, return_inverse=True)
    sizes, trains = np.bincount(inverse), np.bincount(inverse, weights=~is_test).astype(np.int64)
    low, high = (trains / sizes).max(), ((trains + 1) / sizes).min()
    for ratio in (wanted, float(low), float(low + high) / 2):
        if 0 < ratio < 1 and all(int(n * ratio) == k for n, k in zip(sizes.tolist(), trains.tolist(), strict=True)):
            return ratio
    most, least = int((trains / sizes).argmax()), int(((trains + 1) / sizes).argmin())
    got = " and ".join(f"{trains[i]} of {sizes[i]} prompts of {names[i]}" for i in (most, least))
    raise ValueError(
        f"the official GraphRouter trains on the same share of every dataset, got a split with {got};"
        " export with the split 'paper' and no held-out dataset"
    )


def _frame(job: Job, items: Items, order: IntArray, vectors: NDArray[np.float32]) -> pl.DataFrame:
    """The table (prompts x models rows), prompts in the given order."""
    rows, m = items.row[order], len(job.models)
    sentences = {name: _dataset_sentence(job, name) for name in sorted(set(job.datasets(rows)))}
    described = _as_text(job.described(list(sentences.values())))
    task = pl.Series(np.searchsorted(np.array(list(sentences)), job.outcomes.dataset[rows]))
    repeat = np.repeat(np.arange(len(rows)), m)
    cost = items.filled("cost")[order]
    per_prompt = pl.DataFrame(
        {
            "task_id": job.datasets(rows),
            "query": job.prompts(rows),
            "record_index": items.index[order],
            "query_embedding": _as_text(vectors[rows]),
            "ground_truth": "",
            "metric": "em",
            "task_description": pl.Series(list(sentences.values())).gather(task),
            "task_description_embedding": described.gather(task),
        }
    )
    return (
        per_prompt[repeat]
        .with_columns(
            llm=pl.Series(job.models).gather(np.tile(np.arange(m), len(rows))),
            effect=pl.Series(items.filled("score")[order].ravel()),
            cost=pl.Series(_scaled(cost, job.outcomes.dataset[rows]).ravel()),
            cost_usd=pl.Series(cost.ravel()),
        )
        .select(*COLUMNS)
    )


COLUMNS = (
    "task_id",
    "query",
    "record_index",
    "query_embedding",
    "ground_truth",
    "metric",
    "llm",
    "effect",
    "cost",
    "task_description",
    "task_description_embedding",
    "cost_usd",
)


def _scaled(cost: FloatArray, dataset: StrArray) -> FloatArray:
    """Cost (k, m) from 0 to 1 within each dataset; 0 where all are equal."""
    out = np.zeros_like(cost)
    for name in set(dataset.tolist()):
        mine = dataset == name
        low, high = cost[mine].min(), cost[mine].max()
        if high > low:
            out[mine] = (cost[mine] - low) / (high - low)
    return out


def _as_text(vectors: NDArray[np.float32]) -> pl.Series:
    """Vectors (n, d) in the form that the official code parses: "[[0.6 0.8]]"."""
    lists = pl.Series("vector", vectors).arr.to_list().cast(pl.List(pl.String)).list.join(" ")
    return pl.DataFrame(lists).select("[[" + pl.col("vector") + "]]").to_series()


def _dataset_sentence(job: Job, dataset: str) -> str:
    mine = job.split.train[job.outcomes.dataset[job.split.train] == dataset]
    return f"{dataset}: a dataset with {len(mine)} training queries."


def _model_sentence(job: Job, model: str) -> str:
    """Mean score and cost on the training part, over what was measured."""
    column = job.models.index(model)
    score, cost = (plane[job.split.train, column] for plane in (job.outcomes.score, job.outcomes.cost))
    parts = [f"mean score {np.nanmean(score):.3f}"] if np.isfinite(score).any() else ["no measured score"]
    parts += [f"mean cost {np.nanmean(cost):.6f} USD a query"] if np.isfinite(cost).any() else ["unknown cost"]
    return f"{model}: a language model with {' and '.join(parts)} in training."
