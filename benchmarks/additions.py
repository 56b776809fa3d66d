"""What it takes to add to the house: one example of each kind, as edits of the files that it touches.

`tests/test_additions.py` makes each in a copy of the sources and uses it; `make house` counts the files.
"""

from __future__ import annotations

from pathlib import Path

Edits = dict[str, list[tuple[str, str]]]
"""File of the package -> (text before which new text stands, new text); ("", text) makes a new file."""

POLICY = '''"""`second`: the model that comes second."""

from __future__ import annotations

from dataclasses import dataclass

from llmrouterbench.benching.policies.orders import best_first
from llmrouterbench.benching.policies.policy import Belief, Policy, Ranking


@dataclass(frozen=True, kw_only=True)
class Second(Policy):
    """The second best model."""

    kind = "second"
    forms = ("second",)

    def order(self, belief: Belief, setting: float) -> Ranking:
        """Models (n, m) by score, the best one last."""
        order = best_first(belief.score, belief.name)
        return order[:, [*range(1, order.shape[1]), 0]], None
'''
EXHIBIT = '''"""How many queries each dataset has."""

from __future__ import annotations

import numpy as np
import polars as pl

from llmrouterbench.reporting.exhibits._material import Exhibit, Material


def _table(material: Material) -> pl.DataFrame:
    names, counts = np.unique(material.outcomes.dataset, return_counts=True)
    return pl.DataFrame({"dataset": names.tolist(), "queries": counts.tolist()})


EXHIBIT = Exhibit("Queries of each dataset", (), table=_table, place=900)
'''
ADDITIONS: dict[str, Edits] = {
    "a serving policy": {"benching/policies/second.py": [("", POLICY)]},
    "an exhibit": {"reporting/exhibits/queries.py": [("", EXHIBIT)]},
    "a leaderboard column": {
        "reporting/columns.py": [
            ("    avg_acc_std: float\n", "    seeds_measured: int\n"),
            (
                '    Column(\n        "avg_acc_std",',
                '    Column("seeds_measured", "seeds", "seeds with numbers", '
                "lambda row: Cell.of(row.seeds_measured, count)),\n",
            ),
        ],
        "reporting/leaderboard.py": [
            ("        avg_acc_std=", "        seeds_measured=len(paired.acc_by_seed),\n"),
        ],
    },
    "a bench option": {
        "benching/rules.py": [
            ("    tune: bool = False\n", "    half: bool = False\n"),
            ('            "tune": self.tune,\n', '            **({"half": True} if self.half else {}),\n'),
            ('            "tune": stored.get("tune"),\n', '            "half": stored.get("half"),\n'),
        ],
        "commands/bench.py": [
            ("    tune: Annotated[", '    half: Annotated[bool, typer.Option("--half", help="Less.")] = False,\n'),
            ("            tune=tune,\n", "            half=half,\n"),
        ],
        "benching/bench.py": [
            (
                "    kind = rules.split_kind\n",
                "    if rules.half:\n"
                "        ratio = rules.ratio / 2\n"
                "        return {s: make_split(outcomes, s, kind=rules.split_kind, ratio=ratio) for s in seeds}\n",
            ),
        ],
    },
}  # fmt: skip


def make(what: str, package: Path) -> None:
    """Make an addition in a copy of the package. Raises ValueError where a text to stand before is not there once."""
    for name, edits in ADDITIONS[what].items():
        path = package / name
        if edits[0][0] == "":
            path.write_text(edits[0][1], encoding="utf-8")
            continue
        text = path.read_text(encoding="utf-8")
        for before, new in edits:
            if text.count(before) != 1:
                raise ValueError(f"{name} must hold {before!r} once, got {text.count(before)} times")
            text = text.replace(before, new + before)
        path.write_text(text, encoding="utf-8")
