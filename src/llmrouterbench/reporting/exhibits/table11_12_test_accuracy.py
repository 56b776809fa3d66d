"""Tables 11 and 12: test accuracy of every model, reference and router, percent."""

from __future__ import annotations

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material, needs_runs
from llmrouterbench.reporting.exhibits._measured import measured_table


def _table(material: Material) -> pl.DataFrame:
    return measured_table(material, "AvgAcc")


EXHIBIT = Exhibit(
    "Tables 11 and 12: test accuracy, mean over seeds, every operating point",
    (needs_runs("test accuracies"),),
    table=_table,
    place=11,
)
