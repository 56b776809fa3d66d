"""The paper's peak on test: the best number that a look at the test part can find, for comparison with the paper."""

from __future__ import annotations

import numpy as np

from llmrouterbench.benching.folder import Decisions, Runs
from llmrouterbench.benching.replay import complete_routers, metered
from llmrouterbench.metrics import avg_acc, dataset_means
from llmrouterbench.splits import Split
from llmrouterbench.table import Outcomes


def peaks_on_test(runs: Runs, outcomes: Outcomes) -> dict[str, float]:
    """Highest test AvgAcc over operating points and training checkpoints, seed by seed; the mean over seeds, by router.

    `outcomes` are the runs' own, or the same with scores read another way. Chosen on the test part: nothing else may
    depend on it. Source: LLMRouterBench (arXiv 2601.07206), figure 4, "peak score on the test set".
    """
    return {
        router: float(
            np.mean([_peak(runs.decisions[router, seed], runs.splits[seed], outcomes) for seed in runs.seeds])
        )
        for router in complete_routers(runs)
    }


def _peak(decisions: Decisions, split: Split, outcomes: Outcomes) -> float:
    dataset = outcomes.dataset[split.test]
    names = sorted(set(dataset.tolist()))
    found = []
    for part in ("test", "checkpoints"):
        if part in decisions.parts:
            score, _ = metered(decisions, part, split.test, outcomes)
            found += avg_acc(dataset_means(score.T, dataset, names).T).tolist()
    return float(np.fmax.reduce(found))
