"""The decision log of `llmrouterbench serve`: what was really asked, who served it, and what it was worth.

Feedback is the score; a request without any has none. Only requests that a model served in full count, and only those
whose text was kept (`serve --log-text`): a router learns from text.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from llmrouterbench.decision_log import FILE, read_decisions
from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._long_rows import first_cells, number_queries, wide_table

_DATASET = "served"


def read_decision_log(path: Path, options: Options) -> Imported:
    """Read the folder of a log. Raises ValueError where it is no log or holds no text of a served request."""
    findings = Findings()
    options.tell("reading", 0, None)
    frames = read_decisions(path)
    served = frames.decisions.filter(pl.col("status") == "ok", pl.col("model").is_not_null())
    _note(findings, "request that no model served in full", path, frames.decisions.height - served.height)
    kept = served.filter(pl.col("query").fill_null("").str.strip_chars() != "")
    _note(findings, "request whose text was not kept", path, served.height - kept.height)
    if not kept.height:
        raise ValueError(
            f"{path / FILE} must hold the text of requests that were served, got none in {frames.decisions.height:,}"
            " requests; start the server with --log-text"
        )
    table = kept.join(frames.feedback.select("id", "score"), on="id", how="left", maintain_order="left").select(
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
    cells = first_cells(table, queries, findings)
    outcomes = wide_table(cells, queries, path, options, findings)
    return Imported(outcomes, findings, {"files": 1, "records": frames.decisions.height})


def _note(findings: Findings, kind: str, path: Path, count: int) -> None:
    findings.add(kind, "dropped", str(path / FILE), count)
