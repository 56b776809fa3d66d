"""What a model can do, in words made from training outcomes."""

from __future__ import annotations

import numpy as np

from llmrouterbench.metrics import dataset_means
from llmrouterbench.table import Outcomes


def capability_descriptions(train: Outcomes) -> list[str]:
    """One text a model: its accuracy on every dataset on which it was measured, in whole percent.

    Source: MODEL-SAT (Zhang et al. 2025, arXiv 2502.17282), section 3.1, capability instructions.

    >>> train = Outcomes.of(["a", "b"], ["m", "n"], [[1, 0], [0, np.nan]], dataset=["logic", "law"])
    >>> capability_descriptions(train)
    ['The model achieves accuracy 0 % on the task of law, accuracy 100 % on the task of logic.', \
'The model achieves accuracy 0 % on the task of logic.']
    """
    acc = dataset_means(train.score, train.dataset, train.datasets)
    return [_describe(column.tolist(), train.datasets) for column in acc.T]


def _describe(acc: list[float], datasets: list[str]) -> str:
    known = [(value, name) for value, name in zip(acc, datasets, strict=True) if np.isfinite(value)]
    if not known:
        return "The model was not measured."
    said = ", ".join(f"accuracy {round(100 * value)} % on the task of {name}" for value, name in known)
    return f"The model achieves {said}."
