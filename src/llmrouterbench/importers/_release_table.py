"""From the files of a release to one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from llmrouterbench.findings import Findings, Options
from llmrouterbench.importers._cells import mask_zero_cost, note_missing_cells
from llmrouterbench.importers._release_replies import ReplyParts
from llmrouterbench.importers._release_rows import KeptFile, Slots, merge_wordings
from llmrouterbench.table import (
    PLANES,
    BoolArray,
    FloatArray,
    IntArray,
    Outcomes,
    Queries,
    StrArray,
    Text,
    duplicate_groups,
)

_PLANES = [name for name in PLANES if name != "seconds"]  # a release does not say how long a call took


def assemble(
    files: Sequence[KeptFile], slots: Slots, replies: ReplyParts | None, options: Options, findings: Findings
) -> Outcomes:
    """Align the files, put their numbers in one table, give the stored replies their row numbers."""
    main, place = merge_wordings(files, slots, findings)
    rows = _sorted_rows(files, main)
    row = np.full(len(main), -1)
    row[rows.slot] = np.arange(len(rows.slot))
    row = row[main]
    if replies is not None:
        replies.finish(row)
    models = tuple(sorted({kept.file.model for kept in files}))
    planes, present = _planes(files, row, len(rows.slot), models)
    block = np.array([_block(d, s) for d, s in zip(rows.dataset.tolist(), rows.subset.tolist(), strict=True)])
    ids = _unique_ids(block, place[rows.slot])
    planes["cost"] = mask_zero_cost(planes["cost"], ids, models, options.zero_cost, findings)
    note_missing_cells(present, block, models, findings)
    prompt = [slots.prompt[slot] for slot in rows.slot.tolist()]
    group = duplicate_groups(rows.dataset, prompt)
    _note_duplicates(group, block, np.where(present, planes["score"], -1.0), ids, models, findings)
    return Outcomes(
        queries=Queries(ids, Text.of([slots.text[slot] for slot in rows.slot.tolist()]), Text.of(prompt)),
        dataset=rows.dataset,
        models=models,
        seconds=np.full(present.shape, np.nan),
        group=group,
        subset=rows.subset,
        index=rows.index,
        simulated=any(kept.file.simulated for kept in files),
        score=planes["score"],
        cost=planes["cost"],
        tokens_in=planes["tokens_in"],
        tokens_out=planes["tokens_out"],
    )


@dataclass(frozen=True)
class _Rows:
    """The rows (n,) of the table: slot, dataset, subset and smallest record index."""

    slot: IntArray
    dataset: StrArray
    subset: StrArray
    index: IntArray


def _sorted_rows(files: Sequence[KeptFile], main: IntArray) -> _Rows:
    """Rows by dataset, subset (plain string order) and smallest index: the order of the official loader."""
    index = np.full(len(main), np.iinfo(np.int64).max)
    keys = {(kept.file.dataset, kept.file.subset) for kept in files}
    number = {key: i for i, key in enumerate(sorted(keys))}
    group = np.full(len(main), -1)
    for kept in files:
        slot = main[kept.slot]
        index[slot] = np.minimum(index[slot], kept.file.index)
        group[slot] = number[kept.file.dataset, kept.file.subset]
    used = np.flatnonzero(group >= 0)
    slot = used[np.lexsort((used, index[used], group[used]))]
    names = np.array(sorted(keys), dtype=np.str_)[group[slot]]
    return _Rows(slot, names[:, 0], names[:, 1], index[slot])


def _planes(
    files: Sequence[KeptFile], row: IntArray, n: int, models: Sequence[str]
) -> tuple[dict[str, FloatArray], BoolArray]:
    """The planes (n, m), and where the source has a record."""
    column = {model: i for i, model in enumerate(models)}
    planes: dict[str, FloatArray] = {name: np.full((n, len(models)), np.nan) for name in _PLANES}
    present = np.zeros((n, len(models)), dtype=np.bool_)
    for kept in files:
        cells = row[kept.slot], column[kept.file.model]
        present[cells] = True
        for name in _PLANES:
            planes[name][cells] = getattr(kept.file, name)
    return planes, present


def _block(dataset: str, subset: str) -> str:
    return f"{dataset}/{subset}" if subset else dataset


def _unique_ids(block: StrArray, place: IntArray) -> StrArray:
    """Query ids "dataset/subset/place"; a second question at the same place gets "~2".

    >>> _unique_ids(np.array(["a/test", "a/test", "b"]), np.array([1, 1, 1])).tolist()
    ['a/test/1', 'a/test/1~2', 'b/1']
    """
    ids: list[str] = []
    used: Counter[str] = Counter()
    for name, number in zip(block.tolist(), place.tolist(), strict=True):
        plain = candidate = f"{name}/{number}"
        while used[candidate]:
            used[plain] += 1
            candidate = f"{plain}~{used[plain]}"
        used[candidate] += 1
        ids.append(candidate)
    return np.array(ids, dtype=np.str_)


def _note_duplicates(
    group: IntArray,
    block: StrArray,
    score: FloatArray,
    ids: StrArray,
    models: Sequence[str],
    findings: Findings,
) -> None:
    """Count records of the same dataset, model and prompt: they stay, each in its own subset, as the paper counts them.

    Score (n, m) is NaN where it is masked and -1 where there is no record.
    """
    copies = np.bincount(group, minlength=len(group))[group] > 1
    row, column = np.nonzero((score != -1.0) & copies[:, None])
    cells = pl.DataFrame(
        {"row": row, "model": column, "group": group[row], "block": block[row], "score": score[row, column]}
    ).with_columns(pl.col("score").fill_nan(None))
    inside = cells.group_by("group", "model", "block", maintain_order=True).agg(pl.len(), pl.col("row").last())
    across = cells.group_by("group", "model", maintain_order=True).agg(
        pl.len(), pl.col("block").n_unique(), pl.col("row").last(), pl.col("score").drop_nulls().n_unique()
    )
    inside = inside.filter(pl.col("len") > 1)
    repeats = int((inside["len"] - 1).sum())
    between = across.filter(pl.col("block") > 1)
    for kind, frame, number in (
        ("prompt repeated inside a subset", inside, repeats),
        ("duplicate record across subsets", between, int((across["len"] - 1).sum()) - repeats),
        ("contradictory duplicate", clash := across.filter(pl.col("score") > 1), clash.height),
    ):
        if number:
            example = f"{ids[frame['row'][0]]} x {models[frame['model'][0]]}"
            findings.add(kind, "kept", example, number)
