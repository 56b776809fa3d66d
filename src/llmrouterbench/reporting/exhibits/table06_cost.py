"""Table 6: USD of every model on every dataset, over all queries; unknown costs are left out of the sums."""

from __future__ import annotations

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_costs
from llmrouterbench.reporting.frames import nested_frame


def _table(material: Material) -> pl.DataFrame:
    return nested_frame("model", material.facts["cost"])


EXHIBIT = Exhibit("Table 6: cost of every model on every dataset, all queries", (needs_costs,), table=_table, place=6)
