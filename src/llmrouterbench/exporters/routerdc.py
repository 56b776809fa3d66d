"""RouterDC: DATASET_train.json and DATASET_test.json with a cluster of every prompt.

Source: the adaptor of LLMRouterBench (arXiv 2601.07206): one k-means over the train prompts of all datasets, in
float32 on unit vectors, eight clusters; test prompts get the nearest centre.
"""

from __future__ import annotations

import numpy as np

from llmrouterbench.exporters._by_dataset import write_by_dataset
from llmrouterbench.exporters._items import Exported, Items, Job
from llmrouterbench.table import IntArray

CLUSTERS = 8


def export_routerdc(job: Job) -> Exported:
    """Write the files. Raises ValueError without embeddings."""
    parts = dict(job.parts())
    clusters = _clusters(job, parts["train"], parts["test"])
    done = Exported.of(job, "position in DATASET_train.json or DATASET_test.json, from 0")
    for part, items in parts.items():
        write_by_dataset(job, job.folder, done, part, items, {"cluster_id": clusters[part]})
    return done


def _clusters(job: Job, train: Items, test: Items) -> dict[str, IntArray]:
    """Cluster (k,) of every item of both parts."""
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import normalize

    vectors = normalize(job.vectors())
    learned = vectors[train.row]
    k = min(CLUSTERS, len(np.unique(learned, axis=0)))
    kmeans = KMeans(n_clusters=k, random_state=job.seed, n_init=10).fit(learned)
    found = {"train": kmeans.labels_, "test": kmeans.predict(vectors[test.row])}
    return {part: np.asarray(labels, dtype=np.int64) for part, labels in found.items()}
