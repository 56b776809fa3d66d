"""`llmrouterbench info`, `routers`, `settings`: look at what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmrouterbench.commands._terminal import (
    print_json,
    show_lines,
    show_matrix,
    show_pairs,
    show_rows,
)
from llmrouterbench.commands.app import (
    Json,
    SettingName,
    app,
    load,
)
from llmrouterbench.settings import BUILT_IN, load_setting


@app.command()
def info(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    setting: SettingName = None,
    json: Json = False,
) -> None:
    """Describe stored outcomes: counts, accuracy and cost of every model, what is missing, the import report."""
    from llmrouterbench.files import read_json
    from llmrouterbench.reporting.describe import describe

    outcomes, chosen = load(folder, setting)
    facts = describe(outcomes, chosen)
    report_file = folder / "import_report.json"
    facts["import_report"] = read_json(report_file) if report_file.is_file() else None
    if json:
        print_json(facts)
        return
    mark = "SIMULATED: " if outcomes.simulated else ""
    show_pairs(f"{mark}Overview ({folder})", facts["overview"])
    show_matrix(f"{mark}Score, mean in %", facts["accuracy"], "{:.2f}")
    if facts["overview"]["cost_usd"] > 0:
        show_matrix(f"{mark}Cost, USD recorded", facts["cost"], "{:.2f}")
    if facts["overview"]["missing_cells"]:
        show_matrix(f"{mark}Cells measured", facts["coverage"], "{:.0f}")
    if facts["overview"]["unknown_costs"]:
        show_matrix(f"{mark}Cells without a known cost", facts["unknown_costs"], "{:.0f}")
    if facts["import_report"]:
        from llmrouterbench.importers import ImportReport, report_lines

        show_lines(report_lines(ImportReport.from_dict(facts["import_report"])))


@app.command("routers")
def routers_(json: Json = False) -> None:
    """List the routers."""
    from llmrouterbench.routers import OUTSIDE, REFERENCES, registry

    rows = [{"name": n, "paper": e.paper, "dial": e.dial, "needs": e.needs} for n, e in registry().items()]
    rows += [{"name": n, "paper": "reference row, always shown", "dial": "none", "needs": ""} for n in REFERENCES]
    rows += [{"name": n, "paper": "replayed from its stored replies", "dial": "none", "needs": ""} for n in OUTSIDE]
    show_rows("Routers", rows, json)


@app.command("settings")
def settings_(json: Json = False) -> None:
    """List the paper's settings."""
    rows = [
        {"name": s.name, "what": s.description, "reference": s.reference, "source": s.source}
        for s in map(load_setting, BUILT_IN)
    ]
    show_rows("Settings", rows, json)
