"""`llmrouterbench evaluate-logs`, `drift`, `compare-live` and `refit`: what the decision log of a server tells."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrouterbench.commands._terminal import print_json, say, show_lines, show_rows
from llmrouterbench.commands.app import Json, SettingName, app, usage
from llmrouterbench.files import check_free
from llmrouterbench.naming import listed
from llmrouterbench.numerals import count, interval, number, percent, points, usd

if TYPE_CHECKING:
    from llmrouterbench.production.refitting import Refit

LogFolder = Annotated[Path, typer.Argument(help="The folder that `serve --log` wrote.")]
Kind = Annotated[str | None, typer.Option("--feedback", help="The kind that counts, where the log has several.")]
Last = Annotated[int | None, typer.Option("--last", min=1, help="So many of the newest requests only.")]
AnyLog = Annotated[Path, typer.Argument(help="The folder that `serve --log` wrote, or a folder of logged outcomes.")]


@app.command("evaluate-logs")
def evaluate_logs(
    log: AnyLog,
    router: Annotated[
        Path | None, typer.Option("--router", help="A folder that `fit` made, to judge its policies.")
    ] = None,
    policy: Annotated[
        list[str] | None, typer.Option("--policy", help="A policy of that router; say it again for more.")
    ] = None,
    feedback: Kind = None,
    last: Last = None,
    json: Json = False,
) -> None:
    """Estimate how other policies would have done on the requests of a log: IPS, SNIPS and doubly robust."""
    from llmrouterbench.benching.policies.policy import Policy
    from llmrouterbench.decision_log import read_decisions
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.production.log_study import policy_values, saving, study
    from llmrouterbench.production.log_words import saving_lines, value_notes, value_row

    policies = usage(lambda: [str(Policy.parse(words)) for words in policy or []])
    if (log / "manifest.json").is_file():
        if last is not None:
            raise typer.BadParameter("--last is for the log of a server; stored outcomes have no newest ones")
        _of_outcomes(log, router, policies, json)
        return
    studied = study(read_decisions(log, last), feedback)
    fitted = FittedRouter.load(router) if router else None
    if fitted is not None and not policies:
        policies = [str(fitted.default_policy)]
    values, saved = policy_values(studied, fitted, policies), saving(studied)
    if json:
        facts = {"requests": len(studied), "left_out": studied.left_out, "saving": saved and asdict(saved)}
        print_json({**facts, "policies": [value.to_dict() for value in values]})
        return
    show_rows("Policies", [value_row(value) for value in values], json=False)
    for line in value_notes(studied, values):
        say(line)
    for line in saving_lines(saved) if saved else ():
        say(line)


def _of_outcomes(folder: Path, router: Path | None, policies: list[str], json: bool) -> None:
    from llmrouterbench.api import evaluate_logs as evaluate
    from llmrouterbench.production.table_study import TableValues
    from llmrouterbench.reporting.log_advice import how_estimated, only_good

    found = evaluate(folder, router=router, policy=policies)
    assert isinstance(found, TableValues)
    if json:
        print_json(found.to_dict())
        return
    rows = [
        {
            "policy": one.name,
            "score, doubly robust": interval(one.score, partial(number, digits=3)),
            "SNIPS": number(one.snips, 3),
            "IPS": number(one.ips, 3),
            "USD a query, doubly robust": usd(one.cost),
            "worth": count(one.effective),
            "never tried": percent(one.beyond, unit=" %"),
        }
        for one in found.policies
    ]
    show_rows("Policies", rows, json=False)
    for line in (how_estimated(found.queries, known=found.known), *only_good(found.policies)):
        say(line)
    say(f"{count(found.left_out)} queries are left out")
    if router is not None:
        say("a router that learned from these queries looks better than it is")


@app.command()
def drift(
    log: LogFolder,
    router: Annotated[Path, typer.Option("--router", help="The folder of the router that serves.")],
    feedback: Kind = None,
    last: Last = None,
    json: Json = False,
) -> None:
    """Compare the requests of a log with what the router was fitted on."""
    from llmrouterbench.decision_log import read_decisions
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.production.log_study import log_drift, study
    from llmrouterbench.production.log_words import drift_row

    fitted = FittedRouter.load(router)
    studied = study(read_decisions(log, last), feedback)
    found = log_drift(studied, fitted)
    novel = float(studied.ood.mean())
    if json:
        print_json({"requests": len(studied), "out_of_distribution": novel, "numbers": [asdict(one) for one in found]})
        return
    show_rows("Means then and now (values)", [drift_row(one) for one in found], json=False)
    say(f"{percent(novel, unit=' %')} of {count(len(studied))} requests are out of distribution")


@app.command("compare-live")
def compare_live(
    logs: Annotated[list[Path], typer.Argument(help="Folders that `serve --candidate --log` wrote.")],
    experiment: Annotated[
        str | None, typer.Option("--experiment", help="Of several in a log; the newest when not given.")
    ] = None,
    feedback: Kind = None,
    json: Json = False,
) -> None:
    """Compare a candidate with the running router on split traffic; look as often as you like."""
    from llmrouterbench.production.live import compare_live as compare
    from llmrouterbench.production.log_words import live_lines, live_rows

    live = compare(*logs, experiment=experiment, feedback=feedback)
    if json:
        print_json({**asdict(live), "finding": live.finding})
        return
    title = f"Experiment {live.experiment}, candidate on {percent(live.share, unit=' %')}"
    show_rows(title, live_rows(live), json=False)
    for line in live_lines(live):
        say(line)


@app.command()
def refit(
    router_dir: Annotated[Path, typer.Argument(help="The folder of the router that serves.")],
    logs: Annotated[Path, typer.Option("--logs", help="What `serve --log --log-text --explore` wrote.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to make.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="The old outcomes; those that the manifest names when not given.")
    ] = None,
    setting: SettingName = None,
    feedback: Kind = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder if it exists.")] = False,
    json: Json = False,
) -> None:
    """Fit a router again on old outcomes and a log, and say whether it is better than the running one."""
    from llmrouterbench.api import refit as make

    check_free(to, overwrite)
    made = make(router_dir, logs, data, feedback=feedback, setting=setting)
    made.router.save(to, overwrite=overwrite)
    if json:
        print_json({"folder": str(to), "promote": made.promote, **made.router.facts["lineage"][-1]})
        return
    show_lines(refit_lines(made))
    then = f"serve it: llmrouterbench serve {to}" if made.promote else f"go on with {router_dir}, and collect more"
    say(f"stored in {to}; {then}")


def refit_lines(made: Refit) -> list[str]:
    """What was compared and what follows, as plain lines."""
    from llmrouterbench.production.log_words import signed_usd

    verdict = "Promote the new router: it is surely better." if made.promote else "Keep the running router."
    changed = f"Old outcomes of {listed(made.changed)} are left out: the log contradicts them." if made.changed else ""
    return [
        verdict,
        f"Score of the new one minus the running one: {interval(made.score, points, ' points')}, at least"
        f" {points(made.at_least, unit=' points')} with 95 % certainty; USD a query {signed_usd(made.cost)}.",
        f"Learned from {count(made.trained)} queries of the log, compared on {count(made.judged)} later ones; they"
        f" differ on {percent(made.differs, unit=' %')} of these.",
        *([changed] if changed else []),
    ]
