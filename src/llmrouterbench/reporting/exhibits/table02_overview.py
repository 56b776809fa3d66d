"""Table 2: counts, tokens (millions) and cost of the outcomes, one line a fact."""

from __future__ import annotations

import math

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material


def _table(material: Material) -> pl.DataFrame:
    facts = material.facts["overview"]
    rows = {
        "Datasets": f"{facts['datasets']}",
        "Models": f"{facts['models']}",
        "Prompts": f"{facts['queries']}",
        "Instances": f"{facts['instances']}",
        "Missing cells": f"{facts['missing_cells']}",
        "Tokens (M)": _known(facts["tokens_millions"], 1),
        "Cost (USD)": _known(facts["cost_usd"], 2),
        "Calls of unknown cost": f"{facts['unknown_costs']}",
    }
    return pl.DataFrame({"metric": list(rows), "value": list(rows.values())})


def _known(value: float, digits: int) -> str | None:
    return f"{value:.{digits}f}" if math.isfinite(value) else None


EXHIBIT = Exhibit("Table 2: counts, tokens and cost", table=_table, place=2)
