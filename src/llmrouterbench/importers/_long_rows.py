"""From long records to one wide table: which records belong to one query, and which of them count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llmrouterbench.exporters.long_table import MARK, OF_QUERY
from llmrouterbench.findings import Findings, Happened, Key, Options
from llmrouterbench.importers._cells import mask_zero_cost, note_missing_cells
from llmrouterbench.importers._written import as_written
from llmrouterbench.naming import did_you_mean
from llmrouterbench.table import LOG_PLANES, PLANES, FloatArray, IntArray, Outcomes, joined

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
        kind = (
            "request ids, of which no two are one query's, so records are joined by their text (--key id joins by id)"
        )
        findings.add(kind, "dropped", f"record {table['#'][0]}: id {table['id'][0]}", table.height)
    return table.drop("id")


def number_queries(table: pl.DataFrame, path: Path, word: str, findings: Findings) -> pl.DataFrame:
    """One row per query, in the order of the file: row, id, dataset, query, prompt and, where it is known, cluster.

    A query is what has the same id, or where there is none the same dataset, text and system prompt. Raises ValueError
    where one id names two.
    """
    key = _key(table)
    if "prompt" in table.columns and MARK not in table.columns:
        table = table.with_columns(prompt=pl.col("prompt").replace("", None))  # nothing is no prompt that queries share
    prompt = pl.col("prompt").drop_nulls().first() if "prompt" in table.columns else pl.lit(None, dtype=pl.String)
    rest = [
        pl.col(name).first() for name in ("dataset", "query", *OF_QUERY) if name in table.columns and name not in key
    ]
    rest += [pl.col("cluster").drop_nulls().first()] if "cluster" in table.columns else []
    queries = table.group_by(key, maintain_order=True).agg(*rest, prompt.alias("prompt")).with_row_index("row")
    compared = table.select(
        name for name in dict.fromkeys(("#", "dataset", "query", "prompt", "cluster", *key)) if name in table.columns
    )
    paired = compared.join(queries, on=key, how="left", suffix="_first", maintain_order="left")
    if key == ["id"]:
        other = (paired["query"] != paired["query_first"]) | (paired["dataset"] != paired["dataset_first"])
        _refuse_shared_id(paired.filter(other), path, word)
    else:
        place = pl.col("row").cum_count().over("dataset").cast(pl.String)
        queries = queries.with_columns(id=pl.col("dataset") + "/" + place)
    if "cluster" in table.columns:
        differs = paired.filter(pl.col("cluster") != pl.col("cluster_first"))
        if differs.height:
            where = f"{path} {word} {differs['#'][0]}"
            findings.add("query in several clusters, kept in its first one", "merged", where, differs.height)
    if "prompt" in table.columns:
        differs = paired.filter(pl.col("prompt") != pl.col("prompt_first"))
        if differs.height:
            findings.add("prompt differs between models", "merged", f"{path} {word} {differs['#'][0]}", differs.height)
    return queries


def _refuse_shared_id(shared: pl.DataFrame, path: Path, word: str) -> None:
    if shared.height:
        raise ValueError(
            f"an id must name one query, got {shared['id'][0]!r} for a second one in {path} {word} {shared['#'][0]};"
            " make the ids unique or leave the column out"
        )


def averaged_cells(table: pl.DataFrame, queries: pl.DataFrame, findings: Findings) -> pl.DataFrame:
    """One record of every query and model, with the row of its query: the mean of its runs, their number and spread.

    Records of a cell that say the same are one, where no column tells runs or requests apart.
    """
    table = table.join(queries.select("row", *_key(table)), on=_key(table), how="left", maintain_order="left")
    if "propensity" in table.columns and MARK not in table.columns:
        table = table.with_columns(propensity=_ever_measured())
    alone = pl.struct(_CELL).is_unique()
    one = {"runs": pl.col("score").is_not_null().cast(pl.Float64), "spread": pl.lit(None, dtype=pl.Float64)}
    cells = table.filter(alone).with_columns(of.alias(name) for name, of in one.items() if name not in table.columns)
    if cells.height < table.height:
        cells = pl.concat([cells, _averaged(table.filter(~alone), findings).select(cells.columns)]).sort("#")
    unscored = pl.col("score").is_null() & (~pl.col("failed") if "failed" in cells.columns else True)
    _note(cells.filter(unscored), "null score", "masked", findings)
    return cells


_CELL = ("row", "model")


def _averaged(table: pl.DataFrame, findings: Findings) -> pl.DataFrame:
    """One record of every cell that has several."""
    numbers = [name for name in PLANES if name in table.columns]
    said = [name for name in (*numbers, "reply") if name in table.columns]
    same = pl.lit(value=False)
    if "run" not in table.columns:
        same = pl.all_horizontal(pl.col(name).n_unique().over(_CELL) == 1 for name in said)
    again = ~pl.struct(_CELL).is_first_distinct()
    _note(table.filter(again & same), "identical repeated record", "merged", findings)
    table = table.filter(~(again & same))
    _note(table.filter(~pl.struct(_CELL).is_first_distinct()), "repeated record, averaged as a run", "merged", findings)
    told = {"runs": pl.col("score").count().cast(pl.Float64), "spread": pl.col("score").std()}
    told = {name: _once(name, of) if name in table.columns else of for name, of in told.items()}
    scored_first = table.sort(pl.col("score").is_null(), maintain_order=True)
    return scored_first.group_by(_CELL, maintain_order=True).agg(
        *(pl.col(name).mean() for name in numbers),
        *(of.alias(name) for name, of in told.items()),
        *(pl.col(name).first() for name in table.columns if name not in (*_CELL, *numbers, *told)),
    )


def _once(name: str, of_runs: pl.Expr) -> pl.Expr:
    """What a record says of its runs, where it is the only one of its cell."""
    return pl.when(pl.len() == 1).then(pl.col(name).first()).otherwise(of_runs)


def _key(table: pl.DataFrame) -> list[str]:
    """The columns by which records are of one query: another system prompt asks another one."""
    return (
        ["id"] if "id" in table.columns else [name for name in ("dataset", "query", "system") if name in table.columns]
    )


def filtered(table: pl.DataFrame, wanted: str, path: Path) -> pl.DataFrame:
    """The records whose score counts. Raises ValueError where a reply has several scores, and nobody said which."""
    if "filter" not in table.columns:
        if wanted:
            raise ValueError(f"{path} must have a column filter for one to be chosen, got {wanted!r}; leave it out")
        return table
    names = table["filter"].drop_nulls().unique(maintain_order=True).to_list()
    if wanted:
        if wanted not in names:
            hint = did_you_mean(wanted, names)
            raise ValueError(f"the filter must be one of {', '.join(map(repr, names))} in {path}, got {wanted!r}{hint}")
        return table.filter(pl.col("filter") == wanted)
    one = [*_key(table), "model", *(["run"] if "run" in table.columns else [])]
    if (table.group_by(one).agg(pl.col("filter").n_unique())["filter"] > 1).any():
        raise ValueError(
            f"cannot tell which score counts: {path} has several of one query and model, by filter"
            f" {', '.join(map(repr, names))}; name the one that counts (--filter {names[0]!r})"
        )
    return table


def without_failed(table: pl.DataFrame, findings: Findings) -> pl.DataFrame:
    """The records; a call that failed measured nothing, though it may have cost something."""
    signs = {"success": _not_a_success, "error": _an_error, "status": _a_failure}
    found = [of(pl.col(name).fill_null("").str.strip_chars().str.to_lowercase()) for name, of in signs.items()
             if name in table.columns]  # fmt: skip
    if not found:
        return table
    table = table.with_columns(failed=pl.any_horizontal(found))
    failed = table.filter("failed")
    if failed.height:
        counted = failed.group_by("model").len().sort("model").rows()
        names = [f"{model}: {times}" for model, times in counted]
        where = f"record {failed['#'][0]} of {failed['model'][0]}"
        findings.add("failed call, not measured", "masked", where, failed.height, names)
    free = pl.col("cost") == 0.0 if "cost" in table.columns else pl.lit(value=False)
    gone = {name: pl.col("failed") & (free if name == "cost" else True) for name in PLANES if name in table.columns}
    return table.with_columns(
        pl.when(when).then(None).otherwise(pl.col(name)).alias(name) for name, when in gone.items()
    )


def _not_a_success(word: pl.Expr) -> pl.Expr:
    return word.is_in(["false", "f", "0", "no", "failed", "failure"])


def _an_error(word: pl.Expr) -> pl.Expr:
    return ~word.is_in(["", "none", "null", "nan", "false", "0", "no", "ok", "[]", "{}"])


def _a_failure(word: pl.Expr) -> pl.Expr:
    """Words of a call that brought no reply, and HTTP statuses from 400 on; a refusal is a reply."""
    words = "failed failure fail error errored exception timeout timed_out cancelled canceled filtered content_filter"
    code = word.str.extract(r"^(\d{3})(?:\D|$)").cast(pl.Int64, strict=False).fill_null(0)
    return word.is_in(words.split()) | (code >= 400)


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
    if "cluster" in queries.columns:
        outcomes = replace(outcomes, cluster=_clusters(queries["cluster"], outcomes.group))
    known: dict[str, FloatArray] = {name: _plane(cells, name, at, shape) for name in LOG_PLANES}
    if not (known["runs"] > 1).any():
        known = {"propensity": known["propensity"]}
    known = {name: plane for name, plane in known.items() if np.isfinite(plane).any()}
    return as_written(replace(outcomes, **known), queries, cells, path)  # type: ignore[arg-type]


def _clusters(named: pl.Series, group: IntArray) -> IntArray:
    """Number (n,) of the cluster of each query; one that is in none is alone, and copies share theirs."""
    frame = pl.DataFrame({"name": named}).with_row_index("row")
    first = pl.when(pl.col("name").fill_null("").str.strip_chars() == "").then("row")
    return joined(group, frame.select(first.otherwise(pl.col("row").first().over("name"))).to_series().to_numpy())


def _plane(cells: pl.DataFrame, name: str, at: tuple[AnyArray, AnyArray], shape: tuple[int, int]) -> FloatArray:
    """One plane (n, m); NaN where there is no value."""
    plane = np.full(shape, np.nan)
    if name in cells.columns:
        plane[at] = cells[name].fill_null(float("nan")).to_numpy()
    return plane
