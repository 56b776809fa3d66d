"""Routing collapse: the most used model, evenness, distance to the oracle's spread, needless service."""

from __future__ import annotations

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_runs
from llmrouterbench.reporting.frames import ends, rows_frame
from llmrouterbench.studies.collapse import routing_collapse


def _table(material: Material) -> pl.DataFrame:
    rows = [
        {
            "router": one.router,
            "top_model": one.top_model,
            **ends("top_share_percent", one.top_share),
            **ends("evenness", one.evenness, 1.0),
            **ends("collapse_index", one.index, 1.0),
            **ends("needless_percent", one.needless),
        }
        for one in routing_collapse(material.runs, played=material.played, **material.draws)
    ]
    return rows_frame(rows, ("router", "top_model"))


EXHIBIT = Exhibit(
    "Routing collapse: how routers spread queries over the models",
    (needs_runs("choices of routers", 1),),
    table=_table,
    place=205,
)
