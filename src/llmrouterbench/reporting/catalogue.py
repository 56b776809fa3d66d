"""Exhibits on disk: tables/*.csv, figures/*.svg, .png and .csv, and exhibits.md, which says what each of them is."""

from __future__ import annotations

from pathlib import Path

from llmrouterbench.files import write_bytes
from llmrouterbench.naming import markdown_safe
from llmrouterbench.reporting.exhibits import Exhibits
from llmrouterbench.reporting.figures.picture import save_picture

WHAT = {
    "table02_overview": "Table 2: counts, tokens and cost",
    "table04_05_accuracy": "Tables 4 and 5: accuracy of every model on every dataset, all queries",
    "table06_cost": "Table 6: cost of every model on every dataset, all queries",
    "table10_embedders": "Table 10: routers with different embedders",
    "table11_12_test_accuracy": "Tables 11 and 12: test accuracy, mean over seeds, every operating point",
    "table13_test_cost": "Table 13: test cost, mean over seeds, every operating point",
    "figure03_domains": "Figure 3: accuracy of the models by domain",
    "figure04_metrics": "Figure 4: AvgAcc, Gain@R, Gain@B and Gap@O",
    "figure05_hardness": "Figure 5: query hardness, router accuracy and recall failures",
    "figure06_subsets": "Figure 6: oracle of curated, top-k and random subsets",
    "figure07_savings": "Figure 7: PerfGain and CostSave",
    "figure08_pareto": "Figure 8: accuracy against cost, the frontier and ParetoDist",
    "figure09_latency": "Figure 9: accuracy, cost and latency",
    "figure10_distribution": "Figure 10: which models the routers serve",
    "heatmap": "Accuracy by dataset",
    "differences": "Routers against each other, corrected for comparing all pairs",
    "verdicts": "What can be said of every router, in words",
    "recall_failures": "Rare queries, which at most three models solve, and what routers do there",
    "collapse": "Routing collapse: how routers spread queries over the models",
    "subsets": "Curated, top-k and random subsets of the pool",
    "marginal_values": "What each model is worth: alone, added, dropped, Shapley value",
    "latency": "Accuracy, cost and seconds of every model",
}
"""What every table and figure is, in the order in which they are listed."""
NAME = "exhibits.md"


def write_exhibits(made: Exhibits, folder: Path) -> None:
    """Write every table, every figure and the list of them; what only an earlier source had does not stay behind."""
    for name, table in made.tables.items():
        write_bytes(folder / "tables" / f"{name}.csv", table.write_csv().encode())
    for picture in made.pictures.values():
        save_picture(picture, folder / "figures")
    for name in WHAT:
        if name not in made.tables:
            (folder / "tables" / f"{name}.csv").unlink(missing_ok=True)
        if name not in made.pictures:
            for ending in ("csv", "svg", "png"):
                (folder / "figures" / f"{name}.{ending}").unlink(missing_ok=True)
    write_bytes(folder / NAME, markdown(made).encode())


def markdown(made: Exhibits, figures: str = "figures", tables: str = "tables") -> str:
    """The list as a page: what can be said, figures with their notes, links to tables, what was left out."""
    mark = " (SIMULATED)" if made.simulated else ""
    parts = [f"# Tables and figures: {markdown_safe(made.title)}{mark}"]
    if made.verdicts:
        parts += ["## What can be said", "\n".join(f"- {markdown_safe(one)}" for one in made.verdicts)]
    for name in (name for name in WHAT if name in made.pictures):
        picture = made.pictures[name]
        parts += [f"## {WHAT[name]}{mark}", f"![{WHAT[name]}]({figures}/{name}.png)"]
        parts += [" ".join(map(markdown_safe, picture.notes))] if picture.notes else []
        parts.append(f"[SVG]({figures}/{name}.svg), [numbers]({figures}/{name}.csv)")
    links = [f"- [{WHAT[name]}]({tables}/{name}.csv)" for name in WHAT if name in made.tables]
    parts += ["## Tables", "\n".join(links)]
    if made.left_out:
        reasons = [f"- {WHAT[name]}: {reason}" for name, reason in made.left_out.items()]
        parts += ["## Not made", "\n".join(reasons)]
    return "\n\n".join(parts) + "\n"
