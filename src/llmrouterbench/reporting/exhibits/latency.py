"""AvgAcc, USD and end-to-end seconds a query of every model, and the three-objective frontier."""

from __future__ import annotations

import numpy as np
import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_seconds
from llmrouterbench.reporting.frames import ends, rows_frame


def _table(material: Material) -> pl.DataFrame:
    rows = [
        {
            "model": one.model,
            **ends("accuracy_percent", one.score),
            **ends("cost_usd", one.cost, 1.0),
            **ends("seconds", one.seconds, 1.0),
            "on_frontier": one.on_frontier if np.isfinite(one.seconds.value) else None,
        }
        for one in material.latencies
    ]
    return rows_frame(rows, ("model", "on_frontier"))


EXHIBIT = Exhibit("Accuracy, cost and seconds of every model", (needs_seconds,), table=_table, place=208)
