"""What each model is worth: alone, added to Best Single, dropped from the pool, and its Shapley value."""

from __future__ import annotations

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material
from llmrouterbench.reporting.frames import ends, rows_frame
from llmrouterbench.studies.curation import marginal_values


def _table(material: Material) -> pl.DataFrame:
    rows = [
        {
            "model": one.model,
            **ends("alone_percent", one.alone),
            **ends("add_one_percent", one.added),
            **ends("drop_one_percent", one.dropped),
            **ends("shapley_percent", one.share),
            "needed": one.needed,
        }
        for one in marginal_values(material.outcomes, **material.draws)
    ]
    return rows_frame(rows, ("model", "needed"))


EXHIBIT = Exhibit("What each model is worth: alone, added, dropped, Shapley value", table=_table, place=207)
