"""`llmrouterbench curate`: which models to keep in the pool."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrouterbench.commands._terminal import print_json, show_lines
from llmrouterbench.commands.app import Json, SettingName, app, load, usage

if TYPE_CHECKING:
    from llmrouterbench.stats import Interval
    from llmrouterbench.studies.curation import MarginalValue, SubsetCurve
    from llmrouterbench.table import Outcomes

GUARANTEE = "Greedy keeps at least 63 % (1 - 1/e) of the best oracle that any subset of that size has"
GUARANTEE_BUDGET = "At least 32 % ((1 - 1/e) / 2) of the best oracle that the budget buys"
_SHOWN = 12


@app.command()
def curate(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    size: Annotated[int | None, typer.Option("--size", help="Models to keep; every size when not given.")] = None,
    cost_weight: Annotated[
        float, typer.Option("--cost-weight", help="Score that one USD a query is worth: prefers cheap models.")
    ] = 0.0,
    budget: Annotated[
        float | None, typer.Option("--budget", help="What keeping models may cost, in the unit of --price.")
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option("--price", metavar="MODEL=NUMBER", help="What it costs to keep a model; repeat it. Others: 1."),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", help="Bootstrap samples for the intervals.")] = 1000,
    setting: SettingName = None,
    json: Json = False,
) -> None:
    """Choose a subset of the pool by greedy coverage, against top-k and random, and value every model."""
    prices = usage(lambda: _prices(price or []))
    if prices and budget is None:
        raise typer.BadParameter("--price needs a --budget; say how much may be spent")
    outcomes, _ = load(folder, setting)
    facts = study(outcomes, size=size, cost_weight=cost_weight, budget=budget, price=prices, samples=samples)
    if json:
        print_json(
            {**facts, "curves": list(map(asdict, facts["curves"])), "values": list(map(asdict, facts["values"]))}
        )
    else:
        show_lines(curation_lines(facts))


def study(
    outcomes: Outcomes,
    *,
    size: int | None = None,
    cost_weight: float = 0.0,
    budget: float | None = None,
    price: dict[str, float] | None = None,
    samples: int = 1000,
) -> dict[str, Any]:
    """Everything the command says: the chosen models, the curves of subsets, and what every model is worth.

    Raises ValueError for a size, weight, budget or price out of range, or a price of an unknown model.
    """
    from llmrouterbench.naming import did_you_mean
    from llmrouterbench.studies.curation import Coverage, curate, curate_within, marginal_values, subset_curves

    models = outcomes.pool.models
    for name in price or {}:
        if name not in models:
            raise ValueError(f"no model named {name!r} to give a price{did_you_mean(name, models)}")
    order = curate(outcomes, size, cost_weight=cost_weight)
    pool = Coverage.of(outcomes)
    kept = None if budget is None else curate_within(outcomes, budget, dict.fromkeys(models, 1.0) | (price or {}))
    return {
        "simulated": outcomes.simulated,
        "order": order,
        "oracle": [pool.value([models.index(name) for name in order[: i + 1]]) for i in range(len(order))],
        "cost_weight": cost_weight,
        "guarantee": GUARANTEE,
        "budget": budget,
        "within_budget": kept,
        "within_budget_oracle": None if kept is None else pool.value([models.index(name) for name in kept]),
        "guarantee_within_budget": None if kept is None else GUARANTEE_BUDGET,
        "curves": subset_curves(outcomes, replicates=samples),
        "values": marginal_values(outcomes, replicates=samples),
    }


def _prices(words: list[str]) -> dict[str, float]:
    """Numbers by model from "MODEL=NUMBER" words; a model id may hold "=" itself."""
    found = {}
    for word in words:
        model, mark, number = word.rpartition("=")
        try:
            found[model] = float(number)
        except ValueError:
            mark = ""
        if not (model and mark):
            raise ValueError(f"--price must be MODEL=NUMBER, got {word!r}")
    return found


def curation_lines(facts: dict[str, Any]) -> list[str]:
    """The study as plain lines, the choice first."""
    mark = "SIMULATED data. " if facts["simulated"] else ""
    weighed = f", at {facts['cost_weight']:g} score per USD" if facts["cost_weight"] else ""
    lines = [f"{mark}Keep models in this order (oracle AvgAcc of those kept so far, %{weighed}):"]
    pairs = list(zip(facts["order"], facts["oracle"], strict=True))
    lines += [f"{i:3d}. {name}  {100 * value:.2f}" for i, (name, value) in enumerate(pairs[:_SHOWN], start=1)]
    lines += [f"     and {len(pairs) - _SHOWN} more; --json has all"] if len(pairs) > _SHOWN else []
    lines += ["", f"{GUARANTEE}{'' if not weighed else ', in score minus weighted cost'}.", ""]
    if facts["within_budget"] is not None:
        chosen = ", ".join(facts["within_budget"]) or "no model fits"
        value = f"{100 * facts['within_budget_oracle']:.2f} %"
        lines += [f"Within a budget of {facts['budget']:g}: {chosen} (oracle {value}). {GUARANTEE_BUDGET}.", ""]
    return [*lines, *_curve_lines(facts["curves"]), "", *_value_lines(facts["values"])]


def _curve_lines(curves: tuple[SubsetCurve, ...]) -> list[str]:
    curated, top, random = curves
    lines = ["Oracle AvgAcc by size, %, with 95 % intervals: curated (in hindsight), the k most accurate, k at random:"]
    rows = zip(curated.size, curated.oracle, top.oracle, random.oracle, strict=True)
    shown = [row for row in rows if row[0] <= _SHOWN]
    return lines + [f"{k:3d}  {_span(a)}  {_span(b)}  {_span(c)}" for k, a, b, c in shown]


def _value_lines(values: tuple[MarginalValue, ...]) -> list[str]:
    lines = [
        "Worth of each model, points of AvgAcc: alone; added to the best single model; dropped from the pool; Shapley:"
    ]
    for one in values[:_SHOWN]:
        need = "" if one.needed else "  (dropping it loses nothing for certain)"
        numbers = "  ".join(_span(number) for number in (one.alone, one.added, one.dropped, one.share))
        lines.append(f"{one.model}: {numbers}{need}")
    return lines + ([f"and {len(values) - _SHOWN} more; --json has all"] if len(values) > _SHOWN else [])


def _span(number: Interval) -> str:
    return f"{100 * number.value:.2f} [{100 * number.low:.2f}, {100 * number.high:.2f}]"
