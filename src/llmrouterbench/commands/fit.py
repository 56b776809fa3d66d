"""`llmrouterbench fit`, `policies`, `route`, `add-model` and `drop-model`: from outcomes to a router that serves."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.markup import escape

from llmrouterbench.commands._terminal import print_json, say, show_lines, tables
from llmrouterbench.commands.app import Json, SettingName, app, load, usage
from llmrouterbench.files import check_free
from llmrouterbench.naming import listed
from llmrouterbench.numerals import count, interval, number, percent, seconds, usd
from llmrouterbench.stats import Interval

if TYPE_CHECKING:
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.production.promises import Promise
    from llmrouterbench.table import Outcomes

RouterDir = Annotated[Path, typer.Argument(help="A folder that `fit` made.")]
PolicyWords = Annotated[
    str | None,
    typer.Option("--policy", help='Such as "cheapest --min-quality 0.8", "best --budget 0.002/query", "weight 250".'),
]


@app.command()
def fit(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to make.")],
    router: Annotated[
        str, typer.Option("--router", help="A router with its settings, or auto: chosen inside train, with the reason.")
    ] = "auto",
    policy: PolicyWords = None,
    setting: SettingName = None,
    embedder: Annotated[str, typer.Option("--embedder", help="tfidf, minilm, st:NAME, endpoint:URL#MODEL.")] = "tfidf",
    text: Annotated[
        str, typer.Option("--text", help="Learn from the 'prompt' (with template) or the bare 'query'.")
    ] = "prompt",
    share: Annotated[float, typer.Option("--calibration", help="Share of the queries for calibration.")] = 0.2,
    novel: Annotated[
        float, typer.Option("--novel", help="Share of ordinary queries that may count as out of distribution.")
    ] = 0.01,
    fallback: Annotated[
        str | None, typer.Option("--fallback", help="Who serves those; the best single model when not given.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed")] = 42,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder if it exists.")] = False,
    json: Json = False,
) -> None:
    """Fit a router for production: train, calibrate, measure its policies, and store everything in one folder."""
    from llmrouterbench.production.fitting import FitSettings
    from llmrouterbench.production.fitting import fit as make
    from llmrouterbench.production.promises import usual_promises

    settings = FitSettings(router, policy, embedder, text, share, novel, fallback, seed)
    check_free(to, overwrite)
    outcomes, _ = load(folder, setting)
    usage(lambda: settings.check(outcomes.pool.models))
    fitted = make(outcomes, settings, replies=folder, say=lambda what: say(f"{what} ..."))
    fitted.facts["data"] |= {"folder": str(folder)} | ({"setting": setting} if setting else {})
    _save(fitted, to, overwrite=overwrite)
    promised = usual_promises(fitted)
    if json:
        print_json({"folder": str(to), **fitted.facts, **_promised(fitted, promised)})
        return
    show_lines(fit_lines(fitted))
    _show_promises(fitted, promised)
    say(f'stored in {to}; next: llmrouterbench route {shlex.quote(str(to))} "your query"')
    if "coverage" not in fitted.facts["data"]:
        say(f"whether routing is worth it at all is the verdict of: llmrouterbench advise {shlex.quote(str(folder))}")


def _save(fitted: FittedRouter, to: Path, *, overwrite: bool) -> None:
    """Store a router, and beside it the plot of its calibration where matplotlib is and anything was measured."""
    fitted.save(to, overwrite=overwrite)
    piece = fitted.learned.piece
    if find_spec("matplotlib") is None or not np.isfinite(piece.observed_score).any():
        return
    from llmrouterbench.metrics import calibrate
    from llmrouterbench.reporting.figures.picture import save_picture
    from llmrouterbench.reporting.figures.reliability import reliability_picture

    curves = {
        "router's estimate": calibrate(np.clip(piece.score, 0.0, 1.0), piece.observed_score),
        "calibrated, out of fold": calibrate(piece.quality, piece.observed_score),
    }
    title, simulated = "all models, calibration slice", bool(fitted.facts.get("simulated"))
    save_picture(reliability_picture(curves, title=title, simulated=simulated), to, "reliability")


def _of_a_log(data: dict[str, Any]) -> list[str]:
    """What stands before every number of a router that was fitted on a log."""
    if "coverage" not in data:
        return []
    how = "as if each model had served every query (doubly robust)"
    few = "where a policy has fewer than 20 effective trials its quality is unknown"
    return [f"{data['coverage']['words'].capitalize()}.", f"Learned and judged {how}; {few}."]


def fit_lines(fitted: FittedRouter) -> list[str]:
    """What was fitted and why, as plain lines."""
    facts = fitted.facts
    data, report = facts["data"], facts["calibration"]
    before, after = report["before"], report["after"]
    mark = "SIMULATED data. " if facts["simulated"] else ""
    judged, where = f"calibrated on {count(data['calibration'])} others", "on the calibration slice"
    if "coverage" in data:
        judged, where = "calibrated and judged on each by routers that learned from the others", "out of fold"
    return [
        *_of_a_log(data),
        f"{mark}Router {facts['router']} on {count(data['train'])} queries, {judged}.",
        *(f"- {sentence}" for sentence in facts["why_router"]),
        f"Default policy: {facts['policy']}",
        *(f"- {sentence}" for sentence in facts["why_policy"]),
        f"- {where} it is {facts['guard']['verdict']}",
        f"Calibration of scores: {report['method']}; calibration error {percent(before['error'], 2, unit=' %')} before"
        f" and {percent(after['error'], 2, unit=' %')} after, Brier {number(before['brier'], 4)} and"
        f" {number(after['brier'], 4)}.",
        f"Calibration of costs: {report['cost_method']}; error of the bills"
        f" {percent(report['bill_error_before'], unit=' %')} before and"
        f" {percent(report['bill_error_after'], unit=' %')} after.",
        f"Out of distribution: {facts['fallback']} serves.",
        *_not_routing(fitted),
        "",
    ]


def _not_routing(fitted: FittedRouter) -> list[str]:
    """That nothing is routed, where one model serves everything."""
    from llmrouterbench.production.promises import serves_alone

    alone = serves_alone(fitted)
    return [f"This is not routing: under policy {fitted.facts['policy']} {alone} serves every query."] if alone else []


@app.command()
def policies(
    router_dir: RouterDir,
    policy: Annotated[
        list[str] | None, typer.Option("--policy", help="A policy to measure; may be repeated. The usual ones else.")
    ] = None,
    json: Json = False,
) -> None:
    """Quality, cost and saving that each policy may promise, measured on the calibration slice."""
    from llmrouterbench.benching.policies.policy import Policy
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.production.promises import promises, usual_promises

    wanted = [usage(lambda one=one: Policy.parse(one)) for one in policy or []]  # type: ignore[misc]
    fitted = FittedRouter.load(router_dir)
    promised = promises(fitted, wanted) if wanted else usual_promises(fitted)
    if json:
        print_json({"best_single": fitted.learned.best, **_promised(fitted, promised)})
    else:
        show_lines([*_of_a_log(fitted.facts["data"]), *_not_routing(fitted)])
        _show_promises(fitted, promised)


def _promised(fitted: FittedRouter, promised: list[Promise]) -> dict[str, Any]:
    """What policies promise, whether the default one routes, and how averages are taken, ready for JSON."""
    from llmrouterbench.metrics import AVERAGES
    from llmrouterbench.production.promises import serves_alone

    policies, averages = [one.to_dict() for one in promised], {"quality": AVERAGES["quality"]}
    return {"averages": averages, "serves_alone": serves_alone(fitted), "policies": policies}


def _show_promises(fitted: FittedRouter, promised: list[Promise]) -> None:
    """A line a policy."""
    from llmrouterbench.reporting.render import plain_table

    mark = "SIMULATED: " if fitted.facts["simulated"] else ""
    title = f"{mark}Policies on {count(len(fitted.learned.piece))} queries; saving against {fitted.learned.best}"
    table = plain_table(title)
    for i, column in enumerate(("policy", "quality, %", "USD/1,000", "saving, %")):
        table.add_column(column, justify="right" if i else "left", no_wrap=i > 0, overflow="fold")
    for one in promised:
        name, _, quality, _, saving, _ = promise_row(one)
        table.add_row(escape(name), quality, usd(1000.0 * one.cost.value), saving)
    said = ["Quality is the mean score over queries. Who serves, and what a bound surely keeps: policies --json."]
    unmet = [f"{one.policy} ({percent(one.unmet, unit=' %')})" for one in promised if one.unmet > 0.0]
    table.caption = escape(
        "\n".join([*said, *([f"No model meets it on some queries: {listed(unmet)}."] if unmet else [])])
    )
    tables.print(table)


def promise_row(one: Promise) -> tuple[str, ...]:
    """Policy, who serves, quality, USD for 1,000 queries, saving, and queries whose bounds no model meets."""
    served = ", ".join(f"{model} {percent(share, unit=' %')}" for model, share in list(one.share.items())[:3])
    cost = Interval(*(1000.0 * part for part in (one.cost.value, one.cost.low, one.cost.high)))
    return (
        one.policy,
        served + (" ..." if len(one.share) > 3 else ""),
        interval(one.quality, percent),
        interval(cost, usd),
        interval(one.saving, percent),
        percent(one.unmet),
    )


@app.command()
def route(
    router_dir: RouterDir,
    query: Annotated[str, typer.Argument(help="What a user asks.")],
    policy: PolicyWords = None,
    allow: Annotated[list[str] | None, typer.Option("--allow", help="Only these models; may be repeated.")] = None,
    json: Json = False,
) -> None:
    """Say which model would serve a query, what is expected of it, and why."""
    from llmrouterbench.benching.policies.policy import Policy
    from llmrouterbench.production.fitted import FittedRouter

    chosen = usage(lambda: Policy.parse(policy)) if policy else None
    fitted = FittedRouter.load(router_dir)
    decision = fitted.route(query, chosen, allowed=allow)
    first = () if decision.reading is None else decision.reading.models
    if json:
        print_json({**asdict(replace(decision, reading=None)), "reading": list(first)})
        return
    said = f"score {number(decision.score)}, cost {usd(decision.cost, ' USD')}, time {seconds(decision.seconds)}"
    mark = "SIMULATED data. " if fitted.facts["simulated"] else ""
    then = [model for model in decision.ranking if model != decision.model][:4]
    asked = [f"reads replies of {', '.join(first)} first, and then decides; without them:"] if first else []
    shown = f"{mark}{decision.model} ({decision.reason}): expected {said}"
    show_lines([*asked, shown, f"then {', '.join(then) or 'nobody'}"])


@app.command("add-model")
def add_model(
    router_dir: RouterDir,
    outcomes: Annotated[
        Path, typer.Option("--outcomes", help="Scores of the new model on probe queries: a folder or a table.")
    ],
    to: Annotated[Path | None, typer.Option("--to", help="Folder to make; ROUTER_DIR itself when not given.")] = None,
    json: Json = False,
) -> None:
    """Let new models join a fitted router (uniroute, hiershrink, knn) from their scores on some probe queries."""
    from llmrouterbench.production.adding import add_models
    from llmrouterbench.production.fitted import FittedRouter

    grown, curves = add_models(FittedRouter.load(router_dir), _probes(outcomes))
    _save(grown, to or router_dir, overwrite=to is None)
    if json:
        print_json({"folder": str(to or router_dir), "models": list(grown.models), "joined": list(map(asdict, curves))})
        return
    for curve in curves:
        steps = ", ".join(f"{count(n)}: {number(brier, 4)}" for n, brier in zip(curve.probes, curve.brier, strict=True))
        enough = f"{count(curve.queries)} scored probe queries; {count(curve.enough)} are enough"
        error = f"Mean squared error of its estimate on held-out probes, by number of probes: {steps}"
        show_lines([f"{curve.model} joins from {enough}.", error])
    say(f"stored in {to or router_dir}")


def _probes(source: Path) -> Outcomes:
    """Outcomes from a stored folder, or imported from a table of any known format."""
    from tempfile import TemporaryDirectory

    from llmrouterbench.importers import import_outcomes
    from llmrouterbench.table import Outcomes, Text

    if (source / "manifest.json").is_file():
        return Outcomes.load(source)
    with TemporaryDirectory() as made:
        import_outcomes(source, Path(made) / "probe", replies=False)
        probe = Outcomes.load(Path(made) / "probe")
        queries = probe.queries  # read before the folder goes
        text, prompt = Text.of(list(queries.text)), Text.of(list(queries.prompt))
        return replace(probe, queries=replace(queries, text=text, prompt=prompt))


@app.command("drop-model")
def drop_model(
    router_dir: RouterDir,
    models: Annotated[list[str], typer.Argument(help="Models that shall no longer serve.")],
    to: Annotated[Path | None, typer.Option("--to", help="Folder to make; ROUTER_DIR itself when not given.")] = None,
    json: Json = False,
) -> None:
    """Take models out of a fitted router; any router allows it, and nothing is fitted again."""
    from llmrouterbench.production.adding import drop_models
    from llmrouterbench.production.fitted import FittedRouter

    left = drop_models(FittedRouter.load(router_dir), models)
    _save(left, to or router_dir, overwrite=to is None)
    if json:
        print_json({"folder": str(to or router_dir), "models": list(left.models)})
    else:
        show_lines([f"{', '.join(left.models)} still serve{'s' if len(left.models) == 1 else ''}."])
