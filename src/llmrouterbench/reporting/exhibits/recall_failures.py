"""Model-recall failures: rare queries, which at most three models solve, and what each router does there."""

from __future__ import annotations

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_runs
from llmrouterbench.reporting.frames import ends, rows_frame
from llmrouterbench.studies.hardness import recall_failures


def _table(material: Material) -> pl.DataFrame:
    rows = [
        {
            "router": one.router,
            "few": one.few,
            "rare_queries": one.rare,
            "rare_percent": 100.0 * one.share,
            **ends("accuracy_there_percent", one.accuracy),
            "missed_queries": one.missed,
            **ends("share_of_gap_percent", one.gap),
        }
        for one in recall_failures(material.runs, played=material.played, **material.draws)
    ]
    return rows_frame(rows, ("router", "few"))


EXHIBIT = Exhibit(
    "Rare queries, which at most three models solve, and what routers do there",
    (needs_runs("choices of routers", 1),),
    table=_table,
    place=204,
)
