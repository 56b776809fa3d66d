"""One sentence a router: whom it beats, who beats it, and from whom it is not distinguishable."""

from __future__ import annotations

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_runs
from llmrouterbench.reporting.frames import rows_frame
from llmrouterbench.reporting.words import standing_sentence


def _table(material: Material) -> pl.DataFrame:
    found = material.differences
    rows = [{"router": name, "verdict": standing_sentence(found, name)} for name in found.names]
    return rows_frame(rows, ("router", "verdict"))


EXHIBIT = Exhibit(
    "What can be said of every router, in words",
    (needs_runs("scores of routers", 2),),
    table=_table,
    place=203,
    of_logs=True,
)
