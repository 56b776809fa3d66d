"""Table 10: AvgAcc in percent of every router with each embedder."""

from __future__ import annotations

from typing import Any

import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material
from llmrouterbench.reporting.frames import ends, rows_frame
from llmrouterbench.reporting.leaderboard import leaderboard


def _needs_embedders(material: Material) -> str:
    return "" if material.embedders else "needs a folder of runs for each embedder"


def _table(material: Material) -> pl.DataFrame:
    """One line an embedder, three columns a router."""
    lines = []
    for name, runs in material.embedders.items():
        board = leaderboard(runs, samples=material.draws["replicates"], seed=material.draws["seed"])
        line: dict[str, Any] = {"embedder": name}
        for row in board.of_kind("router"):
            line |= ends(row.name, row.avg_acc)
        lines.append(line)
    return rows_frame(lines, ("embedder",))


EXHIBIT = Exhibit("Table 10: routers with different embedders", (_needs_embedders,), table=_table, place=10)
