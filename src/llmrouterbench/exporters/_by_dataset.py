"""Two JSON files a dataset, DATASET_train.json and DATASET_test.json: the layout that RouterDC and MODEL-SAT share."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from llmrouterbench.exporters._items import Exported, Items, Job, by_model
from llmrouterbench.files import write_json
from llmrouterbench.table import IntArray


def write_by_dataset(
    job: Job, folder: Path, done: Exported, part: str, items: Items, extra: dict[str, IntArray] | None = None
) -> None:
    """Write the items of a part: index, question, scores by model, and what `extra` (k,) adds to each.

    Characters of a dataset name that a file system may refuse are percent-encoded. No file where a part is empty.
    """
    names = job.outcomes.dataset[items.row]
    entries = _entries(job, items, extra or {})
    number = np.zeros(len(items), dtype=np.int64)
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in sorted(set(names.tolist())):
        mine = np.flatnonzero(names == dataset)
        number[mine] = np.arange(len(mine))
        write_json(folder / f"{quote(dataset, safe=' ,=')}_{part}.json", [entries[i] for i in mine.tolist()])
    done.add(part, items, number, ("score",))


def _entries(job: Job, items: Items, extra: dict[str, IntArray]) -> list[dict[str, Any]]:
    columns = (items.index.tolist(), job.prompts(items.row), items.recorded.tolist(), items.filled("score").tolist())
    entries = [
        {"index": index, "question": prompt, "scores": by_model(job.models, recorded, score)}
        for index, prompt, recorded, score in zip(*columns, strict=True)
    ]
    for name, values in extra.items():
        entries = [{**entry, name: value} for entry, value in zip(entries, values.tolist(), strict=True)]
    return entries
