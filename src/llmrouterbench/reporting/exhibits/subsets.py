"""Oracle of curated, top-k and random subsets by size, with the model that joins at each size."""

from __future__ import annotations

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material
from llmrouterbench.reporting.frames import ends, rows_frame


def _table(material: Material) -> pl.DataFrame:
    rows = [
        {
            "subset": curve.name,
            "models": size,
            "joins": curve.models[size - 1] if curve.models else None,
            **ends("oracle_percent", oracle),
            **ends("cost_usd", cost, 1.0),
        }
        for curve in material.curves
        for size, oracle, cost in zip(curve.size, curve.oracle, curve.cost, strict=True)
    ]
    return rows_frame(rows, ("subset", "models"))


EXHIBIT = Exhibit("Curated, top-k and random subsets of the pool", table=_table, place=206)
