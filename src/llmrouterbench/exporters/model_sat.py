"""MODEL-SAT: original_data/subset_logs_SEED/DATASET_train.json and DATASET_test.json.

The authors' construct_dataset.py and generate_model_descriptions.py read this folder; the second needs a dataset named
mmlupro. Source: the adaptor of LLMRouterBench (arXiv 2601.07206).
"""

from __future__ import annotations

from llmrouterbench.exporters._by_dataset import write_by_dataset
from llmrouterbench.exporters._items import Exported, Job


def export_model_sat(job: Job) -> Exported:
    """Write the files."""
    done = Exported.of(job, "position in DATASET_train.json or DATASET_test.json, from 0")
    for part, items in job.parts():
        write_by_dataset(job, job.folder / "original_data" / f"subset_logs_{job.seed}", done, part, items)
    return done
