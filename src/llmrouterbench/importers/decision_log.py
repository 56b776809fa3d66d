"""The decision log of `llmrouterbench serve`: what was really asked, who served it, and what it was worth.

Feedback is the score; a request without any has none. Only requests that a model served in full count, and only those
whose text was kept (`serve --log-text`): a router learns from text. The propensities of the server are kept too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from llmrouterbench.decision_log import FILE, LEFT_OUT, DecisionFrames, read_decisions
from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._long_rows import averaged_cells, number_queries, wide_table
from llmrouterbench.table import FloatArray

_DATASET = "served"


def read_decision_log(path: Path, options: Options) -> Imported:
    """Read the folder of a log. Raises ValueError where it is no log or holds no text of a served request."""
    options.tell("reading", 0, None)
    return served_outcomes(read_decisions(path), path, options)


def served_outcomes(frames: DecisionFrames, path: Path, options: Options) -> Imported:
    """The same of some requests of a log; `path` is where they are said to be from."""
    findings = Findings()
    served = frames.decisions.filter(pl.col("status") == "ok", pl.col("model").is_not_null())
    _note(findings, "request that no model served in full", path, frames.decisions.height - served.height)
    kept = served.filter(pl.col("query").fill_null("").str.strip_chars() != "")
    _note(findings, "request whose text was not kept", path, served.height - kept.height)
    if not kept.height:
        raise ValueError(
            f"{path / FILE} must hold the text of requests that were served, got none in {frames.decisions.height:,}"
            " requests; start the server with --log-text"
        )
    scored = kept.join(
        frames.scored(options.feedback or None).select("id", "score"), on="id", how="left", maintain_order="left"
    )
    table = scored.select(
        pl.int_range(1, pl.len() + 1).alias("#"),
        "query",
        "model",
        pl.lit(_DATASET).alias("dataset"),
        "score",
        "cost",
        pl.col("tokens_in", "tokens_out").cast(pl.Float64),
        "seconds",
    )
    queries = number_queries(table, path, "request", findings)
    cells = averaged_cells(table, queries, findings)
    outcomes = wide_table(cells, queries, path, options, findings)
    propensity = _ever_measured(frames, scored, queries, outcomes.models)
    if np.isfinite(propensity).any():
        outcomes = replace(outcomes, propensity=propensity)
    return Imported(outcomes, findings, {"files": 1, "records": frames.decisions.height})


def _ever_measured(
    frames: DecisionFrames, scored: pl.DataFrame, queries: pl.DataFrame, models: Sequence[str]
) -> FloatArray:
    """Probability (n, m) that any of a query's requests with feedback was served by a model.

    NaN where one of them was not chosen by the server: no probability of ours stands behind it.
    """
    counted = scored.filter(pl.col("score").is_not_null()).join(queries.select("row", "query"), on="query")
    chosen = (pl.col("model") == pl.col("chosen")) & ~pl.col("reason").is_in(LEFT_OUT)
    sure = counted.group_by("row").agg(ours=chosen.all()).filter(pl.col("ours")).select("row")
    chance = (
        frames.models.join(counted.select("id", "row"), on="id")
        .join(sure, on="row")
        .group_by("row", "model")
        .agg(((1.0 - pl.col("propensity")).product().alias("never")), pl.len(), pl.col("propensity").first())
        .filter(pl.col("model").is_in(list(models)))
    )
    found = np.full((queries.height, len(models)), np.nan)
    found[sure["row"].to_numpy()] = 0.0
    column = chance["model"].replace_strict({model: j for j, model in enumerate(models)}, return_dtype=pl.Int64)
    once = chance["len"] == 1
    ever = pl.select(pl.when(once).then(chance["propensity"]).otherwise(1.0 - chance["never"])).to_series()
    found[chance["row"].to_numpy(), column.to_numpy()] = ever.to_numpy()
    return np.asarray(np.clip(found, 0.0, 1.0), dtype=np.float64)


def _note(findings: Findings, kind: str, path: Path, count: int) -> None:
    findings.add(kind, "dropped", str(path / FILE), count)
