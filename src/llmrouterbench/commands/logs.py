"""`llmrouterbench evaluate-logs`, `drift`, `compare-live` and `refit`: what the decision log of a server tells."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrouterbench.commands._terminal import print_json, say, show_lines, show_rows
from llmrouterbench.commands.app import Json, SettingName, app, usage
from llmrouterbench.files import check_free
from llmrouterbench.naming import listed
from llmrouterbench.numerals import UNKNOWN, count, interval, number, p_value, percent, points, usd

if TYPE_CHECKING:
    from llmrouterbench.production.live import Live
    from llmrouterbench.production.log_study import PolicyValue, Studied
    from llmrouterbench.production.refitting import Refit

LogFolder = Annotated[Path, typer.Argument(help="The folder that `serve --log` wrote.")]
Kind = Annotated[str | None, typer.Option("--feedback", help="The kind that counts, where the log has several.")]
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
    json: Json = False,
) -> None:
    """Estimate how other policies would have done on the requests of a log: IPS, SNIPS and doubly robust."""
    from llmrouterbench.benching.policies.policy import Policy
    from llmrouterbench.decision_log import read_decisions
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.production.log_study import policy_values, study

    policies = usage(lambda: [str(Policy.parse(words)) for words in policy or []])
    if (log / "manifest.json").is_file():
        _of_outcomes(log, router, policies, json)
        return
    studied = study(read_decisions(log), feedback)
    fitted = FittedRouter.load(router) if router else None
    if fitted is not None and not policies:
        policies = [str(fitted.default_policy)]
    values = policy_values(studied, fitted, policies)
    if json:
        facts = {"requests": len(studied), "left_out": studied.left_out}
        print_json({**facts, "policies": [value.to_dict() for value in values]})
        return
    show_rows("Policies", [_cells(value) for value in values], json=False)
    for line in _notes(studied, values):
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
            "score, doubly robust": interval(one.score, _thousandths),
            "SNIPS": _thousandths(one.snips),
            "IPS": _thousandths(one.ips),
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
    json: Json = False,
) -> None:
    """Compare the requests of a log with what the router was fitted on."""
    from llmrouterbench.decision_log import read_decisions
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.production.log_study import log_drift, study

    fitted = FittedRouter.load(router)
    studied = study(read_decisions(log), feedback)
    found = log_drift(studied, fitted)
    novel = float(studied.ood.mean())
    if json:
        print_json({"requests": len(studied), "out_of_distribution": novel, "numbers": [asdict(one) for one in found]})
        return
    rows = [
        {
            "number": one.name,
            "then": f"{number(one.mean_then, 3)} ({count(one.then)})",
            "now": f"{number(one.mean_now, 3)} ({count(one.now)})",
            "stability index": number(one.psi, 3),
            "p": p_value(one.p_value),
            "verdict": one.verdict,
        }
        for one in found
    ]
    show_rows("Means then and now (values)", rows, json=False)
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

    live = compare(*logs, experiment=experiment, feedback=feedback)
    if json:
        print_json({**asdict(live), "finding": live.finding})
        return
    rows = [
        {
            "side": name,
            "conversations": count(side.conversations),
            "requests": count(side.requests),
            "failed": count(side.failed),
            "with feedback": count(side.scored),
            "score": _thousandths(side.score),
            "USD a request": usd(side.cost),
        }
        for name, side in (("running", live.running), ("candidate", live.candidate))
    ]
    show_rows(f"Experiment {live.experiment}, candidate on {percent(live.share, unit=' %')}", rows, json=False)
    for line in _said_of(live):
        say(line)


def _said_of(live: Live) -> list[str]:
    told = {"better": "the candidate is better", "worse": "the candidate is worse", "cannot tell": "cannot tell yet"}
    scored = count(live.running.scored + live.candidate.scored)
    lines = [
        f"{told[live.finding]}: score {interval(live.score, points, ' points')} on {scored} conversations with feedback"
        f" ({live.feedback}); on {percent(live.differs, unit=' %')} of them the routers differ. This holds however"
        " often you look",
        f"USD a conversation {interval(live.cost, _signed)}",
    ]
    if live.judging:
        lines.append(f"judges cost {usd(live.judging, ' USD')}")
    if live.others:
        lines.append(f"other experiments in the log: {', '.join(live.others)}")
    return lines


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
    verdict = "Promote the new router: it is surely better." if made.promote else "Keep the running router."
    changed = f"Old outcomes of {listed(made.changed)} are left out: the log contradicts them." if made.changed else ""
    return [
        verdict,
        f"Score of the new one minus the running one: {interval(made.score, points, ' points')}, at least"
        f" {points(made.at_least, unit=' points')} with 95 % certainty; USD a query {_signed(made.cost)}.",
        f"Learned from {count(made.trained)} queries of the log, compared on {count(made.judged)} later ones; they"
        f" differ on {percent(made.differs, unit=' %')} of these.",
        *([changed] if changed else []),
    ]


def _signed(value: float | None) -> str:
    return f"{'-' if (value or 0.0) < 0.0 else '+'}{usd(None if value is None else abs(value))}"


def _cells(value: PolicyValue) -> dict[str, Any]:
    score, cost = value.score, value.cost
    return {
        "policy": value.policy,
        "score, doubly robust": interval(score.doubly_robust, _thousandths) if score else UNKNOWN,
        "SNIPS": interval(score.snips, _thousandths) if score else UNKNOWN,
        "IPS": interval(score.ips, _thousandths) if score else UNKNOWN,
        "USD a query, doubly robust": interval(cost.doubly_robust, _dollars) if cost else UNKNOWN,
        "worth": f"{count(score.effective)} of {count(score.scored)}" if score else UNKNOWN,
        "never tried": percent(score.unsupported, unit=" %") if score else UNKNOWN,
    }


def _dollars(value: float | None) -> str:
    """USD of a query: an estimate of few requests may fall below zero, a price cannot."""
    return usd(None if value is None else max(0.0, value))


def _thousandths(value: float | None) -> str:
    return number(value, 3)


def _notes(studied: Studied, values: list[PolicyValue]) -> list[str]:
    left_out = ", ".join(f"{count(left)} {why}" for why, left in studied.left_out.items())
    lines = [f"{count(len(studied))} requests count; left out: {left_out or 'none'}"]
    scored = next((value.score for value in values if value.score), None)
    if scored is None:
        return [*lines, "no request has feedback: post scores to /v1/feedback"]
    lines.append(
        f"{count(scored.scored)} of them have feedback; who gives it is their choice, so it may not speak for all"
    )
    if any(value.score and value.score.unsupported > 0.01 for value in values):
        lines.append(
            "never tried: the share of a policy on models that the log could not have served; nothing was measured"
            " there, serve with --explore to know"
        )
    return lines
