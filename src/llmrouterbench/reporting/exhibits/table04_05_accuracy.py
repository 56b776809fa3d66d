"""Tables 4 and 5: mean score of every model on every dataset, percent, over all queries."""

from __future__ import annotations

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material
from llmrouterbench.reporting.frames import nested_frame


def _table(material: Material) -> pl.DataFrame:
    return nested_frame("model", material.facts["accuracy"])


EXHIBIT = Exhibit("Tables 4 and 5: accuracy of every model on every dataset, all queries", table=_table, place=4)
