"""`llmrouterbench info`, `routers`, `settings`: look at what is there."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

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
from llmrouterbench.coverage import cannot_tell
from llmrouterbench.numerals import UNKNOWN, count, number, significant, usd
from llmrouterbench.settings import BUILT_IN, load_setting

_FORMS: dict[str, Callable[[Any], str]] = {
    "tokens_millions": significant,
    "cost_usd": usd,
    "best_single": lambda model: model or UNKNOWN,
    "best_single_AvgAcc": number,
    "dataset_oracle_AvgAcc": number,
    "oracle_AvgAcc": number,
}
"""How the facts of the overview are printed that are no counts."""


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
    overview, logged = facts["overview"], facts["data"]["kind"] == "logged"
    show_lines([*_about(facts["data"], facts["values"]), *_lacking(facts["lacking"]), *_noise(facts["runs"])])
    show_pairs(f"{mark}Overview ({folder})", {key: _FORMS.get(key, count)(value) for key, value in overview.items()})
    where = " of the queries that each model answered" if logged else ""
    show_matrix(f"{mark}Score, mean in %{where}", facts["accuracy"], number)
    if isfinite(overview["cost_usd"]):
        show_matrix(f"{mark}Cost, USD recorded", facts["cost"], usd)
    if overview["missing_cells"]:
        show_matrix(f"{mark}Cells measured", facts["coverage"], count)
    if overview["unknown_costs"]:
        show_matrix(f"{mark}Cells without a known cost", facts["unknown_costs"], count)
    if facts["import_report"]:
        from llmrouterbench.importers import ImportReport, report_lines

        show_lines(report_lines(ImportReport.from_dict(facts["import_report"])))


def _about(data: dict[str, Any], found: dict[str, Any] | None) -> list[str]:
    """The kind of the data, first of all; of a log also what every model would score, or that nobody can say."""
    words = [data["words"][0].upper() + data["words"][1:] + "."]
    if found is None:
        return words
    from llmrouterbench.estimating.tables import LogSummary
    from llmrouterbench.reporting.log_advice import how_estimated, only_good, value_line

    values = LogSummary.from_dict(found)
    if sum(one.known for one in values.models) < 2:
        return [*words, f"{cannot_tell('which model is best')}."]
    estimated = how_estimated(values.queries, known=values.known)
    return [*words, estimated, *map(value_line, values.models), *only_good(values.models)]


def _lacking(found: list[dict[str, Any]]) -> list[str]:
    """The models whose missing scores are not missing at random."""
    from llmrouterbench.reporting.advice import lacks
    from llmrouterbench.studies.swaps import Lacking

    return [lacks(Lacking(**one)) for one in found]


def _noise(runs: dict[str, float] | None) -> list[str]:
    """How far scores scatter when a model answers again, where it did."""
    if runs is None:
        return []
    return [
        f"{count(runs['cells'])} cells are means of {number(runs['mean'], 1)} runs; the label noise of one run is"
        f" {number(runs['spread'])} points (standard deviation), of a mean {number(runs['spread_of_mean'])}."
    ]


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
