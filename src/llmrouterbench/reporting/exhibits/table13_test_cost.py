"""Table 13: USD of all test queries for every model, reference and router."""

from __future__ import annotations

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_costs, needs_runs
from llmrouterbench.reporting.exhibits._measured import measured_table


def _table(material: Material) -> pl.DataFrame:
    return measured_table(material, "Total")


EXHIBIT = Exhibit(
    "Table 13: test cost, mean over seeds, every operating point",
    (needs_runs("test costs"), needs_costs),
    table=_table,
    place=13,
)
