"""From long records to one wide table: which records belong to one query, and which of them count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llmrouterbench.findings import Findings, Happened, Key, Options
from llmrouterbench.importers._cells import mask_zero_cost, note_missing_cells
from llmrouterbench.table import PLANES, FloatArray, Outcomes

_MAX_CELLS = 200_000_000

AnyArray = NDArray[Any]


def keyed(table: pl.DataFrame, key: Key, findings: Findings) -> pl.DataFrame:
    """The records, without their ids where these do not name queries.

    An id that is another one in every record, while one text was asked of several models, is that of a request.
    """
    if "id" not in table.columns or key == "id":
        return table
    if key == "auto":
        several = table.group_by("dataset", "query").agg(pl.col("model").n_unique()).filter(pl.col("model") > 1).height
        if not several or table["id"].n_unique() < table.height:
            return table
        kind = "request id in the place of a query's, so records are joined by their text (--key id joins by id)"
        findings.add(kind, "dropped", f"record {table['#'][0]}: id {table['id'][0]}", table.height)
    return table.drop("id")


def number_queries(table: pl.DataFrame, path: Path, word: str, findings: Findings) -> pl.DataFrame:
    """One row per query, in the order of the file: row, id, dataset, query, prompt.

    A query is what has the same id, or where there is none the same dataset and text. Raises ValueError where one id
    names two.
    """
    key = ["id"] if "id" in table.columns else ["dataset", "query"]
    prompt = pl.col("prompt").drop_nulls().first() if "prompt" in table.columns else pl.lit(None, dtype=pl.String)
    rest = [pl.col(name).first() for name in ("dataset", "query") if name not in key]
    queries = table.group_by(key, maintain_order=True).agg(*rest, prompt.alias("prompt")).with_row_index("row")
    joined = table.join(queries, on=key, how="left", suffix="_first", maintain_order="left")
    if key == ["id"]:
        other = (joined["query"] != joined["query_first"]) | (joined["dataset"] != joined["dataset_first"])
        _refuse_shared_id(joined.filter(other), path, word)
    else:
        place = pl.col("row").cum_count().over("dataset").cast(pl.String)
        queries = queries.with_columns(id=pl.col("dataset") + "/" + place)
    if "prompt" in table.columns:
        differs = joined.filter(pl.col("prompt") != pl.col("prompt_first"))
        if differs.height:
            findings.add("prompt differs between models", "merged", f"{path} {word} {differs['#'][0]}", differs.height)
    return queries


def _refuse_shared_id(shared: pl.DataFrame, path: Path, word: str) -> None:
    if shared.height:
        raise ValueError(
            f"an id must name one query, got {shared['id'][0]!r} for a second one in {path} {word} {shared['#'][0]};"
            " make the ids unique or leave the column out"
        )


def first_cells(table: pl.DataFrame, queries: pl.DataFrame, findings: Findings) -> pl.DataFrame:
    """The first record of every query and model, with the row of its query."""
    key = ["id"] if "id" in table.columns else ["dataset", "query"]
    table = table.join(queries.select("row", *key), on=key, how="left", maintain_order="left")
    if "propensity" in table.columns:
        table = table.with_columns(propensity=_ever_measured())
    first = pl.struct("row", "model").is_first_distinct()
    cells = table.filter(first)
    again = table.filter(~first).join(cells, on=["row", "model"], how="left", suffix="_first", maintain_order="left")
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(f"{name}_first")) for name in (*PLANES, "reply") if name in table.columns
    )
    _note(again.filter(same), "identical repeated record", "merged", findings)
    _note(again.filter(~same), "contradictory repeated record, the first one counts", "dropped", findings)
    _note(cells.filter(pl.col("score").is_null()), "null score", "masked", findings)
    return cells


def _ever_measured() -> pl.Expr:
    """Probability that a log measures a cell at all: in one of the requests of its query, each with this propensity.

    A log says it only where the model served; the mean of these stands for the other requests of the query.
    """
    once = pl.col("propensity").mean().over("row", "model")
    times = pl.len().over("row")
    return pl.when(times == 1).then(once).otherwise(1.0 - (1.0 - once) ** times)


def _note(records: pl.DataFrame, kind: str, happened: Happened, findings: Findings) -> None:
    if records.height:
        findings.add(kind, happened, f"record {records['#'][0]} of {records['model'][0]}", records.height)


def wide_table(
    cells: pl.DataFrame, queries: pl.DataFrame, path: Path, options: Options, findings: Findings
) -> Outcomes:
    """The wide table of long cells, with unknown costs masked and missing cells counted."""
    models = sorted(cells["model"].unique().to_list())
    shape = (queries.height, len(models))
    if shape[0] * shape[1] > _MAX_CELLS:
        raise ValueError(
            f"a table must have at most {_MAX_CELLS:,} cells, got {shape[0]:,} queries x {shape[1]:,} models in {path};"
            " is the column of models right?"
        )
    column = cells["model"].replace_strict({model: i for i, model in enumerate(models)}, return_dtype=pl.Int64)
    at = cells["row"].to_numpy(), column.to_numpy()
    present = np.zeros(shape, dtype=np.bool_)
    present[at] = True
    dataset: list[str] = queries["dataset"].to_list()
    ids = np.array(queries["id"].to_list(), dtype=np.str_)
    note_missing_cells(present, np.array(dataset, dtype=np.str_), models, findings)
    cost = _plane(cells, "cost", at, shape)
    outcomes = Outcomes.of(
        queries["query"].to_list(),
        models,
        _plane(cells, "score", at, shape),
        dataset=dataset,
        cost=mask_zero_cost(cost, ids, models, options.zero_cost, findings),
        tokens_in=_plane(cells, "tokens_in", at, shape),
        tokens_out=_plane(cells, "tokens_out", at, shape),
        seconds=_plane(cells, "seconds", at, shape),
        id=ids.tolist(),
        prompt=queries.select(pl.coalesce("prompt", "query")).to_series().to_list(),
    )
    known = _plane(cells, "propensity", at, shape)
    return replace(outcomes, propensity=known) if np.isfinite(known).any() else outcomes


def _plane(cells: pl.DataFrame, name: str, at: tuple[AnyArray, AnyArray], shape: tuple[int, int]) -> FloatArray:
    """One plane (n, m); NaN where there is no value."""
    plane = np.full(shape, np.nan)
    if name in cells.columns:
        plane[at] = cells[name].fill_null(float("nan")).to_numpy()
    return plane
