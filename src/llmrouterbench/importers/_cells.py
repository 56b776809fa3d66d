"""What every reader does with its finished planes: mask unknown costs, count missing cells, keep replies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmrouterbench.findings import Findings, Happened, ZeroCost
from llmrouterbench.table import BoolArray, FloatArray, Outcomes, StrArray


def mask_zero_cost(
    cost: FloatArray, ids: StrArray, models: Sequence[str], zero_cost: ZeroCost, findings: Findings
) -> FloatArray:
    """Cost (n, m) with zeros masked, because a call that was made was not free; `zero_cost="free"` keeps them.

    A model without a single cost above zero has no known price: it is reported as unpriced.
    """
    zero = cost == 0
    if not zero.any():
        return cost
    priced = (cost > 0).any(axis=0)
    happened: Happened = "kept" if zero_cost == "free" else "masked"
    _note_zeros(zero & priced, "zero cost of a called model", happened, ids, models, findings)
    unpriced = zero & ~priced
    _note_zeros(unpriced, "zero cost of an unpriced model", happened, ids, models, findings)
    names = [model for model, free in zip(models, unpriced.any(axis=0), strict=True) if free]
    if names:
        findings.add("unpriced model", happened, f"{names[0]}: every known cost is 0", len(names), names)
    return cost if zero_cost == "free" else np.where(zero, np.nan, cost)


def _note_zeros(
    zero: BoolArray, kind: str, happened: Happened, ids: StrArray, models: Sequence[str], findings: Findings
) -> None:
    if not zero.any():
        return
    row, column = (int(i) for i in np.argwhere(zero)[0])
    per_model = zero.sum(axis=0)
    names = [f"{model}: {count}" for model, count in zip(models, per_model, strict=True) if count]
    findings.add(kind, happened, f"{ids[row]} x {models[column]}", int(zero.sum()), names)


def note_missing_cells(present: BoolArray, block: StrArray, models: Sequence[str], findings: Findings) -> None:
    """Count the cells (n, m) for which the source holds no record, by block (n,) of queries and model.

    A model that is absent from a whole block is a finding of its own: leaderboards must not average over it.
    """
    if present.all():
        return
    names, inverse = np.unique(block, return_inverse=True)
    size = np.bincount(inverse, minlength=len(names))
    missing = np.stack([np.bincount(inverse[~known], minlength=len(names)) for known in present.T], axis=1)
    absent = missing == size[:, None]
    for kind, where in (("model absent from a dataset", absent), ("missing record", (missing > 0) & ~absent)):
        cells = [f"{names[b]} x {models[m]}: {missing[b, m]} of {size[b]} queries" for b, m in np.argwhere(where)]
        if cells:
            findings.add(kind, "masked", cells[0], int(missing[where].sum()), cells)


def note_repeated_prompts(outcomes: Outcomes, findings: Findings) -> None:
    """Count queries with the prompt of an earlier one: they stay, and the table marks them as one group."""
    _, original, copy = np.unique(outcomes.group, return_index=True, return_inverse=True)
    original = original[copy]
    repeat = original != np.arange(len(outcomes))
    if repeat.any():
        first = str(outcomes.queries.id[repeat.argmax()])
        findings.add("prompt repeated inside a dataset", "kept", first, int(repeat.sum()))
    clash = repeat & (np.abs(outcomes.score - outcomes.score[original]) > 0).any(axis=1)
    if clash.any():
        findings.add("contradictory duplicate", "kept", str(outcomes.queries.id[clash.argmax()]), int(clash.sum()))
